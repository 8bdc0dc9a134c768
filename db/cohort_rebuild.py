"""customer_months and cohort_sums made anew, a piece of customers at a time; written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from db.array_bytes import Bigints, Days
from db.held_columns import Numbers
from db.rebuild_pieces import Names, Piece, firsts, summed

_OF_DATES, _FIRST_MONTH = np.datetime64("2000-01-01", "D"), np.datetime64("0001-01", "M")
_MONTH_BITS = 17
_OWNER_AT = 2 * _MONTH_BITS

# An array's slice of each customer: from the end of the one before to the own.
_WRITE = """
INSERT INTO customer_months (customer_id, rolled_owner_id, months, orders, revenue)
SELECT n.id, n.owner_id, n.months, n.orders, n.revenue
FROM (
    SELECT u.id, u.owner_id, (%(months)s::date[])[u.start:u.stop] AS months,
        (%(orders)s::bigint[])[u.start:u.stop]::integer[] AS orders,
        ARRAY(SELECT each * 0.01 FROM unnest((%(cents)s::bigint[])[u.start:u.stop]) AS each)::numeric(16, 2)[]
            AS revenue
    FROM unnest(%(ids)s::bigint[], %(owners)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[])
        AS u (id, owner_id, start, stop)
) AS n
LEFT JOIN customer_months AS s ON s.customer_id = n.id AND s.customer_id >= %(start)s AND s.customer_id < %(stop)s
WHERE s.customer_id IS NULL
    OR (n.owner_id, n.months, n.orders, n.revenue) <> (s.rolled_owner_id, s.months, s.orders, s.revenue)
ON CONFLICT (customer_id) DO UPDATE SET
    rolled_owner_id = excluded.rolled_owner_id,
    months = excluded.months,
    orders = excluded.orders,
    revenue = excluded.revenue
"""
_EMPTIED = """
DELETE FROM customer_months AS m
WHERE m.customer_id >= %(start)s AND m.customer_id < %(stop)s
    AND NOT EXISTS (SELECT FROM unnest(%(ids)s::bigint[]) AS u (id) WHERE u.id = m.customer_id)
"""
_GONE = "DELETE FROM customer_months AS m WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = m.customer_id)"
_WRITE_SUMS = """
INSERT INTO cohort_sums (owner_id, cohort, month, customers, orders, revenue)
SELECT u.owner_id, u.cohort, u.month, u.customers::integer, u.orders, u.cents * 0.01
FROM unnest(%(owners)s::bigint[], %(cohorts)s::date[], %(months)s::date[], %(customers)s::bigint[],
    %(orders)s::bigint[], %(cents)s::bigint[]) AS u (owner_id, cohort, month, customers, orders, cents)
"""


class Cohorts:
    """Takes the pieces, and at the end writes the sums."""

    def __init__(self, names: Names, *, currency: str) -> None:
        self._names, self._currency = names, currency
        self._owners: dict[int, int] = {}
        self._sums: list[Numbers] = []

    def look(self, cursor: Any, given: Mapping[str, Any]) -> None:
        """What stands is compared where it is written."""

    def take(self, cursor: Any, piece: Piece) -> None:
        """Write the months of each customer who is not archived and has orders."""
        orders = piece.orders
        listed = ~piece.archived[orders.row]
        row = orders.row[listed]
        months = ((_OF_DATES + orders.day[listed]).astype("M8[M]") - _FIRST_MONTH).astype(np.int64)
        own = orders.currency[listed] == self._names.currencies.get(self._currency, -1)
        first = firsts(row << _MONTH_BITS | months)
        each = np.diff(np.append(first, len(row)))
        cents = summed(np.where(own, orders.cents[listed], 0), first)
        row, months = row[first], months[first]
        starts = firsts(row)
        ends = np.append(starts[1:], len(row))[: len(starts)]
        who = row[starts]
        given = {
            "ids": Bigints(piece.ids[who]),
            "owners": Bigints(piece.owners[who]),
            "starts": Bigints(starts + 1),
            "stops": Bigints(ends),
            "months": Days(_days(months)),
            "orders": Bigints(each),
            "cents": Bigints(cents),
            "start": piece.start,
            "stop": piece.stop,
        }
        cursor.execute(_WRITE, given)
        cursor.execute(_EMPTIED, {name: given[name] for name in ("ids", "start", "stop")})
        if len(who):
            known = self._owners
            owners = np.array([known.setdefault(owner, len(known)) for owner in piece.owners[who].tolist()], np.int64)
            of = np.repeat(np.arange(len(who)), ends - starts)
            key = owners[of] << _OWNER_AT | months[starts][of] << _MONTH_BITS | months
            self._sums.append(_added([np.stack([key, np.ones(len(key), np.int64), each, cents])]))

    def end(self, cursor: Any) -> None:
        """Write the sums, and forget customers who are gone."""
        found = _added(self._sums) if self._sums else np.zeros((4, 0), np.int64)
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
        cursor.execute(_GONE)
        cursor.execute("DELETE FROM cohort_sums")
        cursor.execute(_WRITE_SUMS, given)


def _days(months: Numbers) -> Numbers:
    return ((_FIRST_MONTH + months).astype("M8[D]") - _OF_DATES).astype(np.int64)


def _added(sums: list[Numbers]) -> Numbers:
    """Equal keys as one."""
    found = np.concatenate(sums, axis=1)
    found = found[:, np.argsort(found[0])]
    first = firsts(found[0])
    return np.stack([found[0][first], *(summed(each, first) for each in found[1:])])
