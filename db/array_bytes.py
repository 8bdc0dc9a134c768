"""Many whole numbers at once to PostgreSQL: arrays as it receives them, made without a Python number for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format
from sqlalchemy import ColumnElement, Connection, literal
from sqlalchemy.types import NullType

from db.arrays import Numbers


class Bigints:
    """Numbers on their way to PostgreSQL as a bigint[], without a Python number for each."""

    def __init__(self, values: Numbers) -> None:
        self.values = values


class Days(Bigints):
    """Days from 2000 on, on their way as a date[]."""


class _BigintsDumper(Dumper):
    """As PostgreSQL receives an array: one dimension from 1 without nulls, and before each value its length."""

    format = Format.BINARY
    oid = types["int8"].array_oid
    of, kind, size = types["int8"].oid, ">i8", 8

    def dump(self, obj: Any) -> bytes:
        """What is sent for one array; an empty one has no dimension."""
        if not len(obj.values):
            return np.array([0, 0, self.of], ">i4").tobytes()
        told = np.empty(len(obj.values), [("size", ">i4"), ("value", self.kind)])
        told["size"], told["value"] = self.size, obj.values
        return np.array([1, 0, self.of, len(told), 1], ">i4").tobytes() + told.tobytes()


class _DaysDumper(_BigintsDumper):
    """The same of days."""

    oid = types["date"].array_oid
    of, kind, size = types["date"].oid, ">i4", 4


def bound(conn: Connection, values: Numbers) -> ColumnElement[Any]:
    """Numbers as a bigint[] of a statement of SQLAlchemy's on this connection."""
    driver: Any = conn.connection.driver_connection
    driver.adapters.register_dumper(Bigints, _BigintsDumper)
    return literal(Bigints(values), NullType())


@contextmanager
def cursor_of(conn: Connection) -> Iterator[Any]:
    """A cursor of this transaction that takes these as values; nothing else on the connection sends numbers so."""
    with cast(Any, conn.connection.cursor()) as cursor:
        cursor.adapters.register_dumper(Bigints, _BigintsDumper)
        cursor.adapters.register_dumper(Days, _DaysDumper)
        yield cursor
