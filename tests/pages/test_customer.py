"""One customer: what a link opens, figures and purchases, what masked roles see, the timeline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from components import wording
from db import clock, connection, customer, derived, interactions, schema
from db.embedded import Server
from tests import make
from tests.pages.customer_page import PHONE, added, opened, saved
from tests.pages.visits import (
    body,
    click,
    control,
    database,
    grid,
    metrics,
    pick,
    signed_in,
    sound,
    speaking,
    words,
)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Every test makes its own customers; `buyer` has orders and a campaign."""
    with database(server, template) as made:
        yield made


@pytest.fixture(scope="module")
def buyer(people: make.People) -> int:
    with connection.begin_owner() as conn:
        made = make.customer(conn, people.ann.user_id, name="王小明", phone=PHONE, email="ming@example.com")
        for n in range(43):
            order_id = make.order(conn, made, date(2026, 9, 29 - n % 28), "12.50")
        product = {"sku": "1", "name": "CHEESE <b>", "category": "DAIRY *x*", "brand": "", "package": "1 KG"}
        product_id = conn.scalar(insert(schema.products).values(**product).returning(schema.products.c.id))
        line = {"product_id": product_id, "quantity": 2, "amount": "12.50"}
        conn.execute(insert(schema.order_items).values(customer_id=made, order_id=order_id, **line))
        now = clock.now()
        campaign = {"name": "Campaign 18", "kind": "mail", "starts_on": date(2026, 9, 1), "ends_on": date(2026, 9, 30)}
        campaign_id = conn.scalar(
            insert(schema.campaigns).values(created_at=now, updated_at=now, **campaign).returning(schema.campaigns.c.id)
        )
        member = {"campaign_id": campaign_id, "received_on": date(2026, 9, 2)}
        conn.execute(insert(schema.campaign_members).values(customer_id=made, **member))
        derived.rebuild(conn)
    return made


# --- what a link opens -----------------------------------------------------------------------------------------------

TABS = {
    "timeline": "Everything",
    "purchases": "**Categories · USD · most spent first**",
    "campaigns": "Redeemed",
    "notes": "What happened?",
    "details": "Household size",
    "history": "No changes yet.",
}


@pytest.mark.parametrize("tab", TABS)
def test_a_link_opens_its_part(people: make.People, buyer: int, tab: str) -> None:
    app = opened(people.ann, buyer, customer_tab=tab)
    assert [name for name, text in TABS.items() if text in body(app)] == [tab]
    assert app.query_params == {"id": str(buyer)} | ({} if tab == "timeline" else {"customer_tab": tab})


def test_parts_go_into_the_link_by_code(people: make.People, buyer: int) -> None:
    app = sound(signed_in(people.ann, "customer", language="zh_CN", id=str(buyer)))
    with speaking("zh_CN"):
        control(app, "customer_tab").set_value("history")
        sound(app.run())
    assert app.query_params == {"id": str(buyer), "customer_tab": "history"}


