"""Who changed what: the list, the images of a change, undo, what stands in its way, paging by links."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from db import changes, connection, customer, history, schema
from db.embedded import Server
from db.permissions import Permission, Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    SIGN_IN,
    body,
    click,
    count,
    database,
    drawn,
    go,
    grid,
    markup_of,
    pick,
    revoke,
    signed_in,
    sound,
    within_run,
    words,
)

TODAY = date(2026, 11, 20)
CLICK = "Click a row to see what was changed."
NONE = "No changes yet. Whatever people edit appears here and can be undone."


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Every test makes its own changes and looks at the newest."""
    with database(server, template) as made:
        yield made


def added(actor: Viewer, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        return customer.add(conn, actor=actor, values={"name": "Start", **values})[0]


def saved(actor: Viewer, customer_id: int, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        version = customer.get(conn, viewer=actor, customer_id=customer_id, today=TODAY).version
        done = customer.save(conn, actor=actor, customer_id=customer_id, version=version, values=values)
    assert done.change_set_id is not None
    return done.change_set_id


def stored(customer_id: int) -> dict[str, object]:
    with connection.begin_owner() as conn:
        query = select(schema.customers).where(schema.customers.c.id == customer_id)
        return dict(conn.execute(query).mappings().one())


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "changes", **params))


def choose(app: AppTest, set_id: int) -> AppTest:
    return sound(pick(app, "changes_list", list(grid(app, "changes_list")["number"]).index(set_id)))


def lines(app: AppTest) -> list[str]:
    return [str(text.value) for text in app.main.text]


# --- the list --------------------------------------------------------------------------------------------------------


def test_list_equals_the_query(people: make.People) -> None:
    customer_id = added(people.ann)
    edited = saved(people.mia, customer_id, city="Rome")
    app = opened(people.root)
    told = within_run(people.root, history.sets, limit=50)
    rows = grid(app, "changes_list")
    assert list(rows["number"]) == list(told["id"])
    assert list(rows["rows"]) == list(told["rows"])
    assert list(rows.iloc[0])[:6] == [edited, "2026-11-20 15:00", "Mia", "Customer edited", 1, "on the screen"]
    assert CLICK in body(app)


def test_a_row_tells_every_value_and_leads_to_the_customer(people: make.People) -> None:
    customer_id = added(people.ann, company="Acme")
    edited = saved(people.mia, customer_id, city="Rome", company="")
    app = choose(opened(people.mia), edited)
    assert sorted(lines(app)) == ["City: – → Rome", "Company: Acme → –"]
    assert f"**#{edited} · Customer edited**" in body(app)
    [link] = app.main.page_link
    assert (link.page, link.proto.query_string) == ("customer", f"id={customer_id}")


def test_a_manager_sees_the_changes_of_the_team_only(people: make.People) -> None:
    other = saved(people.max, added(people.cho, company="Foreign Ltd"), city="Rome")
    app = opened(people.mia)
    assert other not in list(grid(app, "changes_list")["number"])
    assert "Foreign Ltd" not in words(app)
    assert other in list(grid(opened(people.root), "changes_list")["number"])


def test_whatever_stands_in_a_change_is_shown_as_it_is(people: make.People) -> None:
    customer_id = added(people.ann)
    for typed, kept in HOSTILE.items():
        edited = saved(people.ann, customer_id, company=typed)
        app = choose(opened(people.root), edited)
        assert f"→ {kept}" in lines(app)[0]
        assert markup_of(app, kept) == []


def test_a_hand_over_names_the_owners(people: make.People) -> None:
    customer_id = added(people.ann)
    with connection.begin(people.mia, write=True) as conn:
        done = customer.assign(conn, actor=people.mia, customer_ids=[customer_id], owner_id=0)
    for viewer in (people.mia, people.root):
        assert lines(choose(opened(viewer), done)) == ["Owner: Ann → Nobody"]


# --- undo ------------------------------------------------------------------------------------------------------------


def test_undo_from_the_list(people: make.People) -> None:
    customer_id = added(people.ann)
    edited = saved(people.ann, customer_id, city="Rome")
    app = choose(opened(people.mia), edited)
    sound(click(app, f"changes_undo_{edited}"))
    assert stored(customer_id)["city"] == ""
    assert f"Change {edited} is undone." in body(app)
    rows = grid(app, "changes_list").set_index("number")
    assert rows.loc[edited, "state"] == "undone"
    assert rows["what"].iloc[0] == "Undo of: Customer edited"
    assert CLICK in body(app), "the rows have moved, the choice must not stay on another"
    choose(app, edited)
    assert not drawn(app, f"changes_undo_{edited}")
    sound(click(app, "kehu_undo_button"))  # the undo of the undo
    assert stored(customer_id)["city"] == "Rome"


