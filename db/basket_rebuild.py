"""All baskets and their sums from all lines at once: db/baskets.py has what they are, and keeps them up from there.

PostgreSQL packs a line and an order into a number each and the numbers into bytes, and baskets and sums are told here,
some thousand customers at a time: grouping ten million orders by SQL takes over a minute, this some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection

from db.array_bytes import Bigints, Days
from db.held_columns import Numbers
from db.rebuild_pieces import Piece, firsts

CODE_BITS = 6
"""Of a category's code."""
NO_CODE = (1 << CODE_BITS) - 1
"""Of a category that is not told apart; and in a sum's key, in the place of both categories, of all orders."""
MONTH_BITS = 17
MOST_KEYS = 4_000_000
"""Counts of pairs that are kept before equal ones are added up, so that memory stays bounded."""

_MONTH_AT = 2 * CODE_BITS
_OWNER_AT = _MONTH_AT + MONTH_BITS
_RANK_BITS = 32
_OF_DATES, _FIRST_MONTH = np.datetime64("2000-01-01", "D"), np.datetime64("0001-01", "M")

# An array's slice of each customer: from the end of the one before to the own.
_WRITE = """
INSERT INTO customer_baskets (customer_id, rolled_owner_id, months, baskets)
SELECT n.id, n.owner_id, n.months, n.baskets
FROM (
    SELECT u.id, u.owner_id, (%(months)s::date[])[u.start:u.stop] AS months,
        (%(baskets)s::bigint[])[u.start:u.stop] AS baskets
    FROM unnest(%(ids)s::bigint[], %(owners)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[])
        AS u (id, owner_id, start, stop)
) AS n
LEFT JOIN customer_baskets AS s ON s.customer_id = n.id AND s.customer_id >= %(start)s AND s.customer_id < %(stop)s
WHERE s.customer_id IS NULL OR (n.owner_id, n.months, n.baskets) <> (s.rolled_owner_id, s.months, s.baskets)
ON CONFLICT (customer_id) DO UPDATE SET
    rolled_owner_id = excluded.rolled_owner_id,
    months = excluded.months,
    baskets = excluded.baskets
"""
_EMPTIED = """
DELETE FROM customer_baskets AS m
WHERE m.customer_id >= %(start)s AND m.customer_id < %(stop)s
    AND NOT EXISTS (SELECT FROM unnest(%(ids)s::bigint[]) AS u (id) WHERE u.id = m.customer_id)
"""
_GONE = "DELETE FROM customer_baskets AS m WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = m.customer_id)"
_PRODUCTS = """
SELECT p.id, coalesce(k.code, %(no_code)s)::bigint
FROM products AS p
LEFT JOIN basket_categories AS k ON k.category = p.category
WHERE p.category <> ''
ORDER BY p.id
"""

_WRITE_SUMS = """
INSERT INTO basket_sums (owner_id, month, first, second, orders)
SELECT u.owner_id, u.month, u.first::smallint, u.second::smallint, u.orders::integer
FROM unnest(
    %(owners)s::bigint[], %(months)s::date[], %(first)s::bigint[], %(second)s::bigint[], %(orders)s::bigint[]
) AS u (owner_id, month, first, second, orders)
"""


class Baskets:
    """Takes the pieces by the categories that there are, and at the end writes the sums."""

    def __init__(self, conn: Connection, *, everybody: int, all_orders: int) -> None:
        rows = conn.exec_driver_sql(_PRODUCTS, {"no_code": NO_CODE})
        self._products, self._codes = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2).T
        self._everybody, self._all_orders = everybody, all_orders
        self._counts: list[tuple[Numbers, Numbers]] = []

    def look(self, cursor: Any, given: Mapping[str, Any]) -> None:
        """What stands is compared where it is written."""

    def take(self, cursor: Any, piece: Piece) -> None:
        """Write the baskets of each customer who is not archived."""
        codes, of = self._lines(piece)
        first = firsts(of)
        order = of[first]
        bits = np.where(codes == NO_CODE, 0, np.int64(1) << np.minimum(codes, NO_CODE - 1))
        baskets = np.bitwise_or.reduceat(bits, first) if len(first) else bits
        months = ((_OF_DATES + piece.orders.day[order]).astype("M8[M]") - _FIRST_MONTH).astype(np.int64)
        who = piece.orders.row[order]
        _write(cursor, piece, who, months, baskets)

        base = piece.owners[who] << _OWNER_AT | months << _MONTH_AT
        self._counts.append(_counted(base, codes, np.repeat(base, np.diff(np.append(first, len(of)))), of))
        if sum(len(each[0]) for each in self._counts) > MOST_KEYS:
            self._counts = [_added(self._counts)]

    def _lines(self, piece: Piece) -> tuple[Numbers, Numbers]:
        """Of each order the codes of its categories, each once and in order, and the order's place."""
        lines, orders = piece.lines, piece.orders
        if not len(self._products):
            return lines.order[:0], lines.order[:0]
        at = np.minimum(np.searchsorted(self._products, lines.product), len(self._products) - 1)
        counts = (self._products[at] == lines.product) & ~piece.archived[orders.row[lines.order]]
        keys = lines.order[counts] << CODE_BITS | self._codes[at[counts]]
        keys.sort()
        keys = keys[firsts(keys)]
        return keys & NO_CODE, keys >> CODE_BITS

    def end(self, cursor: Any) -> None:
        """Write the sums, and forget customers who are gone."""
        cursor.execute(_GONE)
        cursor.execute("DELETE FROM basket_sums")
        if self._counts:
            _write_sums(cursor, *_added(self._counts), everybody=self._everybody, all_orders=self._all_orders)


