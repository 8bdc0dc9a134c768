"""The tags of the customer list's filter: all of them are asked for only while the filters are open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert
from streamlit.testing.v1 import AppTest

from db import clock, connection, saved_views, schema, tags
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import click, database, signed_in, sound

TAGS = "customers_tags_en"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A and B, both VIP, B also late; Cho's E."""
    with database(server, template) as made:
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            a = make.customer(conn, made.ann.user_id, name="A")
            b = make.customer(conn, made.ann.user_id, name="B")
            e = make.customer(conn, made.cho.user_id, name="E")
            for customer_id, word in ((a, "VIP"), (b, "vip"), (b, "late"), (e, "secret")):
                conn.execute(insert(schema.customer_tags).values(**tags.row(customer_id, word), **stamps))
        yield made


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is sent to the database, nothing coming from the cache."""
    monkeypatch.setenv("KEHU_NO_CACHE", "1")
    sent: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def asked(sent: list[str], name: str) -> int:
    return sum(name in statement for statement in sent)


def chips(app: AppTest) -> list[str]:
    return [b.label for b in app.button if (b.key or "").startswith("customers_chip_")]


def unfold(app: AppTest, *, opened: bool = True) -> AppTest:
    app.session_state["customers_filters"] = opened
    return sound(app.run())


@pytest.mark.parametrize("who", ["ann", "mia", "root", "mark"])
def test_a_list_asks_for_no_tags_until_its_filters_are_open(
    people: make.People, statements: list[str], who: str
) -> None:
    viewer: Viewer = getattr(people, who)
    app = sound(signed_in(viewer, "customers"))
    assert asked(statements, "tags_in_use") == asked(statements, "tags_standing") == 0
    assert app.multiselect(key=TAGS).options == []
    unfold(app)
    assert asked(statements, "tags_in_use") == 1
    with begin(viewer) as conn:
        offered = tags.offered(conn, viewer=viewer)
    assert app.multiselect(key=TAGS).options == list(offered.values())
    assert "secret" in offered or viewer.scoped
    statements.clear()
    unfold(app, opened=False)
    assert asked(statements, "tags_in_use") == 0


def test_a_tag_of_the_address_is_looked_up_alone(people: make.People, statements: list[str]) -> None:
    app = sound(signed_in(people.ann, "customers", customers_tags="vip,secret,nowhere"))
    assert asked(statements, "tags_in_use") == 0
    assert asked(statements, "tags_standing_scoped") == 1
    assert [label.replace("\\", "") for label in chips(app)] == ["Tag: VIP"]
    assert dict(app.query_params) == {"customers_tags": "vip"}


def test_open_filters_stay_open_while_one_chooses_and_keep_the_choice_when_closed(people: make.People) -> None:
    app = unfold(sound(signed_in(people.ann, "customers")))
    app.multiselect(key=TAGS).set_value(["vip"])
    app = sound(app.run())
    assert app.session_state["customers_filters"] is True, "its name says another number, it is not folded for that"
    assert app.multiselect(key=TAGS).options == ["late", "VIP"]
    app.multiselect(key=TAGS).set_value(["vip", "late"])
    app = unfold(sound(app.run()), opened=False)
    assert app.multiselect(key=TAGS).value == ["vip", "late"]
    assert dict(app.query_params) == {"customers_tags": "vip,late"}
    assert len(chips(app)) == 2
    click(app, "customers_chip_0")
    assert dict(sound(app).query_params) == {"customers_tags": "late"}
    assert app.multiselect(key=TAGS).options == ["late"]


def test_a_view_with_a_tag_is_opened_while_the_filters_are_folded(people: make.People, statements: list[str]) -> None:
    with begin(people.ann, write=True) as conn:
        params = {"tags": "late,gone"}
        made = saved_views.add(conn, actor=people.ann, name="Late ones", params=params, visibility="private")
    app = sound(signed_in(people.ann, "customers", customers_view=str(made[0])))
    assert [label.replace("\\", "") for label in chips(app)] == ["Tag: late"]
    assert asked(statements, "tags_in_use") == 0
    statements.clear()
    plain = sound(signed_in(people.ann, "customers"))
    click(plain, f"customers_view_open_{made[0]}")
    assert [label.replace("\\", "") for label in chips(sound(plain))] == ["Tag: late"]
    assert asked(statements, "tags_in_use") == 0
