"""Real worker processes: freshness, kills, a database that goes away, two at once, and what the log says."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update

from db import changes, clock, connection, derived, migrate, schema
from db.connection import begin, begin_owner
from db.embedded import Server
from db.permissions import WORKER, Permission, Viewer
from tests import make
from tests.engine import forget
from worker import tasks

ROOT = Path(__file__).parent.parent.parent
SECRET = "Secret Name of a Customer"


class Process:
    """One `python -m worker` and the lines of its log."""

    def __init__(self, url: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.raw.append(line)
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def ready(self, times: int = 1) -> Process:
        wait(lambda: len(self.said("working")) >= times or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.raw
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(5)
        assert self.process.stderr
        self.process.stderr.close()
        return code


def wait(condition: Callable[[], object], seconds: float) -> float:
    """Seconds until the condition holds; fails when it does not in time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.05)
    return time.monotonic() - began


Start = Callable[..., Process]


@pytest.fixture
def start(clone: str) -> Iterator[Start]:
    """Starts workers on the test's database and ends them with it."""
    started: list[Process] = []

    def go(url: str = clone) -> Process:
        started.append(Process(url))
        return started[-1]

    yield go
    for process in started:
        process.end(signal.SIGKILL)


def sold(owner_id: int, *, days: int = 3, region: str = "North", name: str = "Test Customer") -> int:
    """A customer with one order of 10.00 on each of some days, rolled up."""
    with begin(WORKER, write=True) as conn:
        customer = make.customer(conn, owner_id, region=region, name=name)
        for day in range(days):
            make.order(conn, customer, date(2026, 5, 1 + day))
        derived.rebuild(conn)
    return customer


def hand_over(actor: Viewer, customers: list[int], owner_id: int) -> None:
    """Through the one door: the history, the queue and the job are in the same transaction."""
    with begin(actor, write=True) as conn:
        set_id = changes.start(
            conn, actor=actor, command="test", permission=Permission.CUSTOMERS_ASSIGN, source="screen"
        )
        changes.update(conn, set_id, "customers", [{"id": c, "owner_id": owner_id} for c in customers])


def rolled(conn: Connection, customer_id: int) -> int | None:
    conn.rollback()
    m = schema.customer_metrics.c
    return conn.scalar(select(m.rolled_owner_id).where(m.customer_id == customer_id))


def days_of(conn: Connection, owner_id: int) -> int:
    conn.rollback()
    d = schema.daily_sales.c
    return (
        conn.scalar(
            select(text("coalesce(sum(orders), 0)")).select_from(schema.daily_sales).where(d.owner_id == owner_id)
        )
        or 0
    )


def queued(conn: Connection) -> int:
    conn.rollback()
    return make.count(conn, "touched_customers")


def jobs(conn: Connection) -> list[tuple[str, str]]:
    conn.rollback()
    rows = conn.execute(text("SELECT task_name, status::text FROM jobs.procrastinate_jobs ORDER BY id"))
    return [(row.task_name, row.status) for row in rows]


pytestmark = pytest.mark.processes


def test_a_handover_stands_in_the_metrics_within_five_seconds(
    people: make.People, owner: Connection, start: Start
) -> None:
    ann, bo = people.ann.user_id, people.bo.user_id
    customer = sold(ann)
    start().ready()
    hand_over(people.root, [customer], bo)
    took = wait(lambda: rolled(owner, customer) == bo, 5)
    assert took < 5
    assert (days_of(owner, ann), days_of(owner, bo)) == (0, 3)
    wait(lambda: ("refresh_metrics", "todo") not in jobs(owner) and ("refresh_metrics", "doing") not in jobs(owner), 5)
    assert ("refresh_metrics", "succeeded") not in jobs(owner)  # done jobs go at once


def test_what_was_committed_while_no_worker_ran_is_done_at_the_start(
    people: make.People, owner: Connection, start: Start
) -> None:
    customer = sold(people.ann.user_id)
    hand_over(people.root, [customer], people.bo.user_id)
    assert queued(owner) == 1
    start().ready()
    assert rolled(owner, customer) == people.bo.user_id


