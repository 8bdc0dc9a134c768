"""Campaigns: months of events; whose those are that people start, who receives them, how one is taken back.

Who may be written to is found with the rights of the schema's owner, since a role that must not see an address may
start a campaign; what such a role is told are numbers, and who received it.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql
from sqlalchemy import Table

from db.permissions import GRANTS, WORKER, Permission
from db.rights_sql import ME, MY_OWNERS, definer, do

STARTERS = tuple(
    sorted(role.value for role in GRANTS if Permission.CAMPAIGNS_EDIT in GRANTS[role] and role is not WORKER.role)
)
PEOPLE = "kehu_scoped, kehu_author, kehu_admin"
BATCH = "campaign"
"""The source of the load that a started campaign's members are."""

# Of these customers those in sight, each with why it is left out; who said no is counted as that first of all.
_ASKED = sql.SQL(
    "asked AS MATERIALIZED (SELECT c.id, CASE WHEN s.state IN ('refused', 'withdrawn') THEN 'refused' "
    "WHEN NOT CASE WHEN via IN ('phone', 'sms') THEN c.phone <> '' OR EXISTS (SELECT FROM contacts AS k "
    "WHERE k.customer_id = c.id AND k.phone <> '') WHEN via = 'mail' THEN c.email <> '' OR EXISTS (SELECT "
    "FROM contacts AS k WHERE k.customer_id = c.id AND k.email <> '') WHEN via = 'wechat' THEN EXISTS (SELECT "
    "FROM contacts AS k WHERE k.customer_id = c.id AND k.wechat <> '') WHEN via = 'post' THEN c.address <> '' "
    "OR EXISTS (SELECT FROM addresses AS k WHERE k.customer_id = c.id AND k.street <> '') ELSE false END "
    "THEN 'unreachable' WHEN s.state IS NULL AND NOT unasked_too THEN 'unasked' ELSE '' END AS why "
    "FROM customers AS c LEFT JOIN LATERAL (SELECT t.state FROM consents AS t WHERE t.customer_id = c.id "
    "AND t.channel = via ORDER BY t.happened_at DESC, t.id DESC LIMIT 1) AS s ON true WHERE c.id = ANY(ids) "
    "AND c.archived_at IS NULL AND (current_setting('role') <> 'kehu_scoped' OR c.owner_id = ANY({owners})))"
).format(owners=MY_OWNERS)
_WHY = sql.SQL(
    "count(*), count(*) FILTER (WHERE why = 'refused'), count(*) FILTER (WHERE why = 'unreachable'), "
    "count(*) FILTER (WHERE why = 'unasked')"
)
_WAKE = sql.SQL("SELECT public.defer_refresh() WHERE public.may_start_campaigns()")
_COUNTS = "chosen bigint, refused bigint, unreachable bigint, unasked bigint, held_out bigint"


def of_my_role() -> Iterator[str]:
    """What the policies ask: whether my role starts campaigns, and whether a load is of a campaign that I began."""
    yield from definer(
        "may_start_campaigns() RETURNS boolean LANGUAGE sql STABLE",
        "SELECT EXISTS (SELECT FROM users AS u WHERE u.id = {me} AND u.active AND u.role = ANY({starters}))",
        PEOPLE,
        me=ME,
        starters=sql.Literal(list(STARTERS)),
    )
    yield from definer(
        "batch_is_mine(of_batch bigint) RETURNS boolean LANGUAGE sql STABLE",
        "SELECT EXISTS (SELECT FROM batches AS b WHERE b.id = of_batch AND b.source = {source} "
        "AND (b.counts ->> 'by')::bigint = {me})",
        "kehu_author",
        me=ME,
        source=sql.Literal(BATCH),
    )


