"""customer_months and cohort_sums made anew, a piece of customers at a time; written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np

from db.array_bytes import Bigints, Days
from db.arrays import Numbers
from db.rebuild_arrays import Lists, added, arrays, compared, firsts, numbers, summed
from db.rebuild_pieces import Behind, Piece

_OF_DATES, _FIRST_MONTH = np.datetime64("2000-01-01", "D"), np.datetime64("0001-01", "M")
_MONTH_BITS = 17
_OWNER_AT = 2 * _MONTH_BITS

# An array's slice of each customer: from the end of the one before to the own.
_WRITE = """
INSERT INTO customer_months (customer_id, rolled_owner_id, months, orders, revenue)
SELECT u.id, u.owner_id, (%(months)s::date[])[u.start:u.stop], (%(orders)s::bigint[])[u.start:u.stop]::integer[],
    ARRAY(SELECT each * 0.01 FROM unnest((%(cents)s::bigint[])[u.start:u.stop]) AS each)
FROM unnest(%(ids)s::bigint[], %(owners)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[])
    AS u (id, owner_id, start, stop)
ON CONFLICT (customer_id) DO UPDATE SET
    rolled_owner_id = excluded.rolled_owner_id,
    months = excluded.months,
    orders = excluded.orders,
    revenue = excluded.revenue
"""
_STANDING = """
SELECT customer_id >> %(bits)s AS piece, string_agg(int8send(customer_id), ''),
    string_agg(int8send(rolled_owner_id), ''), string_agg(int4send(cardinality(months)), ''),
    string_agg(array_send(months), ''), string_agg(array_send(orders), ''),
    string_agg((SELECT string_agg(int8send((each * 100)::bigint), '') FROM unnest(revenue) AS each), '')
FROM customer_months
WHERE customer_id >= %(start)s AND customer_id < %(stop)s
    AND cardinality(months) = cardinality(orders) AND cardinality(months) = cardinality(revenue)
GROUP BY 1
"""
_EMPTIED = "DELETE FROM customer_months WHERE customer_id = ANY(%(ids)s::bigint[])"
_WRITE_SUMS = """
INSERT INTO cohort_sums (owner_id, cohort, month, customers, orders, revenue)
SELECT u.owner_id, u.cohort, u.month, u.customers::integer, u.orders, u.cents * 0.01
FROM unnest(%(owners)s::bigint[], %(cohorts)s::date[], %(months)s::date[], %(customers)s::bigint[],
    %(orders)s::bigint[], %(cents)s::bigint[]) AS u (owner_id, cohort, month, customers, orders, cents)
"""


class Cohorts:
    """Takes the pieces, and at the end writes the sums."""

    stands: Mapping[str, LiteralString] = {"customer_months": _STANDING}

    def __init__(self) -> None:
        self._owners: dict[int, int] = {}
        self._sums: list[Numbers] = []

    def take(self, cursor: Behind, piece: Piece) -> None:
        """Write the months of each customer who is not archived and has orders."""
        orders = piece.orders
        listed = ~piece.archived[orders.row]
        row = orders.row[listed]
        months = ((_OF_DATES + orders.day[listed]).astype("M8[M]") - _FIRST_MONTH).astype(np.int64)
        own = orders.currency[listed] == 0
        first = firsts(row << _MONTH_BITS | months)
        each = np.diff(np.append(first, len(row)))
        cents = summed(np.where(own, orders.cents[listed], 0), first)
        row, months = row[first], months[first]
        starts = firsts(row)
        n = np.diff(np.append(starts, len(row)))
        who = row[starts]
        _write(cursor, piece, who, Lists(n, [_days(months), each, cents]))
        if len(who):
            owners, owner = np.unique(piece.owners[who], return_inverse=True)
            codes = [self._owners.setdefault(each, len(self._owners)) for each in owners.tolist()]
            of = np.repeat(np.arange(len(who)), n)
            key = np.array(codes, np.int64)[owner][of] << _OWNER_AT | months[starts][of] << _MONTH_BITS | months
            self._sums.append(added([np.stack([key, np.ones(len(key), np.int64), each, cents])]))

    def end(self, cursor: Any) -> None:
        """Write the sums."""
        found = added(self._sums) if self._sums else np.zeros((4, 0), np.int64)
        owners = np.array(list(self._owners), np.int64)
        key, below = found[0], (1 << _MONTH_BITS) - 1
        given = {
            "owners": Bigints(owners[key >> _OWNER_AT]),
            "cohorts": Days(_days(key >> _MONTH_BITS & below)),
            "months": Days(_days(key & below)),
            "customers": Bigints(found[1]),
            "orders": Bigints(found[2]),
            "cents": Bigints(found[3]),
        }
        cursor.execute("DELETE FROM cohort_sums")
        cursor.execute(_WRITE_SUMS, given)


def _write(cursor: Behind, piece: Piece, who: Numbers, lists: Lists) -> None:
    """Write the months of these customers that differ from those that stand, and take away all others'."""
    packed = piece.standing["customer_months"] or [b""] * 6
    ids, owners, n = (numbers(packed[i], kind) for i, kind in enumerate((">i8", ">i8", ">i4")))
    stored = Lists(n, [arrays(n, packed[3], ">i4"), arrays(n, packed[4], ">i4"), numbers(packed[5] or b"")])
    differing, vain = compared(piece.ids[who], [piece.owners[who]], ids, [owners], lists, stored)
    if differing.any():
        of = lists.of(differing)
        months, orders, cents = of.columns
        given = {
            "ids": Bigints(piece.ids[who[differing]]),
            "owners": Bigints(piece.owners[who[differing]]),
            "months": Days(months),
            "orders": Bigints(orders),
            "cents": Bigints(cents),
        }
        cursor.execute(_WRITE, given | of.slices())
    if len(vain):
        cursor.execute(_EMPTIED, {"ids": Bigints(vain)})


def _days(months: Numbers) -> Numbers:
    return ((_FIRST_MONTH + months).astype("M8[D]") - _OF_DATES).astype(np.int64)
