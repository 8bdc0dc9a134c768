"""Who sees what: planted values are looked for in all that a role may read; every function is called by everybody.

What keeps one role from another's rows: all statements are bound (a test of the house reads the sources for it), so
nothing a user types can say RESET ROLE or set the owners; `begin` is the only door and opens one transaction with one
role. Whoever can run SQL of their own on the login's connection can leave the role: that is the database's password.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cache
from typing import Any

import bcrypt
import pandas as pd
import pytest
from sqlalchemy import ColumnClause, Connection, Text, cast, column, func, insert, select, table, text, update

import db
from db import (
    addresses,
    attachments,
    changes,
    clock,
    connection,
    consents,
    contacts,
    custom_fields,
    customer,
    customers,
    derived,
    drafts,
    interactions,
    permissions,
    saved_views,
    schema,
    tags,
    tasks,
)
from db.bulk_actions import Action, Chosen
from db.connection import begin
from db.customer_filters import Filters
from db.embedded import Server
from db.errors import KehuError, NotFound, Refused
from db.overview import overview
from db.permissions import DATABASE_ROLE, GATE, GRANTS, WORKER, Permission, Role, Viewer
from db.undo import undo
from tests import conftest, make

TODAY = date(2026, 11, 20)
WHO = ("ann", "bo", "cho", "nobody")
P = Permission


HASH = bcrypt.hashpw(b"-", bcrypt.gensalt(4)).decode()

# --- what is planted -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Planted:
    """Ids of one person's planted customer, by what they are of."""

    customer: int
    note: int
    call: int
    task: int
    contact: int
    address: int
    file: int
    tag: int
    view: int
    order: int
    saved: int
    removed: int
    session: int


def secrets_of(who: str) -> tuple[str, ...]:
    """What must not be seen where personal columns are withheld, in the forms in which it is stored."""
    digits = f"8613800001{WHO.index(who)}11"
    return (f"zekret{who}", f"张{who}", f"138 0000 1{WHO.index(who)}11", digits, digits[::-1], f"90001{WHO.index(who)}")


def plain_of(who: str) -> tuple[str, ...]:
    """What the masked roles may see and other salespeople may not."""
    return (f"plain{who}",)


def plant(people: make.People) -> dict[str, Planted]:
    """A customer of each salesperson and one of nobody, with rows in every table and every kind of change."""
    with connection.begin_owner() as conn:
        for n, name in enumerate(("customers", "notes", "orders", "change_sets", "app_sessions", "tasks")):
            conn.exec_driver_sql(f"ALTER SEQUENCE {name}_id_seq RESTART {7_000_001 + n * 100_000}")
    with begin(people.root, write=True) as conn:
        for key, personal in (("plain", False), ("secret", True)):
            made = {"key": key, "name": key, "type": "text", "personal": personal}
            custom_fields.add(conn, actor=people.root, values=made)
    found = {who: _plant_customer(people, who) for who in WHO}
    with connection.begin_owner() as conn:
        for viewer in people.everyone:
            values = {
                "email": f"{viewer.username}@zekretstaff.example",
                "password_hash": HASH,
            }
            conn.execute(update(schema.users).where(schema.users.c.id == viewer.user_id).values(**values))
        hashed = {"created_at": clock.now(), "expires_at": clock.now(), "token_hash": "zekrettoken"}
        conn.execute(insert(schema.user_links).values(user_id=people.bo.user_id, **hashed))
        if "exports" in schema.metadata.tables:
            offer = {"user_id": people.bo.user_id, "kind": "customers", "params": {"search": "zekretbo"}}
            conn.execute(insert(schema.metadata.tables["exports"]).values(**offer, **hashed))
        conn.execute(insert(schema.sign_in_attempts).values(name_hash="zekretname", updated_at=clock.now()))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    with connection.begin_owner() as conn:
        conn.execute(text("ANALYZE"))
    return found


