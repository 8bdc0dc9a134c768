"""The product categories each customer bought, kept up: db/category_rebuild.py makes all of them anew.

db/derived.py calls this within its own lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Connection, CursorResult

_MADE = """
    SELECT c.id AS customer_id, coalesce(b.categories, ARRAY[]::text[]) AS categories
    FROM customers AS c
    LEFT JOIN (
        SELECT i.customer_id, array_agg(DISTINCT p.category ORDER BY p.category) AS categories
        FROM order_items AS i
        JOIN products AS p ON p.id = i.product_id
        WHERE {of_items}
        GROUP BY i.customer_id
    ) AS b ON b.customer_id = c.id
    WHERE {of}
"""
_WRITE = """
WITH gone AS (
    DELETE FROM customer_categories AS r
    WHERE {of_stored} AND NOT EXISTS (SELECT FROM customers AS c WHERE c.id = r.customer_id)
)
INSERT INTO customer_categories (customer_id, categories)
SELECT customer_id, categories FROM ({made}) AS made
ON CONFLICT (customer_id) DO UPDATE SET categories = excluded.categories
"""
_WRONG = """
SELECT customer_id
FROM ({made}) AS a
FULL JOIN (SELECT * FROM customer_categories AS r WHERE {of_stored}) AS b USING (customer_id)
WHERE a.categories IS DISTINCT FROM b.categories AND customer_id NOT IN (SELECT customer_id FROM touched_customers)
ORDER BY 1
"""


def refresh(conn: Connection, customer_ids: Sequence[int]) -> None:
    """Bring these customers up to date."""
    if customer_ids:
        of = sql.SQL("c.id = ANY(%(ids)s)")
        of_items, of_stored = sql.SQL("i.customer_id = ANY(%(ids)s)"), sql.SQL("r.customer_id = ANY(%(ids)s)")
        _run(conn, _WRITE, of, of_items, of_stored, ids=list(customer_ids))


def check(conn: Connection, *, one_in: int, turn: int) -> list[int]:
    """One customer in `one_in` whose categories are wrong; those that wait are left out."""
    of = sql.SQL("c.id %% %(one_in)s = %(turn)s")
    of_items = sql.SQL("i.customer_id %% %(one_in)s = %(turn)s")
    of_stored = sql.SQL("r.customer_id %% %(one_in)s = %(turn)s")
    return list(_run(conn, _WRONG, of, of_items, of_stored, one_in=one_in, turn=turn).scalars())


def _run(
    conn: Connection,
    template: LiteralString,
    of: sql.Composable,
    of_items: sql.Composable,
    of_stored: sql.Composable,
    **values: Any,
) -> CursorResult[Any]:
    made = sql.SQL(_MADE).format(of=of, of_items=of_items)
    written = sql.SQL(template).format(made=made, of_stored=of_stored)
    return conn.exec_driver_sql(written.as_string(), values)
