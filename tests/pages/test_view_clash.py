"""A shared view that two change at once, deleted views, and whom a view can be shared with, as people meet them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete
from streamlit.testing.v1 import AppTest

from db import connection, saved_views, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from db.saved_views import View
from tests import make
from tests.pages.visits import HOSTILE, click, control, database, drawn, grid, markup_of, said, signed_in, sound

MINE, THEIRS = "customers_view_clash_mine", "customers_view_clash_theirs"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            for name, region in (("A", "East"), ("B", "West"), ("C", "North")):
                make.customer(conn, made.ann.user_id, name=name, region=region)
        yield made


@pytest.fixture
def view_id(people: make.People) -> int:
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.saved_views))
    return kept(people.ann)


def kept(actor: Viewer, name: str = "East", **values: Any) -> int:
    with begin(actor, write=True) as conn:
        given = {"params": {"region": "East"}, "visibility": "shared", **values}
        return int(saved_views.add(conn, actor=actor, name=name, **given)[0])


def save(actor: Viewer, view_id: int, **values: Any) -> None:
    version = stored(actor, view_id).version
    with begin(actor, write=True) as conn:
        saved_views.save(conn, actor=actor, view_id=view_id, version=version, values=values)


def stored(viewer: Viewer, view_id: int) -> View:
    with begin(viewer) as conn:
        return saved_views.get(conn, viewer=viewer, view_id=view_id)


def opened(viewer: Viewer, view_id: int | None = None, **params: str) -> AppTest:
    more = {} if view_id is None else {"customers_view": str(view_id)}
    return sound(signed_in(viewer, "customers", **more, **params))


def choose(app: AppTest, region: str) -> AppTest:
    control(app, "customers_region").set_value(region)
    return sound(app.run())


def send(app: AppTest, of: str, **typed: Any) -> AppTest:
    for name, value in typed.items():
        [widget] = [w for w in (*app.text_input, *app.selectbox, *app.toggle) if w.key == f"customers_view_{name}_{of}"]
        widget.set_value(value)
    [button] = [b for b in app.button if b.key and b.key.endswith(f"customers_view_send_{of}")]
    button.click()
    return sound(app.run())


def test_both_sides_are_shown_and_mine_is_kept(people: make.People, view_id: int) -> None:
    app = choose(opened(people.ann, view_id), "West")
    save(people.root, view_id, params={"region": "North", "sort": "revenue", "descending": "true"})
    app = sound(click(app, "customers_view_update"))
    told = said(app)
    assert "This view was changed meanwhile. Nothing was saved yet; choose what to keep." in told
    assert "Mine: Region: West · Sort by: Name" in told
    assert "Theirs: Region: North · Sort by: Revenue · Descending" in told
    assert stored(people.ann, view_id).params["region"] == "North"
    app = sound(click(app, MINE))
    assert stored(people.ann, view_id).params == {"region": "West"}
    assert not drawn(app, MINE)
    assert "View updated." in said(app)
    app = sound(click(choose(app, "East"), "customers_view_update"))
    assert not drawn(app, MINE), "one's own saves are no news"
    assert stored(people.ann, view_id).params == {"region": "East"}


def test_theirs_is_taken_and_the_list_shows_it(people: make.People, view_id: int) -> None:
    app = choose(opened(people.ann, view_id), "West")
    save(people.root, view_id, params={"region": "North"})
    app = sound(click(sound(click(app, "customers_view_update")), THEIRS))
    assert not drawn(app, THEIRS)
    assert "".join(grid(app, "customers_list")["name"]) == "C"
    assert stored(people.ann, view_id).params == {"region": "North"}
    app = sound(click(choose(app, "West"), "customers_view_update"))
    assert stored(people.ann, view_id).params == {"region": "West"}


def test_what_only_one_changed_is_kept_and_said(people: make.People, view_id: int) -> None:
    app = choose(opened(people.ann, view_id), "West")
    save(people.root, view_id, name="Ours")
    app = sound(click(app, "customers_view_update"))
    assert "Meanwhile somebody else changed Name; both are kept." in said(app)
    found = stored(people.ann, view_id)
    assert (found.name, found.params) == ("Ours", {"region": "West"})


def test_the_name_and_who_sees_it_clash_in_words(people: make.People, view_id: int) -> None:
    app = opened(people.ann, view_id)
    save(people.root, view_id, name="*Theirs*", visibility="private")
    app = send(app, f"{view_id}_1", name="Mine", reach="team", columns=True)
    told = said(app)
    for part in ("Mine: Mine", "Theirs: *Theirs*", "Mine: My team", "Theirs: Only me"):
        assert part in told, part
    assert "Columns" not in told.split("choose what to keep")[1].split("Keep mine")[0], "nobody else changed them"
    sound(click(app, MINE))
    found = stored(people.ann, view_id)
    assert (found.name, found.visibility, found.columns is None) == ("Mine", "team", False)


def test_an_undo_of_ones_own_is_no_news(people: make.People, view_id: int) -> None:
    app = sound(click(choose(opened(people.ann, view_id), "West"), "customers_view_update"))
    app = sound(click(app, "kehu_undo_button"))
    app = sound(click(app, "customers_view_update"))
    assert not drawn(app, MINE)
    assert stored(people.ann, view_id).params == {"region": "West"}


@pytest.mark.parametrize("name", [*HOSTILE], ids=lambda value: repr(value)[:30])
def test_any_text_of_theirs_is_text(people: make.People, view_id: int, name: str) -> None:
    app = opened(people.ann, view_id)
    save(people.root, view_id, name=name, params={"search": name})
    app = send(app, f"{view_id}_1", name="Mine")
    assert "Theirs: " in said(app)
    assert markup_of(app, HOSTILE[name]) == []


def test_a_deleted_view_is_restored_by_its_owner_alone(people: make.People, view_id: int) -> None:
    app = opened(people.ann)
    assert "Deleted lately" not in said(app)
    app = sound(click(opened(people.ann, view_id), "customers_view_delete"))
    app = opened(people.ann)  # another day: its undo line is gone
    assert not drawn(app, "kehu_undo_button")
    assert "Deleted lately" in said(app)
    for other in (people.bo, people.mia, people.ana, people.root):
        assert not drawn(opened(other), f"customers_view_restore_{view_id}")
    again = kept(people.ann, name="EAST")
    app = sound(click(opened(people.ann), f"customers_view_restore_{view_id}"))
    assert "You have a view of this name already." in said(app)
    with begin(people.ann, write=True) as conn:
        saved_views.save(conn, actor=people.ann, view_id=again, version=1, values={"name": "Other"})
    app = sound(click(app, f"customers_view_restore_{view_id}"))
    assert "View “East” restored." in said(app)
    assert drawn(app, f"customers_view_open_{view_id}")
    assert not drawn(app, f"customers_view_restore_{view_id}")


@pytest.mark.parametrize(("who", "offered"), [("ann", True), ("mia", True), ("ana", False), ("root", False)])
def test_only_who_has_a_team_can_share_with_it(people: make.People, view_id: int, who: str, offered: bool) -> None:
    app = opened(getattr(people, who))
    [reach] = [s for s in app.selectbox if s.key == "customers_view_reach_new"]
    assert ("My team" in reach.options) == offered
    if who == "root":  # of somebody else's view it is theirs
        app = opened(people.root, kept(people.ann, name="Team's", visibility="team"))
        [reach] = [s for s in app.selectbox if str(s.key).startswith("customers_view_reach_") and s.value == "team"]
        assert "My team" in reach.options
