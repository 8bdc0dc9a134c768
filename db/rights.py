"""Roles, row-level security, views and grants, derived from the `info` of db/schema.py.

`statements()` is what the schema should be; migrations hold their own frozen copy and a test compares the two
catalogues. All statements can be run twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg import sql
from sqlalchemy import Connection, LargeBinary, Table
from sqlalchemy.dialects.postgresql import JSONB

from db import rights_beginnings, rights_campaigns, rights_queue, rights_search, rights_segments, rights_tags, schema
from db.rights_sql import ME as _ME
from db.rights_sql import MY_OWNERS as _MY_OWNERS
from db.rights_sql import definer as _definer
from db.rights_sql import do as _do

OWNED_TABLES = tuple(name for name, t in schema.metadata.tables.items() if t.info["rule"] in ("personal", "campaigns"))
ROLES = ("kehu_scoped", "kehu_views", "kehu_masked", "kehu_author", "kehu_admin", "kehu_gate", "kehu_worker")


def _names(columns: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(c) for c in columns)


def is_personal(table: Table) -> bool:
    """True when masked roles must not read the table itself."""
    return "masked" in table.info or any(c.info.get("personal") for c in table.columns)


def _roles() -> Iterator[str]:
    for role in ROLES:
        yield _do(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN CREATE ROLE {role} NOLOGIN; "
            "END IF; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
            name=sql.Literal(role),
            role=role,
        )
        # Whoever migrates must be able to SET ROLE to it; since PostgreSQL 16 creating a role does not imply that.
        # Two databases of one cluster may migrate at once, and catalogue rows do not wait for one another.
        yield _do(
            "DO $$ BEGIN IF NOT pg_has_role(current_user, {name}, 'MEMBER') THEN GRANT {role} TO CURRENT_USER; END IF; "
            "EXCEPTION WHEN unique_violation OR internal_error THEN NULL; END $$",
            name=sql.Literal(role),
            role=role,
        )
    for name in ("scoped", "masked"):
        yield _do("CREATE SCHEMA IF NOT EXISTS {name}", name=name)
    yield _do("GRANT USAGE ON SCHEMA public TO {roles}", roles=_names(ROLES))
    yield "GRANT USAGE ON SCHEMA scoped TO kehu_scoped"
    yield "GRANT USAGE, CREATE ON SCHEMA scoped TO kehu_views"
    yield "GRANT USAGE ON SCHEMA masked TO kehu_masked"


def _policy(table: Table, name: str, roles: str, using: sql.Composable) -> Iterator[str]:
    yield _do("DROP POLICY IF EXISTS {name} ON public.{table}", name=name, table=table.name)
    yield _do(
        "CREATE POLICY {name} ON public.{table} TO {roles} USING ({using}) WITH CHECK ({using})",
        name=name,
        table=table.name,
        roles=sql.SQL(", ").join(sql.Identifier(r) for r in roles.split()),
        using=using,
    )


def _customer_owned(table: Table) -> Iterator[str]:
    """Policies: everything for the roles that see all rows; the scoped role is held to its owners."""
    yield _do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=table.name)
    if table.info.get("by_segment"):
        yield from _policy(table, "all_rows", "kehu_admin kehu_worker", sql.SQL("true"))
        yield from _policy(table, "of_my_segments", "kehu_masked", rights_segments.MY_SEGMENTS)
    else:
        yield from _policy(table, "all_rows", "kehu_admin kehu_worker kehu_masked", sql.SQL("true"))
    if table.info["rule"] in ("customers", "rollup"):
        yield from _policy(
            table, "own_rows", "kehu_scoped kehu_views", sql.SQL("owner_id = ANY({})").format(_MY_OWNERS)
        )
    else:
        yield from _policy(table, "through_view", "kehu_views", sql.SQL("true"))


def _scoped_view(table: Table, where: sql.Composable, *, writable: bool) -> Iterator[str]:
    """The view owner is under the policy of `customers`, so the sub-select sees the viewer's customers only."""
    appended = table.info["rule"] == "record" or table.info.get("once")
    allowed = "INSERT, UPDATE, DELETE" if writable else "INSERT" if appended else ""
    yield _do("GRANT SELECT ON public.{table} TO kehu_views", table=table.name)
    if allowed:
        yield _do(
            "GRANT {allowed} ON public.{table} TO kehu_views",
            allowed=sql.SQL(allowed),
            table=table.name,
        )
    yield _do(
        "CREATE OR REPLACE VIEW scoped.{table} WITH (security_barrier) AS SELECT {columns} FROM public.{table} AS t "
        "WHERE {where} WITH LOCAL CHECK OPTION",
        table=table.name,
        columns=sql.SQL(", ").join(sql.Identifier("t", c.name) for c in table.columns),
        where=where,
    )
    yield _do("ALTER VIEW scoped.{table} OWNER TO kehu_views", table=table.name)
    yield _do("GRANT SELECT ON scoped.{table} TO kehu_scoped", table=table.name)
    if writable:
        yield _do("GRANT INSERT, UPDATE, DELETE ON scoped.{table} TO kehu_scoped", table=table.name)
    elif table.info.get("once"):
        yield _do("GRANT INSERT ON scoped.{table} TO kehu_scoped", table=table.name)


