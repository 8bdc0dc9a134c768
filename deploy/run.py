"""The launcher: sets up, starts worker and server, watches them, and ends everything it started."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import psycopg
from psycopg import sql

from db.embedded import Server
from deploy import record, settings
from deploy.settings import ROOT, DeployError, Place

TICK = 0.2  # s between two looks at the parts
READY_TIMEOUT = 120  # s for the server's first answer: a cold disk takes its time
CALM = 60.0  # s that a worker has to live for its next end to count as the first
LONGEST_PAUSE = 60.0  # s before a failing worker is started again


@dataclass(frozen=True)
class Session:
    """The right to start parts: the embedded server, if that is the database, and the record on disk."""

    server: Server | None
    record: record.Record


class Stopped(Exception):
    """Ctrl-C, SIGTERM or a closed terminal asked for the end."""


class Launcher:
    """One run. Signals only leave a note: it is read between steps, so that no step is left half done."""

    def __init__(self) -> None:
        self._asked_to_stop = False

    def setup(self) -> None:
        """Database up, schema newest, demo data in an embedded database that is empty; leaves nothing running."""
        place = settings.place()
        with self._session(place) as session:
            if session:
                self._prepare(session)
                say("set up. `make run` starts it.")

    def run(self) -> None:
        """Set up, start, and stay until asked to stop. Raises DeployError when a part cannot go on."""
        place = settings.place()
        with self._session(place) as session:
            if session is None:
                return
            place.check_free()
            self._prepare(session)
            worker = Worker(session.record)
            web = self._start_web(session, place)
            self._await_answer(place, web)
            say(f"running at {place.url}")
            if place.address in settings.EVERYWHERE and not place.hosts:
                say("other machines are refused until KEHU_HOSTS holds the name by which they call this one.")
            say("Ctrl-C stops everything.")
            self._watch(session, worker, web)

    @contextlib.contextmanager
    def _session(self, place: Place) -> Iterator[Session | None]:
        """The right to start parts; what was started has ended when it closes. None when another run has the right."""
        handle = record.lock()
        if handle is None:
            other = record.load()
            where = other.url if other else place.url
            say(f"already running at {where} — Ctrl-C in its terminal or `make stop` stops it.")
            yield None
            return
        try:
            with self._signals():
                left = record.load()
                if left and record.end_groups(left.groups):
                    say("ended what a killed run had left behind.")
                server = settings.database()
                ours = server is not None and (not server.running() or (left is not None and left.started_database))
                session = Session(server, record.Record(place.url, os.getpid(), started_database=ours))
                session.record.save()
                try:
                    yield session
                except Stopped:
                    say("stopping …")
                finally:
                    record.end_groups(session.record.groups)
                    if server and ours:
                        server.stop()
                    record.forget()
                if self._asked_to_stop:
                    say("stopped.")
        finally:
            os.close(handle)

    def _prepare(self, session: Session) -> None:
        server = session.server
        if server:
            server.start()
        self._step(session, "bringing the database's schema up to date", "migrate")
        if server and _is_empty(server):
            self._step(session, "loading the demo data", "demo")

    def _step(self, session: Session, doing: str, *command: str) -> None:
        self._stop_if_asked()
        say(f"{doing} …")
        process = start(session.record, "db", *command)
        while process.poll() is None:
            self._stop_if_asked()
            time.sleep(TICK / 4)
        if process.returncode:
            raise DeployError(f"Kehu failed {doing}: the reason is above.")

    def _start_web(self, session: Session, place: Place) -> subprocess.Popen[bytes]:
        options = [f"--server.address={place.address}", f"--server.port={place.port}"]
        environment = {"KEHU_HOSTS": ",".join(place.hosts)}
        if session.server:
            # The database is Kehu's own; whether cards for the demo's users are shown, the sign-in decides.
            environment["KEHU_DEMO_CARDS"] = "1"
        return start(session.record, "streamlit", "run", "app.py", *options, environment=environment)

    def _await_answer(self, place: Place, web: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        said = began
        while not _answers(place):
            self._stop_if_asked()
            _check_web(web)
            now = time.monotonic()
            if now - began > READY_TIMEOUT:
                raise DeployError(f"The server does not answer at {place.url}: what it said is above.")
            if now - said > 5:
                said = now
                say(f"waiting for the server, {now - began:.0f} s so far")
            time.sleep(TICK)

    def _watch(self, session: Session, worker: Worker, web: subprocess.Popen[bytes]) -> None:
        looked = time.monotonic()
        while True:
            self._stop_if_asked()
            _check_web(web)
            worker.keep_up()
            if session.server and time.monotonic() - looked > 2:
                looked = time.monotonic()
                if not session.server.running():
                    say("the database has ended unexpectedly; starting it again.")
                    session.server.start()
            time.sleep(TICK)

    def _stop_if_asked(self) -> None:
        if self._asked_to_stop:
            raise Stopped

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for number, handler in before.items():
            # `nohup` asks that a closed terminal be ignored; a script's `&` asks it of Ctrl-C, and is not obeyed.
            if number != signal.SIGHUP or handler is not signal.SIG_IGN:
                signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop = True


class Worker:
    """The worker's process, started again whenever it ends: at once, then after 2, 4, … seconds."""

    def __init__(self, run: record.Record) -> None:
        self._run = run
        self._pause = 1.0
        self._due: float | None = None
        self._start()

    def keep_up(self) -> None:
        """Look after it; never waits."""
        now = time.monotonic()
        if self._due is None and self._process.poll() is not None:
            if now - self._began > CALM:
                self._pause = 1.0
            say(f"the worker {ending(self._process)}; starting it again in {self._pause:.0f} s.")
            self._due = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if self._due is not None and now >= self._due:
            self._start()

    def _start(self) -> None:
        self._due = None
        self._began = time.monotonic()
        self._process = start(self._run, "worker")


