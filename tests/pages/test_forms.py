"""The forms of a customer: added fields, checks as one leaves a field, drafts, and a word about duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select
from streamlit.testing.v1 import AppTest

from db import connection, custom_fields, customer, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import (
    body,
    click,
    database,
    drawn,
    markup_of,
    revoke,
    said,
    signed_in,
    sound,
    where,
    words,
)

PHONE = "+86 138 0013 8000"
HTML = "<b>Gold</b> :red[x]"
SAVE, CONTINUE, DISCARD = "customer_form_save", "customer_form_draft_continue", "customer_form_draft_discard"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Fields of every type; a phone that a customer of Ann's and one of Cho's have."""
    with database(server, template) as made:
        with begin(made.root, write=True) as conn:
            for key, values in {
                "size": {"type": "number", "help": "in *metres*"},
                "since": {"type": "date"},
                "tier": {"type": "choice", "choices": ["Silver", HTML]},
                "likes": {"type": "choices", "choices": ["tea", "coffee"]},
                "vip": {"type": "flag"},
                "note": {"type": "text", "name": "Note :red[y]", "name_zh": "附注"},
                "idcard": {"type": "text", "personal": True, "name": "ID card"},
            }.items():
                custom_fields.add(conn, actor=made.root, values={"key": key, "name": key.title()} | values)
        yield made


def added(viewer: Viewer, **values: Any) -> int:
    with begin(viewer, write=True) as conn:
        given = {"name": "Start"} | {key.replace("custom_", "custom."): value for key, value in values.items()}
        customer_id, _set = customer.add(conn, actor=viewer, values=given)
    return customer_id


def saved(viewer: Viewer, customer_id: int, **values: Any) -> None:
    given = {key.replace("custom_", "custom."): value for key, value in values.items()}
    with begin(viewer, write=True) as conn:
        version = conn.scalar(select(schema.customers.c.version).where(schema.customers.c.id == customer_id))
        customer.save(conn, actor=viewer, customer_id=customer_id, version=version or 0, values=given)


def stored(customer_id: int) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        query = select(schema.customers).where(schema.customers.c.id == customer_id)
        row = dict(conn.execute(query).mappings().one())
    return row | row["custom"] | row["custom_personal"]


def kept() -> list[tuple[int, str, dict[str, Any]]]:
    d = schema.drafts.c
    with connection.begin_owner() as conn:
        return [tuple(row) for row in conn.execute(select(d.user_id, d.form, d["values"]).order_by(d.user_id, d.form))]


@pytest.fixture(autouse=True)
def _no_drafts() -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.drafts))


