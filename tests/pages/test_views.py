"""Views and columns of the customer list as people meet them: opened, kept, shared, gone stale; columns chosen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, insert
from streamlit.testing.v1 import AppTest

from db import clock, connection, custom_fields, derived, saved_views, schema, tags
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import HOSTILE, body, click, control, database, drawn, grid, markup_of, said, signed_in, sound

MARKUP = "![x](http://evil.example)"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A and B of the East, C of the West; two custom fields, one personal."""
    with database(server, template) as made:
        for key, kind, personal in (("card", "number", False), ("since", "date", False), ("salary", "text", True)):
            with begin(made.root, write=True) as conn:
                values = {"key": key, "name": f"Field {key}", "type": kind, "personal": personal}
                custom_fields.add(conn, actor=made.root, values=values)
        ann, now = made.ann.user_id, {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            own = {"custom": {"card": "7", "since": "2026-01-02"}, "custom_personal": {"salary": "zekret"}}
            a = make.customer(conn, ann, name="A", region="East", source="web", **own)
            make.customer(conn, ann, name="B", region="East", source="store", custom={"card": "x", "since": "x"})
            make.customer(conn, ann, name="C", region="West", source="web")
            conn.execute(insert(schema.customer_tags).values(**tags.row(a, MARKUP), **now))
            make.order(conn, a, date(2026, 11, 10), "20.00")
            derived.rebuild(conn)
        yield made


@pytest.fixture(autouse=True)
def empty(people: make.People) -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.saved_views))
        conn.execute(delete(schema.preferences))


def kept(actor: Viewer, name: str = "East", **values: Any) -> int:
    with begin(actor, write=True) as conn:
        given = {"params": {"region": "East", "sort": "revenue", "descending": "true"}, **values}
        return saved_views.add(conn, actor=actor, name=name, **given)[0]


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customers", **params))


def names(app: AppTest) -> str:
    return "".join(grid(app, "customers_list")["name"]) if app.dataframe else ""


def label(app: AppTest) -> str:
    """What the views are folded in: it stands before the filters."""
    found = (getattr(node, "proto", None) for node in app.main)
    folded = [str(proto.popover.label) for proto in found if proto is not None and _folds(proto)]
    before = next(n for n, name in enumerate(folded) if name.startswith("Filters")) - 1
    return folded[before].replace("\\", "")


def _folds(proto: Any) -> bool:
    return "popover" in [field.name for field in proto.DESCRIPTOR.fields] and bool(proto.HasField("popover"))


def columns(app: AppTest) -> list[str]:
    return list(grid(app, "customers_list").columns)


def chooser(app: AppTest) -> Any:
    [found] = [m for m in app.multiselect if (m.key or "").startswith("customers_columns_")]
    return found


def test_a_view_is_opened_changed_updated_and_left(people: make.People) -> None:
    view_id = kept(people.ann)
    app = opened(people.ann)
    assert names(app) == "ABC"
    sound(click(app, f"customers_view_open_{view_id}"))
    assert names(app) == "AB"
    assert control(app, "customers_region").value == "East"
    assert app.query_params["customers_view"] == str(view_id)
    assert app.query_params["customers_region"] == "East"
    assert "East" in label(app)
    assert "changed" not in label(app)
    assert not drawn(app, "customers_view_update")
    control(app, "customers_region").set_value("West")
    sound(app.run())
    assert (names(app), "East · changed" in label(app)) == ("C", True)
    sound(click(app, "customers_view_update"))
    assert "View updated." in body(app)
    assert "changed" not in label(app)
    sound(click(app, "kehu_undo_button"))
    assert "East · changed" in label(app)
    sound(click(app, "customers_view_leave"))
    assert (names(app), "East" in label(app)) == ("ABC", False)
    assert app.query_params == {}


def test_a_link_to_a_view_opens_it_and_one_with_filters_shows_these(people: make.People) -> None:
    view_id = str(kept(people.ann, params={"search": "B", "ordered": "before", "ordered_days": "7"}))
    app = opened(people.ann, customers_view=view_id)
    assert names(app) == "B"
    assert app.text_input(key="customers_search").value == "B"
    assert "changed" not in label(app)
    app = opened(people.ann, customers_view=view_id, customers_region="West")
    assert (names(app), "changed" in label(app)) == ("C", True)


def save_form(app: AppTest, of: str, name: str, reach: str, with_columns: bool = False) -> AppTest:
    app.text_input(key=f"customers_view_name_{of}").set_value(name)
    app.selectbox(key=f"customers_view_reach_{of}").set_value(reach)
    app.toggle(key=f"customers_view_columns_{of}").set_value(with_columns)
    [send] = [b for b in app.button if b.key and b.key.endswith(f"customers_view_send_{of}")]
    send.click()
    return app.run()


def test_a_list_is_kept_as_a_view_shared_and_deleted(people: make.People) -> None:
    app = opened(people.ann, customers_region="East")
    sound(save_form(app, "new", "", "private"))
    assert "A view needs a name." in body(app)
    sound(save_form(app, "new", "My East", "team"))
    assert "View “My East” saved." in said(app)
    assert "My East" in label(app)
    with begin(people.ann) as conn:
        [view] = saved_views.listed(conn, viewer=people.ann)
    assert (view.params, view.visibility, view.columns) == ({"region": "East"}, "team", None)
    assert drawn(opened(people.bo), f"customers_view_open_{view.id}")
    assert not drawn(opened(people.cho), f"customers_view_open_{view.id}")
    sound(save_form(app, f"{view.id}_1", "Our East", "shared", with_columns=True))
    assert "View changed." in body(app)
    assert drawn(opened(people.cho), f"customers_view_open_{view.id}")
    theirs = opened(people.cho, customers_view=str(view.id))
    assert "Our East" in label(theirs)
    assert not drawn(theirs, "customers_view_delete")
    sound(click(app, "customers_view_delete"))
    assert "View “Our East” deleted." in said(app)
    assert "is not there any more" in said(opened(people.cho, customers_view=str(view.id)))
    sound(click(app, "kehu_undo_button"))
    assert drawn(app, f"customers_view_open_{view.id}")


