"""What happened with a customer: talks logged and taken back, and the one list of everything, for the right eyes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from db import clock, connection, customer, event_words, interactions, schema, tasks, timeline
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make

ZONE = "Asia/Shanghai"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"timeline_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **stamps))
        yield make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def shown(viewer: Viewer, customer_id: int, **values: Any) -> timeline.Timeline:
    with begin(viewer) as conn:
        return timeline.timeline(conn, viewer=viewer, customer_id=customer_id, zone=ZONE, **values)


def added(actor: Viewer) -> int:
    return int(do(customer.add, actor, values={"name": "张三"})[0])


def logged(actor: Viewer, customer_id: int, **values: Any) -> int:
    return int(do(interactions.log, actor, customer_id=customer_id, **{"kind": "call", "body": "said", **values}))


def bought(conn: Connection, customer_id: int, day: date) -> None:
    at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    conn.execute(
        insert(schema.orders).values(
            customer_id=customer_id, placed_at=at, placed_on=day, currency="USD", amount=12, lines=2, store="S"
        )
    )


def campaign(conn: Connection, customer_id: int, received: date, redeemed: date | None) -> None:
    now = clock.now()
    made = insert(schema.campaigns).values(
        name=f"C {customer_id}", starts_on=received, ends_on=received, created_at=now, updated_at=now
    )
    campaign_id = conn.scalar(made.returning(schema.campaigns.c.id))
    member = {"customer_id": customer_id, "campaign_id": campaign_id, "received_on": received}
    conn.execute(insert(schema.campaign_members).values(**member, first_redeemed_on=redeemed))


# --- talks -----------------------------------------------------------------------------------------------------------


def test_a_call_is_kept_with_all_that_was_said_and_can_be_taken_back(people: make.People) -> None:
    mine = added(people.ann)
    at = datetime(2026, 10, 1, 17, 30, tzinfo=UTC)
    set_id = logged(
        people.ann,
        mine,
        happened_at=at,
        direction="out",
        minutes=12,
        outcome="call_back",
        subject="  Tea\u200b offer ",
        body="回电话\r\n明天",
    )
    [row] = shown(people.ann, mine, part="talks").rows.to_dict("records")
    assert (row["kind"], row["direction"], row["minutes"], row["outcome"]) == ("call", "out", 12, "call_back")
    assert (row["title"], row["body"], row["who"]) == ("Tea offer", "回电话\n明天", "Ann")
    with begin(people.ann) as conn:
        day = select(schema.interactions.c.happened_on).where(schema.interactions.c.customer_id == mine)
        assert conn.scalar(day) == date(2026, 10, 2), "in the company's time zone it was the next day"
    do(undo, people.ann, change_set_id=set_id, source="screen")
    assert shown(people.ann, mine, part="talks").rows.empty


def test_a_deleted_talk_comes_back_with_its_number(people: make.People) -> None:
    mine = added(people.ann)
    logged(people.ann, mine, body="first")
    number = int(shown(people.ann, mine, part="talks").rows["id"][0])
    gone = do(interactions.delete, people.ann, customer_id=mine, interaction_id=number)
    assert shown(people.ann, mine).totals["talks"] == 0
    do(undo, people.ann, change_set_id=gone, source="screen")
    again = shown(people.ann, mine, part="talks").rows
    assert again["id"].tolist() == [number]
    assert again["body"].tolist() == ["first"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "visit"}, "kind"),
        ({"direction": "up"}, "direction"),
        ({"outcome": "fine"}, "outcome"),
        ({"minutes": -1}, "minutes"),
        ({"minutes": 1441}, "minutes"),
        ({"body": " \u200b\n"}, "body"),
        ({"body": "x" * (event_words.MOST_BODY + 1)}, "body"),
        ({"subject": "x" * 201}, "subject"),
        ({"happened_at": datetime(2199, 1, 1, tzinfo=UTC)}, "happened_at"),
    ],
)
def test_what_cannot_be_logged_is_said_at_its_field(people: make.People, values: dict[str, Any], field: str) -> None:
    mine = added(people.ann)
    with pytest.raises(Invalid) as refused:
        logged(people.ann, mine, **values)
    assert list(refused.value.fields) == [field]
    assert shown(people.ann, mine).totals["talks"] == 0


def test_an_outcome_alone_is_enough_and_now_is_when_it_happened(people: make.People) -> None:
    mine = added(people.ann)
    before = clock.now()
    logged(people.ann, mine, body="", outcome="no_answer")
    [at] = shown(people.ann, mine, part="talks").rows["happened_at"]
    assert before <= at <= clock.now() + timedelta(seconds=1)


def test_nobody_logs_at_anothers_customer_or_without_the_right(people: make.People) -> None:
    others = added(people.bo)
    with pytest.raises(NotFound):
        logged(people.ann, others)
    with pytest.raises(Refused):
        logged(people.ana, others)
    logged(people.bo, others)
    number = int(shown(people.bo, others, part="talks").rows["id"][0])
    with pytest.raises(NotFound):
        do(interactions.delete, people.ann, customer_id=others, interaction_id=number)
    assert shown(people.bo, others).totals["talks"] == 1
    assert shown(people.ann, others).rows.empty
    assert set(shown(people.ann, others).totals.values()) == {0}


# --- everything in one list ------------------------------------------------------------------------------------------


def test_everything_stands_in_one_list_newest_first(people: make.People) -> None:
    mine = added(people.ann)
    with connection.begin_owner() as conn:
        for day in (date(2026, 3, 1), date(2026, 5, 1)):
            bought(conn, mine, day)
        campaign(conn, mine, date(2026, 4, 1), date(2026, 4, 20))
    logged(people.ann, mine, kind="meeting", happened_at=datetime(2026, 4, 20, 8, tzinfo=UTC), body="met")
    do(customer.add_note, people.ann, customer_id=mine, body="likes tea")
    found = shown(people.ann, mine)
    kinds = found.rows["kind"].tolist()
    # Today: the note, and that the customer was added; then by day, what has no time of day last.
    assert sorted(kinds[:2]) == ["customer.add", "note"]
    assert kinds[2:] == ["order", "meeting", "redeemed", "received", "order"]
    assert found.totals == {"orders": 2, "talks": 1, "notes": 1, "tasks": 0, "campaigns": 2, "changes": 1}


def test_what_stands_there_itself_is_not_told_as_a_change_too(people: make.People) -> None:
    mine = added(people.ann)
    do(tasks.add, people.ann, customer_id=mine, title="x")
    with connection.begin_owner() as conn:
        task = conn.scalar(select(schema.tasks.c.id).where(schema.tasks.c.customer_id == mine))
    do(tasks.finish, people.ann, customer_id=mine, task_id=task)
    for kind in event_words.KIND_NAMES:
        logged(people.ann, mine, kind=kind)
    note = do(customer.add_note, people.ann, customer_id=mine, body="likes tea")
    with begin(people.ann, write=True) as conn:
        undo(conn, actor=people.ann, change_set_id=note, source="screen")
    found = shown(people.ann, mine)
    changed = ["customer.add", "task.add", "note.add"]  # the last is the undo
    assert sorted(found.rows["kind"]) == sorted([*changed, "task", *event_words.KIND_NAMES])
    assert found.rows.set_index("kind").loc[changed, "lines"].tolist() == [0, 0, 1]
    assert found.totals["changes"] == 3


def test_pages_cut_the_same_list_and_each_part_is_what_the_list_holds_of_it(people: make.People) -> None:
    mine = added(people.ann)
    with connection.begin_owner() as conn:
        for n in range(25):
            bought(conn, mine, date(2026, 1, 1) + timedelta(days=n // 2))
        campaign(conn, mine, date(2026, 1, 5), None)
    for n in range(7):
        logged(people.ann, mine, happened_at=datetime(2026, 1, 1 + n, tzinfo=UTC), body=f"call {n}")
    whole = shown(people.ann, mine, limit=500).rows
    assert len(whole) == sum(shown(people.ann, mine).totals.values()) == 25 + 7 + 1 + 1
    pieces = [shown(people.ann, mine, offset=at, limit=4).rows for at in range(0, len(whole), 4)]
    keys = ["part", "id", "kind"]
    assert [tuple(row) for piece in pieces for row in piece[keys].values] == [tuple(r) for r in whole[keys].values]
    for part, total in shown(people.ann, mine).totals.items():
        alone = shown(people.ann, mine, part=part, limit=500).rows
        assert len(alone) == total
        assert [tuple(r) for r in alone[keys].values] == [tuple(r) for r in whole[whole["part"] == part][keys].values]


def test_a_part_that_is_none_is_refused(people: make.People) -> None:
    with pytest.raises(Invalid, match="orders, talks, notes"):
        shown(people.ann, added(people.ann), part="deals")


def test_masked_roles_see_that_something_happened_and_nothing_of_what_was_said(people: make.People) -> None:
    mine = added(people.ann)
    logged(people.ann, mine, subject="zekret", body="zekret", outcome="reached")
    do(customer.add_note, people.ann, customer_id=mine, body="zekret")
    found = shown(people.ana, mine)
    assert found.totals["talks"] == found.totals["notes"] == 1
    assert "reached" in found.rows["outcome"].tolist()
    assert "zekret" not in found.rows.to_csv()


def test_two_statements_whatever_there_is(people: make.People) -> None:
    mine = added(people.ann)
    logged(people.ann, mine)
    sent: list[str] = []
    with begin(people.ann) as conn:
        event.listen(conn, "before_cursor_execute", lambda *args: sent.append(args[2]))
        timeline.timeline(conn, viewer=people.ann, customer_id=mine, zone=ZONE)
    assert len(sent) == 2
