"""All baskets and their sums from all lines at once: db/baskets.py has what they are, and keeps them up from there.

PostgreSQL packs a line and an order into a number each and the numbers into bytes, and baskets and sums are told here,
some thousand customers at a time: grouping ten million orders by SQL takes over a minute, this some seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from db.array_bytes import Bigints, Days, cursor_of
from db.held_columns import Numbers

WORK_MEMORY = "256MB"
PIECE_BITS, ORDER_BITS, CODE_BITS = 12, 45, 6
"""A line is a number: the last bits of the customer's, the order's, and the category's code. Customers that differ in
those of theirs only come in one row. An order's number has room for more orders than there will be: 35 million
millions."""
NO_CODE = (1 << CODE_BITS) - 1
"""Of a category that is not told apart; and in a sum's key, in the place of both categories, of all orders."""
MONTH_BITS = 17
MOST_KEYS = 4_000_000
"""Counts of pairs that are kept before equal ones are added up, so that memory stays bounded."""

_WITHIN = (1 << PIECE_BITS) - 1
_MONTH_AT = 2 * CODE_BITS
_OWNER_AT = _MONTH_AT + MONTH_BITS
_RANK_BITS = 63 - PIECE_BITS - MONTH_BITS
_OF_DATES, _FIRST_MONTH = np.datetime64("2000-01-01", "D"), np.datetime64("0001-01", "M")

_READ = """
SELECT ids, owners, order_keys, days, line_keys
FROM (
    SELECT c.id >> %(piece)s AS piece, string_agg(int8send(c.id), '') AS ids,
        string_agg(int8send(c.owner_id), '') AS owners
    FROM customers AS c
    WHERE c.archived_at IS NULL
    GROUP BY 1
) AS c
JOIN (
    SELECT o.customer_id >> %(piece)s AS piece,
        string_agg(int8send((o.customer_id & %(within)s) << %(order)s | o.id), '') AS order_keys,
        string_agg(date_send(o.placed_on), '') AS days
    FROM orders AS o
    GROUP BY 1
) AS o USING (piece)
JOIN (
    SELECT i.customer_id >> %(piece)s AS piece,
        string_agg(
            int8send(((i.customer_id & %(within)s) << %(order)s | i.order_id) << %(code)s | p.code), ''
        ) AS line_keys
    FROM order_items AS i
    JOIN (
        SELECT p.id, coalesce(k.code, %(no_code)s)::bigint AS code
        FROM products AS p
        LEFT JOIN basket_categories AS k ON k.category = p.category
        WHERE p.category <> ''
    ) AS p ON p.id = i.product_id
    GROUP BY 1
) AS i USING (piece)
"""

# An array's slice of each customer: from the end of the one before to the own.
_WRITE = """
INSERT INTO customer_baskets (customer_id, rolled_owner_id, months, baskets)
SELECT u.id, u.owner_id, (%(months)s::date[])[u.start:u.stop], (%(baskets)s::bigint[])[u.start:u.stop]
FROM unnest(%(ids)s::bigint[], %(owners)s::bigint[], %(starts)s::bigint[], %(stops)s::bigint[])
    AS u (id, owner_id, start, stop)
"""

_WRITE_SUMS = """
INSERT INTO basket_sums (owner_id, month, first, second, orders)
SELECT u.owner_id, u.month, u.first::smallint, u.second::smallint, u.orders::integer
FROM unnest(
    %(owners)s::bigint[], %(months)s::date[], %(first)s::bigint[], %(second)s::bigint[], %(orders)s::bigint[]
) AS u (owner_id, month, first, second, orders)
"""


def make(conn: Connection, *, everybody: int, all_orders: int) -> None:
    """Fill customer_baskets and basket_sums, both of which must be empty, by the categories that there are."""
    conn.exec_driver_sql(sql.SQL("SET LOCAL work_mem = {}").format(sql.Literal(WORK_MEMORY)).as_string())
    given = {"piece": PIECE_BITS, "within": _WITHIN, "order": ORDER_BITS, "code": CODE_BITS, "no_code": NO_CODE}
    rows = [*conn.exec_driver_sql(_READ, given)]
    conn.exec_driver_sql("SET LOCAL work_mem TO DEFAULT")
    counts: list[tuple[Numbers, Numbers]] = []
    waiting = 0
    with cursor_of(conn) as cursor:
        while rows:
            counts.append(_piece(cursor, *rows.pop()))
            waiting += len(counts[-1][0])
            if waiting > MOST_KEYS:
                counts = [_added(counts)]
                waiting = 0
        if counts:
            _write_sums(cursor, *_added(counts), everybody=everybody, all_orders=all_orders)


def _piece(
    cursor: Any, ids: bytes, owners: bytes, order_keys: bytes, days: bytes, line_keys: bytes
) -> tuple[Numbers, Numbers]:
    """Write the baskets of one row of customers; gives the keys of their sums, each once, and how many orders."""
    numbers = _bigints(ids)
    within = numbers & _WITHIN
    counts, number, owner = np.zeros(_WITHIN + 1, np.bool_), *np.zeros((2, _WITHIN + 1), np.int64)
    counts[within], number[within], owner[within] = True, numbers, _bigints(owners)

    lines = _bigints(line_keys)
    lines = lines[counts[lines >> (ORDER_BITS + CODE_BITS)]]
    lines.sort()
    lines = lines[np.append(True, lines[1:] != lines[:-1])] if len(lines) else lines
    codes, of = lines & NO_CODE, lines >> CODE_BITS
    first = np.flatnonzero(np.append(True, of[1:] != of[:-1])) if len(lines) else np.zeros(0, np.int64)
    keys = of[first]
    bits = np.where(codes == NO_CODE, 0, np.int64(1) << np.minimum(codes, NO_CODE - 1))
    baskets = np.bitwise_or.reduceat(bits, first) if len(lines) else bits

    known = _bigints(order_keys)
    sorting = np.argsort(known)
    placed = np.frombuffer(days, ">i4").astype(np.int64)[sorting[np.searchsorted(known[sorting], keys)]]
    months = ((_OF_DATES + placed).astype("M8[M]") - _FIRST_MONTH).astype(np.int64)
    who = keys >> ORDER_BITS
    _write(cursor, number, owner, who, months, baskets)

    base = owner[who] << _OWNER_AT | months << _MONTH_AT
    return _counted(base, codes, np.repeat(base, np.diff(np.append(first, len(lines)))), of)


def _write(cursor: Any, number: Numbers, owner: Numbers, who: Numbers, months: Numbers, baskets: Numbers) -> None:
    if not len(who):
        return
    order = _by(who << MONTH_BITS | months, baskets)
    who, months = who[order], months[order]
    starts = np.flatnonzero(np.append(True, who[1:] != who[:-1]))
    given = {
        "ids": Bigints(number[who[starts]]),
        "owners": Bigints(owner[who[starts]]),
        "starts": Bigints(starts + 1),
        "stops": Bigints(np.append(starts[1:], len(who))),
        "months": Days(_first_days(months)),
        "baskets": Bigints(baskets[order]),
    }
    cursor.execute(_WRITE, given)


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


def _bigints(packed: bytes) -> Numbers:
    return np.frombuffer(packed, ">i8").astype(np.int64)
