"""Migrations: from nothing, over data, two at once, behind a lock, killed in the middle; never back."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from db import connection, derived, migrate
from db.connection import begin
from db.embedded import Server
from db.errors import Unavailable
from db.permissions import WORKER
from tests import conftest, make

ROOT = Path(__file__).parents[2]
MIGRATE = "from db import migrate; print(migrate.migrate())"
# Says when the last revision's first table stands, uncommitted, and waits there to be killed.
STUCK = """
import time
from sqlalchemy import Engine, event
from db import migrate

@event.listens_for(Engine, "after_cursor_execute")
def stop(conn, cursor, statement, *rest):
    if "CREATE TABLE customers" in statement:
        print("in the middle", flush=True)
        time.sleep(60)

migrate.migrate()
"""


@pytest.fixture
def empty(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database, which DATABASE_URL names meanwhile."""
    name = f"migrations_{os.getpid()}_{len(request.node.name)}"
    conftest._create(server, name, None)
    yield from conftest._served(server, name)


def relations(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        query = "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'jobs', 'scoped')"
        return set(conn.scalars(text(query)))


def python(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def revisions() -> list[str]:
    """From the first to the newest."""
    scripts = ScriptDirectory.from_config(migrate.config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def test_one_line_of_revisions_that_lead_forward_only_and_know_nothing_of_todays_schema() -> None:
    scripts = ScriptDirectory.from_config(migrate.config())
    assert scripts.get_heads() == [migrate.head()]
    assert len(scripts.get_bases()) == 1
    for script in scripts.walk_revisions():
        # What went wrong is mended by a next revision: a way back that is never walked is never right.
        assert not hasattr(script.module, "downgrade"), script.revision
        assert script.module.__doc__, script.revision
        source = Path(script.path)
        assert source.stem == script.revision
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not [n for n in names if n.split(".")[0] == "db"], f"{script.revision} is not frozen"


def test_from_nothing_step_by_step_over_data_and_again(empty: str) -> None:
    first, *later = revisions()
    with connection.begin_owner() as conn:
        assert migrate.current(conn) is None
        assert migrate.upgrade(conn, first) is None
    kept: dict[str, list[tuple[object, ...]]] = {}
    for revision in later:
        with connection.begin_owner() as conn:
            migrate.upgrade(conn, revision)
            assert migrate.current(conn) == revision
            if not kept and "customers" in relations_of(conn):
                customer_id = make.bare_customer(conn, name="张三")
                make.order(conn, customer_id, make.clock.now().date())
                kept = {name: rows(conn, name) for name in ("customers", "orders", "users", "generations")}
                assert kept["customers"]
    assert migrate.migrate() == (migrate.head(), migrate.head())
    with connection.begin_owner() as conn:
        standing = {name: rows(conn, name) for name in kept}
    areas = dict(standing.pop("generations"))  # type: ignore[arg-type]
    assert dict(kept.pop("generations")).items() <= areas.items(), "new areas may begin"  # type: ignore[arg-type]
    # New columns may come, at the end.
    assert {
        name: [row[: len(was)] for row, was in zip(standing[name], kept[name], strict=True)] for name in kept
    } == kept


def test_the_roll_up_that_stood_before_counts_active_customers_too(empty: str) -> None:
    """What an older Kehu rolled up is added to in place; what waited in its queue is done by the next refresh."""
    days = ("2026-02-27", "2026-02-27", "2026-03-01", "2026-03-02")  # a month ends before the week does
    with connection.begin_owner() as conn:
        migrate.upgrade(conn, "2026_11_22_exports")
        old, waiting = make.bare_customer(conn), make.bare_customer(conn)
        for customer in (old, waiting):
            for day in days:
                make.order(conn, customer, date.fromisoformat(day), "1.00")
        conn.exec_driver_sql(
            "INSERT INTO customer_metrics (customer_id, first_order_on, last_order_on, orders, revenue, refreshed_at) "
            "SELECT customer_id, min(placed_on), max(placed_on), count(*), sum(amount), now() FROM orders "
            "WHERE customer_id = %(old)s GROUP BY 1",
            {"old": old},
        )
        conn.exec_driver_sql(
            "INSERT INTO daily_sales (day, owner_id, region, currency, orders, revenue, new_customers) "
            "SELECT placed_on, 0, '', currency, count(*), sum(amount), (placed_on = '2026-02-27')::integer FROM orders "
            "WHERE customer_id = %(old)s GROUP BY 1, 4",
            {"old": old},
        )
        conn.exec_driver_sql(
            "INSERT INTO touched_customers (customer_id, touched_at) VALUES (%(id)s, now())", {"id": waiting}
        )
    migrate.migrate()
    with begin(WORKER, write=True) as conn:
        firsts = "SELECT first_of_day, first_of_week, first_of_month FROM daily_sales ORDER BY day"
        assert [tuple(row) for row in conn.exec_driver_sql(firsts)] == [(1, 1, 1), (1, 0, 1), (1, 1, 0)]
        assert derived.refresh(conn) == 1
        assert [tuple(row) for row in conn.exec_driver_sql(firsts)] == [(2, 2, 2), (2, 0, 2), (2, 2, 0)]
        assert derived.check(conn) == derived.Drift((), (), 0)


def relations_of(conn: Connection) -> set[str]:
    return set(conn.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))


def rows(conn: Connection, name: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in conn.exec_driver_sql(f"TABLE {name}")]


def test_two_migrators_at_once_take_turns(empty: str) -> None:
    both = [python(MIGRATE) for _one in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    head = migrate.head()
    assert sorted(out.strip() for out, _err in said) == sorted([str((None, head)), str((head, head))])


def test_a_held_lock_is_a_sentence_and_not_a_hang(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_MS", 100)
    with connection.engine().connect() as conn:
        conn.execute(text("SELECT pg_advisory_lock(:key)"), {"key": migrate.ADVISORY_LOCK})
        with pytest.raises(Unavailable, match="try again in a moment"):
            migrate.migrate()
        conn.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": migrate.ADVISORY_LOCK})
    assert migrate.migrate() == (None, migrate.head())


def test_killed_in_the_middle_it_leaves_what_was_there(empty: str) -> None:
    before = relations(empty)
    process = python(STUCK)
    assert process.stdout
    assert process.stdout.readline() == "in the middle\n", process.communicate(timeout=10)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    assert relations(empty) == before
    assert migrate.migrate() == (None, migrate.head())
