"""The functions of tags, with the rights of the schema's owner; db/rights.py applies them."""

from __future__ import annotations

from collections.abc import Iterator

from db.rights_sql import MY_OWNERS, definer


def functions() -> Iterator[str]:
    """Which tags there are and on how many customers: step by step over the index, or from one's own customers.

    Through the view of a scoped role each tag of everybody would be held against the customers.
    """
    yield from definer(
        "tags_in_use_all(most integer, counted integer) RETURNS TABLE (tag text, customers bigint) LANGUAGE sql STABLE",
        "WITH RECURSIVE steps AS (SELECT min(tag_key) AS k, 1 AS n FROM customer_tags UNION ALL SELECT (SELECT "
        "min(t.tag_key) FROM customer_tags AS t WHERE t.tag_key > steps.k), n + 1 FROM steps WHERE k IS NOT NULL "
        "AND n < most) SELECT f.tag, w.n FROM steps, LATERAL (SELECT t.tag FROM customer_tags AS t "
        "WHERE t.tag_key = k ORDER BY t.customer_id LIMIT 1) AS f, LATERAL (SELECT count(*) AS n FROM (SELECT FROM "
        "customer_tags AS t JOIN customers AS c ON c.id = t.customer_id WHERE t.tag_key = k "
        "AND c.archived_at IS NULL LIMIT counted) AS seen) AS w WHERE w.n > 0",
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
