"""Active customers of days, weeks and months from the roll-up; a digest of each customer's orders."""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_firsts"
down_revision = "2026_11_22_exports"


def upgrade() -> None:
    # No refresh while the sums are taken (db/derived.py holds this lock too). What waits in the queue is added later,
    # as in any refresh: the sums are those of the keys that the metrics say.
    op.execute("SELECT pg_advisory_xact_lock(7203452)")
    op.execute(
        """
        CREATE TEMPORARY TABLE firsts ON COMMIT DROP AS
        SELECT o.placed_on AS day, m.rolled_owner_id AS owner_id, m.rolled_region AS region, o.currency,
            count(*) FILTER (WHERE before IS DISTINCT FROM placed_on)::integer AS of_day,
            count(*) FILTER (
                WHERE before IS NULL OR before < date_trunc('week', placed_on::timestamp)
            )::integer AS of_week,
            count(*) FILTER (
                WHERE before IS NULL OR before < date_trunc('month', placed_on::timestamp)
            )::integer AS of_month
        FROM (
            SELECT *, lag(placed_on) OVER (PARTITION BY customer_id ORDER BY placed_on, placed_at, id) AS before
            FROM orders
        ) AS o
        JOIN customer_metrics AS m ON m.customer_id = o.customer_id
        GROUP BY 1, 2, 3, 4
        """
    )
    # The long work is done: from here readers wait.
    op.execute(
        "ALTER TABLE daily_sales ADD COLUMN first_of_day INTEGER DEFAULT 0 NOT NULL, "
        "ADD COLUMN first_of_week INTEGER DEFAULT 0 NOT NULL, ADD COLUMN first_of_month INTEGER DEFAULT 0 NOT NULL"
    )
    op.execute(
        """
        UPDATE daily_sales AS d SET first_of_day = f.of_day, first_of_week = f.of_week, first_of_month = f.of_month
        FROM firsts AS f
        WHERE (f.day, f.owner_id, f.region, f.currency) = (d.day, d.owner_id, d.region, d.currency)
        """
    )
    # 0 is nobody's digest: a customer's next refresh takes the sums of its keys anew.
    op.execute("ALTER TABLE customer_metrics ADD COLUMN orders_digest BIGINT DEFAULT '0' NOT NULL")
    op.execute(
        """
        CREATE OR REPLACE VIEW scoped.customer_metrics WITH (security_barrier) AS
        SELECT t.customer_id, t.first_order_on, t.last_order_on, t.orders, t.revenue, t.other_currency_orders,
            t.rolled_owner_id, t.rolled_region, t.refreshed_at, t.orders_digest
        FROM public.customer_metrics AS t
        WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id)
        WITH LOCAL CHECK OPTION
        """
    )