_MY_CUSTOMER = sql.SQL("EXISTS (SELECT FROM public.customers AS c WHERE c.id = t.customer_id)")


def _masked_view(table: Table, where: str = "") -> Iterator[str]:
    """Personal columns are constants there: nothing to read, search or sort by.

    Only one that leaves rows out needs a barrier: without it the planner sees through to the table and its statistics.
    """
    columns: list[sql.Composable] = []
    for column in table.columns:
        hidden = column.info.get("personal") or column.name not in table.info.get("masked", table.columns.keys())
        if not hidden:
            columns.append(sql.Identifier(column.name))
        elif table.name == "customers" and column.name == "name":
            columns.append(sql.SQL("('#' || id)::text AS name"))
        elif isinstance(column.type, JSONB):
            columns.append(sql.SQL("'{{}}'::jsonb AS {}").format(sql.Identifier(column.name)))
        elif isinstance(column.type, LargeBinary):
            columns.append(sql.SQL("''::bytea AS {}").format(sql.Identifier(column.name)))
        elif getattr(column.type, "collation", None):
            columns.append(sql.SQL("''::text COLLATE \"C\" AS {}").format(sql.Identifier(column.name)))
        else:
            columns.append(sql.SQL("''::text AS {}").format(sql.Identifier(column.name)))
    yield _do(
        "CREATE OR REPLACE VIEW masked.{table} {barrier} AS SELECT {columns} FROM public.{table} {where}",
        table=table.name,
        barrier=sql.SQL("WITH (security_barrier)" if where else ""),
        columns=sql.SQL(", ").join(columns),
        where=sql.SQL(where),
    )
    yield _do("GRANT SELECT ON masked.{table} TO kehu_masked", table=table.name)


def _customer_grants(table: Table) -> Iterator[str]:
    """Rules customers, child and rollup: what belongs to a customer, and the sums of it."""
    name, rule = table.name, table.info["rule"]
    yield from _customer_owned(table)
    yield _do("GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_worker", table=name)
    yield _do("GRANT SELECT ON public.{table} TO kehu_admin", table=name)
    if table.info.get("recorded"):
        yield _do("GRANT INSERT, UPDATE, DELETE ON public.{table} TO kehu_admin", table=name)
    if table.info.get("once"):
        yield _do("GRANT INSERT ON public.{table} TO kehu_admin", table=name)
    if "batch_id" in table.columns or name == "order_items":
        # Undoing a load removes its facts by batch.
        yield _do("GRANT DELETE ON public.{table} TO kehu_admin", table=name)
    if is_personal(table):
        yield from _masked_view(table)
    else:
        yield _do("GRANT SELECT ON public.{table} TO kehu_masked", table=name)
    if rule == "customers":
        yield _do("GRANT SELECT ON public.{table} TO kehu_views", table=name)
        # Undoing a creation deletes the row; row-level security keeps it to one's own.
        yield _do("GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_scoped", table=name)
    elif rule == "child":
        mine: sql.Composable = _MY_CUSTOMER
        if table.info.get("by_segment"):
            mine = sql.SQL("{} AND t.{}").format(_MY_CUSTOMER, rights_segments.MY_SEGMENTS)
        yield from _scoped_view(table, mine, writable=bool(table.info.get("recorded")))
    else:
        yield _do("GRANT SELECT ON public.{table} TO kehu_scoped", table=name)


