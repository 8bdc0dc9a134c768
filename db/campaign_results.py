"""What each member of a campaign bought while it ran and before, refreshed for touched customers.

campaign_sums is what the rows of campaign_results add up to for each owner: `refresh` takes a row out of the sums that
it stands in, changes it, and adds it again.

The window of a campaign is its first to its last day; the time before it is as long and ends the day before. Revenue
is in the company's currency, orders are of all currencies. All are made anew by db/campaign_rebuild.py. db/derived.py
calls these within its own lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Connection, CursorResult

from db import settings

_MADE = """
    SELECT m.customer_id, m.campaign_id,
        (count(*) FILTER (WHERE s.placed_on >= c.starts_on))::integer AS orders,
        coalesce(sum(s.amount) FILTER (WHERE s.placed_on >= c.starts_on AND s.currency = %(currency)s), 0) AS revenue,
        (count(*) FILTER (WHERE s.placed_on >= c.starts_on AND EXISTS (
            SELECT FROM order_items AS i
            JOIN campaign_products AS p ON p.campaign_id = c.id AND p.product_id = i.product_id
            WHERE i.customer_id = s.customer_id AND i.order_id = s.id
        )))::integer AS promoted_orders,
        (count(*) FILTER (WHERE s.placed_on < c.starts_on))::integer AS orders_before,
        coalesce(sum(s.amount) FILTER (WHERE s.placed_on < c.starts_on AND s.currency = %(currency)s), 0)
            AS revenue_before,
        m.redemptions, u.owner_id AS rolled_owner_id
    FROM campaign_members AS m
    JOIN campaigns AS c ON c.id = m.campaign_id
    JOIN customers AS u ON u.id = m.customer_id
    LEFT JOIN orders AS s ON s.customer_id = m.customer_id
        AND s.placed_on BETWEEN c.starts_on - (c.ends_on - c.starts_on + 1) AND c.ends_on
    WHERE {of}
    GROUP BY m.customer_id, m.campaign_id, m.redemptions, u.owner_id
"""
_BOUGHT = """
    SELECT m.customer_id, m.campaign_id, i.product_id,
        coalesce(sum(i.amount) FILTER (WHERE s.currency = %(currency)s), 0) AS amount
    FROM campaign_members AS m
    JOIN campaigns AS c ON c.id = m.campaign_id
    JOIN orders AS s ON s.customer_id = m.customer_id AND s.placed_on BETWEEN c.starts_on AND c.ends_on
    JOIN order_items AS i ON i.customer_id = s.customer_id AND i.order_id = s.id
    JOIN campaign_products AS p ON p.campaign_id = c.id AND p.product_id = i.product_id
    WHERE {of}
    GROUP BY m.customer_id, m.campaign_id, i.product_id
"""
COLUMNS = sql.SQL("orders, revenue, promoted_orders, orders_before, revenue_before, redemptions, rolled_owner_id")
UPSERT = sql.SQL("""
    ON CONFLICT (customer_id, campaign_id) DO UPDATE SET
        orders = excluded.orders,
        revenue = excluded.revenue,
        promoted_orders = excluded.promoted_orders,
        orders_before = excluded.orders_before,
        revenue_before = excluded.revenue_before,
        redemptions = excluded.redemptions,
        rolled_owner_id = excluded.rolled_owner_id
""")
UPSERT_BOUGHT = sql.SQL("ON CONFLICT (customer_id, campaign_id, product_id) DO UPDATE SET amount = excluded.amount")

_WRITE = """
WITH made AS MATERIALIZED ({made}),
gone AS (
    DELETE FROM campaign_results AS r
    WHERE {of_results} AND NOT EXISTS (
        SELECT FROM made WHERE made.customer_id = r.customer_id AND made.campaign_id = r.campaign_id
    )
),
written AS (
    INSERT INTO campaign_results (customer_id, campaign_id, {columns})
    SELECT customer_id, campaign_id, {columns} FROM made
    {upsert}
    RETURNING 1
)
SELECT count(*) FROM written
"""

_WRITE_BOUGHT = """
WITH made AS MATERIALIZED ({bought}),
gone AS (
    DELETE FROM campaign_purchases AS r
    WHERE {of_results} AND NOT EXISTS (
        SELECT FROM made
        WHERE (made.customer_id, made.campaign_id, made.product_id) = (r.customer_id, r.campaign_id, r.product_id)
    )
)
INSERT INTO campaign_purchases (customer_id, campaign_id, product_id, amount)
SELECT customer_id, campaign_id, product_id, amount FROM made
{upsert_bought}
"""

_SUMS = """
    SELECT campaign_id, rolled_owner_id AS owner_id, count(*) AS reached,
        count(*) FILTER (WHERE orders > 0) AS buyers, count(*) FILTER (WHERE promoted_orders > 0) AS promoted_buyers,
        count(*) FILTER (WHERE redemptions > 0) AS redeemers, sum(redemptions) AS redemptions, sum(orders) AS orders,
        sum(revenue) AS revenue, sum(revenue_before) AS revenue_before
    FROM campaign_results AS r
    WHERE {of_results}
    GROUP BY campaign_id, rolled_owner_id
