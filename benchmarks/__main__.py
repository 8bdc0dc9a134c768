"""`python -m benchmarks`: each screen's data, and what the shell adds to a page, on the database as it stands.

CPU is this process's own (Python); what PostgreSQL spends shows only in the wall time. The load average tells how far
to trust wall times; the ratio of shell to bare page comes from interleaved runs of one process.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

from streamlit.testing.v1 import AppTest

from benchmarks import browser, cases, crowd, orders, rebuild, searches, segments
from benchmarks.plans import LARGE, Scan, Statement, recorded
from benchmarks.plans import scans as plans_of
from components import data, visit
from db import sessions
from db.connection import begin, engine
from db.errors import Unavailable
from db.permissions import GATE, WORKER, Permission
from pages import SCREENS

ROUNDS = 15
MANY = 100_000
MOST_MS = {False: 150, True: 1_000}
"""Limits of a screen's data in ms: of the demo's size, and with more than MANY customers."""
MOST_QUERIES = 12
NOT_ALLOWED = "NOT ALLOWED: give it an index or a roll-up, or its reason in benchmarks/plans.py"


def main() -> int:
    """Measure and print a table, or JSON with --json; gives 1 when a plan reads a large table without a reason."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="Large data: `python -m db bench-data --customers 1000000` in an empty database (docs/operations.md).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs of each screen after warming up ({ROUNDS})")
    parser.add_argument("--user", default="", help="user name; by default one of each role, who has most customers")
    parser.add_argument("--screen", default="", help="path of a screen; by default all of them")
    parser.add_argument("--plans", action="store_true", help="list whole reads of large tables; exit code 1 for one")
    parser.add_argument("--search", action="store_true", help="searches alone: times, recall, the naive form beside it")
    parser.add_argument("--segments", action="store_true", help="rules at random: times, and counts compared")
    parser.add_argument("--rules", type=int, default=segments.RULES, help=f"of --segments ({segments.RULES})")
    parser.add_argument("--exact", type=int, default=0, help="of these, how many a second opinion counts, too (none)")
    parser.add_argument("--orders", action="store_true", help="orders that come in, and when they are known; writes")
    parser.add_argument("--rebuild", action="store_true", help="all that is derived made anew, step by step; writes")
    parser.add_argument("--from-nothing", action="store_true", help="of --rebuild: empty what is derived before")
    parser.add_argument("--crowd", action="store_true", help="searches in a browser, alone and among 20 who act")
    parser.add_argument("--queries", type=int, default=crowd.QUERIES, help=f"of --crowd, each time ({crowd.QUERIES})")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    asked = parser.parse_args()
    os.environ["KEHU_NO_CACHE"] = "1"
    logging.disable(logging.WARNING)  # Streamlit misses a browser in every run
    if asked.rebuild:
        rebuild.show(rebuild.measure(from_nothing=asked.from_nothing))
        return 0
    users = _users(asked.user)
    if asked.crowd:
        return _crowd(users, asked.queries, as_json=asked.json)
    if asked.segments:
        return _segments(users, asked.rules, asked.exact)
    if asked.orders:
        orders.show(orders.measure(next(s for s in map(_session, users) if s.viewer.can(Permission.SEGMENTS_EDIT))))
        return 0
    if asked.search:
        for name in users:
            if (session := _session(name)).viewer.can(Permission.PERSONAL_READ):
                searches.show(searches.measure(session))
        return 0
    found: dict[str, Any] = {
        "load_average": [round(n, 2) for n in os.getloadavg()],
        "limits": _limits(),
        "screens": [],
        "queries": [],
        "scans": [],
    }
    for name in users:
        session = _session(name)
        rows, scans = _screens(session, asked.rounds, asked.screen, asked.plans)
        found["screens"] += rows
        found["scans"] += scans
        if not asked.screen or asked.screen == "segments":
            rows, scans = _queries(session, min(asked.rounds, 5), asked.plans)
            found["queries"] += rows
            found["scans"] += scans
    if not asked.screen:
        found["shell"] = _shell(users[0], max(asked.rounds, ROUNDS))
    found["load_average_after"] = [round(n, 2) for n in os.getloadavg()]
    wrong = [scan for scan in found["scans"] if not scan.reason]
    if asked.json:
        found["scans"] = [vars(scan) | {"reason": scan.reason} for scan in found["scans"]]
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        _print(found, asked.plans)
    return 1 if wrong else 0


def _segments(users: list[str], rules: int, exact: int) -> int:
    """The same rules as each of them, who may see segments; gives 1 when a count is wrong."""
    wrong = 0
    sessions_of = {name: _session(name) for name in users}
    widest = max(sessions_of.values(), key=lambda session: not session.viewer.scoped)
    load = segments.loaded()
    drawn = segments.drawn(widest, rules)
    for name, session in sessions_of.items():
        if session.viewer.can(Permission.SEGMENTS_READ) and session.viewer.can(Permission.CUSTOMERS_READ):
            found = segments.measure(session, drawn, load=load, exact=exact)
            segments.show(name, found)
            wrong += len(found.wrong)
    return 1 if wrong else 0


