"""Contact people and addresses: kept, found by their keys, one of them main, merged or shown when two edit, undone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select

from db import addresses, around_words, changes, clock, connection, contacts, customer, customer_rows, schema
from db.connection import begin
from db.customer import Saved
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Viewer
from db.undo import KEYS, Undone
from db.undo import undo as undoing
from tests import conftest, make
from tests.pages.visits import HOSTILE

STATE = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"contacts_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture
def mine(people: make.People) -> int:
    """A customer of Ann's, of this test alone."""
    return int(do(customer.add, people.ann, values={"name": "一家公司"})[0])


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def add(actor: Viewer, customer_id: int, name: str = "张三", **values: str | bool) -> tuple[int, int]:
    found: tuple[int, int] = do(contacts.add, actor, customer_id=customer_id, values={"name": name, **values})
    return found


def save(actor: Viewer, customer_id: int, contact_id: int, version: int, **values: str | bool) -> Saved:
    found: Saved = do(
        contacts.save, actor, customer_id=customer_id, contact_id=contact_id, version=version, values=values
    )
    return found


def undo(actor: Viewer, change_set_id: int | None) -> Undone:
    assert change_set_id
    found: Undone = do(undoing, actor, change_set_id=change_set_id, source="screen")
    return found


def shown(viewer: Viewer, customer_id: int) -> list[dict[str, Any]]:
    with begin(viewer) as conn:
        return contacts.people(conn, viewer=viewer, customer_id=customer_id).to_dict("records")  # type: ignore[return-value]


def stored(table: str, customer_id: int) -> STATE:
    """The rows as they really stand, without what an undo may leave different."""
    t = schema.metadata.tables[table]
    with connection.begin_owner() as conn:
        rows = conn.execute(select(t).where(t.c.customer_id == customer_id)).mappings()
        return {row["id"]: {c: v for c, v in row.items() if c not in changes.KEPT} for row in rows}


def mains(table: str, customer_id: int) -> list[int]:
    return [row_id for row_id, row in stored(table, customer_id).items() if row["main"]]


# --- contacts --------------------------------------------------------------------------------------------------------


def test_a_contact_is_kept_in_canonical_form_with_its_keys(people: make.People, mine: int) -> None:
    assert shown(people.ann, mine) == []
    contact_id, _set = add(
        people.ann,
        mine,
        " 单雄信\u200b ",
        job_title="Head of Tea",
        phone="138-0013-8000",
        email="Xiong@EXAMPLE.com",
        wechat="xx_1",
        note="one\r\ntwo",
        main=True,
    )
    [row] = shown(people.ann, mine)
    assert row == {
        "id": contact_id,
        "version": 1,
        "name": "单雄信",
        "job_title": "Head of Tea",
        "phone": "+86 138 0013 8000",
        "email": "Xiong@example.com",
        "wechat": "xx_1",
        "note": "one\ntwo",
        "main": True,
    }
    full = stored("contacts", mine)[contact_id]
    assert {c: full[c] for c in ("name_key", "pinyin_key", "email_key", "phone_key")} == {
        "name_key": "单雄信",
        "pinyin_key": "shanxiongxin",
        "email_key": "xiong@example.com",
        "phone_key": "8613800138000",
    }


def test_undo_of_an_edit_computes_the_keys_anew(people: make.People, mine: int) -> None:
    contact_id, added = add(people.ann, mine, "张三", phone="138 0013 8000", email="zs@example.com")
    before = stored("contacts", mine)
    saved = save(people.ann, mine, contact_id, 1, name="Zoë Müller", phone="+1 202 555 0143", email="")
    after = stored("contacts", mine)
    assert (after[contact_id]["name_key"], after[contact_id]["pinyin_key"]) == ("zoe muller", "")
    assert (after[contact_id]["phone_key"], after[contact_id]["email_key"]) == ("12025550143", "")
    undone = undo(people.ann, saved.change_set_id)
    assert stored("contacts", mine) == before
    # One column undone beside another's edit: the keys say what the row is now.
    one = save(people.ann, mine, contact_id, 3, name="李四")
    save(people.ann, mine, contact_id, 4, phone="139 0013 9000")
    undo(people.ann, one.change_set_id)
    now = stored("contacts", mine)[contact_id]
    assert (now["name"], now["pinyin_key"], now["phone_key"]) == ("张三", "zhangsan", "8613900139000")
    assert undone.conflicts == []
    # Gone with its addition, once it stands as it was added.
    with pytest.raises(Conflict):
        undo(people.ann, added)


def test_every_table_with_derived_columns_can_be_undone() -> None:
    derived = {name for name, t in schema.RECORDED.items() if any(c.info.get("derived") for c in t.columns)}
    assert set(KEYS) == derived
    for name, keys in KEYS.items():
        assert set(keys({})) == {c.name for c in schema.RECORDED[name].columns if c.info.get("derived")}


