"""campaign_results and campaign_purchases made anew, a piece of customers at a time; written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from db.array_bytes import Bigints
from db.held_columns import Numbers
from db.rebuild_pieces import BEFORE, DAY_BITS, Names, Piece, compared, firsts, numbers, summed

_CAMPAIGNS = "SELECT id, starts_on - '2000-01-01', ends_on - '2000-01-01' FROM campaigns ORDER BY id"
_PRODUCTS = "SELECT product_id, campaign_id FROM campaign_products ORDER BY product_id, campaign_id"

_STANDING = """
SELECT piece, string_agg(int8send(customer_id), ''), string_agg(int8send(campaign_id), ''),
    string_agg(int4send(orders), ''), string_agg(int8send((revenue * 100)::bigint), ''),
    string_agg(int4send(promoted_orders), ''), string_agg(int4send(orders_before), ''),
    string_agg(int8send((revenue_before * 100)::bigint), ''), string_agg(int4send(redemptions), ''),
    string_agg(int8send(rolled_owner_id), '')
FROM campaign_results JOIN unnest(%(pieces)s::bigint[]) AS piece ON piece = customer_id >> %(bits)s
WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_KINDS = (">i8", ">i8", ">i4", ">i8", ">i4", ">i4", ">i8", ">i4", ">i8")
_VALUES = ("orders", "cents", "promoted", "before", "cents_before", "redemptions", "owners")
_CAMPAIGN_BITS = 40
"""Room for a campaign's id beside a customer's place."""

_WRITE = """
INSERT INTO campaign_results (customer_id, campaign_id, orders, revenue, promoted_orders, orders_before, revenue_before,
    redemptions, rolled_owner_id)
SELECT id, campaign_id, orders, cents * 0.01, promoted, before, cents_before * 0.01, redemptions, owner_id
FROM unnest(%(ids)s::bigint[], %(campaigns)s::bigint[], %(orders)s::bigint[], %(cents)s::bigint[],
    %(promoted)s::bigint[], %(before)s::bigint[], %(cents_before)s::bigint[], %(redemptions)s::bigint[],
    %(owners)s::bigint[]) AS u (id, campaign_id, orders, cents, promoted, before, cents_before, redemptions, owner_id)
ON CONFLICT (customer_id, campaign_id) DO UPDATE SET
    orders = excluded.orders,
    revenue = excluded.revenue,
    promoted_orders = excluded.promoted_orders,
    orders_before = excluded.orders_before,
    revenue_before = excluded.revenue_before,
    redemptions = excluded.redemptions,
    rolled_owner_id = excluded.rolled_owner_id
"""
_EMPTIED = """
DELETE FROM campaign_results AS r
USING unnest(%(ids)s::bigint[], %(campaigns)s::bigint[]) AS u (id, campaign_id)
WHERE r.customer_id = u.id AND r.campaign_id = u.campaign_id
"""
_WRITE_BOUGHT = """
INSERT INTO campaign_purchases (customer_id, campaign_id, product_id, amount)
SELECT n.id, n.campaign_id, n.product_id, n.amount
FROM (
    SELECT u.id, u.campaign_id, u.product_id, u.cents * 0.01 AS amount
    FROM unnest(%(ids)s::bigint[], %(campaigns)s::bigint[], %(products)s::bigint[], %(cents)s::bigint[])
        AS u (id, campaign_id, product_id, cents)
) AS n
LEFT JOIN (
    SELECT * FROM campaign_purchases WHERE customer_id >= %(start)s AND customer_id < %(stop)s
) AS s ON s.customer_id = n.id AND s.campaign_id = n.campaign_id AND s.product_id = n.product_id
WHERE s.amount IS DISTINCT FROM n.amount
ON CONFLICT (customer_id, campaign_id, product_id) DO UPDATE SET amount = excluded.amount
"""
_BOUGHT_EMPTIED = """
DELETE FROM campaign_purchases AS r
WHERE r.customer_id >= %(start)s AND r.customer_id < %(stop)s
    AND NOT EXISTS (
        SELECT FROM unnest(%(ids)s::bigint[], %(campaigns)s::bigint[], %(products)s::bigint[])
            AS u (id, campaign_id, product_id)
        WHERE u.id = r.customer_id AND u.campaign_id = r.campaign_id AND u.product_id = r.product_id
    )
"""
_GONE = "DELETE FROM campaign_results AS r WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = r.customer_id)"
_BOUGHT_GONE = """
DELETE FROM campaign_purchases AS r WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = r.customer_id)
"""


