"""Kept rules and who is in them: what their policies ask, with the rights of the schema's owner (db/rights.py).

Who is in a segment is seen by who sees the customer and the segment; where the rule tells of personal values, not by
the roles from whom these are withheld.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql
from sqlalchemy import Table

from db.rights_sql import ME, MY_OWNERS, definer, do

# A sub-select without any reference is asked once for a statement, not for each row.
MY_SEGMENTS = sql.SQL("segment_id = ANY((SELECT public.my_segments())::bigint[])")


def asks_personal() -> Iterator[str]:
    """Whether a rule asks for a custom field that is personal, or is gone, so that nobody knows."""
    yield from definer(
        "asks_personal(of_rule jsonb) RETURNS boolean LANGUAGE sql STABLE",
        "SELECT EXISTS (SELECT FROM jsonb_path_query(of_rule, '$.**.field') AS k (v) WHERE starts_with(k.v #>> '{{}}', "
        "'custom.') AND NOT EXISTS (SELECT FROM custom_fields AS f WHERE NOT f.personal "
        "AND 'custom.' || f.key = k.v #>> '{{}}'))",
        "kehu_scoped, kehu_views, kehu_masked, kehu_author, kehu_admin",
    )


def my_segments() -> Iterator[str]:
    """The segments of which this viewer may see who is in them. What was never kept is withheld from masked roles."""
    yield from definer(
        "my_segments() RETURNS bigint[] LANGUAGE sql STABLE",
        "SELECT coalesce(array_agg(s.id), ARRAY[]::bigint[]) FROM segments AS s LEFT JOIN segment_states AS t "
        "ON t.segment_id = s.id WHERE (current_setting('role') IN ('kehu_admin', 'kehu_worker') OR s.owner_id = {me} "
        "OR s.visibility = 'shared') AND (current_setting('role') NOT IN ('kehu_masked', 'kehu_author') "
        "OR NOT coalesce(t.personal, true) AND NOT asks_personal(s.rule))",
        "kehu_scoped, kehu_views, kehu_masked, kehu_author, kehu_admin, kehu_worker",
        me=ME,
    )


def functions() -> Iterator[str]:
    """How far behind the memberships are, and the one way for people to list customers in a frozen segment."""
    yield from definer(
        "segments_waiting_since() RETURNS timestamptz LANGUAGE sql STABLE",
        "SELECT min(touched_at) FROM segment_touches",
        "kehu_scoped, kehu_masked, kehu_admin, kehu_worker",
    )
    yield from uses_of_segment()
    yield from uses_of_clusters()
    # Once for a frozen segment of one's own, and only customers within sight.
    yield from definer(
        "freeze_members(of_segment bigint, ids bigint[], listed_at timestamptz, is_personal boolean) RETURNS bigint "
        "LANGUAGE sql",
        "WITH mine AS (SELECT s.id, s.version FROM segments AS s WHERE s.id = of_segment AND s.kind = 'frozen' "
        "AND s.owner_id = {me} AND NOT EXISTS (SELECT FROM segment_states AS t WHERE t.segment_id = of_segment)), "
        "listed AS (INSERT INTO segment_members (customer_id, segment_id, since) SELECT c.id, mine.id, listed_at "
        "FROM mine CROSS JOIN customers AS c WHERE c.id = ANY(ids) AND (current_setting('role') <> 'kehu_scoped' "
        "OR c.owner_id = ANY({owners})) RETURNING 1), "
        "stated AS (INSERT INTO segment_states (segment_id, version, kept_at, began_at, personal) "
        "SELECT id, version, listed_at, listed_at, is_personal FROM mine) SELECT count(*) FROM listed",
        "kehu_scoped, kehu_author, kehu_admin",
        me=ME,
        owners=MY_OWNERS,
    )


def uses_of_segment() -> Iterator[str]:
    """Where a segment is used, also by what its owner does not see: the kind and the number of each, no name."""
    yield from definer(
        "uses_of_segment(of_segment bigint) RETURNS TABLE (kind text, id bigint) LANGUAGE sql STABLE",
        "WITH mine AS (SELECT s.id FROM segments AS s WHERE s.id = of_segment "
        "AND (s.owner_id = {me} OR current_setting('role') = 'kehu_admin')) "
        "SELECT 'rule', s.id FROM segments AS s, mine WHERE s.id <> mine.id AND jsonb_path_exists(s.rule, "
        '\'$.** ? (@.field == "segment" || @.field == "listed").value[*] ? (@ == $id)\', '
        "jsonb_build_object('id', mine.id)) "
        "UNION ALL SELECT 'clusters', k.id FROM cluster_models AS k, mine "
        "WHERE k.archived_at IS NULL AND k.model ->> 'of' = 's' || mine.id "
        "UNION ALL SELECT 'campaign', c.id FROM campaigns AS c, mine WHERE c.segment_id = mine.id "
        "UNION ALL SELECT 'view', v.id FROM saved_views AS v, mine "
        "WHERE v.archived_at IS NULL AND v.params ->> 'segment' = 's' || mine.id "
        "UNION ALL SELECT DISTINCT 'board', b.id FROM board_cards AS k JOIN boards AS b ON b.id = k.board_id "
        "CROSS JOIN mine CROSS JOIN jsonb_each_text(k.params) AS p WHERE b.archived_at IS NULL "
        "AND (p.key = 'id' AND p.value = mine.id::text OR 's' || mine.id = ANY(string_to_array(p.value, ',')))",
        "kehu_scoped, kehu_masked, kehu_author, kehu_admin",
        me=ME,
    )


def uses_of_clusters() -> Iterator[str]:
    """As of a segment: where clusters are used, by rules and on boards."""
    yield from definer(
        "uses_of_clusters(of_clusters bigint) RETURNS TABLE (kind text, id bigint) LANGUAGE sql STABLE",
        "WITH mine AS (SELECT k.id FROM cluster_models AS k WHERE k.id = of_clusters "
        "AND (k.owner_id = {me} OR current_setting('role') = 'kehu_admin')) "
        "SELECT 'rule', s.id FROM segments AS s, mine WHERE jsonb_path_exists(s.rule, "
        "'$.** ? (@.field == $key)', jsonb_build_object('key', 'cluster.' || mine.id)) "
        "UNION ALL SELECT DISTINCT 'board', b.id FROM board_cards AS k JOIN boards AS b ON b.id = k.board_id "
        "CROSS JOIN mine WHERE b.archived_at IS NULL AND k.params ->> 'clusters_kept' = mine.id::text",
        "kehu_scoped, kehu_author, kehu_admin",
        me=ME,
    )


def of_segments(table: Table) -> Iterator[str]:
    """Rule by_segment: what the worker writes down of a segment."""
    name = table.name
    yield do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=name)
    for policy, roles, using in (
        ("all_rows", "kehu_admin, kehu_worker", sql.SQL("true")),
        ("of_my_segments", "kehu_scoped, kehu_masked", MY_SEGMENTS),
    ):
        yield do("DROP POLICY IF EXISTS {name} ON public.{table}", name=policy, table=name)
        yield do(
            "CREATE POLICY {name} ON public.{table} TO {roles} USING ({using}) WITH CHECK ({using})",
            name=policy,
            table=name,
            roles=sql.SQL(", ").join(sql.Identifier(role) for role in roles.split(", ")),
            using=using,
        )
    yield do("GRANT SELECT ON public.{table} TO kehu_scoped, kehu_masked, kehu_admin", table=name)
    yield do("GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_worker", table=name)
