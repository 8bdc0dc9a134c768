"""A search as one types it, in a browser, alone and among others who act on the same server.

The others are real sessions that do what their roles do (benchmarks/visitor.py). Each query is asked once only: alone
and in company other ones of the same kinds, so that no answer comes from a cache that the search itself has filled.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import browser, searches
from benchmarks.browser import Desk, Shown
from benchmarks.visitor import LIST, Act, Visitor
from db import connection, customers, sessions
from db.connection import begin
from db.permissions import GATE, Permission, Viewer
from db.sessions import Session

ROOT = Path(__file__).parent.parent
USERS = 20
EVERY = 5.0
"""s between two acts of a user."""
QUERIES = 100
SEED = 4_711
MOST_MS = 300
"""Limit of the 95th percentile, after the debounce, with USERS others."""
STARTING, LOADING = 90.0, 300.0
WARM_UP = 5

_ROLES = ("sales", "sales", "sales", "manager", "sales", "analyst", "sales", "marketer", "sales", "admin")
"""Out of ten users; where a role has nobody, the next one has another."""


def token(username: str) -> tuple[str, Session]:
    """A session of this user with the token that a browser's cookie would hold."""
    with begin(GATE, write=True) as conn:
        user_id = conn.exec_driver_sql("SELECT id FROM users WHERE username = %(u)s", {"u": username}).scalar_one()
        started = sessions.start(conn, user_id=user_id, user_agent="bench")
        cookie = sessions.redeem(conn, ticket=started.ticket)
    with begin(GATE) as conn:
        found = sessions.check(conn, session_id=started.session_id)
    assert cookie
    assert found
    return cookie.token, found


def cast(n: int) -> list[str]:
    """Names of n active users, mixed as in a company; with fewer people some have several tabs."""
    query = "SELECT role, username FROM users WHERE active ORDER BY role, id"
    by_role: dict[str, list[str]] = {}
    with begin(GATE) as conn:
        for role, username in conn.exec_driver_sql(query):
            by_role.setdefault(role, []).append(username)
    wanted = [role for role in _ROLES if role in by_role] or list(by_role)
    met = dict.fromkeys(by_role, 0)
    found = []
    for place in range(n):
        role = wanted[place % len(wanted)]
        found.append(by_role[role][met[role] % len(by_role[role])])
        met[role] += 1
    return found


