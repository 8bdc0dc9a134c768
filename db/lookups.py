"""What segments look up beside customers and their metrics: tags, talks and notes, tasks, consents, campaigns.

`values` gives rows (customer_id, value), at most one for each customer; `customers` gives who fits a condition, each
perhaps several times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Date, Select, func, literal, select, type_coerce, union_all
from sqlalchemy.dialects.postgresql import distinct_on

from db import schema, tags
from db.customer_filters import midnight
from db.fields import CONSENT, NOTE, Kind, company_day
from db.rules import Condition, Span


def within(day: Any, span: Span, today: date) -> list[Any]:
    """That a day lies in a period."""
    first, last = span.ends(today)
    return [*([day >= literal(first, Date)] if first else []), *([day <= literal(last, Date)] if last else [])]


# --- who fits --------------------------------------------------------------------------------------------------------


def customers(c: Condition, today: date) -> Select[Any]:
    """Who has one, or all, of some tags, or any at all; who was talked to in one of some ways."""
    if c.field.kind is Kind.CONTACT:
        met = _contacts(c.span, today, c.values).subquery()
        return select(met.c.customer_id)
    t = schema.customer_tags.c
    found = select(t.customer_id)
    if c.op == "not empty":
        return found
    keys = list(dict.fromkeys(tags.key(tag) for tag in c.values))
    found = found.where(t.tag_key.in_(keys))
    # A customer has a tag once.
    return found.group_by(t.customer_id).having(func.count() == len(keys)) if c.op == "all of" else found


def of_campaigns(c: Condition, today: date) -> Select[Any]:
    """Who received one of some campaigns, redeemed in it, bought after it, or was held out of it, in a period.

    Bought after it is an order from the day one received it to its last day, both included; a day with an order lies in
    the period, too. Who was held out did not receive it.
    """
    m, h, ids = schema.campaign_members.c, schema.campaign_held_out.c, list(c.values)
    if c.field.key == "held_out":
        return select(h.customer_id).where(h.campaign_id.in_(ids), *within(h.held_on, c.span, today))
    found = select(m.customer_id).where(m.campaign_id.in_(ids))
    if c.field.key == "redeemed":
        return found.where(m.redemptions > 0, *within(m.first_redeemed_on, c.span, today))
    if c.field.key == "received":
        return found.where(*within(m.received_on, c.span, today))
    (first, last), k, d = c.span.ends(today), schema.campaigns.c, schema.order_days.c
    begins = func.greatest(m.received_on, literal(first, Date)) if first else m.received_on
    ends = func.least(k.ends_on, literal(last, Date)) if last else k.ends_on
    # Two binary searches in the days of a customer's orders, which are in order.
    bought = func.width_bucket(ends, d.days) - func.width_bucket(begins - 1, d.days) > 0
    joined = found.join(schema.campaigns, k.id == m.campaign_id).join(schema.order_days, d.customer_id == m.customer_id)
    return joined.where(bought)


# --- one value for each customer -------------------------------------------------------------------------------------


def values(key: str, span: Span, today: date) -> Select[Any]:
    """The value of a field for each customer who has one."""
    if key.startswith(CONSENT):
        return _said_last(key.removeprefix(CONSENT))
    return _VALUES[key](span, today)


def _said_last(channel: str) -> Select[Any]:
    """As db/consents.py has it: of two of one moment the one that was written later."""
    c = schema.consents.c
    newest = select(c.customer_id, c.state.label("value")).where(c.channel == channel)
    return newest.ext(distinct_on(c.customer_id)).order_by(c.customer_id, c.happened_at.desc(), c.id.desc())


def _tasks(_span: Span, today: date, *, overdue: bool = False) -> Select[Any]:
    t = schema.tasks.c
    late = [t.due_on < literal(today, Date)] if overdue else []
    return select(t.customer_id, func.count().label("value")).where(t.done_at.is_(None), *late).group_by(t.customer_id)


def _overdue(span: Span, today: date) -> Select[Any]:
    return _tasks(span, today, overdue=True)


def _received(span: Span, today: date) -> Select[Any]:
    m = schema.campaign_members.c
    found = select(m.customer_id, func.count().label("value")).where(*within(m.received_on, span, today))
    return found.group_by(m.customer_id)


def _contacted(span: Span, today: date) -> Select[Any]:
    met = _contacts(span, today).subquery()
    return select(met.c.customer_id, func.count().label("value")).group_by(met.c.customer_id)


def _since_contact(_span: Span, today: date) -> Select[Any]:
    met = _contacts(Span(), today).subquery()
    ago = type_coerce(literal(today, Date) - func.max(met.c.day), schema.customer_metrics.c.orders.type)
    return select(met.c.customer_id, ago.label("value")).group_by(met.c.customer_id)


def _contacts(span: Span, today: date, kinds: tuple[Any, ...] = ()) -> Any:
    """Talks and notes with their day, as the list of customers counts contacts; of some kinds where they are given.

    A note's day is found by bounds in its instant, which an index holds.
    """
    i, n = schema.interactions.c, schema.notes.c
    talked = [kind for kind in kinds if kind != NOTE]
    talks = select(i.customer_id, i.happened_on.label("day"))
    talks = talks.where(*within(i.happened_on, span, today), *([i.kind.in_(talked)] if kinds else []))
    first, last = span.ends(today)
    notes = select(n.customer_id, company_day(n.created_at).label("day"))
    notes = notes.where(
        *([n.created_at >= midnight(first)] if first else []),
        *([n.created_at < midnight(last + timedelta(days=1))] if last else []),
    )
    parts = [*([talks] if talked or not kinds else []), *([notes] if not kinds or NOTE in kinds else [])]
    return union_all(*parts)


_VALUES: Mapping[str, Callable[[Span, date], Select[Any]]] = {
    "contact_days": _since_contact,
    "contacts": _contacted,
    "open_tasks": _tasks,
    "overdue_tasks": _overdue,
    "received_count": _received,
}