def test_what_was_changed_since_stands_in_the_way_and_is_shown(people: make.People) -> None:
    customer_id = added(people.ann)
    early = saved(people.ann, customer_id, company="Two", city="Rome")
    saved(people.ann, customer_id, company="Three")
    app = choose(opened(people.mia), early)
    before = count("change_sets", "changes")
    sound(click(app, f"changes_undo_{early}"))
    assert "Nothing was undone" in body(app)
    assert lines(app)[0] == "Company: Two → Three"
    assert count("change_sets", "changes") == before
    assert stored(customer_id)["city"] == "Rome"


def test_a_load_is_asked_about_once_more(people: make.People) -> None:
    with connection.begin(people.root, write=True) as conn:
        load = {"command": "demo.load", "permission": Permission.DEMO_LOAD, "source": "demo"}
        done = changes.start(conn, actor=people.root, **load)
        changes.insert(conn, done, "campaigns", [{"name": "Loaded", "starts_on": TODAY, "ends_on": TODAY}])
    asked = "it comes back only by loading it again."
    assert asked in body(choose(opened(people.root), done))
    edited = saved(people.ann, added(people.ann), city="Rome")
    assert asked not in body(choose(opened(people.root), edited))


def test_a_new_customer_with_a_note_cannot_be_taken_back_alone(people: make.People) -> None:
    customer_id = added(people.ann)
    with connection.begin(people.ann, write=True) as conn:
        customer.add_note(conn, actor=people.ann, customer_id=customer_id, body="Hello")
    made = within_run(people.ann, history.of_customer, customer_id=customer_id)["id"].min()
    app = sound(click(choose(opened(people.mia), made), f"changes_undo_{made}"))
    assert "Something was added to this since" in body(app)
    assert stored(customer_id)["name"] == "Start"


# --- paging and nonsense ---------------------------------------------------------------------------------------------


def test_pages_by_links_and_no_dead_end(people: make.People) -> None:
    """Exactly as many changes as one page holds have no older ones."""
    customer_id = added(people.cho)
    while len(within_run(people.max, history.sets, limit=200)) < 50:
        saved(people.cho, customer_id, city=f"City {len(within_run(people.max, history.sets, limit=200))}")
    app = opened(people.max)
    assert len(grid(app, "changes_list")) == 50
    assert [link.label for link in app.main.page_link] == []
    saved(people.cho, customer_id, city="One more")
    app = opened(people.max)
    [older] = app.main.page_link
    assert older.label == "Older"
    go(app, "changes", before=older.proto.query_string.removeprefix("before="))
    assert len(grid(sound(app), "changes_list")) == 1
    assert [link.label for link in app.main.page_link] == ["Newest"]


@pytest.mark.parametrize("before", ["", "abc", "-1", "１２", "1e9", "9" * 19, "\0", "x" * 5_000, "<script>", "1;--"])
def test_nonsense_in_the_link_shows_the_newest(people: make.People, before: str) -> None:
    added(people.ann)
    newest = within_run(people.root, history.sets, limit=1)["id"].iloc[0]
    assert grid(opened(people.root, before=before), "changes_list")["number"].iloc[0] == newest


@pytest.mark.parametrize(("before", "sentence"), [("0", NONE), ("1", NONE), ("9" * 18, CLICK)])
def test_a_place_beyond_the_list(people: make.People, before: str, sentence: str) -> None:
    added(people.ann)
    app = opened(people.root, before=before)
    assert sentence in body(app)
    assert "Newest" in [link.label for link in app.main.page_link]


def test_gone_session_shows_the_sign_in_and_undoes_nothing(people: make.People) -> None:
    customer_id = added(people.ann)
    edited = saved(people.ann, customer_id, city="Rome")
    app = choose(opened(people.mia), edited)
    revoke(app)
    sound(click(app, f"changes_undo_{edited}"))
    assert SIGN_IN in body(app)
    assert not app.dataframe
    assert stored(customer_id)["city"] == "Rome"
