"""Who sees what: planted values are looked for in all that a role may read; every function is called by everybody.

What keeps one role from another's rows: all statements are bound (a test of the house reads the sources for it), so
nothing a user types can say RESET ROLE or set the owners; `begin` is the only door and opens one transaction with one
role. Whoever can run SQL of their own on the login's connection can leave the role: that is the database's password.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from db import (
    customer,
    customers,
    permissions,
    schema,
)
from db.connection import begin
from db.customer_filters import Filters
from db.embedded import Server
from db.errors import NotFound, Refused
from db.overview import overview
from db.permissions import DATABASE_ROLE, GATE, GRANTS, WORKER, Permission, Role, Viewer
from tests import conftest, make
from tests.db.entry_points import ABSENT, NOT_QUERIES, RULES, called, entry_points
from tests.db.planted import HASH, TODAY, WHO, P, Planted, plain_of, plant, secrets_of, seen, walk


@pytest.fixture(scope="module")
def database(server: Server, template: str) -> Iterator[str]:
    """One database for the module: nothing here is left changed."""
    name = f"rights_{os.getpid()}"
    conftest._create(server, name, template)
    yield from conftest._served(server, name)


@pytest.fixture(scope="module")
def people(database: str) -> make.People:
    return make.people()


@pytest.fixture(scope="module")
def planted(people: make.People) -> dict[str, Planted]:
    return plant(people)


# --- the walk through everything that a role may read ----------------------------------------------------------------


def test_masked_roles_read_no_personal_value_anywhere(people: make.People, planted: dict[str, Planted]) -> None:
    for viewer in (people.ana, people.mark):
        found = walk(viewer, catalogue=viewer is people.ana)
        for who in WHO:
            assert seen(found, secrets_of(who)) == []
            # They see the rows themselves: the walk has really been where the values would be.
            for name in ("customers", "changes", "notes", "orders", "campaign_events"):
                here = found.get(("masked", name)) or found["public", name]
                assert str(planted[who].customer) in here
            assert seen({n: r for n, r in found.items() if n[1] == "orders"}, plain_of(who))
        assert seen(found, ("zekret",)) == []


def test_scoped_roles_read_nothing_of_other_peoples_customers(people: make.People, planted: dict[str, Planted]) -> None:
    allowed = {"ann": ["ann"], "bo": ["bo"], "cho": ["cho"], "mia": ["ann", "bo", "nobody"], "max": ["cho", "nobody"]}
    for name, own in allowed.items():
        found = walk(getattr(people, name), catalogue=name == "ann")
        for who in WHO:
            hits = {where for where, _ in seen(found, secrets_of(who) + plain_of(who))}
            if who in own:
                wanted = [
                    "addresses",
                    "attachments",
                    "consents",
                    "contacts",
                    "customers",
                    "customer_keys",
                    "customer_metrics",
                    "customer_tags",
                    "notes",
                    "orders",
                    "campaign_events",
                    "changes",
                    "change_sets",
                ]
                assert {w.split(".")[1] for w in hits} >= set(wanted), name
            else:
                assert hits == set(), name
        assert seen(found, ("zekretstaff", HASH, "zekrettoken", "zekretname")) == []


def test_sign_in_secrets_are_for_the_gate_alone(people: make.People, planted: dict[str, Planted]) -> None:
    for viewer in (people.root, WORKER):
        assert seen(walk(viewer), (HASH, "zekrettoken", "zekretname")) == []
    gate = walk(GATE)
    assert seen(gate, (HASH,))
    assert (
        seen({n: r for n, r in gate.items() if n[1] != "exports"}, tuple(s for w in WHO for s in secrets_of(w)[1:]))
        == []
    )


# --- no oracle -------------------------------------------------------------------------------------------------------


def test_masked_roles_learn_nothing_by_searching_sorting_or_filtering(
    people: make.People, planted: dict[str, Planted]
) -> None:
    needles = [
        "张bo",
        "zhangbo",
        "zb",
        "zekretbo",
        "zekretbo@example.com",
        "zekretbo ltd",
        "13800001111",
        "00001111",
        "900011",
    ]
    for viewer in (people.ana, people.mark):
        with begin(viewer) as conn:
            for needle in [*needles, "nonsense"]:
                found = customers.page(conn, viewer=viewer, today=TODAY, filters=Filters(search=needle))
                assert (len(found.rows), found.total, found.more) == (0, 0, False), needle
            by_id = customers.page(conn, viewer=viewer, today=TODAY, sort="newest").rows["id"].tolist()
            assert customers.page(conn, viewer=viewer, today=TODAY).rows["id"].tolist() == by_id
            assert by_id == sorted(by_id)
            for c in ("name", "phone", "email", "company", "address", "sort_key", "search_text"):
                every = conn.execute(select(func.count(schema.customers.c[c].distinct()))).scalar_one()
                assert every == (len(by_id) if c == "name" else 1)
        for statement in (
            "SELECT count(*) FROM public.customers WHERE phone > '1'",
            "SELECT id FROM public.customers ORDER BY name",
            "SELECT body FROM public.notes",
            "SELECT title FROM public.tasks",
            "SELECT before_personal FROM public.changes",
            "SELECT value FROM public.customer_keys",
            "SELECT reason FROM public.change_sets",
            "SELECT id FROM public.customers_containing_all('{zekret}', '{zekret}', '{}', '{}', '{}', '{}', 10)",
            "SELECT id FROM public.customers_containing_scoped('{zekret}', '{zekret}', '{}', '{}', '{}', '{}', 10)",
            "SELECT id FROM public.customers_beginning_all('{zekretbo}', '{}', NULL, '{}')",
            "SELECT id FROM public.customers_beginning_scoped('{zekretbo}', '{}', NULL, '{}')",
            "SELECT customer_id FROM public.customer_figures_scoped('{1}')",
            "SELECT part FROM public.search_parts",
            "SELECT public.search_parts_of('zekretbo')",
            "SELECT id FROM public.customers_similar_all('{zekretbo}', 10)",
            "SELECT id FROM public.customers_similar_scoped('{zekretbo}', 10)",
            "SELECT word FROM public.search_words",
            "SELECT search_text FROM public.customer_texts",
            "SELECT public.keep_texts('{1}')",
            "SELECT public.learn_words('{1}')",
            "SELECT * FROM public.change_set_gone(1)",
            "SELECT * FROM public.customers_alike('8613800001111', '', '', '', 0, 10)",
            "SELECT values FROM public.drafts",
            "SELECT params_personal FROM public.saved_views",
            "SELECT custom_personal FROM public.customers",
            "SELECT email FROM public.users",
            "SELECT phone FROM public.contacts",
            "SELECT street FROM public.addresses",
            "SELECT source FROM public.consents",
            "SELECT name FROM public.attachments",
            "SELECT content FROM public.attachment_contents",
        ):
            with pytest.raises(Refused) as caught, begin(viewer) as conn:
                conn.exec_driver_sql(statement)
            assert not seen({("error", "text"): str(caught.value).lower()}, secrets_of("bo"))


def test_scoped_roles_learn_nothing_from_the_search_functions(people: make.People, planted: dict[str, Planted]) -> None:
    with begin(people.ann) as conn:
        for needle, mine in (
            ("zekretann", [planted["ann"].customer]),
            ("zekretbo", []),
            ("zekret", [planted["ann"].customer]),
            ("zekret%' OR true --", []),
        ):
            for looked in ("'{}', '{}', '{}', ARRAY[:n]", "ARRAY[:w], ARRAY[:n], ARRAY[:n], '{}'"):
                containing = f"SELECT id FROM customers_containing_scoped(ARRAY[:n], ARRAY[:n], {looked}, 10)"  # noqa: S608
                asked = {"n": f"%{needle}%"} | ({"w": needle} if ":w" in looked else {})
                assert conn.execute(text(containing), asked).scalars().all() == mine
        for word, mine in (
            ("zekretann", [planted["ann"].customer]),
            ("zekretanx", [planted["ann"].customer]),
            ("zekretxo", []),
            ("zekretbo' OR true --", []),
        ):
            ids = conn.execute(text("SELECT id FROM customers_similar_scoped(ARRAY[:w], 10)"), {"w": word})
            assert ids.scalars().all() == mine, word
        for statement in (
            "SELECT my_customers_tagged('plainbo vip')",
            "SELECT my_customers_tagged($t$' OR true --$t$)",
            "SELECT id FROM customers_ranked_scoped(ARRAY[:theirs], ARRAY[0], 0, 10)",
            "SELECT customer_id FROM customer_figures_scoped(ARRAY[:theirs])",
            "SELECT id FROM customers_beginning_scoped(array_fill('zekretbo'::text, '{11}'), '{}', NULL, '{plainbo}')",
            "SELECT id FROM customers_beginning_scoped('{}', '{900011}', NULL, '{}')",
            "SELECT id FROM customers_beginning_scoped('{}', '{}', :theirs, '{}')",
            "SELECT i FROM my_customers_contacted('-infinity', '-infinity') AS i WHERE i = :theirs",
            "SELECT id FROM latest_buyers_scoped(1000) WHERE id = :theirs",
        ):
            ids = conn.execute(text(statement), {"theirs": planted["bo"].customer} if ":theirs" in statement else {})
            assert ids.scalars().all() == [], statement
    for statement in (
        "SELECT id FROM customers_containing_all('{zekret}', '{zekret}', '{}', '{}', '{}', '{}', 10)",
        "SELECT id FROM customers_beginning_all('{zekretbo}', '{}', NULL, '{}')",
        "SELECT id FROM customers_ranked_all('{1}', '{0}', 0, 10)",
        "SELECT part FROM search_parts",
        "SELECT search_parts_of('zekretbo')",
        "SELECT id FROM customers_similar_all('{zekretbo}', 10)",
        "SELECT word FROM search_words",
        "SELECT search_text FROM customer_texts",
        "SELECT word_variants('zekretbo')",
    ):
        with pytest.raises(Refused), begin(people.ann) as conn:
            conn.exec_driver_sql(statement)


HOSTILE = (
    "'; RESET ROLE; SELECT set_config('kehu.owner_ids', '2', true); --",
    "\\'; RESET ROLE; --",
    "$$; RESET ROLE; $$",
    "%(rows)s {0} {rows} %s :name",
    "\x00' OR true --",
)


def test_nothing_typed_leaves_the_role_or_widens_the_scope(people: make.People, planted: dict[str, Planted]) -> None:
    ann, mine = people.ann, planted["ann"]
    for typed in HOSTILE:
        with left(ann) as conn:
            before = _scope(conn)
            customers.page(conn, viewer=ann, today=TODAY, filters=Filters(search=typed, region=_storable(typed)))
            overview(conn, viewer=ann, today=TODAY, currency=_storable(typed), region=_storable(typed))
            customer.monthly(conn, viewer=ann, customer_id=mine.customer, currency=_storable(typed))
            customer.add_note(conn, actor=ann, customer_id=mine.customer, body=typed, screen=_storable(typed))
            body = select(schema.notes.c.body).order_by(schema.notes.c.id.desc()).limit(1)
            assert conn.scalar(body) == customer.checked_note(typed)
            assert _scope(conn) == before
        forged = Viewer(_storable(typed), "x", Role.SALES, (ann.user_id,))  # type: ignore[arg-type]
        with begin(forged) as conn:
            assert _scope(conn)[:2] == before[:2]
        worse = Viewer(1, "x", Role.SALES, (typed,))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="invalid literal"), begin(worse):
            pass


def _storable(typed: str) -> str:
    return typed.replace("\x00", "")


def _scope(conn: Connection) -> tuple[Any, ...]:
    query = "SELECT current_user, current_setting('kehu.owner_ids'), current_setting('kehu.user_id')"
    return tuple(conn.execute(text(query)).one())


# --- every function, by everybody ------------------------------------------------------------------------------------


class _Leave(Exception):
    """Ends a transaction without keeping anything of it."""


@contextmanager
def left(viewer: Viewer) -> Iterator[Connection]:
    """A transaction that leaves nothing behind."""
    try:
        with begin(viewer, write=True) as conn:
            yield conn
            raise _Leave
    except _Leave:
        pass


def test_every_function_that_acts_for_somebody_has_a_rule() -> None:
    assert sorted(set(entry_points()) - NOT_QUERIES) == sorted(RULES)


@pytest.mark.parametrize("gate", [False, True], ids=["as themselves", "as the gate"])
@pytest.mark.parametrize("who", ["ann", "bo", "cho", "mia", "max", "ana", "mark", "root", "worker", "gate"])
def test_every_function_refuses_the_wrong_role_and_tells_others_nothing(
    people: make.People, planted: dict[str, Planted], who: str, gate: bool
) -> None:
    viewer: Viewer = {"worker": WORKER, "gate": GATE}.get(who) or getattr(people, who)
    as_whom = GATE if gate else viewer
    with left(as_whom) as writing, begin(as_whom) as reading:
        for name, rule in RULES.items():
            if rule.gate is not gate:
                continue
            conn = writing if "actor" in inspect.signature(entry_points()[name]).parameters else reading
            said = called(conn, name, viewer, planted["bo"])
            if rule.permission and not viewer.can(rule.permission):
                assert said.startswith(f"Refused: Your role ({viewer.role}) does not include this"), name
                continue
            assert not said.startswith("Refused"), name
            if who in ("ann", "cho", "max"):
                # Not theirs, or not there: in the same words, and nothing of the customer in them.
                assert not rule.asks or called(conn, name, viewer, ABSENT) == said, name
                assert seen({("said", name): said.lower()}, secrets_of("bo") + plain_of("bo")) == []
            if viewer.masked:
                assert seen({("said", name): said.lower()}, tuple(n for w in WHO for n in secrets_of(w))) == []


def test_commands_of_the_masked_roles_are_refused_by_the_database_too(
    people: make.People, planted: dict[str, Planted]
) -> None:
    """As if the check of the permission had been forgotten."""
    for viewer in (people.ana, people.mark, GATE):
        for statement in (
            "UPDATE customers SET city = 'x'",
            "DELETE FROM customers",
            "INSERT INTO public.notes (customer_id, author_id, body) VALUES (1, 1, 'x')",
            "INSERT INTO change_sets (actor_id, made_at, command, permission, source) "
            "VALUES (1, '2026-1-1', 'x', 'x', 'screen')",
            "INSERT INTO changes (change_set_id) VALUES (1)",
            "UPDATE orders SET amount = 0",
            "UPDATE settings SET value = '1'",
            "SELECT defer_refresh()",
            "SELECT make_event_months('2026-01-01', '2026-01-02')",
            "SELECT * FROM jobs.procrastinate_jobs",
        ):
            with pytest.raises(Refused), begin(viewer, write=True) as conn:
                conn.exec_driver_sql(statement)


def test_a_salesperson_cannot_pull_or_push_rows_past_the_policies(
    people: make.People, planted: dict[str, Planted]
) -> None:
    ann, bo = people.ann, people.bo
    theirs, mine = planted["bo"].customer, planted["ann"].customer
    ids = {"mine": mine, "theirs": theirs, "bo": bo.user_id}
    for statement in (
        "UPDATE customers SET owner_id = :bo WHERE id = :mine",
        "INSERT INTO customers (owner_id, name, created_at, updated_at) VALUES (:bo, 'x', '2026-1-1', '2026-1-1')",
        "UPDATE notes SET customer_id = :theirs WHERE customer_id = :mine",
        "INSERT INTO notes (customer_id, author_id, body, created_at, updated_at) "
        "VALUES (:theirs, 1, 'x', '2026-1-1', '2026-1-1')",
        "INSERT INTO notes (customer_id, author_id, body, created_at, updated_at) "
        "VALUES (1000000000, 1, 'x', '2026-1-1', '2026-1-1')",
        "SELECT * FROM public.notes",
        "INSERT INTO contacts (customer_id, name, created_at, updated_at) "
        "VALUES (:theirs, 'x', '2026-1-1', '2026-1-1')",
        "UPDATE addresses SET customer_id = :theirs WHERE customer_id = :mine",
        "INSERT INTO consents (customer_id, channel, state, author_id, happened_at, created_at, updated_at) "
        "VALUES (:theirs, 'phone', 'given', 1, '2026-1-1', '2026-1-1', '2026-1-1')",
        "INSERT INTO attachments (customer_id, bytes, author_id, created_at, updated_at) "
        "VALUES (:theirs, 1, 1, '2026-1-1', '2026-1-1')",
        "INSERT INTO attachment_contents (customer_id, id, content) VALUES (:theirs, 1000000000, 'x')",
        "UPDATE attachment_contents SET content = 'x' WHERE customer_id = :mine",
        "UPDATE attachment_contents SET customer_id = :theirs WHERE customer_id = :mine",
        "DELETE FROM attachment_contents WHERE customer_id = :mine",
        "SELECT * FROM public.attachment_contents",
        "SELECT * FROM public.contacts",
        "SELECT * FROM public.orders",
        "SELECT * FROM public.tasks",
        "UPDATE tasks SET customer_id = :theirs WHERE customer_id = :mine",
        "SELECT * FROM public.campaign_events_default",
        "SELECT * FROM masked.customers",
        "UPDATE orders SET amount = 0 WHERE customer_id = :mine",
        "UPDATE daily_sales SET revenue = 0",
        "UPDATE stage_sums SET owner_id = 0",
        "UPDATE cohort_sums SET owner_id = 0",
        "UPDATE basket_sums SET owner_id = 0",
        "DELETE FROM basket_categories",
        "SELECT * FROM public.customer_months",
        "SELECT * FROM public.customer_classes",
        "DELETE FROM class_days",
        "SELECT * FROM public.customer_baskets",
        "SELECT * FROM public.app_sessions",
        "SELECT password_hash FROM public.users",
    ):
        with pytest.raises(Refused), begin(ann, write=True) as conn:
            conn.execute(text(statement), ids)
    with begin(ann, write=True) as conn:
        for statement in (
            "UPDATE customers SET city = 'x' WHERE id = :theirs",
            "DELETE FROM notes WHERE customer_id = :theirs",
            "UPDATE tasks SET title = 'x' WHERE customer_id = :theirs",
            "DELETE FROM contacts WHERE customer_id = :theirs",
            "UPDATE addresses SET street = 'x' WHERE customer_id = :theirs",
            "UPDATE consents SET state = 'given' WHERE customer_id = :theirs",
            "DELETE FROM attachments WHERE customer_id = :theirs",
        ):
            assert conn.execute(text(statement), ids).rowcount == 0


# --- roles and permissions -------------------------------------------------------------------------------------------


def test_every_role_and_permission_has_its_place() -> None:
    assert set(GRANTS) == set(DATABASE_ROLE) == set(Role)
    assert set(permissions.SEARCH_PATH) == {*DATABASE_ROLE.values(), *permissions.WRITING_ROLE.values()}
    assert set(permissions.WRITING_ROLE) == {DATABASE_ROLE[Role.ANALYST], DATABASE_ROLE[Role.MARKETER]}
    assert set().union(*GRANTS.values()) == set(Permission)
    assert [p.name for p in Permission] == sorted(p.name for p in Permission)
    assert all(p.value == p.name.lower().replace("_", ":", 1) for p in Permission)
    for role in (Role.ANALYST, Role.MARKETER):
        assert not GRANTS[role] & {
            P.PERSONAL_READ,
            P.CUSTOMERS_EDIT,
            P.CUSTOMERS_ASSIGN,
            P.CHANGES_READ,
            P.TASKS_EDIT,
            P.TASKS_READ,
        }
    for role in Role:
        assert (P.USERS_MANAGE in GRANTS[role]) == (role in (Role.ADMIN, Role.WORKER))
    assert P.PERSONAL_READ in GRANTS[Role.SALES]


def test_a_scope_without_owners_sees_nothing(people: make.People, planted: dict[str, Planted]) -> None:
    for role in (Role.SALES, Role.MANAGER):
        with begin(Viewer(people.ann.user_id, "ann", role, ())) as conn:
            for name in (
                "customers",
                "notes",
                "orders",
                "daily_sales",
                "stage_sums",
                "cohort_sums",
                "customer_months",
                "basket_sums",
            ):
                assert make.count(conn, name) == 0
            # A view or a board that one keeps is no customer's.
            assert set(conn.scalars(select(schema.changes.c.table_name))) <= {"board_cards", "boards", "saved_views"}
    with pytest.raises(NotFound), begin(Viewer(people.ann.user_id, "ann", Role.SALES)) as conn:
        customer.get(conn, viewer=people.ann, customer_id=planted["ann"].customer, today=TODAY)
