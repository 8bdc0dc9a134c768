"""customer_metrics, order_days and daily_sales made anew, a piece of customers at a time: db/derived.py has the rules.

Told here as the statements of db/derived_statements.py tell it, and written only where it differs from what stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
from psycopg import sql

from db.array_bytes import Bigints, Days
from db.arrays import Numbers
from db.derived_statements import UPSERT_DAYS, UPSERT_METRICS
from db.rebuild_arrays import Lists, added, arrays, compared, firsts, numbers, placed, summed
from db.rebuild_pieces import BEFORE, DAY_BITS, Behind, Names, Orders, Piece

MOST_KEYS = 2_000_000
"""Sums of days that are kept before equal ones are added up, so that memory stays bounded."""
_DAY = (1 << DAY_BITS) - 1
_OF_DATES = np.datetime64("2000-01-01", "D")

_METRICS = sql.SQL("""
INSERT INTO customer_metrics (customer_id, first_order_on, last_order_on, orders, revenue, other_currency_orders,
    orders_digest, rolled_owner_id, rolled_region, rolled_archived, usual_days, refreshed_at)
SELECT u.id, nullif(u.first, '-infinity'), nullif(u.last, '-infinity'), u.orders, u.cents * 0.01, u.other, u.digest,
    u.owner_id, r.name, u.archived <> 0, nullif(u.usual, 0), %(now)s
FROM unnest(%(ids)s::bigint[], %(first)s::date[], %(last)s::date[], %(orders)s::bigint[], %(cents)s::bigint[],
    %(other)s::bigint[], %(digest)s::bigint[], %(owners)s::bigint[], %(archived)s::bigint[], %(usual)s::bigint[],
    %(regions)s::bigint[])
    AS u (id, first, last, orders, cents, other, digest, owner_id, archived, usual, region)
JOIN unnest(%(names)s::text[]) WITH ORDINALITY AS r (name, place) ON r.place = u.region + 1
{upsert}
""")

_STANDING = """
SELECT customer_id >> %(bits)s AS piece, array_agg(rolled_region), string_agg(int8send(customer_id), ''),
    string_agg(date_send(coalesce(first_order_on, '-infinity')), ''),
    string_agg(date_send(coalesce(last_order_on, '-infinity')), ''), string_agg(int4send(orders), ''),
    string_agg(int8send((revenue * 100)::bigint), ''), string_agg(int4send(other_currency_orders), ''),
    string_agg(int8send(orders_digest), ''), string_agg(int8send(rolled_owner_id), ''),
    string_agg(int4send(rolled_archived::integer), ''), string_agg(int4send(coalesce(usual_days, 0)), '')
FROM customer_metrics WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_KINDS = (">i8", ">i4", ">i4", ">i4", ">i8", ">i4", ">i8", ">i8", ">i4", ">i4")
_GONE = "DELETE FROM customer_metrics WHERE customer_id = ANY(%(ids)s::bigint[])"

# An array's slice of each customer: from the end of the one before to the own.
_ORDER_DAYS = """
INSERT INTO order_days (customer_id, days, usual_days)
SELECT u.id, (%(days)s::date[])[u.start:u.stop], nullif(u.usual, 0)
FROM unnest(%(ids)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[], %(usual)s::bigint[])
    AS u (id, start, stop, usual)
ON CONFLICT (customer_id) DO UPDATE SET days = excluded.days, usual_days = excluded.usual_days
"""
_DAYS_STANDING = """
SELECT customer_id >> %(bits)s AS piece, string_agg(int8send(customer_id), ''),
    string_agg(int4send(coalesce(usual_days, 0)), ''), string_agg(int4send(cardinality(days)), ''),
    string_agg(array_send(days), '')
FROM order_days WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_DAYS_GONE = "DELETE FROM order_days WHERE customer_id = ANY(%(ids)s::bigint[])"

_DAILY = sql.SQL("""
INSERT INTO daily_sales (day, owner_id, region, currency, orders, revenue, new_customers, first_of_day, first_of_week,
    first_of_month)
SELECT u.day, u.owner_id, r.name, c.name, u.orders, u.cents * 0.01, u.new, u.of_day, u.of_week, u.of_month
FROM unnest(%(days)s::date[], %(owners)s::bigint[], %(regions)s::bigint[], %(currencies)s::bigint[],
    %(orders)s::bigint[], %(cents)s::bigint[], %(new)s::bigint[], %(of_day)s::bigint[], %(of_week)s::bigint[],
    %(of_month)s::bigint[])
    AS u (day, owner_id, region, currency, orders, cents, new, of_day, of_week, of_month)
