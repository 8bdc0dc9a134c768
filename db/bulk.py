"""Loads of millions of rows by the owner of the schema: COPY, and tables without their indexes meanwhile.

For an empty database in one transaction: indexes and keys are dropped, and made again as the catalogue had them, so
that what a load leaves is the schema that migrations made. Killed in the middle, all of it rolls back.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import pyarrow as pa
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter
from pyarrow import csv
from sqlalchemy import Connection

from db.connection import AS_WRITTEN

T = TypeVar("T")

# Foreign keys of the tables and to them, then primary and unique keys, then what indexes are left.
_CONSTRAINTS = """
SELECT c.conrelid::regclass::text AS place, c.conname AS name, c.contype = 'f' AS foreign_key,
    format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname) AS dropping,
    format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
        AS making
FROM pg_constraint AS c
WHERE c.conparentid = 0
    AND (c.contype = 'f' AND (c.conrelid = ANY(%(tables)s::regclass[]) OR c.confrelid = ANY(%(tables)s::regclass[]))
        OR c.contype IN ('p', 'u') AND c.conrelid = ANY(%(tables)s::regclass[]))
ORDER BY c.contype <> 'f', place, name
"""
_INDEXES = """
SELECT i.indrelid::regclass::text AS place, i.indexrelid::regclass::text AS name,
    format('DROP INDEX %%s', i.indexrelid::regclass) AS dropping, pg_get_indexdef(i.indexrelid) AS making
FROM pg_index AS i
WHERE i.indrelid = ANY(%(tables)s::regclass[])
ORDER BY place, name
"""


@contextmanager
def without_indexes(conn: Connection, tables: Sequence[str], tell: Callable[[int, int, str], None]) -> Iterator[None]:
    """Drop keys and indexes of these tables (and keys that point at them), and make them again at the end.

    `tell` is given how many are made, of how many, and the table of the next one.
    """
    named = {"tables": list(tables)}
    constraints = conn.exec_driver_sql(_CONSTRAINTS, named).all()
    for row in constraints:
        _run(conn, row.dropping)
    indexes = conn.exec_driver_sql(_INDEXES, named).all()
    for row in indexes:
        _run(conn, row.dropping)
    yield
    keys = [row for row in constraints if not row.foreign_key]
    again = [*keys, *indexes, *(row for row in constraints if row.foreign_key)]
    for done, row in enumerate(again):
        tell(done, len(again), row.place)
        _run(conn, row.making)


def copy(conn: Connection, table: str, rows: pa.Table, *, frozen: bool) -> int:
    """Copy rows, whose column names are the table's, and give their number; the connection must be the owner's.

    `frozen` needs a table that this transaction has emptied by TRUNCATE: no VACUUM has to visit its rows again.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, FREEZE {})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.Identifier(name) for name in rows.column_names),
        sql.Literal(frozen),
    )
    written = io.BytesIO()
    csv.write_csv(rows, written, csv.WriteOptions(include_header=False))
    cursor = cast(Any, conn.connection.cursor())
    with cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as copying:
        copying.write(written.getbuffer())
    cursor.close()
    return int(rows.num_rows)


def next_id(conn: Connection, table: str, n: int) -> int:
    """Take `n` ids of a table out of its sequence; gives the first."""
    first = conn.exec_driver_sql("SELECT nextval(pg_get_serial_sequence(%(t)s, 'id'))", {"t": table}).scalar_one()
    if n > 1:
        taken = {"t": table, "last": first + n - 1}
        conn.exec_driver_sql("SELECT setval(pg_get_serial_sequence(%(t)s, 'id'), %(last)s)", taken)
    return int(first)


def ahead(made: Iterable[T], most: int = 2) -> Iterator[T]:
    """The same items, made by a thread of their own that is at most `most` ahead: one core makes, one writes."""
    waiting: queue.Queue[tuple[bool, Any]] = queue.Queue(maxsize=most)
    stopped = threading.Event()

    def put(*item: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put(cast(tuple[bool, Any], item), timeout=0.2)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in made:
                put(True, item)
                if stopped.is_set():
                    return
        except BaseException as error:
            put(False, error)
        else:
            put(False, None)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            more, item = waiting.get()
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        stopped.set()
        thread.join()


def _run(conn: Connection, statement: str) -> None:
    conn.exec_driver_sql(statement, execution_options=AS_WRITTEN)