def _shared_grants(table: Table) -> Iterator[str]:
    name = table.name
    yield _do("GRANT SELECT ON public.{table} TO kehu_scoped, kehu_masked, kehu_gate, kehu_admin", table=name)
    allowed = "INSERT, UPDATE, DELETE" if table.info.get("recorded") else "INSERT" if table.info.get("once") else ""
    if allowed:
        yield _do("GRANT {allowed} ON public.{table} TO kehu_admin", allowed=sql.SQL(allowed), table=name)
    if "batch_id" in table.columns:  # undoing a load removes its facts by batch
        yield _do("GRANT DELETE ON public.{table} TO kehu_admin", table=name)
    yield _do("GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_worker", table=name)


def _gate_grants(table: Table) -> Iterator[str]:
    yield _do("GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_gate", table=table.name)


def _personal_grants(table: Table) -> Iterator[str]:
    """What belongs to a user: seen when it is mine or shared, changed when it is mine.

    Where it has personal columns the masked roles read a view, and write what is their own without seeing the rest.
    """
    name, apart = table.name, is_personal(table)
    mine = sql.SQL("owner_id = {}").format(_ME)
    yield _do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=name)
    yield from _policy(table, "all_rows", "kehu_admin", sql.SQL("true"))
    people = "kehu_scoped kehu_views" if apart else "kehu_scoped kehu_views kehu_masked kehu_author"
    yield from _policy(table, "mine", people + " kehu_author" if apart else people, mine)
    seen = {"shared": "visibility = 'shared'"}
    if "of" in table.info:  # asked as the reader, under the policies of what it is part of
        seen = {"part": "EXISTS (SELECT FROM public.{} AS w WHERE w.id = {})".format(*table.info["of"])}
    if table.info.get("team"):
        seen["team"] = "visibility = 'team' AND owner_id = ANY(public.my_team())"
    if table.info.get("rules"):
        # What a rule compares a personal field with may be somebody's own.
        masked, people = "kehu_masked kehu_author", "kehu_scoped kehu_views"
        yield from _seen(table, "shared_masked", masked, "visibility = 'shared' AND NOT public.asks_personal(rule)")
        # Whose members it keeps.
        yield from _seen(table, "kept", "kehu_worker", "true")
        yield _do("GRANT SELECT ON public.{table} TO kehu_worker", table=name)
    for policy, using in seen.items():
        yield from _seen(table, policy, people, using)
    if apart:
        yield from _masked_view(table, " OR ".join(["WHERE " + mine.as_string(), *seen.values()]))
        yield _do("GRANT SELECT ON public.{table} TO kehu_views", table=name)
    else:
        yield _do("GRANT SELECT ON public.{table} TO kehu_views, kehu_masked", table=name)
    yield _do(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_scoped, kehu_author, kehu_admin", table=name
    )


def _seen(table: Table, policy: str, roles: str, using: str) -> Iterator[str]:
    yield _do("DROP POLICY IF EXISTS {policy} ON public.{table}", policy=policy, table=table.name)
    yield _do(
        "CREATE POLICY {policy} ON public.{table} FOR SELECT TO {roles} USING ({using})",
        policy=policy,
        table=table.name,
        roles=_names(roles.split()),
        using=sql.SQL(using),
    )


