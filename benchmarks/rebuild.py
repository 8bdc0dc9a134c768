"""A rebuild of all that is derived, step by step: clock and processor time, beside one reading of the raw tables.

Statements of a piece of customers run while the next ones are worked out, so that their processor time may stand with
the step after them; the sum is right. What stands right is not written again; from nothing, everything is. It commits,
as any rebuild does.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete

from db import derived, schema
from db.connection import begin
from db.permissions import WORKER

MOST_S = 60
"""Limit of a rebuild with a million customers, ten million orders and fifteen million lines, on two processors."""
TIMEOUT_MS = 3_600_000
_RAW = {
    "customers": "SELECT count(*), sum(owner_id) FROM customers",
    "orders": "SELECT count(*), sum(amount) FROM orders",
    "order_items": "SELECT count(*), sum(amount) FROM order_items",
    "campaign_members": "SELECT count(*), sum(redemptions) FROM campaign_members",
}
_MADE = (
    *("customer_metrics", "order_days", "daily_sales", "customer_months", "cohort_sums", "campaign_results"),
    *("campaign_purchases", "campaign_sums", "customer_categories", "customer_baskets", "basket_sums"),
    *("customer_classes", "stage_sums", "interval_sums", "wait_sums", "search_words"),
)
_OF_SEARCHES = ("texts", "words", "parts of words")
"""Steps that make no figure but what searches look into; the others make the metrics."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Times:
    """Seconds: by the clock, of PostgreSQL's process, of those that helped it, and of Python.

    PostgreSQL's are 0 where it runs on another machine.
    """

    clock: float = 0
    postgres: float = 0
    helpers: float = 0
    python: float = 0

    def since(self, before: Times) -> Times:
        """What was spent since then."""
        return Times(*(now - then for now, then in zip(vars(self).values(), vars(before).values(), strict=True)))

    def plus(self, more: Times) -> Times:
        """Both together."""
        return Times(*(a + b for a, b in zip(vars(self).values(), vars(more).values(), strict=True)))


@dataclass(frozen=True)
class Found:
    """Rows and seconds of each raw table, the steps of the rebuild, and what it made."""

    raw: dict[str, tuple[int, float]]
    steps: dict[str, Times]
    commit: float
    made: derived.Rebuilt

    @property
    def total(self) -> Times:
        """Of all steps and the commit."""
        return self.metrics.plus(_added(each for step, each in self.steps.items() if step in _OF_SEARCHES))

    @property
    def metrics(self) -> Times:
        """The same without what is of searches."""
        own = _added(each for step, each in self.steps.items() if step not in _OF_SEARCHES)
        return own.plus(Times(clock=self.commit))


def _added(times: Iterable[Times]) -> Times:
    return functools.reduce(Times.plus, times, Times())


def measure(*, from_nothing: bool = False) -> Found:
    """Read the raw tables once, then rebuild."""
    raw = {}
    with begin(WORKER, timeout_ms=TIMEOUT_MS) as conn:
        for table, query in _RAW.items():
            began = time.perf_counter()
            rows = conn.exec_driver_sql(query).one()[0]
            raw[table] = (int(rows), time.perf_counter() - began)
    if from_nothing:
        with begin(WORKER, write=True, timeout_ms=TIMEOUT_MS) as conn:
            conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%(key)s)", {"key": derived.ADVISORY_LOCK})
            for table in _MADE:
                conn.execute(delete(schema.metadata.tables[table]))
            steps, made = _rebuild(conn)
            ended = time.perf_counter()
    else:
        with begin(WORKER, write=True, timeout_ms=TIMEOUT_MS) as conn:
            steps, made = _rebuild(conn)
            ended = time.perf_counter()
    return Found(raw, steps, time.perf_counter() - ended, made)


def _rebuild(conn: Connection) -> tuple[dict[str, Times], derived.Rebuilt]:
    pid = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    steps: dict[str, Times] = {}
    last = _now(pid)

    def told(step: str) -> None:
        nonlocal last
        now = _now(pid)
        steps[step] = steps.get(step, Times()).plus(now.since(last))
        last = now

    return steps, derived.rebuild(conn, told=told)


def _now(pid: int) -> Times:
    """Processes that helped have ended: what they took stands with the one that started them."""
    own, helpers = _spent(pid), 0.0
    if own:
        helpers = _spent(own[2])[1] if _spent(own[2]) else 0.0
    return Times(time.perf_counter(), own[0] if own else 0.0, helpers, time.process_time())


def _spent(pid: int) -> tuple[float, float, int] | tuple[()]:
    """Of a process of this machine that is PostgreSQL's: its own time, that of its children, and its parent."""
    try:
        named, _brace, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
    except OSError:
        return ()
    parts = rest.split()
    if "postgres" not in named:
        return ()
    own, children = (sum(map(int, parts[i : i + 2])) / _TICKS for i in (11, 13))
    return own, children, int(parts[1])


def show(found: Found) -> None:
    """Print it."""
    print("one reading of the raw tables, which no rebuild can do without:")
    for table, (rows, seconds) in found.raw.items():
        print(f"  {table:<18}{rows:>12,} rows{seconds:>9.2f} s")
    read = sum(seconds for _rows, seconds in found.raw.values())
    print(f"{'step':<20}{'clock s':>9}{'PostgreSQL':>12}{'its helpers':>13}{'Python':>9}   processor seconds")
    sums = {"commit": Times(clock=found.commit), "metrics alone": found.metrics, "together": found.total}
    for step, each in (*found.steps.items(), *sums.items()):
        print(f"{step:<20}{each.clock:>9.2f}{each.postgres:>12.2f}{each.helpers:>13.2f}{each.python:>9.2f}")
    print(
        f"{found.made.customers:,} customers, {found.made.days:,} sums of days; {found.total.clock / read:.1f} times "
        f"as long as reading once; limit {MOST_S} s with a million customers and ten million orders"
    )
