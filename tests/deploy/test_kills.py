"""kill -9 of server, worker or PostgreSQL in the middle of writes: Kehu comes up again, and history equals the rows."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Connection, create_engine, select
from sqlalchemy.pool import NullPool

from db import connection, derived, schema
from db.permissions import WORKER
from tests import make
from tests.deploy.test_run import ROOT, Installation, until
from tests.deploy.writer import calming
from tests.engine import forget

SEED = 20_261_122
MOMENTS = 20
TARGETS = ("database", "web", "worker", "everything")
pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.fixture(scope="module")
def kehu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running Kehu with the cast and a few customers with orders."""
    made = Installation(tmp_path_factory.mktemp("kills") / "data", _free_port())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KEHU_NOW", raising=False)
        patch.setenv("KEHU_DATA", str(made.folder))
        patch.setenv("DATABASE_URL", made.server.start())
        forget()
        subprocess.run([sys.executable, "-m", "db", "migrate"], cwd=ROOT, check=True)
        make.people()
        with connection.begin_owner() as conn:
            for n in range(8):
                customer_id = make.customer(conn, name=f"客户 {n}", region="North")
                make.order(conn, customer_id, make.clock.today(), "12.50")
        with connection.begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        forget()
        made.server.stop()
        made.start()
        yield made
        made.once("stop")
        for process in made.launched:
            process.kill()
            process.wait()
        made.server.stop()
        forget()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_twenty_kills_during_writes_lose_nothing_that_was_acknowledged(kehu: Installation, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.deploy.writer", str(acknowledged), str(SEED)],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": kehu.server.url()},
    )
    try:
        for moment in range(MOMENTS):
            before = acknowledged.read_text().count("\n")
            until(lambda before=before: acknowledged.read_text().count("\n") > before, 60)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.4))
            target = TARGETS[moment % len(TARGETS)]
            _kill(kehu, target)
            calming(acknowledged).touch()
            _comes_up(kehu, target)
            calming(acknowledged).unlink()
            assert writer.poll() is None, "the writer itself must only ever see sentences"
            _reconcile(kehu, acknowledged)
    finally:
        writer.kill()
        writer.wait()
    _derived_catches_up()
    assert acknowledged.read_text().count("\n") > MOMENTS


def _kill(kehu: Installation, target: str) -> None:
    parts = kehu.parts()
    victims = [parts[target]] if target != "everything" else [kehu.launched[-1].pid, *parts.values()]
    for pid in victims:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(pid).children(recursive=True) if pid == parts["database"] else []
            for process in [psutil.Process(pid), *children]:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)


def _comes_up(kehu: Installation, target: str) -> None:
    """The launcher brings worker and database back by itself; without server or launcher, `make run` is typed again."""
    launcher = kehu.launched[-1]
    if target in ("web", "everything"):
        launcher.wait(60)
        kehu.start()
    until(lambda: kehu.server.running() and kehu.healthy() and "worker" in kehu.parts(), 60)


def _reconcile(kehu: Installation, acknowledged: Path) -> None:
    known = {int(line) for line in acknowledged.read_text().split()}
    engine = create_engine(kehu.server.url(), poolclass=NullPool)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
        found = set(conn.scalars(select(schema.change_sets.c.id)))
        assert known <= found, "a change set that was acknowledged is gone"
        for name in ("customers", "notes"):
            _history_equals_rows(conn, name)
    engine.dispose()


def _history_equals_rows(conn: Connection, name: str) -> None:
    """Each value is what the last change made of it, each change starts from what the one before left."""
    t, h = schema.metadata.tables[name], schema.changes.c
    rows = {row["id"]: row for row in conn.execute(select(t)).mappings()}
    last: dict[tuple[int, str], object] = {}
    updates: dict[int, int] = {}
    there: dict[int, bool] = {}
    for change in conn.execute(select(schema.changes).where(h.table_name == name).order_by(h.id)).mappings():
        row_id = change["row_id"]
        there[row_id] = change["action"] != "delete"
        if change["action"] != "update":
            last = {key: value for key, value in last.items() if key[0] != row_id}
            updates.pop(row_id, None)
            continue
        updates[row_id] = updates.get(row_id, 0) + 1
        before = change["before"] | change["before_personal"]
        after = change["after"] | change["after_personal"]
        for column, value in before.items():
            assert last.get((row_id, column), value) == value, (name, row_id, column)
            last[(row_id, column)] = after[column]
    for row_id, standing in there.items():
        assert (row_id in rows) is standing, (name, row_id)
    for (row_id, column), value in last.items():
        now = rows[row_id][column]
        assert (now.isoformat() if hasattr(now, "isoformat") else now) == value, (name, row_id, column)
    for row_id, n in updates.items():
        assert rows[row_id]["version"] >= n + 1, "an update without its version"


def _derived_catches_up() -> None:
    def clean() -> bool:
        with connection.begin(WORKER) as conn:
            drift = derived.check(conn)
        return not drift.found and not drift.pending

    until(clean, 60)