def _own_grants(table: Table) -> Iterator[str]:
    """What is one user's alone. The worker removes what has grown old, without reading it."""
    name, mine = table.name, sql.SQL("user_id = {}").format(_ME)
    yield _do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=name)
    if table.info.get("everybody"):
        yield from _policy(table, "mine", "kehu_scoped kehu_masked kehu_author kehu_admin", mine)
        yield _do("GRANT SELECT ON public.{table} TO kehu_masked", table=name)
        yield _do(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_scoped, kehu_author, kehu_admin", table=name
        )
        return
    yield from _policy(table, "mine", "kehu_scoped kehu_admin", mine)
    yield _do("GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO kehu_scoped, kehu_admin", table=name)
    yield from _policy(table, "all_rows", "kehu_worker", sql.SQL("true"))
    known = [c.name for c in table.columns if not c.info.get("personal")]
    yield _do("GRANT SELECT ({known}), DELETE ON public.{table} TO kehu_worker", known=_names(known), table=name)


def _of_mine(alias: str) -> sql.Composable:
    """That a change is of a row that is mine, and no customer's."""
    found = [
        sql.SQL(
            "{of} = {name} AND EXISTS (SELECT FROM public.{table} AS g WHERE g.id = {row} AND g.owner_id = {me})"
        ).format(
            of=sql.Identifier(*filter(None, (alias, "table_name"))),
            row=sql.Identifier(*filter(None, (alias, "row_id"))),
            name=sql.Literal(name),
            table=sql.Identifier(name),
            me=_ME,
        )
        for name in OWNED_TABLES
    ]
    return sql.SQL(" OR ").join(found)


def _author_grants() -> Iterator[str]:
    """Roles that see masked rows write as kehu_author: their segments, views and campaigns, the history of
    these, no more."""
    yield "GRANT SELECT, INSERT ON public.change_sets, public.changes TO kehu_author"
    yield "GRANT SELECT ON public.custom_fields TO kehu_author"  # what a rule that is kept may ask for
    mine = sql.SQL("actor_id = {}").format(_ME)
    for policy, of, held in (
        ("mine", "SELECT USING", mine),
        (
            "write_kehu_author",
            # What somebody marks as undone can be undone by nobody else: one marks one's own.
            "INSERT WITH CHECK",
            sql.SQL(
                "{} AND permission IN ('campaigns:edit', 'segments:edit', 'views:edit') "
                "AND (batch_id IS NULL OR public.batch_is_mine(batch_id)) "
                "AND (undoes_id IS NULL OR public.change_set_is_mine(undoes_id))"
            ).format(mine),
        ),
    ):
        yield _do("DROP POLICY IF EXISTS {policy} ON public.{table}", policy=policy, table="change_sets")
        yield _do(
            "CREATE POLICY {policy} ON public.{table} FOR {of} ({held})",
            policy=policy,
            table="change_sets",
            of=sql.SQL(of.replace(" ", " TO kehu_author ", 1)),
            held=held,
        )
    kept = sql.SQL(
        "customer_id IS NULL AND EXISTS (SELECT FROM public.change_sets AS s WHERE s.id = change_set_id) AND ({})"
    ).format(_of_mine(""))
    yield from _policy(schema.changes, "mine", "kehu_author", kept)


def _queue_grants(table: Table) -> Iterator[str]:
    name = table.name
    yield _do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=name)
    yield from _policy(table, "all_rows", "kehu_scoped kehu_admin kehu_worker", sql.SQL("true"))
    yield _do("GRANT INSERT ON public.{table} TO kehu_scoped, kehu_admin", table=name)
    yield _do("GRANT SELECT, INSERT, DELETE ON public.{table} TO kehu_worker", table=name)


def _hidden_grants(table: Table) -> Iterator[str]:
    """Read through functions alone: what stands there is of customers, and says not of whose."""
    yield _do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=table.name)
    yield from _policy(table, "all_rows", "kehu_worker", sql.SQL("true"))
    yield _do("GRANT SELECT, INSERT, DELETE ON public.{table} TO kehu_worker", table=table.name)


