"""Whose columns in memory (db/held.py) are out of date: said by who writes, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, insert

from db import clock, schema

KEPT = timedelta(days=1)
"""How long what was said stays; columns that have heard nothing for half of it are loaded anew."""
SEEN: Mapping[str, Mapping[str, frozenset[str]]] = {
    "customers": {
        "": schema.PROFILE | {"email", "phone"},
        "own": frozenset({"custom", "custom_personal"}),
    },
    "customer_tags": {"tags": frozenset({"tag_key"})},
    "interactions": {"contacts": frozenset({"kind", "happened_on"})},
    "notes": {"contacts": frozenset({"created_at"})},
    "tasks": {"tasks": frozenset({"due_on", "done_at"})},
    "consents": {"consents": frozenset({"channel", "state", "happened_at"})},
}
"""Recorded table → the parts of what is held that it changes (db/held_columns.py, PAIRS), by which of its columns."""


def tell(conn: Connection, customer_ids: Sequence[int] | None, part: str = "") -> None:
    """Say whose columns change with this transaction; None is everybody's, and all of them."""
    ids = None if customer_ids is None else sorted(set(customer_ids))
    if ids != []:
        told = insert(schema.moved_customers).values(customer_ids=ids, part=part, made_at=clock.now())
        conn.execute(told.inline())  # who may say it may not read it back


def forget(conn: Connection) -> int:
    """Delete what was said longer ago than KEPT, as the worker; gives the number of rows."""
    m = schema.moved_customers
    return conn.execute(m.delete().where(m.c.made_at < clock.now() - KEPT)).rowcount
