"""Everybody's waits and intervals between purchases, added up every hour: db/repeats.py has what they are.

PostgreSQL packs the days of orders into bytes, and they are counted here: counting ten million intervals by SQL takes
twice as long, and waits as much again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete

from db import clock, schema
from db.array_bytes import Bigints, Days, cursor_of
from db.held_columns import Numbers

PACKED = 20_000
"""Customers whose days come in one row."""
EVERYBODY = -1
"""The owner under whom waits stand: nobody's number, and in nobody's scope."""

_READ = """
SELECT string_agg(int8send(c.owner_id), ''), string_agg(int4send(cardinality(d.days)), ''),
    string_agg(array_send(d.days), '')
FROM customers AS c
JOIN order_days AS d ON d.customer_id = c.id
WHERE c.archived_at IS NULL AND cardinality(d.days) > 0
GROUP BY c.id / %(packed)s
"""

_WRITE_INTERVALS = """
INSERT INTO interval_sums (owner_id, days, intervals, made_at)
SELECT owner_id, days::integer, n, %(now)s
FROM unnest(%(owners)s::bigint[], %(days)s::bigint[], %(n)s::bigint[]) AS u (owner_id, days, n)
"""

_WRITE_WAITS = """
INSERT INTO wait_sums (owner_id, month, step, happened, days, customers, known_from, made_at)
SELECT %(everybody)s, month, step::smallint, happened <> 0, days::integer, n::integer, %(known)s, %(now)s
FROM unnest(%(months)s::date[], %(steps)s::bigint[], %(happened)s::bigint[], %(days)s::bigint[], %(n)s::bigint[])
    AS u (month, step, happened, days, n)
"""

_EPOCH = np.datetime64("1970-01-01", "D")
_OF_DATES = int((np.datetime64("2000-01-01", "D") - _EPOCH).astype(int))
"""From which PostgreSQL counts days."""
_DAY_BITS = 23
_BEFORE = 1 << 22
"""Days before 1970 that there is room for: more than there are dates."""


def add_up(conn: Connection, *, known: date, steps: int) -> None:
    """Make both anew; some seconds for ten million orders. Needs a write transaction.

    Waits of `steps` steps, of customers whose first purchase lies from the day `known` on.
    """
    now = clock.now()
    intervals, waits = _Counted(), _Counted()
    for owners, n, packed in conn.exec_driver_sql(_READ, {"packed": PACKED}):
        days, starts, ends = _purchases(np.frombuffer(n, ">i4").astype(np.int64), packed)
        _count_intervals(intervals, np.frombuffer(owners, ">i8").astype(np.int64), days, starts, ends)
        _count_waits(waits, days, starts, ends, (known - date(1970, 1, 1)).days, steps)
    conn.execute(delete(schema.interval_sums))
    conn.execute(delete(schema.wait_sums))
    with cursor_of(conn) as cursor:
        _write(cursor, intervals, waits, known, now)


class _Counted:
    """How often each whole number came."""

    def __init__(self) -> None:
        self._keys: Numbers = np.zeros(0, np.int64)
        self._n: Numbers = np.zeros(0, np.int64)

    def add(self, keys: Numbers) -> None:
        """Count these."""
        each, n = np.unique(keys, return_counts=True)
        both = np.concatenate([self._keys, each])
        self._keys, place = np.unique(both, return_inverse=True)
        counts = np.zeros(len(self._keys), np.int64)
        np.add.at(counts, place, np.concatenate([self._n, n]))
        self._n = counts

    def __iter__(self) -> Iterator[Numbers]:
        return iter((self._keys, self._n))


def _purchases(n: Numbers, packed: bytes) -> tuple[Numbers, Numbers, Numbers]:
    """Days from 1970 on, each once for each customer, and where those of a customer start and end."""
    words = np.frombuffer(packed, ">i4")
    # Five words of an array's own, and before each day its length.
    ends = np.cumsum(n)
    starts = ends - n
    of = np.repeat(np.arange(len(n)), n)
    days = words[5 * (of + 1) + 2 * np.arange(len(of)) + 1].astype(np.int64) + _OF_DATES
    new = np.append(True, (days[1:] != days[:-1]) | (of[1:] != of[:-1]))
    ends = np.cumsum(np.bincount(of[new], minlength=len(n)))
    starts = np.append(0, ends[:-1])
    return days[new], starts, ends


def _count_intervals(counted: _Counted, owners: Numbers, days: Numbers, starts: Numbers, ends: Numbers) -> None:
    gaps = np.diff(days)
    of = np.repeat(owners, ends - starts)[1:]
    within = np.ones(len(gaps), np.bool_)
    within[starts[1:] - 1] = False
    counted.add(of[within] << _DAY_BITS | gaps[within])


def _count_waits(counted: _Counted, days: Numbers, starts: Numbers, ends: Numbers, known: int, steps: int) -> None:
    first = days[starts]
    months = first.astype("M8[D]").astype("M8[M]").astype(np.int64) + _BEFORE
    late = first >= known
    counted.add(_wait_keys(months[~late], 0, np.zeros((~late).sum(), np.int64), 0))
    for step in range(1, steps + 1):
        has = late & (ends - starts >= step)
        at, until = starts[has] + step - 1, ends[has]
        more = at + 1 < until
        counted.add(_wait_keys(months[has][more], step, days[at[more] + 1] - days[at[more]], 1))
        counted.add(_wait_keys(months[has][~more], step, days[at[~more]] + _BEFORE, 0))


def _wait_keys(months: Numbers, step: int, days: Numbers, happened: int) -> Numbers:
    return ((months << 4 | step) << 1 | happened) << _DAY_BITS | days


def _write(cursor: Any, intervals: _Counted, waits: _Counted, known: date, now: datetime) -> None:
    keys, n = intervals
    if len(keys):
        of_day = keys & (1 << _DAY_BITS) - 1
        given = {"owners": Bigints(keys >> _DAY_BITS), "days": Bigints(of_day), "n": Bigints(n), "now": now}
        cursor.execute(_WRITE_INTERVALS, given)
    keys, n = waits
    if len(keys):
        days, happened, step = keys & (1 << _DAY_BITS) - 1, keys >> _DAY_BITS & 1, keys >> _DAY_BITS + 1 & 15
        months = (keys >> _DAY_BITS + 5) - _BEFORE
        given = {
            "months": Days(months.astype("M8[M]").astype("M8[D]").astype(np.int64) - _OF_DATES),
            "steps": Bigints(step),
            "happened": Bigints(happened),
            "days": Bigints(np.where((happened == 1) | (step == 0), days, days - _BEFORE)),
            "n": Bigints(n),
        }
        cursor.execute(_WRITE_WAITS, given | {"everybody": EVERYBODY, "known": known, "now": now})
