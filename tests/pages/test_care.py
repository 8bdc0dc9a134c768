"""On a customer's page: when the next purchase is due, drafts, the next task, everything since, and who sees it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from db import connection, customer, derived, drafts, schema, scores
from db.embedded import Server
from db.permissions import NOBODY, Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    body,
    click,
    count,
    database,
    drawn,
    markup_of,
    metrics,
    said,
    signed_in,
    sound,
    where,
    within_run,
)

RECORD = ("change_sets", "changes", "customers", "notes", "interactions", "tasks")


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        yield made


def opened(viewer: Viewer, customer_id: int, tab: str = "timeline", **more: str) -> AppTest:
    params = {"id": str(customer_id)} | ({} if tab == "timeline" else {"customer_tab": tab})
    return sound(signed_in(viewer, "customer", **params, **more))


def added(actor: Viewer, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        return customer.add(conn, actor=actor, values={"name": "Start", **values})[0]


def saved(actor: Viewer, customer_id: int, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        version = stored(customer_id)["version"]
        done = customer.save(conn, actor=actor, customer_id=customer_id, version=version, values=values)
    assert done.change_set_id
    return done.change_set_id


def stored(customer_id: int) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        query = select(schema.customers).where(schema.customers.c.id == customer_id)
        return dict(conn.execute(query).mappings().one())


def bought(owner: Viewer, *days: date) -> int:
    with connection.begin_owner() as conn:
        made = make.customer(conn, owner.user_id)
        for day in days:
            order_id = make.order(conn, made, day)
        if days:
            for category, amount in (("TEA *x*", "3"), ("INK", "1")):
                product = {"sku": f"{made} {category}", "name": "x", "category": category}
                product_id = conn.scalar(insert(schema.products).values(**product).returning(schema.products.c.id))
                line = {"product_id": product_id, "quantity": 1, "amount": amount}
                conn.execute(insert(schema.order_items).values(customer_id=made, order_id=order_id, **line))
        derived.rebuild(conn)
        scores.refresh(conn)
    return made


def field(app: AppTest, part: str) -> Any:
    [found] = [w for w in (*app.text_input, *app.text_area, *app.number_input) if part in str(w.key)]
    return found


def button(app: AppTest, part: str) -> Any:
    [found] = [b for b in app.button if part in str(b.key)]
    return found


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ann", "ana"])
def test_when_the_next_purchase_is_due(people: make.People, who: str) -> None:
    viewer = getattr(people, who)
    late = bought(people.ann, date(2026, 10, 1), date(2026, 10, 8), date(2026, 10, 15))
    app = opened(viewer, late)
    assert (metrics(app)["Buys every"], metrics(app)["Next purchase due"]) == ("7 days", "Oct 22")
    [card] = [card for card in app.main.metric if card.label == "Next purchase due"]
    assert (card.delta, card.proto.color) == ("overdue by 29 days", card.proto.ORANGE)
    soon = bought(people.ann, date(2026, 11, 10), date(2026, 11, 14), date(2026, 11, 18))
    [card] = [card for card in opened(viewer, soon).main.metric if card.label == "Next purchase due"]
    assert (card.value, card.delta) == ("Nov 22", "in 2 days")
    today = bought(people.ann, date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 18), date(2026, 11, 19))
    assert "due today" in body(opened(viewer, today))


def test_little_is_known_of_one_order_and_nothing_of_none(people: make.People) -> None:
    app = opened(people.ann, bought(people.ann, date(2026, 10, 1)))
    assert (metrics(app)["Buys every"], metrics(app)["Next purchase due"]) == ("not known yet", "not known yet")
    assert "Beside all customers: recency " in body(app)
    app = opened(people.ann, bought(people.ann))
    assert (metrics(app)["Buys every"], metrics(app)["Next purchase due"]) == ("not known yet", "not known yet")
    assert "Beside all customers" not in body(app)


def test_interests_stand_in_the_portrait(people: make.People) -> None:
    customer_id = bought(people.bo, date(2026, 10, 1))
    for viewer in (people.bo, people.mark):
        app = opened(viewer, customer_id, "details")
        assert "Tea *X* 75.0% · Ink 25.0%" in [text.value for text in app.text]
        assert markup_of(app, "Tea *X*") == []
    assert "Interests" not in [c.value for c in opened(people.bo, bought(people.bo), "details").main.caption]


# --- who sees it -----------------------------------------------------------------------------------------------------


def test_everybody_reads_who_sees_a_customer_and_why(people: make.People) -> None:
    customer_id = added(people.ann)
    owned = "Ann (Team 1) owns this customer; the managers of Team 1 see it too. So do administrators;"
    reasons = {
        "ann": "owns the customer",
        "mia": "manages the owner's team",
        "root": "sees everything, as an administrator",
        "ana": "sees all customers, without names and contacts",
    }
    for who, reason in reasons.items():
        app = opened(getattr(people, who), customer_id, "details")
        assert owned in said(app)
        assert f"Why you see it: {reason}." in said(app)
        [line] = [caption.value for caption in app.main.caption if "owns this customer" in caption.value]
        assert not any(name in line for name in ("Mia", "Max", "Root", "Mark", "Bo"))
    with connection.begin_owner() as conn:
        nobodys = make.customer(conn, NOBODY)
    app = opened(people.max, nobodys, "details")
    assert "Nobody owns this customer, so every manager sees it." in said(app)
    assert "Why you see it: nobody owns the customer, and managers see those." in said(app)


# --- talks, drafts, the next task ------------------------------------------------------------------------------------


def draft(viewer: Viewer, form: str) -> dict[str, Any] | None:
    found = within_run(viewer, drafts.get, form=form)
    return found.values if found else None


def with_the_form_open(viewer: Viewer, customer_id: int) -> AppTest:
    app = opened(viewer, customer_id)
    app.session_state[f"customer_talk_{customer_id}_0"] = True
    return sound(app.run())


def test_a_talk_survives_a_closed_tab(people: make.People) -> None:
    customer_id = added(people.ann)
    form, hostile = f"talk:{customer_id}", next(iter(HOSTILE))
    app = with_the_form_open(people.ann, customer_id)
    assert draft(people.ann, form) is None
    [kind] = [group for group in app.button_group if "_talk_kind_" in str(group.key)]
    kind.set_value("mail")
    sound(app.run())
    assert draft(people.ann, form) is None, "a choice alone is no draft"
    field(app, "_talk_body_").set_value(hostile)
    field(app, "_talk_minutes_").set_value(7)
    sound(app.run())
    assert draft(people.ann, form) == {"kind": "mail", "direction": "out", "body": hostile, "minutes": 7}
    assert "Kept as a draft; only you can see it." in body(app)

    other = with_the_form_open(people.ann, customer_id)  # another tab
    assert "You began this on 2026-11-20 15:00 and did not save it." in body(other)
    assert not [area for area in other.text_area if "_talk_body_" in str(area.key)]
    sound(button(other, "_draft_continue").click().run())
    assert (field(other, "_talk_body_").value, field(other, "_talk_minutes_").value) == (hostile, 7)
    sound(button(other, "_talk_save_").click().run())
    assert draft(people.ann, form) is None
    with connection.begin_owner() as conn:
        i = schema.interactions.c
        row = conn.execute(select(i.kind, i.outcome, i.minutes, i.body).where(i.customer_id == customer_id)).one()
    assert tuple(row) == ("mail", "", 7, hostile)
    assert draft(people.mia, form) is None, "nobody else's"


def test_a_draft_is_thrown_away_or_passed_by(people: make.People) -> None:
    customer_id = added(people.ann)
    for name in ("one", "two"):
        app = with_the_form_open(people.ann, customer_id)
        if name == "one":
            field(app, "_talk_subject_").set_value("x")
            sound(app.run())
            continue
        before = count("interactions")
        sound(button(app, "_talk_outcome_no_answer_").click().run())  # two clicks, whatever was begun
        assert count("interactions") == (before[0] + 1,)
        assert draft(people.ann, f"talk:{customer_id}") is not None
    app = with_the_form_open(people.ann, customer_id)
    sound(button(app, "_draft_discard").click().run())
    assert draft(people.ann, f"talk:{customer_id}") is None
    assert field(app, "_talk_subject_").value == ""


def test_a_note_survives_a_closed_tab(people: make.People) -> None:
    customer_id = added(people.ann)
    form = f"note:{customer_id}"
    app = opened(people.ann, customer_id, "notes")
    field(app, "customer_note_body").set_value("half a *note*")
    sound(app.run())
    assert draft(people.ann, form) == {"body": "half a *note*"}
    other = opened(people.ann, customer_id, "notes")
    assert "You began this on" in body(other)
    sound(button(other, "_draft_continue").click().run())
    assert field(other, "customer_note_body").value == "half a *note*"
    sound(click(other, "customer_note_add"))
    assert draft(people.ann, form) is None
    assert field(other, "customer_note_body").value == ""
    assert [text.value for text in other.main.text] == ["half a *note*"]


@pytest.mark.parametrize(
    ("outcome", "offered", "due"),
    [
        ("call_back", "Add task: Call back, tomorrow", date(2026, 11, 21)),
        ("no_answer", "Add task: Call again, tomorrow", date(2026, 11, 21)),
        ("interested", "Add task: Follow up, Nov 23, 2026", date(2026, 11, 23)),
        ("reached", "", None),
        ("not_interested", "", None),
    ],
)
def test_a_click_saves_a_call_and_another_the_next_task(
    people: make.People, outcome: str, offered: str, due: date | None
) -> None:
    customer_id = added(people.ann)
    app = sound(button(opened(people.ann, customer_id), f"_talk_outcome_{outcome}_").click().run())
    assert "Saved to the timeline." in body(app)
    if not offered:
        assert not drawn(app, "customer_next_task_add")
        return
    assert app.button(key="customer_next_task_add").label == offered
    sound(click(app, "customer_next_task_add"))
    with connection.begin_owner() as conn:
        t = schema.tasks.c
        rows = conn.execute(select(t.kind, t.due_on, t.assignee_id).where(t.customer_id == customer_id)).all()
    assert [tuple(row) for row in rows] == [("call", due, people.ann.user_id)]
    assert not drawn(app, "customer_next_task_add")


def test_the_offer_is_hidden_and_of_one_customer(people: make.People) -> None:
    customer_id, other = added(people.ann), added(people.ann)
    app = sound(button(opened(people.ann, customer_id), "_talk_outcome_call_back_").click().run())
    app.query_params["id"] = str(other)
    assert not drawn(sound(app.run()), "customer_next_task_add")
    app = sound(button(opened(people.ann, customer_id), "_talk_outcome_call_back_").click().run())
    before = count("tasks")
    sound(click(app, "customer_next_task_hide"))
    assert not drawn(sound(app.run()), "customer_next_task_add")
    assert count("tasks") == before


# --- everything since ------------------------------------------------------------------------------------------------


def test_everything_since_is_shown_then_taken_back_then_done_again(people: make.People) -> None:
    customer_id = added(people.ann, city="Rome")
    first = saved(people.ann, customer_id, city="Oslo")
    with connection.begin(people.mia, write=True) as conn:
        customer.add_note(conn, actor=people.mia, customer_id=customer_id, body="x")
    last = saved(people.ann, customer_id, company="<b>Z</b>", city="Bonn")
    app = opened(people.ann, customer_id, "history")
    assert not drawn(app, f"customer_since_{last}"), "nothing is after the newest"
    before = count(*RECORD)
    sound(click(app, f"customer_since_{first}"))
    assert count(*RECORD) == before
    assert f"Take back everything since change #{first}" in body(app)
    told = [text.value for text in app.main.text][:2]
    assert sorted(told) == ["City: Bonn → Rome", "Company: <b>Z</b> → –"]
    assert "Note added · Mia · 2026-11-20 15:00" in said(app)
    assert app.button(key="customer_since_go").label == "Take back 3 changes"
    sound(click(app, "customer_since_go"))
    assert (stored(customer_id)["city"], stored(customer_id)["company"]) == ("Rome", "")
    assert "3 changes are taken back." in body(app)
    assert not drawn(app, "customer_since_box")
    sound(click(app, "kehu_undo_button"))
    assert (stored(customer_id)["city"], stored(customer_id)["company"]) == ("Bonn", "<b>Z</b>")
    assert "What had been taken back stands again." in body(app)
    sound(click(app, "kehu_undo_button"))
    assert stored(customer_id)["city"] == "Rome"


def test_nothing_is_done_unseen_or_without_the_button(people: make.People) -> None:
    customer_id = added(people.ann)
    first = saved(people.ann, customer_id, city="A")
    saved(people.ann, customer_id, city="B")
    app = sound(click(opened(people.ann, customer_id, "history"), f"customer_since_{first}"))
    before = count(*RECORD)
    sound(click(app, "customer_since_stay"))
    assert not drawn(app, "customer_since_box")
    assert count(*RECORD) == before
    assert stored(customer_id)["city"] == "B"


def test_after_a_hand_over_went_back_the_list_offers_to_undo_that(people: make.People) -> None:
    customer_id = added(people.ann, city="A")
    first = saved(people.ann, customer_id, city="B")
    with connection.begin(people.ann, write=True) as conn:
        customer.assign(conn, actor=people.ann, customer_ids=[customer_id], owner_id=people.bo.user_id)
    app = sound(click(opened(people.bo, customer_id, "history"), f"customer_since_{first}"))
    assert "Owner: Bo → Ann" in [text.value for text in app.main.text]
    sound(click(app, "customer_since_go"))
    assert where(app) == "customers"
    assert (stored(customer_id)["owner_id"], stored(customer_id)["city"]) == (people.ann.user_id, "A")
    sound(click(app, "kehu_undo_button"))
    assert (stored(customer_id)["owner_id"], stored(customer_id)["city"]) == (people.bo.user_id, "B")


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_are_offered_nothing_of_this(people: make.People, who: str) -> None:
    customer_id = added(people.ann)
    first = saved(people.ann, customer_id, city="A")
    saved(people.ann, customer_id, city="B")
    app = opened(getattr(people, who), customer_id, "history")
    app.session_state["customer_since"] = (customer_id, first)
    app.session_state["customer_next_task"] = (customer_id, "call_back")
    sound(app.run())
    assert [b.key for b in app.button if not str(b.key).startswith("kehu_")] == []