def _crowd(users: list[str], queries: int, *, as_json: bool) -> int:
    """The first of them who sees names searches in a browser; gives 1 when something went wrong meanwhile."""
    name = next((u for u in users if _session(u).viewer.can(Permission.PERSONAL_READ)), users[0])
    try:
        found = crowd.measure(name, n=queries)
    except browser.Missing as error:
        sys.exit(str(error))
    if as_json:
        json.dump(found, sys.stdout, indent=1, ensure_ascii=False)
        print()
    else:
        crowd.show(found)
    return 1 if found["errors"] else 0


def _users(name: str) -> list[str]:
    """One active user of each role, the manager and salesperson with most customers; or the one that was named."""
    query = """
        SELECT DISTINCT ON (u.role) u.username
        FROM users AS u
        WHERE u.active
        ORDER BY u.role, (SELECT count(*) FROM users AS t WHERE t.team_id = u.team_id) DESC, u.id
    """
    with begin(GATE) as conn:
        every = list(conn.exec_driver_sql(query).scalars())
    if not every:
        sys.exit("There is no user yet. Run `make setup` first, or add one with `make cli ARGS='users add …'`.")
    return [name] if name else every


def _limits() -> dict[str, float]:
    """What nothing here can be faster than: a round trip, and looking once at every customer and at every member."""
    with begin(WORKER) as conn:
        return {
            "round_trip_ms": _median(lambda: conn.exec_driver_sql("SELECT 1").scalar(), 200),
            "every_customer_ms": _median(lambda: conn.exec_driver_sql(_EVERY_CUSTOMER).scalar(), 5),
            "customers": conn.exec_driver_sql("SELECT count(*) FROM customers").scalar_one(),
        }


_EVERY_CUSTOMER = "SELECT sum(orders) FROM customer_metrics"


def _median(call: Callable[[], Any], rounds: int) -> float:
    times = []
    for _round in range(rounds):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(times), 3)


def _session(username: str) -> sessions.Session:
    with begin(GATE, write=True) as conn:
        user_id = conn.exec_driver_sql("SELECT id FROM users WHERE username = %(u)s", {"u": username}).scalar_one()
        started = sessions.start(conn, user_id=user_id)
    with begin(GATE) as conn:
        found = sessions.check(conn, session_id=started.session_id)
    assert found
    return found


def _screens(session: sessions.Session, rounds: int, only: str, plans: bool) -> tuple[list[dict[str, Any]], list[Scan]]:
    """Each case of each screen the user may open: queries, and the time inside the reads that feed it.

    Caches are off, buffers warm.
    """
    username = session.viewer.username
    with begin(session.viewer) as conn:
        most = cases.largest(conn)
    rows, scans = [], []
    for screen in SCREENS:
        if not session.viewer.can(screen.permission) or only not in ("", screen.path):
            continue
        own = [c for c in cases.CASES if c.screen == screen.path] or [cases.Case(screen.path, "as it opens", {})]
        for case in own:
            params = {key: value.format(**most) for key, value in case.params.items()}
            app = _whole(session)
            app.run()
            if screen is not SCREENS[0]:
                app.switch_page(f"../{screen.file}")
            spent: list[tuple[float, float]] = []
            statements: dict[tuple[str, str], Statement] = {}
            with _timed_reads(spent), recorded(statements) if plans else nullcontext():
                for _round in range(rounds + 2):
                    spent.append((0.0, 0.0))
                    app.query_params.update(params)
                    app.run()
                    if app.exception or app.error:
                        problems = [e.value for e in (*app.exception, *app.error)]
                        raise RuntimeError(f"{screen.path} ({case.label}) as {username}: {problems}")
            name = f"{screen.path}, {case.label}"
            rows.append({"screen": name, "user": username, "queries": data.queries(), **_figures(spent[2:])})
            _tell(rows[-1])
            if plans:
                scans += plans_of(name, session.viewer, statements)
    return rows, scans


def _queries(session: sessions.Session, rounds: int, plans: bool) -> tuple[list[dict[str, Any]], list[Scan]]:
    """Query functions by themselves, each in a transaction of its own."""
    viewer = session.viewer
    rows, scans = [], []
    for query in cases.QUERIES:
        statements: dict[tuple[str, str], Statement] = {}
        spent: list[tuple[float, float]] = []
        with recorded(statements) if plans else nullcontext():
            for _round in range(rounds + 1):
                wall, cpu = time.perf_counter(), time.thread_time()
                with suppress(Unavailable), begin(viewer) as conn:  # stopped: its time says so
                    query.function(conn, viewer=viewer, today=session.today, **query.values)
                spent.append(((time.perf_counter() - wall) * 1000, (time.thread_time() - cpu) * 1000))
        name = f"segments.{query.label}"
        sent = len({s.sql for s in statements.values()}) if plans else None
        rows.append({"screen": name, "user": viewer.username, "queries": sent, **_figures(spent[1:])})
        _tell(rows[-1])
        if plans:
            scans += plans_of(name, viewer, statements)
    return rows, scans


