"""Which product categories stand in each order, and how often two stand in one, kept up with what changes.

An order counts when it has a line with a category, of customers who are not archived, as segments count them. The
categories of an order are bits of one number, so that those of a segment's orders are read at once; that makes room for
MOST_CATEGORIES. They are those with the most lines when all is made anew, and as long as there is room each new one
that is bought. A refresh writes only what differs; all are made anew by db/basket_rebuild.py. db/derived.py calls these
within its own lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Connection, CursorResult, exists, func, select

from db import basket_rebuild, schema, settings
from db.rebuild_pieces import Names, take_all
from db.rules import MOST_TEXT

MOST_CATEGORIES = 60
"""Categories that stand in baskets; a bigint has 63 bits for them."""
EVERYBODY = -1
"""The owner under whom everybody's sums stand: nobody's number, and in nobody's scope."""
ALL_ORDERS = -1
"""What stands in the place of both categories for all orders."""

_MADE = """
    SELECT c.id AS customer_id, c.owner_id AS rolled_owner_id, array_agg(b.month ORDER BY b.month, b.basket) AS months,
        array_agg(b.basket ORDER BY b.month, b.basket) AS baskets
    FROM (
        SELECT o.customer_id, date_trunc('month', o.placed_on::timestamp)::date AS month, held.basket
        FROM (
            SELECT i.customer_id, i.order_id, coalesce(bit_or(1::bigint << k.code), 0) AS basket
            FROM order_items AS i
            JOIN products AS p ON p.id = i.product_id AND p.category <> ''
            LEFT JOIN basket_categories AS k ON k.category = p.category
            WHERE {of_items}
            GROUP BY i.customer_id, i.order_id
        ) AS held
        JOIN orders AS o ON o.customer_id = held.customer_id AND o.id = held.order_id
    ) AS b
    JOIN customers AS c ON c.id = b.customer_id
    WHERE c.archived_at IS NULL
    GROUP BY c.id, c.owner_id
"""

# Of rows (owner_id, month, basket, n): each pair of an order's categories, each category with itself, and the order; of
# each owner and of everybody. What a basket holds is found once for all that are alike.
_COUNTED = """
    WITH each_basket AS MATERIALIZED ({each_basket}),
    held AS MATERIALIZED (
        SELECT d.basket, pair.first, pair.second
        FROM (SELECT DISTINCT basket FROM each_basket) AS d
        CROSS JOIN LATERAL (
            SELECT %(all_orders)s::smallint AS first, %(all_orders)s::smallint AS second
            UNION ALL
            SELECT a.code, b.code
            FROM (
                SELECT array_agg(k.code) AS codes FROM basket_categories AS k WHERE d.basket >> k.code & 1 = 1
            ) AS found
            CROSS JOIN unnest(found.codes) AS a (code)
            CROSS JOIN unnest(found.codes) AS b (code)
            WHERE a.code <= b.code
        ) AS pair
    ),
    owned AS MATERIALIZED (
        SELECT e.owner_id, e.month, h.first, h.second, sum(e.n)::integer AS orders
        FROM each_basket AS e
        JOIN held AS h ON h.basket = e.basket
        GROUP BY 1, 2, 3, 4
    )
    SELECT whose.owner_id, o.month, o.first, o.second, sum(o.orders)::integer AS orders
    FROM owned AS o
    CROSS JOIN LATERAL (VALUES (o.owner_id), (%(everybody)s)) AS whose (owner_id)
    GROUP BY 1, 2, 3, 4
    HAVING sum(o.orders) <> 0
"""

_STORED = """
    SELECT m.rolled_owner_id AS owner_id, u.month, u.basket, count(*) AS n
    FROM customer_baskets AS m
    CROSS JOIN LATERAL unnest(m.months, m.baskets) AS u (month, basket)
    GROUP BY 1, 2, 3
"""

