"""Tasks: lists by the company's day, who may have them, commands and their undo, stale edits, attacks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from db import clock, connection, customer, schema, settings, task_words, tasks, timeline
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make

ZONE = "Pacific/Auckland"
TODAY = date(2026, 11, 21)
"""In Auckland it is the 21st already when it is 15:00 of the 20th in London: tests/conftest.py sets the clock."""


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"tasks_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **stamps))
        yield make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def ask(query: Callable[..., Any], viewer: Viewer, **values: Any) -> Any:
    with begin(viewer) as conn:
        return query(conn, viewer=viewer, **values)


def new_customer(actor: Viewer, name: str = "张三") -> int:
    return int(do(customer.add, actor, values={"name": name})[0])


def planned(actor: Viewer, customer_id: int, **values: Any) -> int:
    set_id = do(tasks.add, actor, customer_id=customer_id, **{"title": "Call back", **values})
    with connection.begin_owner() as conn:
        return int(conn.scalars(select(schema.changes.c.row_id).where(schema.changes.c.change_set_id == set_id)).one())


def stored(task_id: int) -> dict[str, Any] | None:
    with connection.begin_owner() as conn:
        row = conn.execute(select(schema.tasks).where(schema.tasks.c.id == task_id)).mappings().first()
        return dict(row) if row else None


def kept(task_id: int) -> dict[str, Any]:
    """What people wrote, without what only ever rises."""
    row = stored(task_id)
    assert row is not None
    return {name: value for name, value in row.items() if name not in ("version", "updated_at")}


@pytest.fixture
def alone(people: make.People) -> None:
    """For lists that are counted: nobody has a task before."""
    with connection.begin_owner() as conn:
        conn.execute(schema.tasks.delete())


# --- lists -----------------------------------------------------------------------------------------------------------


def test_lists_go_by_the_companys_day_and_count_exactly(people: make.People, alone: None) -> None:
    with begin(people.ann) as conn:
        assert clock.today(settings.get(conn).time_zone) == TODAY != clock.today("UTC")
    mine = new_customer(people.ann)
    days = {
        "overdue": [TODAY - timedelta(days=1), date(1999, 1, 1)],
        "today": [TODAY],
        "soon": [TODAY + timedelta(days=1), TODAY + timedelta(days=7)],
        "later": [TODAY + timedelta(days=8)],
        "no_day": [None],
    }
    for bucket, each in days.items():
        for day in each:
            planned(people.ann, mine, title=f"{bucket} {day}", due_on=day)
    finished = planned(people.ann, mine, title="finished", due_on=TODAY)
    do(tasks.finish, people.ann, customer_id=mine, task_id=finished)
    shown = ask(tasks.mine, people.ann, today=TODAY)
    assert shown.totals == {bucket: len(each) for bucket, each in days.items()} | {"done": 1}
    assert shown.rows["title"].tolist() == [
        "overdue 1999-01-01",
        "overdue 2026-11-20",
        "today 2026-11-21",
        "soon 2026-11-22",
        "soon 2026-11-28",
        "later 2026-11-29",
        "no_day None",
    ]
    for bucket in task_words.BUCKETS:
        part = ask(tasks.mine, people.ann, today=TODAY, bucket=bucket)
        assert len(part.rows) == part.totals[bucket]
        assert set(part.rows["bucket"]) == {bucket}
        assert part.totals == shown.totals
    assert ask(tasks.mine, people.ann, today=TODAY, bucket="done").rows["title"].tolist() == ["finished"]
    with pytest.raises(Invalid, match="overdue, today"):
        ask(tasks.mine, people.ann, today=TODAY, bucket="tomorrow")


def test_a_day_goes_by_time_then_by_priority(people: make.People, alone: None) -> None:
    mine = new_customer(people.ann)
    for title, values in {
        "low": {"priority": "low"},
        "normal": {},
        "high": {"priority": "high"},
        "four": {"due_time": time(16)},
        "nine": {"due_time": time(9, 30), "priority": "low"},
    }.items():
        planned(people.ann, mine, title=title, due_on=TODAY, **values)
    assert ask(tasks.mine, people.ann, today=TODAY).rows["title"].tolist() == ["nine", "four", "high", "normal", "low"]


def test_pages_cut_the_same_list(people: make.People, alone: None) -> None:
    mine = new_customer(people.ann)
    for n in range(25):
        planned(people.ann, mine, title=f"{n}", due_on=TODAY + timedelta(days=n // 3))
    whole = ask(tasks.mine, people.ann, today=TODAY, limit=500).rows["id"].tolist()
    pieces = [ask(tasks.mine, people.ann, today=TODAY, offset=at, limit=4).rows["id"] for at in range(0, 28, 4)]
    assert [i for piece in pieces for i in piece] == whole
    assert len(whole) == 25
    assert ask(tasks.mine, people.ann, today=TODAY, offset=400).rows.empty


def test_the_team_is_what_one_sees_and_may_be_one_person(people: make.People, alone: None) -> None:
    of_ann, of_bo, of_cho = (new_customer(who) for who in (people.ann, people.bo, people.cho))
    planned(people.ann, of_ann, title="ann's")
    planned(people.mia, of_bo, title="mia's at bo's")
    planned(people.mia, of_bo, title="for bo", assignee_id=people.bo.user_id)
    planned(people.cho, of_cho, title="cho's")
    titles = {
        "ann": {"ann's"},
        "bo": {"mia's at bo's", "for bo"},
        "mia": {"ann's", "mia's at bo's", "for bo"},
        "max": {"cho's"},
        "root": {"ann's", "mia's at bo's", "for bo", "cho's"},
    }
    for who, wanted in titles.items():
        shown = ask(tasks.team, getattr(people, who), today=TODAY)
        assert set(shown.rows["title"]) == wanted, who
        assert shown.totals["no_day"] == len(wanted), who
    one = ask(tasks.team, people.mia, today=TODAY, assignee_id=people.bo.user_id)
    assert one.rows[["title", "assignee", "author"]].values.tolist() == [["for bo", "Bo", "Mia"]]
    assert ask(tasks.team, people.mia, today=TODAY, assignee_id=people.cho.user_id).rows.empty
    assert ask(tasks.mine, people.mia, today=TODAY).rows["title"].tolist() == ["mia's at bo's"]


def test_what_was_finished_long_ago_and_archived_customers_are_not_on_the_lists(
    people: make.People, alone: None
) -> None:
    mine = new_customer(people.ann)
    old, new = (planned(people.ann, mine, title=title) for title in ("old", "new"))
    for task_id in (old, new):
        do(tasks.finish, people.ann, customer_id=mine, task_id=task_id)
    planned(people.ann, mine, title="open", due_on=TODAY)
    long_ago = clock.now() - timedelta(days=task_words.LATELY_DAYS, seconds=1)
    with connection.begin_owner() as conn:
        conn.execute(update(schema.tasks).where(schema.tasks.c.id == old).values(done_at=long_ago))
    assert ask(tasks.mine, people.ann, today=TODAY, bucket="done").rows["title"].tolist() == ["new"]
    of_customer = ask(tasks.of_customer, people.ann, customer_id=mine, today=TODAY, bucket="done")
    assert of_customer.rows["title"].tolist() == ["new", "old"]
    assert of_customer.totals["done"] == 2
    do(customer.archive, people.ann, customer_id=mine)
    assert set(ask(tasks.mine, people.ann, today=TODAY).totals.values()) == {0}
    assert set(ask(tasks.team, people.ann, today=TODAY).totals.values()) == {0}
    assert ask(tasks.of_customer, people.ann, customer_id=mine, today=TODAY).totals["today"] == 1


def test_an_empty_list_counts_nothing(people: make.People, alone: None) -> None:
    for query in (tasks.mine, tasks.team):
        shown = ask(query, people.ann, today=TODAY)
        assert shown.rows.empty
        assert shown.totals == dict.fromkeys(task_words.BUCKETS, 0)
    assert ask(tasks.of_customer, people.ann, customer_id=2**70, today=TODAY).rows.empty
    assert ask(tasks.assignees, people.ann, customer_id=2**70) == {}


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_task_is_kept_clean_and_its_addition_can_be_taken_back(people: make.People) -> None:
    mine = new_customer(people.ann)
    values = {"title": "  Tea\u200b offer ", "body": "回电话\r\n明天", "kind": "call", "priority": "high"}
    set_id = do(tasks.add, people.ann, customer_id=mine, due_on=TODAY, due_time=time(9, 30), **values)
    [row] = ask(tasks.of_customer, people.ann, customer_id=mine, today=TODAY).rows.to_dict("records")
    assert (row["title"], row["body"], row["kind"], row["priority"]) == ("Tea offer", "回电话\n明天", "call", "high")
    assert (row["due_on"], row["due_time"], row["assignee"], row["author"]) == (TODAY, time(9, 30), "Ann", "Ann")
    do(undo, people.ann, change_set_id=set_id, source="screen")
    assert ask(tasks.of_customer, people.ann, customer_id=mine, today=TODAY).rows.empty


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"title": " \u200b "}, "title"),
    ({"title": "x" * 201}, "title"),
    ({"body": "x" * (task_words.MOST_BODY + 1)}, "body"),
    ({"kind": "visit"}, "kind"),
    ({"priority": "urgent"}, "priority"),
    ({"due_on": date(1899, 12, 31)}, "due_on"),
    ({"due_on": date(2201, 1, 1)}, "due_on"),
    ({"due_on": None, "due_time": time(9)}, "due_time"),
    ({"assignee_id": 10**9}, "assignee_id"),
    ({"assignee_id": 0}, "assignee_id"),
]


@pytest.mark.parametrize(("values", "field"), WRONG)
def test_what_cannot_be_kept_is_said_at_its_field(people: make.People, values: dict[str, Any], field: str) -> None:
    mine = new_customer(people.ann)
    with pytest.raises(Invalid) as refused:
        planned(people.ann, mine, **values)
    assert list(refused.value.fields) == [field]
    task_id = planned(people.ann, mine, due_on=TODAY)
    before = stored(task_id)
    with pytest.raises(Invalid) as refused:
        do(tasks.save, people.ann, customer_id=mine, task_id=task_id, version=1, values=values)
    assert list(refused.value.fields) == [field]
    assert stored(task_id) == before


def test_everybody_who_sees_the_customer_may_have_a_task_and_nobody_else(people: make.People) -> None:
    mine = new_customer(people.ann)
    for viewer in (people.ann, people.mia, people.root):
        names = ask(tasks.assignees, viewer, customer_id=mine)
        assert list(names.items()) == [
            (people.ann.user_id, "Ann"),
            (people.mia.user_id, "Mia"),
            (people.root.user_id, "Root"),
        ]
        for user_id in names:
            planned(viewer, mine, assignee_id=user_id)
    for other in (people.bo, people.cho, people.max, people.ana, people.mark):
        with pytest.raises(Invalid) as refused:
            planned(people.ann, mine, assignee_id=other.user_id)
        assert list(refused.value.fields) == ["assignee_id"]
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.id == people.mia.user_id).values(active=False))
    try:
        with pytest.raises(Invalid):
            planned(people.ann, mine, assignee_id=people.mia.user_id)
    finally:
        with connection.begin_owner() as conn:
            conn.execute(update(schema.users).where(schema.users.c.id == people.mia.user_id).values(active=True))
    assert list(ask(tasks.assignees, people.mia, customer_id=new_customer(people.root)).values()) == [
        "Max",
        "Mia",
        "Root",
    ], "what nobody owns is for managers and administrators"


# --- commands and their undo -----------------------------------------------------------------------------------------


def test_every_command_is_taken_back(people: make.People) -> None:
    mine = new_customer(people.ann)
    task_id = planned(people.ann, mine, due_on=TODAY, due_time=time(9, 30), body="b")
    one = {"customer_id": mine, "task_id": task_id}
    values = {"title": "Other", "due_on": date(2026, 12, 1), "due_time": None, "assignee_id": people.mia.user_id}
    for command, more in (
        (tasks.finish, {}),
        (tasks.postpone, {"due_on": date(2026, 12, 24)}),
        (tasks.save, {"version": None, "values": values}),
        (tasks.delete, {}),
    ):
        before = kept(task_id)
        if "version" in more:
            more["version"] = stored(task_id)["version"]
        set_id = do(command, people.ann, **one, **more)
        assert stored(task_id) is None or kept(task_id) != before, command
        do(undo, people.ann, change_set_id=set_id, source="screen")
        assert kept(task_id) == before, command
    done = do(tasks.finish, people.mia, **one)
    assert (kept(task_id)["done_at"], kept(task_id)["done_by_id"]) == (clock.now(), people.mia.user_id)
    before = kept(task_id)
    again = do(tasks.reopen, people.ann, **one)
    assert kept(task_id)["done_at"] is None
    do(undo, people.ann, change_set_id=again, source="screen")
    assert kept(task_id) == before
    do(undo, people.mia, change_set_id=done, source="screen")
    assert kept(task_id)["done_at"] is None


def test_what_makes_no_sense_is_refused(people: make.People) -> None:
    mine = new_customer(people.ann)
    task_id = planned(people.ann, mine, due_on=TODAY)
    one = {"customer_id": mine, "task_id": task_id}
    with pytest.raises(Invalid, match="not done yet"):
        do(tasks.reopen, people.ann, **one)
    with pytest.raises(Invalid, match="on this day already"):
        do(tasks.postpone, people.ann, **one, due_on=TODAY)
    with pytest.raises(Invalid) as refused:
        do(tasks.postpone, people.ann, **one, due_on=date(3000, 1, 1))
    assert list(refused.value.fields) == ["due_on"]
    do(tasks.finish, people.ann, **one)
    for command, more in ((tasks.finish, {}), (tasks.postpone, {"due_on": date(2026, 12, 1)})):
        with pytest.raises(Invalid, match="done already"):
            do(command, people.ann, **one, **more)
    with pytest.raises(Invalid, match="Unknown field"):
        do(tasks.save, people.ann, **one, version=2, values={"done_by_id": 1})


def test_a_stale_save_shows_both_sides_and_keeps_nothing(people: make.People) -> None:
    mine = new_customer(people.ann)
    task_id = planned(people.ann, mine, due_on=TODAY)
    one = {"customer_id": mine, "task_id": task_id, "version": 1}
    assert do(tasks.save, people.mia, **one, values={"title": "Theirs"}) is not None
    before = stored(task_id)
    with pytest.raises(Conflict) as clash:
        do(tasks.save, people.ann, **one, values={"title": "Mine"})
    assert clash.value.rows == [{"column": "title", "mine": "Mine", "theirs": "Theirs"}]
    assert clash.value.details["version"] == 2
    assert stored(task_id) == before
    assert do(tasks.save, people.ann, **one, values={"title": " Theirs "}) is None, "nothing differs"
    do(tasks.delete, people.mia, customer_id=mine, task_id=task_id)
    with pytest.raises(NotFound):
        do(tasks.save, people.ann, **one | {"version": 2}, values={"title": "Mine"})


# --- rights ----------------------------------------------------------------------------------------------------------


def test_nobody_reaches_anothers_task_by_its_number(people: make.People) -> None:
    theirs, mine = new_customer(people.bo), new_customer(people.ann)
    task_id = planned(people.bo, theirs, due_on=TODAY)
    before = stored(task_id)
    attacks: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (tasks.finish, {}),
        (tasks.reopen, {}),
        (tasks.postpone, {"due_on": date(2026, 12, 1)}),
        (tasks.save, {"version": 1, "values": {"title": "x"}}),
        (tasks.delete, {}),
    ]
    for command, more in attacks:
        for customer_id in (theirs, mine, 2**70):
            for actor in (people.ann, people.max):
                with pytest.raises(NotFound):
                    do(command, actor, customer_id=customer_id, task_id=task_id, **more)
        for masked in (people.ana, people.mark):
            with pytest.raises(Refused):
                do(command, masked, customer_id=theirs, task_id=task_id, **more)
    with pytest.raises(NotFound):
        planned(people.ann, theirs)
    with pytest.raises(NotFound):
        do(tasks.finish, people.bo, customer_id=theirs, task_id=2**70)
    assert stored(task_id) == before
    assert ask(tasks.of_customer, people.ann, customer_id=theirs, today=TODAY).rows.empty
    assert ask(tasks.assignees, people.ann, customer_id=theirs) == {}


def test_after_a_hand_over_the_new_owner_sees_whose_tasks_there_are(people: make.People, alone: None) -> None:
    mine = new_customer(people.ann)
    task_id = planned(people.ann, mine, due_on=TODAY, title="left behind")
    do(customer.assign, people.mia, customer_ids=[mine], owner_id=people.bo.user_id)
    assert ask(tasks.mine, people.ann, today=TODAY).rows.empty, "who sees the customer no longer sees its tasks neither"
    assert ask(tasks.mine, people.bo, today=TODAY).rows.empty
    for shown in (
        ask(tasks.team, people.bo, today=TODAY),
        ask(tasks.of_customer, people.bo, customer_id=mine, today=TODAY),
    ):
        assert shown.rows[["title", "assignee"]].values.tolist() == [["left behind", "Ann"]]
    one = {"customer_id": mine, "task_id": task_id}
    do(tasks.save, people.bo, **one, version=1, values={"title": "kept", "assignee_id": people.ann.user_id})
    with pytest.raises(Invalid):
        do(tasks.add, people.bo, customer_id=mine, title="x", assignee_id=people.ann.user_id)
    do(tasks.save, people.bo, **one, version=2, values={"assignee_id": people.bo.user_id})
    assert ask(tasks.mine, people.bo, today=TODAY).rows["title"].tolist() == ["kept"]
    with pytest.raises(NotFound):
        do(tasks.finish, people.ann, **one)


# --- the timeline ----------------------------------------------------------------------------------------------------


def test_what_was_finished_stands_on_the_timeline_at_the_companys_day(people: make.People) -> None:
    mine = new_customer(people.ann)
    done = planned(people.ann, mine, title="zekret", body="zekret", kind="mail")
    planned(people.ann, mine, title="open")
    do(tasks.finish, people.mia, customer_id=mine, task_id=done)
    late = datetime(2026, 3, 1, 20, tzinfo=UTC)
    with connection.begin_owner() as conn:
        conn.execute(update(schema.tasks).where(schema.tasks.c.id == done).values(done_at=late))
    shown = ask(timeline.timeline, people.ann, customer_id=mine, zone=ZONE, part="tasks")
    [row] = shown.rows.to_dict("records")
    assert (row["title"], row["body"], row["who"], row["outcome"]) == ("zekret", "zekret", "Mia", "mail")
    assert (row["happened_on"], row["happened_at"]) == (date(2026, 3, 2), late)
    assert shown.totals["tasks"] == 1
    masked = ask(timeline.timeline, people.ana, customer_id=mine, zone=ZONE)
    assert masked.totals["tasks"] == 1
    assert "zekret" not in masked.rows.to_csv()
