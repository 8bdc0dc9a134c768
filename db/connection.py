"""The engine and `begin(viewer)`, the only way to a connection: role, scope and limits hold for one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from db.errors import Refused, Unavailable
from db.permissions import DATABASE_ROLE, SEARCH_PATH, WRITING_ROLE, Viewer
from db.words import _

STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 5_000
IDLE_TIMEOUT_MS = 60_000

# Several statements in one string are possible only without parameters; a "%" in them stays a "%".
AS_WRITTEN = {"no_parameters": True}


def database_url() -> str:
    """SQLAlchemy URL from DATABASE_URL, else of the embedded server, which is started when it is not up."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        from db import embedded  # the wheel is not needed where DATABASE_URL names a server

        return embedded.default().start()
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


@cache
def engine() -> Engine:
    """One pool per process. Ten connections at most beside five kept; a dead one is noticed before use."""
    return create_engine(
        database_url(),
        pool_size=5,
        max_overflow=10,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold personal values, and messages go to the log
        connect_args={"connect_timeout": 5, "application_name": "kehu"},
    )


def _preamble(viewer: Viewer, *, write: bool, timeout_ms: int) -> str:
    """One round trip. SET LOCAL takes no bound parameters, so literals are quoted by psycopg."""
    role = DATABASE_ROLE[viewer.role]
    if write:
        role = WRITING_ROLE.get(role, role)
    mode = "READ WRITE" if write else "READ ONLY"
    isolation = "READ COMMITTED" if write else "REPEATABLE READ"
    parts = [
        sql.SQL("SET TRANSACTION ISOLATION LEVEL {}, {}").format(sql.SQL(isolation), sql.SQL(mode)),
        sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)),
        sql.SQL("SET LOCAL search_path = {}").format(sql.SQL(SEARCH_PATH[role])),
        _owners(viewer.owner_ids),
        sql.SQL("SET LOCAL kehu.user_id = {}").format(sql.Literal(str(viewer.user_id))),
        sql.SQL("SET LOCAL TimeZone = 'UTC'"),  # images in history hold instants as text
        sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(timeout_ms)),
        sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS)),
        sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}").format(sql.Literal(IDLE_TIMEOUT_MS)),
    ]
    return sql.SQL("; ").join(parts).as_string()


def _owners(owner_ids: tuple[int, ...]) -> sql.Composed:
    listed = ",".join(str(int(i)) for i in owner_ids)
    return sql.SQL("SET LOCAL kehu.owner_ids = {}").format(sql.Literal(listed))


def widen(conn: Connection, viewer: Viewer, owner_id: int) -> None:
    """Let this transaction also write rows of another owner: a hand-over, after permission and old visibility."""
    conn.exec_driver_sql(_owners(tuple({*viewer.owner_ids, owner_id})).as_string(), execution_options=AS_WRITTEN)


@contextmanager
def begin(viewer: Viewer, *, write: bool = False, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Iterator[Connection]:
    """A transaction as this viewer: commits at the end, rolls back on any error.

    Reads are one REPEATABLE READ snapshot and cannot write. Raises Unavailable when the database does not answer or a
    statement exceeds `timeout_ms`, Refused when PostgreSQL denies a privilege.
    """
    with translated(), engine().connect() as conn, conn.begin():
        conn.exec_driver_sql(_preamble(viewer, write=write, timeout_ms=timeout_ms), execution_options=AS_WRITTEN)
        conn.info["kehu_areas"] = set()
        conn.info["kehu_timeout_ms"] = timeout_ms
        # What one snapshot gives to every question alike, under the name of the table that it is from.
        conn.info["kehu_kept"] = None if write else {}
        conn.info["kehu_depends"] = set()
        yield conn
        _move_generations(conn)


@contextmanager
def bounded(conn: Connection, timeout_ms: int) -> Iterator[None]:
    """Statements inside may take so long; one that is stopped is undone alone, and the transaction goes on.

    Raises Unavailable. Two round trips: SQLAlchemy's own savepoint and the limits would be four.
    """
    _run(conn, f"SAVEPOINT bounded; {_limit(timeout_ms)}")
    try:
        with translated():
            yield
    except BaseException:
        if not conn.invalidated:
            _run(conn, "ROLLBACK TO SAVEPOINT bounded; RELEASE SAVEPOINT bounded")
        raise
    _run(conn, f"{_limit(conn.info['kehu_timeout_ms'])}; RELEASE SAVEPOINT bounded")


def _run(conn: Connection, statements: str) -> None:
    with translated():
        conn.exec_driver_sql(statements, execution_options=AS_WRITTEN)


@contextmanager
def trial(conn: Connection) -> Iterator[None]:
    """What is written inside is taken back at once, and moves no generation: to see what a command would do."""
    areas = set(conn.info.get("kehu_areas", ()))
    try:
        with conn.begin_nested() as attempt:
            yield
            attempt.rollback()
    finally:
        conn.info["kehu_areas"] = areas


def _limit(timeout_ms: int) -> str:
    return sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(timeout_ms)).as_string()


def bump(conn: Connection, areas: Iterable[str]) -> None:
    """Note that data of these areas changed: their generations move on with this transaction's commit."""
    conn.info.setdefault("kehu_areas", set()).update(areas)


def _move_generations(conn: Connection) -> None:
    """The last statement before the commit, so that the counter rows are locked for as short as can be."""
    areas = sorted(conn.info.pop("kehu_areas", ()))
    if areas:
        conn.exec_driver_sql("SELECT public.move_generations(%(areas)s::text[])", {"areas": areas})


@contextmanager
def begin_owner() -> Iterator[Connection]:
    """A transaction as the owner of the schema, past all rights: for migrations and loads by COPY, nothing else."""
    with translated(), engine().connect() as conn, conn.begin():
        conn.info["kehu_kept"] = None  # what a viewer's snapshot left on this connection of the pool
        yield conn


@contextmanager
def translated() -> Iterator[None]:
    """Turn what PostgreSQL says into the errors of db/errors.py; bugs pass through as they are."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise unavailable(error) from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in ("42501", "44000"):
            raise Refused(_("The database refused this: your role has no right to these rows or columns.")) from error
        if state in ("57014", "55P03", "40001", "40P01") or error.connection_invalidated:
            raise unavailable(error) from error
        raise


def unavailable(error: DBAPIError) -> Unavailable:
    """The sentence for a database that is away, busy or too slow."""
    state = getattr(error.orig, "sqlstate", None)
    if state == "57014":
        return Unavailable(_("This took longer than allowed and was stopped. Narrow the filters and try again."))
    if state in ("55P03", "40001", "40P01"):
        return Unavailable(_("Somebody else is changing the same rows. Nothing was saved; try again in a moment."))
    return Unavailable(_("The database does not answer. Nothing was lost; try again in a moment."))
