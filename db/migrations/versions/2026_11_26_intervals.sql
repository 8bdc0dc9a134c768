CREATE TABLE interval_sums (
    owner_id BIGINT NOT NULL,
    days INTEGER NOT NULL,
    intervals BIGINT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT interval_sums_pkey PRIMARY KEY (owner_id, days)
);
ALTER TABLE public."interval_sums" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."interval_sums";
CREATE POLICY "all_rows" ON public."interval_sums" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "own_rows" ON public."interval_sums";
CREATE POLICY "own_rows" ON public."interval_sums" TO "kehu_scoped", "kehu_views" USING (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[])) WITH CHECK (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON public."interval_sums" TO kehu_worker;
GRANT SELECT ON public."interval_sums" TO kehu_admin;
GRANT SELECT ON public."interval_sums" TO kehu_masked;
GRANT SELECT ON public."interval_sums" TO kehu_scoped;
