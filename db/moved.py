"""Whose columns in memory (db/held.py) are out of date: said by who writes, in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, insert

from db import clock, schema

KEPT = timedelta(days=1)
"""How long what was said stays; columns that have heard nothing for half of it are loaded anew."""
SEEN = schema.PROFILE | {"email", "phone"}
"""Columns of customers that are held, or of which something is."""


def tell(conn: Connection, customer_ids: Sequence[int] | None) -> None:
    """Say whose columns change with this transaction; None is everybody's."""
    ids = None if customer_ids is None else list(customer_ids)
    if ids != []:
        told = insert(schema.moved_customers).values(customer_ids=ids, made_at=clock.now())
        conn.execute(told.inline())  # who may say it may not read it back


def forget(conn: Connection) -> int:
    """Delete what was said longer ago than KEPT, as the worker; gives the number of rows."""
    m = schema.moved_customers
    return conn.execute(m.delete().where(m.c.made_at < clock.now() - KEPT)).rowcount
