CREATE TABLE basket_categories (
    code SMALLINT NOT NULL,
    category TEXT NOT NULL,
    CONSTRAINT basket_categories_pkey PRIMARY KEY (code),
    CONSTRAINT basket_categories_category_key UNIQUE (category)
);
CREATE TABLE basket_sums (
    owner_id BIGINT NOT NULL,
    month DATE NOT NULL,
    first SMALLINT NOT NULL,
    second SMALLINT NOT NULL,
    orders INTEGER NOT NULL,
    CONSTRAINT basket_sums_pkey PRIMARY KEY (owner_id, month, first, second)
);
CREATE TABLE customer_baskets (
    customer_id BIGINT NOT NULL,
    rolled_owner_id BIGINT NOT NULL,
    months DATE[] NOT NULL,
    baskets BIGINT[] NOT NULL,
    CONSTRAINT customer_baskets_pkey PRIMARY KEY (customer_id)
);
GRANT SELECT ON public."basket_categories" TO kehu_scoped, kehu_masked, kehu_gate, kehu_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON public."basket_categories" TO kehu_worker;
ALTER TABLE public."basket_sums" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."basket_sums";
CREATE POLICY "all_rows" ON public."basket_sums" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "own_rows" ON public."basket_sums";
CREATE POLICY "own_rows" ON public."basket_sums" TO "kehu_scoped", "kehu_views" USING (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[])) WITH CHECK (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON public."basket_sums" TO kehu_worker;
GRANT SELECT ON public."basket_sums" TO kehu_admin;
GRANT SELECT ON public."basket_sums" TO kehu_masked;
GRANT SELECT ON public."basket_sums" TO kehu_scoped;
ALTER TABLE public."customer_baskets" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."customer_baskets";
CREATE POLICY "all_rows" ON public."customer_baskets" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."customer_baskets";
CREATE POLICY "through_view" ON public."customer_baskets" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."customer_baskets" TO kehu_worker;
GRANT SELECT ON public."customer_baskets" TO kehu_admin;
GRANT SELECT ON public."customer_baskets" TO kehu_masked;
GRANT SELECT ON public."customer_baskets" TO kehu_views;
CREATE OR REPLACE VIEW scoped."customer_baskets" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."rolled_owner_id", "t"."months", "t"."baskets" FROM public."customer_baskets" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."customer_baskets" OWNER TO kehu_views;
GRANT SELECT ON scoped."customer_baskets" TO kehu_scoped;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, kehu_worker;
