"""Where the tests' PostgreSQL lives, and the engine of their process, which follows DATABASE_URL as they change it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from psycopg import sql

from db import connection
from db.embedded import EmbeddedError, Server

MEMORY = Path("/dev/shm")  # noqa: S108 -- Linux keeps what lies there in memory; folders in it are made by mkdtemp
ROOM = 4 << 30  # bytes: a cluster with the demo is 1.2 GB, its log may grow to 2 GB


def home() -> Path:
    """A new folder for a cluster: in memory where there is room, else among the temporary files.

    Each test copies 700 files and removes them; on a disk that takes up to ten times the processor.
    """
    memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM and psutil.virtual_memory().available > 2 * ROOM
    within = MEMORY if memory else Path(tempfile.gettempdir())
    sweep(within)
    return Path(tempfile.mkdtemp(prefix=f"kehu-tests-{os.getpid()}-", dir=within))


def sweep(within: Path) -> None:
    """Stop and remove the clusters of runs that were killed."""
    for folder in within.glob("kehu-tests-*-*"):
        pid = folder.name.split("-")[2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            with suppress(EmbeddedError, OSError):
                Server(folder, durable=False).stop()
            shutil.rmtree(folder, ignore_errors=True)


def copying(name: str, template: str) -> sql.Composed:
    """The statement that makes a database like another one.

    Files are copied: through the log, which is PostgreSQL's default, a small one costs up to three times the processor.
    """
    words = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    return words.format(sql.Identifier(name), sql.Identifier(template))


def forget() -> None:
    """Close what the engine holds and forget it: the next use takes DATABASE_URL anew.

    An engine that is only forgotten leaves its connections open, until the garbage collector warns in some later test.
    """
    if connection.engine.cache_info().currsize:
        connection.engine().dispose()
    connection.engine.cache_clear()


@contextmanager
def serving(url: str) -> Iterator[None]:
    """DATABASE_URL names this database, and this process has no other engine meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        forget()
        try:
            yield
        finally:
            forget()
