"""The rows of customer_classes, read and written as bytes of many customers at once: db/past_classes.py tells them."""

from __future__ import annotations

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from db.arrays import Numbers

PACKED = 20_000
"""Customers whose values come, and go, in one row."""
KINDS = ("stages", "rfm_classes", "rfm_values", "deciles")

_WRITE = """
INSERT INTO customer_classes AS k (customer_id, stages, rfm_classes, rfm_values, deciles)
SELECT u.id, substr(%(stages)s, u.place, %(width)s), substr(%(rfm_classes)s, u.place, %(width)s),
    substr(%(rfm_values)s, u.place, %(width)s), substr(%(deciles)s, u.place, %(width)s)
FROM (
    SELECT id, ((i - 1) * %(width)s + 1)::integer AS place
    FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS each (id, i)
) AS u
ON CONFLICT (customer_id) DO UPDATE SET
    stages = excluded.stages,
    rfm_classes = excluded.rfm_classes,
    rfm_values = excluded.rfm_values,
    deciles = excluded.deciles
WHERE (k.stages, k.rfm_classes, k.rfm_values, k.deciles)
    <> (excluded.stages, excluded.rfm_classes, excluded.rfm_values, excluded.deciles)
"""


def write(conn: Connection, ids: Numbers, told: Numbers) -> None:
    """Only what differs is written."""
    for start in range(0, len(ids), PACKED):
        piece = slice(start, start + PACKED)
        packed = {name: told[kind, piece].tobytes() for kind, name in enumerate(KINDS)}
        given = packed | {"ids": ids[piece].tolist(), "width": told.shape[2]}
        conn.exec_driver_sql(_WRITE, given)


def standing_bytes(conn: Connection, width: int) -> tuple[Numbers, Numbers]:
    """Ids in order, and all bytes of each kind; none where they are of another number of days."""
    packed = sql.SQL(", ").join(sql.SQL("string_agg({}, '')").format(sql.Identifier(name)) for name in KINDS)
    wide = sql.SQL(" + ").join(sql.SQL("length({})").format(sql.Identifier(name)) for name in KINDS)
    query = sql.SQL(
        "SELECT string_agg(int8send(customer_id), ''), {} FROM customer_classes WHERE {} = {} GROUP BY customer_id / {}"
    ).format(packed, wide, sql.Literal(width * len(KINDS)), sql.Literal(PACKED))
    parts = conn.exec_driver_sql(query.as_string()).all()
    ids = np.frombuffer(b"".join(row[0] for row in parts), ">i8")
    held = [np.frombuffer(b"".join(row[1 + i] for row in parts), "u1").reshape(-1, width) for i in range(len(KINDS))]
    order = np.argsort(ids, kind="stable")
    return ids[order].astype(np.int64), np.stack(held)[:, order]


def last_bytes(conn: Connection, place: int) -> tuple[Numbers, Numbers]:
    """Ids in order, and the bytes of each kind at a place."""
    picked = sql.SQL(", ").join(
        sql.SQL("string_agg(substr({}, {}, 1), '')").format(sql.Identifier(name), sql.Literal(place + 1))
        for name in KINDS
    )
    query = sql.SQL(
        "SELECT string_agg(int8send(customer_id), ''), {} FROM customer_classes GROUP BY customer_id / {}"
    ).format(picked, sql.Literal(PACKED))
    parts = conn.exec_driver_sql(query.as_string()).all()
    ids, *held = (np.frombuffer(b"".join(row[i] for row in parts), ">i8" if i == 0 else "u1") for i in range(5))
    order = np.argsort(ids, kind="stable")
    return ids[order], np.stack(held)[:, order]