_LEARN = """
WITH lines AS MATERIALIZED ({lines}),
bought AS MATERIALIZED (
    SELECT p.category, row_number() OVER (ORDER BY sum(i.lines) DESC, p.category) AS n
    FROM lines AS i
    JOIN products AS p ON p.id = i.product_id
    WHERE p.category <> '' AND length(p.category) <= %(longest)s
        AND NOT EXISTS (SELECT FROM basket_categories AS k WHERE k.category = p.category)
    GROUP BY p.category
),
free AS MATERIALIZED (
    SELECT code, row_number() OVER (ORDER BY code) AS n
    FROM generate_series(0, %(most)s - 1) AS code
    WHERE code NOT IN (SELECT k.code FROM basket_categories AS k)
)
INSERT INTO basket_categories (code, category)
SELECT code, category FROM bought JOIN free USING (n)
"""

_LINES = "SELECT i.product_id, count(*) AS lines FROM order_items AS i WHERE {of_items} GROUP BY i.product_id"
# Where there is room for all categories, it does not matter which have the most lines: this reads none of them.
_BOUGHT = """
    SELECT p.id AS product_id, 1 AS lines FROM products AS p
    WHERE p.category <> '' AND EXISTS (SELECT FROM order_items AS i WHERE i.product_id = p.id)
"""
_FORGET = """
DELETE FROM basket_categories AS k WHERE NOT EXISTS (
    SELECT FROM products AS p
    WHERE p.category = k.category AND EXISTS (SELECT FROM order_items AS i WHERE i.product_id = p.id)
)
"""

_REFRESH = """
WITH made AS MATERIALIZED ({made}),
before AS MATERIALIZED (SELECT * FROM customer_baskets WHERE customer_id = ANY(%(ids)s)),
changed AS MATERIALIZED (
    SELECT customer_id, n.customer_id IS NOT NULL AS stands
    FROM made AS n
    FULL JOIN before AS b USING (customer_id)
    WHERE (n.rolled_owner_id, n.months, n.baskets) IS DISTINCT FROM (b.rolled_owner_id, b.months, b.baskets)
),
gone AS (
    DELETE FROM customer_baskets AS m USING changed AS x WHERE x.customer_id = m.customer_id AND NOT x.stands
),
written AS (
    INSERT INTO customer_baskets (customer_id, rolled_owner_id, months, baskets)
    SELECT n.customer_id, n.rolled_owner_id, n.months, n.baskets
    FROM made AS n
    JOIN changed AS x ON x.customer_id = n.customer_id
    ON CONFLICT (customer_id) DO UPDATE SET
        rolled_owner_id = excluded.rolled_owner_id,
        months = excluded.months,
        baskets = excluded.baskets
),
sides AS (
    SELECT 1 AS sign, made.* FROM made
    UNION ALL
    SELECT -1, before.* FROM before
),
moved AS MATERIALIZED (
    SELECT s.rolled_owner_id AS owner_id, u.month, u.basket, sum(s.sign) AS n
    FROM sides AS s
    JOIN changed AS x ON x.customer_id = s.customer_id
    CROSS JOIN LATERAL unnest(s.months, s.baskets) AS u (month, basket)
    GROUP BY 1, 2, 3
    HAVING sum(s.sign) <> 0
),
outcome AS MATERIALIZED (
    SELECT owner_id, month, first, second, coalesce(c.orders, 0) + x.orders AS orders
    FROM ({counted_moved}) AS x
    LEFT JOIN basket_sums AS c USING (owner_id, month, first, second)
),
emptied AS (
    DELETE FROM basket_sums AS c
    USING outcome AS x
    WHERE x.orders = 0
        AND (c.owner_id, c.month, c.first, c.second) = (x.owner_id, x.month, x.first, x.second)
)
INSERT INTO basket_sums (owner_id, month, first, second, orders)
SELECT owner_id, month, first, second, orders FROM outcome WHERE orders <> 0
ON CONFLICT (owner_id, month, first, second) DO UPDATE SET orders = excluded.orders
"""

_WRONG = """
SELECT customer_id
FROM ({made}) AS n
FULL JOIN (SELECT * FROM customer_baskets WHERE customer_id %% %(one_in)s = %(turn)s) AS b USING (customer_id)
WHERE (n.rolled_owner_id, n.months, n.baskets) IS DISTINCT FROM (b.rolled_owner_id, b.months, b.baskets)
    AND NOT EXISTS (SELECT FROM touched_customers AS t WHERE t.customer_id = coalesce(n.customer_id, b.customer_id))
ORDER BY 1
"""

