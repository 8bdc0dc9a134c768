"""Bring the database to the newest schema: one migrator at a time, with limits, all or nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from db import search_keys
from db.connection import begin_owner, engine

ADVISORY_LOCK = 7_203_451
LOCK_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 600_000


def config() -> Config:
    """Alembic's configuration; there is no alembic.ini."""
    cfg = Config()
    cfg.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return cfg


def head() -> str:
    """The newest revision that this code knows."""
    found = ScriptDirectory.from_config(config()).get_current_head()
    assert found, "db/migrations/versions is empty"
    return found


def current(conn: Connection) -> str | None:
    """The database's revision, None for an empty database."""
    return MigrationContext.configure(conn).get_current_revision()


def upgrade(conn: Connection, revision: str = "head") -> str | None:
    """Run the missing revisions in the caller's transaction; gives the revision there was before.

    At the head, the stored keys of searches are brought up too.
    """
    conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    before = current(conn)
    cfg = config()
    cfg.attributes["connection"] = conn
    command.upgrade(cfg, revision)
    if revision == "head":
        search_keys.bring_up(conn)
    return before


def analyze() -> None:
    """Tell the planner what a large load has brought; only the owner of the tables may."""
    with begin_owner() as conn:
        conn.exec_driver_sql("ANALYZE")


def vacuum() -> None:
    """As `analyze`, and mark what every transaction sees, so that index-only scans need not look at the rows."""
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("VACUUM (ANALYZE)")


def migrate() -> tuple[str | None, str]:
    """Open the owner's transaction, and upgrade; gives (revision before, revision now)."""
    with begin_owner() as conn:
        conn.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS:d}")
        conn.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS:d}")
        before = upgrade(conn)
        now = current(conn)
    assert now
    return before, now