def _plant_customer(people: make.People, who: str) -> Planted:
    actor = people.root if who == "nobody" else getattr(people, who)
    n = WHO.index(who)
    with begin(actor, write=True) as conn:
        first = {"name": f"Zekret{who} Old", "phone": f"+86 138 0000 1{n}11", "address": f"1 Zekret{who} Road"}
        plain = {"city": f"Plain{who}", "region": f"Plain{who}", "custom.plain": f"Plain{who}"}
        first |= {"custom.secret": f"zekret{who}"}
        customer_id, _made = customer.add(conn, actor=actor, values=first | plain)
        saved = customer.save(
            conn,
            actor=actor,
            customer_id=customer_id,
            version=1,
            values={
                "name": f"张{who}",
                "company": f"Zekret{who} Ltd",
                "email": f"zekret{who}@example.com",
                "custom.secret": f"Zekret{who} again",
            },
        )
        begun = {"name": f"zekret{who} begun"}
        if who in ("ann", "nobody"):
            drafts.keep(conn, actor=actor, form="customer:new", values=begun)
        else:
            drafts.keep(conn, actor=actor, form=f"customer:{customer_id}", values=begun, version=2)
        removed_note = customer.add_note(conn, actor=actor, customer_id=customer_id, body=f"zekret{who} drinks tea")
        note_ids = select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == removed_note)
        customer.delete_note(conn, actor=actor, customer_id=customer_id, note_id=conn.scalar(note_ids) or 0)
        kept = customer.add_note(conn, actor=actor, customer_id=customer_id, body=f"zekret{who} drinks coffee")
        note_id = conn.scalar(select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == kept)) or 0
        said = {"outcome": "reached", "subject": f"zekret{who} called", "body": f"zekret{who} wants coffee"}
        call = interactions.log(conn, actor=actor, customer_id=customer_id, kind="call", **said)
        call_id = conn.scalar(select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == call)) or 0
        planned = {"title": f"zekret{who} call back", "body": f"zekret{who} likes tea", "due_on": TODAY}
        task = tasks.add(conn, actor=actor, customer_id=customer_id, **planned)
        task_id = conn.scalar(select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == task)) or 0
        mine: dict[str, Any] = {"actor": actor, "customer_id": customer_id}
        phone = f"+86 138 0000 1{n}11"
        person = {"name": f"张{who}", "job_title": f"zekret{who} boss", "phone": phone, "wechat": f"zekret{who}"}
        extra = {"email": f"zekret{who}@example.com", "note": f"zekret{who} likes tea", "main": True}
        contact_id, _set = contacts.add(conn, **mine, values=person | extra)
        place = {"kind": "office", "recipient": f"zekret{who}", "street": f"zekret{who}", "postcode": f"zekret{who}"}
        address_id, _set = addresses.add(conn, **mine, values=place | {"phone": phone, "city": f"Plain{who}"})
        consents.record(conn, **mine, channel="phone", state="refused", how=f"zekret{who} said so")
        attached = attachments.add(conn, **mine, name=f"zekret{who}.txt", content=f"zekret{who} reads".encode())
        file_ids = select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == attached)
        file_id = conn.scalar(file_ids) or 0
        tagged = tags.add(conn, actor=actor, customer_id=customer_id, tag=f"plain{who} VIP")
        tag_id = conn.scalar(select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == tagged)) or 0
        searched = {"search": f"zekret{who}", "f_secret": f"zekret{who}", "region": f"Plain{who}"}
        view_id, _set = saved_views.add(conn, actor=actor, name=f"Plain{who}", params=searched)
        reasoned = changes.start(
            conn, actor=actor, command="t", permission=P.CUSTOMERS_EDIT, source="screen", reason=f"zekret{who} asked"
        )
        changes.update(conn, reasoned, "customers", [{"id": customer_id, "source": f"Plain{who}"}])
        _gone, gone_set = customer.add(conn, actor=actor, values=first | plain)
        removed = undo(conn, actor=actor, change_set_id=gone_set, source="screen").change_set_id
    with connection.begin_owner() as conn:
        order_id = _plant_facts(conn, who, customer_id)
        session = {
            "user_id": actor.user_id,
            "auth_epoch": 1,
            "token_hash": f"zekrettoken{who}",
            "created_at": clock.now(),
            "seen_at": clock.now(),
            "expires_at": clock.now(),
            "user_agent": f"zekret{who}",
        }
        session_id = conn.scalar(insert(schema.app_sessions).values(**session).returning(schema.app_sessions.c.id))
    assert saved.change_set_id
    around = (note_id, call_id, task_id, contact_id, address_id, file_id, tag_id, view_id)
    return Planted(customer_id, *around, order_id, saved.change_set_id, removed, session_id or 0)