def _write(cursor: Any, piece: Piece, who: Numbers, months: Numbers, baskets: Numbers) -> None:
    order = _by(who << MONTH_BITS | months, baskets)
    who, months = who[order], months[order]
    starts = firsts(who)
    given = {
        "ids": Bigints(piece.ids[who[starts]]),
        "owners": Bigints(piece.owners[who[starts]]),
        "starts": Bigints(starts + 1),
        "stops": Bigints(np.append(starts[1:], len(who))[: len(starts)]),
        "months": Days(_first_days(months)),
        "baskets": Bigints(baskets[order]),
        "start": piece.start,
        "stop": piece.stop,
    }
    cursor.execute(_WRITE, given)
    cursor.execute(_EMPTIED, {name: given[name] for name in ("ids", "start", "stop")})


def _counted(orders: Numbers, codes: Numbers, base: Numbers, of: Numbers) -> tuple[Numbers, Numbers]:
    """`orders` are the owner and month of each order; of each line its code, the same of its order, and the order."""
    told = codes != NO_CODE
    codes, base, of = codes[told], base[told], of[told]
    found = [orders | NO_CODE << CODE_BITS | NO_CODE, base | codes << CODE_BITS | codes]
    # The lines of an order stand together, by their codes: each with the one after it, the second after it, and so on.
    left = np.arange(len(of))
    for beyond in range(1, NO_CODE):
        left = left[left < len(of) - beyond]
        left = left[of[left] == of[left + beyond]]
        if not len(left):
            break
        found.append(base[left] | codes[left] << CODE_BITS | codes[left + beyond])
    return np.unique(np.concatenate(found), return_counts=True)


def _added(counts: list[tuple[Numbers, Numbers]]) -> tuple[Numbers, Numbers]:
    """Equal keys as one."""
    keys, numbers = (np.concatenate([each[i] for each in counts]) for i in range(2))
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, np.int64)
    return keys[first], np.add.reduceat(numbers[order], first) if len(keys) else numbers


def _write_sums(cursor: Any, keys: Numbers, orders: Numbers, *, everybody: int, all_orders: int) -> None:
    if not len(keys):
        return
    below = (1 << _OWNER_AT) - 1
    all_keys, all_counts = _added([(keys & below, orders)])
    owners = np.append(keys >> _OWNER_AT, np.full(len(all_keys), everybody))
    both = np.append(keys & below, all_keys)
    first, second = both >> CODE_BITS & NO_CODE, both & NO_CODE
    given = {
        "owners": Bigints(owners),
        "months": Days(_first_days(both >> _MONTH_AT)),
        "first": Bigints(np.where(first == NO_CODE, all_orders, first)),
        "second": Bigints(np.where(second == NO_CODE, all_orders, second)),
        "orders": Bigints(np.append(orders, all_counts)),
    }
    cursor.execute(_WRITE_SUMS, given)


def _by(keys: Numbers, then: Numbers) -> Numbers:
    """The order by keys of few bits (customer and month) and, where they are alike, by others of any.

    Several times as fast as lexsort.
    """
    order = np.argsort(then)
    ranked = np.empty(len(order), np.int64)
    ranked[order] = np.arange(len(order))
    both = keys << _RANK_BITS | ranked
    both.sort()
    found: Numbers = order[both & ((1 << _RANK_BITS) - 1)]
    return found


def _first_days(months: Numbers) -> Numbers:
    return ((_FIRST_MONTH + months).astype("M8[D]") - _OF_DATES).astype(np.int64)
