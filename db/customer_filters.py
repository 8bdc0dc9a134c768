"""What the list of customers can be narrowed by, beside its search: the values and what they say of a customer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Date, Text, cast, exists, func, literal, or_, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from db import schema, tags, text
from db.errors import Invalid
from db.lifecycle import stage_column
from db.metrics import Stage
from db.settings import Settings
from db.words import _

MOST_FILTER_TAGS = 10
"""Tags that a list is narrowed by at once."""
MOST_DAYS = 3_650
"""Days that an order or a contact may lie back in a filter."""
MOST_REVENUE = 1_000_000_000_000
WITHIN, BEFORE, NEVER = "within", "before", "never"
RECENCY = (WITHIN, BEFORE, NEVER)
"""Within the last so many days; not within them, be it never; never."""


@dataclass(frozen=True)
class Filters:
    """What the list is narrowed by; the empty value of each means everything. All of them must hold.

    `ordered` and `contacted` are one of RECENCY with its number of days; revenue is in the company's currency, both
    ends included. `archived` lists those that were taken off the lists, and no others. `own` are custom fields: pairs
    of key and what is asked, as db/custom_filters.py writes it. `segment` is the code of one (db/segment_filter.py).
    """

    search: str = ""
    owner_id: int | None = None
    region: str = ""
    stage: str = ""
    team_id: int | None = None
    source: str = ""
    tags: tuple[str, ...] = ()
    revenue_from: int | None = None
    revenue_to: int | None = None
    ordered: str = ""
    ordered_days: int = 90
    contacted: str = ""
    contacted_days: int = 90
    archived: bool = False
    own: tuple[tuple[str, str], ...] = ()
    segment: str = ""

    def __post_init__(self) -> None:
        # Lists in what an export keeps.
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "own", tuple(tuple(pair) for pair in self.own))

    @property
    def figures(self) -> bool:
        """Whether one of them asks about the figures derived from the orders."""
        return bool(self.stage or self.ordered) or self.revenue_from is not None or self.revenue_to is not None

    @property
    def personal(self) -> bool:
        """Whether what they find may be nobody's but the asker's: a segment may be private."""
        return bool(self.segment)


@dataclass(frozen=True)
class Resolved(Filters):
    """Filters whose custom fields and segment were looked up, and what they say of a customer."""

    conditions: tuple[ColumnElement[bool], ...] = ()
    member: ColumnElement[bool] | None = None


EVERYBODY = Filters()
"""Who is not archived."""


def check(filters: Filters) -> None:
    """Raise Invalid for values that none of the lists offers."""
    if filters.stage and filters.stage not in list(Stage):
        raise Invalid(_("There is no stage “{stage}”.").format(stage=filters.stage))
    for mode, days in ((filters.ordered, filters.ordered_days), (filters.contacted, filters.contacted_days)):
        if mode and mode not in RECENCY:
            raise Invalid(
                _("There is no filter “{value}”. Possible: {known}.").format(value=mode, known="/".join(RECENCY))
            )
        if not 0 <= days <= MOST_DAYS:
            raise Invalid(_("Between 0 and {most} days.").format(most=f"{MOST_DAYS:,}"))
    if len(filters.tags) > MOST_FILTER_TAGS:
        raise Invalid(_("A list is narrowed by at most {most} tags.").format(most=MOST_FILTER_TAGS))
    for bound in (filters.revenue_from, filters.revenue_to):
        if bound is not None and abs(bound) > MOST_REVENUE:
            raise Invalid(_("The revenue lies between 0 and {most}.").format(most=f"{MOST_REVENUE:,}"))


def of_customer(filters: Filters, today: date, *, scoped: bool = False) -> list[ColumnElement[bool]]:
    """What the filters say of the customer and of what is kept beside it, without its figures.

    For a `scoped` viewer functions say which of the own customers have what is asked for: a join with a view would
    begin with everybody's, for the planner does not see how few pass it.
    """
    if filters.own and not isinstance(filters, Resolved):
        raise RuntimeError("Custom fields are not looked up: db.custom_filters.resolved comes first.")
    member = filters.member if isinstance(filters, Resolved) else None
    if filters.segment and member is None:
        raise RuntimeError("The segment is not looked up: db.segment_filter.resolved comes first.")
    c, u = schema.customers.c, schema.users.c
    said: list[ColumnElement[bool]] = [c.archived_at.is_not(None) if filters.archived else c.archived_at.is_(None)]
    if filters.owner_id is not None:
        said.append(c.owner_id == filters.owner_id)
    if filters.team_id is not None:
        members = select(u.id).where(u.team_id == filters.team_id)
        said.append(c.owner_id == func.any(func.array(members.scalar_subquery())))
    if filters.region:
        said.append(c.region == filters.region)
    if filters.source:
        said.append(c.source == filters.source)
    for tag in filters.tags:
        t = schema.customer_tags.c
        tagged = select(t.customer_id).where(t.tag_key == tags.key(tag))
        said.append(c.id.in_(select(func.my_customers_tagged(tags.key(tag))) if scoped else tagged))
    if filters.contacted:
        said += _contacted(filters.contacted, today - timedelta(days=filters.contacted_days), scoped)
    if isinstance(filters, Resolved):
        said += filters.conditions
    if member is not None:
        said.append(member)
    if filters.archived:
        # The search looks among those on the lists; the few others are looked through.
        words = text.match_key(filters.search).split(" ")
        said += [func.strpos(c.search_text, text.spaced(word)) > 0 for word in words if word]
    return said


def of_figures(filters: Filters, today: date) -> list[ColumnElement[bool]]:
    """What the filters say of the figures: customer_metrics is joined, with nothing there for who never ordered."""
    m = schema.customer_metrics.c
    said: list[ColumnElement[bool]] = []
    if filters.stage:
        said.append(stage_column(today) == filters.stage)
    if filters.revenue_from is not None:
        # Without coalesce an index can be used; it is right where nothing is less than what is asked for.
        held = m.revenue if filters.revenue_from > 0 else func.coalesce(m.revenue, 0)
        said.append(held >= filters.revenue_from)
    if filters.revenue_to is not None:
        said.append(func.coalesce(m.revenue, 0) <= filters.revenue_to)
    since = today - timedelta(days=filters.ordered_days)
    if filters.ordered == WITHIN:
        said.append(m.last_order_on >= since)
    elif filters.ordered == BEFORE:
        said.append(or_(m.last_order_on < since, m.last_order_on.is_(None)))
    elif filters.ordered == NEVER:
        said.append(m.last_order_on.is_(None))
    return said


def _contacted(mode: str, since: date, scoped: bool) -> list[ColumnElement[bool]]:
    """Whether there was a call, a mail, a meeting, a message or a note, on that day of the company or later, or ever.

    Two anti-joins where there was none: a "not in" one or the other would look through all for every customer.
    """
    c, i, n = schema.customers.c, schema.interactions.c, schema.notes.c
    talks, notes = select(i.customer_id), select(n.customer_id)
    if mode != NEVER:
        talks, notes = talks.where(i.happened_on >= since), notes.where(n.created_at >= midnight(since))
    if scoped:
        ever = (date.min, cast(literal("-infinity"), TIMESTAMP(timezone=True)))
        since_when = ever if mode == NEVER else (since, midnight(since))
        contacted = c.id.in_(select(func.my_customers_contacted(*since_when)))
        return [contacted if mode == WITHIN else ~contacted]
    if mode == WITHIN:
        return [c.id.in_(union_all(talks, notes))]
    return [~exists(talks.where(i.customer_id == c.id)), ~exists(notes.where(n.customer_id == c.id))]


def midnight(day: date) -> ColumnElement[Any]:
    """When a day of the company begins."""
    s = schema.settings.c
    kept = (
        select(s.value.op("#>>", return_type=Text())(literal([], ARRAY(Text))))
        .where(s.key == "time_zone")
        .scalar_subquery()
    )
    zone = func.coalesce(kept, Settings.time_zone)
    return func.timezone(zone, cast(literal(day, Date), TIMESTAMP))
