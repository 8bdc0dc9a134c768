"""One customer: the form, alone and beside others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from components import wording
from db import connection, customer, schema
from db.embedded import Server
from db.permissions import Role, Viewer
from tests import make
from tests.pages.customer_page import CHOOSE, PHONE, RECORD, added, edit, field, opened, saved, stored
from tests.pages.visits import (
    HOSTILE,
    SIGN_IN,
    TOO_LONG,
    body,
    click,
    count,
    database,
    drawn,
    markup_of,
    revoke,
    said,
    sign_in,
    sound,
    words,
)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Every test makes its own customers; `buyer` has orders and a campaign."""
    with database(server, template) as made:
        yield made


def test_a_saved_change_can_be_taken_back_from_the_bar(people: make.People) -> None:
    customer_id = added(people.ann, phone=PHONE)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), phone="139 0013 9000", city=" Xi'an ")
    assert "Saved: City, Phone." in body(app)
    assert not drawn(app, "customer_form_save")
    assert (stored(customer_id)["phone"], stored(customer_id)["city"]) == ("+86 139 0013 9000", "Xi'an")
    assert count(*RECORD) == (before[0] + 1, before[1] + 1, *before[2:])
    sound(click(app, "kehu_undo_button"))
    assert (stored(customer_id)["phone"], stored(customer_id)["city"]) == (PHONE, "")
    assert PHONE in body(app)
    sound(click(app, "kehu_undo_button"))  # the undo of the undo
    assert stored(customer_id)["city"] == "Xi'an"
    sound(click(app, "kehu_undo_hide"))
    assert not drawn(app, "kehu_undo_button")


def test_a_refused_save_says_why_at_the_field_and_keeps_what_was_typed(people: make.People) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), name="  ", phone="12", email="nobody", city="Rome", address="x" * 501)
    assert "Some fields need another look." in body(app)
    texts = [e for e in app.main if e.type in ("markdown", "text_input")]
    drawn_order = [e.value if e.type == "markdown" else e.label for e in texts]
    for label, sentence in {
        "Name *": "This must not be empty.",
        "Phone": "This is not a phone number.",
        "E-mail": "This is not an e-mail address.",
    }.items():
        assert sentence in drawn_order[drawn_order.index(label) + 1].replace("\\", "")
    assert "501 characters are too many; at most 500." in said(app)
    assert [field(app, c).value for c in ("phone", "email", "city")] == ["12", "nobody", "Rome"]
    assert count(*RECORD) == before
    app = edit(app, name="Found", phone="", email="", address="")
    assert "Saved: City, Name." in body(app)
    assert stored(customer_id)["city"] == "Rome"


def test_cancel_forgets_what_was_typed(people: make.People) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), name="")
    click(app, "customer_form_cancel")
    assert not drawn(app, "customer_form_save")
    click(app, "customer_edit")
    assert field(sound(app), "name").value == "Start"
    assert "This must not be empty." not in body(app)
    assert count(*RECORD) == before


def test_a_save_without_a_change_says_so(people: make.People) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id), name=" Start ")
    assert "Nothing had changed, so nothing was saved." in body(app)
    assert count(*RECORD) == before
    assert "Saved: Name." in body(edit(app, name="Second"))


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_whatever_is_typed_into_the_form(people: make.People, typed: str) -> None:
    customer_id = added(people.ann)
    before = count(*RECORD)
    app = edit(opened(people.ann, customer_id, customer_tab="history"), **dict.fromkeys(customer.FIELDS, typed))
    assert "This is not a phone number." in said(app)
    assert "This is not an e-mail address." in said(app)
    assert field(app, "company").value == typed
    assert count(*RECORD) == before
    edit(app, phone="", email="", region=typed)
    free = [column for column in customer.FIELDS if column not in ("phone", "email")]
    assert {stored(customer_id)[column] for column in free} == {HOSTILE[typed]}
    assert count(*RECORD) == (before[0] + 1, before[1] + 1, *before[2:])
    assert f"Company: – → {HOSTILE[typed]}" in [text.value for text in app.main.text]
    assert markup_of(app, HOSTILE[typed]) == []


def test_too_long_texts_are_refused_not_cut(people: make.People) -> None:
    before = count(*RECORD)
    app = edit(opened(people.ann, added(people.ann)), **dict.fromkeys(customer.FIELDS, TOO_LONG))
    for most in customer.LIMITS.values():
        assert f"10,001 characters are too many; at most {most}." in said(app)
    assert count(*RECORD)[0] == before[0] + 1, "only the new customer"