def test_each_command_comes_back_as_it_was_and_undoing_the_undo_does_it_again(people: make.People, mine: int) -> None:
    first, _set = add(people.ann, mine, "First", main=True)
    second, _set = add(people.ann, mine, "Second")
    commands: dict[str, Callable[[], int | None]] = {
        "add": lambda: add(people.ann, mine, "Third")[1],
        "add as the main one": lambda: add(people.ann, mine, "Fourth", main=True)[1],
        "save": lambda: save(people.ann, mine, first, version(first), name="欧阳锋", main=True).change_set_id,
        "make main": lambda: save(people.ann, mine, second, version(second), main=True).change_set_id,
        "make main and rename": lambda: (
            save(people.ann, mine, second, version(second), main=True, name="New").change_set_id
        ),
        "make nobody main": lambda: save(people.ann, mine, first, version(first), main=False).change_set_id,
        "delete": lambda: do(contacts.delete, people.ann, customer_id=mine, contact_id=first),
    }

    def version(contact_id: int) -> int:
        return next(row["version"] for row in shown(people.ann, mine) if row["id"] == contact_id)

    for name, command in commands.items():
        before = stored("contacts", mine)
        done = command()
        after = stored("contacts", mine)
        assert before != after, name
        undone = undo(people.ann, done)
        assert stored("contacts", mine) == before, name
        again = undo(people.ann, undone.change_set_id)
        assert stored("contacts", mine) == after, name
        undo(people.ann, again.change_set_id)
        assert stored("contacts", mine) == before, name


def test_one_is_the_main_one_and_comes_first(people: make.People, mine: int) -> None:
    first, _set = add(people.ann, mine, "First", main=True)
    second, _set = add(people.ann, mine, "Second")
    assert mains("contacts", mine) == [first]
    third, _set = add(people.ann, mine, "Third", main=True)
    assert mains("contacts", mine) == [third]
    assert [row["id"] for row in shown(people.ann, mine)] == [third, first, second]
    with pytest.raises(Exception, match="contacts_one_main"), connection.begin_owner() as conn:
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        conn.execute(insert(schema.contacts).values(customer_id=mine, name="x", main=True, **stamps))


def test_a_main_contact_does_not_come_back_beside_another(people: make.People, mine: int) -> None:
    first, _set = add(people.ann, mine, "First", main=True)
    gone = do(contacts.delete, people.ann, customer_id=mine, contact_id=first)
    second, _set = add(people.ann, mine, "Second", main=True)
    with pytest.raises(Conflict) as caught:
        undo(people.ann, gone)
    assert caught.value.message == "Another one is the main one by now; choose between them first."
    save(people.ann, mine, second, 1, main=False)
    undo(people.ann, gone)
    assert mains("contacts", mine) == [first]


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"name": " \u200b "}, "name", "This must not be empty."),
        ({"phone": "12"}, "phone", "This is not a phone number. Example: 138 0013 8000 or +1 202 555 0143"),
        ({"email": "nobody"}, "email", "This is not an e-mail address. Example: name@example.com"),
        ({"note": "x" * 1_001}, "note", "1,001 characters are too many; at most 1000."),
        ({"wechat": "x" * 101}, "wechat", "101 characters are too many; at most 100."),
    ],
)
def test_what_cannot_be_kept_is_said_at_its_field(
    people: make.People, mine: int, values: dict[str, str], field: str, sentence: str
) -> None:
    contact_id, _set = add(people.ann, mine, "Start")
    before = stored("contacts", mine)
    for attempt in (
        lambda: add(people.ann, mine, **{"name": "x", **values}),
        lambda: save(people.ann, mine, contact_id, 1, **values),
    ):
        with pytest.raises(Invalid) as caught:
            attempt()
        assert caught.value.fields == {field: sentence}
        assert stored("contacts", mine) == before


def test_a_name_is_needed_and_unknown_fields_are_refused(people: make.People, mine: int) -> None:
    with pytest.raises(Invalid) as caught:
        do(contacts.add, people.ann, customer_id=mine, values={"phone": "138 0013 8000"})
    assert set(caught.value.fields) == {"name"}
    for values in ({"name": "x", "name_key": "y"}, {"name": "x", "customer_id": "1"}):
        with pytest.raises(Invalid, match="Unknown field"):
            do(contacts.add, people.ann, customer_id=mine, values=values)


@pytest.mark.parametrize(("typed", "kept"), HOSTILE.items(), ids=lambda t: t[:12])
def test_hostile_text_is_kept_as_text(people: make.People, mine: int, typed: str, kept: str) -> None:
    contact_id, _set = add(people.ann, mine, typed, job_title=typed, note=typed)
    [row] = shown(people.ann, mine)
    assert (row["name"], row["job_title"], row["note"]) == (kept, kept, kept)
    assert stored("contacts", mine)[contact_id]["name_key"]