def _counter_grants(table: Table) -> Iterator[str]:
    """Counters go one way, by one, through move_generations: set back, one would bring old answers to life again."""
    yield _do(
        "GRANT SELECT ON public.{table} TO kehu_scoped, kehu_masked, kehu_admin, kehu_gate, kehu_worker",
        table=table.name,
    )


def _user_grants(table: Table) -> Iterator[str]:
    """Table users: what others may read of a user, what an administrator manages, what only the gate touches."""
    shared = _names(schema.USER_SHARED_COLUMNS)
    managed = [c.name for c in table.columns if c.name not in schema.USER_SIGN_IN_COLUMNS]
    yield _do("GRANT SELECT ({shared}) ON public.users TO kehu_scoped, kehu_views, kehu_masked", shared=shared)
    for role in ("kehu_admin", "kehu_worker"):
        yield _do(
            "GRANT SELECT ({managed}), INSERT ({managed}), UPDATE ({managed}), DELETE ON public.users TO {role}",
            managed=_names(managed),
            role=role,
        )
    yield "GRANT SELECT (locked_until, seen_at) ON public.users TO kehu_admin, kehu_worker"
    yield "GRANT SELECT ON public.users TO kehu_gate"
    yield _do(
        "GRANT UPDATE ({columns}, language) ON public.users TO kehu_gate",
        columns=_names(schema.USER_SIGN_IN_COLUMNS),
    )


def _record_grants(table: Table) -> Iterator[str]:
    """Nobody but the owner of the schema can change or delete history; a change set is always one's own."""
    name = table.name
    yield _do("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY", table=name)
    yield _do("GRANT SELECT, INSERT ON public.{table} TO kehu_admin, kehu_worker", table=name)
    if name == "change_sets":
        yield from _policy(table, "all_rows", "kehu_worker kehu_masked", sql.SQL("true"))
        for role in ("kehu_views", "kehu_admin"):
            yield _do("DROP POLICY IF EXISTS {policy} ON public.{table}", policy=f"read_{role}", table=name)
            yield _do(
                "CREATE POLICY {policy} ON public.{table} FOR SELECT TO {role} USING (true)",
                policy=f"read_{role}",
                table=name,
                role=role,
            )
            yield _do("DROP POLICY IF EXISTS {policy} ON public.{table}", policy=f"write_{role}", table=name)
            yield _do(
                "CREATE POLICY {policy} ON public.{table} FOR INSERT TO {role} WITH CHECK (actor_id = {me})",
                policy=f"write_{role}",
                table=name,
                role=role,
                me=_ME,
            )
        mine = sql.SQL(
            "t.actor_id = {} OR EXISTS (SELECT FROM public.changes AS h JOIN public.customers AS c "
            "ON c.id = h.customer_id WHERE h.change_set_id = t.id)"
        ).format(_ME)
        yield from _scoped_view(table, mine, writable=False)
        yield _do("GRANT INSERT ON scoped.{table} TO kehu_scoped", table=name)
        yield from _masked_sets()
    else:
        yield from _policy(table, "all_rows", "kehu_admin kehu_worker kehu_masked", sql.SQL("true"))
        yield from _policy(table, "through_view", "kehu_views", sql.SQL("true"))
        mine = sql.SQL("{} OR t.customer_id IS NULL AND ({})").format(_MY_CUSTOMER, _of_mine("t"))
        yield from _scoped_view(table, mine, writable=False)
        yield _do("GRANT INSERT ON scoped.{table} TO kehu_scoped", table=name)
        yield from _masked_view(table, "WHERE customer_id IS NOT NULL")


