"""One throw-away PostgreSQL per process; every test gets its own database, cloned from a migrated template.

`KEHU_TEST_SERVER` names the bin folder of another PostgreSQL (15–18) to run the same tests on.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

os.environ.setdefault("KEHU_NOW", "2026-11-20T15:00:00+00:00")
# What is compiled is kept, for this process and the hundreds that tests start, whatever the environment says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

from db import connection, migrate
from db.embedded import Server
from tests import make
from tests.demo_database import demo_database, demo_url  # noqa: F401  (fixtures)
from tests.engine import copying, home, serving

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

DEMO = {"db/test_demo", "db/test_segments_demo", "db/terminal/test_manual", "pages/test_cross_checks"}
"""Files whose tests read the demo: one process loads it, which takes a minute."""
FIRST = ("demo", "deploy/test_kills", "browser")
"""The longest groups, longest first."""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where there are several processes, what takes long begins first."""
    lost = {_group(item.nodeid) for item in items if "demo_url" in getattr(item, "fixturenames", ())} - {"demo"}
    if lost:
        raise pytest.UsageError(f"Name them in DEMO of tests/conftest.py, or the demo is loaded twice: {lost}")
    if hasattr(config, "workerinput"):
        waiting = ("slow", "processes")
        long = {_group(item.nodeid) for item in items if any(map(item.get_closest_marker, waiting))} | {"browser"}
        places = {group: n for n, group in enumerate(FIRST)}
        items.sort(key=lambda item: (places.get(g := _group(item.nodeid), len(FIRST)), g not in long))
    gc.collect()
    gc.freeze()  # as the server does: what is imported now stays


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """What shares a fixture stays in one process.

    The mark that xdist has for this does nothing with pytest 9.2 (https://github.com/pytest-dev/pytest-xdist/issues/1386):
    each test went to whichever process was free, and each process loaded the demo.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


def pytest_sessionfinish() -> None:
    """AppTest leaves its folder to the end of the process, which complains of that where it is a worker's."""
    module = sys.modules.get("streamlit.testing.v1.app_test")
    if module:
        module.TMP_DIR.cleanup()


def _group(nodeid: str) -> str:
    """The demo and the site in the browser are made once for all their tests, other fixtures once for a file."""
    file = nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
    if file in DEMO:
        return "demo"
    return "browser" if file.startswith("browser/") else file


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
