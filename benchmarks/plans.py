"""`python -m benchmarks --plans`: which large tables the screens read from end to end, and why that is allowed.

Every statement of a screen is kept with the query function that sent it, and explained again in a transaction of the
same viewer. A sequential scan of a table with more than LARGE rows is either listed below with its reason or an error:
it grows with the company, and on small data nobody notices.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from db.connection import begin
from db.permissions import GATE, Viewer

GATE_MODULES = ("offers", "passwords", "sessions")
LARGE = 100_000
"""Rows from which on reading a whole table has to have a reason."""


@dataclass(frozen=True)
class Allowed:
    """A whole read that is meant: by this function of db/, of this table, because of this."""

    function: str
    table: str
    reason: str


_EVERYBODY = "an exact figure of all customers looks once at each, in a narrow table: grows with customers, not orders"
_ONE_LOAD = "bench data is one change set, whose first row the plan expects at once; many sets use the index"
ALLOWED: tuple[Allowed, ...] = (
    *(
        Allowed(function, table, _EVERYBODY)
        for function, tables in (
            # The list: how many customers a filter by figures leaves, and their order by figures.
            ("customers.page", ("customer_metrics",)),
            ("customers.piece", ("customer_categories", "customer_metrics")),
            ("customers.frame", ("customer_categories", "customer_metrics")),
            ("overview._people", ("order_days",)),
            ("overview._stages", ("customer_metrics",)),
            ("segments._each", ("customer_categories", "customer_metrics")),
            ("segments.count", ("customer_categories", "customer_metrics")),
            ("segments.explore", ("customer_categories", "customer_metrics")),
        )
        for table in tables
    ),
    Allowed("overview._sales", "daily_sales", "a period that is nearly all of the roll-up; a shorter one uses its key"),
    Allowed("history._with_undone", "changes", _ONE_LOAD),
    Allowed("history.of_customer", "changes", _ONE_LOAD),
    Allowed("history.sets", "changes", _ONE_LOAD),
    Allowed("timeline.timeline", "changes", _ONE_LOAD),
)
"""Orders, lines, members, events and results are in no entry: nothing on a screen reads all of them."""


@dataclass(frozen=True)
class Statement:
    """One statement of a screen, and the function of db/ that sent it."""

    function: str
    sql: str
    parameters: Any


@dataclass(frozen=True)
class Scan:
    """A sequential scan of a large table: who, on which screen, in which function, rows read, its milliseconds."""

    screen: str
    user: str
    function: str
    table: str
    rows: int
    ms: float

    @property
    def reason(self) -> str:
        """Why it is allowed; '' when it is not."""
        return next((a.reason for a in ALLOWED if (a.function, a.table) == (self.function, self.table)), "")


@contextmanager
def recorded(found: dict[tuple[str, str], Statement]) -> Iterator[None]:
    """Keep every SELECT that is sent meanwhile, once for each function and text."""

    def keep(_conn: Any, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> None:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            function = _sender()
            found.setdefault((function, sql), Statement(function, sql, parameters))

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", keep)


def _sender() -> str:
    """The innermost function of db/ on the stack, as `module.function`."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("db.") and module != "db.connection":
            return f"{module.removeprefix('db.')}.{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]  # None ends the walk
    return "?"


def scans(screen: str, viewer: Viewer, statements: Mapping[Any, Statement]) -> list[Scan]:
    """The sequential scans of large tables by these statements, as this viewer."""
    own = [s for s in statements.values() if s.function.split(".")[0] not in GATE_MODULES]
    of_gate = [s for s in statements.values() if s not in own]
    return [*_scans(screen, viewer, viewer, own), *_scans(screen, viewer, GATE, of_gate)]


def _scans(screen: str, viewer: Viewer, as_whom: Viewer, statements: Iterable[Statement]) -> list[Scan]:
    found: dict[tuple[str, str], Scan] = {}
    with begin(as_whom, timeout_ms=30_000) as conn:
        large = _large(conn)
        for statement in statements:
            before = _scanned(conn)
            plan = _plan(conn, statement)
            listed = [(n, node) for node in _nodes(plan) if (n := node.get("Relation Name")) in large]
            for table, node in listed:
                if node["Node Type"] == "Seq Scan":
                    read = node.get("Actual Rows", node["Plan Rows"]) + node.get("Rows Removed by Filter", 0)
                    ms = node.get("Actual Total Time", 0.0)
                    scan = Scan(screen, viewer.username, statement.function, table, round(read), round(ms, 1))
                    found[statement.function, table] = scan
            # A function hides its plan: what was scanned and stands in none is told by the counters.
            hidden = {table for table, n in _scanned(conn).items() if n > before.get(table, 0)}
            for table in (hidden - {t for t, _node in listed}) & large:
                if (statement.function, table) not in found:
                    found[statement.function, table] = Scan(screen, viewer.username, statement.function, table, 0, 0.0)
    return list(found.values())


def _plan(conn: Connection, statement: Statement) -> Mapping[str, Any]:
    """The plan with what it took; of a statement that was stopped, the plan alone."""
    for explain in ("EXPLAIN (ANALYZE, FORMAT JSON) ", "EXPLAIN (FORMAT JSON) "):
        with suppress(OperationalError), conn.begin_nested():
            found = conn.exec_driver_sql(explain + statement.sql, statement.parameters).scalar_one()
            plan: Mapping[str, Any] = found[0]["Plan"]
            return plan
    raise RuntimeError(f"{statement.function} cannot be explained")


def _large(conn: Connection) -> set[str]:
    query = """
        SELECT relname FROM pg_class
        WHERE relkind = 'r' AND reltuples > %(n)s AND relnamespace = 'public'::regnamespace
    """
    return set(conn.exec_driver_sql(query, {"n": LARGE}).scalars())


def _scanned(conn: Connection) -> dict[str, int]:
    """Table → sequential scans that this transaction has begun of it."""
    query = "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0"
    return {name: n for name, n in conn.exec_driver_sql(query)}


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
