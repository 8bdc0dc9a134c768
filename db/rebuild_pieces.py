"""All customers with their orders, lines and memberships, some thousand at a time: what a rebuild is made of.

PostgreSQL packs each column into bytes, with all processors from 16 on, and here they are put in order: ten million
orders as some hundred pieces. Each statement has a snapshot of its own. That is exact as long as the queue was emptied
before the first of them: whoever changes between two of them stands in the queue again, and `derived.refresh` takes
away what was made of one customer here, of whichever moment, as long as all of it was made of the same piece.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, LiteralString, Protocol

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from db import settings
from db.array_bytes import cursor_of
from db.held_columns import Numbers

WORK_MEMORY = "256MB"
PIECE_BITS = 14
"""Customers who differ in these last bits of their ids only come in one piece."""
ORDER_BITS = 45
"""Room for an order's id: for 35 million millions."""
DAY_BITS = 23
BEFORE = 1 << (DAY_BITS - 1)
"""Days before 2000 that there is room for: more than there are dates."""
PASS_BYTES = 512 * 1024 * 1024
"""Of the table of orders, read at once: about five millions of them, so that memory stays bounded."""
MOST_WAITING = 8
"""Statements that wait to be run, so that memory stays bounded."""
_ORDER = (1 << ORDER_BITS) - 1
_INDEX_BITS = 63 - PIECE_BITS - DAY_BITS

# Numbers of pieces stand in a list of their own: of an expression PostgreSQL expects as many values as there are
# customers, and would sort the orders.
_CUSTOMERS = """
SELECT piece, string_agg(int8send(id), ''), string_agg(int8send(owner_id), ''),
    string_agg(int4send((archived_at IS NOT NULL)::integer), ''),
    string_agg(date_send(timezone(%(zone)s, created_at)::date), ''), array_agg(region)
FROM customers JOIN unnest(%(pieces)s::bigint[]) AS piece ON piece = id >> %(bits)s
WHERE id >= %(start)s AND id < %(stop)s GROUP BY 1
"""
# The hash is that of db/derived_statements.py.
_ORDERS = """
SELECT piece, currency,
    string_agg(int8send((customer_id & %(within)s) << %(order)s | id), ''), string_agg(date_send(placed_on), ''),
    string_agg(timestamptz_send(placed_at), ''), string_agg(int8send((amount * 100)::bigint), ''),
    string_agg(int8send(hashtextextended(concat_ws(' ', id, placed_on, placed_at, currency, amount), 0)), '')
FROM orders JOIN unnest(%(pieces)s::bigint[]) AS piece ON piece = customer_id >> %(bits)s
WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1, 2
"""
_LINES = """
SELECT piece, string_agg(int8send((customer_id & %(within)s) << %(order)s | order_id), ''),
    string_agg(int8send(product_id), ''), string_agg(int8send((amount * 100)::bigint), '')
FROM order_items JOIN unnest(%(pieces)s::bigint[]) AS piece ON piece = customer_id >> %(bits)s
WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_MEMBERS = """
SELECT piece, string_agg(int8send(customer_id), ''), string_agg(int8send(campaign_id), ''),
    string_agg(int4send(redemptions), '')
FROM campaign_members JOIN unnest(%(pieces)s::bigint[]) AS piece ON piece = customer_id >> %(bits)s
WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_BOUNDS = "SELECT min(id), max(id), pg_relation_size('public.orders') FROM customers"


@dataclass(frozen=True)
class Orders:
    """Of a piece's customers, by customer, day, time and id.

    `row` is the customer's place in the piece; days from 2000 on; money in hundredths.
    """

    row: Numbers
    key: Numbers
    day: Numbers
    currency: Numbers
    cents: Numbers
    digest: Numbers


@dataclass(frozen=True)
class Lines:
    """Of a piece's orders, those of an order together: `order` is its place among them."""

    order: Numbers
    product: Numbers
    cents: Numbers


@dataclass(frozen=True)
class Members:
    """Memberships of campaigns, by customer and campaign."""

    row: Numbers
    campaign: Numbers
    redemptions: Numbers


@dataclass(frozen=True)
class Piece:
    """Customers by id, from `start` up to `stop`; regions and currencies are places in Names.

    `created` is the company day, from 2000 on.
    """

    start: int
    stop: int
    ids: Numbers
    owners: Numbers
    regions: Numbers
    archived: Numbers
    created: Numbers
    orders: Orders
    lines: Lines
    members: Members

    @cached_property
    def usual_days(self) -> Numbers:
        """The usual interval of each customer; 0 where there is none."""
        return _usual_days(self.orders, len(self.ids))

    def ends(self, rows: Numbers) -> Numbers:
        """Where in an array by customer each customer's part ends; it starts where the one before ends."""
        return np.cumsum(np.bincount(rows, minlength=len(self.ids)))


