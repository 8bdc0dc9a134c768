"""The engine of the tests' process, which follows DATABASE_URL as they change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import sql

from db import connection


def copying(name: str, template: str) -> sql.Composed:
    """The statement that makes a database like another one.

    Files are copied: through the log, which is PostgreSQL's default, a small one costs up to three times the processor.
    """
    words = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    return words.format(sql.Identifier(name), sql.Identifier(template))


def forget() -> None:
    """Close what the engine holds and forget it: the next use takes DATABASE_URL anew.

    An engine that is only forgotten leaves its connections open, until the garbage collector warns in some later test.
    """
    if connection.engine.cache_info().currsize:
        connection.engine().dispose()
    connection.engine.cache_clear()


@contextmanager
def serving(url: str) -> Iterator[None]:
    """DATABASE_URL names this database, and this process has no other engine meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        forget()
        try:
            yield
        finally:
            forget()
