"""Customers for the tests of segments: sixty of them in a database, and what is asked of all of them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, update

from db import clock, connection, derived, schema, segments, tags
from db.connection import begin
from db.embedded import Server
from db.permissions import NOBODY, WORKER, Viewer
from tests import conftest, make
from tests.db.segment_rules import CATEGORIES, REGIONS, TAGS, Order, Person, World

TODAY = date(2026, 3, 31)
ZONE = "America/New_York"
EVERYONE = '{"all":[]}'
BIG = '{"all":[{"field":"revenue","op":">","value":20}]}'
WINDOWS = {1: (date(2026, 1, 10), date(2026, 1, 31)), 2: (date(2026, 3, 1), date(2026, 3, 20))}
SAID = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
# Kept segments by number; the third names the first.
KEPT: dict[int, dict[str, Any]] = {
    901: {"all": [{"field": "orders", "op": ">=", "value": 2}]},
    902: {"any": [{"field": "region", "op": "in", "value": ["North"]}, {"field": "orders", "op": "=", "value": 0}]},
    903: {
        "none": [{"field": "segment", "op": "in", "value": [901]}, {"field": "region", "op": "in", "value": ["East"]}]
    },
}
PROMOTED = {1: {1}, 2: {2, 3}}


@dataclass(frozen=True)
class Data:
    people: make.People
    world: World
    ids: list[int]


def made_up(people: make.People) -> list[Person]:
    """Sixty customers of three owners and nobody, a few without orders, a few archived; the same every time."""
    rng = random.Random(5)
    owners = [people.ann.user_id, people.bo.user_id, people.cho.user_id, NOBODY]
    found = []
    for n in range(60):
        person = Person(rng.choice(owners), rng.choice(["", *REGIONS]), rng.choice(["", "19-24", "25-34"]), n % 12 == 7)
        person.phone = "138 0013 8000" if n % 3 else ""
        # At any hour: between midnight in London and midnight in New York the days differ.
        person.created_at = datetime(2025, 12, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(120 * 24))
        for _order in range(rng.choice([0, 0, 1, 2, 3, 6])):
            day = date(2025, 12, 1) + timedelta(days=rng.randrange(120))
            lines = [(n, CATEGORIES[n - 1]) for n in rng.sample([1, 2, 3], rng.choice([1, 2]))]
            amount = Decimal(rng.choice(["5", "10", "10.01", "20"]))
            person.orders.append(Order(day, amount, lines, foreign=rng.random() < 0.15))
        for campaign, (starts, _ends) in WINDOWS.items():
            if rng.random() < 0.5:
                redemptions = rng.choice([0, 0, 1, 2])
                person.campaigns[campaign] = (starts, redemptions, starts + timedelta(days=3) if redemptions else None)
        _around(person, random.Random(n))
        others = [campaign for campaign in WINDOWS if campaign not in person.campaigns and (n + campaign) % 3 == 0]
        person.held_out = {campaign: WINDOWS[campaign][0] for campaign in others}
        found.append(person)
    return found


def _around(person: Person, rng: random.Random) -> None:
    """What people keep around a customer: for most of them something, for many nothing."""
    person.tags = {tag for tag in TAGS if rng.random() < 0.3}
    for _talk in range(rng.choice([0, 0, 1, 2, 4])):
        day = date(2025, 12, 1) + timedelta(days=rng.randrange(121))
        person.talks.append((rng.choice(["call", "mail", "meeting", "message"]), day))
    for _note in range(rng.choice([0, 0, 0, 1, 3])):
        person.notes.append(datetime(2025, 12, 1, 5, tzinfo=UTC) + timedelta(hours=rng.randrange(120 * 24)))
    for _task in range(rng.choice([0, 0, 1, 3])):
        due = rng.choice([None, TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=3)])
        person.tasks.append((due, rng.random() < 0.3))
    for _said in range(rng.choice([0, 1, 3])):
        person.consents.append((rng.choice(["mail", "phone"]), rng.choice(["given", "refused", "withdrawn"])))


def _fill_around(conn: Connection, one: int, author: int, person: Person) -> None:
    whose = {"assignee_id": author, "author_id": author}
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    rows: dict[Any, list[dict[str, Any]]] = {
        schema.customer_tags: [{**tags.row(one, tag), **stamps} for tag in sorted(person.tags)],
        schema.interactions: [
            {"kind": kind, "happened_at": clock.now(), "happened_on": day, "author_id": author, **stamps}
            for kind, day in person.talks
        ],
        schema.notes: [{"author_id": author, "created_at": at, "updated_at": at} for at in person.notes],
        schema.tasks: [
            {
                "due_on": due,
                "done_at": clock.now() if done else None,
                **whose,
                **stamps,
            }
            for due, done in person.tasks
        ],
        # Some at one moment: then the order of writing tells.
        schema.consents: [
            {"channel": channel, "state": state, "happened_at": SAID[n // 2], "author_id": author, **stamps}
            for n, (channel, state) in enumerate(person.consents)
        ],
    }
    for table, made in rows.items():
        for row in made:
            conn.execute(insert(table).values(**{**row, "customer_id": one}))


def _fill(conn: Connection, persons: list[Person], author: int) -> list[int]:
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **stamps))
    for n, (starts, ends) in WINDOWS.items():
        values = {"id": n, "name": f"C{n}", "starts_on": starts, "ends_on": ends}
        conn.execute(insert(schema.campaigns).values(**values, **stamps))
    for n, category in enumerate(CATEGORIES, 1):
        conn.execute(insert(schema.products).values(id=n, sku=f"s{n}", name=f"p{n}", category=category))
    pairs = [{"campaign_id": c, "product_id": p} for c, listed in PROMOTED.items() for p in listed]
    conn.execute(insert(schema.campaign_products), pairs)
    for n, rule in KEPT.items():
        row = {"id": n, "name": f"Kept {n}", "rule": rule, "owner_id": author, "visibility": "shared"}
        conn.execute(insert(schema.segments).values(**row, **stamps))
    ids = []
    for n, person in enumerate(persons):
        archived = clock.now() if person.archived else None
        values = {"region": person.region, "age_band": person.age, "archived_at": archived}
        one = make.customer(conn, person.owner, name=f"P{n:02}", phone=person.phone, **values)
        c = schema.customers
        conn.execute(update(c).where(c.c.id == one).values(created_at=person.created_at))
        ids.append(one)
        for order in person.orders:
            currency = "EUR" if order.foreign else "USD"
            order_id = make.order(conn, one, order.day, str(order.amount), currency=currency)
            for product, _category in order.lines:
                line = {"customer_id": one, "order_id": order_id, "product_id": product, "quantity": 1, "amount": 1}
                conn.execute(insert(schema.order_items).values(**line))
        _fill_around(conn, one, author, person)
        for campaign, (received, redemptions, first) in person.campaigns.items():
            member = {"customer_id": one, "campaign_id": campaign, "received_on": received}
            conn.execute(
                insert(schema.campaign_members).values(**member, redemptions=redemptions, first_redeemed_on=first)
            )
        for campaign, day in person.held_out.items():
            out = {"customer_id": one, "campaign_id": campaign, "held_on": day}
            conn.execute(insert(schema.campaign_held_out).values(**out))
    return ids


@contextmanager
def filled(server: Server, template: str) -> Iterator[Data]:
    """A database with these customers; DATABASE_URL names it inside the block."""
    name = f"segments_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        persons = made_up(people)
        with connection.begin_owner() as conn:
            ids = _fill(conn, persons, people.root.user_id)
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield Data(people, World(persons, WINDOWS, PROMOTED, TODAY, ZONE, KEPT), ids)


def counted(viewer: Viewer, rule: str) -> int:
    with begin(viewer) as conn:
        return segments.count(conn, viewer=viewer, rule=rule, today=TODAY)


def seen(data: Data, viewer: Viewer) -> list[Person]:
    return [p for p in data.world.people if not p.archived and (not viewer.scoped or p.owner in viewer.owner_ids)]


def _one(field: str, op: str, value: Any = None) -> str:
    leaf = {"field": field, "op": op} | ({} if value is None else {"value": value})
    return json.dumps({"all": [leaf]})
