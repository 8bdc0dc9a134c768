CREATE TABLE class_days (
    day DATE NOT NULL, 
    recency NUMERIC[] NOT NULL, 
    frequency NUMERIC[] NOT NULL, 
    monetary NUMERIC[] NOT NULL, 
    value NUMERIC[] NOT NULL, 
    made_at TIMESTAMP WITH TIME ZONE NOT NULL, 
    rules TEXT NOT NULL, 
    CONSTRAINT class_days_pkey PRIMARY KEY (day)
);
CREATE TABLE customer_classes (
    customer_id BIGINT NOT NULL, 
    stages BYTEA NOT NULL, 
    rfm_classes BYTEA NOT NULL, 
    rfm_values BYTEA NOT NULL, 
    deciles BYTEA NOT NULL, 
    CONSTRAINT customer_classes_pkey PRIMARY KEY (customer_id)
);
GRANT SELECT ON public."class_days" TO kehu_scoped, kehu_masked, kehu_gate, kehu_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON public."class_days" TO kehu_worker;
ALTER TABLE public."customer_classes" ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS "all_rows" ON public."customer_classes";
CREATE POLICY "all_rows" ON public."customer_classes" TO "kehu_admin", "kehu_worker", "kehu_masked" USING (true) WITH CHECK (true);
DROP POLICY IF EXISTS "through_view" ON public."customer_classes";
CREATE POLICY "through_view" ON public."customer_classes" TO "kehu_views" USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON public."customer_classes" TO kehu_worker;
GRANT SELECT ON public."customer_classes" TO kehu_admin;
GRANT SELECT ON public."customer_classes" TO kehu_masked;
GRANT SELECT ON public."customer_classes" TO kehu_views;
CREATE OR REPLACE VIEW scoped."customer_classes" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."stages", "t"."rfm_classes", "t"."rfm_values", "t"."deciles" FROM public."customer_classes" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
ALTER VIEW scoped."customer_classes" OWNER TO kehu_views;
GRANT SELECT ON scoped."customer_classes" TO kehu_scoped;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, kehu_worker;
