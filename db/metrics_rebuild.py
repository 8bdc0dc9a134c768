"""customer_metrics, order_days and daily_sales made anew, a piece of customers at a time: db/derived.py has the rules.

Told here as the statements of db/derived_statements.py tell it, and written only where it differs from what stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from db.array_bytes import Bigints, Days
from db.held_columns import Numbers
from db.rebuild_pieces import BEFORE, DAY_BITS, Names, Orders, Piece, compared, firsts, numbers, summed

MOST_KEYS = 2_000_000
"""Sums of days that are kept before equal ones are added up, so that memory stays bounded."""
_DAY = (1 << DAY_BITS) - 1
_CURRENCY_BITS = 16
_OF_DATES = np.datetime64("2000-01-01", "D")

_METRICS = """
INSERT INTO customer_metrics (customer_id, first_order_on, last_order_on, orders, revenue, other_currency_orders,
    orders_digest, rolled_owner_id, rolled_region, rolled_archived, usual_days, refreshed_at)
SELECT n.id, n.first, n.last, n.orders, n.revenue, n.other, n.digest, n.owner_id, n.region, n.archived, n.usual, %(now)s
FROM (
    SELECT u.id, nullif(u.first, '-infinity') AS first, nullif(u.last, '-infinity') AS last,
        u.orders::integer AS orders, u.cents * 0.01 AS revenue, u.other::integer AS other, u.digest, u.owner_id,
        r.name AS region, u.archived <> 0 AS archived, nullif(u.usual, 0)::integer AS usual
    FROM unnest(%(ids)s::bigint[], %(first)s::date[], %(last)s::date[], %(orders)s::bigint[], %(cents)s::bigint[],
        %(other)s::bigint[], %(digest)s::bigint[], %(owners)s::bigint[], %(regions)s::bigint[], %(archived)s::bigint[],
        %(usual)s::bigint[]) AS u (id, first, last, orders, cents, other, digest, owner_id, region, archived, usual)
    JOIN unnest(%(names)s::text[]) WITH ORDINALITY AS r (name, place) ON r.place = u.region + 1
) AS n
ON CONFLICT (customer_id) DO UPDATE SET
    first_order_on = excluded.first_order_on,
    last_order_on = excluded.last_order_on,
    orders = excluded.orders,
    revenue = excluded.revenue,
    other_currency_orders = excluded.other_currency_orders,
    orders_digest = excluded.orders_digest,
    rolled_owner_id = excluded.rolled_owner_id,
    rolled_region = excluded.rolled_region,
    rolled_archived = excluded.rolled_archived,
    usual_days = excluded.usual_days,
    refreshed_at = excluded.refreshed_at
"""

_STANDING = """
SELECT piece, array_agg(rolled_region), string_agg(int8send(customer_id), ''),
    string_agg(date_send(coalesce(first_order_on, '-infinity')), ''),
    string_agg(date_send(coalesce(last_order_on, '-infinity')), ''), string_agg(int4send(orders), ''),
    string_agg(int8send((revenue * 100)::bigint), ''), string_agg(int4send(other_currency_orders), ''),
    string_agg(int8send(orders_digest), ''), string_agg(int8send(rolled_owner_id), ''),
    string_agg(int4send(rolled_archived::integer), ''), string_agg(int4send(coalesce(usual_days, 0)), '')
FROM customer_metrics JOIN unnest(%(pieces)s::bigint[]) AS piece ON piece = customer_id >> %(bits)s
WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_KINDS = (">i8", ">i4", ">i4", ">i4", ">i8", ">i4", ">i8", ">i8", ">i4", ">i4")

# An array's slice of each customer: from the end of the one before to the own.
_ORDER_DAYS = """
INSERT INTO order_days (customer_id, days, usual_days)
SELECT n.id, n.days, n.usual
FROM (
    SELECT u.id, (%(days)s::date[])[u.start:u.stop] AS days, nullif(u.usual, 0)::integer AS usual
    FROM unnest(%(ids)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[], %(usual)s::bigint[])
        AS u (id, start, stop, usual)
) AS n
LEFT JOIN order_days AS s ON s.customer_id = n.id AND s.customer_id >= %(start)s AND s.customer_id < %(stop)s
WHERE s.customer_id IS NULL OR (n.days, n.usual) IS DISTINCT FROM (s.days, s.usual_days)
ON CONFLICT (customer_id) DO UPDATE SET days = excluded.days, usual_days = excluded.usual_days
"""

_DAILY = """
INSERT INTO daily_sales (day, owner_id, region, currency, orders, revenue, new_customers, first_of_day, first_of_week,
    first_of_month)
SELECT u.day, u.owner_id, r.name, c.name, u.orders, u.cents * 0.01, u.new, u.of_day, u.of_week, u.of_month
FROM unnest(%(days)s::date[], %(owners)s::bigint[], %(regions)s::bigint[], %(currencies)s::bigint[],
    %(orders)s::bigint[], %(cents)s::bigint[], %(new)s::bigint[], %(of_day)s::bigint[], %(of_week)s::bigint[],
    %(of_month)s::bigint[])
    AS u (day, owner_id, region, currency, orders, cents, new, of_day, of_week, of_month)
JOIN unnest(%(region_names)s::text[]) WITH ORDINALITY AS r (name, place) ON r.place = u.region + 1
JOIN unnest(%(currency_names)s::text[]) WITH ORDINALITY AS c (name, place) ON c.place = u.currency + 1
ON CONFLICT (day, owner_id, region, currency) DO UPDATE SET
    orders = excluded.orders,
    revenue = excluded.revenue,
    new_customers = excluded.new_customers,
    first_of_day = excluded.first_of_day,
    first_of_week = excluded.first_of_week,
    first_of_month = excluded.first_of_month
"""

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

