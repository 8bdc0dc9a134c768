"""Campaigns that somebody started from a list: where they come from, what they brought about, and the list itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal, select, union_all

from db import campaigns, customers, schema
from db.around_words import CLOSED
from db.campaign_start import Reach
from db.customer_filters import Filters
from db.errors import Invalid, NotFound
from db.permissions import Permission, Viewer
from db.words import _


@dataclass(frozen=True)
class Arm:
    """Customers who received a campaign, or were held out of it, and how many of them bought in its window."""

    customers: int
    buyers: int


@dataclass(frozen=True)
class Started:
    """A campaign with the list it was started from. `segment` is None for one that the viewer does not see.

    `reach` are the numbers of the start, among all that its starter saw: they are told to nobody who sees fewer.
    """

    channel: str
    by: str
    percent: int
    segment_id: int | None
    segment: str | None
    reach: Reach | None
    received: Arm
    held_out: Arm


def get(conn: Connection, *, viewer: Viewer, campaign_id: int) -> Started | None:
    """What is known of a campaign's start, None of one that was loaded; both arms of the customers in sight."""
    viewer.require(Permission.CAMPAIGNS_READ)
    c, u, s, b = (t.c for t in (schema.campaigns, schema.users, schema.segments, schema.batches))
    joined = (
        schema.campaigns.join(schema.users, u.id == c.owner_id)
        .join(schema.batches, b.id == c.batch_id)
        .outerjoin(schema.segments, s.id == c.segment_id)
    )
    query = select(c.channel, c.owner_id, c.held_percent, u.name.label("by"), s.id, s.name, b.counts)
    row = conn.execute(query.select_from(joined).where(c.id == campaign_id)).one_or_none()
    if row is None:
        return None
    told = not viewer.scoped or row.owner_id == viewer.user_id
    found = Reach(*(int(row.counts[name]) for name in Reach.__dataclass_fields__)) if told else None
    arms = _arms(conn, campaign_id)
    return Started(row.channel, row.by, row.held_percent, row.id, row.name, found, *arms)


get.personal = True  # type: ignore[attr-defined]  # it names a segment that may be the viewer's own


def _arms(conn: Connection, campaign_id: int) -> tuple[Arm, Arm]:
    c, d = schema.campaigns.c, schema.order_days.c

    def arm(table: Table, number: int) -> Any:
        of = table.c
        # How many days with an order lie in the window: db/schema_derived.py.
        bought = func.width_bucket(c.ends_on, d.days) - func.width_bucket(c.starts_on - 1, d.days) > 0
        joined = table.join(schema.campaigns, c.id == of.campaign_id).outerjoin(
            schema.order_days, d.customer_id == of.customer_id
        )
        counts = func.count().label("customers"), func.count().filter(bought).label("buyers")
        return select(literal(number).label("arm"), *counts).select_from(joined).where(of.campaign_id == campaign_id)

    both = union_all(arm(schema.campaign_members, 0), arm(schema.campaign_held_out, 1)).subquery()
    rows = conn.execute(select(both).order_by(both.c.arm)).all()
    return Arm(rows[0].customers, rows[0].buyers), Arm(rows[1].customers, rows[1].buyers)


def of_segment(conn: Connection, *, viewer: Viewer, segment_id: int) -> dict[int, str]:
    """The campaigns that were started from a segment which the viewer sees: number → name, the latest first."""
    viewer.require(Permission.CAMPAIGNS_READ)
    viewer.require(Permission.SEGMENTS_READ)
    c, s = schema.campaigns.c, schema.segments.c
    query = select(c.id, c.name).join(schema.segments, s.id == c.segment_id).where(s.id == segment_id)
    rows = conn.execute(query.order_by(c.starts_on.desc(), c.id.desc()).limit(campaigns.MOST_CAMPAIGNS))
    return {row.id: row.name for row in rows}


of_segment.personal = True  # type: ignore[attr-defined]


# --- the list --------------------------------------------------------------------------------------------------------


def export(conn: Connection, *, viewer: Viewer, campaign_id: int, today: date) -> Iterator[dict[str, Any]]:
    """Who is to be called or written to, by name, as `customers.export` gives them, with `reached_by`: the number or
    address. Who has said no since is left out, and who was archived. Raises at once: NotFound, Refused, Invalid."""
    viewer.require(Permission.CAMPAIGNS_READ)
    viewer.require(Permission.CUSTOMERS_EXPORT)
    c, m = schema.customers.c, schema.campaign_members.c
    of = schema.campaigns.c
    known = 0 < campaign_id <= campaigns.LARGEST_ID
    channel = conn.scalar(select(of.channel).where(of.id == campaign_id)) if known else None
    if channel is None:
        raise NotFound(_("There is no campaign {id}.").format(id=campaign_id))
    if not channel:
        raise Invalid(_("This campaign was loaded: Kehu does not know by which way it reaches people."))
    listed = customers.listed(today, Filters(), scoped=viewer.scoped)
    query = listed.join(schema.campaign_members, and_(m.customer_id == c.id, m.campaign_id == campaign_id))
    query = query.where(func.coalesce(_said_last(channel), "").not_in(CLOSED))
    beside = (c.custom, c.custom_personal, m.received_on, _address(channel).label("reached_by"))
    return customers.stepwise(conn, query.add_columns(*beside).order_by(*customers.order("name", False), c.id))


def _said_last(channel: str) -> ColumnElement[str]:
    c = schema.consents.c
    newest = select(c.state).where(c.customer_id == schema.customers.c.id, c.channel == channel)
    return newest.order_by(c.happened_at.desc(), c.id.desc()).limit(1).scalar_subquery()


def _address(channel: str) -> ColumnElement[str]:
    """The customer's own, else of a person at the customer's: the main one first."""
    c, k, a = schema.customers.c, schema.contacts.c, schema.addresses.c
    if channel == "post":
        parts = (a.recipient, a.street, a.postcode, a.city, a.region, a.country)
        written = func.concat_ws(", ", *(func.nullif(part, "") for part in parts))
        other = select(written).where(a.customer_id == c.id, a.street != "").order_by(a.main.desc(), a.id)
        return func.coalesce(func.nullif(c.address, ""), other.limit(1).scalar_subquery(), "")
    column = _OF_CONTACTS[channel]
    own = {"mail": [c.email], "wechat": []}.get(channel, [c.phone])
    other = select(k[column]).where(k.customer_id == c.id, k[column] != "").order_by(k.main.desc(), k.id)
    return func.coalesce(*(func.nullif(one, "") for one in own), other.limit(1).scalar_subquery(), "")


_OF_CONTACTS: Mapping[str, str] = {"phone": "phone", "sms": "phone", "mail": "email", "wechat": "wechat"}
