CREATE TABLE campaign_products (
    campaign_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    batch_id BIGINT,
    CONSTRAINT campaign_products_pkey PRIMARY KEY (campaign_id, product_id),
    CONSTRAINT campaign_products_campaign_id_fkey FOREIGN KEY(campaign_id) REFERENCES campaigns (id) ON DELETE RESTRICT,
    CONSTRAINT campaign_products_product_id_fkey FOREIGN KEY(product_id) REFERENCES products (id) ON DELETE RESTRICT,
    CONSTRAINT campaign_products_batch_id_fkey FOREIGN KEY(batch_id) REFERENCES batches (id) ON DELETE RESTRICT
);
CREATE INDEX campaign_products_batch_id_idx ON campaign_products (batch_id);
CREATE INDEX campaign_products_product_id_idx ON campaign_products (product_id);
CREATE TABLE campaign_results (
    customer_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    orders INTEGER NOT NULL,
    revenue NUMERIC(16, 2) NOT NULL,
    promoted_orders INTEGER NOT NULL,
    orders_before INTEGER NOT NULL,
    revenue_before NUMERIC(16, 2) NOT NULL,
    CONSTRAINT campaign_results_pkey PRIMARY KEY (customer_id, campaign_id)
);
CREATE INDEX campaign_results_campaign_id_idx ON campaign_results (campaign_id, customer_id);
GRANT SELECT ON public."campaign_products" TO kehu_scoped, kehu_masked, kehu_gate, kehu_admin;
GRANT DELETE ON public."campaign_products" TO kehu_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON public."campaign_products" TO kehu_worker;
ALTER TABLE public."campaign_results" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."campaign_results";
CREATE POLICY "all_rows" ON public."campaign_results" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."campaign_results";
CREATE POLICY "through_view" ON public."campaign_results" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."campaign_results" TO kehu_worker;
GRANT SELECT ON public."campaign_results" TO kehu_admin;
GRANT SELECT ON public."campaign_results" TO kehu_masked;
GRANT SELECT ON public."campaign_results" TO kehu_views;
CREATE OR REPLACE VIEW scoped."campaign_results" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."campaign_id", "t"."orders", "t"."revenue", "t"."promoted_orders", "t"."orders_before", "t"."revenue_before" FROM public."campaign_results" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."campaign_results" OWNER TO kehu_views;
GRANT SELECT ON scoped."campaign_results" TO kehu_scoped;
CREATE OR REPLACE FUNCTION public.data_until() RETURNS date LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ SELECT max(day) FROM daily_sales $f$;
REVOKE ALL ON FUNCTION public.data_until() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.data_until() TO kehu_scoped, kehu_masked, kehu_admin, kehu_worker;