def _plant_facts(conn: Connection, who: str, customer_id: int) -> int:
    key = {"customer_id": customer_id}
    conn.execute(insert(schema.customer_keys).values(kind="household", value=f"90001{WHO.index(who)}", **key))
    product_id = conn.scalar(insert(schema.products).values(sku=f"sku{who}").returning(schema.products.c.id))
    order_id = make.order(conn, customer_id, date(2026, 11, 1))
    conn.execute(
        update(schema.orders).where(schema.orders.c.id == order_id).values(reference=f"plain{who}", store=f"plain{who}")
    )
    conn.execute(
        insert(schema.order_items).values(**key, order_id=order_id, product_id=product_id, quantity=1, amount=1)
    )
    campaign = {"name": f"Campaign {WHO.index(who)}", "starts_on": date(2026, 11, 1), "ends_on": TODAY}
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    campaign_id = conn.scalar(insert(schema.campaigns).values(**campaign, **stamps).returning(schema.campaigns.c.id))
    conn.execute(insert(schema.campaign_products).values(campaign_id=campaign_id, product_id=product_id))
    member = key | {"campaign_id": campaign_id}
    conn.execute(insert(schema.campaign_members).values(**member, received_on=TODAY))
    conn.execute(
        insert(schema.campaign_events).values(**member, kind="redeemed", occurred_on=TODAY, reference=f"plain{who}")
    )
    return order_id


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


