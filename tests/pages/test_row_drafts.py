"""What is typed into the dialogs of contacts and addresses: kept, offered again, merged, thrown away, and one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select
from streamlit.testing.v1 import AppTest

from db import addresses, connection, contacts, customer, drafts, schema
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import HOSTILE, click, database, drawn, markup_of, revoke, signed_in, sound, words

SAVE, CONTINUE, DISCARD = "customer_row_save", "customer_row_draft_continue", "customer_row_draft_discard"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        yield made


@pytest.fixture
def mine(people: make.People) -> int:
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.drafts))
    return int(do(customer.add, people.ann, values={"name": "一家公司"})[0])


def do(command: Any, actor: Viewer, **values: Any) -> Any:
    with connection.begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def opened(viewer: Viewer, customer_id: int, button: str) -> AppTest:
    return sound(click(sound(signed_in(viewer, "customer", id=str(customer_id), customer_tab="details")), button))


def field(app: AppTest, name: str) -> Any:
    found = [*app.text_input, *app.text_area, *app.checkbox, *app.selectbox]
    [widget] = [w for w in found if str(w.key).startswith(f"customer_row_{name}_")]
    return widget


def typing(app: AppTest, **typed: str | bool) -> AppTest:
    for name, value in typed.items():
        field(app, name).set_value(value)
    return sound(app.run())


def kept() -> list[tuple[int, str, dict[str, Any]]]:
    d = schema.drafts.c
    with connection.begin_owner() as conn:
        return [tuple(row) for row in conn.execute(select(d.user_id, d.form, d["values"]).order_by(d.form))]


def stored(table: str, customer_id: int) -> list[dict[str, Any]]:
    t = schema.metadata.tables[table]
    with connection.begin_owner() as conn:
        return [dict(row) for row in conn.execute(select(t).where(t.c.customer_id == customer_id)).mappings()]


def test_a_new_contact_survives_the_session_and_its_draft_goes_with_the_save(people: make.People, mine: int) -> None:
    app = typing(opened(people.ann, mine, "customer_contact_add"), name="李 *四*", note="likes tea")
    assert kept() == [(people.ann.user_id, f"new_contact:{mine}", {"name": "李 *四*", "note": "likes tea"})]
    assert "Kept as a draft; only you can see it." in words(app)
    revoke(app)
    app.run()
    assert not drawn(opened(people.mia, mine, "customer_contact_add"), CONTINUE)
    assert not drawn(opened(people.ann, mine, "customer_address_add"), CONTINUE)
    app = opened(people.ann, mine, "customer_contact_add")
    assert "and did not save it." in words(app)
    assert not drawn(app, SAVE)
    app = sound(click(app, CONTINUE))
    assert (field(app, "name").value, field(app, "note").value) == ("李 *四*", "likes tea")
    assert field(app, "main").value is True, "what a new one begins with"
    assert markup_of(app, "李 *四*") == []
    sound(click(app, SAVE))
    assert [(row["name"], row["note"], row["main"]) for row in stored("contacts", mine)] == [
        ("李 *四*", "likes tea", True)
    ]
    assert kept() == []
    assert not drawn(opened(people.ann, mine, "customer_contact_add"), CONTINUE)


def test_a_draft_of_an_address_is_dropped_or_typed_away(people: make.People, mine: int) -> None:
    place = {"kind": "home", "street": "1 Main St", "city": "Oslo"}
    address_id, _set = do(addresses.add, people.ann, customer_id=mine, values=place)
    edit, form = f"customer_address_edit_{address_id}", f"address:{address_id}"
    typing(opened(people.ann, mine, edit), kind="office", city="Rome", main=True)
    assert kept() == [(people.ann.user_id, form, {"kind": "office", "city": "Rome", "main": True})]
    app = sound(click(opened(people.ann, mine, edit), CONTINUE))
    assert [field(app, name).value for name in ("kind", "city", "main")] == ["office", "Rome", True]
    app = sound(click(opened(people.ann, mine, edit), DISCARD))
    assert [field(app, name).value for name in ("kind", "city", "main")] == ["home", "Oslo", False]
    assert kept() == []
    typing(app, city="Rome")
    assert [values for _who, _form, values in kept()] == [{"city": "Rome"}]
    typing(app, city="Oslo")  # as it was: nothing to keep
    assert kept() == []


def test_a_draft_is_merged_with_what_others_saved_or_shows_both(people: make.People, mine: int) -> None:
    contact_id, _set = do(contacts.add, people.ann, customer_id=mine, values={"name": "Old", "job_title": "Old"})
    edit, theirs = f"customer_contact_edit_{contact_id}", {"customer_id": mine, "contact_id": contact_id}
    typing(opened(people.ann, mine, edit), name="Mine")
    do(contacts.save, people.mia, **theirs, version=1, values={"job_title": "Theirs"})
    app = sound(click(sound(click(opened(people.ann, mine, edit), CONTINUE)), SAVE))
    assert "Meanwhile somebody else changed Job title; both are kept." in words(app)
    [row] = stored("contacts", mine)
    assert (row["name"], row["job_title"]) == ("Mine", "Theirs")
    typing(opened(people.ann, mine, edit), name="Again mine")
    do(contacts.save, people.mia, **theirs, version=row["version"], values={"name": "Hers"})
    app = sound(click(sound(click(opened(people.ann, mine, edit), CONTINUE)), SAVE))
    assert [radio.options for radio in app.radio] == [["Mine: Again mine", "Theirs: Hers"]]
    app = sound(click(app, "customer_row_clash_done"))
    assert field(app, "name").value == "Again mine"
    sound(click(app, SAVE))
    assert [row["name"] for row in stored("contacts", mine)] == ["Again mine"]
    assert kept() == []


def test_a_refused_save_keeps_the_draft(people: make.People, mine: int) -> None:
    app = opened(people.ann, mine, "customer_contact_add")
    for name, value in {"name": "x", "email": "nobody"}.items():
        field(app, name).set_value(value)
    app = sound(click(app, SAVE))
    assert "This is not an e-mail address." in words(app).replace("\\", "")
    assert [values for _who, _form, values in kept()] == [{"name": "x", "email": "nobody"}]


def test_a_draft_that_fits_no_more_breaks_nothing(people: make.People, mine: int) -> None:
    typed = {"kind": "gone", "street": None, "city": [1], "main": "yes", "other": {"a": 1}, "recipient": "Li"}
    do(drafts.keep, people.ann, form=f"new_address:{mine}", values=typed, version=9)
    app = sound(click(opened(people.ann, mine, "customer_address_add"), CONTINUE))
    assert [field(app, name).value for name in ("street", "city", "recipient")] == ["", "", "Li"]
    assert field(app, "main").value is False
    sound(click(typing(app, street="1 Main St"), SAVE))
    assert [(row["street"], row["recipient"]) for row in stored("addresses", mine)] == [("1 Main St", "Li")]


@pytest.mark.parametrize("typed", HOSTILE, ids=lambda t: t[:12])
def test_any_text_comes_back_as_text(people: make.People, mine: int, typed: str) -> None:
    typing(opened(people.ann, mine, "customer_contact_add"), name=typed)
    app = sound(click(opened(people.ann, mine, "customer_contact_add"), CONTINUE))
    assert markup_of(app, typed) == []
    sound(click(app, SAVE))
    assert [row["name"] for row in stored("contacts", mine)] == [HOSTILE[typed]]
