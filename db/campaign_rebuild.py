"""campaign_results and campaign_purchases made anew, a piece of customers at a time; written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from db.array_bytes import Bigints
from db.arrays import Numbers
from db.campaign_results import COLUMNS, UPSERT, UPSERT_BOUGHT
from db.rebuild_arrays import Known, added, compared, firsts, numbers, placed, summed
from db.rebuild_pieces import BEFORE, CAMPAIGN_BITS, DAY_BITS, Behind, Piece

_CAMPAIGNS = "SELECT id, starts_on - '2000-01-01', ends_on - '2000-01-01' FROM campaigns ORDER BY id"
_PRODUCTS = "SELECT product_id, campaign_id FROM campaign_products ORDER BY product_id, campaign_id"

# Two counts, which are no negative numbers, as one number.
_STANDING = """
SELECT customer_id >> %(bits)s AS piece,
    string_agg(int8send((customer_id & %(within)s) << %(campaign)s | campaign_id), ''),
    string_agg(int8send(orders::bigint << 32 | promoted_orders), ''),
    string_agg(int8send(orders_before::bigint << 32 | redemptions), ''),
    string_agg(int8send((revenue * 100)::bigint), ''), string_agg(int8send((revenue_before * 100)::bigint), ''),
    string_agg(int8send(rolled_owner_id), '')
FROM campaign_results WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_BOUGHT_STANDING = """
SELECT customer_id >> %(bits)s AS piece, string_agg(int8send(customer_id), ''), string_agg(int8send(campaign_id), ''),
    string_agg(int8send(product_id), ''), string_agg(int8send((amount * 100)::bigint), '')
FROM campaign_purchases WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""

_WRITE = sql.SQL("""
INSERT INTO campaign_results (customer_id, campaign_id, {columns})
SELECT id, campaign_id, orders, cents * 0.01, promoted, before, cents_before * 0.01, redemptions, owner_id
FROM unnest(%(ids)s::bigint[], %(campaigns)s::bigint[], %(orders)s::bigint[], %(cents)s::bigint[],
    %(promoted)s::bigint[], %(before)s::bigint[], %(cents_before)s::bigint[], %(redemptions)s::bigint[],
    %(owners)s::bigint[]) AS u (id, campaign_id, orders, cents, promoted, before, cents_before, redemptions, owner_id)
{upsert}
""")
_EMPTIED = """
DELETE FROM campaign_results AS r
USING unnest(%(ids)s::bigint[], %(campaigns)s::bigint[]) AS u (id, campaign_id)
WHERE r.customer_id = u.id AND r.campaign_id = u.campaign_id
"""
_WRITE_BOUGHT = sql.SQL("""
INSERT INTO campaign_purchases (customer_id, campaign_id, product_id, amount)
SELECT u.id, u.campaign_id, u.product_id, u.cents * 0.01
FROM unnest(%(ids)s::bigint[], %(campaigns)s::bigint[], %(products)s::bigint[], %(cents)s::bigint[])
    AS u (id, campaign_id, product_id, cents)
{upsert}
""")
_BOUGHT_EMPTIED = """
DELETE FROM campaign_purchases AS r
USING unnest(%(ids)s::bigint[], %(campaigns)s::bigint[], %(products)s::bigint[]) AS u (id, campaign_id, product_id)
WHERE r.customer_id = u.id AND r.campaign_id = u.campaign_id AND r.product_id = u.product_id
"""

_SUMS = ("reached", "buyers", "promoted", "redeemers", "redemptions", "orders", "cents", "cents_before")
_WRITE_SUMS = """
INSERT INTO campaign_sums (campaign_id, owner_id, reached, buyers, promoted_buyers, redeemers, redemptions, orders,
    revenue, revenue_before)
SELECT campaign_id, owner_id, reached, buyers, promoted, redeemers, redemptions, orders, cents * 0.01,
    cents_before * 0.01
