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

-- What there is already; the worker keeps it up from here.
INSERT INTO basket_categories (code, category)
SELECT free.code, bought.category
FROM (
    SELECT p.category, row_number() OVER (ORDER BY sum(i.lines) DESC, p.category) AS n
    FROM (SELECT i.product_id, count(*) AS lines FROM order_items AS i WHERE true GROUP BY i.product_id) AS i
    JOIN products AS p ON p.id = i.product_id
    WHERE p.category <> '' AND length(p.category) <= 200
        AND NOT EXISTS (SELECT FROM basket_categories AS k WHERE k.category = p.category)
    GROUP BY p.category
) AS bought
JOIN (
    SELECT code, row_number() OVER (ORDER BY code) AS n
    FROM generate_series(0, 60 - 1) AS code
    WHERE code NOT IN (SELECT k.code FROM basket_categories AS k)
) AS free USING (n);
INSERT INTO customer_baskets (customer_id, rolled_owner_id, months, baskets)
SELECT customer_id, rolled_owner_id, months, baskets FROM (
    SELECT c.id AS customer_id, c.owner_id AS rolled_owner_id, array_agg(b.month ORDER BY b.month, b.basket) AS months,
        array_agg(b.basket ORDER BY b.month, b.basket) AS baskets
    FROM (
        SELECT o.customer_id, date_trunc('month', o.placed_on::timestamp)::date AS month, held.basket
        FROM (
            SELECT i.customer_id, i.order_id, coalesce(bit_or(1::bigint << k.code), 0) AS basket
            FROM order_items AS i
            JOIN products AS p ON p.id = i.product_id AND p.category <> ''
            LEFT JOIN basket_categories AS k ON k.category = p.category
            WHERE true
            GROUP BY i.customer_id, i.order_id
        ) AS held
        JOIN orders AS o ON o.customer_id = held.customer_id AND o.id = held.order_id
    ) AS b
    JOIN customers AS c ON c.id = b.customer_id
    WHERE c.archived_at IS NULL
    GROUP BY c.id, c.owner_id
) AS made;
INSERT INTO basket_sums (owner_id, month, first, second, orders)
SELECT owner_id, month, first, second, orders FROM (
    SELECT whose.owner_id, g.month, pair.first, pair.second, sum(g.n)::integer AS orders
    FROM (
    SELECT m.rolled_owner_id AS owner_id, u.month, u.basket, count(*) AS n
    FROM customer_baskets AS m
    CROSS JOIN LATERAL unnest(m.months, m.baskets) AS u (month, basket)
    GROUP BY 1, 2, 3
) AS g
    CROSS JOIN LATERAL (VALUES (g.owner_id), ((-1))) AS whose (owner_id)
    CROSS JOIN LATERAL (
        SELECT (-1)::smallint AS first, (-1)::smallint AS second
        UNION ALL
        SELECT a.code, b.code
        FROM (
            SELECT array_agg(k.code) AS codes FROM basket_categories AS k WHERE g.basket >> k.code & 1 = 1
        ) AS found
        CROSS JOIN unnest(found.codes) AS a (code)
        CROSS JOIN unnest(found.codes) AS b (code)
        WHERE a.code <= b.code
    ) AS pair
    GROUP BY 1, 2, 3, 4
    HAVING sum(g.n) <> 0
) AS counted;
