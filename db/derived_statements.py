"""The statements of db/derived.py: refreshed, and where the tables differ from what they come from."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from db.order_digest import DIGEST

_FACTS = sql.SQL("""
    SELECT count(*)::integer AS orders,
        coalesce(sum(amount) FILTER (WHERE currency = %(currency)s), 0) AS revenue,
        (count(*) FILTER (WHERE currency <> %(currency)s))::integer AS other_currency_orders,
        min(placed_on) AS first_order_on,
        max(placed_on) AS last_order_on,
        coalesce(bit_xor({digest}), 0) AS orders_digest,
        coalesce(array_agg(placed_on ORDER BY placed_on), ARRAY[]::date[]) AS days
""").format(digest=DIGEST)

# The median of the days between distinct days of `days`, which are in order, halves up; null below two of them.
_USUAL_DAYS = """(
    SELECT floor((gaps[(n + 1) / 2] + gaps[n / 2 + 1]) / 2.0 + 0.5)::integer
    FROM (
        SELECT array_agg(gap ORDER BY gap) AS gaps, count(*)::integer AS n
        FROM (SELECT {days}[i + 1] - {days}[i] AS gap FROM generate_series(1, cardinality({days}) - 1) AS i) AS each_gap
        WHERE gap > 0
    ) AS found
    WHERE n >= 2
)"""

# Orders with what each is the first of: of all of its customer's, of its day, its ISO week, its month.
_PLACES = """
    SELECT customer_id, placed_on, currency, amount,
        (before IS NULL)::integer AS is_new,
        (before IS DISTINCT FROM placed_on)::integer AS of_day,
        (before IS NULL OR before < date_trunc('week', placed_on::timestamp))::integer AS of_week,
        (before IS NULL OR before < date_trunc('month', placed_on::timestamp))::integer AS of_month
    FROM (
        SELECT *, lag(placed_on) OVER (PARTITION BY customer_id ORDER BY placed_on, placed_at, id) AS before
        FROM {orders}
    ) AS following
"""

# The orders that a row of customer_metrics was made of, where no other came among them since.
_FIRST = sql.SQL(
    "(SELECT * FROM orders WHERE customer_id = {of}.customer_id ORDER BY id LIMIT {of}.orders) AS rolled_orders"
)

_DAY_COLUMNS = sql.SQL("orders, revenue, new_customers, first_of_day, first_of_week, first_of_month")

# As db/lifecycle.py says, on the day `today` by the rules numbered `rules`; `sign` takes away what stood before.
_STAGE_SUMS = sql.SQL("""
    SELECT owner_id, region,
        CASE WHEN last_order_on IS NULL THEN 'prospect'
            WHEN (%(today)s::date - last_order_on) * 10
                > coalesce(usual_days * %(lost_tenths)s::integer, %(lost_days)s * 10) THEN 'lost'
            WHEN (%(today)s::date - last_order_on) * 10
                > coalesce(usual_days * %(risk_tenths)s::integer, %(risk_days)s * 10) THEN 'at_risk'
            WHEN orders >= %(loyal_orders)s THEN 'loyal'
            WHEN orders >= %(repeat_orders)s THEN 'repeat'
            ELSE 'first' END AS stage,
        %(today)s::date AS as_of,
        coalesce(sum(sign) FILTER (WHERE NOT archived), 0)::integer AS customers,
        coalesce(sum(sign * revenue) FILTER (WHERE NOT archived), 0) AS revenue,
        coalesce(sum(sign) FILTER (WHERE orders > 0), 0)::integer AS buyers,
        coalesce(sum(sign) FILTER (WHERE orders > 1), 0)::integer AS repeat_buyers,
        %(rules)s::integer AS rules
""")

_ROLLED = sql.SQL("""
    SELECT rolled_owner_id AS owner_id, rolled_region AS region, 1 AS sign, rolled_archived AS archived, orders,
        revenue, last_order_on, usual_days
    FROM customer_metrics
