"""In which class each customer was at the last month ends, and is now: kept beside the bounds that the scores are by.

A class of a past day is of the orders up to that day, and its scores are by the bounds over everybody's orders up to
that day; the last day is the present one, with the figures and bounds that fields and segments have. Stages are by the
rules in force, on every day, and so are scores whose bounds are fixed; where stages go by the customers' own intervals,
these are those of now. PostgreSQL packs what is read into bytes, and the bounds of all days and the classes are
told here, a day at a time: sorting everybody's figures by SQL takes a minute for a million customers, this some
seconds. db/derived.py calls these within its own lock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db import clock, definitions, held_stages, rfm, schema, scores
from db.arrays import Numbers
from db.class_rows import KINDS, PACKED, last_bytes, standing_bytes, write
from db.definitions import InForceNow
from db.explorer import month_before
from db.fields import DECILES, EPOCH, between, company_day
from db.held_pairs import NEVER
from db.lifecycle import StageRules
from db.rebuild_arrays import arrays

MONTH_ENDS = 12
MEASURES = ("recency", "frequency", "monetary", "value")
STAGES = tuple(str(stage) for stage in held_stages.STAGES)
CLASSES, VALUE_CLASSES = tuple(rfm.CLASSES), tuple(rfm.VALUE_CLASSES)
STATES = {"stages": STAGES, "rfm_classes": CLASSES, "rfm_values": VALUE_CLASSES, "deciles": DECILES}
"""Kind → what its bytes stand for, from 1."""

Bounds = dict[str, Numbers]
_BY_SCORES = np.array([CLASSES.index(name) + 1 for name in rfm.BY_SCORES], np.uint8)
_VALUE_BY_SCORES = np.array([VALUE_CLASSES.index(name) + 1 for name in rfm.VALUE_BY_SCORES], np.uint8)


def kept_days(today: date) -> tuple[date, ...]:
    """The month ends before a day, MONTH_ENDS of them, and the day itself."""
    return (*(month_before(today, n) - timedelta(days=1) for n in reversed(range(MONTH_ENDS))), today)


def rebuild(conn: Connection, today: date) -> None:
    """Take all bounds and tell all classes anew; about ten seconds for a million customers."""
    make(conn, today, _figures(conn, kept_days(today), definitions.in_force_now(conn).stages))


def make(conn: Connection, today: date, figures: Figures) -> None:
    """Take all bounds and tell all classes, of figures on the days that are kept."""
    days, rules = kept_days(today), definitions.in_force_now(conn)
    fixed = rules.scores.bounds()
    bounds = [_taken(figures, k) | _fixed(fixed, day) for k, day in enumerate(days[:-1])]
    bounds.append(_present(conn, today))
    conn.execute(delete(schema.class_days))
    _keep_days(conn, days, bounds, rules)
    told = _told(figures, bounds)
    standing, before = standing_bytes(conn, len(days))
    at = np.minimum(np.searchsorted(standing, figures.ids), max(len(standing) - 1, 0))
    same = np.zeros(len(figures.ids), np.bool_)
    if len(standing):
        same = (standing[at] == figures.ids) & (before[:, at] == told).all(axis=(0, 2))
    gone = np.setdiff1d(standing, figures.ids, assume_unique=True)
    if len(gone):
        c = schema.customer_classes.c.customer_id
        conn.execute(delete(schema.customer_classes).where(c == func.any(literal(gone.tolist(), _IDS))))
    write(conn, figures.ids[~same], told[:, ~same])


def outdated(conn: Connection) -> bool:
    """Whether other rules of the stages or the scores are in force than those that the classes were told by."""
    d = schema.class_days.c
    numbers = conn.scalars(select(d.rules).distinct()).all()
    return bool(numbers) and numbers != [definitions.in_force_now(conn).numbers]


def bring_up(conn: Connection, today: date) -> int:
    """Tell the present classes anew, by the present bounds, or all of them when a month has ended or the rules have
    changed; gives who changed.

    For every hour: the passing of days and of the bounds changes classes of customers who did nothing.
    """
    rules = definitions.in_force_now(conn)
    days, bounds = _kept(conn)
    if days[:-1] != kept_days(today)[:-1] or outdated(conn):
        rebuild(conn, today)
        return conn.scalar(select(func.count()).select_from(schema.customer_classes)) or 0
    bounds[-1] = _present(conn, today)
    conn.execute(delete(schema.class_days).where(schema.class_days.c.day == days[-1]))
    _keep_days(conn, [today], bounds[-1:], rules)
    figures = _figures(conn, (today,), rules.stages)
    told = _told(figures, bounds[-1:])[:, :, 0]
    ids, before = last_bytes(conn, len(days) - 1)
    at = np.searchsorted(ids, figures.ids)
    same = np.zeros(len(figures.ids), np.bool_)
    if len(ids):
        at = np.minimum(at, len(ids) - 1)
        same = (ids[at] == figures.ids) & (before[:, at] == told).all(axis=0)
    changed = figures.ids[~same]
    for start in range(0, len(changed), PACKED):
        refresh(conn, changed[start : start + PACKED].tolist())
    return len(changed)


def refresh(conn: Connection, customer_ids: Sequence[int]) -> None:
    """Tell the classes of these customers anew, on all days that are kept; bounds stay."""
    days, bounds = _kept(conn)
    if not days or not customer_ids:
        return
    figures = _figures(conn, days, definitions.in_force_now(conn).stages, among=customer_ids)
    gone = sorted(set(customer_ids) - set(figures.ids.tolist()))
    if gone:
        c = schema.customer_classes.c.customer_id
        conn.execute(delete(schema.customer_classes).where(c == func.any(literal(gone, _IDS))))
    write(conn, figures.ids, _told(figures, bounds))


def check(conn: Connection, *, one_in: int, turn: int) -> list[int]:
    """One customer in `one_in` whose classes are wrong; those that wait in the queue are left out."""
    days, bounds = _kept(conn)
    if not days:
        return []
    k, t = schema.customer_classes.c, schema.touched_customers.c
    figures = _figures(conn, days, definitions.in_force_now(conn).stages, one_in=(one_in, turn))
    told = _told(figures, bounds)
    expected = {
        int(i): tuple(told[kind, row].tobytes() for kind in range(len(KINDS))) for row, i in enumerate(figures.ids)
    }
    rows = conn.execute(select(*k).where(k.customer_id % one_in == turn))
    kept = {row.customer_id: tuple(bytes(row[1 + kind]) for kind in range(len(KINDS))) for row in rows}
    wrong = {i for i in expected.keys() | kept.keys() if expected.get(i) != kept.get(i)}
    return sorted(wrong - {*conn.scalars(select(t.customer_id))}) if wrong else []


# --- what the days' classes are of -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """Of each customer who is not archived, on each day: arrays with a row for each day, customers in order."""

    ids: Numbers
    stages: Numbers
    last: Numbers
    orders: Numbers
    cents: Numbers

    def of(self, measure: str, k: int) -> Numbers:
        """What a score of the day at `k` is of; money in hundredths."""
        named = {"recency": self.last, "frequency": self.orders}
        found: Numbers = named.get(measure, self.cents)[k]
        return found


_IDS = schema.moved_customers.c.customer_ids.type


def _figures(
    conn: Connection,
    days: Sequence[date],
    rules: StageRules,
    *,
    among: Sequence[int] | None = None,
    one_in: tuple[int, int] | None = None,
) -> Figures:
    """The last of `days` is the present one, which all orders count for; for the others, those up to it."""
    c = schema.customers.c
    who: ColumnElement[bool] = c.archived_at.is_(None)
    if among is not None:
        who &= c.id == func.any(literal(list(among), _IDS))
    if one_in:
        who &= c.id % one_in[0] == one_in[1]
    parts = [_part(row, days, rules) for row in conn.execute(_packed(who))]
    if not parts:
        none = np.zeros((len(days), 0), np.int64)
        return Figures(none[0], none, none, none, none)
    ids, now = (np.concatenate([part[i] for part in parts]) for i in range(2))
    stages, last, orders = (np.concatenate([part[i] for part in parts], axis=1) for i in range(2, 5))
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    cents = np.zeros((len(days), len(ids)), np.int64)
    for of, months, amounts in conn.execute(_later(days[0], who)) if len(days) > 1 else ():
        owners = np.frombuffer(of, ">i8")
        rows = np.minimum(np.searchsorted(ids, owners), len(ids) - 1)
        known = ids[rows] == owners  # who was put back on the list since is told by the queue
        place = np.searchsorted([number(day) for day in days[:-1]], np.frombuffer(months, ">i4"), "left") - 1
        np.subtract.at(cents, (place[known], rows[known]), np.frombuffer(amounts, ">i8").astype(np.int64)[known])
    # What came in the month after a day, and in those after it, is not yet there on it.
    cents = np.cumsum(cents[::-1], axis=0)[::-1] + now[order]
    return Figures(ids, stages[:, order], last[:, order], orders[:, order], cents)


def _packed(who: ColumnElement[bool]) -> Select[Any]:
    """Rows of customers' ids, days they were entered on, hundredths of revenue, usual intervals, numbers of orders and
    their days."""
    c, m, d = schema.customers.c, schema.customer_metrics.c, schema.order_days.c
    joined = schema.customers.outerjoin(schema.customer_metrics, m.customer_id == c.id).outerjoin(
        schema.order_days, d.customer_id == c.id
    )
    values = (
        func.int8send(c.id),
        func.int4send(cast(company_day(c.created_at) - literal(EPOCH, Date), Integer)),
        func.int8send(cast(func.coalesce(m.revenue, 0) * 100, BigInteger)),
        func.int4send(func.coalesce(m.usual_days, 0)),
        func.int4send(func.coalesce(func.cardinality(d.days), 0)),
        func.array_send(func.coalesce(d.days, cast([], ARRAY(Date)))),
    )
    packed = (_string(value) for value in values)
    return select(*packed).select_from(joined).where(who).group_by(c.id // literal(PACKED, BigInteger))


def _part(row: Any, days: Sequence[date], rules: StageRules) -> tuple[Numbers, ...]:
    """Of one row of `_packed`: ids and revenue now; stages, last days and numbers of orders, a row for each day."""
    kinds = (">i8", ">i4", ">i8", ">i4", ">i4")
    ids, created, cents, usual, n = (np.frombuffer(row[i], kind) for i, kind in enumerate(kinds))
    n = n.astype(np.int64)
    ends = np.cumsum(n)
    starts = ends - n
    flat = np.append(arrays(n, row[5], ">i4") + number(OF_DATES), NEVER)
    stages, lasts, orders = on_days(starts, ends, flat, created, usual, days, rules)
    return ids.astype(np.int64), cents.astype(np.int64), stages, lasts, orders


def on_days(
    starts: Numbers,
    ends: Numbers,
    flat: Numbers,
    created: Numbers,
    usual: Numbers,
    days: Sequence[date],
    rules: StageRules,
) -> tuple[Numbers, Numbers, Numbers]:
    """Stages, last days and numbers of orders, a row for each day; `flat` are the days of orders, and NEVER."""
    stages, lasts, orders = [], [], []
    # Each order counts from the first day on that it does not lie after; on the last day all count.
    since = np.searchsorted([number(day) for day in days[:-1]], flat[:-1])
    each = np.repeat(np.arange(len(starts)), ends - starts) * len(days) + since
    counted = np.bincount(each, minlength=len(starts) * len(days)).reshape(-1, len(days))
    for day, had in zip(days, np.ascontiguousarray(np.cumsum(counted, axis=1).T), strict=True):
        last = np.where(had > 0, flat[np.where(had > 0, starts + had - 1, -1)], NEVER)
        stage = held_stages.stages(number(day), last=last, orders=had, usual=usual, rules=rules) + np.uint8(1)
        stages.append(np.where((had == 0) & (created > number(day)), np.uint8(0), stage))
        lasts.append(last.astype(np.int32))
        orders.append(had.astype(np.int32))
    return np.stack(stages), np.stack(lasts), np.stack(orders)


OF_DATES = date(2000, 1, 1)
"""From which PostgreSQL counts days."""


def number(day: date) -> int:
    """Days from 1970 on."""
    return (day - EPOCH).days


def _string(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.string_agg(value, literal(b"", LargeBinary))


def _later(first: date, who: ColumnElement[bool]) -> Select[Any]:
    """Rows of ids, months by their first day and hundredths of revenue, of the months after the first day."""
    c, m = schema.customers.c, schema.customer_months.c
    each = func.unnest(m.months, m.revenue).table_valued(column("month", Date), column("revenue", Numeric))
    u = each.render_derived("each").c
    return (
        select(
            _string(func.int8send(m.customer_id)),
            _string(func.int4send(cast(u.month - literal(EPOCH, Date), Integer))),
            _string(func.int8send(cast(u.revenue * 100, BigInteger))),
        )
        .select_from(schema.customer_months.join(schema.customers, c.id == m.customer_id).join(u.month.table, true()))
        .where(who, u.month > first)
        .group_by(m.customer_id // literal(PACKED, BigInteger))
    )


# --- bounds, scores, classes -----------------------------------------------------------------------------------------


def _taken(figures: Figures, k: int) -> Bounds:
    """The bounds of one day, as db/scores.py takes those of the present: values at shares of those with orders."""
    buyers = figures.orders[k] > 0
    found = {}
    for measure in MEASURES:
        values = figures.of(measure, k)[buyers]
        shares = scores.TENTHS if measure == "value" else scores.SHARES
        places = [max(math.ceil(share * len(values)), 1) - 1 for share in shares]
        found[measure] = np.partition(values, places)[places].astype(np.int64) if len(values) else values[:0]
    return found


def _told(figures: Figures, bounds: Sequence[Bounds]) -> Numbers:
    """The bytes of each kind, customer and day."""
    told = np.zeros((len(KINDS), len(figures.ids), len(bounds)), np.uint8)
    for k, steps in enumerate(bounds):
        told[0, :, k] = figures.stages[k]
        if not all(len(steps[measure]) for measure in MEASURES):
            continue
        r, f, m, decile = (
            np.searchsorted(steps[measure], figures.of(measure, k), "left").astype(np.int16) for measure in MEASURES
        )
        place = r * 25 + f * 5 + m
        buyers = figures.orders[k] > 0
        told[1, :, k] = np.where(buyers, _BY_SCORES[place], 0)
        told[2, :, k] = np.where(buyers, _VALUE_BY_SCORES[place], 0)
        told[3, :, k] = np.where(buyers, decile + 1, 0)
    return told


def _fixed(fixed: Mapping[str, Any], day: date) -> Bounds:
    """The bounds that an administrator fixed, as they are on a day."""
    found = {measure: between(measure, day, fixed) for measure in MEASURES}
    return _exact({measure: bounds for measure, bounds in found.items() if bounds})


def _present(conn: Connection, today: date) -> Bounds:
    present, _made = scores.bounds(conn)
    return _exact({measure: between(measure, today, present) or () for measure in MEASURES})


def _exact(bounds: Any) -> Bounds:
    """Bounds as they are kept, as whole numbers: money in hundredths."""
    scale = {"monetary": 100, "value": 100}
    return {
        name: np.array([int(Decimal(str(bound)) * scale.get(name, 1)) for bound in bounds[name]], np.int64)
        for name in MEASURES
        if name in bounds
    }


def _kept(conn: Connection) -> tuple[tuple[date, ...], list[Bounds]]:
    rows = conn.execute(select(schema.class_days).order_by(schema.class_days.c.day)).mappings().all()
    return tuple(row["day"] for row in rows), [_exact(row) for row in rows]


def _keep_days(conn: Connection, days: Sequence[date], bounds: Sequence[Bounds], rules: InForceNow) -> None:
    scale = {"monetary": 100, "value": 100}
    rows = [
        {"day": day, "made_at": clock.now(), "rules": rules.numbers}
        | {name: [Decimal(int(b)) / scale.get(name, 1) for b in found[name]] for name in MEASURES}
        for day, found in zip(days, bounds, strict=True)
    ]
    conn.execute(insert(schema.class_days), rows)