def test_a_customer_has_so_many_contacts_at_most(people: make.People, mine: int) -> None:
    object.__setattr__(contacts.FORM, "most", 2)
    try:
        add(people.ann, mine, "1")
        add(people.ann, mine, "2")
        with pytest.raises(Invalid, match="2 are the most that a customer can have"):
            add(people.ann, mine, "3")
    finally:
        object.__setattr__(contacts.FORM, "most", around_words.MOST_CONTACTS)


# --- two editors -----------------------------------------------------------------------------------------------------


def test_two_editors_of_different_fields_are_both_kept(people: make.People, mine: int) -> None:
    contact_id, _set = add(people.ann, mine, "张三", phone="138 0013 8000")
    save(people.mia, mine, contact_id, 1, job_title="Boss")
    saved = save(people.ann, mine, contact_id, 1, name="张三丰", job_title="", phone="138 0013 8000")
    assert (saved.changed, saved.merged_with) == (["name"], ["job_title"])
    [row] = shown(people.ann, mine)
    assert (row["name"], row["job_title"], row["version"]) == ("张三丰", "Boss", 3)


def test_two_editors_of_one_field_see_both_sides(people: make.People, mine: int) -> None:
    contact_id, _set = add(people.ann, mine, "张三")
    save(people.mia, mine, contact_id, 1, name="李四")
    before = stored("contacts", mine)
    with pytest.raises(Conflict) as caught:
        save(people.ann, mine, contact_id, 1, name="王五", note="mine")
    assert caught.value.rows == [{"column": "name", "mine": "王五", "theirs": "李四"}]
    assert caught.value.details["version"] == 2
    assert stored("contacts", mine) == before
    save(people.ann, mine, contact_id, 2, name="王五", note="mine")
    assert shown(people.ann, mine)[0]["name"] == "王五"


def test_a_form_opened_before_a_deletion_that_was_undone_still_knows_what_others_did(
    people: make.People, mine: int
) -> None:
    contact_id, _set = add(people.ann, mine, "张三", job_title="old")
    save(people.ann, mine, contact_id, 1, job_title="opened")  # the form is opened at version 2
    undo(people.mia, do(contacts.delete, people.mia, customer_id=mine, contact_id=contact_id))
    saved = save(people.ann, mine, contact_id, 2, name="李四", job_title="opened")
    assert (saved.changed, saved.merged_with) == (["name"], [])


def test_a_save_of_what_is_gone_or_from_the_future_is_a_sentence(people: make.People, mine: int) -> None:
    contact_id, _set = add(people.ann, mine, "张三")
    with pytest.raises(Invalid, match="newer than what is saved"):
        save(people.ann, mine, contact_id, 9, name="x")
    assert save(people.ann, mine, contact_id, 1, name=" 张三 ") == Saved(None, [], [])
    do(contacts.delete, people.ann, customer_id=mine, contact_id=contact_id)
    for version in (1, 2):
        with pytest.raises(NotFound, match="no longer there"):
            save(people.ann, mine, contact_id, version, name="x")
    with pytest.raises(NotFound):
        do(contacts.delete, people.ann, customer_id=mine, contact_id=contact_id)


# --- others' ---------------------------------------------------------------------------------------------------------


def test_nobody_touches_or_sees_another_ones_contacts(people: make.People, mine: int) -> None:
    contact_id, added = add(people.ann, mine, "zekret")
    before = stored("contacts", mine)
    own = int(do(customer.add, people.cho, values={"name": "Cho's"})[0])
    for actor in (people.cho, people.max):
        assert shown(actor, mine) == []
        for attempt in (
            lambda actor=actor: add(actor, mine, "x"),
            lambda actor=actor: save(actor, mine, contact_id, 1, name="x"),
            lambda actor=actor: save(actor, own, contact_id, 1, name="x"),
            lambda actor=actor: do(contacts.delete, actor, customer_id=mine, contact_id=contact_id),
            lambda actor=actor: do(contacts.delete, actor, customer_id=own, contact_id=contact_id),
            lambda actor=actor: undo(actor, added),
        ):
            with pytest.raises((NotFound, Refused)):
                attempt()
    for actor in (people.ana, people.mark):
        assert {row["name"] for row in shown(actor, mine)} == {""}
        with pytest.raises(Refused):
            add(actor, mine, "x")
    assert stored("contacts", mine) == before
    assert [row["name"] for row in shown(people.mia, mine)] == ["zekret"]


