"""One customer: undo in the history, hand-over, archive, notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.customer_page import PHONE, RECORD, added, opened, saved, stored
from tests.pages.visits import (
    HOSTILE,
    TOO_LONG,
    body,
    click,
    count,
    database,
    drawn,
    go,
    grid,
    markup_of,
    signed_in,
    sound,
    where,
)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Every test makes its own customers; `buyer` has orders and a campaign."""
    with database(server, template) as made:
        yield made


# --- undo in the history ---------------------------------------------------------------------------------------------


def test_history_tells_every_value_and_takes_back(people: make.People) -> None:
    customer_id = added(people.ann)
    first = saved(people.mia, customer_id, phone="138 0013 8000", city="Rome")
    second = saved(people.ann, customer_id, company="Acme")
    app = opened(people.ann, customer_id, customer_tab="history")
    lines = [text.value for text in app.main.text]
    assert lines == ["Company: – → Acme", f"Phone: – → {PHONE}", "City: – → Rome"]
    assert f"Mia · 2026-11-20 15:00 · on the screen · #{first.change_set_id}" in body(app)
    sound(click(app, f"customer_undo_{first.change_set_id}"))
    assert (stored(customer_id)["phone"], stored(customer_id)["company"]) == ("", "Acme")
    assert f"Change {first.change_set_id} is undone." in body(app)
    assert not drawn(app, f"customer_undo_{first.change_set_id}")
    assert drawn(app, f"customer_undo_{second.change_set_id}")
    assert "**Undo of: Customer edited**" in body(app)
    assert "undone" in [caption.value for caption in app.main.caption]
    sound(click(app, "kehu_undo_button"))  # the undo of the undo
    assert stored(customer_id)["phone"] == PHONE


def test_what_was_changed_since_stands_in_the_way_and_is_shown(people: make.People) -> None:
    customer_id = added(people.ann, company="One")
    early = saved(people.ann, customer_id, company="Two", city="Rome")
    saved(people.mia, customer_id, company="Three")
    app = opened(people.ann, customer_id, customer_tab="history")
    before = count(*RECORD)
    sound(click(app, f"customer_undo_{early.change_set_id}"))
    assert "Nothing was undone" in body(app)
    assert next(text.value for text in app.main.text) == "Company: Two → Three"
    assert count(*RECORD) == before
    assert stored(customer_id)["city"] == "Rome"
    sound(click(app, "kehu_stuck_rest"))
    assert (stored(customer_id)["company"], stored(customer_id)["city"]) == ("Three", "")
    assert "1 value stays as it is." in body(app)
    assert not drawn(app, "kehu_stuck_rest")
    sound(click(app, "kehu_undo_button"))  # of what was taken back alone
    assert (stored(customer_id)["company"], stored(customer_id)["city"]) == ("Three", "Rome")


def test_what_stands_in_the_way_may_be_left_as_it_is_or_be_all_there_is(people: make.People) -> None:
    customer_id = added(people.ann, company="One")
    early = saved(people.ann, customer_id, company="Two")
    saved(people.mia, customer_id, company="Three")
    before = count(*RECORD)
    app = opened(people.ann, customer_id, customer_tab="history")
    sound(click(app, f"customer_undo_{early.change_set_id}"))
    assert not drawn(app, "kehu_stuck_rest"), "there is no rest"
    sound(click(app, "kehu_stuck_keep"))
    assert "Nothing was undone" not in body(app)
    sound(click(app, f"customer_undo_{early.change_set_id}"))
    app.switch_page("../pages/personal/account.py").run()
    assert "Nothing was undone" not in body(sound(app)), "it is of another screen"
    assert count(*RECORD) == before


def test_undone_elsewhere_meanwhile(people: make.People) -> None:
    customer_id = added(people.ann)
    early = saved(people.ann, customer_id, city="Rome").change_set_id
    one, other = (opened(people.ann, customer_id, customer_tab="history") for _ in range(2))
    click(one, f"customer_undo_{early}")
    sound(click(other, f"customer_undo_{early}"))
    assert stored(customer_id)["city"] == ""
    assert "undone" in [caption.value for caption in other.main.caption]


# --- hand-over -------------------------------------------------------------------------------------------------------


def hand_over(app: AppTest, to: Viewer) -> AppTest:
    app.selectbox(key="customer_new_owner").set_value(to.user_id)
    assert not app.run().button(key="customer_assign").disabled
    return sound(click(app, "customer_assign"))


def listed(app: AppTest) -> list[str]:
    return list(grid(app, "customers_list")["name"]) if app.dataframe else []


