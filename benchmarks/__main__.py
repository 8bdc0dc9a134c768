"""`python -m benchmarks`: each screen's data, and what the shell adds to a page, on the database as it stands.

CPU is this process's own (Python); what PostgreSQL spends shows only in the wall time. The load average tells how far
to trust wall times; the ratio of shell to bare page comes from interleaved runs of one process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from streamlit.testing.v1 import AppTest

from components import data, visit
from db import sessions
from db.connection import begin, engine
from db.permissions import GATE
from pages import SCREENS

ROUNDS = 15

BARE = """
import runpy
import streamlit as st
from components import data, page, visit
with data.run("bench") as run:
    with data.snapshot(st.session_state["bench_session"]), page.guard():
        runpy.run_path(st.session_state["bench_file"])
"""


def main() -> int:
    """Measure and print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each screen after warming up")
    parser.add_argument("--user", default="", help="user name; by default one of each role")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.environ["KEHU_NO_CACHE"] = "1"
    rows = [row for name in _users(asked.user) for row in _screens(name, asked.rounds)]
    found = {
        "load_average": [round(n, 2) for n in os.getloadavg()],
        "round_trip_ms": _round_trip(),
        "screens": rows,
        "shell": _shell(_users(asked.user)[0], asked.rounds),
    }
    if asked.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        _print(found)
    return 0


def _users(name: str) -> list[str]:
    """One active user of each role, or the one that was named."""
    query = "SELECT DISTINCT ON (role) username FROM users WHERE active ORDER BY role, id"
    with begin(GATE) as conn:
        every = list(conn.exec_driver_sql(query).scalars())
    if not every:
        sys.exit("There is no user yet. Run `make setup` first, or add one with `make cli ARGS='users add …'`.")
    return [name] if name else every


def _round_trip() -> float:
    """What any query costs at least here: median of SELECT 1 in an open transaction, in ms."""
    with begin(GATE) as conn:
        return _median(lambda: conn.exec_driver_sql("SELECT 1").scalar(), 200)


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


def _screens(username: str, rounds: int) -> list[dict[str, Any]]:
    """Each screen the user may open: queries, and the time inside the reads that feed it (caches off, buffers warm)."""
    session = _session(username)
    rows = []
    for screen in SCREENS:
        if not session.viewer.can(screen.permission):
            continue
        params = _example(session, screen.path)
        app = _whole(session)
        app.run()
        if screen is not SCREENS[0]:
            app.switch_page(f"../{screen.file}")
        spent: list[tuple[float, float]] = []
        with _timed_reads(spent):
            for _round in range(rounds + 2):
                spent.append((0.0, 0.0))
                app.query_params.update(params)
                app.run()
                if app.exception or app.error:
                    raise RuntimeError(
                        f"{screen.path} as {username}: {[e.value for e in (*app.exception, *app.error)]}"
                    )
        wall = [w for w, _c in spent[2:]]
        rows.append(
            {
                "screen": screen.path,
                "user": username,
                "queries": data.queries(),
                "data_ms": round(statistics.median(wall), 1),
                "data_ms_max": round(max(wall), 1),
                "data_cpu_ms": round(statistics.median(c for _w, c in spent[2:]), 1),
            }
        )
    return rows


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


def _example(session: sessions.Session, path: str) -> dict[str, str]:
    """Parameters that make the screen work hardest: the whole time, the customer with most orders."""
    if path == "overview":
        return {"overview_period": "all"}
    if path == "customer":
        with begin(session.viewer) as conn:
            query = "SELECT customer_id FROM customer_metrics ORDER BY orders DESC LIMIT 1"
            return {"id": str(conn.exec_driver_sql(query).scalar() or 0)}
    return {}


def _bare(session: sessions.Session, file: str) -> AppTest:
    app = AppTest.from_string(BARE, default_timeout=120)
    app.session_state["bench_session"] = session
    app.session_state["bench_file"] = file
    return app


def _whole(session: sessions.Session) -> AppTest:
    app = AppTest.from_file("../components/shell.py", default_timeout=120)
    app.session_state[visit.SESSION] = session.id
    return app


def _shell(username: str, rounds: int) -> dict[str, float]:
    """CPU of one run of the first screen through the shell, of the same page body bare, and the difference, in ms."""
    session = _session(username)
    bare = _bare(session, SCREENS[0].file)
    whole = _whole(session)
    costs: dict[str, list[float]] = {"bare": [], "whole": []}
    for turn in range(rounds + 2):
        for name, app in (("bare", bare), ("whole", whole)):
            began = time.process_time()
            app.run()
            if turn >= 2:
                costs[name].append((time.process_time() - began) * 1000)
    medians = {name: round(statistics.median(times), 1) for name, times in costs.items()}
    return medians | {"added": round(medians["whole"] - medians["bare"], 1)}


def _print(found: dict[str, Any]) -> None:
    print(f"load average {found['load_average']}, round trip {found['round_trip_ms']} ms (the limit of any query)")
    print(f"{'screen':<12}{'user':<18}{'queries':>8}{'data ms':>10}{'max':>8}{'CPU ms':>8}   limit 150 ms, 12 queries")
    for row in found["screens"]:
        print(
            f"{row['screen']:<12}{row['user']:<18}{row['queries']:>8}{row['data_ms']:>10}{row['data_ms_max']:>8}"
            f"{row['data_cpu_ms']:>8}"
        )
    shell = found["shell"]
    print(f"shell: {shell['whole']} ms CPU whole, {shell['bare']} bare, {shell['added']} added (limit 15)")


if __name__ == "__main__":
    code = main()
    engine().dispose()
    sys.exit(code)
