DROP FUNCTION public.customers_containing_scoped(text, text[], integer);
DROP FUNCTION public.customers_containing_all(text, text[], integer);
CREATE INDEX customer_metrics_rolled_owner_id_idx ON customer_metrics (rolled_owner_id, last_order_on, customer_id);
DROP INDEX customers_name_key_idx, customers_pinyin_key_idx, customers_initials_key_idx, customers_email_key_idx,
    customers_phone_key_idx, customers_phone_reversed_idx;
CREATE INDEX customers_name_key_idx ON customers (name_key, owner_id) INCLUDE (id, archived_at);
CREATE INDEX customers_pinyin_key_idx ON customers (pinyin_key, owner_id) INCLUDE (id, archived_at)
    WHERE pinyin_key <> '';
CREATE INDEX customers_initials_key_idx ON customers (initials_key, owner_id) INCLUDE (id, archived_at);
CREATE INDEX customers_email_key_idx ON customers (email_key, owner_id) INCLUDE (id, archived_at)
    WHERE email_key <> '';
CREATE INDEX customers_phone_key_idx ON customers (phone_key, owner_id) INCLUDE (id, archived_at)
    WHERE phone_key <> '';
CREATE INDEX customers_phone_reversed_idx ON customers (phone_reversed, owner_id) INCLUDE (id, archived_at)
    WHERE phone_reversed <> '';