def _tell(row: dict[str, Any]) -> None:
    """A line while the rest is still being measured."""
    print(f"  {row['screen']} as {row['user']}: {row['data_ms']} ms", file=sys.stderr, flush=True)


def _figures(spent: list[tuple[float, float]]) -> dict[str, float]:
    wall = [w for w, _c in spent]
    return {
        "data_ms": round(statistics.median(wall), 1),
        "data_ms_max": round(max(wall), 1),
        "data_cpu_ms": round(statistics.median(c for _w, c in spent), 1),
    }


class _timed_reads:
    """Adds up wall and CPU of every data.read of a run; a nested read counts once."""

    def __init__(self, spent: list[tuple[float, float]]) -> None:
        self.spent = spent
        self.read = data.read

    def __enter__(self) -> None:
        def timed(*args: Any, **kwargs: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return self.read(*args, **kwargs)
            finally:
                before = self.spent[-1]
                self.spent[-1] = (
                    before[0] + (time.perf_counter() - wall) * 1000,
                    before[1] + (time.thread_time() - cpu) * 1000,
                )

        data.read = timed

    def __exit__(self, *_error: object) -> None:
        data.read = self.read


def _bare(session: sessions.Session, file: str) -> AppTest:
    app = AppTest.from_file("bare.py", default_timeout=120)
    app.session_state["bench_session"] = session
    app.session_state["bench_file"] = file
    return app


def _whole(session: sessions.Session) -> AppTest:
    app = AppTest.from_file("../components/shell.py", default_timeout=120)
    app.session_state[visit.SESSION] = session.id
    return app


def _shell(username: str, rounds: int) -> dict[str, float]:
    """CPU of one run of the first screen through the shell, of the same page body bare, and the difference, in ms.

    Bare: pages registered, since the body draws links, and a session already checked.
    """
    session = _session(username)
    bare = _bare(session, SCREENS[0].file)
    whole = _whole(session)
    costs: dict[str, list[float]] = {"bare": [], "whole": []}
    for turn in range(rounds + 2):
        for name, app in (("bare", bare), ("whole", whole)):
            began = time.process_time()
            app.run()
            if app.exception or app.error:
                raise RuntimeError(f"{name}: {[e.value for e in (*app.exception, *app.error)]}")
            if turn >= 2:
                costs[name].append((time.process_time() - began) * 1000)
    medians = {name: round(statistics.median(times), 1) for name, times in costs.items()}
    return medians | {"added": round(medians["whole"] - medians["bare"], 1)}


def _print(found: dict[str, Any], plans: bool) -> None:
    limits, after = found["limits"], found["load_average_after"]
    large = limits["customers"] > MANY
    most = MOST_MS[large]
    print(f"load average {found['load_average']} before, {after} after; medians of warm runs, caches of Kehu off")
    print(
        f"physical limits: {limits['round_trip_ms']} ms for any query, {limits['every_customer_ms']} ms for looking "
        f"once at each of {limits['customers']:,} customers"
    )
    print(
        f"{'screen':<32}{'user':<18}{'queries':>8}{'data ms':>10}{'max':>9}{'CPU ms':>8}   limit {most} ms, 12 queries"
    )
    for row in (*found["screens"], *found["queries"]):
        over = row["data_ms"] > most or (row["queries"] or 0) > MOST_QUERIES
        print(
            f"{row['screen']:<32}{row['user']:<18}{row['queries'] or '':>8}{row['data_ms']:>10}{row['data_ms_max']:>9}"
            f"{row['data_cpu_ms']:>8}{'   over' if over else ''}"
        )
    if plans:
        _print_scans(found["scans"])
    shell = found.get("shell")
    if shell:
        ratio = shell["whole"] / shell["bare"]
        print(
            f"shell, interleaved with the bare page: {shell['whole']} ms CPU whole, {shell['bare']} bare "
            f"({ratio:.2f} times), {shell['added']} added (limit 15)"
        )


def _print_scans(scans: list[Scan]) -> None:
    """Whole reads of large tables: with the reason, or what to do about them."""
    wrong = [s for s in scans if not s.reason]
    print(f"whole reads of tables with more than {LARGE:,} rows: {len(scans)}, of which without a reason {len(wrong)}")
    seen: dict[tuple[str, str], list[Scan]] = {}
    for scan in scans:
        seen.setdefault((scan.function, scan.table), []).append(scan)
    for (function, table), each in sorted(seen.items()):
        longest = max(each, key=lambda s: s.ms)
        who = ", ".join(sorted({s.user for s in each}))
        print(f"  {function} reads {table}: at most {longest.ms} ms ({longest.screen}), as {who}")
        print(f"    {longest.reason or NOT_ALLOWED}")


if __name__ == "__main__":
    code = main()
    engine().dispose()
    sys.exit(code)
