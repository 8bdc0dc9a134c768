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
from db.arrays import Numbers
from db.rebuild_arrays import arrays

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


class Purchases:
    """Takes the days of purchases, each once for each customer, and keeps what the sums are of.

    Waits are told at last, when it is known from which day on a first purchase is one.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._intervals = _Counted()
        self._n: list[Numbers] = []
        self._first: list[Numbers] = []

    def take(self, owners: Numbers, days: Numbers, starts: Numbers, ends: Numbers) -> None:
        """Of customers with purchases: days from 1970 on, in order, and where those of each start and end."""
        _count_intervals(self._intervals, owners, days, starts, ends)
        n = np.minimum(ends - starts, self._steps + 1)
        places = np.minimum(starts + np.arange(self._steps + 1)[:, np.newaxis], np.maximum(len(days) - 1, 0))
        self._n.append(n.astype(np.int8))
        self._first.append(days[places].astype(np.int32))

    def write(self, conn: Connection, *, known: date) -> None:
        """Write the intervals, and the waits of customers whose first purchase lies from the day `known` on."""
        waits = _Counted()
        for n, first in zip(self._n, self._first, strict=True):
            _count_waits(waits, first.astype(np.int64), n, (known - date(1970, 1, 1)).days)
        conn.execute(delete(schema.interval_sums))
        conn.execute(delete(schema.wait_sums))
        with cursor_of(conn) as cursor:
            _write(cursor, self._intervals, waits, known, clock.now())


def read(conn: Connection, *, steps: int) -> Purchases:
    """What the sums are of, from the days of orders; some seconds for ten million orders."""
    found = Purchases(steps)
    for owners, n, packed in conn.exec_driver_sql(_READ, {"packed": PACKED}):
        of = np.frombuffer(n, ">i4").astype(np.int64)
        found.take(np.frombuffer(owners, ">i8").astype(np.int64), *distinct(arrays(of, packed, ">i4"), of))
    return found


def distinct(days: Numbers, n: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Days from 1970 on, each once for each customer, and where those of a customer start and end.

    `days` are from 2000 on, `n` of each customer.
    """
    of = np.repeat(np.arange(len(n)), n)
    new = np.append(True, (days[1:] != days[:-1]) | (of[1:] != of[:-1]))[: len(days)]
    ends = np.cumsum(np.bincount(of[new], minlength=len(n)))
    return days[new] + _OF_DATES, np.append(0, ends[:-1])[: len(n)], ends


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


def _count_intervals(counted: _Counted, owners: Numbers, days: Numbers, starts: Numbers, ends: Numbers) -> None:
    gaps = np.diff(days)
    of = np.repeat(owners, ends - starts)[1:]
    within = np.ones(len(gaps), np.bool_)
    within[starts[1:] - 1] = False
    counted.add(of[within] << _DAY_BITS | gaps[within])


def _count_waits(counted: _Counted, days: Numbers, n: Numbers, known: int) -> None:
    """`days` are a row for each purchase, of customers who have `n` of them."""
    months = days[0].astype("M8[D]").astype("M8[M]").astype(np.int64) + _BEFORE
    late = days[0] >= known
    counted.add(_wait_keys(months[~late], 0, np.zeros((~late).sum(), np.int64), 0))
    for step in range(1, len(days)):
        more, last = late & (n > step), late & (n == step)
        counted.add(_wait_keys(months[more], step, (days[step] - days[step - 1])[more], 1))
        counted.add(_wait_keys(months[last], step, days[step - 1][last] + _BEFORE, 0))


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