CREATE TABLE search_words (
    word TEXT COLLATE "C" NOT NULL, 
    variants TEXT[] COLLATE "C" NOT NULL, 
    CONSTRAINT search_words_pkey PRIMARY KEY (word)
);
CREATE INDEX search_words_variants_idx ON search_words USING gin (variants);
ALTER TABLE public."search_words" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."search_words";
CREATE POLICY "all_rows" ON public."search_words" TO "kehu_worker" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON public."search_words" TO kehu_worker;
CREATE OR REPLACE FUNCTION public.word_variants(of_word text) RETURNS text[] LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ SELECT array_agg(DISTINCT CASE WHEN i = 0 THEN of_word ELSE overlay(of_word PLACING '' FROM i FOR 1) END) FROM generate_series(0, length(of_word)) AS i $f$;
REVOKE ALL ON FUNCTION public.word_variants(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.word_variants(text) TO kehu_worker;
CREATE OR REPLACE FUNCTION public.learn_words(of_customers bigint[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ INSERT INTO search_words (word, variants) SELECT w.word, word_variants(w.word) FROM (SELECT DISTINCT word FROM customers AS c CROSS JOIN LATERAL string_to_table(c.search_text, ' ') AS word WHERE c.id = ANY(of_customers)) AS w WHERE w.word ~ '^[a-z]{4,24}$' ON CONFLICT DO NOTHING $f$;
REVOKE ALL ON FUNCTION public.learn_words(bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.learn_words(bigint[]) TO kehu_scoped, kehu_admin, kehu_worker;
CREATE OR REPLACE FUNCTION public.latest_buyers_scoped(most integer) RETURNS TABLE (id bigint, day date) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ WITH mine AS (SELECT string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[] AS owners) SELECT m.customer_id, m.last_order_on FROM mine CROSS JOIN LATERAL unnest(mine.owners) AS o (id) CROSS JOIN LATERAL (SELECT n.customer_id, n.last_order_on FROM customer_metrics AS n WHERE n.rolled_owner_id = o.id AND n.last_order_on IS NOT NULL ORDER BY n.last_order_on DESC LIMIT 3 * most / cardinality(mine.owners) + 1) AS m ORDER BY m.last_order_on DESC LIMIT most $f$;
REVOKE ALL ON FUNCTION public.latest_buyers_scoped(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.latest_buyers_scoped(integer) TO kehu_scoped;
CREATE OR REPLACE FUNCTION public."customers_containing_scoped"(starts text[], inside text[], whole text[], most integer) RETURNS TABLE (id bigint, rank integer) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ DECLARE held text; found bigint[]; mine text := ' AND c.archived_at IS NULL' || format(' AND c.owner_id = ANY(%L::bigint[])', string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]) || coalesce((SELECT string_agg(format(' AND strpos(c.search_text, %L) > 0', w), '') FROM unnest(whole) AS w), ''); BEGIN SELECT string_agg(format('c.search_text LIKE %L', p), ' AND ') INTO held FROM unnest(starts) AS p; EXECUTE 'SELECT array_agg(s.id) FROM (SELECT c.id FROM public.customers AS c WHERE ' || held || mine || ' LIMIT ' || most || ') AS s' INTO found; RETURN QUERY SELECT f, 2 FROM unnest(found) AS f; IF inside <> starts AND coalesce(cardinality(found), 0) < most THEN SELECT string_agg(format('c.search_text LIKE %L', p), ' AND ') INTO held FROM unnest(inside) AS p; RETURN QUERY EXECUTE 'SELECT c.id, 3 FROM public.customers AS c WHERE ' || held || mine || ' AND c.id <> ALL(coalesce($1, ''{}'')) LIMIT ' || most USING found; END IF; END $f$;
REVOKE ALL ON FUNCTION public."customers_containing_scoped"(text[], text[], text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public."customers_containing_scoped"(text[], text[], text[], integer) TO kehu_scoped;
CREATE OR REPLACE FUNCTION public."customers_containing_all"(starts text[], inside text[], whole text[], most integer) RETURNS TABLE (id bigint, rank integer) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ DECLARE held text; found bigint[]; mine text := ' AND c.archived_at IS NULL' || '' || coalesce((SELECT string_agg(format(' AND strpos(c.search_text, %L) > 0', w), '') FROM unnest(whole) AS w), ''); BEGIN SELECT string_agg(format('c.search_text LIKE %L', p), ' AND ') INTO held FROM unnest(starts) AS p; EXECUTE 'SELECT array_agg(s.id) FROM (SELECT c.id FROM public.customers AS c WHERE ' || held || mine || ' LIMIT ' || most || ') AS s' INTO found; RETURN QUERY SELECT f, 2 FROM unnest(found) AS f; IF inside <> starts AND coalesce(cardinality(found), 0) < most THEN SELECT string_agg(format('c.search_text LIKE %L', p), ' AND ') INTO held FROM unnest(inside) AS p; RETURN QUERY EXECUTE 'SELECT c.id, 3 FROM public.customers AS c WHERE ' || held || mine || ' AND c.id <> ALL(coalesce($1, ''{}'')) LIMIT ' || most USING found; END IF; END $f$;
REVOKE ALL ON FUNCTION public."customers_containing_all"(text[], text[], text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public."customers_containing_all"(text[], text[], text[], integer) TO kehu_admin, kehu_worker;
CREATE OR REPLACE FUNCTION public."customers_similar_scoped"(words text[], most integer) RETURNS TABLE (id bigint) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ DECLARE held text; BEGIN SELECT string_agg('(' || one.tried || ')', ' AND ') INTO held FROM unnest(words) AS w CROSS JOIN LATERAL (SELECT string_agg(format('c.search_text LIKE %L', '% ' || regexp_replace(k.word, '([\\%_])', '\\\1', 'g') || '%'), ' OR ') AS tried FROM (SELECT w AS word UNION SELECT near.word FROM (SELECT v.word FROM public.search_words AS v WHERE w ~ '^[a-z]{4,24}$' AND v.variants && public.word_variants(w) ORDER BY abs(length(v.word) - length(w)), v.word LIMIT 8) AS near) AS k) AS one; RETURN QUERY EXECUTE 'SELECT c.id FROM public.customers AS c WHERE ' || held || ' AND c.archived_at IS NULL' || format(' AND c.owner_id = ANY(%L::bigint[])', string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]) || ' LIMIT ' || most; END $f$;
REVOKE ALL ON FUNCTION public."customers_similar_scoped"(text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public."customers_similar_scoped"(text[], integer) TO kehu_scoped;
CREATE OR REPLACE FUNCTION public."customers_similar_all"(words text[], most integer) RETURNS TABLE (id bigint) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ DECLARE held text; BEGIN SELECT string_agg('(' || one.tried || ')', ' AND ') INTO held FROM unnest(words) AS w CROSS JOIN LATERAL (SELECT string_agg(format('c.search_text LIKE %L', '% ' || regexp_replace(k.word, '([\\%_])', '\\\1', 'g') || '%'), ' OR ') AS tried FROM (SELECT w AS word UNION SELECT near.word FROM (SELECT v.word FROM public.search_words AS v WHERE w ~ '^[a-z]{4,24}$' AND v.variants && public.word_variants(w) ORDER BY abs(length(v.word) - length(w)), v.word LIMIT 8) AS near) AS k) AS one; RETURN QUERY EXECUTE 'SELECT c.id FROM public.customers AS c WHERE ' || held || ' AND c.archived_at IS NULL' || '' || ' LIMIT ' || most; END $f$;
REVOKE ALL ON FUNCTION public."customers_similar_all"(text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public."customers_similar_all"(text[], integer) TO kehu_admin, kehu_worker;
CREATE OR REPLACE FUNCTION public.customer_change_sets(of_customer bigint) RETURNS SETOF change_sets LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "public", pg_temp AS $f$ SELECT s.id, s.actor_id, s.made_at, s.command, s.permission, s.source, s.screen, CASE WHEN current_setting('role') = 'kehu_masked' THEN '' ELSE s.reason END, s.undoes_id, s.batch_id FROM change_sets AS s WHERE s.id IN (SELECT h.change_set_id FROM changes AS h WHERE h.customer_id = of_customer) AND (current_setting('role') <> 'kehu_scoped' OR EXISTS (SELECT FROM customers AS c WHERE c.id = of_customer AND c.owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]))) $f$;
REVOKE ALL ON FUNCTION public.customer_change_sets(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.customer_change_sets(bigint) TO kehu_scoped, kehu_masked, kehu_admin;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, kehu_worker;
