"""The queue of customers whom the rules of segments may find otherwise now; db/segment_members.py works it off."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT

from db import clock, schema
from db.connection import bump

ADVISORY_LOCK = 7_203_455


def touch(conn: Connection, customer_ids: Sequence[int]) -> None:
    """Queue these customers in the transaction in which what is derived of them changed."""
    ids = func.unnest(literal(list(customer_ids), ARRAY(BIGINT))).column_valued("touched")
    columns = ["customer_id", "touched_at"]
    conn.execute(insert(schema.segment_touches).from_select(columns, select(ids, literal(clock.now()))))


def touch_all(conn: Connection) -> None:
    """Have all live segments found anew, once what is derived was made anew."""
    conn.execute(update(schema.segment_states).values(day=None))
    bump(conn, ["members"])
