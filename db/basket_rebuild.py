"""All baskets and their sums from all lines at once: db/baskets.py has what they are, and keeps them up from there.

PostgreSQL packs a line and an order into a number each and the numbers into bytes, and baskets and sums are told here,
some thousand customers at a time: grouping ten million orders by SQL takes over a minute, this some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np
from sqlalchemy import Connection

from db.array_bytes import Bigints, Days
from db.arrays import Numbers
from db.rebuild_arrays import Known, Lists, arrays, compared, firsts, numbers, summed
from db.rebuild_pieces import Behind, Piece

CODE_BITS = 6
"""Of a category's code."""
NO_CODE = (1 << CODE_BITS) - 1
"""Of a category that is not told apart; and in a sum's key, in the place of both categories, of all orders."""
MONTH_BITS = 17
MOST_KEYS = 4_000_000
"""Counts of pairs that are kept before equal ones are added up, so that memory stays bounded."""

_MONTH_AT = 2 * CODE_BITS
_OWNER_AT = _MONTH_AT + MONTH_BITS
_OF_DATES, _FIRST_MONTH = np.datetime64("2000-01-01", "D"), np.datetime64("0001-01", "M")

# An array's slice of each customer: from the end of the one before to the own.
_WRITE = """
INSERT INTO customer_baskets (customer_id, rolled_owner_id, months, baskets)
SELECT u.id, u.owner_id, (%(months)s::date[])[u.start:u.stop], (%(baskets)s::bigint[])[u.start:u.stop]
FROM unnest(%(ids)s::bigint[], %(owners)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[])
    AS u (id, owner_id, start, stop)
ON CONFLICT (customer_id) DO UPDATE SET
    rolled_owner_id = excluded.rolled_owner_id,
    months = excluded.months,
    baskets = excluded.baskets
"""
_STANDING = """
SELECT customer_id >> %(bits)s AS piece, string_agg(int8send(customer_id), ''),
    string_agg(int8send(rolled_owner_id), ''), string_agg(int4send(cardinality(months)), ''),
    string_agg(array_send(months), ''), string_agg(array_send(baskets), '')
FROM customer_baskets
WHERE customer_id >= %(start)s AND customer_id < %(stop)s AND cardinality(months) = cardinality(baskets) GROUP BY 1
"""
_EMPTIED = "DELETE FROM customer_baskets WHERE customer_id = ANY(%(ids)s::bigint[])"
_PRODUCTS = """
SELECT p.id, coalesce(k.code, %(no_code)s)::bigint
FROM products AS p
LEFT JOIN basket_categories AS k ON k.category = p.category
WHERE p.category <> ''
ORDER BY p.id
"""

_WRITE_SUMS = """
INSERT INTO basket_sums (owner_id, month, first, second, orders)
SELECT u.owner_id, u.month, u.first, u.second, u.orders
FROM unnest(
    %(owners)s::bigint[], %(months)s::date[], %(first)s::bigint[], %(second)s::bigint[], %(orders)s::bigint[]
) AS u (owner_id, month, first, second, orders)
ON CONFLICT (owner_id, month, first, second) DO UPDATE SET orders = excluded.orders
"""
_SUMS_STANDING = """
SELECT string_agg(int8send(owner_id), ''), string_agg(int8send(orders), ''), string_agg(int4send(first), ''),
    string_agg(int4send(second), ''), string_agg(date_send(month), '')
FROM basket_sums
"""
_SUMS_GONE = """
DELETE FROM basket_sums AS b
USING unnest(%(owners)s::bigint[], %(months)s::date[], %(first)s::bigint[], %(second)s::bigint[])
    AS u (owner_id, month, first, second)
WHERE (b.owner_id, b.month, b.first, b.second) = (u.owner_id, u.month, u.first, u.second)
"""


