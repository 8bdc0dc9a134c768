"""Segments measured: rules at random counted, explored and listed; each count compared with a naive second opinion."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection

from benchmarks.reference import Reference
from benchmarks.reports import three
from benchmarks.rules import Rule, Rules, values
from db import derived, held, scores, segments, settings
from db.connection import begin
from db.customers import Page
from db.permissions import WORKER, Permission, Viewer
from db.rules import conditions, parse_text
from db.sessions import Session

SEED = 20_261
RULES = 200
LEAST, MOST = 0.001, 0.8
"""Shares of everybody that a rule may find."""
BY_POSTGRESQL = 10
"""Of the rules, how many PostgreSQL counts beside."""
LIMITS_MS = {"count": (30, 100), "explore + preview": (None, 300)}
"""Median and 95th percentile at a million customers."""


@dataclass
class Found:
    """Times in milliseconds by the clock and of this process's processor, of each question; `wrong` are counts."""

    customers: int
    load_s: float
    bytes: int
    rules: int
    clock: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    postgresql: list[float] = field(default_factory=list)
    once_over_ms: float = 0.0


def loaded() -> tuple[float, int]:
    """Seconds and bytes of the columns, which are loaded once for all that is measured.

    Before, what waits is added up: no worker runs, and the second opinion reads the raw tables.
    """
    with begin(WORKER, write=True, timeout_ms=600_000) as conn:
        while derived.refresh(conn, limit=100_000):
            pass
    began = time.perf_counter()
    if held.standing() is None:
        held.load()
    standing = held.standing()
    return time.perf_counter() - began, standing.columns.bytes if standing else 0


def drawn(session: Session, n: int, seed: int = SEED) -> list[Rule]:
    """Rules that find between LEAST and MOST of everybody in sight of this user."""
    with begin(WORKER) as conn:
        made = Rules(random.Random(seed), session.today, values(lambda query: [*conn.exec_driver_sql(query).scalars()]))
    found: list[Rule] = []
    with begin(session.viewer) as conn:
        asked: dict[str, Any] = {"viewer": session.viewer, "today": session.today}
        everyone = segments.count(conn, rule='{"all":[]}', **asked)
        while len(found) < n:
            rule = made.rule()
            if LEAST <= segments.count(conn, rule=json.dumps(rule), **asked) / max(everyone, 1) <= MOST:
                found.append(rule)
    return found


def measure(session: Session, rules: Sequence[Rule], *, load: tuple[float, int], exact: int) -> Found:
    """Time each rule as this user; `exact` of them are counted by the second opinion too, where the user sees all."""
    seconds, size = load
    viewer = session.viewer
    rules = [rule for rule in rules if _allowed(viewer, rule)]
    found = Found(0, round(seconds, 1), size, len(rules), once_over_ms=_once_over())
    counts: list[int] = []
    for rule in rules:
        _forget()
        asked = {"viewer": viewer, "today": session.today, "rule": json.dumps(rule)}
        with begin(viewer) as conn:
            n = _timed(found, "count", lambda conn=conn, asked=asked: segments.count(conn, **asked))
        _forget()
        with begin(viewer) as conn:
            both = _timed(found, "explore + preview", lambda conn=conn, asked=asked: _both(conn, asked))
        counts.append(n)
        found.customers = both[0].everyone
        found.shares.append(n / max(both[0].everyone, 1))
        if both[0].customers != n or both[1].total != n:
            found.wrong.append(f"{n} counted, {both[0].customers} explored, {both[1].total} listed: {asked['rule']}")
    _ask_postgresql(session, rules[:BY_POSTGRESQL], counts, found)
    if exact and not viewer.scoped and viewer.can(Permission.PERSONAL_READ):
        _compare(session, rules[:exact], counts, found)
    return found


def _allowed(viewer: Viewer, rule: Rule) -> bool:
    """Whether this role may count by it: not by names and contacts that are hidden from it."""
    return not viewer.masked or not any(c.field.personal for c in conditions(parse_text(json.dumps(rule))))


def _forget() -> None:
    """What was asked before is no help: as when something moved since."""
    standing = held.standing()
    if standing:
        standing.sights = []


def _both(conn: Connection, asked: dict[str, Any]) -> tuple[segments.Explored, Page]:
    return segments.explore(conn, **asked), segments.preview(conn, **asked)


def _timed(found: Found, what: str, call: Callable[[], Any]) -> Any:
    clock, cpu = time.perf_counter(), time.process_time()
    answer = call()
    found.clock.setdefault(what, []).append((time.perf_counter() - clock) * 1000)
    found.cpu.setdefault(what, []).append((time.process_time() - cpu) * 1000)
    return answer


def _once_over() -> float:
    """What no count can be faster than: one column compared once."""
    standing = held.standing()
    if standing is None:
        return 0.0
    column, times = standing.columns.of("cents"), []
    for _round in range(20):
        began = time.perf_counter()
        np.count_nonzero(column > 1)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _ask_postgresql(session: Session, rules: Sequence[Rule], counts: Sequence[int], found: Found) -> None:
    """The same by tables, with the columns put aside."""
    standing, held._held = held._held, None
    try:
        for rule, n in zip(rules, counts, strict=False):
            with begin(session.viewer, timeout_ms=120_000) as conn:
                began = time.perf_counter()
                again = segments.count(conn, viewer=session.viewer, rule=json.dumps(rule), today=session.today)
                found.postgresql.append((time.perf_counter() - began) * 1000)
            if again != n:
                found.wrong.append(f"{n} counted, {again} by PostgreSQL: {json.dumps(rule)}")
    finally:
        held._held = standing


def _compare(session: Session, rules: Sequence[Rule], counts: Sequence[int], found: Found) -> None:
    with begin(WORKER, timeout_ms=1_800_000) as conn:
        kept, bounds = settings.get(conn), scores.bounds(conn)[0]
        reference = Reference(conn, zone=kept.time_zone, currency=kept.currency, today=session.today, bounds=bounds)
    for rule, n in zip(rules, counts, strict=False):
        again = int(reference.fits(rule).sum())
        found.compared += 1
        if again != n:
            found.wrong.append(f"{n} counted, {again} by the second opinion: {json.dumps(rule)}")


def show(name: str, found: Found) -> None:
    """Print what was measured, with the limits beside it."""
    print(f"\nSegments as {name}: {found.customers:,} customers in sight, {found.rules} rules")
    print(f"  columns loaded in {found.load_s:,.1f} s, {found.bytes / 1e6:,.0f} MB")
    shares, half = sorted(found.shares), statistics.median(found.shares)
    print(f"  they find {shares[0]:.2%} to {shares[-1]:.1%} of everybody, half of them less than {half:.1%}")
    print(f"  {'':20}{'p50':>8}{'p95':>8}{'max':>8}   processor{'p50':>8}{'p95':>8}{'max':>8}   limits")
    for what, times in found.clock.items():
        limits = " / ".join("-" if n is None else f"{n}" for n in LIMITS_MS[what])
        print(f"  {what:20}{three(times)}            {three(found.cpu[what])}   {limits}")
    print(f"  {'count, PostgreSQL':20}{three(found.postgresql)}            ({len(found.postgresql)} of the rules)")
    print(f"  {'one column, once':20}{found.once_over_ms:8.2f}")
    if found.compared:
        print(f"  compared with a second opinion from the raw tables: {found.compared}")
    print(f"  wrong: {len(found.wrong)}")
    for line in found.wrong:
        print(f"    {line}")