FROM unnest(%(campaigns)s::bigint[], %(owners)s::bigint[], %(reached)s::bigint[], %(buyers)s::bigint[],
    %(promoted)s::bigint[], %(redeemers)s::bigint[], %(redemptions)s::bigint[], %(orders)s::bigint[],
    %(cents)s::bigint[], %(cents_before)s::bigint[])
    AS u (campaign_id, owner_id, reached, buyers, promoted, redeemers, redemptions, orders, cents, cents_before)
"""


class Campaigns:
    """Takes the pieces, and at the end writes the sums."""

    stands: Mapping[str, LiteralString] = {"campaign_results": _STANDING, "campaign_purchases": _BOUGHT_STANDING}

    def __init__(self, conn: Connection) -> None:
        found = np.array([tuple(row) for row in conn.exec_driver_sql(_CAMPAIGNS)], np.int64).reshape(-1, 3)
        ids, self._starts, self._ends = found.T
        self._ids = Known(ids)
        of = np.array([tuple(row) for row in conn.exec_driver_sql(_PRODUCTS)], np.int64).reshape(-1, 2)
        place, there = self._ids.find(of[:, 1])
        of, self._promoting = of[there], place[there]
        self._owners: dict[int, int] = {}
        self._sums: list[Numbers] = []
        # The campaigns of a product stand from one place to the next in `_promoting`.
        first = firsts(of[:, 0])
        self._products, self._from = Known(of[first, 0]), np.append(first, len(of))
        self._write, self._write_bought = (
            statement.format(upsert=upsert, columns=COLUMNS).as_string()
            for statement, upsert in ((_WRITE, UPSERT), (_WRITE_BOUGHT, UPSERT_BOUGHT))
        )

    def take(self, cursor: Behind, piece: Piece) -> None:
        """Write the results of each member, and what was bought of what was promoted."""
        m, orders = piece.members, piece.orders
        campaign, there = self._ids.find(m.campaign)
        row, campaign, redemptions = m.row[there], campaign[there], m.redemptions[there]
        start, end = self._starts[campaign], self._ends[campaign]
        lengths = end - start + 1
        low, middle, high = (
            np.searchsorted(orders.key, row << DAY_BITS | day + BEFORE) for day in (start - lengths, start, end + 1)
        )
        own = orders.currency == 0
        sums = np.append(0, np.cumsum(np.where(own, orders.cents, 0)))
        member, which, product, cents = self._bought(piece, row, campaign, own)
        each = np.unique(member * max(len(orders.row), 1) + which) // max(len(orders.row), 1)
        key = (piece.ids[row] - piece.start) << CAMPAIGN_BITS | m.campaign[there]
        values = {
            "orders": high - middle,
            "promoted": np.bincount(each, minlength=len(row)),
            "before": middle - low,
            "redemptions": redemptions,
            "cents": sums[high] - sums[middle],
            "cents_before": sums[middle] - sums[low],
            "owners": piece.owners[row],
        }
        self._put(cursor, piece, key, values)
        self._count(campaign, values)
        self._put_bought(cursor, piece, key, member, product, cents)

    def _put(self, cursor: Behind, piece: Piece, key: Numbers, values: Mapping[str, Numbers]) -> None:
        """Write the results that differ from those that stand, and take away those of members who are none any more."""
        standing, *stored = map(numbers, piece.standing["campaign_results"] or [b""] * 6)
        orders, promoted, before, redemptions, *others = values.values()
        of = (orders << 32 | promoted, before << 32 | redemptions, *others)
        differing, vain = compared(key, of, standing, stored)
        if differing.any():
            given = {name: Bigints(each[differing]) for name, each in values.items()}
            cursor.execute(self._write, given | _members(piece, key[differing]))
        if len(vain):
            cursor.execute(_EMPTIED, _members(piece, vain))

    def _put_bought(
        self, cursor: Behind, piece: Piece, keys: Numbers, member: Numbers, product: Numbers, cents: Numbers
    ) -> None:
        """The same of what was bought, by the places of the membership and the product."""
        ids, campaign, bought, stored = map(numbers, piece.standing["campaign_purchases"] or [b""] * 4)
        standing = (ids - piece.start) << CAMPAIGN_BITS | campaign
        # Who is no member any more and what is not promoted any more stands beyond all others.
        at, there = Known(keys).find(standing)
        which, promoted = self._products.find(bought)
        n = len(self._products.known) + 1
        key = member * n + product
        order = placed(key)
        first = firsts(key[order])
        key, cents = key[order][first], summed(cents[order], first)
        beyond = np.arange(len(standing)) + len(keys) * n
        of = np.where(there & promoted, at * n + which, beyond)
        differing, vain = compared(key, [cents], of, [stored])
        if differing.any():
            own = _members(piece, keys[key[differing] // n])
            of_products = {"products": Bigints(self._products.known[key[differing] % n])}
            cursor.execute(self._write_bought, own | of_products | {"cents": Bigints(cents[differing])})
        if len(vain):
            gone = np.isin(of, vain)
            cursor.execute(_BOUGHT_EMPTIED, _members(piece, standing[gone]) | {"products": Bigints(bought[gone])})

    def _bought(
        self, piece: Piece, row: Numbers, campaign: Numbers, own: Numbers
    ) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Lines of promoted products while a campaign ran that the customer is a member of: places of the membership,
        the order and the product, and hundredths in the company's currency."""
        lines, orders = piece.lines, piece.orders
        product, there = self._products.find(lines.product)
        order, product, cents = lines.order[there], product[there], lines.cents[there]
        each = self._from[product + 1] - self._from[product]
        at = np.repeat(np.arange(len(product)), each)
        nth = np.arange(len(at)) - np.repeat(np.cumsum(each) - each, each)
        of = self._promoting[self._from[product[at]] + nth]
        day = orders.day[order[at]]
        while_ran = (day >= self._starts[of]) & (day <= self._ends[of])
        at, of = at[while_ran], of[while_ran]
        n = max(len(self._ids.known), 1)
        member, is_member = Known(row * n + campaign).find(orders.row[order[at]] * n + of)
        member, at = member[is_member], at[is_member]
        return member, order[at], product[at], np.where(own[order[at]], cents[at], 0)

    def _count(self, campaign: Numbers, values: Mapping[str, Numbers]) -> None:
        """Keep what the results add to the sums."""
        owners, owner = np.unique(values["owners"], return_inverse=True)
        codes = [self._owners.setdefault(each, len(self._owners)) for each in owners.tolist()]
        key = np.array(codes, np.int64)[owner] * len(self._ids.known) + campaign
        some = (np.ones(len(key), np.int64), *(values[name] > 0 for name in ("orders", "promoted", "redemptions")))
        rest = (values[name] for name in ("redemptions", "orders", "cents", "cents_before"))
        self._sums.append(added([np.stack([key, *some, *rest])]))

    def end(self, cursor: Any) -> None:
        """Write the sums, which are few."""
        cursor.execute("DELETE FROM campaign_sums")
        key, *sums = added(self._sums) if self._sums else np.zeros((9, 0), np.int64)
        if len(key):
            owner, campaign = np.divmod(key, len(self._ids.known))
            owners = np.array(list(self._owners), np.int64)[owner]
            of = {"owners": Bigints(owners), "campaigns": Bigints(self._ids.known[campaign])}
            given = {name: Bigints(each) for name, each in zip(_SUMS, sums, strict=True)}
            cursor.execute(_WRITE_SUMS, of | given)


def _members(piece: Piece, key: Numbers) -> dict[str, Any]:
    """The customers and campaigns of memberships by their keys."""
    campaigns = key & ((1 << CAMPAIGN_BITS) - 1)
    return {"ids": Bigints((key >> CAMPAIGN_BITS) + piece.start), "campaigns": Bigints(campaigns)}