JOIN unnest(%(region_names)s::text[]) WITH ORDINALITY AS r (name, place) ON r.place = u.region + 1
JOIN unnest(%(currency_names)s::text[]) WITH ORDINALITY AS c (name, place) ON c.place = u.currency + 1
{upsert}
""")

_DAILY_GONE = """
DELETE FROM daily_sales AS d
USING unnest(%(days)s::date[], %(owners)s::bigint[], %(regions)s::bigint[], %(currencies)s::bigint[])
    AS u (day, owner_id, region, currency)
JOIN unnest(%(region_names)s::text[]) WITH ORDINALITY AS r (name, place) ON r.place = u.region + 1
JOIN unnest(%(currency_names)s::text[]) WITH ORDINALITY AS c (name, place) ON c.place = u.currency + 1
WHERE (d.day, d.owner_id, d.region, d.currency) = (u.day, u.owner_id, r.name, c.name)
"""
_DAILY_STANDING = """
SELECT owner_id, region, currency, string_agg(date_send(day), ''), string_agg(int8send(orders), ''),
    string_agg(int8send((revenue * 100)::bigint), ''), string_agg(int8send(new_customers), ''),
    string_agg(int8send(first_of_day), ''), string_agg(int8send(first_of_week), ''),
    string_agg(int8send(first_of_month), '')