def readable(conn: Connection) -> dict[tuple[str, str], list[str]]:
    """(schema, relation) → columns that the present role may select, the system's own relations too."""
    rows = conn.execute(
        text(
            "SELECT n.nspname, c.relname, array_agg(a.attname ORDER BY a.attnum) FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid "
            "WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped "
            "AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE') "
            "AND has_column_privilege(c.oid, a.attnum, 'SELECT') GROUP BY 1, 2"
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


def walk(viewer: Viewer, *, catalogue: bool = False) -> dict[tuple[str, str], str]:
    """Relation → everything this viewer reads in it, as lower-case text; statistics and sessions with `catalogue`."""
    found = {}
    with begin(viewer) as conn:
        for (in_schema, name), columns in readable(conn).items():
            if in_schema == "pg_catalog" and not catalogue:
                continue
            listed: list[ColumnClause[Any]] = [column(c) for c in columns]
            of = table(name, *listed, schema=in_schema)
            rows = conn.execute(select(*(cast(c, Text) for c in of.c)))
            found[in_schema, name] = "\n".join(" | ".join(str(value) for value in row) for row in rows).lower()
    return found


def seen(found: Mapping[tuple[str, str], str], needles: tuple[str, ...]) -> list[tuple[str, str]]:
    """Where one of the needles stands; with the needle, so that a failure tells what leaks."""
    return [(".".join(name), needle) for name, read in found.items() for needle in needles if needle.lower() in read]


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
            "SELECT id FROM public.customers_containing_all('{zekret}', '{zekret}', '{}', 10)",
            "SELECT id FROM public.customers_containing_scoped('{zekret}', '{zekret}', '{}', 10)",
            "SELECT id FROM public.customers_similar_all('{zekretbo}', 10)",
            "SELECT id FROM public.customers_similar_scoped('{zekretbo}', 10)",
            "SELECT word FROM public.search_words",
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
            asked = {"n": f"%{needle}%"}
            ids = conn.execute(
                text("SELECT id FROM customers_containing_scoped(ARRAY[:n], ARRAY[:n], '{}', 10)"), asked
            )
            assert ids.scalars().all() == mine
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
            "SELECT i FROM my_customers_contacted('-infinity', '-infinity') AS i WHERE i = :theirs",
            "SELECT id FROM latest_buyers_scoped(1000) WHERE id = :theirs",
        ):
            ids = conn.execute(text(statement), {"theirs": planted["bo"].customer} if ":theirs" in statement else {})
            assert ids.scalars().all() == [], statement
    for statement in (
        "SELECT id FROM customers_containing_all('{zekret}', '{zekret}', '{}', 10)",
        "SELECT id FROM customers_similar_all('{zekretbo}', 10)",
        "SELECT word FROM search_words",
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


@dataclasses.dataclass(frozen=True)
class Rule:
    """How to call a function, and the permission it needs (None: it asks for none of its own).

    Values that are functions are applied to the planted ids. What runs as the gate keeps people apart by the viewer's
    id and not by the database's rights.
    """

    permission: Permission | None
    values: Mapping[str, Any]
    gate: bool = False

    @property
    def asks(self) -> bool:
        """Whether it is asked about a row by its id."""
        return any(callable(value) for value in self.values.values())


def _rule(permission: Permission | None, **values: Any) -> Rule:
    return Rule(permission, values)


def _gate_rule(permission: Permission | None, **values: Any) -> Rule:
    return Rule(permission, values, gate=True)


def _customer(ids: Planted) -> int:
    return ids.customer


def _session(ids: Planted) -> int:
    return ids.session


def _task(ids: Planted) -> int:
    return ids.task


def _bulk(ids: Planted) -> Chosen:
    return Chosen(ids=(ids.customer,))


RULES: dict[str, Rule] = {
    "addresses.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, values={"kind": "home", "street": "x"}),
    "addresses.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, address_id=lambda ids: ids.address),
    "addresses.places": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "addresses.save": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, address_id=lambda ids: ids.address, version=1, values={"city": "x"}
    ),
    "attachments.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, name="x.txt", content=b"x"),
    "attachments.content": _rule(P.PERSONAL_READ, customer_id=_customer, attachment_id=lambda ids: ids.file),
    "attachments.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, attachment_id=lambda ids: ids.file),
    "attachments.files": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "bulk_actions.preview": _rule(P.CUSTOMERS_EDIT, today=TODAY, chosen=_bulk, action=Action("archive")),
    "bulk_actions.run": _rule(P.CUSTOMERS_EDIT, today=TODAY, chosen=_bulk, action=Action("archive")),
    "campaigns.get": _rule(P.CAMPAIGNS_READ, campaign_id=1, today=TODAY),
    "campaigns.league": _rule(P.CAMPAIGNS_READ, today=TODAY),
    "campaigns.names": _rule(P.CAMPAIGNS_READ),
    "campaigns.products": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "campaigns.redemptions_by_day": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "campaigns.waiting_since": _rule(P.CAMPAIGNS_READ),
    "changes.start": Rule(P.CUSTOMERS_EDIT, {"command": "t", "permission": P.CUSTOMERS_EDIT, "source": "screen"}),
    "consents.current": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "consents.history": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "consents.record": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, channel="sms", state="given", how="x"),
    "contacts.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, values={"name": "x", "main": True}),
    "contacts.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, contact_id=lambda ids: ids.contact),
    "contacts.people": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "contacts.save": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, contact_id=lambda ids: ids.contact, version=1, values={"name": "x"}
    ),
    "custom_fields.add": _rule(P.FIELDS_EDIT, values={"name": "x", "type": "text"}),
    "custom_fields.archive": _rule(P.FIELDS_EDIT, field_id=1),
    "custom_fields.countable": _rule(P.CUSTOMERS_READ),
    "custom_fields.every": _rule(P.CUSTOMERS_READ),
    "custom_fields.in_use": _rule(P.CUSTOMERS_READ),
    "custom_fields.reorder": _rule(P.FIELDS_EDIT, field_ids=[]),
    "custom_fields.save": _rule(P.FIELDS_EDIT, field_id=1, version=1, values={"name": "x"}),
    "customer.add": _rule(P.CUSTOMERS_EDIT, values={"name": "x"}),
    "customer.add_note": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, body="x"),
    "customer.archive": _rule(P.CUSTOMERS_EDIT, customer_id=_customer),
    "customer.assign": _rule(P.CUSTOMERS_ASSIGN, customer_ids=lambda ids: [ids.customer], owner_id=1),
    "customer.assignees": _rule(P.CUSTOMERS_ASSIGN),
    "customer.campaigns": _rule(P.CAMPAIGNS_READ, customer_id=_customer),
    "customer.delete_note": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, note_id=lambda ids: ids.note),
    "customer.get": _rule(P.CUSTOMERS_READ, customer_id=_customer, today=TODAY),
    "customer.monthly": _rule(P.CUSTOMERS_READ, customer_id=_customer, currency="USD"),
    "customer.notes": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "customer.order_lines": _rule(P.CUSTOMERS_READ, customer_id=_customer, order_id=lambda ids: ids.order),
    "customer.purchases": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "customer.save": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, version=3, values={"name": "x"}),
    "customer.top_categories": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "customers.export": _rule(P.CUSTOMERS_EXPORT, today=TODAY, filters=Filters()),
    "customers.owners": _rule(P.USERS_READ),
    "customers.page": _rule(P.CUSTOMERS_READ, today=TODAY),
    "customers.regions": _rule(P.CUSTOMERS_READ),
    "customers.sources": _rule(P.CUSTOMERS_READ),
    "customers.teams": _rule(P.USERS_READ),
    "customers.matching": _rule(P.CUSTOMERS_READ, today=TODAY, filters=Filters()),
    "customers.search": _rule(P.CUSTOMERS_READ, today=TODAY, words=lambda ids: str(ids.customer)),
    "drafts.discard": _rule(P.CUSTOMERS_EDIT, form=lambda ids: f"customer:{ids.customer}"),
    "drafts.discard_old": _rule(P.METRICS_REFRESH),
    "drafts.get": _rule(P.CUSTOMERS_EDIT, form=lambda ids: f"customer:{ids.customer}"),
    "drafts.keep": _rule(P.CUSTOMERS_EDIT, form=lambda ids: f"customer:{ids.customer}", values={"name": "x"}),
    "duplicates.find": _rule(P.CUSTOMERS_EDIT, phone="138 0000 1111", email="zekretbo@example.com", name="张bo"),
    "exports.check": _rule(P.CUSTOMERS_EXPORT, kind="customers", params={}, today=TODAY),
    "exports.rows": _rule(P.CUSTOMERS_EXPORT, kind="customers", params={}, today=TODAY),
    "full_text.find": _rule(P.PERSONAL_READ, words="zekret"),
    "funnel.people": _rule(P.CAMPAIGNS_READ, campaign_id=1, step="received"),
    "funnel.steps": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "history.details": _rule(P.CHANGES_READ, change_set_id=lambda ids: ids.saved),
    "history.of_customer": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "history.sets": _rule(P.CHANGES_READ),
    "interactions.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, interaction_id=lambda ids: ids.call),
    "interactions.log": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, kind="call", body="x"),
    "interests.interests": _rule(P.CUSTOMERS_READ, customer_id=_customer, currency="USD"),
    "offers.make": _gate_rule(P.CUSTOMERS_EXPORT, kind="customers", params={}),
    "offers.take": _gate_rule(None, token="zekrettoken"),
    "overview.overview": _rule(P.OVERVIEW_READ, today=TODAY, currency="USD"),
    "overview.span": _rule(P.OVERVIEW_READ),
    "passwords.change": _gate_rule(P.ACCOUNT_EDIT, session_id=_session, old="x", new="Correct horse 9"),
    "passwords.create_link": _gate_rule(P.USERS_MANAGE, user_id=2),
    "passwords.unlock": _gate_rule(P.USERS_MANAGE, user_id=2),
    "customer_columns.beside": _rule(P.CUSTOMERS_READ, customer_ids=lambda ids: [ids.customer]),
    "preferences.choose": _rule(P.VIEWS_EDIT, key="customers.columns", value=["tags"]),
    "preferences.get": _rule(P.VIEWS_EDIT, key="customers.columns"),
    "saved_views.add": _rule(P.VIEWS_EDIT, name="x", params={}),
    "saved_views.archive": _rule(P.VIEWS_EDIT, view_id=lambda ids: ids.view),
    "saved_views.get": _rule(P.VIEWS_EDIT, view_id=lambda ids: ids.view),
    "saved_views.listed": _rule(P.VIEWS_EDIT),
    "saved_views.save": _rule(P.VIEWS_EDIT, view_id=lambda ids: ids.view, version=1, values={"name": "x"}),
    "saved_segments.archive": _rule(P.SEGMENTS_EDIT, segment_id=1),
    "saved_segments.get": _rule(P.SEGMENTS_READ, segment_id=1),
    "saved_segments.history": _rule(P.SEGMENTS_READ, segment_id=1),
    "saved_segments.save": _rule(P.SEGMENTS_EDIT, name="x", rule='{"all": []}'),
    "saved_segments.saved": _rule(P.SEGMENTS_READ),
    "search.find": _rule(P.CUSTOMERS_READ, words=lambda ids: str(ids.customer)),
    "segments.choices": _rule(P.SEGMENTS_READ, fields=("region",)),
    "segments.count": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY),
    "segments.counts": _rule(P.SEGMENTS_READ, rules=('{"all": []}',), today=TODAY),
    "segments.explore": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY),
    "segments.export": _rule(P.CUSTOMERS_EXPORT, rule='{"all": []}', today=TODAY),
    "segments.names": _rule(P.SEGMENTS_READ, rule='{"all": []}'),
    "segments.preview": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY),
    "segments.products": _rule(P.SEGMENTS_READ, words="a"),
    "sessions.end": _gate_rule(P.ACCOUNT_EDIT, session_id=_session),
    "sessions.end_all": _gate_rule(P.ACCOUNT_EDIT),
    "sessions.mine": _gate_rule(P.ACCOUNT_EDIT),
    "sessions.set_language": _gate_rule(P.ACCOUNT_EDIT, language="en"),
    "tags.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, tag="x"),
    "tags.in_use": _rule(P.CUSTOMERS_READ),
    "tags.of_customer": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "tags.remove": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, tag_id=lambda ids: ids.tag),
    "tasks.add": _rule(P.TASKS_EDIT, customer_id=_customer, title="x"),
    "tasks.assignees": _rule(P.TASKS_READ, customer_id=_customer),
    "tasks.delete": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task),
    "tasks.finish": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task),
    "tasks.mine": _rule(P.TASKS_READ, today=TODAY),
    "tasks.of_customer": _rule(P.TASKS_READ, customer_id=_customer, today=TODAY),
    "tasks.postpone": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task, due_on=date(2026, 12, 1)),
    "tasks.reopen": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task),
    "tasks.save": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task, version=1, values={"title": "x"}),
    "tasks.team": _rule(P.TASKS_READ, today=TODAY),
    "today.quiet": _rule(P.TASKS_READ, today=TODAY, zone="UTC"),
    "today.recent": _rule(P.TASKS_READ),
    "undo_since.preview": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, change_set_id=lambda ids: ids.saved),
    "undo_since.undo_since": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, change_set_id=lambda ids: ids.saved, source="screen"
    ),
    "undo_since.undo_these": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, change_set_ids=lambda ids: [ids.saved], source="screen"
    ),
    "undo.undo": _rule(P.CHANGES_UNDO, change_set_id=lambda ids: ids.saved, source="screen"),
    "timeline.timeline": _rule(P.CUSTOMERS_READ, customer_id=_customer, zone="UTC"),
    "users.add": _rule(P.USERS_MANAGE, username="new", role=Role.SALES),
    "users.change": _rule(P.USERS_MANAGE, user_id=2, role=Role.SALES),
    "users.everyone": _rule(P.USERS_MANAGE),
    "users.get": _rule(P.USERS_MANAGE, username="bo"),
    "users.named": _rule(P.USERS_READ, username="bo"),
    "users.owned": _rule(P.USERS_MANAGE, user_id=2),
    "users.set_active": _rule(P.USERS_MANAGE, user_id=2, active=False),
    "users.teams": _rule(P.USERS_MANAGE),
    "visibility.candidates": _rule(P.USERS_MANAGE, today=TODAY, words=lambda ids: str(ids.customer)),
    "visibility.of_customer": _rule(P.USERS_MANAGE, customer_id=_customer),
}

