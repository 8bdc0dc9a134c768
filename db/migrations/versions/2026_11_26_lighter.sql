CREATE INDEX touched_customers_touched_at_idx ON touched_customers (touched_at);
ALTER TABLE customer_metrics ADD COLUMN rolled_archived BOOLEAN DEFAULT false NOT NULL;
UPDATE customer_metrics AS m SET rolled_archived = true FROM customers AS c WHERE c.id = m.customer_id AND c.archived_at IS NOT NULL;
CREATE TABLE stage_sums (
    owner_id BIGINT NOT NULL, 
    region TEXT DEFAULT '' NOT NULL, 
    stage TEXT NOT NULL, 
    as_of DATE NOT NULL, 
    customers INTEGER NOT NULL, 
    revenue NUMERIC(18, 2) NOT NULL, 
    buyers INTEGER NOT NULL, 
    repeat_buyers INTEGER NOT NULL, 
    CONSTRAINT stage_sums_pkey PRIMARY KEY (owner_id, region, stage)
);
CREATE OR REPLACE VIEW scoped."customer_metrics" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."first_order_on", "t"."last_order_on", "t"."orders", "t"."revenue", "t"."other_currency_orders", "t"."rolled_owner_id", "t"."rolled_region", "t"."refreshed_at", "t"."orders_digest", "t"."rolled_archived" FROM public."customer_metrics" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER TABLE public."stage_sums" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."stage_sums";
CREATE POLICY "all_rows" ON public."stage_sums" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "own_rows" ON public."stage_sums";
CREATE POLICY "own_rows" ON public."stage_sums" TO "kehu_scoped", "kehu_views" USING (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[])) WITH CHECK (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON public."stage_sums" TO kehu_worker;
GRANT SELECT ON public."stage_sums" TO kehu_admin;
GRANT SELECT ON public."stage_sums" TO kehu_masked;
GRANT SELECT ON public."stage_sums" TO kehu_scoped;
CREATE OR REPLACE FUNCTION public.tags_in_use_all(most integer, counted integer) RETURNS TABLE (tag text, customers bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ WITH RECURSIVE steps AS (SELECT min(tag_key) AS k, 1 AS n FROM customer_tags UNION ALL SELECT (SELECT min(t.tag_key) FROM customer_tags AS t WHERE t.tag_key > steps.k), n + 1 FROM steps WHERE k IS NOT NULL AND n < most) SELECT f.tag, w.n FROM steps, LATERAL (SELECT t.tag FROM customer_tags AS t WHERE t.tag_key = k ORDER BY t.customer_id LIMIT 1) AS f, LATERAL (SELECT count(*) AS n FROM (SELECT FROM customer_tags AS t WHERE t.tag_key = k AND (SELECT c.archived_at IS NULL FROM customers AS c WHERE c.id = t.customer_id) LIMIT counted) AS seen) AS w WHERE w.n > 0 $f$;
CREATE OR REPLACE FUNCTION public.tags_standing_all(keys text[]) RETURNS TABLE (tag_key text, tag text) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ SELECT k, f.tag FROM unnest(keys) AS k, LATERAL (SELECT t.tag FROM customer_tags AS t WHERE t.tag_key = k AND (SELECT c.archived_at IS NULL FROM customers AS c WHERE c.id = t.customer_id) ORDER BY t.customer_id LIMIT 1) AS f $f$;
REVOKE ALL ON FUNCTION public.tags_standing_all(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.tags_standing_all(text[]) TO kehu_masked, kehu_admin, kehu_worker;
CREATE OR REPLACE FUNCTION public.tags_standing_scoped(keys text[]) RETURNS TABLE (tag_key text, tag text) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ BEGIN FOREACH tag_key IN ARRAY keys LOOP EXECUTE format('SELECT t.tag FROM public.customer_tags AS t JOIN public.customers AS c ON c.id = t.customer_id WHERE t.tag_key = %L AND c.owner_id = ANY(%L::bigint[]) AND c.archived_at IS NULL LIMIT 1', tag_key, string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]) INTO tag; IF tag IS NOT NULL THEN RETURN NEXT; END IF; END LOOP; END $f$;
REVOKE ALL ON FUNCTION public.tags_standing_scoped(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.tags_standing_scoped(text[]) TO kehu_scoped;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, kehu_worker;
