"""Repeat purchases: how long customers take from one purchase to the next, and the intervals between purchases.

A purchase is a day with at least one order. Of customers who are not archived, as segments count them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    Connection,
    Date,
    FromClause,
    Integer,
    Select,
    and_,
    case,
    column,
    func,
    literal,
    select,
    true,
)

from db import held_repeats, repeat_sums, schema, segments
from db.errors import Invalid
from db.explorer import month_before
from db.fields import EPOCH
from db.overview import known_from
from db.permissions import Permission, Viewer
from db.words import _

MOST_STEPS = 5
"""From the first to the second purchase, up to the fifth to the sixth."""
MOST_MONTHS = 36


@dataclass(frozen=True)
class Waits:
    """`rows`: days, happened, customers: how long after the purchase the next one came, or has not come until today.

    `unknown` customers are left out: their first purchase lies before the day `known_from`, from which it is known to
    be the first. `made_at` is when they were added up, None where that was just now.
    """

    rows: pd.DataFrame
    known_from: date | None
    unknown: int
    waiting_since: datetime | None
    made_at: datetime | None


@dataclass(frozen=True)
class Intervals:
    """`rows`: days, intervals; `made_at` is when they were added up, None where that was just now."""

    rows: pd.DataFrame
    made_at: datetime | None


def waits(conn: Connection, *, viewer: Viewer, today: date, step: int = 1, months: int = 12, rule: str = "") -> Waits:
    """From the `step`-th purchase to the next, of customers who first bought in the last `months` months.

    Of everyone or of a rule's members (JSON). Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    if not 1 <= step <= MOST_STEPS:
        raise Invalid(_("Choose a purchase from 1 to {n}.").format(n=MOST_STEPS))
    if not 1 <= months <= MOST_MONTHS:
        raise Invalid(_("Choose 1 to {n} months.").format(n=MOST_MONTHS))
    start = month_before(today, months - 1)
    known = known_from(conn.scalar(select(func.data_since())))
    if rule:
        found, unknown, made = *_of_rule(conn, viewer, known, start, today, step, rule), None
    else:
        kept = None if viewer.scoped else _kept(conn, known, start, today, step)
        found, unknown, made = kept or (*_live(conn, viewer, known, start, today, step, rule), None)
    frame = pd.DataFrame(found, columns=["days", "happened", "customers"]).astype(
        {"days": int, "happened": bool, "customers": int}
    )
    return Waits(frame.sort_values(["days", "happened"], ignore_index=True), known, unknown, _waiting(conn), made)


def _of_rule(
    conn: Connection, viewer: Viewer, known: date | None, start: date, today: date, step: int, rule: str
) -> tuple[list[tuple[int, bool, int]], int]:
    days: dict[str, Any] = {"start": _number(start), "known": _number(known or start), "today": _number(today)}
    told = segments.remembered(
        conn,
        viewer=viewer,
        rule=rule,
        today=today,
        answer=lambda sight, fits: held_repeats.waits(*sight.purchases(fits), step=step, **days),
    )
    return _live(conn, viewer, known, start, today, step, rule) if told is None else told


def _live(
    conn: Connection, viewer: Viewer, known: date | None, start: date, today: date, step: int, rule: str
) -> tuple[list[tuple[int, bool, int]], int]:
    days = schema.order_days.c.days
    first = days[1]
    this = first
    for _n in range(step - 1):
        this = _next(days, this)
    following = _next(days, this)
    of, who = _among(conn, viewer, rule, today)
    each = (
        select(first.label("first"), this.label("this"), following.label("following"))
        .select_from(of)
        .where(who, first >= start)
        .offset(0)  # a fence: the searches are made once for each customer
        .subquery()
        .c
    )
    late = each.first >= (known or start)
    waited = func.greatest(func.coalesce(each.following, today) - each.this, 0)
    rows = conn.execute(
        select(late, waited, each.following.is_not(None), func.count())
        .where(each.this.is_not(None) | ~late)
        .group_by(late, waited, each.following.is_not(None))
    ).all()
    return [(row[1], row[2], row[3]) for row in rows if row[0]], sum(row[3] for row in rows if not row[0])


