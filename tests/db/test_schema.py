"""The schema: what db/schema.py and db/rights.py say is what the migrations build, and each policy is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, func, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import db
from db import boards, clusters, connection, preferences, rights, saved_segments, saved_views, schema
from db.embedded import Server
from db.permissions import DATABASE_ROLE, SEARCH_PATH, WORKER, WRITING_ROLE, Viewer
from tests import conftest, make
from tests.db.entry_points import MODEL
from tests.db.planted import Planted, plant

JOBS = Path(db.__file__).parent / "migrations" / "versions" / "2026_11_22_jobs.sql"
OURS = {"ours": ["public", "scoped", "masked", "jobs"]}
# Alembic's own table is in the one database only; what an extension owns is the extension's affair.
LISTINGS = {
    "schemas": "SELECT n.nspname, pg_get_userbyid(nspowner), ARRAY(SELECT unnest(nspacl)::text ORDER BY 1) "
    "FROM pg_namespace AS n WHERE nspname = ANY(:ours)",
    "relations": "SELECT n.nspname, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, "
    "c.reloptions, c.relpersistence, pg_get_userbyid(c.relowner), pg_get_partkeydef(c.oid), "
    "pg_get_expr(c.relpartbound, c.oid), i.inhparent::regclass::text "
    "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid "
    "WHERE n.nspname = ANY(:ours) AND c.relname !~ '^alembic_version'",
    "columns": "SELECT n.nspname, c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
    "a.attidentity, a.attgenerated, a.attcollation::regcollation::text, pg_get_expr(d.adbin, d.adrelid) "
    "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) "
    "WHERE n.nspname = ANY(:ours) AND a.attnum > 0 AND c.relname !~ '^alembic_version'",
    "constraints": "SELECT c.connamespace::regnamespace::text, c.conrelid::regclass::text, c.conname, c.contype, "
    "pg_get_constraintdef(c.oid), c.condeferrable, c.convalidated FROM pg_constraint AS c "
    "WHERE c.connamespace::regnamespace::text = ANY(:ours) AND c.conrelid::regclass::text !~ 'alembic_version'",
    "indexes": "SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes "
    "WHERE schemaname = ANY(:ours) AND tablename <> 'alembic_version'",
    "policies": "SELECT schemaname, tablename, policyname, permissive, cmd, "
    "ARRAY(SELECT unnest(roles)::text ORDER BY 1), qual, with_check FROM pg_policies",
    "table grants": "SELECT n.nspname, c.relname, a.grantee::regrole::text, a.privilege_type, a.is_grantable "
    "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, LATERAL aclexplode(c.relacl) AS a "
    "WHERE n.nspname = ANY(:ours) AND c.relname !~ '^alembic_version'",
    "column grants": "SELECT n.nspname, c.relname, t.attname, a.grantee::regrole::text, a.privilege_type "
    "FROM pg_attribute AS t JOIN pg_class AS c ON c.oid = t.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace, "
    "LATERAL aclexplode(t.attacl) AS a WHERE n.nspname = ANY(:ours)",
    "views": "SELECT schemaname, viewname, viewowner, definition FROM pg_views WHERE schemaname = ANY(:ours)",
    "functions": "SELECT n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), pg_get_userbyid(p.proowner), "
    "ARRAY(SELECT unnest(p.proacl)::text ORDER BY 1), pg_get_functiondef(p.oid) FROM pg_proc AS p "
    "JOIN pg_namespace AS n ON n.oid = p.pronamespace "
    "WHERE n.nspname = ANY(:ours) AND p.prokind <> 'a' "
    "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')",
    "sequences": "SELECT schemaname, sequencename, sequenceowner, data_type::text, start_value, increment_by, cycle "
    "FROM pg_sequences WHERE schemaname = ANY(:ours)",
    "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "types": "SELECT n.nspname, t.typname, t.typtype, "
    "ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) "
    "FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE n.nspname = ANY(:ours) "
    "AND t.typname !~ 'alembic_version' AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = t.oid AND deptype = 'e')",
    "extensions": "SELECT extname FROM pg_extension",
    "rows": "SELECT 'areas', area, n::text FROM generations UNION ALL SELECT 'user', username, id::text FROM users",
}


@pytest.fixture(scope="module")
def built(server: Server) -> Iterator[Connection]:
    """A database made from the definitions, without any migration."""
    name = f"built_{os.getpid()}"
    conftest._create(server, name, None)
    engine = create_engine(server.url(name), poolclass=NullPool)
    with engine.begin() as conn:
        conn.exec_driver_sql("CREATE EXTENSION pg_trgm; CREATE SCHEMA jobs; SET LOCAL search_path = jobs")
        conn.exec_driver_sql(JOBS.read_text(encoding="utf-8"), execution_options=connection.AS_WRITTEN)
        conn.exec_driver_sql("SET LOCAL search_path = public")
        schema.metadata.create_all(conn)
        rights.apply(conn)
    with engine.connect() as conn:
        yield conn


@pytest.fixture(scope="module")
def migrated(server: Server, template: str) -> Iterator[Connection]:
    name = f"migrated_{os.getpid()}"
    conftest._create(server, name, template)
    engine = create_engine(server.url(name), poolclass=NullPool)
    with engine.connect() as conn:
        yield conn


@pytest.mark.parametrize("listing", LISTINGS)
def test_the_definitions_are_what_the_migrations_build(built: Connection, migrated: Connection, listing: str) -> None:
    of_definitions, of_migrations = (
        {str(tuple(row)) for row in conn.execute(text(LISTINGS[listing]), OURS)} for conn in (built, migrated)
    )
    assert sorted(of_definitions - of_migrations) == []
    assert sorted(of_migrations - of_definitions) == []
    assert of_definitions or listing in ("triggers",)


def test_all_rights_can_be_applied_again(built: Connection) -> None:
    before = [sorted(str(tuple(r)) for r in built.execute(text(q), OURS)) for q in LISTINGS.values()]
    rights.apply(built)
    assert before == [sorted(str(tuple(r)) for r in built.execute(text(q), OURS)) for q in LISTINGS.values()]
    built.rollback()


# --- who may what, by introspection ----------------------------------------------------------------------------------

READ = "SELECT"
WRITE = "DELETE INSERT SELECT UPDATE"
# Everything that a role of people may touch. Whoever adds a table decides it here, in words.
SHARED = dict.fromkeys(
    (
        *("basket_categories", "batches", "campaign_products", "class_days", "custom_fields", "definition_versions"),
        *("definitions", "products", "score_bounds", "settings", "teams"),
    ),
    READ,
)
CHILDREN = (
    "addresses",
    "attachment_contents",
    "attachments",
    "campaign_events",
    "campaign_held_out",
    "campaign_members",
    "campaign_purchases",
    "campaign_results",
    "consents",
    "contacts",
    "customer_baskets",
    "customer_categories",
    "customer_classes",
    "customer_keys",
    "customer_metrics",
    "customer_months",
    "customer_tags",
    "interactions",
    "notes",
    "order_days",
    "order_items",
    "orders",
    "segment_members",
    "segment_moves",
    "tasks",
)
QUEUES = ("segment_touches", "touched_customers")
EDITED = ("addresses", "attachments", "consents", "contacts", "interactions", "notes", "tasks")
HIDING = (*EDITED, "attachment_contents", "customer_keys")
"""Children with personal columns."""
EXPECTED: dict[str, dict[str, str]] = {
    "kehu_scoped": {f"public.{name}": read for name, read in SHARED.items()}
    | {f"scoped.{name}": READ for name in CHILDREN}
    | {
        "public.customers": WRITE,
        "public.campaigns": WRITE,
        "public.campaign_sums": READ,
        "public.basket_sums": READ,
        "public.cohort_sums": READ,
        "public.daily_sales": READ,
        "public.drafts": WRITE,
        "public.generations": READ,
        "public.interval_sums": READ,
        "public.wait_sums": READ,
        "public.preferences": WRITE,
        "public.board_cards": WRITE,
        "public.boards": WRITE,
        "public.saved_views": WRITE,
        "public.segment_states": READ,
        "public.segment_touches": "INSERT",
        "public.cluster_models": WRITE,
        "public.segments": WRITE,
        "public.stage_sums": READ,
        "public.moved_customers": "INSERT",
        "public.touched_customers": "INSERT",
        "public.users(active id name role team_id username)": READ,
        "scoped.attachment_contents": "INSERT SELECT",
        "scoped.change_sets": "INSERT SELECT",
        "scoped.changes": "INSERT SELECT",
        "scoped.customer_tags": WRITE,
    }
    | {f"scoped.{name}": WRITE for name in EDITED},
    "kehu_masked": {f"public.{name}": read for name, read in SHARED.items()}
    | {f"public.{name}": READ for name in CHILDREN if name not in HIDING}
    | {
        "public.campaigns": READ,
        "public.campaign_sums": READ,
        "public.basket_sums": READ,
        "public.cohort_sums": READ,
        "public.daily_sales": READ,
        "public.generations": READ,
        "public.interval_sums": READ,
        "public.wait_sums": READ,
        "public.preferences": READ,
        "public.segment_states": READ,
        "public.board_cards": READ,
        "public.boards": READ,
        "public.cluster_models": READ,
        "public.segments": READ,
        "public.stage_sums": READ,
        "public.users(active id name role team_id username)": READ,
    }
    | {f"masked.{name}": READ for name in (*HIDING, "change_sets", "changes", "customers", "saved_views")},
    # What the masked roles write as: nothing that belongs to a customer.
    "kehu_author": {
        "public.campaigns": WRITE,
        "public.change_sets": "INSERT SELECT",
        "public.changes": "INSERT SELECT",
        "public.custom_fields": READ,
        "public.preferences": WRITE,
        "public.board_cards": WRITE,
        "public.boards": WRITE,
        "public.cluster_models": WRITE,
        "public.saved_views": WRITE,
        "public.segments": WRITE,
    },
}


def granted(conn: Connection, role: str) -> dict[str, str]:
    """Relation (with columns, where it is columns that are granted) → privileges, of everything in our schemas."""
    tables = conn.execute(
        text(
            "SELECT n.nspname || '.' || c.relname, string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type) "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, LATERAL aclexplode(c.relacl) AS a "
            "WHERE c.relkind <> 'S' AND n.nspname !~ '^(pg_|information_schema)' AND a.grantee = to_regrole(:role) "
            "GROUP BY 1"
        ),
        {"role": role},
    )
    columns = conn.execute(
        text(
            "SELECT n.nspname || '.' || c.relname || '(' || string_agg(t.attname, ' ' ORDER BY t.attname) || ')', "
            "a.privilege_type FROM pg_attribute AS t JOIN pg_class AS c ON c.oid = t.attrelid "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace, LATERAL aclexplode(t.attacl) AS a "
            "WHERE n.nspname !~ '^(pg_|information_schema)' AND a.grantee = to_regrole(:role) "
            "GROUP BY n.nspname, c.relname, a.privilege_type"
        ),
        {"role": role},
    )
    return {row[0]: row[1] for found in (tables, columns) for row in found}


@pytest.mark.parametrize("role", EXPECTED)
def test_roles_of_people_have_these_privileges_and_no_other(migrated: Connection, role: str) -> None:
    assert granted(migrated, role) == EXPECTED[role]


def test_whatever_holds_a_customers_id_has_row_level_security_and_is_not_granted_to_scoped_roles(
    migrated: Connection,
) -> None:
    owned = migrated.execute(
        text(
            "SELECT c.relname, c.relrowsecurity, c.relispartition, "
            "EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) "
            "FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND EXISTS "
            "(SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname IN ('customer_id', 'owner_id'))"
        )
    ).all()
    assert {"customers", "daily_sales", "changes", "notes", "campaign_events_default"} <= {row[0] for row in owned}
    direct = granted(migrated, "kehu_scoped")
    for name, secured, partition, with_policy in owned:
        assert secured, name
        assert with_policy is not partition, name
        privileges = direct.get(f"public.{name}", "")
        # These are held to the owner by their own policy.
        by_owner = name in (
            "board_cards",
            "boards",
            "campaign_sums",
            "campaigns",
            "cluster_models",
            "basket_sums",
            "cohort_sums",
            "customers",
            "daily_sales",
            "interval_sums",
            "wait_sums",
            "saved_views",
            "segments",
            "stage_sums",
        )
        assert by_owner or privileges in ("", "INSERT" if name in QUEUES else ""), name
    # The schema's word for it agrees with what the catalogue says.
    assert {row[0] for row in owned if not row[2]} == {
        name
        for name, t in schema.metadata.tables.items()
        if t.info["rule"] in ("customers", "child", "rollup", "queue", "personal", "campaigns")
        or name in ("changes", "customer_texts")
    } - {"moved_customers"}


def test_roles_cannot_sign_in_or_pass_by_policies_and_nothing_is_granted_to_everybody(migrated: Connection) -> None:
    roles = migrated.execute(
        text(
            "SELECT rolname, "
            "rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication, "
            "EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) FROM pg_roles AS r WHERE rolname ~ '^kehu_'"
        )
    )
    assert sorted(tuple(row) for row in roles) == [(name, False, False) for name in sorted(rights.ROLES)]
    everybody = {
        "relations": "SELECT c.oid::regclass::text FROM pg_class AS c, LATERAL aclexplode(c.relacl) AS a "
        "WHERE c.relnamespace::regnamespace::text = ANY(:ours) AND a.grantee = 0",
        "schemas": "SELECT nspname FROM pg_namespace AS n, LATERAL aclexplode(n.nspacl) AS a "
        "WHERE nspname = ANY(:ours) AND a.grantee = 0",
        # The job library's functions are the schema's, which only the worker may use.
        "functions": "SELECT p.oid::regprocedure::text FROM pg_proc AS p, "
        "LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0 "
        "AND p.pronamespace::regnamespace::text IN ('public', 'scoped', 'masked') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')",
    }
    for what, query in everybody.items():
        assert migrated.scalars(text(query), OURS).all() == [], what
    users = "SELECT a.grantee::regrole::text FROM pg_namespace, LATERAL aclexplode(nspacl) AS a WHERE nspname = 'jobs'"
    assert set(migrated.scalars(text(users))) == {"kehu_worker", migrated.scalar(text("SELECT current_user"))}


def test_functions_with_the_owners_rights_pin_their_path(migrated: Connection) -> None:
    query = "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace::regnamespace::text = ANY(:ours)"
    found = migrated.execute(text(query), OURS).all()
    assert len(found) >= 9
    for name, settings in found:
        paths = [value for value in settings or () if value.startswith("search_path=")]
        assert len(paths) == 1, name
        assert re.fullmatch(r'search_path="?(public|jobs)"?, pg_temp', paths[0]), name


def test_views_hide_rows_behind_a_barrier_and_the_right_owner(migrated: Connection) -> None:
    views = migrated.execute(
        text(
            "SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), coalesce(c.reloptions, '{}'), "
            "pg_get_viewdef(c.oid) FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND n.nspname = ANY(:ours)"
        ),
        OURS,
    ).all()
    assert {row[0] for row in views} == {"scoped", "masked"}
    migrator = migrated.scalar(text("SELECT current_user"))
    for in_schema, name, owner, options, definition in views:
        # One that shows every row has nothing to hide behind a barrier; its columns are constants.
        assert ("security_barrier=true" in options) == ("WHERE" in definition), name
        assert in_schema == "masked" or "WHERE" in definition, name
        # A scoped view's owner is under the policies; a masked one's sees all rows and shows few columns.
        assert owner == ("kehu_views" if in_schema == "scoped" else migrator), name
        assert ("check_option=local" in options) == (in_schema == "scoped"), name


def test_partitions_made_later_are_closed_too(server: Server, template: str, migrated: Connection) -> None:
    made = text("SELECT make_event_months('2026-11-15', '2027-01-01')")
    assert migrated.scalar(made) == 3
    assert migrated.scalar(made) == 0
    secured = text(
        "SELECT c.relname, c.relrowsecurity, c.relacl IS NULL FROM pg_class AS c WHERE c.relname ~ '^campaign_events_2'"
        "AND c.relkind = 'r' ORDER BY 1"
    )
    assert [tuple(row) for row in migrated.execute(secured)] == [
        (f"campaign_events_{month}", True, True) for month in ("2026_11", "2026_12", "2027_01")
    ]
    with pytest.raises(DBAPIError, match="ten years"):
        migrated.scalar(text("SELECT make_event_months('2000-01-01', '2099-01-01')"))
    migrated.rollback()


# --- each policy is needed -------------------------------------------------------------------------------------------

POLICIES = sorted(
    (found["table"], found["policy"])
    for found in (
        re.match(r'CREATE POLICY "(?P<policy>\w+)" ON public\."(?P<table>\w+)"', s) for s in rights.statements()
    )
    if found
)


@pytest.fixture(scope="module")
def full(server: Server, template: str) -> Iterator[tuple[make.People, dict[str, Planted]]]:
    """A database with rows of several owners in every table."""
    name = f"policies_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        planted = plant(people)
        for viewer in (people.ann, people.ana, people.root):
            for shared in (False, True):
                with connection.begin(viewer, write=True) as conn:
                    saved_segments.save(conn, actor=viewer, name=f"S {shared}", rule='{"all": []}', shared=shared)
        for viewer in (people.ann, people.ana, people.root):
            with connection.begin(viewer, write=True) as conn:
                clusters.save(conn, actor=viewer, name="C", model=MODEL)
        for viewer, visibility in ((people.bo, "team"), (people.bo, "shared"), (people.ann, "private")):
            with connection.begin(viewer, write=True) as conn:
                saved_views.add(conn, actor=viewer, name=visibility, params={}, visibility=visibility)
                board_id, _set = boards.add(conn, actor=viewer, name=visibility, visibility=visibility)
                boards.keep(conn, actor=viewer, chart="repeats", params={}, title="x", board_id=board_id)
                preferences.choose(conn, actor=viewer, key=preferences.CUSTOMER_COLUMNS, value=[])
        yield people, planted


def access(
    conn: Connection, people: make.People, planted: dict[str, Planted], of: str | None = None
) -> dict[str, object]:
    """What viewers see of all tables and may write to one or all, in the owner's transaction."""
    found: dict[str, object] = {}
    for viewer in (people.ann, people.mia, people.ana, people.root, WORKER):
        reading = DATABASE_ROLE[viewer.role]
        for role in dict.fromkeys((reading, WRITING_ROLE.get(reading, reading))):
            who = viewer.username if role == reading else f"{viewer.username}, writing,"
            with conn.begin_nested() as outer:
                _become(conn, viewer, role)
                found |= {f"{who} reads {name}": n for name, n in _counts(conn).items()}
                for name, statement, values in _writes(viewer, people, planted):
                    if of in (None, name):
                        found[f"{who} {statement} {values}"] = _outcome(conn, statement, values)
                outer.rollback()
    return found


