"""History as screens read it: who, when, what, and for whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from db import changes, connection, customer, history
from db.connection import begin
from db.embedded import Server
from db.errors import NotFound, Refused
from db.permissions import Permission, Viewer
from db.undo import undo
from tests import conftest, make


class Made:
    """Ann's customer with a history, and one of Cho's."""

    def __init__(self, people: make.People) -> None:
        ann, cho = people.ann, people.cho
        with begin(ann, write=True) as conn:
            values = {"name": "张三", "city": "Xi'an", "phone": "138 0013 8000"}
            self.id, self.added = customer.add(conn, actor=ann, values=values, screen="customers")
            change = {"name": "张三丰", "region": "North"}
            saved = customer.save(conn, actor=ann, customer_id=self.id, version=1, values=change, screen="customer")
            assert saved.change_set_id
            self.saved = saved.change_set_id
            self.noted = customer.add_note(conn, actor=ann, customer_id=self.id, body="hello")
        with begin(people.mia, write=True) as conn:
            self.undone = undo(conn, actor=people.mia, change_set_id=self.saved, source="screen").change_set_id
            self.assigned = customer.assign(
                conn, actor=people.mia, customer_ids=[self.id], owner_id=people.bo.user_id, reason=" on  leave "
            )
        with begin(cho, write=True) as conn:
            self.other, self.others = customer.add(conn, actor=cho, values={"name": "Hidden"})
        with begin(people.root, write=True) as conn:
            self.both = changes.start(
                conn, actor=people.root, command="t", permission=Permission.CUSTOMERS_EDIT, source="terminal"
            )
            patches = [{"id": self.id, "city": "Wuhan"}, {"id": self.other, "city": "Lhasa"}]
            changes.update(conn, self.both, "customers", patches)
            self.team = changes.start(
                conn, actor=people.root, command="team", permission=Permission.USERS_MANAGE, source="terminal"
            )
            changes.insert(conn, self.team, "teams", [{"id": 70, "name": "Third"}])


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"history_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture(scope="module")
def made(people: make.People) -> Made:
    return Made(people)


def sets(viewer: Viewer, **options: Any) -> pd.DataFrame:
    with begin(viewer) as conn:
        return history.sets(conn, viewer=viewer, **options)


def details(viewer: Viewer, change_set_id: int, **options: Any) -> list[dict[str, Any]]:
    with begin(viewer) as conn:
        return history.details(conn, viewer=viewer, change_set_id=change_set_id, **options).to_dict("records")


def of_customer(viewer: Viewer, customer_id: int, **options: Any) -> pd.DataFrame:
    with begin(viewer) as conn:
        return history.of_customer(conn, viewer=viewer, customer_id=customer_id, **options)


def test_sets_newest_first_with_who_what_and_what_became_of_them(people: make.People, made: Made) -> None:
    found = sets(people.root)
    order = [made.team, made.both, made.others, made.assigned, made.undone, made.noted, made.saved, made.added]
    assert found["id"].tolist() == order
    assert list(found.columns) == [
        *("id", "made_at", "actor", "command", "permission", "source", "screen", "reason", "undoes_id"),
        *("rows", "customers", "customer_id", "undone_by"),
    ]
    rows = {row["id"]: row for row in found.to_dict("records")}
    saved = rows[made.saved]
    assert (saved["actor"], saved["command"], saved["screen"], saved["rows"]) == ("Ann", "customer.save", "customer", 1)
    assert (saved["undone_by"], rows[made.undone]["undoes_id"]) == (made.undone, made.saved)
    assert rows[made.assigned]["reason"] == "on leave"
    assert saved["customer_id"] == made.id
    assert rows[made.both]["rows"] == 2
    for missing in (rows[made.both]["customer_id"], rows[made.team]["customer_id"], rows[made.added]["undone_by"]):
        assert pd.isna(missing)  # several customers, none, and not undone
    assert {str(found[c].dtype) for c in ("undoes_id", "undone_by", "customer_id")} == {"Int64"}

    assert sets(people.root, limit=3)["id"].tolist() == order[:3]
    assert sets(people.root, limit=3, before_id=order[2])["id"].tolist() == order[3:6]
    empty = sets(people.root, before_id=0)
    assert empty.empty
    assert list(empty.columns) == list(found.columns)
    assert len(sets(people.root, limit=-1)) == 1


def test_a_manager_sees_the_sets_of_the_team_and_their_rows_only(people: make.People, made: Made) -> None:
    of_team = sets(people.mia)
    assert of_team["id"].tolist() == [made.both, made.assigned, made.undone, made.noted, made.saved, made.added]
    assert of_team["rows"].tolist()[0] == 1
    assert of_team["customer_id"].tolist()[0] == made.id
    assert sets(people.max)["id"].tolist() == [made.both, made.others]
    assert [line["after"] for line in details(people.mia, made.both)] == ["Wuhan"]
    assert [line["after"] for line in details(people.max, made.both)] == ["Lhasa"]
    for set_id in (made.others, made.team, 10**12, 10**30):
        with pytest.raises(NotFound, match=f"There is no change {set_id} that you may see"):
            details(people.mia, set_id)
    for viewer in (people.ann, people.ana, people.mark):
        with pytest.raises(Refused, match="changes:read"):
            sets(viewer)
        with pytest.raises(Refused, match="changes:read"):
            details(viewer, made.saved)


def test_details_are_lines_that_a_person_recognises(people: make.People, made: Made) -> None:
    known = {"table": "customers", "id": made.id, "customer_id": made.id, "action": "update"}
    assert details(people.root, made.saved) == [
        known | {"column": "name", "before": "张三", "after": "张三丰"},
        known | {"column": "region", "before": "", "after": "North"},
    ]
    assert details(people.root, made.undone) == [
        known | {"column": "name", "before": "张三丰", "after": "张三"},
        known | {"column": "region", "before": "North", "after": ""},
    ]
    [added] = details(people.root, made.added)
    assert (added["action"], added["column"], added["before"], added["after"]) == ("insert", "", None, None)
    assert len(details(people.root, made.both, limit=1)) == 1


def test_a_customers_history_for_everybody_who_sees_the_customer(people: make.People, made: Made) -> None:
    whole = [made.both, made.assigned, made.undone, made.noted, made.saved, made.added]
    for viewer in (people.bo, people.mia, people.root, people.ana):
        found = of_customer(viewer, made.id)
        assert found["id"].tolist() == whole, viewer.username
        assert dict(zip(found["id"], found["undone_by"], strict=True))[made.saved] == made.undone
    assert list(found.columns) == [
        *("id", "made_at", "actor", "command", "permission", "source", "screen", "reason", "undoes_id"),
        *("details", "undone_by"),
    ]
    saved = of_customer(people.bo, made.id).set_index("id").loc[made.saved]
    [changed] = saved["details"]
    assert [line["column"] for line in changed["lines"]] == ["name", "region"]
    [masked] = of_customer(people.ana, made.id).set_index("id").loc[made.saved]["details"]
    assert [line["column"] for line in masked["lines"]] == ["region"]
    assert "张三" not in of_customer(people.ana, made.id).to_string()
    for viewer in (people.ann, people.cho):  # given away, and never hers
        assert of_customer(viewer, made.id).empty
        assert of_customer(viewer, 10**12).empty
    assert of_customer(people.root, made.id, limit=2)["id"].tolist() == whole[:2]


def test_values_of_every_kind_come_through(people: make.People, made: Made) -> None:
    with begin(people.root, write=True) as conn:
        archived = customer.archive(conn, actor=people.root, customer_id=made.id)
    [line] = details(people.root, archived)
    assert (line["column"], line["before"], line["after"]) == ("archived_at", None, "2026-11-20T15:00:00+00:00")
    with begin(people.root, write=True) as conn:
        set_id = changes.start(
            conn, actor=people.root, command="t", permission=Permission.USERS_MANAGE, source="terminal"
        )
        row = {"key": "x", "value": {"a": [1, None]}}
        [setting] = changes.insert(conn, set_id, "settings", [row])
        changes.update(conn, set_id, "settings", [{"id": setting, "value": [1.5]}])
        changes.delete(conn, set_id, "settings", [{"id": setting}])
    lines = details(people.root, set_id)
    assert [(line["action"], line["column"], line["before"], line["after"]) for line in lines] == [
        ("insert", "", None, None),
        ("update", "value", {"a": [1, None]}, [1.5]),
        ("delete", "key", "x", None),
        ("delete", "value", [1.5], None),
    ]
    with connection.begin_owner() as conn:
        assert make.count(conn, "settings") == 0