def intervals(conn: Connection, *, viewer: Viewer, today: date, rule: str = "") -> Intervals:
    """How many intervals between two purchases of a customer were how long, of all time. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    s = schema.interval_sums.c
    if rule:
        told = segments.remembered(
            conn,
            viewer=viewer,
            rule=rule,
            today=today,
            answer=lambda sight, fits: held_repeats.intervals(*sight.purchases(fits)),
        )
        rows = _intervals(conn, viewer, rule, today) if told is None else told
    else:
        rows = _rows(conn, select(s.days, func.sum(s.intervals)).group_by(s.days))
    found = pd.DataFrame(rows, columns=["days", "intervals"]).astype(int)
    made = None if rule else conn.scalar(select(func.max(s.made_at)))
    return Intervals(found.sort_values("days", ignore_index=True), made)


def _intervals(conn: Connection, viewer: Viewer, rule: str, today: date) -> list[tuple[int, int]]:
    of, who = _among(conn, viewer, rule, today)
    gaps = _gaps(of).where(who).subquery().c
    return _rows(conn, select(gaps.days, func.count()).group_by(gaps.days))


def _rows(conn: Connection, query: Select[int, int]) -> list[tuple[int, int]]:
    return [(row[0], row[1]) for row in conn.execute(query)]


def add_up(conn: Connection, made: repeat_sums.Purchases | None = None) -> None:
    """Make everybody's sums anew, of purchases that were read or else of those that stand; needs a write transaction.

    Some seconds for ten million orders.
    """
    known = known_from(conn.scalar(select(func.data_since())))
    (made or repeat_sums.read(conn, steps=MOST_STEPS)).write(conn, known=known or date.max)


def _kept(
    conn: Connection, known: date | None, start: date, today: date, step: int
) -> tuple[list[tuple[int, bool, int]], int, datetime] | None:
    """Everybody's from the sums: rows, how many are unknown, when they were made; None where they cannot be used."""
    w = schema.wait_sums.c
    whose = w.owner_id == repeat_sums.EVERYBODY
    made = conn.execute(select(w.known_from, w.made_at).where(whose).limit(1)).first()
    if not made or made.known_from != known:
        return None
    since = _number(today)
    waited = case((w.happened, w.days), else_=func.greatest(literal(since) - w.days, 0))
    counted = func.sum(w.customers)
    own = whose & (w.month >= start)
    rows = conn.execute(select(waited, w.happened, counted).where(own, w.step == step).group_by(waited, w.happened))
    found = [(row[0], row[1], int(row[2])) for row in rows]
    return found, int(conn.scalar(select(counted).where(own, w.step == 0)) or 0), made.made_at


def _number(day: date) -> int:
    return (day - EPOCH).days


def _next(days, this):  # type: ignore[no-untyped-def]  # an array's element has no public type
    """The first day after `this`: how many lie up to it is a binary search, and several orders of a day count once."""
    return days[func.width_bucket(this, days) + 1]


def _gaps(of: FromClause, *columns) -> Select:  # type: ignore[no-untyped-def]
    """Each interval: a day less the day before it, where they differ."""
    days = schema.order_days.c.days
    pairs = (
        func.unnest(days[2 : func.cardinality(days)], days)
        .table_valued(column("later", Date), column("earlier", Date))
        .render_derived("pair")
    )
    return (
        select(*columns, (pairs.c.later - pairs.c.earlier).cast(Integer).label("days"))
        .select_from(of.join(pairs, true()))
        .where(pairs.c.later > pairs.c.earlier)
    )


def _among(conn: Connection, viewer: Viewer, rule: str, today: date):  # type: ignore[no-untyped-def]
    """The days of a rule's members, or of everyone, and who of them counts."""
    c, d = schema.customers.c, schema.order_days.c
    if rule:
        members = segments.members(conn, viewer, rule, today).subquery()
        return schema.order_days.join(members, members.c.customer_id == d.customer_id), true()
    return schema.order_days.join(schema.customers, c.id == d.customer_id), and_(c.archived_at.is_(None))


def _waiting(conn: Connection) -> datetime | None:
    found: datetime | None = conn.scalar(select(func.waiting_since()))
    return found