_WRONG_SUMS = """
SELECT owner_id, month, first, second
FROM ({counted_all}) AS a
FULL JOIN basket_sums AS b USING (owner_id, month, first, second)
WHERE a.orders IS DISTINCT FROM b.orders
ORDER BY 1, 2, 3, 4
"""


def missing(conn: Connection) -> bool:
    """Whether there are orders with categories and none has been made into a basket: so after the migration."""
    k, p, i = schema.basket_categories.c, schema.products.c, schema.order_items.c
    if conn.scalar(select(exists(select(k.code)))):
        return False
    named = (p.category != "") & (func.length(p.category) <= MOST_TEXT)
    found = conn.scalar(select(exists(select(p.id).where(named, exists(select(i.id).where(i.product_id == p.id))))))
    return bool(found)


def rebuild(conn: Connection) -> None:
    """Choose the categories and make all baskets and sums anew."""
    take_all(conn, Names(settings.get(conn).currency), {"baskets": rebuilding(conn)}, lambda _step: None)


def rebuilding(conn: Connection) -> basket_rebuild.Baskets:
    """Choose the categories; gives what takes the pieces.

    Where there is room for all, each keeps its code, so that baskets stay as they are.
    """
    p = schema.products.c
    of_all = conn.scalar(select(func.count(p.category.distinct())).where(p.category != "")) or 0
    if of_all <= MOST_CATEGORIES:
        _run(conn, _FORGET)
        _learn(conn, lines=_BOUGHT)
    else:
        _run(conn, "DELETE FROM basket_categories")
        _learn(conn)
    return basket_rebuild.Baskets(conn, everybody=EVERYBODY, all_orders=ALL_ORDERS)


def refresh(conn: Connection, customer_ids: Sequence[int]) -> None:
    """Bring the baskets of these customers, and the sums, up to date; all of them where there are none yet."""
    if customer_ids and missing(conn):
        rebuild(conn)
    elif customer_ids:
        of = sql.SQL("i.customer_id = ANY(%(ids)s)")
        _learn(conn, of, ids=list(customer_ids))
        _run(conn, _REFRESH, of, ids=list(customer_ids))


def check(conn: Connection, *, one_in: int, turn: int) -> list[int]:
    """One customer in `one_in` whose baskets are wrong; those that wait in the queue are left out."""
    of = sql.SQL("i.customer_id %% %(one_in)s = %(turn)s")
    return [*_run(conn, _WRONG, of, one_in=one_in, turn=turn).scalars()]


def check_sums(conn: Connection) -> list[tuple[int, date, int, int]]:
    """(owner, month, first, second) whose sums are not what the customers' baskets add up to."""
    return [(row.owner_id, row.month, row.first, row.second) for row in _run(conn, _WRONG_SUMS)]


def _learn(conn: Connection, of: sql.Composable | None = None, *, lines: LiteralString = _LINES, **values: Any) -> None:
    """Give the categories bought by these customers a number, as long as there is room."""
    _run(conn, _LEARN, of, lines=lines, most=MOST_CATEGORIES, longest=MOST_TEXT, **values)


def _run(
    conn: Connection,
    template: LiteralString,
    of: sql.Composable | None = None,
    *,
    lines: LiteralString = _LINES,
    **values: Any,
) -> CursorResult[Any]:
    of_items = of or sql.SQL("true")
    written = sql.SQL(template).format(
        made=sql.SQL(_MADE).format(of_items=of_items),
        of_items=of_items,
        lines=sql.SQL(lines).format(of_items=of_items),
        counted_all=sql.SQL(_COUNTED).format(each_basket=sql.SQL(_STORED)),
        counted_moved=sql.SQL(_COUNTED).format(each_basket=sql.SQL("SELECT * FROM moved")),
    )
    bound = {"everybody": EVERYBODY, "all_orders": ALL_ORDERS, **values}
    return conn.exec_driver_sql(written.as_string(), bound)
