"""Two who save one shared view: what both changed is refused with both sides, the rest is kept; what is deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, insert

from db import clock, connection, saved_views, schema
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Viewer
from db.saved_views import MOST_DELETED, View
from tests import conftest, make

BASE = {"name": "East", "visibility": "shared", "params": {"region": "East", "search": "张三"}, "columns": ["tags"]}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"view_clash_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture
def view_id(people: make.People) -> int:
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.saved_views))
    return int(do(saved_views.add, people.ann, **BASE)[0])


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def read(query: Callable[..., Any], viewer: Viewer, **values: Any) -> Any:
    with begin(viewer) as conn:
        return query(conn, viewer=viewer, **values)


def stands(viewer: Viewer, view_id: int) -> View:
    found: View = read(saved_views.get, viewer, view_id=view_id)
    return found


def save(actor: Viewer, view_id: int, version: int, values: dict[str, Any], **more: Any) -> Any:
    return do(saved_views.save, actor, view_id=view_id, version=version, values=values, **more)


def test_what_only_one_changed_is_kept_of_both(people: make.People, view_id: int) -> None:
    save(people.root, view_id, 1, {"name": "Theirs", "columns": None})
    save(people.ann, view_id, 1, {"params": {"region": "West"}}, opened=BASE)
    found = stands(people.ann, view_id)
    assert (found.name, found.columns, found.params, found.version) == ("Theirs", None, {"region": "West"}, 3)


def test_what_both_changed_is_refused_with_both_sides(people: make.People, view_id: int) -> None:
    save(people.root, view_id, 1, {"name": "Theirs", "params": {"region": "West", "search": "李四"}})
    with pytest.raises(Conflict, match="changed meanwhile") as caught:
        values = {"name": "Mine", "params": {"region": "North"}, "visibility": "private"}
        save(people.ann, view_id, 1, values, opened=BASE)
    assert caught.value.rows == [
        {"column": "name", "mine": "Mine", "theirs": "Theirs"},
        {"column": "params", "mine": {"region": "North"}, "theirs": {"region": "West", "search": "李四"}},
    ]
    assert stands(people.ann, view_id).visibility == "shared", "nothing was saved"
    save(people.ann, view_id, caught.value.details["version"], {"name": "Mine"})
    assert stands(people.ann, view_id).name == "Mine"


def test_what_both_changed_alike_and_what_nobody_knows_the_begin_of(people: make.People, view_id: int) -> None:
    save(people.root, view_id, 1, {"columns": ["tags", "city"]})
    assert save(people.ann, view_id, 1, {"columns": ["tags", "city"]}, opened=BASE) is None
    with pytest.raises(Conflict) as caught:
        save(people.ann, view_id, 1, {"columns": ["stage"], "name": "Mine"})
    assert [row["column"] for row in caught.value.rows] == ["name", "columns"]
    assert caught.value.rows[1] == {"column": "columns", "mine": ["stage"], "theirs": ["tags", "city"]}


def test_a_stale_save_by_who_may_not_is_refused_as_ever(people: make.People, view_id: int) -> None:
    save(people.root, view_id, 1, {"name": "Theirs"})
    for actor in (people.bo, people.mia):
        with pytest.raises(Refused):
            save(actor, view_id, 1, {"name": "Mine"}, opened=BASE)
    for actor in (people.ana, people.mark):
        with pytest.raises(NotFound):
            save(actor, view_id, 1, {"name": "Mine"}, opened=BASE)


def test_ones_own_last_deleted_views_come_back(people: make.People, view_id: int) -> None:
    do(saved_views.archive, people.ann, view_id=view_id)
    other = do(saved_views.add, people.ann, name="Other", params={})[0]
    assert [view.name for view in read(saved_views.aside, people.ann).deleted] == ["East"]
    for viewer in (people.bo, people.mia, people.ana, people.root):
        assert read(saved_views.aside, viewer).deleted == (), "others' are not offered, though it was shared"
    for actor in (people.bo, people.mia, people.cho):
        with pytest.raises((Refused, NotFound)):
            do(saved_views.archive, actor, view_id=view_id, archived=False)
    do(saved_views.save, people.ann, view_id=other, version=1, values={"name": "east"})
    with pytest.raises(Invalid, match="view of this name already"):
        do(saved_views.archive, people.ann, view_id=view_id, archived=False)
    do(saved_views.archive, people.ann, view_id=other)
    assert [view.name for view in read(saved_views.aside, people.ann).deleted] == ["east", "East"]
    do(saved_views.archive, people.ann, view_id=view_id, archived=False)
    found = stands(people.cho, view_id)
    assert (found.archived_at, found.params, found.columns) == (None, BASE["params"], ("tags",))
    assert [view.name for view in read(saved_views.aside, people.ann).deleted] == ["east"]


def test_only_the_last_are_offered(people: make.People, view_id: int) -> None:
    stamps = {"created_at": clock.now(), "updated_at": clock.now(), "archived_at": clock.now()}
    rows = [{"owner_id": people.bo.user_id, "name": "Same", **stamps} for _n in range(MOST_DELETED + 2)]
    with connection.begin_owner() as conn:
        conn.execute(insert(schema.saved_views), rows)
    found = read(saved_views.aside, people.bo).deleted
    assert len(found) == MOST_DELETED
    assert [view.id for view in found] == sorted((view.id for view in found), reverse=True)


def test_who_has_a_team(people: make.People) -> None:
    has = {viewer.username: read(saved_views.aside, viewer).has_team for viewer in people.everyone}
    assert {name for name, yes in has.items() if yes} == {"ann", "bo", "mia", "cho", "max"}