@pytest.mark.parametrize(
    "tab", ["nonsense", "x" * 5_000, "\0", "<script>alert(1)</script>", "購買"], ids=lambda t: t[:9]
)
def test_an_unknown_part_is_the_first(people: make.People, buyer: int, tab: str) -> None:
    assert TABS["timeline"] in body(opened(people.ann, buyer, customer_tab=tab))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        *[
            (nonsense, "No customer is chosen. Open one from the list.")
            for nonsense in (
                "",
                "abc",
                "１２",
                "-1",
                " 1",
                "1.0",
                "1e3",
                "\0",
                "9" * 19,
                "9" * 5_000,
                "<script>",
                "1;--",
            )
        ],
        ("0", "There is no customer 0 that you may see."),
        ("9" * 18, f"There is no customer {'9' * 18} that you may see."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_nonsense_for_a_customer_is_a_sentence(people: make.People, asked: str, sentence: str) -> None:
    app = sound(signed_in(people.ann, "customer", id=asked))
    assert sentence in body(app)
    assert not metrics(app)


def test_another_ones_customer_is_as_one_that_is_not_there(people: make.People, buyer: int) -> None:
    app = sound(signed_in(people.cho, "customer", id=str(buyer)))
    assert f"There is no customer {buyer} that you may see." in body(app)
    assert "王小明" not in words(app)


@pytest.mark.parametrize(
    ("number", "told"),
    [("3", "41–43 of 43"), ("9", "1–20 of 43"), ("-5", "1–20 of 43"), ("1e9", "1–20 of 43"), ("9" * 99, "1–20 of 43")],
)
def test_the_page_of_the_orders_is_in_the_link(people: make.People, buyer: int, number: str, told: str) -> None:
    app = opened(people.ann, buyer, customer_tab="purchases", customer_orders_page=number)
    assert told in [caption.value for caption in app.caption]
    shown = {"id": str(buyer), "customer_tab": "purchases"}
    assert app.query_params == shown | ({"customer_orders_page": "3"} if number == "3" else {})


# --- figures and purchases -------------------------------------------------------------------------------------------


def test_figures_and_ways_to_reach_the_customer(people: make.People, buyer: int) -> None:
    app = opened(people.ann, buyer)
    assert [heading.value for heading in app.main.title] == ["王小明"]
    assert metrics(app) == {
        "Orders": "43",
        "Revenue": "$537.50",
        "Average basket": "$12.50",
        "Last order": "52 days ago",
        "Buys every": "1 day",  # every day of September's first 29 but one
        "Next purchase due": "Sep 30",
    }
    links = {link.label.replace("\\", ""): link.url for link in app.main.link_button}
    assert links == {PHONE: "tel:+8613800138000", "ming@example.com": "mailto:ming@example.com"}


def test_an_order_shows_its_lines(people: make.People, buyer: int) -> None:
    app = opened(people.ann, buyer, customer_tab="purchases", customer_orders_page="3")
    with connection.begin_owner() as conn:
        last = conn.scalar(select(schema.order_items.c.order_id))
        orders = schema.orders.c
        newest_first = select(orders.id).order_by(orders.placed_at.desc(), orders.id.desc())
        place = list(conn.scalars(newest_first)).index(last)
    number, row = divmod(place, 20)
    app = opened(people.ann, buyer, customer_tab="purchases", customer_orders_page=str(number + 1))
    assert list(grid(app, "customer_orders")["amount"])[row] == 12.5
    pick(app, "customer_orders", row)
    assert "**Lines of this order**" in body(sound(app))
    assert rf"| {wording.plain('Cheese <B>')} | 1 KG | 2 | 12\.5 | 0 |" in body(app)


# --- masked roles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_see_no_person_and_change_nothing(people: make.People, who: str) -> None:
    personal = {"name": "Jane Personal", "company": "Secret Ltd", "email": "jane@example.com", "address": "Hidden Lane"}
    customer_id = added(people.ann, phone=PHONE, city="Rome", **personal)
    saved(people.ann, customer_id, phone="139 0013 9000", company="Other Ltd")
    with connection.begin(people.ann, write=True) as conn:
        customer.add_note(conn, actor=people.ann, customer_id=customer_id, body="Jane called")
    for tab in TABS:
        app = opened(getattr(people, who), customer_id, customer_tab=tab)
        sent = words(app)
        for text in (*personal.values(), "Jane", "Other Ltd", "0013", "Jane called", "tel:", "mailto:"):
            assert text not in sent, f"{text} in {tab}"
        # They may take changes back, but only of their own segments: no change of a customer offers it.
        keys = [button.key for button in app.button if not button.key.startswith("kehu_")]
        assert keys == []
        assert [box.key for box in app.selectbox] == (["customer_part_en"] if tab == "timeline" else [])
        assert "hidden from your role" in sent or tab not in ("notes", "details")
    assert "Rome" in words(opened(getattr(people, who), customer_id, customer_tab="details"))


# --- the timeline ----------------------------------------------------------------------------------------------------


def log_call(app: AppTest, button: str = "_talk_outcome_reached_", **typed: Any) -> AppTest:
    """Fill in the form of a talk and save it, by the button of how it went or by the other."""
    for name, value in typed.items():
        [widget] = [w for w in (*app.text_input, *app.text_area, *app.number_input) if f"_talk_{name}_" in str(w.key)]
        widget.set_value(value)
    [found] = [b for b in app.button if button in str(b.key)]
    return found.click().run()


def talks(customer_id: int) -> list[tuple[Any, ...]]:
    i = schema.interactions.c
    with connection.begin_owner() as conn:
        rows = conn.execute(
            select(i.kind, i.direction, i.outcome, i.minutes, i.body).where(i.customer_id == customer_id)
        )
        return [tuple(row) for row in rows]


def test_a_call_is_logged_shown_and_taken_back(people: make.People) -> None:
    customer_id = added(people.ann)
    app = sound(log_call(opened(people.ann, customer_id), body="Wants *tea* <b>", minutes=7))
    assert talks(customer_id) == [("call", "out", "reached", 7, "Wants *tea* <b>")]
    assert "Saved to the timeline." in body(app)
    assert "**Call · from us · 7 min · Got through**" in body(app)
    assert "Wants *tea* <b>" in [text.value for text in app.text], "as it was typed, never as markup"
    app = sound(click(app, "kehu_undo_button"))
    assert talks(customer_id) == []


def test_a_refused_call_stays_in_its_form(people: make.People) -> None:
    customer_id = added(people.ann)
    app = log_call(opened(people.ann, customer_id), subject="x" * 201, body="kept")
    assert "201 characters are too many; at most 200." in body(app)
    assert talks(customer_id) == []
    app = sound(log_call(app, subject="short"))
    assert [row[4] for row in talks(customer_id)] == ["kept"]


def test_a_mail_is_not_said_to_have_got_through(people: make.People) -> None:
    customer_id = added(people.ann)
    app = opened(people.ann, customer_id)
    [kind] = [group for group in app.button_group if "_talk_kind_" in str(group.key)]
    kind.set_value("mail")
    app.run()
    assert not [b for b in app.button if "_talk_outcome_reached_" in str(b.key)]
    app = sound(log_call(app, "_talk_save_", body="Our prices"))
    assert talks(customer_id) == [("mail", "out", "", None, "Our prices")]


def test_one_part_of_the_timeline_is_a_link(people: make.People, buyer: int) -> None:
    app = opened(people.ann, buyer, customer_part="orders")
    assert "1–20 of 43" in [caption.value for caption in app.caption]
    app = opened(people.ann, buyer, customer_part="notes")
    assert "Nothing of this kind has happened yet." in body(app)


def test_only_who_may_edit_sees_the_form_and_deletes(people: make.People) -> None:
    customer_id = added(people.ann)
    with connection.begin(people.ann, write=True) as conn:
        interactions.log(conn, actor=people.ann, customer_id=customer_id, kind="mail", body="zekret")
    masked = opened(people.ana, customer_id)
    assert not [b for b in masked.button if "talk" in str(b.key)]
    assert "zekret" not in words(masked)
    assert "hidden from your role" in words(masked)
    app = opened(people.ann, customer_id)
    [delete] = [b for b in app.button if "talk_delete" in str(b.key)]
    sound(delete.click().run())
    assert talks(customer_id) == []
