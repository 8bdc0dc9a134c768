"""The bounds between the five scores of recency, frequency and monetary value, and between the ten parts of value, over
the whole company's customers.

A bound is a value at 20, 40, 60 and 80 % (PostgreSQL's percentile_disc) of the customers with orders that are not
archived; a score is one more than the number of bounds below a customer's value. Equal values have equal scores, so
the five parts need not be equally large. Where an administrator fixed the bounds of a measure (db/score_rules.py),
these stand in place of the taken ones. The measure "value" has nine bounds, at 10, 20, … 90 % of the revenue: the ten
parts of value are told by them in the same way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, Float, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB, insert

from db import clock, lifecycle, schema, score_rules
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
    """Measure → its bounds, fixed ones as they are now, and the rules of the stages; and when bounds were last taken.

    The time is None before the first time.
    """
    b, d = schema.score_bounds.c, schema.definitions.c
    taken = select(func.jsonb_object_agg(b.measure, func.to_jsonb(b.bounds))).scalar_subquery()
    fixed = select(func.jsonb_object_agg(d.kind, d.rules)).scalar_subquery()
    query = select(
        type_coerce(taken, JSONB),
        type_coerce(fixed, JSONB),
        select(func.min(b.made_at)).scalar_subquery(),
    )
    measured, held, made_at = conn.execute(query).one()
    made = {measure: tuple(map(float, numbers)) for measure, numbers in (measured or {}).items()}
    rules = held or {}
    stages = lifecycle.parse(rules[lifecycle.KIND]) if lifecycle.KIND in rules else lifecycle.DEFAULT
    made |= score_rules.parse(rules.get(score_rules.KIND, {})).bounds() | {lifecycle.KIND: stages.numbers()}
    return made, made_at


def taken(conn: Connection) -> dict[str, tuple[float, ...]]:
    """Measure → its bounds by fifths, also where fixed ones stand in their place."""
    rows = conn.execute(select(schema.score_bounds)).all()
    return {row.measure: tuple(float(b) for b in row.bounds) for row in rows}