class Server:
    """`streamlit run app.py` on a free port, on the same database and with its caches, as in daily use."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        environment = {k: v for k, v in os.environ.items() if k != "KEHU_NO_CACHE"}
        self._out = log.open("wb")
        self._process = psutil.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
            cwd=ROOT,
            env=environment | {"DATABASE_URL": connection.engine().url.render_as_string(hide_password=False)},
            stdout=self._out,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Server:
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/healthz", timeout=5) as answer:  # noqa: S310 — our own
                if answer.status == 200:
                    return self
            time.sleep(0.2)
        self.__exit__()
        raise browser.Missing("The server did not start:\n" + self._log.read_text(errors="replace")[-2_000:])

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except psutil.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()

    def settle(self) -> None:
        """Wait until the columns in memory are loaded, where they are: a server is started seldom."""
        deadline = time.monotonic() + LOADING
        while time.monotonic() < deadline and not any(line.get("event") == "columns loaded" for line in self.said()):
            time.sleep(1)

    def seconds(self) -> float:
        """Processor time so far."""
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def said(self) -> list[dict[str, Any]]:
        """The lines of its log: runs, and errors."""
        found = []
        for line in self._log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def runs(self) -> int:
        """How many runs of screens and fragments there were so far."""
        return sum("queries" in line for line in self.said())


def waited() -> float:
    """Seconds so far in which something on this machine had to wait for a processor; 0 where nobody counts them."""
    with suppress(OSError):
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
        return int(some.rpartition("=")[2]) / 1e6
    return 0.0


@dataclass(frozen=True)
class Part:
    """One part of the measurement: what the browser saw, what the others did, what the server needed for it."""

    others: int
    shown: Sequence[Shown]
    acts: Sequence[Act]
    seconds: float
    processor: float
    waited: float
    runs: int


class Crowd:
    """Visitors in a thread of their own, from entering to leaving; at rest none of them sends anything."""

    def __init__(self, visitors: Sequence[Visitor], every: float) -> None:
        self.acts: list[Act] = []
        self._visitors, self._every = visitors, every
        self._here, self._leave = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Crowd:
        self._thread.start()
        self._here.wait()
        self._raise()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()
        if error[0] is None:
            self._raise()

    def _raise(self) -> None:
        if self._failed:
            raise self._failed

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._all())
        except BaseException as error:  # told in the thread that waits
            self._failed = error
        finally:
            self._here.set()
            self._loop.close()

    async def _all(self) -> None:
        async with AsyncExitStack() as open_tabs:
            for visitor in self._visitors:
                await open_tabs.enter_async_context(visitor)
            self._here.set()
            async with asyncio.TaskGroup() as together:
                tasks = [together.create_task(v.stay(self._every, self.acts.append, save)) for v in self._visitors]
                await self._leave.wait()
                for task in tasks:
                    task.cancel()


def save(viewer: Viewer) -> None:
    """What a corrected name or number costs the others: what was kept of such is asked anew. No row is written."""
    with begin(viewer, write=True) as conn:
        connection.bump(conn, ("customers",))


async def debounce(address: str, cookie: str, viewer: Viewer) -> int:
    """ms that the search box waits for another key, as the server tells the browser."""
    async with Visitor(address, cookie, viewer, (), ()) as visitor:
        opened = await visitor.open(LIST, {})
        if visitor.box is None:
            raise browser.Missing(f"{viewer.username} finds no search box in the list of customers: {opened.errors}")
        return visitor.box.debounce_ms


def visitors(address: str, n: int) -> list[Visitor]:
    """n users with words of their own customers."""
    made, known = [], {}
    for seed, username in enumerate(cast(n)):
        cookie, session = token(username)
        if username not in known:
            with begin(session.viewer) as conn:
                rows = customers.page(conn, viewer=session.viewer, today=session.today, sort="newest", limit=200).rows
            ids = [int(i) for i in rows["id"]]
            masked = not session.viewer.can(Permission.PERSONAL_READ)
            asked = [str(i) for i in ids] if masked else [str(name)[: 2 + len(str(name)) // 2] for name in rows["name"]]
            known[username] = (asked or ["a"], ids)
        made.append(Visitor(address, cookie, session.viewer, *known[username], seed=seed))
    return made


def measure(username: str, *, others: int = USERS, n: int = QUERIES, every: float = EVERY) -> dict[str, Any]:
    """The searches of this user: n alone, then n among the others. Raises Missing when something is not there."""
    browser.require()
    cookie, session = token(username)
    queries = _queries(session, 2 * n + WARM_UP)
    half = WARM_UP + (len(queries) - WARM_UP) // 2
    with tempfile.TemporaryDirectory(prefix="kehu_crowd_") as folder, Server(Path(folder) / "server.log") as server:
        server.settle()
        waits = asyncio.run(debounce(server.address, cookie, session.viewer))
        with browser.chromium() as chromium:
            desk = Desk(chromium, server.address, cookie, session)
            for query in queries[:WARM_UP]:
                desk.ask(query)
            alone = _part(server, desk, queries[WARM_UP:half], (), every)
            among = _part(server, desk, queries[half:], visitors(server.address, others), every)
        parts = [alone, among]
        logged = [line for line in server.said() if line.get("level") in ("ERROR", "CRITICAL")]
    return {
        "user": username,
        "debounce_ms": waits,
        "every_s": every,
        "parts": [_figures(part, waits) for part in parts],
        "errors": _errors(parts, desk.errors, logged),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _queries(session: Session, n: int) -> list[browser.Query]:
    """n queries of all kinds, mixed, each another one."""
    with begin(session.viewer) as conn:
        made = searches._made(conn, session.viewer, 3 * n, SEED)
    typed = list(dict.fromkeys(asked.typed for asked in made))
    random.Random(SEED).shuffle(typed)
    found = []
    for query in browser.expected(session, typed):
        found.append(query)
        if len(found) == n:
            break
    return found


def _part(
    server: Server, desk: Desk, queries: Sequence[browser.Query], others: Sequence[Visitor], every: float
) -> Part:
    with Crowd(others, every) as crowd:
        if others:
            time.sleep(every)  # by then each of them has done something
        acted, runs, used, short, began = len(crowd.acts), server.runs(), server.seconds(), waited(), time.monotonic()
        shown = [desk.ask(query) for query in queries]
        seconds, short, used = time.monotonic() - began, waited() - short, server.seconds() - used
        acts = crowd.acts[acted:]
    return Part(len(others), shown, acts, seconds, used, short, server.runs() - runs)


def spread(times: Sequence[float]) -> dict[str, float]:
    """p50, p95 and max in ms, and how many they are of."""
    if not times:
        return {"n": 0}
    ordered = sorted(times)
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)], 1),
        "max": round(ordered[-1], 1),
    }


def _figures(part: Part, waits: int) -> dict[str, Any]:
    """The part in numbers; times of searches without the debounce."""
    seen = [one for one in part.shown if one.ms is not None]
    slowest = sorted(seen, key=lambda one: -(one.ms or 0))[:5]
    by_act: dict[str, list[float]] = {}
    for act in part.acts:
        by_act.setdefault(act.what, []).append(act.ms)
    return {
        "others": part.others,
        "search": spread([(one.ms or 0) - waits for one in seen]),
        "slowest": [{"typed": one.query.typed, "ms": round((one.ms or 0) - waits, 1)} for one in slowest],
        "not_shown": len(part.shown) - len(seen),
        "acts": spread([act.ms for act in part.acts]),
        "by_act": {what: spread(times) for what, times in sorted(by_act.items())},
        "seconds": round(part.seconds, 1),
        "processor": round(part.processor / part.seconds, 3) if part.seconds else 0.0,
        "waited": round(part.waited / part.seconds, 3) if part.seconds else 0.0,
        "runs": part.runs,
        "processor_ms_per_run": round(part.processor * 1000 / part.runs, 1) if part.runs else None,
    }


def _errors(parts: Sequence[Part], page: Sequence[str], logged: Sequence[Mapping[str, Any]]) -> list[str]:
    """Everything that went wrong, in words."""
    found = [f"in the browser: {error}" for error in page]
    for part in parts:
        for one in part.shown:
            if one.ms is None:
                wanted = f"{one.query.place}, {one.query.first}"
                found.append(f"“{one.query.typed}” did not show {wanted}, but: {one.instead}")
        found += [f"{act.what}: {error}" for act in part.acts for error in act.errors]
    return found + [f"in the log: {json.dumps(dict(line), ensure_ascii=False)[:300]}" for line in logged]


def show(found: Mapping[str, Any]) -> None:
    """The measurement as a table."""
    print(
        f"searches in a browser as {found['user']}: ms from the last key to the hits, less the debounce of "
        f"{found['debounce_ms']} ms; load average {found['load_average']}"
    )
    print(f"{'others':>7}{'queries':>9}{'p50':>8}{'p95':>8}{'max':>8}{'not shown':>11}   the server")
    alone, among = found["parts"]
    for part in (alone, among):
        search = part["search"]
        print(
            f"{part['others']:>7}{search['n']:>9}{search.get('p50', '–'):>8}{search.get('p95', '–'):>8}"
            f"{search.get('max', '–'):>8}{part['not_shown']:>11}   {part['processor']:.0%} of one processor, "
            f"{part['processor_ms_per_run']} ms of it for each of {part['runs']} reruns; something on this machine "
            f"waited for a processor {part['waited']:.0%} of the time"
        )
    if alone["search"]["n"] and among["search"]["n"]:
        ratios = " / ".join(f"{among['search'][k] / alone['search'][k]:.2f}" for k in ("p50", "p95", "max"))
        verdict = "kept" if among["search"]["p95"] <= MOST_MS and not among["not_shown"] else "NOT KEPT"
        print(f"in company {ratios} times as long (p50 / p95 / max); limit of the p95: {MOST_MS} ms, {verdict}")
    print(f"what the {among['others']} others did, one act in {found['every_s']:g} s each, ms of their reruns:")
    for what, times in ({"all": among["acts"]} | among["by_act"]).items():
        if times["n"]:
            print(f"  {what:<12}{times['n']:>6}{times['p50']:>9}{times['p95']:>9}{times['max']:>9}")
    print("slowest searches: " + ", ".join(f"{one['typed']} {one['ms']}" for one in among["slowest"]))
    print(f"errors: {len(found['errors'])}")
    for error in found["errors"][:20]:
        print(f"  {error}")