def test_a_kill_in_the_middle_of_a_refresh_loses_nothing(people: make.People, owner: Connection, start: Start) -> None:
    ann, bo = people.ann.user_id, people.bo.user_id
    customer = sold(ann)
    first = start().ready()
    with begin_owner() as blocker:
        # The refresh takes its entry from the queue and then has to wait for this row.
        blocker.execute(text("SELECT FROM daily_sales FOR UPDATE"))
        hand_over(people.root, [customer], bo)
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%touched_customers%' "
            "AND datname = current_database()"
        )
        wait(lambda: owner.scalar(waiting) or owner.rollback(), 10)
        first.process.kill()
        first.process.wait(10)
    owner.rollback()
    assert (queued(owner), rolled(owner, customer)) == (1, ann)
    assert ("refresh_metrics", "doing") in jobs(owner)
    start().ready()
    assert (queued(owner), rolled(owner, customer)) == (0, bo)
    assert (days_of(owner, ann), days_of(owner, bo)) == (0, 3)
    # The dead worker's job is given back when its signs of life are old enough, and later hand-overs go through.
    hand_over(people.root, [customer], ann)
    wait(lambda: rolled(owner, customer) == ann, 40)
    wait(lambda: not [job for job in jobs(owner) if job[1] == "doing"], 40)


def test_two_workers_at_once_are_exact_and_end_cleanly(people: make.People, owner: Connection, start: Start) -> None:
    owners = [people.ann.user_id, people.bo.user_id, people.cho.user_id]
    customers = [sold(owners[i % 3], region=("North", "East")[i % 2]) for i in range(9)]
    both = [start().ready(), start().ready()]
    for turn in range(40):
        hand_over(people.root, sorted({customers[turn % 9], customers[(turn * 5) % 9]}), owners[turn % 3])
    wait(lambda: not queued(owner) and not [job for job in jobs(owner) if job[1] in ("todo", "doing")], 30)
    with begin(WORKER) as conn:
        assert derived.check(conn) == derived.Drift((), (), 0)
    assert [process.end() for process in both] == [0, 0]
    for process in both:
        assert not [line for line in process.lines if line["level"] != "info"], process.raw
    assert make.count(owner, "customer_metrics") == 9
    assert owner.scalar(text("SELECT count(*) FROM jobs.procrastinate_workers")) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_a_signal_and_says_so(start: Start, number: signal.Signals) -> None:
    process = start().ready()
    began = time.monotonic()
    assert process.end(number) == 0
    assert time.monotonic() - began < 5
    assert process.said("stopping")[0]["signal"] == number.name
    assert process.said("stopped")


def test_it_ends_at_a_signal_while_the_database_is_away(start: Start) -> None:
    process = start("postgresql://nobody:x@/none?host=/nowhere")
    wait(lambda: process.said("cannot work with the database now"), 20)
    assert process.end() == 0


@pytest.mark.slow
def test_it_survives_a_restart_of_the_database(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path / "server", durable=False)
    monkeypatch.setenv("DATABASE_URL", server.start())
    forget()
    try:
        process = start(server.url())
        wait(lambda: process.said("cannot work with the database now"), 30)  # no schema yet
        migrate.migrate()
        people = make.people()
        customer = sold(people.ann.user_id)
        process.ready()
        forget()
        server.stop()
        wait(lambda: len(process.said("cannot work with the database now")) > 1, 30)
        server.start()
        process.ready(times=2)
        hand_over(people.root, [customer], people.bo.user_id)
        with connection.engine().connect() as conn:
            wait(lambda: rolled(conn, customer) == people.bo.user_id, 5)
        assert process.end() == 0
    finally:
        forget()
        server.stop()


def test_every_line_of_the_log_is_json_and_none_holds_a_value(
    people: make.People, owner: Connection, start: Start
) -> None:
    customer = sold(people.ann.user_id, name=SECRET)
    process = start().ready()
    with begin_owner() as conn:  # a refresh that fails: its message would quote the row
        conn.execute(text("ALTER TABLE daily_sales ADD CHECK (region <> 'Secret Region')"))
        conn.execute(update(schema.customers).values(region="Secret Region"))
    hand_over(people.root, [customer], people.bo.user_id)
    # The nightly check, should its minute come, fails here too.
    wait(lambda: [line for line in process.said("job failed") if line["task"] == "refresh_metrics"], 10)
    process.end()
    assert len(process.lines) == len(process.raw)
    assert all({"at", "level", "event"} <= line.keys() for line in process.lines)
    assert "Secret" not in "".join(process.raw)
    failed = next(line for line in process.said("job failed") if line["task"] == "refresh_metrics")
    assert failed["level"] == "error"
    assert failed["error"]["sqlstate"] == "23514"
    assert any("db/derived.py" in place for place in failed["error"]["where"])