def test_what_a_view_asks_for_and_is_not_there_is_said(people: make.People) -> None:
    params = {"region": "Gone", "owner": "999", "tags": f"gone,{tags.key(MARKUP)}", "team": "1", "search": "A"}
    view_id = kept(people.ann, params=params, columns=["tags", "custom.gone"], visibility="shared")
    app = opened(people.ann, customers_view=str(view_id))
    assert names(app) == "A"
    told = said(app)
    for part in ("so left out of this view", "Region: Gone", "Owner: 999", "Tags: gone", "Team: 1", "a column"):
        assert part in told, part
    assert "changed" not in label(app)
    assert drawn(app, "customers_view_update")
    sound(click(app, "customers_view_update"))
    assert "left out" not in said(app)
    app = opened(people.ana, customers_view=str(view_id))
    assert "Search (hidden from your role)" in said(app)
    assert "zekret" not in body(app)


@pytest.mark.parametrize("written", ["0", "-1", "x", "9" * 40, "1 or 1", "\0", "١"])
def test_nonsense_in_the_link_is_no_view(people: make.People, written: str) -> None:
    app = opened(people.ann, customers_view=written)
    assert names(app) == "ABC"
    assert "is not there any more" in said(app)
    sound(click(app, "customers_view_hide"))
    assert "is not there any more" not in said(app)


def test_anothers_private_view_is_as_if_it_were_not_there(people: make.People) -> None:
    view_id = kept(people.bo, name="zekret")
    app = opened(people.ann, customers_view=str(view_id))
    assert "is not there any more" in said(app)
    assert "zekret" not in body(app)
    assert names(app) == "ABC"


@pytest.mark.parametrize("name", [*HOSTILE], ids=lambda value: repr(value)[:30])
def test_a_view_of_any_name_is_text(people: make.People, name: str) -> None:
    view_id = kept(people.ann, name=name, visibility="shared")
    app = opened(people.ann, customers_view=str(view_id))
    assert markup_of(app, HOSTILE[name]) == []
    assert markup_of(opened(people.cho), HOSTILE[name]) == []


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_keep_views(people: make.People, who: str) -> None:
    app = opened(getattr(people, who), customers_region="East")
    sound(save_form(app, "new", "Easterners", "shared"))
    assert "View “Easterners” saved." in said(app)
    sound(click(app, "customers_view_delete"))
    sound(click(app, "kehu_undo_button"))
    assert "Easterners" in said(app)


# --- columns ---------------------------------------------------------------------------------------------------------

USUAL = ["name", "stage", "phone", "orders", "revenue", "last_order_on", "region", "owner"]


def test_columns_are_chosen_kept_and_shown_in_their_order(people: make.People) -> None:
    app = opened(people.ann)
    assert columns(app) == USUAL
    chosen = ["tags", "custom.card", "custom.since", "custom.salary", "source", "created_at", "city"]
    chooser(app).set_value(chosen)
    sound(app.run())
    assert columns(app) == ["name", *chosen]
    rows = grid(app, "customers_list")
    assert rows["tags"].tolist() == [MARKUP, "", ""]
    assert rows["custom.card"].fillna(0).tolist() == [7, 0, 0]
    assert str(rows["custom.since"][0])[:10] == "2026-01-02"
    assert rows["custom.since"].isna().tolist() == [False, True, True]
    assert rows["custom.salary"].tolist() == ["zekret", "", ""]
    assert rows["source"].tolist() == ["Website", "Store", "Website"]
    assert columns(opened(people.ann)) == ["name", *chosen]
    chooser(app).set_value([])
    sound(app.run())
    assert columns(app) == ["name"]
    sound(click(app, "customers_columns_usual"))
    assert columns(app) == USUAL
    assert columns(opened(people.ann)) == USUAL


def test_a_view_has_columns_of_its_own_and_leaves_the_users_choice(people: make.People) -> None:
    view_id = kept(people.ann, columns=["city", "tags"])
    app = opened(people.ann, customers_view=str(view_id))
    assert columns(app) == ["name", "city", "tags"]
    chooser(app).set_value(["tags"])
    sound(app.run())
    assert columns(app) == ["name", "tags"]
    assert "East · changed" in label(app)
    sound(click(app, "customers_view_update"))
    assert columns(opened(people.ann, customers_view=str(view_id))) == ["name", "tags"]
    assert columns(opened(people.ann)) == USUAL


def test_masked_roles_have_no_personal_columns(people: make.People) -> None:
    view_id = kept(
        people.ann, params={}, columns=["phone", "company", "custom.salary", "custom.card"], visibility="shared"
    )
    app = opened(people.ana, customers_view=str(view_id))
    assert columns(app) == ["name", "custom.card"]
    assert not {"Phone", "E-mail", "Company", "Field salary"} & set(chooser(app).options)
    assert "a column" in said(app)
    chooser(app).set_value(["custom.card", "stage"])
    assert columns(sound(app.run())) == ["name", "custom.card", "stage"]
