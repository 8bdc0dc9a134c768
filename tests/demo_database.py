"""A database with the whole demo in it, loaded once per run (about a minute) and shared: only read from it.

`demo_database` is what most tests want: DATABASE_URL names the database while the test runs. `demo_url` is for tests
that start processes of their own or need the demo beside another database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from db import connection, demo
from db.embedded import Server


@contextmanager
def _serving(url: str) -> Iterator[None]:
    """DATABASE_URL names this database, and this process has no other engine meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        connection.engine.cache_clear()
        try:
            yield
        finally:
            connection.engine().dispose()
            connection.engine.cache_clear()


@pytest.fixture(scope="session")
def demo_url(server: Server, template: str) -> str:
    """URL of the database with the demo; the days in it are shifted as of the tests' KEHU_NOW."""
    name = f"demo_{os.getpid()}"
    made = make_url(server.url("kehu")).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(made, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    url = server.url(name)
    with _serving(url):
        assert demo.load().loaded
        with connection.begin_owner() as conn:
            conn.exec_driver_sql("ANALYZE")
    return url


@pytest.fixture
def demo_database(demo_url: str) -> Iterator[str]:
    """DATABASE_URL names the demo for one test; only read from it."""
    with _serving(demo_url):
        yield demo_url
