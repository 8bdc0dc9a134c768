"""Planted values, by whom they are, and the walk through everything that a role may read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from typing import Any

import bcrypt
from sqlalchemy import ColumnClause, Connection, Text, cast, column, insert, select, table, text, update

from db import (
    addresses,
    attachments,
    boards,
    changes,
    clock,
    connection,
    consents,
    contacts,
    custom_fields,
    customer,
    derived,
    drafts,
    interactions,
    past_classes,
    saved_views,
    schema,
    tags,
    tasks,
)
from db.connection import begin
from db.permissions import WORKER, Permission, Viewer
from db.undo import undo
from tests import make

TODAY = date(2026, 11, 20)
WHO = ("ann", "bo", "cho", "nobody")
P = Permission

HASH = bcrypt.hashpw(b"-", bcrypt.gensalt(4)).decode()


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
    board: int
    card: int
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
        _plant_segment(conn, people, [one.customer for one in found.values()])
        conn.execute(insert(schema.sign_in_attempts).values(name_hash="zekretname", updated_at=clock.now()))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        past_classes.rebuild(conn, TODAY)
    with connection.begin_owner() as conn:
        # Each has ordered on one day: an interval for each owner stands in for those that nobody has.
        added_up = "INSERT INTO interval_sums SELECT DISTINCT owner_id, 7, 1, timestamptz '2026-1-1' FROM customers"
        conn.execute(text(added_up))
        waited = (
            "INSERT INTO wait_sums SELECT DISTINCT owner_id, date '2026-1-1', 1, true, 7, 1, date '2026-1-1', "
            "timestamptz '2026-1-1' FROM customers"
        )
        conn.execute(text(waited))
        conn.execute(text("ANALYZE"))
    return found


def _plant_segment(conn: Connection, people: make.People, customer_ids: list[int]) -> None:
    """A segment that everybody sees, with all of them in it."""
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    of = {"segment_id": 9_000_001}
    shared = {"name": "Planted", "rule": {"all": []}, "owner_id": people.root.user_id, "visibility": "shared"}
    conn.execute(insert(schema.segments).values(id=9_000_001, **shared, **stamps))
    state = {"version": 1, "kept_at": clock.now(), "began_at": clock.now(), "personal": False}
    conn.execute(insert(schema.segment_states).values(**of, **state))
    for one in customer_ids:
        conn.execute(insert(schema.segment_members).values(customer_id=one, since=clock.now(), **of))
        moved = {"joined": True, "at": clock.now(), "cause": "data"}
        conn.execute(insert(schema.segment_moves).values(customer_id=one, **of, **moved))


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
        card_id, board_id = _plant_board(conn, actor, who)
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
    around = (note_id, call_id, task_id, contact_id, address_id, file_id, tag_id, view_id, board_id, card_id)
    return Planted(customer_id, *around, order_id, saved.change_set_id, removed, session_id or 0)


def _plant_board(conn: Connection, actor: Viewer, who: str) -> tuple[int, int]:
    shown: dict[str, Any] = {"chart": "cohorts", "params": {"cohorts_segment": f"plain{who}"}, "title": f"Plain{who}"}
    card_id, board_id, _set = boards.keep(conn, actor=actor, board_name=f"Plain{who}", **shown)
    return card_id, board_id


def _plant_facts(conn: Connection, who: str, customer_id: int) -> int:
    key = {"customer_id": customer_id}
    conn.execute(insert(schema.customer_keys).values(kind="household", value=f"90001{WHO.index(who)}", **key))
    product_id = conn.scalar(
        insert(schema.products).values(sku=f"sku{who}", category="goods").returning(schema.products.c.id)
    )
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
    conn.execute(insert(schema.campaign_held_out).values(**member, held_on=TODAY))
    conn.execute(
        insert(schema.campaign_events).values(**member, kind="redeemed", occurred_on=TODAY, reference=f"plain{who}")
    )
    return order_id


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