""")

UPSERT_METRICS = sql.SQL("""
    ON CONFLICT (customer_id) DO UPDATE SET
        first_order_on = excluded.first_order_on,
        last_order_on = excluded.last_order_on,
        orders = excluded.orders,
        revenue = excluded.revenue,
        other_currency_orders = excluded.other_currency_orders,
        orders_digest = excluded.orders_digest,
        rolled_owner_id = excluded.rolled_owner_id,
        rolled_region = excluded.rolled_region,
        rolled_archived = excluded.rolled_archived,
        usual_days = excluded.usual_days,
        refreshed_at = excluded.refreshed_at
""")

UPSERT_DAYS = sql.SQL("""
    ON CONFLICT (day, owner_id, region, currency) DO UPDATE SET
        orders = excluded.orders,
        revenue = excluded.revenue,
        new_customers = excluded.new_customers,
        first_of_day = excluded.first_of_day,
        first_of_week = excluded.first_of_week,
        first_of_month = excluded.first_of_month
""")

# `same` is true when the orders are those that the metrics were made of: then the customer can at most have moved, and
# what it adds to daily_sales is subtracted there and added here. `grown` is true when they are the first of those that
# stand there by now, as when orders came in: what the first ones added is subtracted, what all add is added. Otherwise
# what it added before is no longer known, and the sums of its keys are taken anew: right for whatever came or went, at
# the cost of reading those keys' orders. Of customers who still wait those hold what they were made of, the first so
# many orders: what came since is added in their turn. The digest tells orders with equal totals apart; a hash that
# another server computes otherwise costs only time.
REFRESH = """
WITH taken AS (
    DELETE FROM touched_customers
    WHERE id IN (SELECT id FROM touched_customers ORDER BY id LIMIT %(limit)s)
    RETURNING customer_id
),
work AS MATERIALIZED (
    SELECT t.customer_id, c.id IS NOT NULL AS stands, c.owner_id, c.region, c.archived_at IS NOT NULL AS archived, f.*,
        m.customer_id IS NOT NULL AS rolled, m.rolled_owner_id, m.rolled_region, m.rolled_archived,
        m.orders AS rolled_orders, m.revenue AS rolled_revenue, m.last_order_on AS rolled_last,
        m.usual_days AS rolled_usual,
        (m.orders, m.revenue, m.other_currency_orders, m.first_order_on, m.last_order_on, m.orders_digest)
        IS NOT DISTINCT FROM
        (f.orders, f.revenue, f.other_currency_orders, f.first_order_on, f.last_order_on, f.orders_digest) AS same,
        c.id IS NOT NULL AND b.orders IS NOT NULL AS grown
    FROM (SELECT DISTINCT customer_id FROM taken) AS t
    LEFT JOIN customers AS c ON c.id = t.customer_id
    LEFT JOIN customer_metrics AS m ON m.customer_id = t.customer_id
    CROSS JOIN LATERAL ({facts} FROM orders WHERE customer_id = t.customer_id) AS f
    LEFT JOIN LATERAL (SELECT * FROM ({facts} FROM {first_of_m}) AS first WHERE m.orders < f.orders) AS b ON
        (b.orders, b.revenue, b.other_currency_orders, b.first_order_on, b.last_order_on, b.orders_digest)
        IS NOT DISTINCT FROM
        (m.orders, m.revenue, m.other_currency_orders, m.first_order_on, m.last_order_on, m.orders_digest)
),
known AS MATERIALIZED (
    SELECT *, {usual_days} AS usual_days FROM work
),
moved AS MATERIALIZED (
    SELECT customer_id, owner_id, region, rolled_owner_id, rolled_region, rolled_orders AS orders
    FROM work
    WHERE stands
        AND (NOT rolled OR grown OR same AND (owner_id, region) IS DISTINCT FROM (rolled_owner_id, rolled_region))
),
stale AS MATERIALIZED (
    SELECT rolled_owner_id AS owner_id, rolled_region AS region FROM work WHERE rolled AND NOT (same OR grown)
    UNION
    SELECT owner_id, region FROM work WHERE rolled AND NOT (same OR grown) AND stands
),
placed AS MATERIALIZED (
    SELECT m.customer_id, s.owner_id, s.region, m.orders
    FROM customer_metrics AS m
    JOIN stale AS s ON s.owner_id = m.rolled_owner_id AND s.region = m.rolled_region
    WHERE NOT EXISTS (SELECT FROM work AS w WHERE w.customer_id = m.customer_id)
    UNION ALL
    SELECT w.customer_id, s.owner_id, s.region, NULL
    FROM work AS w
    JOIN stale AS s ON s.owner_id = w.owner_id AND s.region = w.region
    WHERE w.stands
),
ranked_before AS MATERIALIZED (
    SELECT o.* FROM moved AS p CROSS JOIN LATERAL ({places_before_p}) AS o WHERE p.rolled_owner_id IS NOT NULL
),
ranked AS MATERIALIZED (
    SELECT o.*
    FROM (SELECT customer_id, NULL AS orders FROM moved UNION SELECT customer_id, orders FROM placed) AS p
    CROSS JOIN LATERAL ({places_before_p}) AS o
),
pieces AS (
    SELECT r.placed_on AS day, r.owner_id, r.region, r.currency, r.sign AS orders, r.sign * r.amount AS revenue,
        r.sign * r.is_new AS new_customers, r.sign * r.of_day AS first_of_day, r.sign * r.of_week AS first_of_week,
        r.sign * r.of_month AS first_of_month
    FROM (
        SELECT r.*, m.owner_id, m.region, 1 AS sign FROM ranked AS r JOIN moved AS m USING (customer_id)
        UNION ALL
        SELECT r.*, m.rolled_owner_id, m.rolled_region, -1 FROM ranked_before AS r JOIN moved AS m USING (customer_id)
    ) AS r
    WHERE NOT EXISTS (SELECT FROM stale AS s WHERE s.owner_id = r.owner_id AND s.region = r.region)
    UNION ALL
    SELECT r.placed_on, p.owner_id, p.region, r.currency, 1, r.amount, r.is_new, r.of_day, r.of_week, r.of_month
    FROM ranked AS r
    JOIN placed AS p ON p.customer_id = r.customer_id
    UNION ALL
    SELECT d.day, d.owner_id, d.region, d.currency, -d.orders, -d.revenue, -d.new_customers, -d.first_of_day,
        -d.first_of_week, -d.first_of_month
    FROM daily_sales AS d
    JOIN stale AS s ON s.owner_id = d.owner_id AND s.region = d.region
),
change AS (
    SELECT day, owner_id, region, currency, sum(orders)::integer AS orders, sum(revenue) AS revenue,
        sum(new_customers)::integer AS new_customers, sum(first_of_day)::integer AS first_of_day,
        sum(first_of_week)::integer AS first_of_week, sum(first_of_month)::integer AS first_of_month
    FROM pieces
    GROUP BY 1, 2, 3, 4
    HAVING (sum(orders), sum(revenue), sum(new_customers), sum(first_of_day), sum(first_of_week), sum(first_of_month))
        <> (0, 0, 0, 0, 0, 0)
),
outcome AS MATERIALIZED (
    SELECT c.day, c.owner_id, c.region, c.currency, coalesce(d.orders, 0) + c.orders AS orders,
        coalesce(d.revenue, 0) + c.revenue AS revenue,
        coalesce(d.new_customers, 0) + c.new_customers AS new_customers,
        coalesce(d.first_of_day, 0) + c.first_of_day AS first_of_day,
        coalesce(d.first_of_week, 0) + c.first_of_week AS first_of_week,
        coalesce(d.first_of_month, 0) + c.first_of_month AS first_of_month
    FROM change AS c
    LEFT JOIN daily_sales AS d
        ON (d.day, d.owner_id, d.region, d.currency) = (c.day, c.owner_id, c.region, c.currency)
),
days AS (
    INSERT INTO daily_sales (day, owner_id, region, currency, {day_columns})
    SELECT day, owner_id, region, currency, {day_columns} FROM outcome WHERE orders <> 0
    {upsert_days}
),
emptied AS (
    DELETE FROM daily_sales AS d
    USING outcome AS x
    WHERE x.orders = 0 AND (d.day, d.owner_id, d.region, d.currency) = (x.day, x.owner_id, x.region, x.currency)
),
gone AS (
    DELETE FROM customer_metrics AS m USING work AS w WHERE m.customer_id = w.customer_id AND NOT w.stands
),
days_of AS (
    INSERT INTO order_days (customer_id, days, usual_days) SELECT customer_id, days, usual_days FROM known WHERE stands
    ON CONFLICT (customer_id) DO UPDATE SET days = excluded.days, usual_days = excluded.usual_days
),
days_gone AS (
    DELETE FROM order_days AS d USING work AS w WHERE d.customer_id = w.customer_id AND NOT w.stands
),
metrics AS (
    INSERT INTO customer_metrics (customer_id, first_order_on, last_order_on, orders, revenue, other_currency_orders,
        orders_digest, rolled_owner_id, rolled_region, rolled_archived, usual_days, refreshed_at)
    SELECT customer_id, first_order_on, last_order_on, orders, revenue, other_currency_orders, orders_digest, owner_id,
        region, archived, usual_days, %(now)s
    FROM known
    WHERE stands
    {upsert_metrics}
),
staged AS (
    SELECT rolled_owner_id AS owner_id, rolled_region AS region, -1 AS sign, rolled_archived AS archived,
        rolled_orders AS orders, rolled_revenue AS revenue, rolled_last AS last_order_on, rolled_usual AS usual_days
    FROM work
    WHERE rolled
    UNION ALL
    SELECT owner_id, region, 1, archived, orders, revenue, last_order_on, usual_days FROM known WHERE stands
),
stages AS (
    INSERT INTO stage_sums AS s (owner_id, region, stage, as_of, customers, revenue, buyers, repeat_buyers, rules)
    {stage_sums} FROM staged GROUP BY 1, 2, 3
    ON CONFLICT (owner_id, region, stage) DO UPDATE SET
        customers = s.customers + excluded.customers,
        revenue = s.revenue + excluded.revenue,
        buyers = s.buyers + excluded.buyers,
        repeat_buyers = s.repeat_buyers + excluded.repeat_buyers
)
SELECT (SELECT count(*) FROM taken) AS taken, (SELECT array_agg(customer_id) FROM work) AS customers
"""

WRONG_CUSTOMERS = """
SELECT p.customer_id
FROM (
    SELECT coalesce(c.id, m.customer_id, d.customer_id) AS customer_id, c.id IS NOT NULL AS stands, c.owner_id,
        c.region, c.archived_at IS NOT NULL AS archived, m.first_order_on, m.last_order_on, m.orders, m.revenue,
        m.other_currency_orders, m.rolled_owner_id, m.rolled_region, m.rolled_archived, d.days,
        d.usual_days, m.usual_days AS usual_too
    FROM customers AS c
    FULL JOIN customer_metrics AS m ON m.customer_id = c.id
    FULL JOIN order_days AS d ON d.customer_id = coalesce(c.id, m.customer_id)
    WHERE coalesce(c.id, m.customer_id, d.customer_id) %% %(one_in)s = %(turn)s
) AS p
CROSS JOIN LATERAL ({facts} FROM orders WHERE customer_id = p.customer_id) AS f
WHERE NOT EXISTS (SELECT FROM touched_customers AS t WHERE t.customer_id = p.customer_id)
    AND (NOT p.stands
        OR (p.owner_id, p.region, p.archived, f.orders, f.revenue, f.other_currency_orders, f.first_order_on,
            f.last_order_on, f.days)
        IS DISTINCT FROM (p.rolled_owner_id, p.rolled_region, p.rolled_archived, p.orders, p.revenue,
            p.other_currency_orders, p.first_order_on, p.last_order_on, p.days)
        OR p.usual_days IS DISTINCT FROM {usual_days_of_f}
        OR p.usual_days IS DISTINCT FROM p.usual_too)