ABSENT = Planted(*[10**9] * len(dataclasses.fields(Planted)))


@cache
def entry_points() -> dict[str, Callable[..., Any]]:
    """Module.function → every public function of db/ that acts for somebody."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.walk_packages(db.__path__, "db."):
        if module.name.startswith(("db.migrations", "db.__main__")):
            continue
        loaded = importlib.import_module(module.name)
        for name, f in inspect.getmembers(loaded, inspect.isfunction):
            acts = {"viewer", "actor"} & inspect.signature(f).parameters.keys()
            if acts and f.__module__ == module.name and not name.startswith("_"):
                found[f"{module.name.removeprefix('db.')}.{name}"] = f
    return found


NOT_QUERIES = {
    "connection.begin",  # makes the transaction that all this is about
    "connection.widen",  # changes it, for commands that have checked
    "custom_filters.resolved",  # a part of queries that have asked for the permission
    "customers.piece",  # a part of queries that have asked for the permission
    "demo.write",  # only the worker may insert a batch; its own tests load it
}


def test_every_function_that_acts_for_somebody_has_a_rule() -> None:
    assert sorted(set(entry_points()) - NOT_QUERIES) == sorted(RULES)


def called(conn: Connection, name: str, viewer: Viewer, ids: Planted) -> str:
    """What the viewer is given or told, as text without the ids that were asked for."""
    rule, f = RULES[name], entry_points()[name]
    values = {k: v(ids) if callable(v) else v for k, v in rule.values.items()}
    as_whom = "viewer" if "viewer" in inspect.signature(f).parameters else "actor"
    undone = conn.begin_nested()
    try:
        with connection.translated():
            said = _said(f(conn, **{as_whom: viewer}, **values))
    except KehuError as error:
        said = f"{type(error).__name__}: {error.message} {error.details} {getattr(error, 'rows', '')}"
    undone.rollback()
    asked = "|".join(str(n) for n in set(dataclasses.astuple(ids)))
    return re.sub(rf"\b({asked})\b", "#", said) if rule.asks else said


def _said(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return value.to_json(orient="records", date_format="iso", default_handler=str, force_ascii=False)
    if isinstance(value, tuple | list):
        return str([_said(v) for v in value])
    if isinstance(value, Iterator):
        return _said(list(value))
    if dataclasses.is_dataclass(value):
        return str({f.name: _said(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return str(value)


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
            for name in ("customers", "notes", "orders", "daily_sales"):
                assert make.count(conn, name) == 0
            # A view that one keeps is no customer's.
            assert set(conn.scalars(select(schema.changes.c.table_name))) <= {"saved_views"}
    with pytest.raises(NotFound), begin(Viewer(people.ann.user_id, "ann", Role.SALES)) as conn:
        customer.get(conn, viewer=people.ann, customer_id=planted["ann"].customer, today=TODAY)