class Part(Protocol):
    """What is made of the pieces."""

    def look(self, cursor: Any, given: Mapping[str, Any]) -> None:
        """Read what stands of the customers from `start` up to `stop`, in pieces by `bits`, before they are taken."""

    def take(self, cursor: Any, piece: Piece) -> None:
        """Write what is of these customers."""

    def end(self, cursor: Any) -> None:
        """Write what is of all of them, and take away what is of nobody any more."""


class Names:
    """Regions and currencies, each with a place, in the order in which they came."""

    def __init__(self) -> None:
        self.regions: dict[str, int] = {}
        self.currencies: dict[str, int] = {}


class Behind:
    """Runs statements one after the other on a thread of its own, while the next ones are worked out."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self._pool = ThreadPoolExecutor(1, "rebuild")
        self._waiting: deque[Future[Any]] = deque()

    def execute(self, query: LiteralString, given: Mapping[str, Any]) -> None:
        """Have this run; an error of this one or one before is raised here or by `wait`."""
        while len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft().result()
        # Each is planned for the numbers that come with it: a prepared one would be for ten of them.
        self._waiting.append(self._pool.submit(self.cursor.execute, query, given, prepare=False))

    def wait(self) -> None:
        """Until all have run."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Until the one that runs has ended; those that have not begun never do."""
        self._pool.shutdown(cancel_futures=True)


def take_all(conn: Connection, names: Names, parts: Mapping[str, Part], told: Callable[[str], None]) -> None:
    """Have all customers taken by these parts; `told` hears of each step when it has ended."""
    with cursor_of(conn) as cursor, closing(Behind(cursor)) as behind:
        for piece in pieces(conn, names, parts.values(), behind):
            told("read")
            for step, part in parts.items():
                part.take(behind, piece)
                told(step)
        behind.wait()
        for step, part in parts.items():
            part.end(cursor)
            told(step)