def of_campaigns(table: Table) -> Iterator[str]:
    """Rule campaigns: read by everybody, written by who started them; loaded ones are of nobody."""
    name = table.name
    mine = sql.SQL("owner_id = {} AND public.may_start_campaigns()").format(ME)
    yield do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=name)
    readers, every = "kehu_scoped, kehu_views, kehu_masked, kehu_author, kehu_gate", sql.SQL("true")
    for policy, roles, kind, held in (
        ("all_rows", "kehu_admin, kehu_worker", sql.SQL("ALL"), _both(every)),
        ("read", readers, sql.SQL("SELECT"), sql.SQL("USING (true)")),
        ("mine", "kehu_scoped, kehu_author", sql.SQL("ALL"), _both(mine)),
    ):
        yield do("DROP POLICY IF EXISTS {policy} ON public.{table}", policy=policy, table=name)
        yield do(
            "CREATE POLICY {policy} ON public.{table} FOR {kind} TO {roles} {held}",
            policy=policy,
            table=name,
            kind=kind,
            roles=sql.SQL(", ").join(sql.Identifier(role) for role in roles.split(", ")),
            held=held,
        )
    yield do("GRANT SELECT ON public.{table} TO kehu_views, kehu_masked, kehu_gate", table=name)
    yield do(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_scoped, kehu_author, kehu_admin, kehu_worker",
        table=name,
    )


def partitions() -> Iterator[str]:
    """Months of campaign events; the DEFAULT partition catches what no month holds."""
    # Nobody is granted a partition; with row-level security and no policy it would show nothing all the same.
    yield "CREATE TABLE IF NOT EXISTS public.campaign_events_default PARTITION OF public.campaign_events DEFAULT"
    yield "ALTER TABLE public.campaign_events_default ENABLE ROW LEVEL SECURITY"
    yield from definer(
        "make_event_months(first date, last date) RETURNS integer LANGUAGE plpgsql",
        "DECLARE month date; name text; made integer := 0; BEGIN "
        "IF last > first + 3700 THEN RAISE EXCEPTION 'more than ten years of partitions at once'; END IF; "
        "FOR month IN SELECT generate_series(date_trunc('month', first), last, '1 month')::date LOOP "
        "name := 'campaign_events_' || to_char(month, 'YYYY_MM'); "
        "IF to_regclass('public.' || name) IS NULL THEN "
        "EXECUTE format('CREATE TABLE public.%I PARTITION OF public.campaign_events FOR VALUES FROM (%L) TO (%L)', "
        "name, month, (month + interval '1 month')::date); "
        "EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name); "
        "made := made + 1; END IF; END LOOP; RETURN made; END",
        "kehu_worker",
    )


def _both(using: sql.Composable) -> sql.Composable:
    return sql.SQL("USING ({using}) WITH CHECK ({using})").format(using=using)