ORDER BY 1
"""

STAGES = """
INSERT INTO stage_sums (owner_id, region, stage, as_of, customers, revenue, buyers, repeat_buyers, rules)
SELECT * FROM ({stage_sums} FROM ({rolled}) AS r GROUP BY 1, 2, 3) AS made WHERE customers > 0 OR buyers > 0
"""

WRONG_STAGES = """
SELECT owner_id, region, stage
FROM ({stage_sums} FROM ({rolled}) AS r GROUP BY 1, 2, 3) AS a
FULL JOIN stage_sums AS b USING (owner_id, region, stage)
WHERE (coalesce(a.customers, 0), coalesce(a.revenue, 0), coalesce(a.buyers, 0), coalesce(a.repeat_buyers, 0)) <>
    (coalesce(b.customers, 0), coalesce(b.revenue, 0), coalesce(b.buyers, 0), coalesce(b.repeat_buyers, 0))
ORDER BY 1, 2, 3
"""

WRONG_DAYS = """
WITH busy AS (
    SELECT DISTINCT m.rolled_owner_id AS owner_id, m.rolled_region AS region
    FROM touched_customers AS t
    JOIN customer_metrics AS m ON m.customer_id = t.customer_id
),
buyers AS MATERIALIZED (
    SELECT DISTINCT customer_id FROM orders WHERE (placed_on - DATE '2000-01-01') %% %(one_in)s = %(turn)s
),
sums AS (
    SELECT o.placed_on AS day, m.rolled_owner_id AS owner_id, m.rolled_region AS region, o.currency,
        count(*) AS orders, sum(o.amount) AS revenue, sum(o.is_new) AS new_customers, sum(o.of_day) AS first_of_day,
        sum(o.of_week) AS first_of_week, sum(o.of_month) AS first_of_month
    FROM buyers AS p
    CROSS JOIN LATERAL ({places_of_p}) AS o
    JOIN customer_metrics AS m ON m.customer_id = p.customer_id
    WHERE (o.placed_on - DATE '2000-01-01') %% %(one_in)s = %(turn)s
    GROUP BY 1, 2, 3, 4
),
stored AS (
    SELECT * FROM daily_sales WHERE (day - DATE '2000-01-01') %% %(one_in)s = %(turn)s
)
SELECT day, owner_id, region, currency
FROM sums AS s
FULL JOIN stored AS d USING (day, owner_id, region, currency)
WHERE (s.orders, s.revenue, s.new_customers, s.first_of_day, s.first_of_week, s.first_of_month)
    IS DISTINCT FROM (d.orders, d.revenue, d.new_customers, d.first_of_day, d.first_of_week, d.first_of_month)
    AND (owner_id, region) NOT IN (SELECT owner_id, region FROM busy)
ORDER BY 1, 2, 3, 4
"""


def statement(template: LiteralString) -> str:
    """One of these statements, its shared pieces filled in."""
    written = sql.SQL(template).format(
        facts=_FACTS,
        places_of_p=sql.SQL(_PLACES).format(orders=sql.SQL("orders WHERE customer_id = p.customer_id")),
        places_before_p=sql.SQL(_PLACES).format(orders=_FIRST.format(of=sql.Identifier("p"))),
        first_of_m=_FIRST.format(of=sql.Identifier("m")),
        usual_days=sql.SQL(_USUAL_DAYS).format(days=sql.SQL("days")),
        usual_days_of_f=sql.SQL(_USUAL_DAYS).format(days=sql.SQL("f.days")),
        day_columns=_DAY_COLUMNS,
        stage_sums=_STAGE_SUMS,
        rolled=_ROLLED,
        upsert_metrics=UPSERT_METRICS,
        upsert_days=UPSERT_DAYS,
    )
    return written.as_string()