def opened(viewer: Viewer, customer_id: int, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customer", id=str(customer_id), **params))


def editing(viewer: Viewer, customer_id: int, **params: str) -> AppTest:
    return sound(click(opened(viewer, customer_id, **params), "customer_edit"))


def field(app: AppTest, column: str) -> Any:
    widgets = [*app.text_input, *app.text_area, *app.selectbox, *app.multiselect, *app.button_group]
    [found] = [w for w in widgets if w.key and w.key.startswith(f"customer_form_field_{column}_")]
    return found


def fill(app: AppTest, **typed: Any) -> AppTest:
    """Type into fields and leave the last one."""
    for column, value in typed.items():
        field(app, column).set_value(value)
    return sound(app.run())


# --- added fields ----------------------------------------------------------------------------------------------------


def test_added_fields_are_filled_in_saved_shown_and_taken_back(people: make.People) -> None:
    customer_id = added(people.ann)
    app = fill(
        editing(people.ann, customer_id, customer_tab="details"),
        custom_size="1,234.50",
        custom_since="2026-02-03",
        custom_tier=HTML,
        custom_likes=["coffee", "tea"],
        custom_vip=False,
        custom_note="مرحبا <script>",
        custom_idcard="110105",
    )
    app = sound(click(app, SAVE))
    assert "Size" in said(app)
    row = stored(customer_id)
    assert row["custom"] == {
        "size": "1234.5",
        "since": "2026-02-03",
        "tier": HTML,
        "likes": ["tea", "coffee"],
        "vip": False,
        "note": "مرحبا <script>",
    }
    assert row["custom_personal"] == {"idcard": "110105"}
    texts = [text.value for text in app.main.text]
    for told in ("1,234.5", HTML, "tea, coffee", "no", "مرحبا <script>", "110105"):
        assert told in texts
    assert "Note :red[y]" in said(app)
    for hostile in (HTML, "Note :red[y]"):
        assert markup_of(app, hostile) == []
    sound(click(app, "kehu_undo_button"))
    assert stored(customer_id)["custom"] == {}


def test_what_stands_there_is_in_the_form_and_untouched_fields_are_left_alone(people: make.People) -> None:
    own = {"custom_size": "2.5", "custom_since": "1850-01-01", "custom_likes": ["tea"], "custom_vip": True}
    customer_id = added(people.ann, **own, custom_tier=HTML, custom_note="two\nlines")
    app = editing(people.ann, customer_id)
    assert (field(app, "custom_size").value, field(app, "custom_note").value) == ("2.5", "two\nlines")
    assert str(field(app, "custom_since").value) == "1850-01-01"
    assert (field(app, "custom_tier").value, field(app, "custom_likes").value) == (HTML, ["tea"])
    app = sound(click(fill(app, city="Rome", custom_vip=None), SAVE))
    assert "Saved: City, Vip." in said(app)
    assert stored(customer_id)["custom"].keys() == {"size", "since", "likes", "tier", "note"}


def test_masked_roles_see_that_a_personal_field_is_hidden(people: make.People) -> None:
    customer_id = added(people.ann, custom_idcard="110105", custom_size="7")
    app = opened(people.ana, customer_id, customer_tab="details")
    assert "110105" not in words(app)
    texts = [text.value for text in app.main.text]
    assert (texts[-7], texts[-1]) == ("7", "hidden from your role")


def test_history_calls_fields_by_their_name_in_the_readers_language(people: make.People) -> None:
    customer_id = added(people.ann, custom_note="one")
    saved(people.ann, customer_id, custom_note=None, custom_vip=True)
    app = opened(people.ann, customer_id, customer_tab="history")
    assert [text.value for text in app.main.text] == ["Note :red[y]: one → –", "Vip: – → yes"]
    app = opened(people.ann, customer_id, customer_tab="history", language="zh_CN")
    assert [text.value for text in app.main.text] == ["附注：one → –", "Vip：– → 是"]
    assert "附注" in body(sound(click(app, "customer_edit")))


def test_two_editors_of_one_added_field_choose_and_of_two_are_merged(people: make.People) -> None:
    customer_id = added(people.ann, custom_size="1")
    app = editing(people.ann, customer_id)
    saved(people.mia, customer_id, custom_size="2", custom_tier=HTML)
    app = sound(click(fill(app, custom_size="3", custom_note="mine"), SAVE))
    assert {radio.label: radio.options for radio in app.radio} == {"Size": ["Mine: 3", "Theirs: 2"]}
    app.radio(key="customer_form_clash_custom.size").set_value("theirs")
    app = sound(click(app, "customer_form_clash_done"))
    assert field(app, "custom_size").value == "2"
    assert "Saved: Note :red[y]." in said(sound(click(app, SAVE)))
    assert stored(customer_id)["custom"] == {"size": "2", "tier": HTML, "note": "mine"}


# --- checks ----------------------------------------------------------------------------------------------------------


def test_what_is_wrong_is_said_as_one_leaves_the_field(people: make.People) -> None:
    app = fill(editing(people.ann, added(people.ann)), phone="12", email="nobody", custom_size="NaN", name=" ")
    told = said(app)
    for sentence in (
        "This is not a phone number.",
        "This is not an e-mail address.",
        "This is not a number. Example: 1234.5",
        "This must not be empty.",
    ):
        assert sentence in told
    assert "Some fields need another look." not in told  # nobody has tried to save
    app = fill(app, phone="", email="", custom_size="", name="Start")
    assert "This is not" not in said(app)


# --- drafts ----------------------------------------------------------------------------------------------------------


def test_what_is_typed_is_kept_offered_again_and_gone_once_it_is_saved(people: make.People) -> None:
    customer_id = added(people.ann, city="Oslo")
    fill(editing(people.ann, customer_id), city="Rome", custom_likes=["tea"], custom_since="2026-02-03")
    typed = {"city": "Rome", "custom.likes": ["tea"], "custom.since": "2026-02-03"}
    assert kept() == [(people.ann.user_id, f"customer:{customer_id}", typed)]
    app = editing(people.ann, customer_id)  # another tab, another day
    assert "You began this on 2026-11-20 15:00 and did not save it." in said(app)
    assert not drawn(app, SAVE)
    app = sound(click(app, CONTINUE))
    assert (field(app, "city").value, field(app, "custom_likes").value) == ("Rome", ["tea"])
    app = sound(click(app, SAVE))
    assert stored(customer_id)["city"] == "Rome"
    assert stored(customer_id)["custom"] == {"likes": ["tea"], "since": "2026-02-03"}
    assert kept() == []
    assert drawn(sound(click(app, "customer_edit")), SAVE)


def test_a_draft_is_merged_with_what_others_saved_meanwhile(people: make.People) -> None:
    customer_id = added(people.ann, city="Oslo", company="One")
    fill(editing(people.ann, customer_id), city="Rome")
    saved(people.mia, customer_id, company="Two")
    app = sound(click(sound(click(editing(people.ann, customer_id), CONTINUE)), SAVE))
    assert "Meanwhile somebody else changed Company; both are kept." in said(app)
    fill(editing(people.ann, customer_id), city="Bern")
    saved(people.mia, customer_id, city="Lima")
    app = sound(click(sound(click(editing(people.ann, customer_id), CONTINUE)), SAVE))
    assert [radio.options for radio in app.radio] == [["Mine: Bern", "Theirs: Lima"]]


def test_a_draft_can_be_thrown_away_and_cancel_does_too(people: make.People) -> None:
    customer_id = added(people.ann, city="Oslo")
    fill(editing(people.ann, customer_id), city="Rome")
    app = sound(click(editing(people.ann, customer_id), DISCARD))
    assert field(app, "city").value == "Oslo"
    assert kept() == []
    fill(app, city="Rome")
    assert len(kept()) == 1
    fill(app, city="Oslo")  # as it was: nothing to keep
    assert kept() == []
    fill(app, city="Rome")
    sound(click(app, "customer_form_cancel"))
    assert kept() == []


def test_a_draft_outlives_the_session_and_is_nobody_elses(people: make.People) -> None:
    customer_id = added(people.ann)
    app = fill(editing(people.ann, customer_id), city="Zekret")
    revoke(app)
    app.run()
    other = editing(people.mia, customer_id)
    assert drawn(other, SAVE)
    assert "Zekret" not in words(other)
    app = sound(click(editing(people.ann, customer_id), CONTINUE))
    assert field(app, "city").value == "Zekret"


def test_a_draft_that_does_not_fit_any_more_breaks_nothing(people: make.People) -> None:
    customer_id = added(people.ann)
    typed = {"custom.since": "no day", "custom.tier": "Gone", "custom.likes": "x", "custom.vip": "?", "gone": [1]}
    with connection.begin_owner() as conn:
        row = {"user_id": people.ann.user_id, "form": f"customer:{customer_id}", "version": 1}
        made = schema.drafts.insert().values(**row, values=json.loads(json.dumps(typed)), updated_at="2026-11-20")
        conn.execute(made)
    app = sound(click(editing(people.ann, customer_id), CONTINUE))
    assert field(app, "custom_tier").value == "Gone"
    assert "“Gone” is not in the list." in said(app)
    assert (field(app, "custom_likes").value, field(app, "custom_since").value) == ([], "no day")


def test_the_form_of_a_new_customer_is_kept_too(people: make.People) -> None:
    def new(app: AppTest, *buttons: str, **typed: str) -> AppTest:
        for column, value in typed.items():
            app.text_input(key=f"customers_new_{column}").set_value(value)
        app.button(key="customers_add").click()  # AppTest forgets an open dialog in the next run
        for key in buttons:
            app.button(key=key).click()
        return sound(app.run())

    app = new(new(sound(signed_in(people.bo, "customers"))), name="张三", custom_size="5")
    assert kept() == [(people.bo.user_id, "customer:new", {"name": "张三", "custom.size": "5"})]
    app = new(sound(signed_in(people.bo, "customers")))
    assert "You began this on" in words(app)
    app = new(app, "customers_new_draft_continue")
    assert app.text_input(key="customers_new_name").value == "张三"
    app = new(app, "customers_new_save")
    assert where(app) == "customer"
    row = stored(int(app.query_params["id"]))
    assert (row["name"], row["custom"]) == ("张三", {"size": "5"})
    assert kept() == []


# --- duplicates ------------------------------------------------------------------------------------------------------


def test_who_has_the_same_phone_is_said_before_saving(people: make.People) -> None:
    mine = added(people.ann, name="Mine <b>", phone=PHONE)
    added(people.cho, name="Zekret", phone=PHONE, company="Zekret")
    customer_id = added(people.ann, phone="139 0013 9000")
    app = fill(editing(people.ann, customer_id), phone="13800138000")
    told = said(app)
    assert "2 customers have this phone." in told
    assert f"(/customer?id={mine})" in told
    assert "Out of your sight: owned by Cho." in told
    assert "Zekret" not in words(app)
    assert markup_of(app, "Mine <b>") == []
    assert app.button(key=SAVE).label == "Save all the same"
    sound(click(app, SAVE))
    assert stored(customer_id)["phone"] == PHONE
    app = fill(editing(people.ann, customer_id), city="Rome")  # what stands there already is not asked about
    assert "have this phone" not in said(app)
    assert app.button(key=SAVE).label == "Save customer"
