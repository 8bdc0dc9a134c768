"""The list of customers: what a link opens, what a search finds, who sees what, and new customers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from db import clock, connection, customer, customers, derived, schema
from db.customer_filters import Filters
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    TOO_LONG,
    body,
    click,
    control,
    count,
    database,
    drawn,
    grid,
    markup_of,
    pick,
    revoke,
    signed_in,
    sound,
    where,
    within_run,
    words,
    write,
)

TODAY = date(2026, 11, 20)
PHONE, EMAIL = "+86 138 0013 8000", "xiaoming@example.com"
CLICK = "Click a row to see the customer."
NONE = "No customer matches. Remove a filter or try another spelling."
FREE = ("name", "company", "region", "city", "address")


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann has 56 customers and Cho one; Bo is there for whoever writes."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            named = {"phone": PHONE, "email": EMAIL, "company": "Acme"}
            wang = make.customer(conn, made.ann.user_id, name="王小明", region="North", **named)
            smith = make.customer(conn, made.ann.user_id, name="Smith, John", region="East")
            lost = make.customer(conn, made.ann.user_id, name="Lost Soul", region="East")
            make.customer(conn, made.ann.user_id, name="Archived", region="North", archived_at=clock.now())
            make.customer(conn, made.cho.user_id, name="Of another team", region="West")
            for n in range(1, 54):
                make.customer(conn, made.ann.user_id, name=f"Number {n:02}", region="South")
            for customer_id, day, amount in (
                (wang, date(2026, 6, 1), "10.00"),
                (wang, date(2026, 11, 10), "20.00"),
                (smith, date(2026, 11, 12), "500.00"),
                (lost, date(2026, 5, 1), "7.50"),
            ):
                make.order(conn, customer_id, day, amount)
            derived.rebuild(conn)
        yield made


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customers", **params))


def names(app: AppTest) -> list[str]:
    return list(grid(app, "customers_list")["name"]) if app.dataframe else []


def captions(app: AppTest) -> list[str]:
    return [str(c.value) for c in app.main.caption]


# --- what a link opens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "asked"),
    [
        ({}, {}),
        ({"customers_search": "wang"}, {"filters": Filters(search="wang")}),
        ({"customers_region": "East"}, {"filters": Filters(region="East")}),
        ({"customers_stage": "lost"}, {"filters": Filters(stage="lost")}),
        (
            {"customers_sort": "revenue", "customers_descending": "true"},
            {"sort": "revenue", "descending": True},
        ),
        ({"customers_sort": "newest"}, {"sort": "newest"}),
        ({"customers_page": "2"}, {"offset": 50}),
        (
            {
                "customers_search": "number",
                "customers_region": "South",
                "customers_sort": "orders",
                "customers_page": "2",
            },
            {"filters": Filters(search="number", region="South"), "sort": "orders", "offset": 50},
        ),
    ],
    ids=str,
)
def test_a_link_opens_its_list(people: make.People, params: dict[str, str], asked: dict[str, Any]) -> None:
    app = opened(people.ann, **params)
    told = within_run(people.ann, customers.page, today=TODAY, **asked)
    assert len(told.rows)
    assert names(app) == list(told.rows["name"])
    assert list(grid(app, "customers_list")["revenue"]) == [float(v) for v in told.rows["revenue"]]
    first = asked.get("offset", 0) + 1
    assert f"{first}–{first - 1 + len(told.rows)} of {told.total}" in captions(app)
    assert dict(app.query_params) == params


def test_a_link_opens_the_customers_of_an_owner(people: make.People) -> None:
    app = opened(people.root, customers_owner=str(people.cho.user_id), customers_stage="prospect")
    assert names(app) == ["Of another team"]
    assert app.query_params == {"customers_owner": str(people.cho.user_id), "customers_stage": "prospect"}


@pytest.mark.parametrize(
    "params",
    [
        {"customers_page": "-5"},
        {"customers_page": "1e9"},
        {"customers_page": "0"},
        {"customers_page": "7"},
        {"customers_page": "２"},
        {"customers_page": "9" * 5_000},
        {"customers_search": "\0"},
        {"customers_search": "\u202e"},
        {"customers_stage": "nonsense", "customers_region": "Nowhere", "customers_sort": "; drop table customers"},
        {"customers_owner": "99999999999999999999", "customers_descending": "perhaps"},
        {"customers_owner": "<script>alert(1)</script>", "customers_region": "x" * 5_000, "customers_stage": "\0"},
    ],
    ids=lambda value: str(value)[:50],
)
def test_nonsense_in_the_link_gives_the_whole_list(people: make.People, params: dict[str, str]) -> None:
    app = opened(people.ann, **params)
    assert "1–50 of 56" in captions(app)
    # The address says what is shown. Streamlit's own widgets leave there what they did not understand.
    assert app.query_params.keys() <= {"customers_search"}


def test_an_owner_out_of_sight_is_no_filter(people: make.People) -> None:
    assert "1–50 of 56" in captions(opened(people.ann, customers_owner=str(people.cho.user_id)))


# --- search and pages ------------------------------------------------------------------------------------------------


def test_typing_narrows(people: make.People) -> None:
    app = opened(people.ann)
    for typed, found in {
        "xiaom": ["王小明"],
        "wxm": ["王小明"],
        "小": ["王小明"],
        "13800": ["王小明"],
        "8000": ["王小明"],
        "xiaoming@": ["王小明"],
        "john smith": ["Smith, John"],
        "ARCHIVED": [],
        "another team": [],
    }.items():
        app.text_input(key="customers_search").set_value(typed)
        sound(app.run())
        assert names(app) == found, typed
        assert found or NONE in body(app)


@pytest.mark.parametrize("who", ["ann", "ana", "root"])
def test_whatever_is_typed_into_the_search(people: make.People, who: str) -> None:
    app = opened(getattr(people, who))
    before = count("customers", "changes")
    for typed in [
        *HOSTILE,
        TOO_LONG,
        "%",
        "_",
        "\\",
        '"',
        "'",
        "*",
        "?",
        "#",
        "0",
        "00",
        "+",
        "()",
        "a" * 200,
        "王" * 200,
    ]:
        app.text_input(key="customers_search").set_value(typed)
        sound(app.run())
        assert NONE in body(app) or names(app)
        assert typed not in HOSTILE or markup_of(app, typed) == []
    assert count("customers", "changes") == before


def test_another_question_begins_at_the_first_page(people: make.People) -> None:
    app = opened(people.ann, customers_page="2")
    assert "51–56 of 56" in captions(app)
    app.text_input(key="customers_search").set_value("number")
    app.run()
    assert "1–50 of 53" in captions(app)
    assert app.query_params == {}
    app.get("pagination")[0].set_value(2)
    app.run()
    assert "51–53 of 53" in captions(app)
    assert app.query_params == {"customers_page": "2"}
    app.text_input(key="customers_search").set_value("wang")
    app.run()
    assert "1–1 of 1" in captions(app)
    assert app.query_params == {}


# --- the quick view --------------------------------------------------------------------------------------------------


def test_a_row_opens_the_quick_view(people: make.People) -> None:
    app = opened(people.ann, customers_search="wang")
    assert CLICK in body(app)
    sound(pick(app, "customers_list", 0))
    assert [s.value for s in app.main.subheader] == ["王小明"]
    assert {card.label: card.value for card in app.main.metric} == {
        "Orders": "2",
        "Revenue": "$30.00",
        "Average basket": "$15.00",
        "Last order": "10 days ago",
    }
    [link] = app.main.page_link
    assert (link.page, link.proto.query_string) == ("customer", f"id={id_of('王小明')}")
    app.text_input(key="customers_search").set_value("smith")
    sound(app.run())
    assert CLICK in body(app), "a choice is not passed on to another row"


def test_a_row_of_another_page_is_not_chosen(people: make.People) -> None:
    app = pick(opened(people.ann), "customers_list", 3)
    assert CLICK not in body(app)
    app.get("pagination")[0].set_value(2)
    assert CLICK in body(sound(app.run()))


def id_of(name: str) -> int:
    with connection.begin_owner() as conn:
        found = conn.scalar(select(schema.customers.c.id).where(schema.customers.c.name == name))
    assert found is not None
    return int(found)


# --- who sees what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "adds", "exports"),
    [("ann", True, True), ("mia", True, True), ("root", True, True), ("ana", False, True), ("mark", False, False)],
)
def test_buttons_are_those_of_the_role(people: make.People, who: str, adds: bool, exports: bool) -> None:
    app = opened(getattr(people, who))
    assert drawn(app, "customers_add") == adds
    assert drawn(app, "customers_export") == exports


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_see_nobody(people: make.People, who: str) -> None:
    app = opened(getattr(people, who), customers_sort="revenue", customers_descending="true")
    pick(app, "customers_list", 1)
    assert "hidden from your role" in body(sound(app))
    said = words(app)
    for personal in ("王小明", "Smith", "138 0013", "13800138000", "xiaoming", "Acme"):
        assert personal not in said
    assert "phone" not in app.dataframe[0].proto.column_order
    for typed in ("wang", "13800", "xiaoming@example.com", "Acme"):
        app.text_input(key="customers_search").set_value(typed)
        assert NONE in body(sound(app.run()))
    app.text_input(key="customers_search").set_value(str(id_of("王小明")))
    assert len(grid(sound(app.run()), "customers_list")) == 1


def test_a_manager_sees_the_team_and_what_nobody_has(people: make.People) -> None:
    assert names(opened(people.max)) == ["Of another team"]
    assert control(opened(people.max), "customers_owner").options == ["All owners", "Nobody", "Cho", "Max"]


# --- new customers ---------------------------------------------------------------------------------------------------


def send(app: AppTest, **typed: str) -> AppTest:
    """Fill the form of a new customer and save. AppTest forgets an open dialog in the next run: press both buttons."""
    if not drawn(app, "customers_new_save"):
        begin(app)
    for column, value in typed.items():
        [found] = [w for w in [*app.text_input, *app.selectbox] if w.key == f"customers_new_{column}"]
        write(found, value)
    app.button(key="customers_add").click()
    app.button(key="customers_new_save").click()
    return sound(app.run())


def unescaped(app: AppTest) -> str:
    """What a dialog says too, without the escapes of markdown."""
    return words(app).replace("\\", "").replace("\u2060", "")


def begin(app: AppTest) -> None:
    """Open the form of a new customer; what an earlier test left in it is thrown away."""
    click(app, "customers_add")
    if drawn(app, "customers_new_draft_discard"):
        app.button(key="customers_add").click()
        click(app, "customers_new_draft_discard")


def stored(customer_id: int) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        query = select(schema.customers).where(schema.customers.c.id == customer_id)
        return dict(conn.execute(query).mappings().one())


def test_new_customer_opens_and_can_be_taken_back(people: make.People) -> None:
    before = count("change_sets", "customers")
    app = send(opened(people.bo), name=" 张三 ", phone="139 0013 9000", email="zs@Example.com", address="Street 1")
    assert where(app) == "customer"
    assert [s.value for s in app.main.title] == ["张三"]
    assert "Customer added." in body(app)
    assert count("change_sets", "customers") == (before[0] + 1, before[1] + 1)
    row = stored(int(app.query_params["id"]))
    assert (row["name"], row["phone"], row["email"]) == ("张三", "+86 139 0013 9000", "zs@example.com")
    assert (row["owner_id"], row["source"]) == (people.bo.user_id, "screen")
    sound(click(app, "kehu_undo_button"))
    assert count("customers") == (before[1],)
    assert f"There is no customer {row['id']} that you may see." in body(app)


def test_a_refused_new_customer_says_why_and_keeps_what_was_typed(people: make.People) -> None:
    before = count("change_sets", "customers", "changes")
    app = send(opened(people.bo), name="", phone="12", email="nobody", city="Xi'an")
    told = unescaped(app)
    assert "Some fields need another look." in told
    for label, sentence in {
        "Name": "This must not be empty.",
        "Phone": "This is not a phone number. Example: 138 0013 8000 or +1 202 555 0143",
        "E-mail": "This is not an e-mail address. Example: name@example.com",
    }.items():
        assert label in told
        assert sentence in told
    assert app.text_input(key="customers_new_city").value == "Xi'an"
    assert count("change_sets", "customers", "changes") == before
    assert where(send(app, name="Li Si", phone="", email="")) == "customer"


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_whatever_is_typed_into_the_form_of_a_new_customer(people: make.People, typed: str) -> None:
    before = count("change_sets", "customers", "changes")
    app = send(opened(people.bo), **dict.fromkeys(customer.FIELDS, typed))
    assert "This is not a phone number." in unescaped(app)
    assert count("change_sets", "customers", "changes") == before
    send(app, phone="", email="", region=typed)
    row = stored(int(app.query_params["id"]))
    assert {row[column] for column in FREE} == {HOSTILE[typed]}
    control(app, "customer_tab").set_value("details")
    assert HOSTILE[typed] in body(sound(app.run()))
    assert markup_of(app, HOSTILE[typed]) == []
    assert count("change_sets", "customers") == (before[0] + 1, before[1] + 1)
    listed = opened(people.bo, customers_sort="newest", customers_descending="true")
    assert names(pick(listed, "customers_list", 0))[0] == HOSTILE[typed]
    assert markup_of(sound(listed), HOSTILE[typed]) == []


def test_too_long_texts_are_refused_not_cut(people: make.People) -> None:
    before = count("change_sets", "customers", "changes")
    app = send(opened(people.bo), **dict.fromkeys(customer.FIELDS, TOO_LONG))
    for column in customer.FIELDS:
        assert f"10,001 characters are too many; at most {customer.LIMITS[column]}." in unescaped(app)
    assert count("change_sets", "customers", "changes") == before


def test_gone_session_shows_the_sign_in(people: make.People) -> None:
    app = opened(people.bo)
    begin(app)
    revoke(app)
    before = count("change_sets", "customers")
    app.text_input(key="customers_new_name").set_value("Too late")
    app.button(key="customers_add").click()
    app.button(key="customers_new_save").click()
    sound(app.run())
    assert "Sign in to work with your customers." in body(app)
    assert not app.dataframe
    assert not drawn(app, "customers_search")
    assert count("change_sets", "customers") == before