def _counts(conn: Connection) -> dict[str, int]:
    """Rows of every table, in one statement; those that may not be read are left out."""
    mine = "SELECT n FROM unnest(CAST(:names AS text[])) AS n WHERE has_any_column_privilege(to_regclass(n), 'SELECT')"
    names = conn.scalars(text(mine), {"names": list(schema.metadata.tables)}).all()
    counted = [select(func.count()).select_from(table(name)).scalar_subquery().label(name) for name in names]
    return dict(conn.execute(select(*counted)).mappings().one())


def _become(conn: Connection, viewer: Viewer, role: str) -> None:
    conn.exec_driver_sql(f"SET LOCAL ROLE {role}")
    settings = {
        "search_path": SEARCH_PATH[role],
        "kehu.owner_ids": ",".join(str(i) for i in viewer.owner_ids),
        "kehu.user_id": str(viewer.user_id),
    }
    for key, value in settings.items():
        conn.execute(text("SELECT set_config(:key, :value, true)"), {"key": key, "value": value})


def _writes(
    viewer: Viewer, people: make.People, planted: dict[str, Planted]
) -> Iterator[tuple[str, str, dict[str, object]]]:
    opened = (
        "INSERT INTO change_sets (actor_id, made_at, command, permission, source) "
        "VALUES (:actor, '2026-1-1', 'x', 'segments:edit', 'screen')"
    )
    for actor in (viewer.user_id, people.bo.user_id):
        yield "change_sets", opened, {"actor": actor}
    for who in ("ann", "cho"):
        ids: dict[str, object] = {"id": planted[who].customer}
        yield "customers", "UPDATE customers SET city = 'x' WHERE id = :id", ids
        yield "notes", "UPDATE notes SET body = 'x' WHERE customer_id = :id", ids
        yield "interactions", "UPDATE interactions SET minutes = 1 WHERE customer_id = :id", ids
        yield "tasks", "UPDATE tasks SET priority = 'high' WHERE customer_id = :id", ids
        yield "addresses", "UPDATE addresses SET city = 'x' WHERE customer_id = :id", ids
        yield "attachments", "UPDATE attachments SET name = 'x' WHERE customer_id = :id", ids
        yield "consents", "UPDATE consents SET source = 'x' WHERE customer_id = :id", ids
        yield "contacts", "UPDATE contacts SET name = 'x' WHERE customer_id = :id", ids
        stored = "INSERT INTO attachment_contents (customer_id, id, content) VALUES (:id, 1000000000, 'x')"
        yield "attachment_contents", stored, ids
        yield "customer_tags", "UPDATE customer_tags SET tag = 'x' WHERE customer_id = :id", ids
    yield "cluster_models", "UPDATE cluster_models SET name = 'x'", {}
    yield "segments", "UPDATE segments SET description = 'x'", {}
    forged = (
        "INSERT INTO segments (owner_id, name, rule, created_at, updated_at) VALUES (:owner, 'x', '{}', now(), now())"
    )
    for owner in (viewer.user_id, people.bo.user_id):
        yield "segments", forged, {"owner": owner}
    of_segment = (
        "INSERT INTO changes (change_set_id, customer_id, table_name, row_id, action, before, after, before_personal, "
        "after_personal) "
        "SELECT (SELECT max(id) FROM change_sets), NULL, 'segments', :row, 'update', '{}', '{}', '{}', '{}'"
    )
    for row in (1, 3):  # Ann's and Ana's
        yield "changes", of_segment, {"row": row}
    begun = "INSERT INTO drafts (user_id, form, values, updated_at) VALUES (:user, 'customer:9', '{}', '2026-1-1')"
    for user in (viewer.user_id, people.bo.user_id):
        yield "drafts", begun, {"user": user}
    begun = (
        "INSERT INTO campaigns (owner_id, name, starts_on, ends_on, created_at, updated_at) "
        "VALUES (:owner, 'x', '2026-1-1', '2026-1-1', '2026-1-1', '2026-1-1')"
    )
    for owner in (viewer.user_id, people.bo.user_id):
        yield "campaigns", begun, {"owner": owner}
    yield "campaigns", "UPDATE campaigns SET kind = 'x'", {}
    named = "INSERT INTO saved_views (owner_id, name, created_at, updated_at) VALUES (:o, 'x', '2026-1-1', '2026-1-1')"
    wanted = "INSERT INTO preferences (user_id, key, value, updated_at) VALUES (:o, 'x', '1', '2026-1-1')"
    for owner in (viewer.user_id, people.bo.user_id):
        yield "saved_views", named, {"o": owner}
        yield "preferences", wanted, {"o": owner}
    yield "saved_views", "UPDATE saved_views SET name = 'x'", {}
    begun_by = "INSERT INTO boards (owner_id, name, created_at, updated_at) VALUES (:o, 'x', '2026-1-1', '2026-1-1')"
    kept_on = (
        "INSERT INTO board_cards (board_id, owner_id, position, chart, created_at, updated_at) "
        "SELECT min(id), :o, 1, 'x', '2026-1-1', '2026-1-1' FROM boards WHERE owner_id = :of"
    )
    for owner in (viewer.user_id, people.bo.user_id):
        yield "boards", begun_by, {"o": owner}
        for of in (viewer.user_id, people.bo.user_id):
            yield "board_cards", kept_on, {"o": owner, "of": of}
    yield "boards", "UPDATE boards SET visibility = 'shared'", {}
    yield "board_cards", "UPDATE board_cards SET title = 'x'", {}
    yield "drafts", "UPDATE drafts SET version = 9", {}
    yield "drafts", "DELETE FROM drafts WHERE updated_at > '2000-1-1'", {}
    queued = "INSERT INTO touched_customers (customer_id, touched_at) VALUES (1, '2026-1-1')"
    yield "touched_customers", queued, {}
    asked = "INSERT INTO segment_touches (customer_id, touched_at) VALUES (1, '2026-1-1')"
    yield "segment_touches", asked, {}