def pieces(conn: Connection, names: Names, parts: Iterable[Part], behind: Behind) -> Iterator[Piece]:
    """All customers, read for these parts when all that runs behind has ended."""
    least, most, size = conn.exec_driver_sql(_BOUNDS).one()
    if least is None:
        return
    first, last = least >> PIECE_BITS, most >> PIECE_BITS
    count = max(1, -(-(last - first + 1) // max(1, -(-size // PASS_BYTES))))
    for start in range(first, last + 1, count):
        behind.wait()
        yield from _pass(conn, names, parts, start, min(start + count, last + 1))


def _pass(conn: Connection, names: Names, parts: Iterable[Part], start: int, stop: int) -> Iterator[Piece]:
    given: dict[str, Any] = {
        "bits": PIECE_BITS,
        "within": (1 << PIECE_BITS) - 1,
        "order": ORDER_BITS,
        "start": start << PIECE_BITS,
        "stop": stop << PIECE_BITS,
        "pieces": list(range(start, stop)),
        "zone": settings.get(conn).time_zone,
    }
    conn.exec_driver_sql(sql.SQL("SET LOCAL work_mem = {}").format(sql.Literal(WORK_MEMORY)).as_string())
    with cursor_of(conn) as cursor:
        customers, orders, lines, members = (
            cursor.execute(query, given, binary=True).fetchall() for query in (_CUSTOMERS, _ORDERS, _LINES, _MEMBERS)
        )
        for part in parts:
            part.look(cursor, given)
    conn.exec_driver_sql("SET LOCAL work_mem TO DEFAULT")
    orders_of: dict[int, list[Any]] = {}
    for row in orders:
        orders_of.setdefault(row[0], []).append(row[1:])
    orders.clear()
    lines_of, members_of = ({row[0]: row[1:] for row in rows} for rows in (lines, members))
    lines.clear()
    for number, *packed in sorted(customers, key=lambda row: row[0]):
        yield _piece(
            names,
            number,
            packed,
            orders_of.pop(number, []),
            lines_of.pop(number, (b"", b"", b"")),
            members_of.pop(number, (b"", b"", b"")),
        )


def _piece(names: Names, number: int, packed: Any, orders: list[Any], lines: Any, members: Any) -> Piece:
    kinds = (">i8", ">i8", ">i4", ">i4")
    ids, owners, archived, created = (numbers(packed[i], kind) for i, kind in enumerate(kinds))
    known = names.regions
    regions = np.array([known.setdefault(region, len(known)) for region in packed[4]], np.int64)
    order = np.argsort(ids)
    ids = ids[order]
    place = np.full(1 << PIECE_BITS, -1, np.int64)
    place[ids & ((1 << PIECE_BITS) - 1)] = np.arange(len(ids))
    keys, made = _orders(names, place, orders)
    return Piece(
        number << PIECE_BITS,
        (number + 1) << PIECE_BITS,
        ids,
        owners[order],
        regions[order],
        archived[order] != 0,
        created[order],
        made,
        _lines(keys, *(numbers(each) for each in lines)),
        _members(place, *(numbers(each, kind) for each, kind in zip(members, (">i8", ">i8", ">i4"), strict=True))),
    )


def _orders(names: Names, place: Numbers, groups: list[Any]) -> tuple[Numbers, Orders]:
    """The orders, and their numbers (customer and id) in the same order."""
    known = names.currencies
    codes = [known.setdefault(group[0], len(known)) for group in groups]
    kinds = (">i8", ">i4", ">i8", ">i8", ">i8")
    key, day, at, cents, digest = (
        np.concatenate([np.zeros(0, np.int64), *(numbers(group[1 + i], kind) for group in groups)])
        for i, kind in enumerate(kinds)
    )
    currency = np.repeat(np.array(codes, np.int64), [len(group[1]) // 8 for group in groups])
    row = place[key >> ORDER_BITS]
    if len(row) and row.min() < 0:  # of customers who came just now, and stand in the queue
        there = row >= 0
        row, key, day, at, cents, digest, currency = (
            each[there] for each in (row, key, day, at, cents, digest, currency)
        )
    days = row << DAY_BITS | day + BEFORE
    order = placed(days)
    # Which of a day's orders came first matters only where they are of several currencies.
    days, codes_then = days[order], currency[order]
    mixed = (days[1:] == days[:-1]) & (codes_then[1:] != codes_then[:-1])
    if mixed.any():
        run = np.cumsum(np.append(False, days[1:] != days[:-1]))
        wanted = np.zeros(run[-1] + 1, np.bool_)
        wanted[run[1:][mixed]] = True
        those = np.flatnonzero(wanted[run])
        own = order[those]
        order[those] = own[np.lexsort((key[own] & _ORDER, at[own], run[those]))]
    return key[order], Orders(row[order], days, day[order], currency[order], cents[order], digest[order])


def _usual_days(orders: Orders, customers: int) -> Numbers:
    """Of each customer the median of the days between distinct days, halves up; 0 where there are not two of them."""
    if not len(orders.row):
        return np.zeros(customers, np.int64)
    gaps = np.diff(orders.day)
    between = (orders.row[1:] == orders.row[:-1]) & (gaps > 0)
    keys = orders.row[1:][between] << DAY_BITS | gaps[between]
    keys.sort()
    n = np.bincount(keys >> DAY_BITS, minlength=customers)
    starts = np.cumsum(n) - n
    known = n >= 2
    sorted_gaps = keys & ((1 << DAY_BITS) - 1)
    low = sorted_gaps[(starts + (n + 1) // 2 - 1)[known]]
    high = sorted_gaps[(starts + n // 2)[known]]
    found = np.zeros(customers, np.int64)
    found[known] = (low + high + 1) // 2
    return found


def _lines(keys: Numbers, of: Numbers, product: Numbers, cents: Numbers) -> Lines:
    order = np.argsort(of)
    of = of[order]
    first = firsts(of)
    sorting = np.argsort(keys)
    known = keys[sorting]
    wanted = of[first]
    at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    there = known[at] == wanted if len(known) else np.zeros(len(wanted), np.bool_)
    each = np.diff(np.append(first, len(of)))
    which = sorting[at] if len(known) else at
    which = np.repeat(np.where(there, which, -1), each)
    if not there.all():
        order, which = order[which >= 0], which[which >= 0]
    return Lines(which, product[order], cents[order])


def _members(place: Numbers, ids: Numbers, campaign: Numbers, redemptions: Numbers) -> Members:
    row = place[ids & ((1 << PIECE_BITS) - 1)]
    order = np.lexsort((campaign, row))
    order = order[row[order] >= 0]
    return Members(row[order], campaign[order], redemptions[order])


def placed(keys: Numbers) -> Numbers:
    """The order by keys of PIECE_BITS and DAY_BITS together, equal ones as they stand; faster than argsort."""
    if len(keys) >= 1 << _INDEX_BITS:
        return np.argsort(keys, kind="stable")
    both = keys << _INDEX_BITS | np.arange(len(keys))
    both.sort()
    found: Numbers = both & ((1 << _INDEX_BITS) - 1)
    return found


def firsts(values: Numbers) -> Numbers:
    """Where in sorted values another one starts."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.zeros(0, np.int64)


def summed(values: Numbers, first: Numbers) -> Numbers:
    """What the values of each part add up to; a part starts where `first` says, and ends where the next one starts."""
    found: Numbers = np.add.reduceat(values, first) if len(first) else np.zeros(0, np.int64)
    return found


def compared(
    keys: Numbers, values: Sequence[Numbers], standing: Numbers, stored: Sequence[Numbers]
) -> tuple[Numbers, Numbers]:
    """Which rows, by keys in order, differ from those that stand, in any order; and the keys that stand in vain."""
    if not len(standing):
        return np.ones(len(keys), np.bool_), standing
    order = np.argsort(standing)
    standing = standing[order]
    at = np.minimum(np.searchsorted(standing, keys), len(standing) - 1)
    same = standing[at] == keys
    vain = np.ones(len(standing), np.bool_)
    vain[at[same]] = False
    for new, old in zip(values, stored, strict=True):
        same &= old[order[at]] == new
    return ~same, standing[vain]


def numbers(packed: bytes, kind: str = ">i8") -> Numbers:
    """What PostgreSQL packed."""
    return np.frombuffer(packed, kind).astype(np.int64)