# --- beside others ---------------------------------------------------------------------------------------------------


def test_saves_of_different_fields_are_merged_and_it_is_said(people: make.People) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    saved(people.mia, customer_id, company="Acme")
    edit(app, city="Rome")
    assert "Saved: City. Meanwhile somebody else changed Company; both are kept." in body(app)
    assert (stored(customer_id)["company"], stored(customer_id)["city"]) == ("Acme", "Rome")


def test_saves_of_one_field_show_both_sides_to_choose_from(people: make.People) -> None:
    customer_id = added(people.ann, company="First")
    app = click(opened(people.ann, customer_id), "customer_edit")
    theirs = "Theirs :red[x]"
    saved(people.mia, customer_id, company=theirs, city="Oslo")
    before = count(*RECORD)
    edit(app, company="Mine", city="Rome", region="North")
    assert CHOOSE in body(app)
    assert count(*RECORD) == before
    assert not drawn(app, "customer_form_save")
    sides = {radio.label: radio.options for radio in app.radio}
    assert sides == {
        "City": ["Mine: Rome", "Theirs: Oslo"],
        "Company": ["Mine: Mine", f"Theirs: {wording.plain(theirs)}"],
    }
    assert markup_of(app, theirs) == []
    app.radio(key="customer_form_clash_city").set_value("theirs")
    sound(click(app, "customer_form_clash_done"))
    assert [field(app, c).value for c in ("company", "city", "region")] == ["Mine", "Oslo", "North"]
    edit(app)
    assert "Saved: Company, Region." in body(app)
    row = stored(customer_id)
    assert (row["company"], row["city"], row["region"]) == ("Mine", "Oslo", "North")


def test_a_second_clash_after_the_choice(people: make.People) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    for turn in ("one", "two"):
        saved(people.mia, customer_id, company=turn)
        edit(app, company="Mine")
        assert CHOOSE in body(app)
        assert [radio.options for radio in app.radio] == [["Mine: Mine", f"Theirs: {turn}"]]
        sound(click(app, "customer_form_clash_done"))
    assert "Saved: Company." in body(edit(app))
    assert stored(customer_id)["company"] == "Mine"


def test_a_form_of_a_customer_who_was_handed_away_saves_nothing(people: make.People) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    with connection.begin(people.mia, write=True) as conn:
        customer.assign(conn, actor=people.mia, customer_ids=[customer_id], owner_id=people.bo.user_id)
    before = count(*RECORD)
    field(app, "name").set_value("Mine")
    sound(click(app, "customer_form_save"))
    assert f"There is no customer {customer_id} that you may see." in body(app)
    assert count(*RECORD) == before


def test_a_form_of_somebody_who_lost_the_right_saves_nothing(people: make.People) -> None:
    customer_id = added(people.bo)
    app = click(opened(people.bo, customer_id), "customer_edit")
    before = count(*RECORD)
    with role(people.bo, Role.ANALYST):
        field(app, "name").set_value("Mine")
        sound(click(app, "customer_form_save"))
        assert "Start" not in body(app)
        assert not drawn(app, "customer_form_save")
        assert not drawn(app, "customer_edit")
    assert count(*RECORD) == before


class role:
    """Another role for a user, for a while."""

    def __init__(self, viewer: Viewer, other: Role) -> None:
        self.viewer, self.other = viewer, other

    def __enter__(self) -> None:
        self._give(self.other)

    def __exit__(self, *error: object) -> None:
        self._give(self.viewer.role)

    def _give(self, value: Role) -> None:
        with connection.begin_owner() as conn:
            conn.execute(update(schema.users).where(schema.users.c.id == self.viewer.user_id).values(role=value.value))


@pytest.mark.parametrize("who", ["ann", "mia"])
def test_gone_session_shows_the_sign_in_and_saves_nothing(people: make.People, who: str) -> None:
    customer_id = added(people.ann)
    app = click(opened(people.ann, customer_id), "customer_edit")
    revoke(app)
    before = count(*RECORD)
    field(app, "name").set_value("Too late")
    sound(click(app, "customer_form_save"))
    assert SIGN_IN in body(app)
    assert not drawn(app, "customer_form_save")
    assert "Too late" not in words(app)
    assert len(app.sidebar) == 0
    assert count(*RECORD) == before
    sound(sign_in(app, getattr(people, who)))
    if who == "ann":
        assert field(app, "name").value == "Too late"
        assert "Saved: Name." in body(edit(app))
    else:
        assert not drawn(app, "customer_form_save")
        assert "Too late" not in words(app)
