"""What a statement reads is among its areas: asked of PostgreSQL, which counts the scans of each table."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Engine,
    case,
    column,
    event,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    update,
)

from db import areas, changes, clock, connection, derived, rights, schema
from db.areas import EVERYTHING, areas_of
from db.connection import begin
from db.embedded import Server
from db.errors import KehuError, Refused
from db.permissions import GATE, WORKER, Permission, Viewer
from tests import conftest, make
from tests.db.entry_points import NOT_QUERIES, RULES, entry_points
from tests.db.planted import Planted, plant

AREAS = set(schema.AREAS)


@pytest.fixture(scope="module")
def database(server: Server, template: str) -> Iterator[str]:
    """One database for the module: nothing here is left changed."""
    name = f"areas_{os.getpid()}"
    conftest._create(server, name, template)
    yield from conftest._served(server, name)


@pytest.fixture(scope="module")
def people(database: str) -> make.People:
    return make.people()


@pytest.fixture(scope="module")
def planted(people: make.People) -> dict[str, Planted]:
    return plant(people)


def test_every_relation_and_function_of_the_database_is_known(people: make.People) -> None:
    ours = (
        "SELECT p.proname AS name FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
        "WHERE n.nspname IN ('public', 'scoped', 'masked') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') UNION "
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname IN ('public', 'scoped', 'masked') AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')"
    )
    with connection.begin_owner() as conn:
        unknown = set(conn.exec_driver_sql(ours).scalars()) - areas._known().keys()
    months = {name for name in unknown if re.fullmatch(r"campaign_events_\d{4}_\d\d", name)}
    assert unknown - months == {"alembic_version"}
    assert all(areas_of(f"TABLE a JOIN {name}") == EVERYTHING for name in unknown)


def test_every_table_says_what_it_moves_or_moves_nothing_that_is_kept() -> None:
    silent = {n for n, t in schema.metadata.tables.items() if not {"area", "moves_with"} & t.info.keys()}
    assert silent == {
        *("app_sessions", "user_links", "sign_in_attempts", "exports"),  # of the gate, which nobody keeps
        "drafts",  # read by a query that says it is volatile
        *("change_sets", "changes"),  # written with every area
    }
    assert all(set(t.info.get("moves_with", ())) <= AREAS for t in schema.metadata.tables.values())


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", set()),
        ("SELECT name FROM campaigns", {"campaigns", "users"}),
        ('SELECT "name" FROM "public"."campaigns"', {"campaigns", "users"}),
        ("SELECT c.tasks, c.orders AS users FROM campaigns AS c", {"campaigns", "users"}),
        ("SELECT 1 FROM settings, products", {"settings", "orders"}),
        ("SELECT count(*) FROM TEAMS WHERE name = %(settings)s", {"users"}),
        ("SELECT '\"', name FROM teams WHERE name = 'it''s \"'", {"users"}),
        ("SELECT f('public.settings')", {"settings"}),
        ("SELECT public.data_since()", {"metrics"}),
        ("SELECT waiting_since()", {"metrics", "orders", "profiles"}),
        ("WITH RECURSIVE a (x) AS (SELECT 1), b AS (SELECT 2) SELECT * FROM a JOIN b ON true", set()),
        ("WITH RECURSIVE a(x) AS (SELECT 1), b(x) AS (SELECT (2)) SELECT * FROM a JOIN b ON true", set()),
        (
            "SELECT extract(year FROM starts.day) FROM (SELECT starts_on AS day FROM campaigns) AS starts",
            {"campaigns", "users"},
        ),
        ("SELECT id IS DISTINCT FROM name FROM campaigns", {"campaigns", "users"}),
        ("SELECT 1 FROM unnest(ARRAY[1]) AS u", set()),
        # A customer's profile, and what tells more than that.
        ("SELECT customers.region, count(*) AS version FROM customers GROUP BY customers.region", {"profiles"}),
        ("SELECT c.id FROM customers AS c JOIN teams AS t ON t.id = c.owner_id", {"profiles", "users"}),
        ("SELECT teams.name FROM teams JOIN customers ON true", {"profiles", "users"}),
        ("SELECT c.name FROM public.customers AS c", {"profiles", "customers"}),
        ("SELECT customers.name FROM customers", {"profiles", "customers"}),
        ('SELECT "customers"."search_text" FROM customers', {"profiles", "customers"}),
        ("SELECT id, version FROM customers", {"profiles", "customers"}),
        ("SELECT c.custom ->> 'x' FROM customers AS c", {"profiles", "customers"}),
        ("SELECT c.name FROM customers c", {"profiles", "customers"}),
        ("SELECT * FROM customers", {"profiles", "customers"}),
        ("SELECT id, * FROM customers", {"profiles", "customers"}),
        ("SELECT c.* FROM customers AS c", {"profiles", "customers"}),
        ("SELECT to_jsonb(c) FROM customers AS c", {"profiles", "customers"}),
        ("SELECT (c).region FROM customers AS c", {"profiles", "customers"}),
        ("SELECT id, customers FROM customers", {"profiles", "customers"}),
        ("SELECT count(customers) FROM customers", {"profiles", "customers"}),
        ("SELECT a FROM customers AS c (a, b, d)", {"profiles", "customers"}),
        ("SELECT 1 FROM teams NATURAL JOIN customers", {"profiles", "users", "customers"}),
        ("SELECT 1 FROM customers AS a JOIN customers AS b ON a IS DISTINCT FROM b", {"profiles", "customers"}),
        ("SELECT 1 FROM teams JOIN customers USING (name)", {"profiles", "users", "customers"}),
        ("TABLE customers", {"profiles", "customers"}),
        ("SELECT f('customers')", {"profiles", "customers"}),
        ("SELECT notes.body FROM notes", {"around", "profiles"}),
        # What is not known may be anything.
        ("SELECT * FROM campaigns JOIN elsewhere ON true", AREAS),
        ("SELECT * FROM public.elsewhere", AREAS),
        ("SELECT * FROM campaigns, pg_catalog.pg_class", AREAS),
        ("SELECT * FROM jobs.procrastinate_jobs", AREAS),
        ("SELECT relname FROM pg_class AS c", AREAS),
        ("SELECT * FROM campaign_events_2026_11", AREAS),
    ],
)
def test_words_of_a_statement(statement: str, expected: set[str]) -> None:
    assert areas_of(statement) == expected


def test_the_names_are_brought_together_in_no_time() -> None:
    areas._known.cache_clear()
    began = time.process_time()
    areas._known()
    assert time.process_time() - began < 0.2


@contextmanager
def listened() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    said: list[str] = []

    def hear(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


SCANS = "coalesce(seq_scan, 0) + coalesce(idx_scan, 0)"
WRITES = "n_tup_ins + n_tup_upd + n_tup_del"


def counted(conn: Connection, what: str) -> dict[str, int]:
    """Table → how much PostgreSQL has counted of it in this transaction; a month of events counts as the whole."""
    name = case((column("relname").like("campaign_events%"), "campaign_events"), else_=column("relname"))
    total = func.sum(literal_column(what))
    query = select(name, total).select_from(table("pg_stat_xact_user_tables")).where(column("schemaname") == "public")
    return {name: int(n) for name, n in conn.execute(query.group_by(name))}


def since(conn: Connection, before: dict[str, int], what: str) -> set[str]:
    return {name for name, n in counted(conn, what).items() if n > before.get(name, 0)}


def moving(name: str) -> set[str]:
    """The areas of which one moves when the table does; none for a table that moves with everything."""
    info = schema.metadata.tables[name].info
    area = info.get("profiles", info.get("area"))
    return {area} if area else set(info.get("moves_with", ()))


def is_moved(name: str, moved: set[str]) -> bool:
    """Whether what depends on the table is asked anew; nobody keeps an answer of tables that say nothing of it."""
    info = schema.metadata.tables[name].info
    return info["area"] in moved if "area" in info else not moving(name) or bool(moving(name) & moved)


def arguments(name: str, ids: Planted) -> dict[str, Any]:
    return {key: value(ids) if callable(value) else value for key, value in RULES[name].values.items()}


READS = [n for n, f in entry_points().items() if "viewer" in inspect.signature(f).parameters and n not in NOT_QUERIES]
COMMANDS = [n for n, f in entry_points().items() if "actor" in inspect.signature(f).parameters and n not in NOT_QUERIES]
COMMANDS.remove("undo_since.preview")  # takes back at once what it writes


@pytest.mark.parametrize("who", ["ann", "mia", "root", "ana", "mark"])
def test_what_a_query_scans_is_among_the_areas_of_its_statements(
    people: make.People, planted: dict[str, Planted], who: str
) -> None:
    viewer: Viewer = getattr(people, who)
    seen: set[str] = set()
    for name in (n for n in READS if not RULES[n].gate):
        with suppress(KehuError), begin(viewer) as conn:
            before = counted(conn, SCANS)
            with listened() as said, suppress(KehuError):
                entry_points()[name](conn, viewer=viewer, **arguments(name, planted["ann"]))
            scanned = since(conn, before, SCANS)
            told = frozenset().union(*map(areas_of, said))
            for read in scanned:
                assert told == EVERYTHING or (moving(read) and moving(read) <= told), f"{name} reads {read}"
            seen |= scanned
    assert len(seen) > 15, "they have really been counted"


def test_who_is_told_profiles_alone_needs_no_other_column(people: make.People, planted: dict[str, Planted]) -> None:
    """Everything that claims so is sent again by roles whose right to the other columns is taken away."""
    viewers = (people.ann, people.mia, people.root, people.ana)
    sent: dict[str, dict[str, Any]] = {viewer.username: {} for viewer in viewers}
    for viewer in viewers:
        for name in (n for n in READS if not RULES[n].gate):

            def hear(_c: Any, _cursor: Any, statement: str, values: Any, *_r: Any, of: str = viewer.username) -> None:
                if "profiles" in areas_of(statement) and "customers" not in areas_of(statement):
                    sent[of][statement] = values

            with suppress(KehuError), begin(viewer) as conn:
                event.listen(conn, "before_cursor_execute", hear)
                entry_points()[name](conn, viewer=viewer, **arguments(name, planted["ann"]))
    profile = ", ".join(sorted(schema.PROFILE))
    taken = "REVOKE SELECT ON public.customers, masked.customers FROM kehu_scoped, kehu_views, kehu_masked, kehu_admin"
    given = "ON public.customers TO kehu_scoped, kehu_views, kehu_masked, kehu_admin"
    with connection.begin_owner() as conn:
        conn.exec_driver_sql(taken)
        conn.exec_driver_sql(f"GRANT SELECT ({profile}) {given}")
        conn.exec_driver_sql(f"GRANT SELECT ({profile}) ON masked.customers TO kehu_masked")
    try:
        for viewer in viewers:
            with pytest.raises(Refused), begin(viewer) as conn:
                conn.exec_driver_sql("SELECT name FROM customers")
            for statement, values in sent[viewer.username].items():
                with begin(viewer) as conn:
                    conn.exec_driver_sql(statement, values)
        assert min(len(found) for found in sent.values()) > 15, "there are really some"
    finally:
        with connection.begin_owner() as conn:
            rights.apply(conn)


@pytest.mark.parametrize("who", ["ann", "root", "ana", "worker"])
def test_what_a_command_writes_moves_its_areas(people: make.People, planted: dict[str, Planted], who: str) -> None:
    viewer: Viewer = WORKER if who == "worker" else getattr(people, who)
    seen: set[str] = set()
    for name in COMMANDS:
        rule = RULES[name]
        with suppress(KehuError, _Enough), begin(GATE if rule.gate else viewer, write=True) as conn:
            before = counted(conn, WRITES)
            with suppress(KehuError), conn.begin_nested():
                entry_points()[name](conn, actor=viewer, **arguments(name, planted["ann"]))
            # The gate writes when somebody was there, and how often a password was wrong: nothing that is kept.
            written = since(conn, before, WRITES) - ({"users"} if rule.gate else set())
            for one in written:
                assert is_moved(one, conn.info["kehu_areas"]), f"{name} writes {one}"
            seen |= written
            raise _Enough
    assert seen


def test_what_the_worker_computes_moves_its_areas(people: make.People, planted: dict[str, Planted]) -> None:
    for compute in (derived.rebuild, derived.refresh):
        with suppress(_Enough), begin(WORKER, write=True) as conn:
            touched = {"customer_id": planted["ann"].customer, "touched_at": clock.now()}
            if compute is derived.refresh:
                conn.execute(insert(schema.touched_customers), touched)
            conn.execute(update(schema.customer_metrics).values(orders=99))  # what stands right is not written again
            before = counted(conn, WRITES)
            compute(conn)
            written = since(conn, before, WRITES)
            assert "touched_customers" in written or compute is derived.rebuild
            assert "customer_metrics" in written
            assert all(is_moved(name, conn.info["kehu_areas"]) for name in written)
            raise _Enough


class _Enough(Exception):
    """Nothing is to be written."""


def test_an_edit_moves_profiles_only_when_it_changes_one(people: make.People, planted: dict[str, Planted]) -> None:
    def moved(**patch: Any) -> set[str]:
        with suppress(_Enough), begin(people.root, write=True) as conn:
            set_id = changes.start(
                conn, actor=people.root, command="t", permission=Permission.CUSTOMERS_EDIT, source="screen"
            )
            changes.update(conn, set_id, "customers", [{"id": planted["ann"].customer, **patch}])
            found.append(set(conn.info["kehu_areas"]))
            raise _Enough
        return found.pop()

    found: list[set[str]] = []
    assert moved(name="x", phone="1") == {"customers"}
    assert moved(region="x") == {"customers", "profiles"}
    assert moved(name="x", archived_at=clock.now()) == {"customers", "profiles"}
    assert schema.moved(schema.customers) == {"customers", "profiles"}, "who comes or goes"
    assert schema.moved(schema.notes) == {"around"}
    assert changes.ROLLED <= schema.PROFILE, "who is queued has moved what `touched_customers` moves with"
    assert not schema.PROFILE & {"name", "company", "email", "phone", "address", "search_text", "custom"}


def test_functions_that_make_their_statements_name_their_tables(people: make.People) -> None:
    """Each that says EXECUTE is here by name, read by eye: its tables stand in its text as words."""
    made = {
        "customers_containing_all": {"customers", "metrics", "profiles"},
        "customers_containing_scoped": {"customers", "metrics", "profiles"},
        "customers_similar_all": {"customers", "metrics", "profiles"},
        "customers_similar_scoped": {"customers", "metrics", "profiles"},
        "my_customers_contacted": {"around", "profiles"},
        "my_customers_tagged": {"profiles", "tags"},
        "tags_standing_scoped": {"profiles", "tags"},
        "written_all": {"around", "customers", "profiles", "tasks"},
        "written_scoped": {"around", "customers", "profiles", "tasks"},
        "make_event_months": {"campaigns", "profiles"},
    }
    with connection.begin_owner() as conn:
        found = conn.exec_driver_sql(
            "SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
            "WHERE n.nspname = 'public' AND p.prosrc ~* '\\mEXECUTE\\M'"
        ).scalars()
        assert set(found) == made.keys()
    assert {name: set(areas_of(f"SELECT {name}()")) for name in made} == made


def test_a_statement_of_sqlalchemy_is_read_like_one_in_text(people: make.People) -> None:
    t = schema.tasks
    later = t.alias("later")
    query = select(func.count(), literal("orders")).where(t.c.id < later.c.id)
    with begin(people.root) as conn, listened() as said:
        conn.execute(query)
    assert areas_of(said[-1]) >= {"tasks"}
    assert areas_of(said[-1]) != EVERYTHING