def functions() -> Iterator[str]:
    """How many would receive a campaign, and the one way for people to have members and to be rid of them."""
    yield from definer(
        f"campaign_reach(ids bigint[], via text, unasked_too boolean, percent integer) RETURNS TABLE ({_COUNTS}) "
        "LANGUAGE sql STABLE",
        "WITH {asked} SELECT {why}, round(count(*) FILTER (WHERE why = '') * percent / 100.0)::bigint FROM asked "
        "WHERE public.may_start_campaigns()",
        "kehu_scoped, kehu_masked, kehu_admin",
        asked=_ASKED,
        why=_WHY,
    )
    # Before the campaign itself, which names it.
    yield from definer(
        "begin_campaign_batch(begun_at timestamptz) RETURNS bigint LANGUAGE sql",
        "INSERT INTO batches (source, note, counts, loaded_at) SELECT {source}, '', jsonb_build_object('by', {me}), "
        "begun_at WHERE public.may_start_campaigns() RETURNING id",
        PEOPLE,
        me=ME,
        source=sql.Literal(BATCH),
    )
    # Once for a campaign of one's own. The order of hashes of customer and campaign picks who is held out: anybody can
    # work it out again, and nobody can wish for it.
    yield from definer(
        "start_campaign(of_campaign bigint, ids bigint[], via text, unasked_too boolean, begun_at timestamptz) "
        f"RETURNS TABLE ({_COUNTS}, received bigint) LANGUAGE sql",
        "{wake}; WITH mine AS (SELECT c.id, c.batch_id, c.starts_on, c.held_percent FROM campaigns AS c "
        "WHERE c.id = of_campaign AND c.owner_id = {me} AND c.channel = via AND c.batch_id IS NOT NULL "
        "AND public.may_start_campaigns() "
        "AND NOT EXISTS (SELECT FROM campaign_members AS m WHERE m.campaign_id = c.id) "
        "AND NOT EXISTS (SELECT FROM campaign_held_out AS h WHERE h.campaign_id = c.id)), {asked}, "
        "ranked AS (SELECT a.id, row_number() OVER (ORDER BY md5(a.id || ':' || of_campaign) COLLATE \"C\", a.id) "
        "<= round(count(*) OVER () * mine.held_percent / 100.0) AS held, mine.starts_on, mine.batch_id "
        "FROM asked AS a CROSS JOIN mine WHERE a.why = ''), "
        "members AS (INSERT INTO campaign_members (customer_id, campaign_id, received_on, batch_id) "
        "SELECT id, of_campaign, starts_on, batch_id FROM ranked WHERE NOT held RETURNING customer_id), "
        "others AS (INSERT INTO campaign_held_out (customer_id, campaign_id, held_on, batch_id) "
        "SELECT id, of_campaign, starts_on, batch_id FROM ranked WHERE held RETURNING customer_id), "
        "{told}, "
        "counted AS (SELECT n.*, (SELECT count(*) FROM others) AS held_out, (SELECT count(*) FROM members) AS received "
        "FROM (SELECT {why} FROM asked CROSS JOIN mine) AS n (chosen, refused, unreachable, unasked)), "
        "noted AS (UPDATE batches AS b SET counts = b.counts || to_jsonb(n) FROM counted AS n CROSS JOIN mine "
        "WHERE b.id = mine.batch_id) SELECT * FROM counted",
        PEOPLE,
        me=ME,
        asked=_ASKED,
        why=_WHY,
        wake=_WAKE,
        told=_told("begun_at"),
    )
    # NULL: the load is not of a campaign that one may take back; below zero: so many have redeemed, nothing was done.
    yield from definer(
        "withdraw_campaign(of_batch bigint, at timestamptz) RETURNS bigint LANGUAGE sql",
        "{wake}; WITH mine AS (SELECT c.id FROM campaigns AS c WHERE c.batch_id = of_batch "
        "AND public.may_start_campaigns() AND (c.owner_id = {me} OR current_setting('role') = 'kehu_admin')), "
        "redeemed AS (SELECT count(*) AS n FROM campaign_members AS m JOIN mine ON m.campaign_id = mine.id "
        "WHERE m.redemptions > 0), "
        "members AS (DELETE FROM campaign_members AS m USING mine, redeemed WHERE m.campaign_id = mine.id "
        "AND m.redemptions = 0 AND redeemed.n = 0 RETURNING m.customer_id), "
        "others AS (DELETE FROM campaign_held_out AS h USING mine, redeemed WHERE h.campaign_id = mine.id "
        "AND redeemed.n = 0 RETURNING h.customer_id), {told} "
        "SELECT CASE WHEN NOT EXISTS (SELECT FROM mine) THEN NULL WHEN n > 0 THEN -n "
        "ELSE (SELECT count(*) FROM members) + (SELECT count(*) FROM others) END FROM redeemed",
        PEOPLE + ", kehu_worker",
        me=ME,
        wake=_WAKE,
        told=_told("at"),
    )


def _told(when: str) -> sql.Composable:
    """The figures, the kept segments and the columns in memory of who is among `members` and `others`."""
    return sql.SQL(
        "touched AS (INSERT INTO touched_customers (customer_id, touched_at) SELECT customer_id, {at} FROM members), "
        "reviewed AS (INSERT INTO segment_touches (customer_id, touched_at) SELECT customer_id, {at} FROM (SELECT * "
        "FROM members UNION ALL SELECT * FROM others) AS e), "
        "moved AS (INSERT INTO moved_customers (customer_ids, made_at) SELECT array_agg(customer_id), {at} "
        "FROM (SELECT * FROM members UNION ALL SELECT * FROM others) AS e HAVING count(*) > 0)"
    ).format(at=sql.Identifier(when))
