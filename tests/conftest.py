"""One throw-away PostgreSQL per process; every test gets its own database, cloned from a migrated template.

`KEHU_TEST_SERVER` names the bin folder of another PostgreSQL (15–18) to run the same tests on.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

os.environ.setdefault("KEHU_NOW", "2026-11-20T15:00:00+00:00")

from db import connection, migrate
from db.embedded import Server
from tests import make
from tests.demo_database import demo_database, demo_url  # noqa: F401  (fixtures)
from tests.engine import copying, home, serving

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What shares a fixture stays in one process; where there are several, what takes long begins first.

    Before xdist's own, which reads the groups, and would find none: each test would go to whichever process is free.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if hasattr(config, "workerinput"):
        waiting = ("slow", "processes")
        long = {_group(item) for item in items if any(map(item.get_closest_marker, waiting))} | {"browser"}
        items.sort(key=lambda item: _group(item) not in long)


def pytest_sessionfinish() -> None:
    """AppTest leaves its folder to the end of the process, which complains of that where it is a worker's."""
    module = sys.modules.get("streamlit.testing.v1.app_test")
    if module:
        module.TMP_DIR.cleanup()


def _group(item: pytest.Item) -> str:
    """The demo and the site in the browser are made once for all their tests, other fixtures once for a file."""
    place = item.path.relative_to(Path(__file__).parent)
    if "demo_url" in getattr(item, "fixturenames", ()):
        return "demo"
    return "browser" if place.parts[0] == "browser" else place.with_suffix("").as_posix()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL of this run alone; not durable.

    In a folder of its own: pytest closes its common one to other users whenever another run starts, and as root
    PostgreSQL runs as another user.
    """
    binaries = os.environ.get("KEHU_TEST_SERVER")
    folder = home()
    found = Server(folder, durable=False, binaries=Path(binaries) if binaries else None)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of an empty, migrated database."""
    name = f"template_{os.getpid()}"
    _create(server, name, None)
    engine = create_engine(server.url(name), poolclass=NullPool)
    with engine.begin() as conn:
        migrate.upgrade(conn)
    engine.dispose()
    return name


def _create(server: Server, name: str, template: str | None) -> None:
    with psycopg.connect(_libpq(server.url("kehu")), autocommit=True) as conn:
        conn.execute(copying(name, template or "template0"))


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def clone(server: Server, template: str) -> Iterator[str]:
    """URL of a database of this test alone, for tests that commit; DATABASE_URL names it meanwhile."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _create(server, name, template)
    yield from _served(server, name)


def _served(server: Server, name: str) -> Iterator[str]:
    url = server.url(name)
    try:
        with serving(url):
            yield url
    finally:
        with psycopg.connect(_libpq(server.url("kehu")), autocommit=True) as conn:
            conn.execute(psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(psycopg.sql.Identifier(name)))


@pytest.fixture
def people(clone: str) -> make.People:
    """Two teams: sales Ann and Bo under manager Mia, sales Cho under manager Max; an analyst, a marketer, an admin."""
    return make.people()


@pytest.fixture
def owner(clone: str) -> Iterator[Connection]:
    """A connection past all rights, to look at what really stands in the tables."""
    with connection.engine().connect() as conn:
        yield conn