def _masked_sets() -> Iterator[str]:
    columns = [
        sql.SQL("''::text AS reason") if c.name == "reason" else sql.Identifier(c.name)
        for c in schema.change_sets.columns
    ]
    yield _do(
        "CREATE OR REPLACE VIEW masked.change_sets WITH (security_barrier) AS SELECT {columns} "
        "FROM public.change_sets AS t WHERE EXISTS "
        "(SELECT FROM public.changes AS h WHERE h.change_set_id = t.id AND h.customer_id IS NOT NULL)",
        columns=sql.SQL(", ").join(columns),
    )
    yield "GRANT SELECT ON masked.change_sets TO kehu_masked"


_GRANTS = {
    "customers": _customer_grants,
    "child": _customer_grants,
    "rollup": _customer_grants,
    "shared": _shared_grants,
    "users": _user_grants,
    "gate": _gate_grants,
    "record": _record_grants,
    "queue": _queue_grants,
    "counter": _counter_grants,
    "campaigns": rights_campaigns.of_campaigns,
    "personal": _personal_grants,
    "hidden": _hidden_grants,
    "by_segment": rights_segments.of_segments,
    "own": _own_grants,
}


def _functions() -> Iterator[str]:
    everybody = "kehu_scoped, kehu_masked, kehu_admin, kehu_worker"
    # Areas are locked in one order: writers may wait for one another here but never deadlock.
    yield from _definer(
        "move_generations(areas text[]) RETURNS void LANGUAGE sql",
        "WITH locked AS (SELECT area FROM generations WHERE area = ANY(areas) ORDER BY area FOR UPDATE) "
        "UPDATE generations AS g SET n = g.n + 1 FROM locked WHERE g.area = locked.area",
        "kehu_scoped, kehu_author, kehu_admin, kehu_worker",
    )
    yield from rights_beginnings.functions()
    yield from rights_search.functions()
    yield from rights_tags.functions()
    yield from rights_segments.functions()
    yield from rights_queue.functions()
    yield from rights_campaigns.functions()
    yield from _functions_of_undo()
    # Who has the same phone, e-mail or name: of those out of sight nothing but their owner's name.
    yield from _definer(
        "customers_alike(of_phone text, of_email text, of_name text, of_company text, but_id bigint, most integer) "
        "RETURNS TABLE (alike text, id bigint, name text, archived boolean, owner text) LANGUAGE sql STABLE",
        "SELECT f.alike, CASE WHEN f.seen THEN f.id END, CASE WHEN f.seen THEN f.name END, "
        "CASE WHEN f.seen THEN f.archived END, u.name FROM ("
        "SELECT a.*, current_setting('role') = 'kehu_admin' OR a.owner_id = ANY({mine}) AS seen FROM ("
        "(SELECT 'phone' AS alike, c.id, c.name, c.archived_at IS NOT NULL AS archived, c.owner_id "
        "FROM public.customers AS c WHERE of_phone <> '' AND c.phone_key = of_phone AND c.phone_key <> '' "
        "AND c.id <> but_id LIMIT most) UNION ALL "
        "(SELECT 'email', c.id, c.name, c.archived_at IS NOT NULL, c.owner_id "
        "FROM public.customers AS c WHERE of_email <> '' AND c.email_key = of_email AND c.email_key <> '' "
        "AND c.id <> but_id LIMIT most) UNION ALL "
        "(SELECT 'name', c.id, c.name, c.archived_at IS NOT NULL, c.owner_id "
        "FROM public.customers AS c WHERE of_name <> '' AND c.name_key = of_name AND c.company = of_company "
        "AND c.id <> but_id LIMIT most)) AS a) AS f "
        "JOIN public.users AS u ON u.id = f.owner_id",
        "kehu_scoped, kehu_admin",
        mine=_MY_OWNERS,
    )
    # A customer who is new to one viewer's rows is new only where the data of all reach back far enough.
    yield from _definer("data_since() RETURNS date LANGUAGE sql STABLE", "SELECT min(day) FROM daily_sales", everybody)
    yield from _definer("data_until() RETURNS date LANGUAGE sql STABLE", "SELECT max(day) FROM daily_sales", everybody)
    yield "GRANT USAGE ON SCHEMA jobs TO kehu_worker"
    yield "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO kehu_worker"
    yield "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA jobs TO kehu_worker"


