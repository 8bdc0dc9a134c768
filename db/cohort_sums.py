"""What each customer bought month by month, and its sums by month of the first purchase, kept up with what changes.

Of customers who are not archived, as segments count them. A refresh writes only what differs: the sums move by what a
customer's months are now less what they were. All are made anew by db/cohort_rebuild.py.
db/derived.py calls these within its own lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Connection, CursorResult

from db import settings

_MADE = """
    SELECT customer_id, owner_id AS rolled_owner_id, array_agg(month ORDER BY month) AS months,
        array_agg(orders ORDER BY month) AS orders, array_agg(revenue ORDER BY month) AS revenue
    FROM (
        SELECT c.id AS customer_id, c.owner_id, date_trunc('month', o.placed_on::timestamp)::date AS month,
            count(*)::integer AS orders,
            coalesce(sum(o.amount) FILTER (WHERE o.currency = %(currency)s), 0)::numeric(16, 2) AS revenue
        FROM customers AS c
        JOIN orders AS o ON o.customer_id = c.id
        WHERE c.archived_at IS NULL AND {of}
        GROUP BY c.id, c.owner_id, month
    ) AS monthly
    GROUP BY customer_id, owner_id
"""

_SUMS = """
    SELECT m.rolled_owner_id AS owner_id, m.months[1] AS cohort, u.month, count(*)::integer AS customers,
        sum(u.orders) AS orders, sum(u.revenue) AS revenue
    FROM customer_months AS m
    CROSS JOIN LATERAL unnest(m.months, m.orders, m.revenue) AS u (month, orders, revenue)
    GROUP BY 1, 2, 3
"""

_REFRESH = """
WITH made AS MATERIALIZED ({made}),
before AS MATERIALIZED (SELECT * FROM customer_months WHERE customer_id = ANY(%(ids)s)),
changed AS MATERIALIZED (
    SELECT customer_id, n.customer_id IS NOT NULL AS stands
    FROM made AS n
    FULL JOIN before AS b USING (customer_id)
    WHERE (n.rolled_owner_id, n.months, n.orders, n.revenue)
        IS DISTINCT FROM (b.rolled_owner_id, b.months, b.orders, b.revenue)
),
gone AS (
    DELETE FROM customer_months AS m USING changed AS x WHERE x.customer_id = m.customer_id AND NOT x.stands
),
written AS (
    INSERT INTO customer_months (customer_id, rolled_owner_id, months, orders, revenue)
    SELECT n.customer_id, n.rolled_owner_id, n.months, n.orders, n.revenue
    FROM made AS n
    JOIN changed AS x ON x.customer_id = n.customer_id
    ON CONFLICT (customer_id) DO UPDATE SET
        rolled_owner_id = excluded.rolled_owner_id,
        months = excluded.months,
        orders = excluded.orders,
        revenue = excluded.revenue
),
sides AS (
    SELECT 1 AS sign, made.* FROM made
    UNION ALL
    SELECT -1, before.* FROM before
),
change AS (
    SELECT s.rolled_owner_id AS owner_id, s.months[1] AS cohort, u.month, sum(s.sign)::integer AS customers,
        sum(s.sign * u.orders) AS orders, sum(s.sign * u.revenue) AS revenue
    FROM sides AS s
    JOIN changed AS x ON x.customer_id = s.customer_id
    CROSS JOIN LATERAL unnest(s.months, s.orders, s.revenue) AS u (month, orders, revenue)
    GROUP BY 1, 2, 3
    HAVING (sum(s.sign), sum(s.sign * u.orders), sum(s.sign * u.revenue)) <> (0, 0, 0)
),
outcome AS MATERIALIZED (
    SELECT owner_id, cohort, month, coalesce(c.customers, 0) + x.customers AS customers,
        coalesce(c.orders, 0) + x.orders AS orders, coalesce(c.revenue, 0) + x.revenue AS revenue
    FROM change AS x
    LEFT JOIN cohort_sums AS c USING (owner_id, cohort, month)
),
emptied AS (
    DELETE FROM cohort_sums AS c
    USING outcome AS x
    WHERE x.customers = 0 AND (c.owner_id, c.cohort, c.month) = (x.owner_id, x.cohort, x.month)
)
INSERT INTO cohort_sums (owner_id, cohort, month, customers, orders, revenue)
SELECT owner_id, cohort, month, customers, orders, revenue FROM outcome WHERE customers <> 0
ON CONFLICT (owner_id, cohort, month) DO UPDATE SET
    customers = excluded.customers,
    orders = excluded.orders,
    revenue = excluded.revenue
"""

_WRONG = """
SELECT customer_id
FROM ({made}) AS n
FULL JOIN (SELECT * FROM customer_months WHERE customer_id %% %(one_in)s = %(turn)s) AS b USING (customer_id)
WHERE (n.rolled_owner_id, n.months, n.orders, n.revenue)
    IS DISTINCT FROM (b.rolled_owner_id, b.months, b.orders, b.revenue)
    AND NOT EXISTS (SELECT FROM touched_customers AS t WHERE t.customer_id = coalesce(n.customer_id, b.customer_id))
ORDER BY 1
"""

_WRONG_SUMS = """
SELECT owner_id, cohort, month
FROM ({sums}) AS a
FULL JOIN cohort_sums AS b USING (owner_id, cohort, month)
WHERE (a.customers, a.orders, a.revenue) IS DISTINCT FROM (b.customers, b.orders, b.revenue)
ORDER BY 1, 2, 3
"""


def refresh(conn: Connection, customer_ids: Sequence[int]) -> None:
    """Bring the months of these customers, and the sums, up to date."""
    if customer_ids:
        _run(conn, _REFRESH, sql.SQL("c.id = ANY(%(ids)s)"), ids=list(customer_ids))


def check(conn: Connection, *, one_in: int, turn: int) -> list[int]:
    """One customer in `one_in` whose months are wrong; those that wait in the queue are left out."""
    of = sql.SQL("c.id %% %(one_in)s = %(turn)s")
    return [*_run(conn, _WRONG, of, one_in=one_in, turn=turn).scalars()]


def check_sums(conn: Connection) -> list[tuple[int, date, date]]:
    """(owner, cohort, month) whose sums are not what the customers' months add up to."""
    return [(row.owner_id, row.cohort, row.month) for row in _run(conn, _WRONG_SUMS)]


def _run(
    conn: Connection, template: LiteralString, of: sql.Composable | None = None, **values: Any
) -> CursorResult[Any]:
    made = sql.SQL(_MADE).format(of=of or sql.SQL("true"))
    written = sql.SQL(template).format(made=made, sums=sql.SQL(_SUMS))
    return conn.exec_driver_sql(written.as_string(), {"currency": settings.get(conn).currency, **values})
