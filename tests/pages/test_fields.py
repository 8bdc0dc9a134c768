"""The administrator's fields: added, changed, moved, archived; refused in words, undone from the bar."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from db import custom_fields
from db.connection import begin
from db.custom_values import Field
from db.embedded import Server
from tests import make
from tests.pages.visits import (
    HOSTILE,
    REFUSAL,
    body,
    click,
    database,
    drawn,
    markup_of,
    pick,
    said,
    signed_in,
    sound,
    words,
)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        yield made


def fields(people: make.People) -> dict[str, Field]:
    with begin(people.root) as conn:
        return {f.key: f for f in custom_fields.every(conn, viewer=people.root)}


def made(people: make.People, key: str, **values: object) -> Field:
    with begin(people.root, write=True) as conn:
        given = {"key": key, "name": key.title(), "type": "text"} | values
        custom_fields.add(conn, actor=people.root, values=given)
    return fields(people)[key]


def opened(people: make.People, key: str = "") -> AppTest:
    app = sound(signed_in(people.root, "fields"))
    if key:
        sound(pick(app, "fields_list", list(fields(people)).index(key)))
    return app


def new(app: AppTest, *, save: bool = True, **typed: str) -> AppTest:
    """AppTest forgets an open dialog in the next run: press both buttons."""
    if not drawn(app, "fields_new_name"):
        click(app, "fields_add")
    kind = typed.pop("type", "")
    if kind:
        app.selectbox(key="fields_new_type").set_value(kind)
        app.button(key="fields_add").click()
        sound(app.run())
    for name, value in typed.items():
        area = app.text_area if name == "choices" else app.text_input
        area(key=f"fields_new_{name}").set_value(value)
    app.button(key="fields_add").click()
    if save:
        app.button(key="fields_new_save").click()
    return sound(app.run())


@pytest.mark.parametrize("who", ["ann", "mia", "ana", "mark"])
def test_nobody_else_opens_the_screen(people: make.People, who: str) -> None:
    app = sound(signed_in(getattr(people, who), "fields"))
    assert REFUSAL in body(app)
    assert not drawn(app, "fields_add")


def test_a_field_is_added_and_taken_back(people: make.People) -> None:
    app = new(opened(people), name="会员等级", name_zh="会员等级", type="choice", choices="金卡\n\n 银卡 \n金卡")
    found = fields(people)["huiyuandengji"]
    assert (found.name, found.type, found.choices) == ("会员等级", "choice", ("金卡", "银卡"))
    assert "Field added." in said(app)
    assert "1 of at most 100 fields in use" in said(app)
    sound(click(app, "kehu_undo_button"))
    assert "huiyuandengji" not in fields(people)


def test_a_refused_field_says_why_at_what_is_wrong(people: make.People) -> None:
    made(people, "taken")
    app = new(opened(people), name="", key="taken")
    told = words(app).replace("\\", "")
    assert "This must not be empty." in told
    app = new(app, name="Other", key="taken")
    assert "The key taken was given already. A key is never used twice." in words(app).replace("\\", "")


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_whatever_is_typed(people: make.People, typed: str) -> None:
    key = f"h{abs(hash(typed))}"[:30]
    app = new(opened(people), name=f"N {typed}", key=key, type="choice", choices=f"C {typed}\nother", help=typed)
    assert drawn(opened(people, key), f"fields_edit_{fields(people)[key].id}_1_save")
    assert markup_of(app, HOSTILE[typed]) == []
    assert markup_of(opened(people, key), HOSTILE[typed]) == []
    assert fields(people)[key].choices[0] == f"C {HOSTILE[typed]}".replace("  ", " ")


def test_a_field_is_changed_and_a_stale_card_is_told(people: make.People) -> None:
    field = made(people, "plan", type="choices", choices=["a", "b"])
    app = opened(people, "plan")
    edit = f"fields_edit_{field.id}_{field.version}"
    app.text_area(key=f"{edit}_choices").set_value("")
    sound(click(app, f"{edit}_save"))
    assert "A list needs at least one choice." in said(app)
    app.text_area(key=f"{edit}_choices").set_value("b\nc")
    app.checkbox(key=f"{edit}_required").check()
    sound(click(app, f"{edit}_save"))
    now = fields(people)["plan"]
    assert (now.choices, now.required, now.version) == (("b", "c"), True, 2)
    sound(click(app, "kehu_undo_button"))
    assert fields(people)["plan"].choices == ("a", "b")


def test_fields_are_moved_archived_and_put_back(people: make.People) -> None:
    first, last = made(people, "first"), made(people, "last")
    app = opened(people, "last")
    app.selectbox(key=f"fields_place_{last.id}_{last.version}").set_value(0)
    sound(click(app, f"fields_move_{last.id}"))
    keys = list(fields(people))
    assert keys[0] == "last"
    assert keys.index("first") > 0
    sound(click(opened(people, "first"), f"fields_archive_{first.id}"))
    assert fields(people)["first"].archived
    sound(click(opened(people, "first"), f"fields_restore_{first.id}"))
    assert not fields(people)["first"].archived
