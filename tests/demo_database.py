"""A database with the whole demo in it, loaded once per run (about a minute) and shared: only read from it.

`demo_database` is what most tests want: DATABASE_URL names the database while the test runs. `demo_url` is for tests
that start processes of their own or need the demo beside another database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

from db import connection, demo
from db.embedded import Server
from tests.engine import copying, serving


@pytest.fixture(scope="session")
def demo_url(server: Server, template: str) -> str:
    """URL of the database with the demo; the days in it are shifted as of the tests' KEHU_NOW."""
    name = f"demo_{os.getpid()}"
    made = make_url(server.url("kehu")).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(made, autocommit=True) as conn:
        conn.execute(copying(name, template))
    url = server.url(name)
    with serving(url):
        assert demo.load().loaded
        with connection.begin_owner() as conn:
            conn.exec_driver_sql("ANALYZE")
    return url


@pytest.fixture
def demo_database(demo_url: str) -> Iterator[str]:
    """DATABASE_URL names the demo for one test; only read from it."""
    with serving(demo_url):
        yield demo_url
