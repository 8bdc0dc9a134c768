"""Campaigns: how each did, and one of them by day, by people and by product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, and_, any_, func, select

from db import schema
from db.errors import NotFound
from db.permissions import Permission, Viewer
from db.words import _

MOST_CAMPAIGNS = 500
MOST_PRODUCTS = 20
LARGEST_ID = 2**63 - 1


class State(StrEnum):
    """Where a campaign stands on a day."""

    PLANNED = "planned"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class Campaign:
    """One campaign with what the viewer may see of its members.

    `complete`: orders are known for the whole window. `comparable`: also for the equally long time before it. Where
    they are not, revenue holds what is known, and `change` is None.
    """

    id: int
    name: str
    kind: str
    starts_on: date
    ends_on: date
    state: State
    reached: int
    buyers: int
    promoted_buyers: int
    redeemers: int
    redemptions: int
    orders: int
    revenue: Decimal
    revenue_before: Decimal
    complete: bool
    comparable: bool

    @property
    def days(self) -> int:
        """Length of the window."""
        return (self.ends_on - self.starts_on).days + 1

    @property
    def per_head(self) -> Decimal | None:
        """Revenue in the window for each customer reached."""
        return self.revenue / self.reached if self.reached else None

    @property
    def change(self) -> float | None:
        """Revenue in the window against the time before, 0.1 for a tenth more; None when not known."""
        if not self.comparable or not self.revenue_before:
            return None
        return float(self.revenue / self.revenue_before) - 1


def league(conn: Connection, *, viewer: Viewer, today: date) -> tuple[tuple[Campaign, ...], bool]:
    """All campaigns, the latest first, and whether there are more than MOST_CAMPAIGNS."""
    viewer.require(Permission.CAMPAIGNS_READ)
    c = schema.campaigns.c
    rows = conn.execute(_results().order_by(c.starts_on.desc(), c.id.desc()).limit(MOST_CAMPAIGNS + 1)).mappings()
    found = tuple(_campaign(row, today) for row in rows)
    return found[:MOST_CAMPAIGNS], len(found) > MOST_CAMPAIGNS


def get(conn: Connection, *, viewer: Viewer, campaign_id: int, today: date) -> Campaign:
    """One campaign. Raises NotFound."""
    viewer.require(Permission.CAMPAIGNS_READ)
    row = None
    if 0 < campaign_id <= LARGEST_ID:
        row = conn.execute(_results().where(schema.campaigns.c.id == campaign_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(_("There is no campaign {id}.").format(id=campaign_id))
    return _campaign(row, today)


def names(conn: Connection, *, viewer: Viewer) -> dict[int, str]:
    """The campaigns' names by id, the latest first; at most MOST_CAMPAIGNS."""
    viewer.require(Permission.CAMPAIGNS_READ)
    c = schema.campaigns.c
    rows = conn.execute(select(c.id, c.name).order_by(c.starts_on.desc(), c.id.desc()).limit(MOST_CAMPAIGNS))
    return {row.id: row.name for row in rows}


def waiting_since(conn: Connection, *, viewer: Viewer) -> datetime | None:
    """The oldest change that the results do not hold yet; None when they are up to date."""
    viewer.require(Permission.CAMPAIGNS_READ)
    found: datetime | None = conn.scalar(select(func.waiting_since()))
    return found


def redemptions_by_day(conn: Connection, *, viewer: Viewer, campaign_id: int) -> pd.DataFrame:
    """Columns day, redemptions: every day of the window (and beyond it where coupons were redeemed), zeros too."""
    viewer.require(Permission.CAMPAIGNS_READ)
    e, c = schema.campaign_events.c, schema.campaigns.c
    window = conn.execute(select(c.starts_on, c.ends_on).where(c.id == campaign_id)).one_or_none()
    if window is None:
        return pd.DataFrame(columns=["day", "redemptions"])
    rows = conn.execute(
        select(e.occurred_on, func.count().label("n"))
        .where(e.campaign_id == campaign_id, e.kind == "redeemed")
        .group_by(e.occurred_on)
    )
    counts: dict[date, int] = {row.occurred_on: row.n for row in rows}
    until = conn.scalar(select(func.data_until())) or window.ends_on
    first = min([window.starts_on, *counts])
    last = max([min(window.ends_on, max(until, window.starts_on)), *counts])
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return pd.DataFrame({"day": days, "redemptions": [counts.get(day, 0) for day in days]})


def products(conn: Connection, *, viewer: Viewer, campaign_id: int) -> pd.DataFrame:
    """The promoted products that members bought most of in the window, MOST_PRODUCTS of them.

    Columns product, category, buyers (distinct), amount (of lines in orders of the company's currency); products of
    one name and category together.
    """
    viewer.require(Permission.CAMPAIGNS_READ)
    p, b = schema.products.c, schema.campaign_purchases.c
    # Of each product first, in the index's order; buyers are counted for those alone that are listed.
    each = select(b.product_id, func.sum(b.amount).label("amount")).where(b.campaign_id == campaign_id)
    sums = each.group_by(b.product_id).subquery().c
    amount = func.sum(sums.amount).label("amount")
    most = (
        select(p.name.label("product"), p.category, amount, func.array_agg(p.id).label("ids"))
        .join_from(sums.product_id.table, schema.products, p.id == sums.product_id)
        .group_by(p.name, p.category)
        .order_by(amount.desc(), p.name, p.category)
        .limit(MOST_PRODUCTS)
        .subquery()
        .c
    )
    buyers = (
        select(func.count(b.customer_id.distinct()))
        .where(b.campaign_id == campaign_id, b.product_id == any_(most.ids))
        .scalar_subquery()
    )
    rows = conn.execute(
        select(most.product, most.category, buyers.label("buyers"), most.amount).order_by(
            most.amount.desc(), most.product, most.category
        )
    )
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def _results() -> Select[Any]:
    c, s = schema.campaigns.c, schema.campaign_sums.c
    before = c.starts_on - (c.ends_on - c.starts_on + 1)
    complete = and_(c.starts_on >= func.data_since(), c.ends_on <= func.data_until())
    totals = (
        *(s.reached, s.buyers, s.promoted_buyers, s.redeemers, s.redemptions, s.orders, s.revenue),
        s.revenue_before,
    )
    return (
        select(
            c.id,
            c.name,
            c.kind,
            c.starts_on,
            c.ends_on,
            *(func.coalesce(func.sum(column), 0).label(column.name) for column in totals),
            func.coalesce(complete, False).label("complete"),
            func.coalesce(and_(complete, before >= func.data_since()), False).label("comparable"),
        )
        .select_from(schema.campaigns.outerjoin(schema.campaign_sums, s.campaign_id == c.id))
        .group_by(c.id)
    )


def _campaign(row: Any, today: date) -> Campaign:
    state = State.PLANNED if today < row["starts_on"] else State.RUNNING if today <= row["ends_on"] else State.ENDED
    return Campaign(**row, state=state)