def test_a_thousand_changes_are_a_few_jobs(people: make.People, owner: Connection, start: Start) -> None:
    customer = sold(people.ann.user_id)
    process = start().ready()
    with begin_owner() as conn:
        conn.execute(text("SELECT count(public.defer_refresh()) FROM generate_series(1, 1000)"))
        conn.execute(insert(schema.touched_customers).values(customer_id=customer, touched_at=clock.now()))
    wait(lambda: not queued(owner) and not [job for job in jobs(owner) if job[1] in ("todo", "doing")], 10)
    assert process.end() == 0
    assert not [line for line in process.lines if line["level"] != "info"], process.raw


def test_the_job_of_a_dead_worker_is_given_back(owner: Connection, clone: str, start: Start) -> None:
    with begin_owner() as conn:
        conn.execute(text("SELECT public.defer_refresh()"))
        conn.execute(text("SET LOCAL search_path = jobs"))
        conn.execute(
            text(
                "WITH dead AS (INSERT INTO procrastinate_workers (last_heartbeat) "
                "VALUES (now() - interval '1 hour') RETURNING id) "
                "UPDATE procrastinate_jobs SET status = 'doing', worker_id = dead.id FROM dead"
            )
        )
    assert jobs(owner) == [("refresh_metrics", "doing")]
    process = start().ready()
    assert process.said("job of a dead worker given back")
    wait(lambda: not [job for job in jobs(owner) if job[1] == "doing"], 10)


# --- the jobs themselves ---------------------------------------------------------------------------------------------


def test_the_job_library_works_with_the_workers_rights_and_not_the_owners(clone: str) -> None:
    import psycopg

    with psycopg.connect(tasks.conninfo.__wrapped__()) as conn:
        role, path = conn.execute("SELECT current_user, current_setting('search_path')").fetchone() or ("", "")
    assert (role, path) == ("kehu_worker", "jobs")


def test_an_event_outside_the_months_is_an_alarm(
    people: make.People, owner: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.log, "propagate", True)
    caplog.set_level(logging.INFO, logger="kehu.worker")
    tasks.make_months()
    assert [record.getMessage() for record in caplog.records] == ["partitions made"]
    names = owner.scalars(text("SELECT relname FROM pg_class WHERE relkind = 'r' ORDER BY 1")).all()
    months = ("2026_11", "2026_12", "2027_01", "2027_02")
    assert [n for n in names if n.startswith("campaign_events_2")] == [f"campaign_events_{m}" for m in months]
    customer = sold(people.ann.user_id)
    with begin(WORKER, write=True) as conn:
        stamps = {"starts_on": date(2020, 1, 1), "ends_on": date(2020, 2, 1), "created_at": clock.now()}
        campaign = conn.scalar(
            insert(schema.campaigns)
            .values(name="Old", updated_at=clock.now(), **stamps)
            .returning(schema.campaigns.c.id)
        )
        values = {"customer_id": customer, "campaign_id": campaign, "kind": "redeemed"}
        conn.execute(insert(schema.campaign_events).values(occurred_on=date(2020, 1, 5), **values))
        conn.execute(insert(schema.campaign_events).values(occurred_on=date(2026, 12, 5), **values))
    caplog.clear()
    tasks.make_months()
    (record,) = caplog.records
    assert (record.levelname, record.__dict__["rows"]) == ("ERROR", 1)


def test_a_drift_is_an_error_in_the_log(
    people: make.People, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.log, "propagate", True)
    monkeypatch.setattr(tasks, "CHECK_ONE_IN", 1)
    caplog.set_level(logging.INFO, logger="kehu.worker")
    customer = sold(people.ann.user_id)
    night = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
    tasks.check_metrics(timestamp=night)
    assert caplog.records[-1].getMessage() == "metrics checked"
    with begin_owner() as conn:
        conn.execute(update(schema.customer_metrics).values(revenue=Decimal(1)))
    tasks.check_metrics(timestamp=night)
    record = caplog.records[-1]
    assert (record.levelname, record.__dict__["first_customers"]) == ("ERROR", (customer,))


def test_a_stopping_worker_leaves_the_rest_of_the_queue(people: make.People, owner: Connection) -> None:
    customer = sold(people.ann.user_id)
    hand_over(people.root, [customer], people.bo.user_id)
    tasks.stopping.set()
    try:
        assert tasks.drain() == 0
    finally:
        tasks.stopping.clear()
    assert queued(owner) == 1
    assert tasks.drain() == 1
