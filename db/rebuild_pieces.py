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
from functools import cached_property, partial
from typing import Any, LiteralString, Protocol

import numpy as np
import pandas as pd
from psycopg import sql
from sqlalchemy import Connection

from db import settings
from db.array_bytes import Bigints, cursor_of
from db.arrays import Numbers
from db.order_digest import OF_TEXTS, digests
from db.rebuild_arrays import firsts, numbers, placed

WORK_MEMORY = "256MB"
PIECE_BITS = 14
"""Customers who differ in these last bits of their ids only come in one piece."""
ORDER_BITS = 45
"""Room for an order's id: for 35 million millions."""
DAY_BITS = 23
BEFORE = 1 << (DAY_BITS - 1)
"""Days before 2000 that there is room for: more than there are dates."""
PASS_BYTES = 512 * 1024 * 1024
"""Of the table of orders, read at once: about five million of them, so that memory stays bounded; what was read before
is worked out meanwhile."""
MOST_WAITING = 256 * 1024 * 1024
"""Bytes of the numbers in statements that wait, so that memory stays bounded."""
_ORDER = (1 << ORDER_BITS) - 1
_OTHER = ORDER_BITS + PIECE_BITS
"""Where an order's key says that its currency is another than the company's."""
CAMPAIGN_BITS = 40
"""Room for a campaign's id beside a customer's place."""

_CUSTOMERS = """
SELECT id >> %(bits)s AS piece, string_agg(int8send(id), ''), string_agg(int8send(owner_id), ''),
    string_agg(int4send((archived_at IS NOT NULL)::integer), ''),
    string_agg(date_send(timezone(%(zone)s, created_at)::date), ''), array_agg(region)
FROM customers WHERE id >= %(start)s AND id < %(stop)s GROUP BY 1
"""
# Grouping by currency, too, would take half as long again.
_ORDERS = """
SELECT customer_id >> %(bits)s AS piece,
    string_agg(int8send(((currency <> %(currency)s)::integer::bigint << %(other)s)
        | ((customer_id & %(within)s) << %(order)s) | id), ''),
    string_agg(date_send(placed_on), ''), string_agg(timestamptz_send(placed_at), ''),
    string_agg(int8send((amount * 100)::bigint), ''), array_agg(currency) FILTER (WHERE currency <> %(currency)s)
FROM orders WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_LINES = """
SELECT customer_id >> %(bits)s AS piece, string_agg(int8send((customer_id & %(within)s) << %(order)s | order_id), ''),
    string_agg(int8send(product_id), ''), string_agg(int8send((amount * 100)::bigint), '')
FROM order_items WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
_MEMBERS = """
SELECT customer_id >> %(bits)s AS piece,
    string_agg(int8send((customer_id & %(within)s) << %(campaign)s | campaign_id), ''),
    string_agg(int4send(redemptions), '')
FROM campaign_members WHERE customer_id >= %(start)s AND customer_id < %(stop)s GROUP BY 1
"""
# Of an expression PostgreSQL expects as many values as there are customers: it would sort what it groups, or leave the
# grouping to one process.
_SETTINGS = {"work_mem": WORK_MEMORY, "enable_sort": "off", "parallel_tuple_cost": "0"}
_BOUNDS = "SELECT min(id), max(id), pg_relation_size('public.orders') FROM customers"
_BEYOND = sql.SQL("DELETE FROM {} WHERE customer_id < %(start)s OR customer_id >= %(stop)s")


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
    standing: Mapping[str, Sequence[Any]]
    """Table → columns of the rows that stand of these customers, as PostgreSQL packed them."""

    @cached_property
    def usual_days(self) -> Numbers:
        """The usual interval of each customer; 0 where there is none."""
        return _usual_days(self.orders, len(self.ids))

    def ends(self, rows: Numbers) -> Numbers:
        """Where in an array by customer each customer's part ends; it starts where the one before ends."""
        return np.cumsum(np.bincount(rows, minlength=len(self.ids)))