def test_a_hand_over_leaves_the_list_and_the_giver_can_take_it_back(people: make.People) -> None:
    customer_id = added(people.bo, name="Handed over")
    app = opened(people.bo, customer_id)
    assert app.selectbox(key="customer_new_owner").options == ["Ann", "Cho", "Max", "Mia"]
    assert app.button(key="customer_assign").disabled
    hand_over(app, people.cho)
    assert where(app) == "customers"
    assert "Handed over to Cho." in body(app)
    assert "Handed over" not in listed(app)
    assert "Handed over" in listed(signed_in(people.cho, "customers"))
    gone = go(signed_in(people.bo, "customers"), "customer", id=str(customer_id))
    assert f"There is no customer {customer_id} that you may see." in body(gone)
    sound(click(app, "kehu_undo_button"))
    assert "Handed over" in listed(app)
    assert stored(customer_id)["owner_id"] == people.bo.user_id


def test_history_names_the_owners(people: make.People) -> None:
    customer_id = added(people.bo)
    hand_over(opened(people.bo, customer_id), people.ann)
    for viewer in (people.ann, people.mia, people.root, people.ana):
        app = opened(viewer, customer_id, customer_tab="history")
        assert "Owner: Bo → Ann" in [text.value for text in app.main.text]


def test_a_hand_over_within_the_team_stays_in_the_managers_sight(people: make.People) -> None:
    customer_id = added(people.bo)
    app = hand_over(opened(people.mia, customer_id), people.ann)
    assert where(app) == "customers"
    assert stored(customer_id)["owner_id"] == people.ann.user_id
    go(app, "customer", id=str(customer_id))
    assert "Owner: Ann" in body(sound(app))


# --- archive ---------------------------------------------------------------------------------------------------------


def test_archive_and_back(people: make.People) -> None:
    customer_id = added(people.bo, name="To the archive")
    app = sound(click(opened(people.bo, customer_id), "customer_archive"))
    assert "Archived." in body(app)
    assert ":red-badge[Archived]" in body(app)
    assert "To the archive" not in listed(signed_in(people.bo, "customers"))
    sound(click(app, "customer_restore"))
    assert stored(customer_id)["archived_at"] is None
    assert "Put back on the lists." in body(app)
    assert "To the archive" in listed(signed_in(people.bo, "customers"))
    sound(click(app, "kehu_undo_button"))
    assert stored(customer_id)["archived_at"] is not None
    go(app, "customer", id=str(customer_id), customer_tab="history")
    assert "Archived: no → yes" in [text.value for text in app.main.text]


# --- notes -----------------------------------------------------------------------------------------------------------


def write_note(app: AppTest, text: str) -> AppTest:
    note_field(app).set_value(text)
    return sound(click(app, "customer_note_add"))


def note_field(app: AppTest) -> Any:
    [found] = [area for area in app.text_area if area.key.startswith("customer_note_body")]
    return found


def test_a_note_is_added_deleted_and_brought_back(people: make.People) -> None:
    app = opened(people.ann, added(people.ann), customer_tab="notes")
    assert "No notes yet." in body(app)
    before = count(*RECORD)
    write_note(app, " Calls back\r\non Monday. ")
    assert [text.value for text in app.main.text] == ["Calls back\non Monday."]
    assert "Ann · 2026-11-20 15:00" in body(app)
    assert note_field(app).value == ""
    assert count(*RECORD) == (before[0] + 1, before[1] + 1, before[2], before[3] + 1)
    [delete] = [button.key for button in app.button if button.key.startswith("customer_note_delete_")]
    sound(click(app, delete))
    assert "No notes yet." in body(app)
    sound(click(app, "kehu_undo_button"))
    assert [text.value for text in app.main.text] == ["Calls back\non Monday."]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Write something first."),
        (" \n\0\u202e ", "Write something first."),
        (TOO_LONG, "10,001 characters are too many; at most 10,000."),
    ],
    ids=["empty", "invisible", "too long"],
)
def test_a_refused_note_says_why_and_stays(people: make.People, typed: str, sentence: str) -> None:
    app = opened(people.ann, added(people.ann), customer_tab="notes")
    before = count(*RECORD)
    write_note(app, typed)
    assert sentence in body(app)
    assert note_field(app).value == typed
    assert count(*RECORD) == before


def test_whatever_is_typed_into_a_note(people: make.People) -> None:
    app = opened(people.ann, added(people.ann), customer_tab="notes")
    for typed, kept in HOSTILE.items():
        write_note(app, typed)
        assert app.main.text[0].value == kept
        assert markup_of(app, kept) == []


def test_a_note_deleted_elsewhere_meanwhile(people: make.People) -> None:
    customer_id = added(people.ann)
    one = write_note(opened(people.ann, customer_id, customer_tab="notes"), "Once")
    other = opened(people.mia, customer_id, customer_tab="notes")
    [delete] = [button.key for button in one.button if button.key.startswith("customer_note_delete_")]
    click(one, delete)
    before = count(*RECORD)
    assert "No notes yet." in body(sound(click(other, delete)))
    assert count(*RECORD) == before
