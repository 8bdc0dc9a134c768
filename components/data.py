"""The only bridge from screens to the database: `read`, `write`, and the run they belong to.

A *run* is one execution of a screen or of one of its fragments, after its session was checked. All its reads share one
read-only snapshot, opened by the first that is not in the cache and closed at the end. Outside a run — in a widget's
callback, in a fragment that is not `page.fragment` — nothing can be read or written, because nobody was checked there.

What a read gave is kept as long as the *areas* of data that it read stand still (db/areas.py): whilst a query runs its
statements are listened to, and the generation numbers of what they name are part of the key under which its answer
is kept. Why the areas of the run that made the answer are enough, though a query may read more on another branch: a
query is a function of its parameters and of the rows that it reads. As long as none of these rows has changed, running
it again sends the same first statement, which finds the same, hence the same second one, and so on to the same answer.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar, cast

import streamlit as st
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.exc import DBAPIError

from db import areas, nested, schema, sessions, words
from db.connection import begin, engine, translated
from db.errors import KehuError
from db.permissions import GATE, Role, Viewer
from db.sessions import Session

Result = TypeVar("Result")
Generations = tuple[tuple[str, int], ...]

CACHE_SECONDS = 600
CACHE_ENTRIES = 2_000
GATE_MODULES = ("db.offers", "db.passwords", "db.sessions")
"""Modules whose tables only the gate may touch; they check the viewer themselves and are never cached."""

log = logging.getLogger("kehu.runs")


@dataclass
class Run:
    """What is going on in this thread: for whom, on which screen, how many statements so far.

    `part` tells runs apart that draw parts of one screen at the same time.
    """

    screen: str
    part: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    session: Session | None = None
    generations: Generations | None = None
    queries: int = 0
    notices: int = 0
    reading: set[str] | None = None
    began: float = field(default_factory=time.perf_counter)
    _open: ExitStack | None = None
    _conn: Connection | None = None

    def connection(self) -> Connection:
        """The run's one snapshot, opened when it is first needed."""
        if self._conn is None:
            assert self.session
            self._open = ExitStack()
            self._conn = self._open.enter_context(begin(self.session.viewer))
        return self._conn

    def ask(self, query: Callable[..., Result], **params: Any) -> Result:
        """The query in the snapshot. Raises Unavailable and Refused as `begin` does.

        What the database refuses or stops ends the snapshot: the next read opens another.
        """
        with translated():
            try:
                return query(self.connection(), **params)
            except Exception as error:
                lost = self._conn is not None and self._conn.invalidated  # which the query may have told in its words
                if isinstance(error, DBAPIError) or lost:
                    self.close(error)
                raise

    def heard(self, query: Callable[..., Result], **params: Any) -> tuple[Result, frozenset[str]]:
        """`ask`, and the areas of data that the answer depends on: all of them where it seems to depend on none."""
        with translated():
            # Opened before, so that what a new connection asks of the server is not taken for the query's.
            kept = self.connection().info["kehu_kept"]
        self.reading = set().union(*(areas.areas_of(table) for table in kept))  # it may be asked without a statement
        try:
            found = self.ask(query, **params)
            # What was answered from memory says itself what it depends on.
            named = self.connection().info.pop("kehu_depends", set())
            return found, frozenset(self.reading | named) or areas.EVERYTHING
        finally:
            self.reading = None

    def close(self, error: Exception | None = None) -> None:
        """End the snapshot, if there is one. Nothing was written: where the connection is gone nothing is lost."""
        opened, self._open, self._conn = self._open, None, None
        if opened:
            with suppress(KehuError):
                opened.__exit__(type(error) if error else None, error, None)


_run: ContextVar[Run | None] = ContextVar("kehu_run", default=None)
_last_queries = 0
_NOT_COUNTED = ("SET ", "SAVEPOINT ", "RELEASE SAVEPOINT ", "ROLLBACK TO SAVEPOINT ")


