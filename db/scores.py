"""The bounds between the five scores of recency, frequency and monetary value, and between the ten parts of value, over
the whole company's customers.

A bound is a value at 20, 40, 60 and 80 % (PostgreSQL's percentile_disc) of the customers with orders that are not
archived; a score is one more than the number of bounds below a customer's value. Equal values have equal scores, so
the five parts need not be equally large. The measure "value" has nine bounds, at 10, 20, … 90 % of the revenue: the ten
parts of value are told by them in the same way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Float, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import insert

from db import clock, schema
from db.connection import bump
from db.fields import MEASURES, Bounds

SHARES = (0.2, 0.4, 0.6, 0.8)
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
VALUE = "value"
ADVISORY_LOCK = 7_203_454


def refresh(conn: Connection) -> int:
    """Take the bounds anew, as the worker; gives how many measures have any (none while nobody has an order)."""
    conn.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))  # two at once would each write all the bounds
    c, m = schema.customers.c, schema.customer_metrics.c
    # Both bounds of the revenue from one sorting of it.
    shares = {"monetary": TENTHS}
    taken = (
        select(*(_percentiles(shares.get(name, SHARES), value).label(name) for name, value in MEASURES.items()))
        .select_from(schema.customers.join(schema.customer_metrics, m.customer_id == c.id))
        .where(m.orders > 0, c.archived_at.is_(None))
    )
    row = dict(conn.execute(taken).mappings().one())
    if row["monetary"]:
        row |= {VALUE: row["monetary"], "monetary": row["monetary"][1::2]}
    b = schema.score_bounds
    rows = [{"measure": name, "bounds": list(bounds), "made_at": clock.now()} for name, bounds in row.items() if bounds]
    conn.execute(b.delete())
    if rows:
        conn.execute(insert(b), rows)
    bump(conn, ["metrics"])
    return len(rows)


def _percentiles(shares: tuple[float, ...], value: Any) -> Any:
    return type_coerce(func.percentile_disc(literal(list(shares), ARRAY(Float))).within_group(value), ARRAY(Float))


def bounds(conn: Connection) -> tuple[Bounds, datetime | None]:
    """Measure → its bounds, and when they were taken; ({}, None) before the first time."""
    rows = conn.execute(select(schema.score_bounds)).all()
    made = {row.measure: tuple(float(b) for b in row.bounds) for row in rows}
    return made, min((row.made_at for row in rows), default=None)
