"""Today: one's tasks by day with what one can do about them, the team's, quiet and recent customers, the search."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from components import data, task_form, visit
from db import clock, connection, customer, derived, schema, tasks
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    body,
    click,
    control,
    database,
    drawn,
    markup_of,
    said,
    sign_in,
    signed_in,
    sound,
    speaking,
    visitor,
    where,
    words,
)

ZONE = "Asia/Shanghai"
TODAY = date(2026, 11, 20)
"""23:00 in Shanghai when it is 15:00 in London."""
PHONE = "+86 138 0013 8000"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        with connection.begin_owner() as conn:
            conn.execute(insert(schema.settings).values(key="time_zone", value=ZONE, **stamps))
        yield made


@pytest.fixture(autouse=True)
def nothing_to_do(people: make.People) -> None:
    with connection.begin(people.root, write=True) as conn:
        rows = conn.execute(select(schema.tasks.c.customer_id, schema.tasks.c.id)).all()
        for customer_id, task_id in rows:
            tasks.delete(conn, actor=people.root, customer_id=customer_id, task_id=task_id)


def added(actor: Viewer, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        return customer.add(conn, actor=actor, values={"name": "王小明", "phone": PHONE, **values})[0]


def planned(actor: Viewer, customer_id: int, title: str, days: int | None = 0, whose: Viewer | None = None) -> int:
    """A task so many days from today; gives its number."""
    with connection.begin(actor, write=True) as conn:
        due_on = None if days is None else TODAY + timedelta(days=days)
        assignee_id = (whose or actor).user_id
        set_id = tasks.add(
            conn, actor=actor, customer_id=customer_id, title=title, due_on=due_on, assignee_id=assignee_id
        )
        of_set = schema.changes.c.change_set_id == set_id
        return int(conn.scalars(select(schema.changes.c.row_id).where(of_set)).one())


def stored(task_id: int) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        return dict(conn.execute(select(schema.tasks).where(schema.tasks.c.id == task_id)).mappings().one())


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "today", **params))


def chosen(app: AppTest, task_id: int, what: str) -> None:
    """Choose from the menu of a task; not run yet."""
    with speaking("en"):
        app.menu_button(key=f"today_task_more_{task_id}").set_value(what)


def more(app: AppTest, task_id: int, what: str) -> AppTest:
    """Choose from the menu of a task."""
    chosen(app, task_id, what)
    return app.run()


def titles(app: AppTest) -> list[str]:
    """Headings and titles in the order in which they stand."""
    bold = [text.value for text in app.main.columns[0].markdown if "**" in text.value]
    return [text.split("**")[1] for text in bold]


def test_my_day_lists_what_is_due_under_its_names(people: make.People) -> None:
    mine = added(people.ann)
    for title, days in (("late", -3), ("now", 0), ("soon", 2), ("far", 30), ("some time", None)):
        planned(people.ann, mine, title, days)
    planned(people.mia, mine, "mia's")
    app = opened(people.ann)
    assert titles(app) == [
        *("Overdue", "late", "Due today", "now", "Next 7 days", "soon", "Later", "far", "Without a day", "some time"),
    ]
    assert "Good evening, Ann" in body(app)
    assert "Friday, November 20, 2026 · Overdue 1 · Due today 1 · Next 7 days 1 · Later 1 · Without a day 1" in body(
        app
    )
    assert ":red[3 days overdue] · Ann" in body(app)
    assert "tel:+8613800138000" in body(app)
    assert "1–5 of 5" in body(app)
    late = opened(people.ann, today_due="overdue")
    assert titles(late) == ["Overdue", "late"]


def test_one_click_finishes_and_one_puts_off_and_both_are_taken_back(people: make.People) -> None:
    mine = added(people.ann)
    task_id = planned(people.ann, mine, "*call* <b>", -1)
    app = opened(people.ann)
    assert markup_of(app, "*call* <b>") == []
    sound(click(app, f"today_task_tomorrow_{task_id}"))
    assert stored(task_id)["due_on"] == TODAY + timedelta(days=1)
    assert "Moved to Nov 21, 2026: *call* <b>" in said(app)
    sound(click(app, "kehu_undo_button"))
    assert stored(task_id)["due_on"] == TODAY - timedelta(days=1)
    sound(more(app, task_id, "next_week"))
    assert stored(task_id)["due_on"] == date(2026, 11, 23), "the Monday"
    sound(click(app, f"today_task_finish_{task_id}"))
    assert (stored(task_id)["done_at"], stored(task_id)["done_by_id"]) == (clock.now(), people.ann.user_id)
    assert "Done: *call* <b>" in said(app)
    assert not drawn(app, f"today_task_finish_{task_id}")
    sound(click(app, "kehu_undo_button"))
    assert stored(task_id)["done_at"] is None
    sound(click(app, f"today_task_finish_{task_id}"))
    with speaking("en"):
        control(app, "today_due").set_value("done")
        sound(app.run())
    sound(click(app, f"today_task_reopen_{task_id}"))
    assert stored(task_id)["done_at"] is None
    with speaking("en"):
        control(app, "today_due").set_value("")
        sound(app.run())
    sound(more(app, task_id, "delete"))
    assert "Task deleted: *call* <b>" in said(app)
    sound(click(app, "kehu_undo_button"))
    assert stored(task_id)["title"] == "*call* <b>"


def test_finished_meanwhile_by_somebody_else(people: make.People) -> None:
    mine = added(people.ann)
    task_id = planned(people.ann, mine, "call")
    app = opened(people.ann)
    with connection.begin(people.mia, write=True) as conn:
        tasks.finish(conn, actor=people.mia, customer_id=mine, task_id=task_id)
    sound(click(app, f"today_task_finish_{task_id}"))
    assert "This task is done already." in body(app) or not drawn(app, f"today_task_finish_{task_id}")
    assert stored(task_id)["done_by_id"] == people.mia.user_id


def edit(app: AppTest, task_id: int, **typed: Any) -> AppTest:
    """Open the form, type and save. AppTest forgets an open dialog in the next run: press both buttons."""
    key = f"today_task_edit_{task_id}_{stored(task_id)['version']}"
    if not drawn(app, f"{key}_save"):
        sound(more(app, task_id, "edit"))
    fields = [*app.text_input, *app.date_input, *app.selectbox, *app.time_input, *app.text_area]
    for name, value in typed.items():
        next(field for field in fields if field.key == f"{key}_{name}").set_value(value)
    chosen(app, task_id, "edit")
    app.button(key=f"{key}_save").click()
    return sound(app.run())


def told(app: AppTest) -> str:
    """With what a dialog says."""
    return words(app).replace("\\", "").replace("\u2060", "")


def test_an_edit_is_saved_and_taken_back(people: make.People) -> None:
    mine = added(people.ann)
    task_id = planned(people.ann, mine, "call")
    app = edit(opened(people.ann), task_id, title=" ")
    assert "In a few words: Say in a few words what is to be done." in told(app).replace("*", "")
    assert "Nothing had changed, so nothing was saved." in told(edit(app, task_id, title=" call "))
    app = edit(app, task_id, title="Mine", due_time=time(9, 30), who=people.mia.user_id, body="b")
    row = stored(task_id)
    assert (row["title"], row["due_time"], row["body"]) == ("Mine", time(9, 30), "b")
    assert row["assignee_id"] == people.mia.user_id
    assert "Task saved." in body(app)
    assert titles(app) == [], "it is Mia's now"
    assert "due today 09:30 · Mia, from Ann" in body(opened(people.mia))
    sound(click(app, "kehu_undo_button"))
    row = stored(task_id)
    assert (row["title"], row["due_time"], row["assignee_id"]) == ("call", None, people.ann.user_id)


def test_a_stale_edit_shows_both_sides_and_saves_nothing(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = added(people.ann)
    task_id = planned(people.ann, mine, "call")
    form = task_form.edit

    def while_somebody_saves(*args: Any, **options: Any) -> dict[str, Any] | None:
        typed = form(*args, **options)
        if typed is not None:
            theirs = {"title": "Theirs <b>", "assignee_id": people.mia.user_id}
            with connection.begin(people.mia, write=True) as conn:
                tasks.save(conn, actor=people.mia, customer_id=mine, task_id=task_id, version=1, values=theirs)
        return typed

    monkeypatch.setattr(task_form, "edit", while_somebody_saves)
    app = edit(opened(people.ann), task_id, title="Mine", due_on=date(2026, 12, 24))
    assert "Somebody changed this task while you were editing." in told(app)
    assert "yours: Mine; there now: Theirs <b>" in told(app)
    assert "yours: 2026-12-24; there now: 2026-11-20" in told(app)
    assert markup_of(app, "Theirs <b>") == []
    assert (stored(task_id)["title"], stored(task_id)["due_on"]) == ("Theirs <b>", TODAY)


def test_the_team_for_who_leads_one_and_each_of_its_people(people: make.People) -> None:
    of_ann, of_bo = added(people.ann), added(people.bo)
    planned(people.ann, of_ann, "ann's")
    planned(people.mia, of_bo, "from mia", whose=people.bo)
    app = opened(people.mia)
    with speaking("en"):
        control(app, "today_whose").set_value("mine")
        sound(app.run())
    assert titles(app) == []
    assert "No open tasks." in body(app)
    assert app.query_params == {"today_whose": "mine"}
    app = opened(people.mia)  # who leads others begins with what is to be done by them
    assert titles(app) == ["Due today", "ann's", "from mia"]
    assert "due today · Bo, from Mia" in body(app)
    with speaking("en"):
        control(app, "today_person").set_value(str(people.bo.user_id))
        sound(app.run())
    assert titles(app) == ["Due today", "from mia"]
    assert app.query_params == {"today_person": str(people.bo.user_id)}


def test_who_sells_sees_what_others_left_at_their_customers(people: make.People) -> None:
    mine = added(people.ann)
    planned(people.ann, mine, "left behind")
    with connection.begin(people.mia, write=True) as conn:
        customer.assign(conn, actor=people.mia, customer_ids=[mine], owner_id=people.bo.user_id)
    assert titles(opened(people.ann)) == titles(opened(people.bo)) == []
    app = opened(people.bo, today_whose="team", today_person=str(people.ann.user_id))
    assert titles(app) == ["Due today", "left behind"]
    assert "due today · Ann" in body(app)
    assert not drawn(app, "today_person_en")


def test_long_lists_have_pages(people: make.People) -> None:
    mine = added(people.ann)
    for n in range(23):
        planned(people.ann, mine, f"t{n:02}", n)
    assert "1–20 of 23" in body(opened(people.ann))
    second = opened(people.ann, today_page="2")
    assert titles(second) == ["Later", "t20", "t21", "t22"]
    assert "21–23 of 23" in body(second)
    assert "1–20 of 23" in body(opened(people.ann, today_page="9"))


def test_quiet_and_recent_customers_lead_on(people: make.People) -> None:
    with connection.begin_owner() as conn:
        quiet = make.customer(conn, people.cho.user_id, name="Quiet <b>", phone=PHONE)
        make.order(conn, quiet, TODAY - timedelta(days=61), "12.50")
        derived.rebuild(conn)
    added(people.cho, name="Recent")
    app = opened(people.cho)
    assert "$12.50 · last order 61 days ago" in said(app)
    assert "Customer added · 2026-11-20 23:00" in said(app)
    assert markup_of(app, "Quiet <b>") == []
    nobody = opened(people.max)
    assert "None of these customers who used to buy has been quiet for 60 days." in body(nobody)
    assert "The customers you talk to or change appear here." in body(nobody)
    his = opened(people.max, today_whose="team", today_person=str(people.cho.user_id))
    assert "last order 61 days ago" in body(his)


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_the_search_leads_to_the_list_with_the_words(people: make.People, typed: str) -> None:
    app = opened(people.ann)
    app.text_input(key="today_words").set_value(typed)
    sound(click(app, "today_search"))
    assert where(app) == "customers"
    assert app.query_params["customers_search"] == typed.strip()


def test_an_empty_search_stays(people: make.People) -> None:
    app = opened(people.ann)
    app.text_input(key="today_words").set_value("  ")
    assert where(sound(click(app, "today_search"))) == "today"


def test_who_sells_begins_here_unless_a_link_was_followed(people: make.People) -> None:
    def came(viewer: Viewer, path: str, **params: str) -> str:
        app = visitor(path, **params)
        app.session_state[visit.ARRIVED] = True
        app = sound(sign_in(app, viewer))
        assert visit.ARRIVED not in app.session_state
        return where(app)

    assert came(people.ann, "overview") == "today"
    assert came(people.ann, "overview", overview_period="all") == "overview"
    assert came(people.ann, "customers") == "customers"
    for viewer in (people.mia, people.ana, people.root):
        assert came(viewer, "overview") == "overview"
    app = signed_in(people.ann, "overview")
    assert where(app) == "overview", "whoever was signed in already has chosen it"


def test_a_handful_of_statements_whatever_there_is_to_do(people: make.People) -> None:
    mine = added(people.ann)
    opened(people.ann)
    few = data.queries()
    for n in range(15):
        planned(people.ann, mine, f"t{n}")
    opened(people.ann)
    assert data.queries() <= few <= 10