class Part(Protocol):
    """What is made of the pieces."""

    stands: Mapping[str, LiteralString]
    """Table with a row or several for each customer → what is read of what stands in it, by number of the piece."""

    def take(self, cursor: Behind, piece: Piece) -> None:
        """Write what is of these customers, or take away what stands where there are none."""

    def end(self, cursor: Any) -> None:
        """Write what is of all of them."""


class Names:
    """Regions and currencies, each with a place, in the order in which they came; the company's currency first."""

    def __init__(self, currency: str) -> None:
        self.regions: dict[str, int] = {}
        self.currencies: dict[str, int] = {currency: 0}

    def places(self, regions: list[str] | None) -> Numbers:
        """Of a region each."""
        return _places(self.regions, regions)


class Behind:
    """Runs statements one after the other on a thread of its own, while the next ones are worked out."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self._pool = ThreadPoolExecutor(1, "rebuild")
        self._waiting: deque[tuple[Future[Any], int]] = deque()
        self._bytes = 0

    def execute(self, query: LiteralString, given: Mapping[str, Any]) -> None:
        """Have this run; an error of this one or one before is raised here or by `wait`."""
        while self._waiting and (self._bytes >= MOST_WAITING or self._waiting[0][0].done()):
            self._next()
        # Each is planned for the numbers that come with it: a prepared one would be for ten of them.
        running = self.run(lambda: self.cursor.execute(query, given, prepare=False))
        size = sum(each.values.nbytes for each in given.values() if isinstance(each, Bigints))
        self._waiting.append((running, size))
        self._bytes += size

    def _next(self) -> None:
        running, size = self._waiting.popleft()
        self._bytes -= size
        running.result()

    def run(self, act: Callable[[], Any]) -> Future[Any]:
        """Have this done after all that runs already."""
        return self._pool.submit(act)

    def wait(self) -> None:
        """Until all have run."""
        while self._waiting:
            self._next()

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
    """All customers, read for these parts some passes after the other: the next one while one is taken."""
    least, most, size = conn.exec_driver_sql(_BOUNDS).one()
    first, end = (0, 0) if least is None else (least >> PIECE_BITS, (most >> PIECE_BITS) + 1)
    stands = {table: query for part in parts for table, query in part.stands.items()}
    for table in stands:
        beyond = _BEYOND.format(sql.Identifier(table)).as_string()
        conn.exec_driver_sql(beyond, {"start": first << PIECE_BITS, "stop": end << PIECE_BITS})
    count = max(1, -(-(end - first) // max(1, -(-size // PASS_BYTES))))
    zone, currency = settings.get(conn).time_zone, next(iter(names.currencies))
    coming: deque[Future[_Read]] = deque()
    for start in (*range(first, end, count), None):
        if start is not None:
            given = {
                "bits": PIECE_BITS,
                "within": (1 << PIECE_BITS) - 1,
                "order": ORDER_BITS,
                "other": _OTHER,
                "campaign": CAMPAIGN_BITS,
                "start": start << PIECE_BITS,
                "stop": min(start + count, end) << PIECE_BITS,
                "zone": zone,
                "currency": currency,
            }
            coming.append(behind.run(partial(_read, behind.cursor, stands, given)))
        if len(coming) > 1 or (start is None and coming):
            yield from coming.popleft().result().pieces(names)


@dataclass(frozen=True)
class _Read:
    """What was read in a pass, by number of the piece."""

    customers: dict[int, Sequence[Any]]
    orders: dict[int, Sequence[Any]]
    lines: dict[int, Sequence[Any]]
    members: dict[int, Sequence[Any]]
    standing: Mapping[str, dict[int, Sequence[Any]]]
    hashes: Mapping[str, int]
    """Of each currency."""

    def pieces(self, names: Names) -> Iterator[Piece]:
        """Each with its customers in order; what was read of it is forgotten."""
        for currency in self.hashes:
            names.currencies.setdefault(currency, len(names.currencies))
        of_currencies = np.array([self.hashes.get(each, 0) for each in names.currencies], np.int64)
        for number in sorted(self.customers.keys() | {number for rows in self.standing.values() for number in rows}):
            yield _piece(
                names,
                of_currencies,
                number,
                self.customers.pop(number, (b"", b"", b"", b"", [])),
                self.orders.pop(number, (b"", b"", b"", b"", [])),
                self.lines.pop(number, (b"", b"", b"")),
                self.members.pop(number, (b"", b"")),
                {table: rows.pop(number, ()) for table, rows in self.standing.items()},
            )


def _read(cursor: Any, stands: Mapping[str, LiteralString], given: Mapping[str, Any]) -> _Read:
    def rows(query: LiteralString) -> dict[int, Sequence[Any]]:
        return {row[0]: row[1:] for row in cursor.execute(query, given, binary=True)}

    for setting, value in _SETTINGS.items():
        cursor.execute(sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(setting), sql.Literal(value)))
    customers, orders, lines, members = map(rows, (_CUSTOMERS, _ORDERS, _LINES, _MEMBERS))
    standing = {table: rows(query) for table, query in stands.items()}
    currencies = list({given["currency"], *(each for row in orders.values() for each in row[-1] or ())})
    hashes = [row[0] for row in cursor.execute(OF_TEXTS, {"texts": currencies})]
    for setting in _SETTINGS:
        cursor.execute(sql.SQL("SET LOCAL {} TO DEFAULT").format(sql.Identifier(setting)))
    return _Read(customers, orders, lines, members, standing, dict(zip(currencies, hashes, strict=True)))


def _piece(
    names: Names,
    of_currencies: Numbers,
    number: int,
    customers: Sequence[Any],
    orders: Sequence[Any],
    lines: Sequence[Any],
    members: Sequence[Any],
    standing: Mapping[str, Sequence[Any]],
) -> Piece:
    kinds = (">i8", ">i8", ">i4", ">i4")
    ids, owners, archived, created = (numbers(customers[i], kind) for i, kind in enumerate(kinds))
    regions = names.places(customers[4])
    order = np.argsort(ids)
    ids = ids[order]
    place = np.full(1 << PIECE_BITS, -1, np.int64)
    place[ids & ((1 << PIECE_BITS) - 1)] = np.arange(len(ids))
    keys, made = _orders(names, of_currencies, place, orders)
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
        _members(place, numbers(members[0]), numbers(members[1], ">i4")),
        standing,
    )


def _places(known: dict[str, int], named: Sequence[str] | None) -> Numbers:
    """The place of each, new ones after those that are known."""
    if not named:
        return np.zeros(0, np.int64)
    of, each = pd.factorize(np.array(named, object))
    found: Numbers = np.array([known.setdefault(one, len(known)) for one in each], np.int64)[of]
    return found


def _orders(names: Names, of_currencies: Numbers, place: Numbers, packed: Sequence[Any]) -> tuple[Numbers, Orders]:
    """The orders, and their numbers (customer and id) in the same order."""
    kinds = (">i8", ">i4", ">i8", ">i8")
    key, day, at, cents = (numbers(packed[i], kind) for i, kind in enumerate(kinds))
    currency = np.zeros(len(key), np.int64)
    other = key >> _OTHER != 0
    if other.any():
        currency[other] = _places(names.currencies, packed[4])
        key &= (1 << _OTHER) - 1
    digest = digests(key & _ORDER, cents, at, day, of_currencies[currency])
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
    order = placed(of)
    of = of[order]
    first = firsts(of)
    sorting = placed(keys)
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


def _members(place: Numbers, key: Numbers, redemptions: Numbers) -> Members:
    row = place[key >> CAMPAIGN_BITS]
    order = placed(key)  # customers stand in the order of their ids
    order = order[row[order] >= 0]
    return Members(row[order], key[order] & ((1 << CAMPAIGN_BITS) - 1), redemptions[order])
