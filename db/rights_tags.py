"""The functions of tags and of the list's filters, with the rights of the schema's owner; db/rights.py applies them."""

from __future__ import annotations

from collections.abc import Iterator

from db.rights_sql import MY_OWNERS, definer


def functions() -> Iterator[str]:
    """Which tags there are and on how many customers: step by step over the index, or from one's own customers.

    Through the view of a scoped role each tag of everybody would be held against the customers. Each customer of a tag
    is looked up by itself, to the bound: joined, all customers up to the last of them would be read.
    """
    yield from definer(
        "tags_in_use_all(most integer, counted integer) RETURNS TABLE (tag text, customers bigint) LANGUAGE sql STABLE",
        "WITH RECURSIVE steps AS (SELECT min(tag_key) AS k, 1 AS n FROM customer_tags UNION ALL SELECT (SELECT "
        "min(t.tag_key) FROM customer_tags AS t WHERE t.tag_key > steps.k), n + 1 FROM steps WHERE k IS NOT NULL "
        "AND n < most) SELECT f.tag, w.n FROM steps, LATERAL (SELECT t.tag FROM customer_tags AS t "
        "WHERE t.tag_key = k ORDER BY t.customer_id LIMIT 1) AS f, LATERAL (SELECT count(*) AS n FROM (SELECT FROM "
        "customer_tags AS t WHERE t.tag_key = k AND (SELECT c.archived_at IS NULL FROM customers AS c "
        "WHERE c.id = t.customer_id) LIMIT counted) AS seen) AS w WHERE w.n > 0",
        "kehu_masked, kehu_admin, kehu_worker",
    )
    yield from definer(
        "tags_in_use_scoped(most integer, counted integer) RETURNS TABLE (tag text, customers bigint) "
        "LANGUAGE sql STABLE",
        'SELECT min(t.tag COLLATE "C"), least(count(*), counted) FROM customers AS c JOIN customer_tags AS t '
        "ON t.customer_id = c.id WHERE c.owner_id = ANY({mine}) AND c.archived_at IS NULL "
        "GROUP BY t.tag_key ORDER BY 2 DESC, 1 LIMIT most",
        "kehu_scoped",
        mine=MY_OWNERS,
    )
    yield from _standing()
    yield from _of_filters()


def _standing() -> Iterator[str]:
    """Which of some tags stand on a customer that is not archived: to the first one, without counting."""
    yield from definer(
        "tags_standing_all(keys text[]) RETURNS TABLE (tag_key text, tag text) LANGUAGE sql STABLE",
        "SELECT k, f.tag FROM unnest(keys) AS k, LATERAL (SELECT t.tag FROM customer_tags AS t WHERE t.tag_key = k "
        "AND (SELECT c.archived_at IS NULL FROM customers AS c WHERE c.id = t.customer_id) "
        "ORDER BY t.customer_id LIMIT 1) AS f",
        "kehu_masked, kehu_admin, kehu_worker",
    )
    # Planned for each tag: a rare one is looked up, a frequent one looked for among one's own customers.
    yield from definer(
        "tags_standing_scoped(keys text[]) RETURNS TABLE (tag_key text, tag text) LANGUAGE plpgsql STABLE",
        "BEGIN FOREACH tag_key IN ARRAY keys LOOP EXECUTE format('SELECT t.tag FROM public.customer_tags AS t "
        "JOIN public.customers AS c ON c.id = t.customer_id WHERE t.tag_key = %L AND c.owner_id = ANY(%L::bigint[]) "
        "AND c.archived_at IS NULL LIMIT 1', tag_key, {mine}) INTO tag; "
        "IF tag IS NOT NULL THEN RETURN NEXT; END IF; END LOOP; END",
        "kehu_scoped",
        mine=MY_OWNERS,
    )


def _of_filters() -> Iterator[str]:
    """Which of one's own customers have a tag, or were talked to: a view would ask all rows for their customer."""
    yield from definer(
        "my_customers_tagged(of_key text) RETURNS SETOF bigint LANGUAGE plpgsql STABLE",
        "BEGIN RETURN QUERY EXECUTE format('SELECT t.customer_id FROM public.customer_tags AS t JOIN public.customers "
        "AS c ON c.id = t.customer_id WHERE t.tag_key = %L AND c.owner_id = ANY(%L::bigint[])', of_key, {mine}); END",
        "kehu_scoped",
        mine=MY_OWNERS,
    )
    yield from definer(
        "my_customers_contacted(since date, since_at timestamptz) RETURNS SETOF bigint LANGUAGE plpgsql STABLE",
        "BEGIN RETURN QUERY EXECUTE format('SELECT i.customer_id FROM public.interactions AS i JOIN public.customers "
        "AS c ON c.id = i.customer_id WHERE c.owner_id = ANY(%1$L::bigint[]) AND i.happened_on >= %2$L UNION "
        "SELECT n.customer_id FROM public.notes AS n JOIN public.customers AS c ON c.id = n.customer_id "
        "WHERE c.owner_id = ANY(%1$L::bigint[]) AND n.created_at >= %3$L', {mine}, since, since_at); END",
        "kehu_scoped",
        mine=MY_OWNERS,
    )