def _outcome(conn: Connection, statement: str, values: dict[str, object]) -> object:
    """The number of rows, or PostgreSQL's code of what was wrong."""
    tried = conn.begin_nested()
    try:
        outcome: object = conn.execute(text(statement), values).rowcount
    except DBAPIError as error:
        outcome = getattr(error.orig, "sqlstate", None)
    tried.rollback()
    return outcome


def test_the_list_of_policies_is_the_catalogues(migrated: Connection) -> None:
    found = migrated.execute(text("SELECT tablename, policyname FROM pg_policies ORDER BY 1, 2"))
    assert [tuple(row) for row in found] == POLICIES


@pytest.fixture(scope="module")
def usual(full: tuple[make.People, dict[str, Planted]]) -> dict[str, object]:
    with connection.begin_owner() as conn:
        return access(conn, *full)


def test_access_is_what_it_should_be(full: tuple[make.People, dict[str, Planted]], usual: dict[str, object]) -> None:
    people, _planted = full
    # 42501: no privilege, or refused by a policy.
    assert usual["ann reads customers"] == 1
    assert usual["mia reads customers"] == 3
    assert usual["root reads customers"] == usual["ana reads customers"] == usual["worker reads customers"] == 4
    for name in schema.CUSTOMER_TABLES:
        assert usual[f"ann reads {name}"] == 1, name
        assert usual[f"root reads {name}"] == 4, name
    own = {"ann": 1, "mia": 0, "root": 1, "worker": 4}
    on_drafts = {w: usual[f"{w} reads drafts"] for w in own}
    assert on_drafts == own
    for statement, found in (("DELETE", own), ("UPDATE", own | {"worker": "42501"})):
        assert {k.split()[0]: v for k, v in usual.items() if f" {statement}" in k and " drafts" in k} == found | {
            "ana": "42501",
            "ana,": "42501",
        }
    forged = [v for k, v in usual.items() if "INTO change_sets" in k and f"'actor': {people.bo.user_id}" in k]
    assert forged == [
        "42501",
        "42501",
        "42501",
        "42501",
        "42501",
        1,
    ]  # the worker writes in the name of those it works for


@pytest.mark.parametrize(("of", "policy"), POLICIES)
def test_without_a_policy_access_is_not_the_same(
    full: tuple[make.People, dict[str, Planted]], usual: dict[str, object], of: str, policy: str
) -> None:
    with connection.engine().connect() as conn:
        conn.exec_driver_sql(f"DROP POLICY {policy} ON public.{of}")
        now = access(conn, *full, of)
        assert now != {key: usual[key] for key in now}
        conn.rollback()


@pytest.mark.parametrize(
    "of", ["customers", "basket_sums", "campaign_sums", "cohort_sums", "daily_sales", "stage_sums", "change_sets"]
)
def test_without_row_level_security_access_is_not_the_same(
    full: tuple[make.People, dict[str, Planted]], usual: dict[str, object], of: str
) -> None:
    with connection.engine().connect() as conn:
        conn.exec_driver_sql(f"ALTER TABLE public.{of} DISABLE ROW LEVEL SECURITY")
        now = access(conn, *full, of)
        assert now != {key: usual[key] for key in now}
        conn.rollback()