@event.listens_for(Engine, "before_cursor_execute")
def _count(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
    found = _run.get()
    if found is not None and not statement.startswith(_NOT_COUNTED):
        found.queries += 1
        if found.reading is not None:
            found.reading |= areas.areas_of(statement)


def current() -> Run | None:
    """The run in this thread; None in callbacks and wherever the shell was not passed."""
    return _run.get()


def queries() -> int:
    """Statements of the run in this thread so far, else of the last run. BEGIN, SET and savepoints do not count."""
    found = _run.get()
    return found.queries if found else _last_queries


@contextmanager
def run(screen: str, *, part: str = "") -> Iterator[Run]:
    """Everything from the session check to the last element; logged as one line without values."""
    global _last_queries  # noqa: PLW0603 — for tests, which look from another thread
    made = Run(screen, part)
    before = _run.set(made)
    try:
        yield made
    finally:
        _run.reset(before)
        _last_queries = made.queries
        log.info(
            "run",
            extra={
                "run": made.id,
                "user": made.session.viewer.user_id if made.session else None,
                "screen": made.screen,
                "ms": round((time.perf_counter() - made.began) * 1000, 1),
                "queries": made.queries,
            },
        )


@contextmanager
def snapshot(session: Session) -> Iterator[None]:
    """Let the present run read and write as this session's viewer."""
    found = _run.get()
    if found is None:
        raise RuntimeError("snapshot() outside a run: enter data.run() first")
    found.session = session
    found.generations = session.generations
    try:
        yield
    finally:
        found.close()
        found.generations = None


@contextmanager
def gate(*, write: bool = False) -> Iterator[Connection]:
    """A transaction of the gate, for signing in and out."""
    with begin(GATE, write=write) as conn:
        yield conn


def check(*, session_id: int | None = None, token: str | None = None) -> Session | None:
    """The live session, noted as seen; None when there is none. Raises Unavailable."""
    if session_id is None and not token:
        return None
    with gate() as conn:
        found = sessions.check(conn, session_id=session_id, token=token)
    if found and found.stale:
        with gate(write=True) as conn:
            sessions.touch(conn, session_id=found.id)
    return found


def read(query: Callable[..., Result], *, viewer: Viewer, **params: Any) -> Result:
    """`query(conn, viewer=viewer, **params)` in the run's snapshot, or what it gave before for equal data and rights.

    The result is a copy of its own: changing it changes nothing for anybody else.
    """
    made = _of(viewer)
    if query.__module__ in GATE_MODULES:
        with gate() as conn:
            return query(conn, viewer=viewer, **params)
    # What moves without a generation says so itself.
    if os.environ.get("KEHU_NO_CACHE") == "1" or getattr(query, "volatile", False):
        return made.ask(query, viewer=viewer, **params)
    return _kept(made, _key(made, query, viewer, params), query, params | {"viewer": viewer})


def write(command: Callable[..., Result], *, actor: Viewer, **params: Any) -> Result:
    """`command(conn, actor=actor, **params)` in a transaction of its own, committed; later reads of this run see it."""
    made = _of(actor)
    made.close()
    as_whom = GATE if command.__module__ in GATE_MODULES else actor
    try:
        with begin(as_whom, write=True) as conn:
            return command(conn, actor=actor, **params)
    finally:
        made.generations = None


def _of(viewer: Viewer) -> Run:
    found = _run.get()
    if found is None or found.session is None:
        raise RuntimeError(
            "Reading and writing need a checked session: use `if st.button(…)` instead of a callback, "
            "and page.fragment or page.dialog instead of st.fragment or st.dialog."
        )
    if found.session.viewer != viewer:
        raise RuntimeError("A screen reads and writes as the viewer that require() gave it in this run.")
    return found


def _key(made: Run, query: Callable[..., Any], viewer: Viewer, params: dict[str, Any]) -> tuple[Any, ...]:
    """All that the result depends on beside the data.

    A scoped viewer's rows may depend on who they are (their own change sets), and so may those of a query that looks
    at `viewer.user_id`; such results are kept for each user, the others for each scope.
    """
    assert made.session
    if made.generations is None:
        made.generations = made.ask(_generations)
    code = getattr(query, "__code__", None)
    personal = getattr(query, "personal", False) or any(nested.asks(text) for text in _texts(params))
    personal = personal or any(getattr(value, "personal", False) for value in params.values())
    own = viewer.scoped or personal or code is None or "user_id" in code.co_names
    return (
        str(engine().url),
        query.__module__,
        query.__qualname__,
        tuple(sorted(params.items())),
        viewer.role.value,
        viewer.scope,
        viewer.user_id if own else None,
        words.language(),
        made.session.today.isoformat(),
    )


def _texts(params: dict[str, Any]) -> Iterator[str]:
    """The texts among what is asked: rules of segments may be among them."""
    for value in params.values():
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, str):
                yield each


_read_by: dict[tuple[str, str, Role], frozenset[str]] = {}
"""Query and role → the areas that it has been heard to read in this process, whatever it was asked: few, and the rest
of a key. That they are more than one answer needs costs a question that was not due, and never the other way round."""


class _Wider(Exception):
    """More areas were read than the key names: the answer and all that it may depend on, where there is an answer."""


def _kept(made: Run, key: tuple[Any, ...], query: Callable[..., Result], params: dict[str, Any]) -> Result:
    """The answer from the cache, or made and kept under the generations of no less than what it read.

    Those are the generations read *before* the snapshot was opened: data can be newer than its key, never older.
    """
    name = (query.__module__, query.__qualname__, params["viewer"].role)
    moved = dict(made.generations or ())

    def of(read: frozenset[str]) -> tuple[Any, ...]:
        # Nobody moves an area that the database does not know: it is not migrated yet.
        named = read if read <= moved.keys() else moved.keys()
        return (*key, tuple((area, moved[area]) for area in sorted(named)))

    def answer(known: frozenset[str]) -> Result:
        # One thread at a time is here for one key: who waited for another may find that this was not the key.
        if known != _read_by.get(name, frozenset()):
            raise _Wider
        found, read = made.heard(query, **params)
        if not read <= known:
            _read_by[name] = _read_by.get(name, known) | read
            raise _Wider(found, known | read)
        return found

    while True:
        known = _read_by.get(name, frozenset())
        try:
            return cast(Result, _cached()(of(known), partial(answer, known)))
        except _Wider as wider:
            if wider.args:
                found, read = wider.args
                return cast(Result, _cached()(of(read), partial(lambda it: it, found)))


def _generations(conn: Connection) -> Generations:
    areas = schema.generations.c
    return tuple(sorted((row.area, row.n) for row in conn.execute(select(areas.area, areas.n))))


@cache
def _cached() -> Callable[[tuple[Any, ...], Callable[[], Any]], Any]:
    """The one cache of all screens; made when it is first used, because it wants a running server."""

    @st.cache_data(ttl=CACHE_SECONDS, max_entries=CACHE_ENTRIES, show_spinner=False)
    def results(key: tuple[Any, ...], _compute: Callable[[], Any]) -> Any:
        return _compute()

    return results