"""

_ADD = """
INSERT INTO campaign_sums AS s (campaign_id, owner_id, reached, buyers, promoted_buyers, redeemers, redemptions, orders,
    revenue, revenue_before)
SELECT campaign_id, owner_id, %(sign)s * reached, %(sign)s * buyers, %(sign)s * promoted_buyers, %(sign)s * redeemers,
    %(sign)s * redemptions, %(sign)s * orders, %(sign)s * revenue, %(sign)s * revenue_before
FROM ({sums}) AS change
ON CONFLICT (campaign_id, owner_id) DO UPDATE SET
    reached = s.reached + excluded.reached,
    buyers = s.buyers + excluded.buyers,
    promoted_buyers = s.promoted_buyers + excluded.promoted_buyers,
    redeemers = s.redeemers + excluded.redeemers,
    redemptions = s.redemptions + excluded.redemptions,
    orders = s.orders + excluded.orders,
    revenue = s.revenue + excluded.revenue,
    revenue_before = s.revenue_before + excluded.revenue_before
"""

_WRONG_SUMS = """
SELECT campaign_id, owner_id
FROM ({sums}) AS a
FULL JOIN campaign_sums AS b USING (campaign_id, owner_id)
WHERE (a.reached, a.buyers, a.promoted_buyers, a.redeemers, a.redemptions, a.orders, a.revenue, a.revenue_before)
    IS DISTINCT FROM
    (b.reached, b.buyers, b.promoted_buyers, b.redeemers, b.redemptions, b.orders, b.revenue, b.revenue_before)
ORDER BY 1, 2
"""

_WRONG = """
WITH made AS MATERIALIZED ({made}),
stored AS (
    SELECT customer_id, campaign_id, {columns} FROM campaign_results WHERE customer_id %% %(one_in)s = %(turn)s
)
SELECT customer_id, campaign_id
FROM made AS a
FULL JOIN stored AS b USING (customer_id, campaign_id)
WHERE (a.orders, a.revenue, a.promoted_orders, a.orders_before, a.revenue_before, a.redemptions, a.rolled_owner_id)
    IS DISTINCT FROM
    (b.orders, b.revenue, b.promoted_orders, b.orders_before, b.revenue_before, b.redemptions, b.rolled_owner_id)
    AND customer_id NOT IN (SELECT customer_id FROM touched_customers)
ORDER BY 1, 2
"""


_WRONG_BOUGHT = """
WITH made AS MATERIALIZED ({bought}),
stored AS (
    SELECT customer_id, campaign_id, product_id, amount FROM campaign_purchases
    WHERE customer_id %% %(one_in)s = %(turn)s
)
SELECT DISTINCT customer_id, campaign_id
FROM made AS a
FULL JOIN stored AS b USING (customer_id, campaign_id, product_id)
WHERE a.amount IS DISTINCT FROM b.amount AND customer_id NOT IN (SELECT customer_id FROM touched_customers)
"""


def refresh(conn: Connection, customer_ids: Sequence[int]) -> int:
    """Bring the results of these customers, and the sums, up to date; gives the number of results."""
    if not customer_ids:
        return 0
    of, of_results = sql.SQL("m.customer_id = ANY(%(ids)s)"), sql.SQL("r.customer_id = ANY(%(ids)s)")
    ids = list(customer_ids)
    _run(conn, _ADD, of, of_results, ids=ids, sign=-1)
    written = int(_run(conn, _WRITE, of, of_results, ids=ids).scalar_one())
    _run(conn, _WRITE_BOUGHT, of, of_results, ids=ids)
    _run(conn, _ADD, of, of_results, ids=ids, sign=1)
    _run(conn, "DELETE FROM campaign_sums WHERE reached = 0", of, of_results)
    return written


def check(conn: Connection, *, one_in: int, turn: int) -> list[tuple[int, int]]:
    """(customer, campaign) of one customer in `one_in` whose result is wrong; those that wait are left out."""
    of = sql.SQL("m.customer_id %% %(one_in)s = %(turn)s")
    sample = {"one_in": one_in, "turn": turn}
    wrong = {
        (row.customer_id, row.campaign_id)
        for template in (_WRONG, _WRONG_BOUGHT)
        for row in _run(conn, template, of, sql.SQL(""), **sample)
    }
    return sorted(wrong)


def check_sums(conn: Connection) -> list[tuple[int, int]]:
    """(campaign, owner) whose sums are not what the results add up to."""
    rows = _run(conn, _WRONG_SUMS, sql.SQL("true"), sql.SQL("true"))
    return [(row.campaign_id, row.owner_id) for row in rows]


def _run(
    conn: Connection, template: LiteralString, of: sql.Composable, of_results: sql.Composable, **values: Any
) -> CursorResult[Any]:
    written = sql.SQL(template).format(
        made=sql.SQL(_MADE).format(of=of),
        bought=sql.SQL(_BOUGHT).format(of=of),
        sums=sql.SQL(_SUMS).format(of_results=of_results),
        of_results=of_results,
        columns=COLUMNS,
        upsert=UPSERT,
        upsert_bought=UPSERT_BOUGHT,
    )
    return conn.exec_driver_sql(written.as_string(), {"currency": settings.get(conn).currency, **values})