def start(
    run: record.Record, module: str, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """One of Kehu's programs, noted in the run's record.

    It gets a process group of its own: Ctrl-C reaches the launcher alone, which ends the parts in order.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {}),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    run.groups = [group for group in run.groups if record.is_there(*group)]
    run.groups.append((process.pid, record.started_at(process.pid)))
    run.save()
    return process


def stop() -> None:
    """End a run of this installation, or what a killed one has left, and the embedded database."""
    other = record.load()
    handle = record.lock()
    if handle is None and other:
        with contextlib.suppress(ProcessLookupError):
            os.kill(other.launcher, signal.SIGTERM)
        deadline = time.monotonic() + 2 * record.STOP_TIMEOUT
        while (handle := record.lock()) is None:
            if time.monotonic() > deadline:
                raise DeployError(f"The run at {other.url} (process {other.launcher}) does not end.")
            time.sleep(0.1)
    if handle is None:
        raise DeployError("A run is just starting here: try again in a moment.")
    try:
        if other:
            record.end_groups(other.groups)
            record.forget()
        server = settings.database()
        if server:
            server.stop()
    finally:
        os.close(handle)
    say("stopped.")


def say(text: str) -> None:
    """A line for the operator; a terminal that is gone must not keep anything from being ended."""
    with contextlib.suppress(OSError):
        print(f"Kehu: {text}", flush=True)


def ending(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    code = process.returncode
    if code < 0:
        return f"was killed ({signal.Signals(-code).name})"
    return f"ended with code {code}"


def _check_web(web: subprocess.Popen[bytes]) -> None:
    if web.poll() is not None:
        raise DeployError(f"The server {ending(web)}: what it said is above. Everything else was stopped.")


def _answers(place: Place) -> bool:
    address = "127.0.0.1" if place.address in settings.EVERYWHERE else place.address
    connection = http.client.HTTPConnection(address, place.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_empty(server: Server) -> bool:
    """Whether nobody has put anything in yet: a user's own data and the demo's are never mixed."""
    with psycopg.connect(server.url().replace("+psycopg", "", 1)) as conn:
        for table in ("customers", "products", "campaigns"):
            if conn.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))).rowcount:
                return False
    return True