_GONE = "DELETE FROM customer_metrics AS m WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = m.customer_id)"
_DAYS_GONE = "DELETE FROM order_days AS d WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = d.customer_id)"


_GIVEN: tuple[tuple[str, type[Bigints]], ...] = (
    ("first", Days),
    ("last", Days),
    *((name, Bigints) for name in ("orders", "cents", "other", "digest", "owners", "archived", "usual")),
)
_NO_DAY = np.iinfo(np.int32).min
"""The day before all others, as PostgreSQL sends it."""


class Metrics:
    """Takes the pieces, and at the end writes the sums of days."""

    def __init__(self, names: Names, *, currency: str, now: datetime) -> None:
        self.customers = 0
        self.days = 0
        self._names, self._currency, self._now = names, currency, now
        self._keys: dict[tuple[int, int, int], int] = {}
        self._sums: list[Numbers] = []
        self._standing: dict[int, Any] = {}

    def look(self, cursor: Any, given: Mapping[str, Any]) -> None:
        """Read the metrics that stand."""
        rows = cursor.execute(_STANDING, given, binary=True)
        self._standing = {row[0] << given["bits"]: row[1:] for row in rows}

    def take(self, cursor: Any, piece: Piece) -> None:
        """Write what is of one customer each."""
        orders = piece.orders
        ends = piece.ends(orders.row)
        starts = np.append(0, ends[:-1])
        n = ends - starts
        some = n > 0
        own = orders.currency == self._names.currencies.get(self._currency, -1)
        first = starts[some]
        cents, other, digest = np.zeros((3, len(n)), np.int64)
        first_day, last_day = np.full((2, len(n)), _NO_DAY)
        cents[some] = summed(np.where(own, orders.cents, 0), first)
        other[some] = summed((~own).astype(np.int64), first)
        digest[some] = np.bitwise_xor.reduceat(orders.digest, first) if len(first) else 0
        first_day[some], last_day[some] = orders.day[first], orders.day[ends[some] - 1]
        usual = piece.usual_days
        values = (first_day, last_day, n, cents, other, digest, piece.owners, piece.archived, usual)
        self._write(cursor, piece, values)
        slices = {"starts": Bigints(starts + 1), "stops": Bigints(ends), "days": Days(orders.day)}
        of = {"ids": Bigints(piece.ids), "usual": Bigints(usual), "start": piece.start, "stop": piece.stop}
        cursor.execute(_ORDER_DAYS, of | slices)
        self.customers += len(n)
        self._count(piece, orders)

    def _write(self, cursor: Any, piece: Piece, values: Sequence[Numbers]) -> None:
        """Write the rows that differ from those that stand."""
        known = self._names.regions
        regions, *packed = self._standing.pop(piece.start, ([], *([b""] * len(_KINDS))))
        ids, *stored = (numbers(each, kind) for each, kind in zip(packed, _KINDS, strict=True))
        codes = np.array([known.setdefault(region, len(known)) for region in regions], np.int64)
        differing, _gone = compared(piece.ids, (piece.regions, *values), ids, (codes, *stored))
        if differing.any():
            of = {name: kind(each[differing]) for (name, kind), each in zip(_GIVEN, values, strict=True)}
            own = {"ids": Bigints(piece.ids[differing]), "regions": Bigints(piece.regions[differing])}
            cursor.execute(_METRICS, of | own | {"names": list(known), "now": self._now})

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
        pair, at = np.unique(np.stack([piece.owners, piece.regions]), axis=1, return_inverse=True)
        local = at.reshape(-1)[orders.row] << _CURRENCY_BITS | orders.currency
        key = local << DAY_BITS | orders.day + BEFORE
        order = np.argsort(key)
        key = key[order]
        first = firsts(key)
        kept = key[first]
        locals_, which = np.unique(kept >> DAY_BITS, return_inverse=True)
        codes = np.array([self._code(pair, int(each)) for each in locals_], np.int64)
        values = (np.ones(len(key), np.int64), orders.cents, new, of_day, of_week, of_month)
        sums = [summed(each[order].astype(np.int64), first) for each in values]
        self._sums.append(np.stack([codes[which] << DAY_BITS | kept & _DAY, *sums]))
        if sum(each.shape[1] for each in self._sums) > MOST_KEYS:
            self._sums = [_added(self._sums)]

    def _code(self, pair: Numbers, local: int) -> int:
        owner, region = pair[:, local >> _CURRENCY_BITS]
        key = (int(owner), int(region), local & ((1 << _CURRENCY_BITS) - 1))
        return self._keys.setdefault(key, len(self._keys))

    def end(self, cursor: Any) -> None:
        """Write the sums, and forget customers who are gone."""
        key, *values = _added(self._sums) if self._sums else np.zeros((7, 0), np.int64)
        standing, stored = self._standing_days(cursor)
        differing, vain = compared(key, values, standing, stored)
        named = ("orders", "cents", "new", "of_day", "of_week", "of_month")
        if differing.any():
            sums = {name: Bigints(each[differing]) for name, each in zip(named, values, strict=True)}
            cursor.execute(_DAILY, self._keys_of(key[differing]) | sums)
        if len(vain):
            cursor.execute(_DAILY_GONE, self._keys_of(vain))
        cursor.execute(_GONE)
        cursor.execute(_DAYS_GONE)
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


def _added(sums: list[Numbers]) -> Numbers:
    """Equal keys as one."""
    found = np.concatenate(sums, axis=1)
    order = np.argsort(found[0])
    found = found[:, order]
    first = firsts(found[0])
    return np.stack([found[0][first], *(summed(each, first) for each in found[1:])])