class Campaigns:
    """Takes the pieces; db/campaign_results.py adds up what they wrote."""

    def __init__(self, conn: Connection, names: Names, *, currency: str) -> None:
        self._names, self._currency = names, currency
        found = np.array([tuple(row) for row in conn.exec_driver_sql(_CAMPAIGNS)], np.int64).reshape(-1, 3)
        self._ids, self._starts, self._ends = found.T
        of = np.array([tuple(row) for row in conn.exec_driver_sql(_PRODUCTS)], np.int64).reshape(-1, 2)
        place, there = _places(self._ids, of[:, 1])
        of, self._promoting = of[there], place[there]
        # The campaigns of a product stand from one place to the next in `_promoting`.
        first = firsts(of[:, 0])
        self._standing: dict[int, Any] = {}
        self._products, self._from = of[first, 0], np.append(first, len(of))

    def look(self, cursor: Any, given: Mapping[str, Any]) -> None:
        """Read the results that stand."""
        rows = cursor.execute(_STANDING, given, binary=True)
        self._standing = {row[0] << given["bits"]: row[1:] for row in rows}

    def take(self, cursor: Any, piece: Piece) -> None:
        """Write the results of each member, and what was bought of what was promoted."""
        m, orders = piece.members, piece.orders
        campaign, there = _places(self._ids, m.campaign)
        row, campaign, redemptions = m.row[there], campaign[there], m.redemptions[there]
        start, end = self._starts[campaign], self._ends[campaign]
        lengths = end - start + 1
        low, middle, high = (
            np.searchsorted(orders.key, row << DAY_BITS | day + BEFORE) for day in (start - lengths, start, end + 1)
        )
        own = orders.currency == self._names.currencies.get(self._currency, -1)
        sums = np.append(0, np.cumsum(np.where(own, orders.cents, 0)))
        member, which, product, cents = self._bought(piece, row, campaign, own)
        each = np.unique(member * max(len(orders.row), 1) + which) // max(len(orders.row), 1)
        values = (
            high - middle,
            sums[high] - sums[middle],
            np.bincount(each, minlength=len(row)),
            middle - low,
            sums[middle] - sums[low],
            redemptions,
            piece.owners[row],
        )
        self._write(cursor, piece, piece.ids[row], self._ids[campaign], values)
        of = {"start": piece.start, "stop": piece.stop}
        key = member * len(self._products) + product
        order = np.argsort(key)
        first = firsts(key[order])
        member, product = member[order][first], product[order][first]
        given = {
            "ids": Bigints(piece.ids[row[member]]),
            "campaigns": Bigints(self._ids[campaign[member]]),
            "products": Bigints(self._products[product]),
        }
        cursor.execute(_WRITE_BOUGHT, given | of | {"cents": Bigints(summed(cents[order], first))})
        cursor.execute(_BOUGHT_EMPTIED, given | of)

    def _write(self, cursor: Any, piece: Piece, ids: Numbers, campaigns: Numbers, values: Sequence[Numbers]) -> None:
        """Write the results that differ from those that stand, and take away those of members who are none any more."""
        packed = self._standing.pop(piece.start, [b""] * len(_KINDS))
        of, campaign, *stored = (numbers(each, kind) for each, kind in zip(packed, _KINDS, strict=True))
        key, standing = ((i - piece.start) << _CAMPAIGN_BITS | c for i, c in ((ids, campaigns), (of, campaign)))
        differing, vain = compared(key, values, standing, stored)
        if differing.any():
            given = {name: Bigints(each[differing]) for name, each in zip(_VALUES, values, strict=True)}
            own = {"ids": Bigints(ids[differing]), "campaigns": Bigints(campaigns[differing])}
            cursor.execute(_WRITE, given | own)
        if len(vain):
            below = (1 << _CAMPAIGN_BITS) - 1
            own = {"ids": Bigints((vain >> _CAMPAIGN_BITS) + piece.start), "campaigns": Bigints(vain & below)}
            cursor.execute(_EMPTIED, own)

    def _bought(
        self, piece: Piece, row: Numbers, campaign: Numbers, own: Numbers
    ) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Lines of promoted products while a campaign ran that the customer is a member of: places of the membership,
        the order and the product, and hundredths in the company's currency."""
        lines, orders = piece.lines, piece.orders
        product, there = _places(self._products, lines.product)
        order, product, cents = lines.order[there], product[there], lines.cents[there]
        each = self._from[product + 1] - self._from[product]
        at = np.repeat(np.arange(len(product)), each)
        nth = np.arange(len(at)) - np.repeat(np.cumsum(each) - each, each)
        of = self._promoting[self._from[product[at]] + nth]
        day = orders.day[order[at]]
        while_ran = (day >= self._starts[of]) & (day <= self._ends[of])
        at, of = at[while_ran], of[while_ran]
        key = orders.row[order[at]] * max(len(self._ids), 1) + of
        member, is_member = _places(row * max(len(self._ids), 1) + campaign, key)
        member, at = member[is_member], at[is_member]
        return member, order[at], product[at], np.where(own[order[at]], cents[at], 0)

    def end(self, cursor: Any) -> None:
        """Forget customers who are gone."""
        cursor.execute(_GONE)
        cursor.execute(_BOUGHT_GONE)


def _places(known: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """Where values stand among known ones, which are in order, and whether they do."""
    if not len(known):
        return np.zeros(len(values), np.int64), np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return at, known[at] == values