def _functions_of_undo() -> Iterator[str]:
    """What a scoped role must know of its own change sets to take them back, and cannot see under its policies.

    Who writes as kehu_author sees masked rows: nothing of a customer's is among what they are told.
    """
    editors = "kehu_scoped, kehu_author, kehu_admin, kehu_worker"
    # How many rows a change set has in all: to tell that some are out of sight.
    yield from _definer(
        "change_set_rows(of_set bigint) RETURNS bigint LANGUAGE sql STABLE",
        "SELECT count(*) FROM changes WHERE change_set_id = of_set AND (current_setting('role') <> 'kehu_author' "
        "OR EXISTS (SELECT FROM change_sets AS s WHERE s.id = of_set AND s.actor_id = {me}))",
        editors,
        me=_ME,
    )
    # Which set a role may mark as undone that writes nothing but its own.
    yield from _definer(
        "change_set_is_mine(of_set bigint) RETURNS boolean LANGUAGE sql STABLE",
        "SELECT EXISTS (SELECT FROM change_sets WHERE id = of_set AND actor_id = {me})",
        "kehu_author",
        me=_ME,
    )
    # Who has the customers that I handed over, as long as they are where I gave them.
    yield from _definer(
        "change_set_owners(of_set bigint) RETURNS bigint[] LANGUAGE sql STABLE",
        "SELECT coalesce(array_agg(DISTINCT c.owner_id), ARRAY[]::bigint[]) FROM changes AS h "
        "JOIN customers AS c ON c.id = h.customer_id JOIN change_sets AS s ON s.id = h.change_set_id "
        "WHERE s.id = of_set AND s.actor_id = {me} AND h.table_name = 'customers' AND h.action = 'update' "
        "AND (h.after ->> 'owner_id')::bigint = c.owner_id",
        editors,
        me=_ME,
    )
    # What I removed with a customer's creation: no view shows rows of a customer that is not there.
    yield from _definer(
        "change_set_gone(of_set bigint) RETURNS SETOF changes LANGUAGE sql STABLE",
        "SELECT h.* FROM changes AS h JOIN change_sets AS s ON s.id = h.change_set_id "
        "WHERE s.id = of_set AND s.actor_id = {me} AND (h.customer_id IS NOT NULL "
        "AND current_setting('role') <> 'kehu_author' AND NOT EXISTS (SELECT FROM customers AS c "
        "WHERE c.id = h.customer_id) OR {gone})",
        editors,
        me=_ME,
        gone=sql.SQL(" OR ").join(
            sql.SQL(f"h.table_name = '{t}' AND NOT EXISTS (SELECT FROM {t} AS g WHERE g.id = h.row_id)")
            for t in OWNED_TABLES
        ),
    )
    # The sets that touched one customer: who sees the customer sees them. Asked of the set, as the views do, the answer
    # would look through all customers of a load.
    yield from _definer(
        "customer_change_sets(of_customer bigint) RETURNS SETOF change_sets LANGUAGE sql STABLE",
        "SELECT s.id, s.actor_id, s.made_at, s.command, s.permission, s.source, s.screen, "
        "CASE WHEN current_setting('role') = 'kehu_masked' THEN '' ELSE s.reason END, s.undoes_id, s.batch_id "
        "FROM change_sets AS s WHERE s.id IN (SELECT h.change_set_id FROM changes AS h WHERE h.customer_id = "
        "of_customer) AND (current_setting('role') <> 'kehu_scoped' OR EXISTS (SELECT FROM customers AS c "
        "WHERE c.id = of_customer AND c.owner_id = ANY({owners})))",
        "kehu_scoped, kehu_masked, kehu_admin, kehu_worker",
        owners=_MY_OWNERS,
    )
    # The history of a segment, for whoever sees it; what it was before it was shared is told to those alone who saw it.
    yield from _definer(
        "segment_changes(of_segment bigint, most integer) RETURNS TABLE (change_set_id bigint, made_at timestamptz, "
        "actor text, command text, undoes_id bigint, undone_by bigint, mine boolean, before jsonb, after jsonb) "
        "LANGUAGE sql STABLE",
        "SELECT s.id, s.made_at, u.name, s.command, s.undoes_id, b.id, s.actor_id = {me}, "
        "CASE WHEN h.id > g.hidden AND NOT w.withheld THEN h.before ELSE '{{}}' END, "
        "CASE WHEN h.id > g.hidden AND NOT w.withheld THEN h.after ELSE '{{}}' END "
        "FROM (SELECT CASE WHEN owner_id = {me} OR current_setting('role') = 'kehu_admin' THEN 0 ELSE coalesce((SELECT "
        "max(l.id) FROM changes AS l WHERE l.table_name = 'segments' AND l.row_id = of_segment "
        "AND l.after ->> 'visibility' = 'shared'), 0) END AS hidden FROM segments WHERE id = of_segment AND (owner_id "
        "= {me} OR (visibility = 'shared' AND NOT (current_setting('role') = 'kehu_masked' AND asks_personal(rule))) "
        "OR current_setting('role') = 'kehu_admin')) AS g "
        "JOIN changes AS h ON h.table_name = 'segments' AND h.row_id = of_segment "
        "CROSS JOIN LATERAL (SELECT current_setting('role') = 'kehu_masked' AND (asks_personal(h.before -> 'rule') "
        "OR asks_personal(h.after -> 'rule')) AS withheld) AS w "
        "JOIN change_sets AS s ON s.id = h.change_set_id JOIN users AS u ON u.id = s.actor_id "
        "LEFT JOIN change_sets AS b ON b.undoes_id = s.id ORDER BY h.id DESC LIMIT most",
        "kehu_scoped, kehu_masked, kehu_admin",
        me=_ME,
    )


