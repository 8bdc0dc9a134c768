"""What is invented around the demo's customers: the same each time, nobody's, marked, and on the screens afterwards."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, select

from db import (
    around_words,
    attachments,
    clock,
    contacts,
    demo,
    demo_around,
    demo_data,
    demo_people,
    file_types,
    schema,
    timeline,
    written,
)
from db.connection import begin
from db.customer_rows import canonical_email
from db.permissions import NOBODY, WORKER, Role, Viewer
from tests import make

TODAY = date(2026, 11, 20)
USERS = {person.username: n for n, person in enumerate(demo_people.USERS, 10)}
MANAGERS = [person for person in demo_people.USERS if person.role is Role.MANAGER]


@pytest.fixture(scope="module")
def people() -> list[dict[str, Any]]:
    found = []
    for household in range(1, 2_500):
        one = demo_people.customer(household)
        found.append(one | {"household": household, "owner": demo_people.owner(household, one["region"])})
    return found


@pytest.fixture(scope="module")
def rows(people: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return demo_around.made(people, USERS, today=TODAY)


def test_it_follows_from_the_numbers_and_the_day_alone(people: Any, rows: Any) -> None:
    assert demo_around.made(people, USERS, today=TODAY) == rows
    assert tuple(rows) == demo_around.TABLES
    counts = {table: len(found) for table, found in rows.items()}
    assert all(counts.values())
    assert sum(counts.values()) < 4_000, "the load stays quick"
    some = demo_around.made(people[:20], USERS, today=TODAY)
    for table in ("contacts", "addresses", "consents", "customer_tags"):
        assert some[table] == [row for row in rows[table] if row["household"] <= 20]


def test_whom_people_look_at_first_has_a_bit_of_everything(people: Any) -> None:
    best = [c["household"] for c in people if c["owner"]][-5:]
    rows = demo_around.made(people, USERS, today=TODAY, best=best)
    for table in ("addresses", "consents", "customer_tags", "attachments", "interactions", "notes"):
        assert set(best) <= {row["household"] for row in rows[table]}, table
    assert len({row["household"] for row in rows["notes"]}) == len(rows["notes"]), "nobody twice"


def test_nobody_can_be_reached(rows: Any) -> None:
    phones = [row["phone"].replace(" ", "") for row in rows["contacts"]]
    assert all(p.startswith(("+8612009", "+120655501")) for p in phones)
    assert all(canonical_email(row["email"]).endswith("@example.com") for row in rows["contacts"])
    assert len({row["email"] for row in rows["contacts"]}) == len(rows["contacts"])
    made_up = ("Sample", "Example", "Specimen", "样例", "示例", "范例")
    assert all(any(word in row["street"] for word in made_up) for row in rows["addresses"])
    assert {row["postcode"][:3] for row in rows["addresses"]} == {"000"}


def test_files_are_small_marked_and_what_they_say(rows: Any) -> None:
    kept = set()
    for row in rows["attachments"]:
        body = row["content"]
        assert len(body) == row["bytes"] < 1_000
        assert "演示数据，纯属虚构" in body.decode()
        assert "demo" in row["name"]
        assert file_types.media_type(row["name"], body) == row["media_type"]
        assert attachments.file_name(row["name"]) == row["name"]
        kept.add((row["household"], row["sha256"]))
    assert len(kept) == len(rows["attachments"])


def test_each_row_is_one_that_a_form_would_take(rows: Any) -> None:
    for table, limits in (("contacts", around_words.CONTACT_LIMITS), ("addresses", around_words.ADDRESS_LIMITS)):
        for row in rows[table]:
            assert all(len(row[name]) <= most for name, most in limits.items())
        mains = [row["household"] for row in rows[table] if row["main"]]
        assert len(mains) == len(set(mains)) == len({row["household"] for row in rows[table]})
    assert all(row["name"] for row in rows["contacts"])
    for row in rows["contacts"]:
        assert contacts.keys(row).items() <= row.items()
    tags = [(row["household"], row["tag_key"]) for row in rows["customer_tags"]]
    assert len(tags) == len(set(tags))


def test_nothing_has_happened_that_is_still_to_come(rows: Any) -> None:
    now = demo_around._at(TODAY, 0, 0)
    for table, column in (
        ("interactions", "happened_at"),
        ("consents", "happened_at"),
        ("notes", "created_at"),
        ("attachments", "created_at"),
    ):
        assert all(row[column] < now for row in rows[table]), table
    assert all(
        row["happened_at"].astimezone(demo_around.ZONE).date() == row["happened_on"] for row in rows["interactions"]
    )
    assert all(row["done_at"] is None or row["done_at"] < now for row in rows["tasks"])


def test_who_writes_serves_the_customer_and_managers_have_their_day(people: Any, rows: Any) -> None:
    owner = {c["household"]: USERS[c["owner"]] if c["owner"] else NOBODY for c in people}
    for table in ("attachments", "interactions", "notes", "consents"):
        assert all(row["author_id"] == owner[row["household"]] for row in rows[table]), table
    team = {person.username: person.team for person in demo_people.USERS}
    username = {number: name for name, number in USERS.items()}
    for manager in MANAGERS:
        mine = [row for row in rows["tasks"] if row["assignee_id"] == USERS[manager.username]]
        assert len(mine) == demo_around.OF_A_MANAGER == len(demo_around.MANAGERS)
        assert {team[username[owner[row["household"]]]] for row in mine} == {manager.team}
        given = [row for row in rows["tasks"] if row["author_id"] == USERS[manager.username] and row not in mine]
        assert len(given) == 1
        assert any(row["due_on"] == TODAY for row in mine)
    assert any(row["done_at"] for row in rows["tasks"])
    assert any(row["due_on"] and row["due_on"] < TODAY and not row["done_at"] for row in rows["tasks"])


def test_none_of_these_customers_is_alike(rows: Any) -> None:
    talks: dict[int, int] = {}
    for row in rows["interactions"]:
        talks[row["household"]] = talks.get(row["household"], 0) + 1
    assert set(talks.values()) == {1, 2, 3, 4}
    assert {row["state"] for row in rows["consents"]} == {"given", "refused", "withdrawn"}
    assert {row["kind"] for row in rows["interactions"]} == {"call", "mail", "meeting", "message"}


# --- loaded ----------------------------------------------------------------------------------------------------------


def test_it_stands_on_the_pages_and_in_the_searches(clone: str, owner: Connection) -> None:
    frames = demo_data.read()
    cut = {n: f[f["household_id"] <= 60] if "household_id" in f else f for n, f in frames.items()}
    found = demo_data.build(cut, today=clock.today(demo_data.ZONE))
    with begin(WORKER, write=True, timeout_ms=60_000) as conn:
        demo.write(conn, found, actor=WORKER, source="terminal")
    for table in demo_around.TABLES:
        if table != "contacts":
            assert make.count(owner, table), table
    assert make.count(owner, "attachment_contents") == make.count(owner, "attachments")
    for table in written.OF:
        t = schema.metadata.tables[table]
        for row in owner.execute(select(t)).mappings():
            assert row["search_text"] == written.keys(table)(row)["search_text"]
    a, u = schema.attachments.c, schema.users.c
    one = owner.execute(
        select(a.customer_id, a.id, a.author_id, u.username).join(schema.users, u.id == a.author_id)
    ).first()
    assert one
    viewer = Viewer(one.author_id, one.username, Role.SALES, (one.author_id,))
    with begin(viewer) as conn:
        file = attachments.content(conn, viewer=viewer, customer_id=one.customer_id, attachment_id=one.id)
        assert "演示数据" in file.content.decode()
        for part in ("talks", "notes"):
            asked: dict[str, Any] = {"customer_id": one.customer_id, "zone": demo_data.ZONE, "part": part}
            assert timeline.timeline(conn, viewer=viewer, **asked).totals[part], part
