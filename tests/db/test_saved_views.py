"""Saved views and preferences: who sees and changes them, what is kept apart, two editors, undo, hostile values."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from db import clock, connection, custom_fields, preferences, saved_views, schema, view_params
from db.column_names import MOST_COLUMNS, USUAL, shown
from db.connection import begin
from db.customer_filters import Filters
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import GATE, WORKER, Viewer
from db.saved_views import View
from db.undo import undo
from tests import conftest, make

EAST = {"region": "East", "search": "张三"}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"views_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        made = make.people()
        for key, personal in (("card", False), ("salary", True)):
            do(custom_fields.add, made.root, values={"key": key, "name": key, "type": "text", "personal": personal})
        yield made


@pytest.fixture(autouse=True)
def empty(people: make.People) -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.saved_views))
        conn.execute(delete(schema.preferences))


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def kept(actor: Viewer, name: str = "V", **values: Any) -> int:
    view_id, _set_id = do(saved_views.add, actor, name=name, **{"params": EAST, **values})
    return int(view_id)


def get(viewer: Viewer, view_id: int) -> View:
    with begin(viewer) as conn:
        return saved_views.get(conn, viewer=viewer, view_id=view_id)


def listed(viewer: Viewer) -> list[str]:
    with begin(viewer) as conn:
        return [view.name for view in saved_views.listed(conn, viewer=viewer)]


def deleted(viewer: Viewer) -> list[str]:
    with begin(viewer) as conn:
        return [view.name for view in saved_views.aside(conn, viewer=viewer).deleted]


def test_a_view_is_kept_changed_and_every_step_is_undone(people: make.People) -> None:
    ann = people.ann
    view_id, made = do(saved_views.add, ann, name="  East  ", params=EAST | {"owner": ""}, columns=["tags", "tags"])
    found = get(ann, view_id)
    assert (found.name, found.params, found.columns, found.version) == ("East", EAST, ("tags",), 1)
    assert (found.owner, found.visibility, found.withheld, found.mine) == ("Ann", "private", (), True)
    values = {"name": "West", "params": {"region": "West"}, "columns": None, "visibility": "shared"}
    changed = do(saved_views.save, ann, view_id=view_id, version=1, values=values)
    assert do(saved_views.save, ann, view_id=view_id, version=2, values=values) is None
    found = get(ann, view_id)
    assert (found.name, found.params, found.columns, found.visibility) == ("West", {"region": "West"}, None, "shared")
    gone = do(saved_views.archive, ann, view_id=view_id)
    assert (listed(ann), deleted(ann)) == ([], ["West"])
    with pytest.raises(Invalid, match="deleted already"):
        do(saved_views.archive, ann, view_id=view_id)
    do(undo, ann, change_set_id=gone, source="screen")
    assert listed(ann) == ["West"]
    with pytest.raises(Invalid, match="not deleted"):
        do(saved_views.archive, ann, view_id=view_id, archived=False)
    do(undo, ann, change_set_id=changed, source="screen")
    found = get(ann, view_id)
    assert (found.name, found.params, found.columns, found.visibility) == ("East", EAST, ("tags",), "private")
    taken = do(undo, ann, change_set_id=made, source="screen").change_set_id
    with pytest.raises(NotFound):
        get(ann, view_id)
    do(undo, ann, change_set_id=taken, source="screen")
    assert get(ann, view_id).params == EAST


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_keep_views_too_and_undo_them(people: make.People, who: str) -> None:
    actor = getattr(people, who)
    view_id, made = do(
        saved_views.add, actor, name="Mine", params={"search": "17", "stage": "lost"}, visibility="shared"
    )
    assert get(actor, view_id).params == {"search": "17", "stage": "lost"}, "what they typed is their own"
    changed = do(saved_views.save, actor, view_id=view_id, version=1, values={"name": "Other"})
    gone = do(saved_views.archive, actor, view_id=view_id)
    for set_id in (gone, changed):
        do(undo, actor, change_set_id=set_id, source="screen")
    assert get(actor, view_id).name == "Mine"
    assert get(people.ann, view_id).params == {"search": "17", "stage": "lost"}
    taken = do(undo, actor, change_set_id=made, source="screen").change_set_id
    assert listed(actor) == []
    do(undo, actor, change_set_id=taken, source="screen")
    assert listed(actor) == ["Mine"]


# Ann and Bo are of Mia's team, Cho is of Max's; Ana, Mark and Root are of none.
SEEN = {
    "private": {"ann", "root"},
    "team": {"ann", "bo", "mia", "root"},
    "shared": {"ann", "bo", "mia", "cho", "max", "ana", "mark", "root"},
}


@pytest.mark.parametrize("visibility", SEEN)
def test_who_sees_a_view_and_nobody_else_changes_it(people: make.People, visibility: str) -> None:
    view_id = kept(people.ann, visibility=visibility)
    for viewer in people.everyone:
        who = viewer.username
        if who in SEEN[visibility]:
            assert get(viewer, view_id).mine == (who in ("ann", "root")), who
        else:
            with pytest.raises(NotFound) as caught:
                get(viewer, view_id)
            with pytest.raises(NotFound) as absent:
                get(viewer, 10**9)
            assert str(caught.value).replace(str(view_id), "#") == str(absent.value).replace(str(10**9), "#")
        # An administrator may change it, and is not bothered with what is private.
        assert (listed(viewer) == ["V"]) == (who in SEEN[visibility] - ({"root"} if visibility == "private" else set()))
        if who in ("ann", "root"):
            continue
        for command, values in ((saved_views.save, {"version": 1, "values": {"name": "X"}}), (saved_views.archive, {})):
            expected: type[Exception] = Refused if who in SEEN[visibility] and not viewer.masked else NotFound
            with pytest.raises(expected):
                do(command, viewer, view_id=view_id, **values)
        with begin(viewer, write=True) as conn:  # as if the check had been forgotten
            assert conn.execute(update(schema.saved_views).values(name="X")).rowcount == 0
            assert conn.execute(delete(schema.saved_views)).rowcount == 0
        forged = {"owner_id": people.ann.user_id, "name": "F", "created_at": clock.now(), "updated_at": clock.now()}
        with pytest.raises(Refused), begin(viewer, write=True) as conn:
            conn.execute(insert(schema.saved_views).values(**forged))
    assert get(people.ann, view_id).name == "V"
    for nobody in (GATE, WORKER):
        with pytest.raises(Refused):
            get(nobody, view_id) if nobody is GATE else do(saved_views.archive, nobody, view_id=view_id)


def test_a_team_is_the_present_one(people: make.People) -> None:
    kept(people.cho, visibility="team")
    assert listed(people.ann) == []
    with connection.begin_owner() as conn:
        u = schema.users.c
        team = select(u.team_id).where(u.id == people.cho.user_id).scalar_subquery()
        before = conn.scalar(select(u.team_id).where(u.id == people.ann.user_id))
        conn.execute(update(schema.users).where(u.id == people.ann.user_id).values(team_id=team))
    assert listed(people.ann) == ["V"]
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(u.id == people.ann.user_id).values(team_id=before))
    assert listed(people.ann) == []
    for viewer in (people.ana, people.root):
        with pytest.raises(Invalid, match="no team"):
            kept(viewer, visibility="team")


def test_masked_roles_never_read_what_may_be_personal(people: make.People) -> None:
    params = EAST | {"f_card": "gold", "f_salary": "zekret"}
    view_id = kept(people.ann, params=params, visibility="shared")
    assert get(people.bo, view_id).params == params
    for viewer in (people.ana, people.mark):
        found = get(viewer, view_id)
        assert (found.params, found.withheld) == ({"region": "East", "f_card": "gold"}, ("f_salary", "search"))
        with pytest.raises(Refused), begin(viewer) as conn:
            conn.execute(text("SELECT params_personal FROM public.saved_views"))
        with begin(viewer, write=True) as conn:  # as kehu_author
            assert conn.scalar(text("SELECT count(*) FROM public.saved_views")) == 0
        with begin(viewer) as conn:
            history = conn.scalar(text("SELECT count(*) FROM changes WHERE table_name = 'saved_views'"))
            assert history == 0
    with begin(people.root) as conn:
        h = schema.changes.c
        images = conn.execute(select(h.before, h.after).where(h.table_name == "saved_views"))
        assert not [row for row in images if "zekret" in str(row) or "张三" in str(row)]


def test_a_name_is_given_once_and_comes_back_when_it_is_free(people: make.People) -> None:
    first = kept(people.ann, name="Big ones")
    with pytest.raises(Invalid) as caught:
        kept(people.ann, name="BIG ONES")
    assert caught.value.fields
    assert "name" in caught.value.fields
    kept(people.bo, name="Big ones")
    gone = do(saved_views.archive, people.ann, view_id=first)
    second = kept(people.ann, name="big ones")
    with pytest.raises(Invalid, match="already"):
        do(saved_views.archive, people.ann, view_id=first, archived=False)
    with pytest.raises(Conflict):
        do(undo, people.ann, change_set_id=gone, source="screen")
    do(saved_views.archive, people.ann, view_id=second)
    do(saved_views.archive, people.ann, view_id=first, archived=False)
    assert listed(people.ann) == ["Big ones"]
    other = kept(people.ann, name="Other")
    with pytest.raises(Invalid, match="already"):
        do(saved_views.save, people.ann, view_id=other, version=1, values={"name": "big OnEs"})


def test_the_second_of_two_editors_is_told(people: make.People) -> None:
    view_id = kept(people.ann)
    do(saved_views.save, people.root, view_id=view_id, version=1, values={"visibility": "shared"})
    with pytest.raises(Conflict, match="meanwhile"):
        do(saved_views.save, people.ann, view_id=view_id, version=1, values={"params": {}})
    found = get(people.ann, view_id)
    assert (found.params, found.visibility, found.version) == (EAST, "shared", 2)


def test_an_undo_does_not_take_along_what_came_since(people: make.People) -> None:
    view_id = kept(people.ann)
    renamed = do(saved_views.save, people.ann, view_id=view_id, version=1, values={"name": "B"})
    do(saved_views.save, people.ann, view_id=view_id, version=2, values={"name": "C", "params": {}})
    with pytest.raises(Conflict):
        do(undo, people.ann, change_set_id=renamed, source="screen")
    assert get(people.ann, view_id).name == "C"


@pytest.mark.parametrize(
    "params",
    [
        {"page": "1"},
        {"constructor": "x"},
        {"f_": "x"},
        {"f_A": "x"},
        {"f_" + "a" * 41: "x"},
        {"region": 1},
        {"region": None},
        {"region": ["East"]},
        {"tags": {"a": 1}},
        {1: "x"},
        ["region"],
        "region=East",
        None,
        {"search": "x" * 100_000},
        {"search": "张" * (view_params.MOST_BYTES // 3)},
        {f"f_k{n}": "x" for n in range(300)},
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_parameters_are_refused_in_a_sentence(people: make.People, params: Any) -> None:
    for actor in (people.ann, people.mark):
        with pytest.raises(Invalid) as caught:
            kept(actor, params=params)
        assert len(str(caught.value)) < 200
        assert listed(actor) == []


def test_hostile_texts_are_cleaned_and_kept(people: make.People) -> None:
    view_id = kept(people.ann, name="a\0\u202e<b>", params={"search": "a\0b\ud800 '; --", "region": "\0"})
    found = get(people.ann, view_id)
    assert (found.name, found.params["search"].startswith("ab"), found.params.keys()) == ("a<b>", True, {"search"})


@pytest.mark.parametrize("name", ["", " \u200b", "x" * 61, None, 3, ["x"]])
def test_a_name_is_there_and_short(people: make.People, name: Any) -> None:
    with pytest.raises(Invalid) as caught:
        kept(people.ann, name=name)
    assert caught.value.fields
    kept(people.ann, name="x" * 60)


@pytest.mark.parametrize("columns", ["stage", ["id"], ["custom.A b"], [1], {"stage": 1}, ["custom.x"] * 31], ids=str)
def test_columns_are_those_there_are(people: make.People, columns: Any) -> None:
    with pytest.raises(Invalid):
        kept(people.ann, columns=columns)
    with pytest.raises(Invalid):
        do(preferences.choose, people.ann, key=preferences.CUSTOMER_COLUMNS, value=columns)


def test_unknown_things_are_refused(people: make.People) -> None:
    view_id = kept(people.ann)
    for values in ({"owner_id": 2}, {"visibility": "public"}, {"visibility": None}, {"archived_at": None}):
        with pytest.raises(Invalid):
            do(saved_views.save, people.ann, view_id=view_id, version=1, values=values)
    for absent in (0, -1, 10**30):
        with pytest.raises(NotFound):
            get(people.ann, absent)
        with pytest.raises(NotFound):
            do(saved_views.archive, people.ann, view_id=absent)
    with pytest.raises(NotFound):
        do(preferences.choose, people.ann, key="theme", value=[])


def test_the_most_views_are_kept(people: make.People) -> None:
    now = {"created_at": clock.now(), "updated_at": clock.now()}
    with connection.begin_owner() as conn:
        rows = [{"owner_id": people.bo.user_id, "name": f"{n}", **now} for n in range(saved_views.MOST_VIEWS)]
        conn.execute(insert(schema.saved_views), rows)
    with pytest.raises(Invalid, match="100 views"):
        kept(people.bo)
    kept(people.ann)


def test_the_parameters_of_a_list_leave_out_what_is_usual() -> None:
    assert view_params.params_of(Filters(), "name", False) == {}
    assert view_params.params_of(Filters(ordered="within", contacted="never", contacted_days=3), "name", False) == {
        "ordered": "within",
        "contacted": "never",
    }
    many = Filters(
        search="x", owner_id=0, tags=("a", "b"), revenue_from=0, ordered="before", ordered_days=7, archived=True
    )
    assert view_params.params_of(many, "revenue", True) == {
        "search": "x",
        "owner": "0",
        "tags": "a,b",
        "revenue_from": "0",
        "ordered": "before",
        "ordered_days": "7",
        "archived": "yes",
        "sort": "revenue",
        "descending": "true",
    }


# --- preferences -----------------------------------------------------------------------------------------------------


def chosen(viewer: Viewer) -> Any:
    with begin(viewer) as conn:
        return preferences.get(conn, viewer=viewer, key=preferences.CUSTOMER_COLUMNS)


def test_each_user_has_their_own_choice(people: make.People) -> None:
    for n, viewer in enumerate(people.everyone):
        assert chosen(viewer) is None
        do(preferences.choose, viewer, key=preferences.CUSTOMER_COLUMNS, value=["tags", f"custom.c{n}"])
    for n, viewer in enumerate(people.everyone):
        assert chosen(viewer) == ["tags", f"custom.c{n}"]
        with begin(viewer, write=True) as conn:
            assert conn.scalar(select(func.count()).select_from(schema.preferences)) == 1
            assert conn.execute(update(schema.preferences).values(key="customers.columns")).rowcount == 1
        other = people.ann if viewer is not people.ann else people.bo
        forged = {"user_id": other.user_id, "key": "x", "value": [], "updated_at": clock.now()}
        with pytest.raises(Refused), begin(viewer, write=True) as conn:
            conn.execute(insert(schema.preferences).values(**forged))
    do(preferences.choose, people.ann, key=preferences.CUSTOMER_COLUMNS, value=[])
    assert chosen(people.ann) == []
    do(preferences.choose, people.ann, key=preferences.CUSTOMER_COLUMNS, value=None)
    assert chosen(people.ann) is None
    with pytest.raises(Refused), begin(WORKER, write=True) as conn:
        conn.execute(text("DELETE FROM public.preferences"))


def test_columns_that_are_not_offered_are_not_shown() -> None:
    assert shown(None, USUAL) == USUAL
    assert shown(["custom.gone", "tags", "phone"], {"tags", "stage"}) == ("tags",)
    assert shown([], USUAL) == ()
    assert len(USUAL) <= MOST_COLUMNS
