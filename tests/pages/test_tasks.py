"""The customer page's tasks: added in two clicks, refused with a reason, listed, finished, for the right eyes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from db import connection, customer, schema, tasks
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    TOO_LONG,
    body,
    click,
    control,
    database,
    drawn,
    markup_of,
    said,
    signed_in,
    sound,
    speaking,
)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        yield made


def added(actor: Viewer) -> int:
    with connection.begin(actor, write=True) as conn:
        return customer.add(conn, actor=actor, values={"name": "Start"})[0]


def opened(viewer: Viewer, customer_id: int, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customer", id=str(customer_id), **params))


def stored(customer_id: int) -> list[dict[str, Any]]:
    with connection.begin_owner() as conn:
        query = select(schema.tasks).where(schema.tasks.c.customer_id == customer_id).order_by(schema.tasks.c.id)
        return [dict(row) for row in conn.execute(query).mappings()]


def widget(app: AppTest, name: str, customer_id: int, turn: int = 0) -> Any:
    key = f"customer_task_{name}_{customer_id}_{turn}"
    return next(w for w in [*app.text_input, *app.date_input, *app.selectbox, *app.button_group] if w.key == key)


def save(app: AppTest, customer_id: int, turn: int = 0) -> AppTest:
    return sound(click(app, f"customer_task_save_{customer_id}_{turn}"))


def test_the_next_task_in_two_clicks_and_taken_back(people: make.People) -> None:
    mine = added(people.ann)
    app = save(opened(people.ann, mine, customer_tab="tasks"), mine)
    [row] = stored(mine)
    assert (row["title"], row["kind"], row["due_on"]) == ("Phone call", "call", date(2026, 11, 21))
    assert (row["assignee_id"], row["author_id"]) == (people.ann.user_id, people.ann.user_id)
    assert "1 open · 0 done" in body(app)
    assert "due tomorrow · Ann" in body(app)
    assert "Task added." in body(app)
    assert widget(app, "title", mine, 1).value == ""
    sound(click(app, "kehu_undo_button"))
    assert stored(mine) == []
    assert "Nothing is to be done here. Add the next task with the button above." in body(app)


def test_everything_can_be_said_and_the_day_wins_over_the_word(people: make.People) -> None:
    mine = added(people.ann)
    app = opened(people.ann, mine)
    with speaking("en"):
        widget(app, "kind", mine).set_value("meeting")
        widget(app, "due", mine).set_value("next_week")
        widget(app, "day", mine).set_value(date(2026, 12, 24))
        widget(app, "title", mine).set_value("Tea")
        widget(app, "who", mine).set_value(people.mia.user_id)
        save(app, mine)
    [row] = stored(mine)
    assert (row["title"], row["kind"], row["due_on"]) == ("Tea", "meeting", date(2026, 12, 24))
    assert row["assignee_id"] == people.mia.user_id
    assert "Mia, from Ann" in body(opened(people.ann, mine, customer_tab="tasks"))


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_whatever_is_typed_is_text(people: make.People, typed: str) -> None:
    mine = added(people.ann)
    app = opened(people.ann, mine, customer_tab="tasks")
    widget(app, "title", mine).set_value(typed)
    save(app, mine)
    assert stored(mine)[0]["title"] == HOSTILE[typed]
    assert markup_of(app, HOSTILE[typed]) == []
    sound(click(app, f"customer_task_finish_{stored(mine)[0]['id']}"))
    assert markup_of(app, HOSTILE[typed]) == []
    for tab in ("timeline", "history"):
        assert markup_of(opened(people.ann, mine, customer_tab=tab), HOSTILE[typed]) == []


def test_a_refused_task_says_why_and_keeps_what_was_typed(people: make.People) -> None:
    mine = added(people.ann)
    app = opened(people.ann, mine)
    widget(app, "title", mine).set_value(TOO_LONG)
    save(app, mine)
    assert "10,001 characters are too many; at most 200." in said(app)
    assert stored(mine) == []
    assert widget(app, "title", mine).value == TOO_LONG
    widget(app, "title", mine).set_value("short")
    save(app, mine)
    assert [row["title"] for row in stored(mine)] == ["short"]


def test_finished_tasks_have_their_list_and_stand_on_the_timeline(people: make.People) -> None:
    mine = added(people.ann)
    app = opened(people.ann, mine, customer_tab="tasks")
    widget(app, "title", mine).set_value("Tea")
    save(app, mine)
    [row] = stored(mine)
    sound(click(app, f"customer_task_finish_{row['id']}"))
    assert "0 open · 1 done" in body(app)
    with speaking("en"):
        control(app, "customer_tasks").set_value("done")
        sound(app.run())
    assert "~~Tea~~" in body(app)
    shown = body(opened(people.ann, mine, customer_part="tasks"))
    assert "Task finished · Phone call" in shown
    assert "Tea" in shown
    history = said(opened(people.ann, mine, customer_tab="history"))
    assert "Task finished" in history
    assert "Done: no → yes" in history
    assert "Done by: – → Ann" in history


def test_who_may_not_sees_no_tasks_and_no_form(people: make.People) -> None:
    mine = added(people.ann)
    with connection.begin(people.ann, write=True) as conn:
        tasks.add(conn, actor=people.ann, customer_id=mine, title="zekret")
    for viewer in (people.ana, people.mark):
        app = opened(viewer, mine, customer_tab="tasks")
        assert "Your role does not see tasks." in body(app)
        assert "zekret" not in body(app)
        assert not drawn(app, f"customer_task_{mine}_0")
