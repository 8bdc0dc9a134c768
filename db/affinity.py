"""Affinity: which product categories stand in the same orders, and how often each stands in one.

Orders with a line that has a category, of customers who are not archived. Everyone's come from the sums that the worker
keeps, those of a segment from its members' orders; both are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Date, LargeBinary, Select, func, literal, select

from db import baskets, schema, segments
from db.baskets import ALL_ORDERS, EVERYBODY, MOST_CATEGORIES
from db.errors import Invalid
from db.explorer import last_of, month_before
from db.permissions import Permission, Viewer
from db.words import _

MOST_MONTHS = 24
COLUMNS = ("first", "second", "together", "first_orders", "second_orders")


@dataclass(frozen=True)
class Affinity:
    """`rows` (COLUMNS): two categories, the orders that hold both, and those that hold each; no pair twice.

    Of `orders` orders from the day `start` to `end`. `categories` are those that are told apart, with the orders that
    hold each; `others` are left out for want of room. `waiting_since` is the oldest change that is not added up yet;
    `missing`: none has been yet, since the worker has still to make the baskets.
    """

    rows: pd.DataFrame
    orders: int
    categories: Mapping[str, int]
    others: int
    start: date
    end: date
    waiting_since: datetime | None
    missing: bool


def affinity(conn: Connection, *, viewer: Viewer, today: date, months: int = 12, rule: str = "") -> Affinity:
    """The pairs of the last `months` calendar months, this one included, of everyone or of a rule's members (JSON).

    Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    if not 1 <= months <= MOST_MONTHS:
        raise Invalid(_("Choose 1 to {n} months of orders.").format(n=MOST_MONTHS))
    start, end = month_before(today, months - 1), last_of(month_before(today, 0))
    k = schema.basket_categories.c
    names: dict[int, str] = {row.code: row.category for row in conn.execute(select(k.code, k.category))}
    if rule:
        orders, counted = _of_members(conn, segments.members(conn, viewer, rule, today), start, end, names)
    else:
        orders, counted = _of_everyone(conn, viewer, start, end)
    alone = {a: n for (a, b), n in counted.items() if a == b and a in names}
    rows = [
        (*((names[a], names[b], n, alone[a], alone[b]) if names[a] <= names[b] else _turned(names, a, b, n, alone)),)
        for (a, b), n in counted.items()
        if a != b and a in alone and b in alone
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(COLUMNS[2:], int))
    return Affinity(
        frame.sort_values(["first", "second"], ignore_index=True),
        orders,
        {names[a]: n for a, n in sorted(alone.items(), key=lambda found: (-found[1], names[found[0]]))},
        _others(conn) if len(names) >= MOST_CATEGORIES else 0,
        start,
        end,
        conn.scalar(select(func.waiting_since())),
        baskets.missing(conn),
    )


def _turned(names: Mapping[int, str], a: int, b: int, n: int, alone: Mapping[int, int]) -> tuple[Any, ...]:
    return names[b], names[a], n, alone[b], alone[a]


def _others(conn: Connection) -> int:
    p, k = schema.products.c, schema.basket_categories.c
    among = select(p.category).where(p.category != "", p.category.not_in(select(k.category))).distinct().subquery()
    return conn.scalar(select(func.count()).select_from(among)) or 0


Counted = dict[tuple[int, int], int]


def _of_everyone(conn: Connection, viewer: Viewer, start: date, end: date) -> tuple[int, Counted]:
    """From the sums: everybody's, or those of the owners that row-level security leaves."""
    s = schema.basket_sums.c
    query = select(s.first, s.second, func.sum(s.orders)).where(s.month.between(start, end))
    if not viewer.scoped:
        query = query.where(s.owner_id == EVERYBODY)
    found = {(a, b): int(n) for a, b, n in conn.execute(query.group_by(s.first, s.second))}
    return found.pop((ALL_ORDERS, ALL_ORDERS), 0), found


def _of_members(
    conn: Connection, members: Select[Any], start: date, end: date, names: Mapping[int, str]
) -> tuple[int, Counted]:
    """From the baskets of these customers, read as one piece and not order by order."""
    m, who = schema.customer_baskets.c, members.subquery()
    # The months are in order: what lies in the period is a slice between two binary searches.
    before = func.width_bucket(literal(month_before(start, 1), Date), m.months)
    until = func.width_bucket(literal(end, Date), m.months)
    empty = literal(b"", LargeBinary)
    sent = func.string_agg(func.array_send(m.baskets[before + 1 : until]), empty)
    counts = func.string_agg(func.int4send(until - before), empty)
    of = schema.customer_baskets.join(who, who.c.customer_id == m.customer_id)
    row = conn.execute(select(sent, counts).select_from(of).where(until > before)).one()
    baskets = _unpacked(row[0] or b"", row[1] or b"")
    return len(baskets), _pairs(baskets, sorted(names))


def _unpacked(arrays: bytes, counts: bytes) -> np.ndarray:
    """The numbers in arrays of bigint as PostgreSQL sends them, one after the other; `counts` says how many in each.

    In words of four bytes: five in front of each array, and before the two of each number one that says how long it is.
    """
    words = np.frombuffer(arrays, dtype=">u4")
    sizes = 5 + 3 * np.frombuffer(counts, dtype=">i4").astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    held = np.ones(len(words), bool)
    held[(starts[:, None] + np.arange(5)).ravel()] = False
    numbers = np.ascontiguousarray(words[held].reshape(-1, 3)[:, 1:])
    return numbers.view(">i8").ravel().astype(np.int64)


def _pairs(baskets: np.ndarray, codes: list[int]) -> Counted:
    """How many baskets hold both of two bits, for each two of `codes` that any does; also of a bit with itself."""
    distinct, times = np.unique(baskets, return_counts=True)
    if len(distinct) * 8 < len(baskets):
        held = ((distinct[:, None] >> np.asarray(codes, np.int64)) & 1).astype(np.float64)
        both = (held.T @ (held * times[:, None])).astype(np.int64)  # exact: floats hold whole numbers up to 2**53
        found = {(i, j): int(both[i, j]) for i in range(len(codes)) for j in range(i, len(codes))}
    else:
        # Few alike: a row of bits for each category, and the bits that two rows share.
        rows = np.stack([np.packbits((baskets >> code) & 1 == 1) for code in codes]) if codes else np.zeros((0, 0))
        found = {}
        for i, row in enumerate(rows):
            shared = np.bitwise_count(row & rows[i:]).sum(axis=1, dtype=np.int64)
            found |= {(i, i + j): int(n) for j, n in enumerate(shared)}
    return {(codes[i], codes[j]): n for (i, j), n in found.items() if n}
