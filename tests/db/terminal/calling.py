"""Calling the command line, in this process and as one of its own, and the shop that it is asked about."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import select
from sqlalchemy.engine import make_url

from db import connection, schema
from db.embedded import Server
from tests.engine import copying, serving

ROOT = Path(__file__).parent.parent.parent.parent
MANUAL = ROOT / "docs" / "cli.md"
PHONE, EMAIL = "+86 138 0013 8000", "zhang@example.com"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out, parse_float=Decimal)

    @property
    def error(self) -> dict[str, Any]:
        assert self.out == ""
        return dict(json.loads(self.err)["error"])


Run = Callable[..., Result]


def process(*argv: str | bytes, **settings: str) -> Result:
    """One command line as the operator runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "db", *argv], cwd=ROOT, env=os.environ | settings, capture_output=True, check=False
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass(frozen=True)
class Shop:
    """Customers of the cast: Ann's with orders and contacts, Bo's, Cho's, and one that nobody has."""

    ann: int
    bo: int
    cho: int
    nobody: int


def phone_of(customer_id: int) -> str:
    with connection.begin_owner() as conn:
        return str(conn.scalar(select(schema.customers.c.phone).where(schema.customers.c.id == customer_id)))


@contextmanager
def database(server: Server, name: str, template: str) -> Iterator[None]:
    """A database made from a template; DATABASE_URL names it inside the block."""
    own, admin = f"{name}_{os.getpid()}", make_url(server.url("kehu")).set(drivername="postgresql")
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as conn:
        conn.execute(copying(own, template))
        try:
            with serving(server.url(own)):
                yield
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(own)))
