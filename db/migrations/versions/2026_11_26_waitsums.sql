CREATE TABLE wait_sums (
    owner_id BIGINT NOT NULL, 
    month DATE NOT NULL, 
    step SMALLINT NOT NULL, 
    happened BOOLEAN NOT NULL, 
    days INTEGER NOT NULL, 
    customers INTEGER NOT NULL, 
    known_from DATE NOT NULL, 
    made_at TIMESTAMP WITH TIME ZONE NOT NULL, 
    CONSTRAINT wait_sums_pkey PRIMARY KEY (owner_id, month, step, happened, days)
);
ALTER TABLE public."wait_sums" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."wait_sums";
CREATE POLICY "all_rows" ON public."wait_sums" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "own_rows" ON public."wait_sums";
CREATE POLICY "own_rows" ON public."wait_sums" TO "kehu_scoped", "kehu_views" USING (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[])) WITH CHECK (owner_id = ANY(string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON public."wait_sums" TO kehu_worker;
GRANT SELECT ON public."wait_sums" TO kehu_admin;
GRANT SELECT ON public."wait_sums" TO kehu_masked;
GRANT SELECT ON public."wait_sums" TO kehu_scoped;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, kehu_worker;