def _counters() -> Iterator[str]:
    for area in schema.AREAS:
        yield _do(
            "INSERT INTO public.generations (area, n) VALUES ({area}, 1) ON CONFLICT DO NOTHING",
            area=sql.Literal(area),
        )
    # The owner of what nobody owns: history and customers need a user to point at.
    yield (
        "INSERT INTO public.users (id, username, name, role, active, created_at, updated_at) "
        "VALUES (0, '-', '', 'sales', false, '2026-01-01', '2026-01-01') ON CONFLICT DO NOTHING"
    )


def statements() -> list[str]:
    """Every statement, in order, for a database whose tables exist."""
    found = list(_roles())
    found += list(rights_campaigns.partitions())
    found += list(_counters())
    # Before the policies that ask it: who is in my team, with me; nobody where I have none.
    found += _definer(
        "my_team() RETURNS bigint[] LANGUAGE sql STABLE",
        "SELECT coalesce(array_agg(u.id), ARRAY[]::bigint[]) FROM users AS u JOIN users AS m ON m.team_id = u.team_id "
        "WHERE m.id = {me}",
        "kehu_scoped, kehu_views, kehu_masked, kehu_author, kehu_admin",
        me=_ME,
    )
    found += rights_campaigns.of_my_role()
    found += rights_segments.asks_personal()
    found += rights_segments.my_segments()
    for table in schema.metadata.sorted_tables:
        found += list(_GRANTS[table.info["rule"]](table))
    found.append(
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO kehu_scoped, kehu_views, kehu_admin, kehu_gate, "
        "kehu_worker"
    )
    written = _names(f"{name}_id_seq" for name in (*OWNED_TABLES, "change_sets", "changes"))
    found.append(_do("GRANT USAGE, SELECT ON SEQUENCE {written} TO kehu_author", written=written))
    found += list(_functions())
    found += list(_author_grants())
    found.append("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    return found


def apply(conn: Connection) -> None:
    """Run all statements on the owner's connection."""
    for statement in statements():
        conn.exec_driver_sql(statement, execution_options={"no_parameters": True})