FROM daily_sales GROUP BY 1, 2, 3
"""

_GIVEN: tuple[tuple[str, type[Bigints]], ...] = (
    ("first", Days),
    ("last", Days),
    *((name, Bigints) for name in ("orders", "cents", "other", "digest", "owners", "archived", "usual")),
)
_NO_DAY = np.iinfo(np.int32).min
"""The day before all others, as PostgreSQL sends it."""


class Metrics:
    """Takes the pieces, and at the end writes the sums of days."""

    stands: Mapping[str, LiteralString] = {"customer_metrics": _STANDING, "order_days": _DAYS_STANDING}

    def __init__(self, names: Names, *, now: datetime) -> None:
        self.customers = 0
        self.days = 0
        self._names, self._now = names, now
        self._keys: dict[tuple[int, int, int], int] = {}
        self._sums: list[Numbers] = []
        self._metrics, self._daily = (
            statement.format(upsert=upsert).as_string()
            for statement, upsert in ((_METRICS, UPSERT_METRICS), (_DAILY, UPSERT_DAYS))
        )

    def take(self, cursor: Behind, piece: Piece) -> None:
        """Write what is of one customer each."""
        orders = piece.orders
        ends = piece.ends(orders.row)
        starts = np.append(0, ends[:-1])[: len(ends)]
        n = ends - starts
        some = n > 0
        own = orders.currency == 0
        first = starts[some]
        cents, other, digest = np.zeros((3, len(n)), np.int64)
        first_day, last_day = np.full((2, len(n)), _NO_DAY)
        cents[some] = summed(np.where(own, orders.cents, 0), first)
        other[some] = summed((~own).astype(np.int64), first)
        digest[some] = np.bitwise_xor.reduceat(orders.digest, first) if len(first) else 0
        first_day[some], last_day[some] = orders.day[first], orders.day[ends[some] - 1]
        values = (first_day, last_day, n, cents, other, digest, piece.owners, piece.archived, piece.usual_days)
        self._write(cursor, piece, values)
        _write_days(cursor, piece, Lists(n, [orders.day]))
        self.customers += len(n)
        self._count(piece, orders)

    def _write(self, cursor: Behind, piece: Piece, values: Sequence[Numbers]) -> None:
        """Write the rows that differ from those that stand."""
        regions, *packed = piece.standing["customer_metrics"] or ([], *([b""] * len(_KINDS)))
        ids, *stored = (numbers(each, kind) for each, kind in zip(packed, _KINDS, strict=True))
        codes = self._names.places(regions)
        differing, vain = compared(piece.ids, (piece.regions, *values), ids, (codes, *stored))
        if differing.any():
            of = {name: kind(each[differing]) for (name, kind), each in zip(_GIVEN, values, strict=True)}
            own = {"ids": Bigints(piece.ids[differing]), "regions": Bigints(piece.regions[differing])}
            cursor.execute(self._metrics, of | own | {"names": list(self._names.regions), "now": self._now})
        if len(vain):
            cursor.execute(_GONE, {"ids": Bigints(vain)})

    def _count(self, piece: Piece, orders: Orders) -> None:
        """Keep what the piece adds to the sums of days."""
        if not len(orders.row):
            return
        new = np.append(True, orders.row[1:] != orders.row[:-1])
        of_day = np.append(True, orders.key[1:] != orders.key[:-1])
        # The first day of 2000 was a Saturday, and weeks start on Mondays.
        week, month = (orders.day + 5) // 7, (_OF_DATES + orders.day).astype("M8[M]").astype(np.int64)
        of_week = new | np.append(True, week[1:] != week[:-1])
        of_month = new | np.append(True, month[1:] != month[:-1])
        owners, owner = np.unique(piece.owners, return_inverse=True)
        regions, currencies = len(self._names.regions), len(self._names.currencies)
        local = (owner * regions + piece.regions)[orders.row] * currencies + orders.currency
        key = local << DAY_BITS | orders.day + BEFORE
        order = placed(key)
        key = key[order]
        first = firsts(key)
        kept = key[first]
        where = firsts(kept >> DAY_BITS)
        which, currency = np.divmod(kept[where] >> DAY_BITS, currencies)
        named = (owners[which // regions].tolist(), (which % regions).tolist(), currency.tolist())
        codes = [self._keys.setdefault(each, len(self._keys)) for each in zip(*named, strict=True)]
        of = np.repeat(np.array(codes, np.int64), np.diff(np.append(where, len(kept))))
        # Two numbers as one, each of them smaller than four milliards.
        flags = (new + (of_day.astype(np.int64) << 32), of_week + (of_month.astype(np.int64) << 32))
        cents, *two = (summed(each[order], first) for each in (orders.cents, *flags))
        counts = (part for each in two for part in (each & 0xFFFFFFFF, each >> 32))
        sums = (np.diff(np.append(first, len(key))), cents, *counts)
        self._sums.append(np.stack([of << DAY_BITS | kept & _DAY, *sums]))
        if sum(each.shape[1] for each in self._sums) > MOST_KEYS:
            self._sums = [added(self._sums)]

    def end(self, cursor: Any) -> None:
        """Write the sums."""
        key, *values = added(self._sums) if self._sums else np.zeros((7, 0), np.int64)
        standing, stored = self._standing_days(cursor)
        differing, vain = compared(key, values, standing, stored)
        named = ("orders", "cents", "new", "of_day", "of_week", "of_month")
        if differing.any():
            sums = {name: Bigints(each[differing]) for name, each in zip(named, values, strict=True)}
            cursor.execute(self._daily, self._keys_of(key[differing]) | sums)
        if len(vain):
            cursor.execute(_DAILY_GONE, self._keys_of(vain))
        self.days = len(key)

    def _standing_days(self, cursor: Any) -> tuple[Numbers, list[Numbers]]:
        """The keys that stand, and their sums."""
        found = [np.zeros((7, 0), np.int64)]
        regions, currencies = self._names.regions, self._names.currencies
        for owner, region, currency, *packed in cursor.execute(_DAILY_STANDING, binary=True):
            places = (regions.setdefault(region, len(regions)), currencies.setdefault(currency, len(currencies)))
            code = self._keys.setdefault((owner, *places), len(self._keys))
            days, *sums = (numbers(each, ">i8" if i else ">i4") for i, each in enumerate(packed))
            found.append(np.stack([code << DAY_BITS | days + BEFORE, *sums]))
        standing, *stored = np.concatenate(found, axis=1)
        return standing, stored

    def _keys_of(self, key: Numbers) -> dict[str, Any]:
        owners, regions, currencies = np.array(list(self._keys), np.int64).reshape(-1, 3)[key >> DAY_BITS].T
        return {
            "days": Days((key & _DAY) - BEFORE),
            "owners": Bigints(owners),
            "regions": Bigints(regions),
            "currencies": Bigints(currencies),
            "region_names": list(self._names.regions),
            "currency_names": list(self._names.currencies),
        }


def _write_days(cursor: Behind, piece: Piece, days: Lists) -> None:
    """Write the days of customers whose days differ from those that stand."""
    packed = piece.standing["order_days"] or (b"", b"", b"", b"")
    ids, usual, n = (numbers(packed[i], kind) for i, kind in enumerate((">i8", ">i4", ">i4")))
    stored = Lists(n, [arrays(n, packed[3], ">i4")])
    differing, vain = compared(piece.ids, [piece.usual_days], ids, [usual], days, stored)
    if differing.any():
        of = days.of(differing)
        own = {"ids": Bigints(piece.ids[differing]), "usual": Bigints(piece.usual_days[differing])}
        cursor.execute(_ORDER_DAYS, own | of.slices() | {"days": Days(of.columns[0])})
    if len(vain):
        cursor.execute(_DAYS_GONE, {"ids": Bigints(vain)})