def test_a_contact_goes_with_its_customer_to_another_owner(people: make.People, mine: int) -> None:
    contact_id, _set = add(people.ann, mine, "张三")
    saved = save(people.ann, mine, contact_id, 1, name="李四")
    do(customer.assign, people.ann, customer_ids=[mine], owner_id=people.cho.user_id)
    assert shown(people.ann, mine) == []
    assert [row["name"] for row in shown(people.cho, mine)] == ["李四"]
    with pytest.raises((NotFound, Refused)):
        undo(people.ann, saved.change_set_id)


# --- addresses -------------------------------------------------------------------------------------------------------


def places(viewer: Viewer, customer_id: int) -> list[dict[str, Any]]:
    with begin(viewer) as conn:
        return addresses.places(conn, viewer=viewer, customer_id=customer_id).to_dict("records")  # type: ignore[return-value]


def test_addresses_are_kept_edited_deleted_and_undone(people: make.People, mine: int) -> None:
    given = {
        "kind": "delivery",
        "recipient": "王小明",
        "phone": "138 0013 8000",
        "street": "南京西路\n1 号",
        "city": "上海",
        "region": "East",
        "postcode": "200041",
        "country": "中国",
        "main": True,
    }
    assert places(people.ann, mine) == []
    address_id, added = do(addresses.add, people.ann, customer_id=mine, values=given)
    [row] = places(people.ann, mine)
    assert row == {"id": address_id, "version": 1, **given, "phone": "+86 138 0013 8000"}
    other, _set = do(addresses.add, people.ann, customer_id=mine, values={"kind": "home", "street": "x", "main": True})
    assert mains("addresses", mine) == [other]
    before = stored("addresses", mine)
    saved = do(
        addresses.save,
        people.ann,
        customer_id=mine,
        address_id=address_id,
        version=2,
        values={"kind": "billing", "main": True},
    )
    assert mains("addresses", mine) == [address_id]
    undo(people.ann, saved.change_set_id)
    assert stored("addresses", mine) == before
    gone = do(addresses.delete, people.ann, customer_id=mine, address_id=other)
    assert [row["id"] for row in places(people.ann, mine)] == [address_id]
    undo(people.ann, gone)
    assert stored("addresses", mine) == before
    assert added


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, {"kind", "street"}),
        ({"kind": "castle", "street": "x"}, {"kind"}),
        ({"kind": "", "street": "x"}, {"kind"}),
        ({"kind": "home", "street": " "}, {"street"}),
        ({"kind": "home", "street": "x", "postcode": "1" * 21, "phone": "abc"}, {"postcode", "phone"}),
    ],
)
def test_addresses_that_cannot_be_kept(
    people: make.People, mine: int, values: dict[str, str], fields: set[str]
) -> None:
    with pytest.raises(Invalid) as caught:
        do(addresses.add, people.ann, customer_id=mine, values=values)
    assert set(caught.value.fields) == fields
    assert stored("addresses", mine) == {}


def test_masked_roles_see_the_city_alone_of_an_address(people: make.People, mine: int) -> None:
    values = {"kind": "home", "street": "zekret", "recipient": "zekret", "postcode": "zekret", "city": "Rome"}
    address_id, _set = do(addresses.add, people.ann, customer_id=mine, values=values)
    [row] = places(people.ana, mine)
    assert (row["city"], row["street"], row["recipient"], row["postcode"]) == ("Rome", "", "", "")
    assert places(people.cho, mine) == []
    with pytest.raises(NotFound):
        do(addresses.save, people.cho, customer_id=mine, address_id=address_id, version=1, values={"city": "x"})
    with pytest.raises(Refused):
        do(addresses.delete, people.mark, customer_id=mine, address_id=address_id)


def test_two_editors_of_an_address(people: make.People, mine: int) -> None:
    address_id, _set = do(addresses.add, people.ann, customer_id=mine, values={"kind": "home", "street": "old"})
    edited = {"customer_id": mine, "address_id": address_id, "version": 1}
    do(addresses.save, people.mia, **edited, values={"street": "theirs", "city": "Rome"})
    merged = do(addresses.save, people.ann, **edited, values={"street": "old", "country": "Italy"})
    assert (merged.changed, merged.merged_with) == (["country"], ["city", "street"])
    with pytest.raises(Conflict) as caught:
        do(addresses.save, people.ann, **edited, values={"street": "mine"})
    assert caught.value.rows == [{"column": "street", "mine": "mine", "theirs": "theirs"}]


def test_the_forms_hold_columns_of_their_tables() -> None:
    for form in (contacts.FORM, addresses.FORM):
        of_people = {c.name for c in form.table.columns if not c.info.get("derived")}
        assert set(form.fields) == of_people - {"customer_id", "id", "version", "created_at", "updated_at"}
    assert customer_rows.canonical_email("A@EXAMPLE.com") == "A@example.com"