class Baskets:
    """Takes the pieces by the categories that there are, and at the end writes the sums."""

    stands: Mapping[str, LiteralString] = {"customer_baskets": _STANDING}

    def __init__(self, conn: Connection, *, everybody: int, all_orders: int) -> None:
        rows = conn.exec_driver_sql(_PRODUCTS, {"no_code": NO_CODE})
        products, self._codes = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2).T
        self._products = Known(products)
        self._everybody, self._all_orders = everybody, all_orders
        self._counts: list[tuple[Numbers, Numbers]] = []

    def take(self, cursor: Behind, piece: Piece) -> None:
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
        at, counts = self._products.find(lines.product)
        if piece.archived.any():
            counts &= ~piece.archived[orders.row[lines.order]]
        keys = lines.order[counts] << CODE_BITS | self._codes[at[counts]]
        keys.sort()
        keys = keys[firsts(keys)]
        return keys & NO_CODE, keys >> CODE_BITS

    def end(self, cursor: Any) -> None:
        """Write the sums that differ from those that stand."""
        keys, orders = self._all()
        owners, *packed = cursor.execute(_SUMS_STANDING, binary=True).fetchone()
        n, first, second, day = (numbers(each or b"", ">i4" if i else ">i8") for i, each in enumerate(packed))
        month = (_OF_DATES + day).astype("M8[M]").astype(np.int64) - _FIRST_MONTH.astype(np.int64)
        of = (np.where(each == self._all_orders, NO_CODE, each) for each in (first, second))
        first, second = of
        standing = numbers(owners or b"") << _OWNER_AT | month << _MONTH_AT | first << CODE_BITS | second
        differing, vain = compared(keys, [orders], standing, [n])
        if len(vain):
            cursor.execute(_SUMS_GONE, self._keys_of(vain))
        if differing.any():
            cursor.execute(_WRITE_SUMS, self._keys_of(keys[differing]) | {"orders": Bigints(orders[differing])})

    def _all(self) -> tuple[Numbers, Numbers]:
        """The counts of each owner and of everybody, by key."""
        if not self._counts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        keys, orders = _added(self._counts)
        everybody, of_all = _added([(keys & ((1 << _OWNER_AT) - 1), orders)])
        return np.append(everybody | self._everybody << _OWNER_AT, keys), np.append(of_all, orders)

    def _keys_of(self, keys: Numbers) -> dict[str, Any]:
        first, second = keys >> CODE_BITS & NO_CODE, keys & NO_CODE
        return {
            "owners": Bigints(keys >> _OWNER_AT),
            "months": Days(_first_days(keys >> _MONTH_AT & ((1 << MONTH_BITS) - 1))),
            "first": Bigints(np.where(first == NO_CODE, self._all_orders, first)),
            "second": Bigints(np.where(second == NO_CODE, self._all_orders, second)),
        }


def _write(cursor: Behind, piece: Piece, who: Numbers, months: Numbers, baskets: Numbers) -> None:
    months, baskets = _in_order(who, months, baskets)
    starts = firsts(who)
    whose = who[starts]
    lists = Lists(np.diff(np.append(starts, len(who))), [_first_days(months), baskets])
    packed = piece.standing["customer_baskets"] or (b"", b"", b"", b"", b"")
    ids, owners, n = (numbers(packed[i], kind) for i, kind in enumerate((">i8", ">i8", ">i4")))
    stored = Lists(n, [arrays(n, packed[3], ">i4"), arrays(n, packed[4])])
    differing, vain = compared(piece.ids[whose], [piece.owners[whose]], ids, [owners], lists, stored)
    if differing.any():
        of = lists.of(differing)
        given = {
            "ids": Bigints(piece.ids[whose[differing]]),
            "owners": Bigints(piece.owners[whose[differing]]),
            "months": Days(of.columns[0]),
            "baskets": Bigints(of.columns[1]),
        }
        cursor.execute(_WRITE, given | of.slices())
    if len(vain):
        cursor.execute(_EMPTIED, {"ids": Bigints(vain)})


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
    keys, n = (np.concatenate([each[i] for each in counts]) for i in range(2))
    order = np.argsort(keys)
    first = firsts(keys[order])
    return keys[order][first], summed(n[order], first)


def _in_order(who: Numbers, months: Numbers, baskets: Numbers) -> tuple[Numbers, Numbers]:
    """Months and baskets by customer, month and basket; they come by customer and month."""
    if not len(who):
        return months, baskets
    since, bits = months.min(), int(baskets.max()).bit_length()
    month_bits = int(months.max() - since).bit_length()
    if int(who[-1]).bit_length() + month_bits + bits > 63:
        order = np.lexsort((baskets, months, who))
        return months[order], baskets[order]
    both = (who << month_bits | months - since) << bits | baskets
    both.sort()
    return (both >> bits & ((1 << month_bits) - 1)) + since, both & ((1 << bits) - 1)


def _first_days(months: Numbers) -> Numbers:
    return ((_FIRST_MONTH + months).astype("M8[D]") - _OF_DATES).astype(np.int64)
