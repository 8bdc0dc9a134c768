CREATE INDEX customers_profile_idx ON customers (id) INCLUDE (owner_id, region, city, source, age_band, income_band, home_ownership, marital_status, household_size, household_kind, children, created_at, archived_at);
ALTER TABLE campaign_results ADD COLUMN redemptions INTEGER DEFAULT '0' NOT NULL,
    ADD COLUMN rolled_owner_id BIGINT DEFAULT '0' NOT NULL;
CREATE TABLE order_days (
    customer_id BIGINT NOT NULL,
    days DATE[] NOT NULL,
    CONSTRAINT order_days_pkey PRIMARY KEY (customer_id)
);
CREATE TABLE campaign_purchases (
    customer_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    amount NUMERIC(16, 2) NOT NULL,
    CONSTRAINT campaign_purchases_pkey PRIMARY KEY (customer_id, campaign_id, product_id)
);
CREATE INDEX campaign_purchases_campaign_id_idx ON campaign_purchases (campaign_id, product_id, customer_id) INCLUDE (amount);
CREATE TABLE campaign_sums (
    campaign_id BIGINT NOT NULL,
    owner_id BIGINT NOT NULL,
    reached INTEGER NOT NULL,
    buyers INTEGER NOT NULL,
    promoted_buyers INTEGER NOT NULL,
    redeemers INTEGER NOT NULL,
    redemptions BIGINT NOT NULL,
    orders BIGINT NOT NULL,
    revenue NUMERIC(18, 2) NOT NULL,
    revenue_before NUMERIC(18, 2) NOT NULL,
    CONSTRAINT campaign_sums_pkey PRIMARY KEY (campaign_id, owner_id)
);
CREATE INDEX campaign_sums_owner_id_idx ON campaign_sums (owner_id, campaign_id);
ALTER TABLE public."order_days" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."order_days";
CREATE POLICY "all_rows" ON public."order_days" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."order_days";
CREATE POLICY "through_view" ON public."order_days" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."order_days" TO kehu_worker;
GRANT SELECT ON public."order_days" TO kehu_admin;
GRANT SELECT ON public."order_days" TO kehu_masked;
GRANT SELECT ON public."order_days" TO kehu_views;
CREATE OR REPLACE VIEW scoped."order_days" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."days" FROM public."order_days" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."order_days" OWNER TO kehu_views;
GRANT SELECT ON scoped."order_days" TO kehu_scoped;
ALTER TABLE public."campaign_purchases" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."campaign_purchases";
CREATE POLICY "all_rows" ON public."campaign_purchases" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."campaign_purchases";
CREATE POLICY "through_view" ON public."campaign_purchases" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."campaign_purchases" TO kehu_worker;
GRANT SELECT ON public."campaign_purchases" TO kehu_admin;
GRANT SELECT ON public."campaign_purchases" TO kehu_masked;
GRANT SELECT ON public."campaign_purchases" TO kehu_views;
CREATE OR REPLACE VIEW scoped."campaign_purchases" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."campaign_id", "t"."product_id", "t"."amount" FROM public."campaign_purchases" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."campaign_purchases" OWNER TO kehu_views;
GRANT SELECT ON scoped."campaign_purchases" TO kehu_scoped;
ALTER TABLE public."campaign_sums" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."campaign_sums";
CREATE POLICY "all_rows" ON public."campaign_sums" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "own_rows" ON public."campaign_sums";
CREATE POLICY "own_rows" ON public."campaign_sums" TO "kehu_scoped", "kehu_views" USING (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[])) WITH CHECK (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON public."campaign_sums" TO kehu_worker;
GRANT SELECT ON public."campaign_sums" TO kehu_admin;
GRANT SELECT ON public."campaign_sums" TO kehu_masked;
GRANT SELECT ON public."campaign_sums" TO kehu_scoped;
CREATE OR REPLACE VIEW scoped."campaign_results" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."campaign_id", "t"."orders", "t"."revenue", "t"."promoted_orders", "t"."orders_before", "t"."revenue_before", "t"."redemptions", "t"."rolled_owner_id" FROM public."campaign_results" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
UPDATE campaign_results AS r SET redemptions = m.redemptions, rolled_owner_id = c.owner_id
FROM campaign_members AS m
JOIN customers AS c ON c.id = m.customer_id
WHERE m.customer_id = r.customer_id AND m.campaign_id = r.campaign_id;
INSERT INTO order_days (customer_id, days)
SELECT m.customer_id, coalesce(o.days, ARRAY[]::date[])
FROM customer_metrics AS m
LEFT JOIN (
    SELECT customer_id, array_agg(placed_on ORDER BY placed_on) AS days FROM orders GROUP BY customer_id
) AS o ON o.customer_id = m.customer_id;
INSERT INTO campaign_purchases (customer_id, campaign_id, product_id, amount)
SELECT m.customer_id, m.campaign_id, i.product_id,
    coalesce(sum(i.amount) FILTER (
        WHERE s.currency = coalesce((SELECT value #>> '{}' FROM settings WHERE key = 'currency'), 'USD')
    ), 0)
FROM campaign_members AS m
JOIN campaigns AS c ON c.id = m.campaign_id
JOIN orders AS s ON s.customer_id = m.customer_id AND s.placed_on BETWEEN c.starts_on AND c.ends_on
JOIN order_items AS i ON i.customer_id = s.customer_id AND i.order_id = s.id
JOIN campaign_products AS p ON p.campaign_id = c.id AND p.product_id = i.product_id
GROUP BY m.customer_id, m.campaign_id, i.product_id;
INSERT INTO campaign_sums (campaign_id, owner_id, reached, buyers, promoted_buyers, redeemers, redemptions, orders,
    revenue, revenue_before)
SELECT campaign_id, rolled_owner_id, count(*), count(*) FILTER (WHERE orders > 0),
    count(*) FILTER (WHERE promoted_orders > 0), count(*) FILTER (WHERE redemptions > 0), sum(redemptions), sum(orders),
    sum(revenue), sum(revenue_before)
FROM campaign_results
GROUP BY campaign_id, rolled_owner_id;
DROP INDEX campaign_results_campaign_id_idx;
CREATE INDEX campaign_results_campaign_id_idx ON campaign_results (campaign_id, customer_id) INCLUDE (orders, revenue, promoted_orders, redemptions);
DROP INDEX campaign_members_campaign_id_idx;
CREATE INDEX campaign_members_campaign_id_idx ON campaign_members (campaign_id, customer_id) INCLUDE (redemptions, received_on, first_redeemed_on);
CREATE TABLE customer_categories (
    customer_id BIGINT NOT NULL,
    categories TEXT[] NOT NULL,
    CONSTRAINT customer_categories_pkey PRIMARY KEY (customer_id)
);
ALTER TABLE public."customer_categories" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."customer_categories";
CREATE POLICY "all_rows" ON public."customer_categories" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."customer_categories";
CREATE POLICY "through_view" ON public."customer_categories" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."customer_categories" TO kehu_worker;
GRANT SELECT ON public."customer_categories" TO kehu_admin;
GRANT SELECT ON public."customer_categories" TO kehu_masked;
GRANT SELECT ON public."customer_categories" TO kehu_views;
CREATE OR REPLACE VIEW scoped."customer_categories" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."categories" FROM public."customer_categories" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."customer_categories" OWNER TO kehu_views;
GRANT SELECT ON scoped."customer_categories" TO kehu_scoped;
INSERT INTO customer_categories (customer_id, categories)
SELECT m.customer_id, coalesce(b.categories, ARRAY[]::text[])
FROM customer_metrics AS m
LEFT JOIN (
    SELECT i.customer_id, array_agg(DISTINCT p.category ORDER BY p.category) AS categories
    FROM order_items AS i
    JOIN products AS p ON p.id = i.product_id
    GROUP BY i.customer_id
) AS b ON b.customer_id = m.customer_id;
