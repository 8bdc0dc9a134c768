CREATE TABLE cohort_sums (
    owner_id BIGINT NOT NULL,
    cohort DATE NOT NULL,
    month DATE NOT NULL,
    customers INTEGER NOT NULL,
    orders BIGINT NOT NULL,
    revenue NUMERIC(18, 2) NOT NULL,
    CONSTRAINT cohort_sums_pkey PRIMARY KEY (owner_id, cohort, month)
);
CREATE TABLE customer_months (
    customer_id BIGINT NOT NULL,
    rolled_owner_id BIGINT NOT NULL,
    months DATE[] NOT NULL,
    orders INTEGER[] NOT NULL,
    revenue NUMERIC(16, 2)[] NOT NULL,
    CONSTRAINT customer_months_pkey PRIMARY KEY (customer_id)
);
ALTER TABLE public."cohort_sums" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."cohort_sums";
CREATE POLICY "all_rows" ON public."cohort_sums" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "own_rows" ON public."cohort_sums";
CREATE POLICY "own_rows" ON public."cohort_sums" TO "kehu_scoped", "kehu_views" USING (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[])) WITH CHECK (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON public."cohort_sums" TO kehu_worker;
GRANT SELECT ON public."cohort_sums" TO kehu_admin;
GRANT SELECT ON public."cohort_sums" TO kehu_masked;
GRANT SELECT ON public."cohort_sums" TO kehu_scoped;
ALTER TABLE public."customer_months" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."customer_months";
CREATE POLICY "all_rows" ON public."customer_months" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."customer_months";
CREATE POLICY "through_view" ON public."customer_months" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."customer_months" TO kehu_worker;
GRANT SELECT ON public."customer_months" TO kehu_admin;
GRANT SELECT ON public."customer_months" TO kehu_masked;
GRANT SELECT ON public."customer_months" TO kehu_views;
CREATE OR REPLACE VIEW scoped."customer_months" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."rolled_owner_id", "t"."months", "t"."orders", "t"."revenue" FROM public."customer_months" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."customer_months" OWNER TO kehu_views;
GRANT SELECT ON scoped."customer_months" TO kehu_scoped;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, kehu_worker;

-- What there is already; the worker keeps it up from here.
INSERT INTO customer_months (customer_id, rolled_owner_id, months, orders, revenue)
SELECT customer_id, owner_id, array_agg(month ORDER BY month), array_agg(orders ORDER BY month),
    array_agg(revenue ORDER BY month)
FROM (
    SELECT c.id AS customer_id, c.owner_id, date_trunc('month', o.placed_on::timestamp)::date AS month,
        count(*)::integer AS orders,
        coalesce(sum(o.amount) FILTER (
            WHERE o.currency = coalesce((SELECT value #>> '{}' FROM settings WHERE key = 'currency'), 'USD')
        ), 0)::numeric(16, 2) AS revenue
    FROM customers AS c
    JOIN orders AS o ON o.customer_id = c.id
    WHERE c.archived_at IS NULL
    GROUP BY c.id, c.owner_id, month
) AS monthly
GROUP BY customer_id, owner_id;
INSERT INTO cohort_sums (owner_id, cohort, month, customers, orders, revenue)
SELECT m.rolled_owner_id, m.months[1], u.month, count(*)::integer, sum(u.orders), sum(u.revenue)
FROM customer_months AS m
CROSS JOIN LATERAL unnest(m.months, m.orders, m.revenue) AS u (month, orders, revenue)
GROUP BY 1, 2, 3;
