ALTER TABLE order_days ADD COLUMN usual_days integer;
UPDATE order_days AS d SET usual_days = floor((f.gaps[(f.n + 1) / 2] + f.gaps[f.n / 2 + 1]) / 2.0 + 0.5)::integer
FROM order_days AS o, LATERAL (
    SELECT array_agg(gap ORDER BY gap) AS gaps, count(*)::integer AS n
    FROM (SELECT o.days[i + 1] - o.days[i] AS gap FROM generate_series(1, cardinality(o.days) - 1) AS i) AS each_gap
    WHERE gap > 0
) AS f
WHERE o.customer_id = d.customer_id AND f.n >= 2;
CREATE OR REPLACE VIEW scoped."order_days" WITH (security_barrier) AS SELECT "t"."customer_id", "t"."days", "t"."usual_days" FROM public."order_days" AS t WHERE EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id) WITH LOCAL CHECK OPTION;
