"""One customer: what is read of it, and forms saved by several people at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text, update

from db import clock, connection, customer, customers, derived, schema
from db.connection import begin
from db.customer import LIMITS, MOST_NOTE, Saved
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import NOBODY, WORKER, Viewer
from db.text import clean
from db.undo import undo
from tests import conftest, make

TODAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"customer_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def read(query: Callable[..., Any], viewer: Viewer, **values: Any) -> Any:
    with begin(viewer) as conn:
        return query(conn, viewer=viewer, **values)


def add(actor: Viewer, **values: str) -> int:
    return do(customer.add, actor, values={"name": "张三", **values})[0]


def save(actor: Viewer, customer_id: int, version: int, **values: str) -> Saved:
    return do(customer.save, actor, customer_id=customer_id, version=version, values=values)


def get(viewer: Viewer, customer_id: int) -> customer.Customer:
    return read(customer.get, viewer, customer_id=customer_id, today=TODAY)


def sets() -> int:
    with connection.begin_owner() as conn:
        return conn.scalar(select(func.count()).select_from(schema.change_sets)) or 0


# --- reading ---------------------------------------------------------------------------------------------------------


def test_everything_that_is_read_of_a_customer(people: make.People) -> None:
    ann = people.ann
    customer_id = add(ann, city="Xi'an", region="North")
    with connection.begin_owner() as conn:
        orders = [
            make.order(conn, customer_id, date(2026, 9, 30), "5.00"),
            make.order(conn, customer_id, date(2026, 10, 1), "7.50", hour=1),
            make.order(conn, customer_id, date(2026, 10, 1), "2.50", hour=2),
            make.order(conn, customer_id, date(2026, 10, 31), "9", currency="EUR"),
        ]
        products = [
            conn.scalar(insert(schema.products).values(sku=s, name=s, category=c).returning(schema.products.c.id))
            for s, c in (("Tea", "Drinks"), ("Ink", "Paper"), ("?", ""))
        ]
        for order, product, amount in ((0, 0, 3), (0, 1, 2), (1, 0, 7), (1, 2, 9), (3, 1, 9)):
            line = {"customer_id": customer_id, "order_id": orders[order], "product_id": products[product]}
            conn.execute(insert(schema.order_items).values(**line, quantity=1, amount=amount, coupon_discount="0.25"))
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        for name, day in (("Old", date(2026, 1, 1)), ("New", date(2026, 3, 1))):
            campaign = {"name": name, "kind": "A", "starts_on": day, "ends_on": day}
            campaign_id = conn.scalar(
                insert(schema.campaigns).values(**campaign, **stamps).returning(schema.campaigns.c.id)
            )
            member = {"customer_id": customer_id, "campaign_id": campaign_id, "received_on": day}
            conn.execute(insert(schema.campaign_members).values(**member))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    do(customer.add_note, ann, customer_id=customer_id, body="first")
    do(customer.add_note, people.mia, customer_id=customer_id, body="second\nline")

    one = get(ann, customer_id)
    assert (one.name, one.city, one.owner, one.owner_id, one.version) == ("张三", "Xi'an", "Ann", ann.user_id, 1)
    assert (one.orders, one.revenue, one.other_currency_orders) == (4, Decimal("15.00"), 1)
    assert (one.first_order_on, one.last_order_on, one.stage) == (date(2026, 9, 30), date(2026, 10, 31), "repeat")
    assert one.refreshed_at == clock.now()

    bought, total = read(customer.purchases, ann, customer_id=customer_id, limit=3)
    assert total == 4
    assert bought["id"].tolist() == orders[:0:-1]
    rest, _total = read(customer.purchases, ann, customer_id=customer_id, offset=3, limit=0)
    assert rest["id"].tolist() == orders[:1]
    lines = read(customer.order_lines, ann, customer_id=customer_id, order_id=orders[0])
    assert lines[["product", "amount", "discount"]].values.tolist() == [
        ["Tea", Decimal("3.00"), Decimal("0.25")],
        ["Ink", Decimal("2.00"), Decimal("0.25")],
    ]
    top = read(customer.top_categories, ann, customer_id=customer_id, currency="USD")
    assert top.values.tolist() == [["Drinks", 2, Decimal("10.00")], ["Paper", 1, Decimal("2.00")]]
    euros = read(customer.top_categories, ann, customer_id=customer_id, currency="EUR")
    assert euros.values.tolist() == [["Paper", 1, Decimal("9.00")]], "never added to the dollars"
    months = read(customer.monthly, ann, customer_id=customer_id, currency="USD")
    assert months.values.tolist() == [
        [date(2026, 9, 1), 1, Decimal("5.00")],
        [date(2026, 10, 1), 2, Decimal("10.00")],
    ]
    assert read(customer.campaigns, ann, customer_id=customer_id)["campaign"].tolist() == ["New", "Old"]
    notes = read(customer.notes, ann, customer_id=customer_id)
    assert notes[["author", "body"]].values.tolist() == [["Mia", "second\nline"], ["Ann", "first"]]
    masked = read(customer.notes, people.ana, customer_id=customer_id)
    assert masked["body"].tolist() == ["", ""]
    assert get(people.mark, customer_id).name == f"#{customer_id}"


def test_a_customer_without_anything_has_empty_frames_with_their_columns(people: make.People) -> None:
    customer_id = add(people.ann)
    one = get(people.ann, customer_id)
    assert (one.orders, one.revenue, one.first_order_on, one.stage) == (0, 0, None, "prospect")
    reads: dict[Callable[..., Any], dict[str, Any]] = {
        customer.order_lines: {"order_id": 1},
        customer.top_categories: {"currency": "USD"},
        customer.monthly: {"currency": "USD"},
        customer.campaigns: {},
        customer.notes: {},
    }
    for query, values in reads.items():
        frame: pd.DataFrame = read(query, people.ann, customer_id=customer_id, **values)
        assert frame.empty
        assert len(frame.columns) >= 3


@pytest.mark.parametrize("number", [10**9, 10**18, 10**30, 0, -1])
def test_not_there_and_not_yours_are_the_same_sentence(people: make.People, number: int) -> None:
    theirs = add(people.bo)
    messages = set()
    for customer_id in (theirs, number):
        with pytest.raises(NotFound) as caught:
            get(people.ann, customer_id)
        messages.add(caught.value.message.replace(str(customer_id), "#"))
        for command, values in (
            (customer.save, {"version": 1, "values": {"name": "x"}}),
            (customer.archive, {}),
            (customer.add_note, {"body": "x"}),
        ):
            with pytest.raises(NotFound) as caught:
                do(command, people.ann, customer_id=customer_id, **values)
            messages.add(caught.value.message.replace(str(customer_id), "#"))
    assert len(messages) == 1


# --- forms -----------------------------------------------------------------------------------------------------------


def test_values_are_stored_clean_and_in_their_canonical_form(people: make.People) -> None:
    given = {
        "name": "  Ｚｏë\u200b  Müller ",
        "company": "a\nb",
        "email": "Zoe@EXAMPLE.com",
        "phone": "１３８ 0013-8000",
        "address": "line 1\r\nline 2 ",
        "city": "\x00Wuhan",
    }
    customer_id, set_id = do(customer.add, people.ann, values=given)
    one = get(people.ann, customer_id)
    assert (one.name, one.company, one.email) == ("Zoë Müller", "a b", "Zoe@example.com")
    assert (one.phone, one.address, one.city) == ("+86 138 0013 8000", "line 1\nline 2", "Wuhan")
    assert (one.source, one.owner_id, set_id > 0) == ("screen", people.ann.user_id, True)
    with connection.begin_owner() as conn:
        row = conn.execute(select(schema.customers).where(schema.customers.c.id == customer_id)).mappings().one()
    assert {c: row[c] for c in customers.keys(row)} == customers.keys(row)
    nobodys, _set = do(customer.add, people.root, values={"name": "x"})
    assert get(people.root, nobodys).owner_id == NOBODY
    assert get(people.mia, add(people.mia)).owner == "Mia"


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, {"name"}),
        ({"name": "\u200b \u3164"}, {"name"}),
        ({"name": "x", "email": "not an address"}, {"email"}),
        ({"name": "x", "email": "a@b@c.com"}, {"email"}),
        ({"name": "x", "email": "<script>@example.com"}, {"email"}),
        ({"name": "x", "phone": "12"}, {"phone"}),
        ({"name": "x", "phone": "call me"}, {"phone"}),
        ({"name": "x", "phone": "+999 123"}, {"phone"}),
        ({"name": "", "email": "@", "phone": "?"}, {"name", "email", "phone"}),
        *(({"name": "x", field: "y" * (most + 1)}, {field}) for field, most in LIMITS.items()),
    ],
)
def test_each_field_says_what_is_wrong_with_it(people: make.People, values: dict[str, str], fields: set[str]) -> None:
    before = sets()
    with pytest.raises(Invalid) as caught:
        do(customer.add, people.ann, values=values)
    assert caught.value.fields.keys() == fields
    assert all(problem[0].isupper() or problem[0].isdigit() for problem in caught.value.fields.values())
    assert sets() == before


def test_unknown_fields_are_refused_whoever_sends_them(people: make.People) -> None:
    customer_id = add(people.ann)
    for field in ("owner_id", "id", "version", "archived_at", "search_text", "name; DROP TABLE customers"):
        with pytest.raises(Invalid, match="Unknown field"):
            do(customer.save, people.root, customer_id=customer_id, version=1, values={field: "1"})
        with pytest.raises(Invalid, match="Unknown field"):
            do(customer.add, people.root, values={"name": "x", field: "1"})


def test_longest_values_fit(people: make.People) -> None:
    longest = {field: "张" * most for field, most in LIMITS.items() if field not in ("email", "phone")}
    customer_id = add(people.ann, **longest)
    assert len(get(people.ann, customer_id).address) == LIMITS["address"]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.text(st.characters(), min_size=1, max_size=80))
def test_any_text_comes_back_as_plain_text(people: make.People, typed: str) -> None:
    hostile = "<script>alert(1)</script> ${x} {{x}} =cmd|' /C c'!A0 `x` [x](javascript:x) \\' \" %s {0} :n " + typed
    customer_id = add(people.ann, name=hostile, address=hostile)
    do(customer.add_note, people.ann, customer_id=customer_id, body=hostile)
    one = get(people.ann, customer_id)
    assert (one.name, one.address) == (clean(hostile), clean(hostile, multiline=True))
    assert read(customer.notes, people.ann, customer_id=customer_id)["body"].tolist() == [one.address]


# --- saving ----------------------------------------------------------------------------------------------------------


def test_a_save_changes_what_differs_and_nothing_else(people: make.People) -> None:
    customer_id = add(people.ann, city="Xi'an", phone="138 0013 8000")
    before = sets()
    # The same in other words is no change.
    same = save(people.ann, customer_id, 1, name=" 张三 ", city="Xi'an", phone="+86 13800138000")
    assert (same, sets()) == (Saved(None, [], []), before)
    done = save(people.ann, customer_id, 1, name="张三", city="Wuhan", phone="")
    assert (done.changed, done.merged_with) == (["city", "phone"], [])
    one = get(people.ann, customer_id)
    assert (one.version, one.city, one.phone) == (2, "Wuhan", "")
    with pytest.raises(Invalid) as caught:
        save(people.ann, customer_id, 2, name="")
    assert caught.value.fields.keys() == {"name"}
    with pytest.raises(Invalid, match="newer than the customer"):
        save(people.ann, customer_id, 3, city="x")
    with pytest.raises(Refused):
        save(people.ana, customer_id, 2, city="x")


def test_a_stale_form_merges_what_others_left_alone_and_says_what_they_changed(people: make.People) -> None:
    """The whole form is sent, as a browser does: fields that stand as they were opened are not the editor's."""
    opened = {"name": "张三", "city": "Xi'an", "company": "Old", "email": "", "phone": "", "address": "", "region": ""}
    customer_id = add(people.ann, **opened)
    save(people.mia, customer_id, 1, **(opened | {"city": "Wuhan"}))
    save(people.root, customer_id, 2, **(opened | {"city": "Wuhan", "phone": "138 0013 8000"}))
    done = save(people.ann, customer_id, 1, **(opened | {"company": "New"}))
    assert (done.changed, done.merged_with) == (["company"], ["city", "phone"])
    one = get(people.ann, customer_id)
    assert (one.city, one.phone, one.company, one.version) == ("Wuhan", "+86 138 0013 8000", "New", 4)
    with connection.begin_owner() as conn:
        row = conn.execute(select(schema.customers).where(schema.customers.c.id == customer_id)).mappings().one()
    assert {c: row[c] for c in customers.keys(row)} == customers.keys(row)
    # What both wrote the same is no conflict, nor what was changed and put back.
    assert save(people.ann, customer_id, 1, **(opened | {"city": "Wuhan"})).changed == []
    save(people.mia, customer_id, 4, region="East")
    save(people.mia, customer_id, 5, region="")
    assert save(people.ann, customer_id, 4, region="West").merged_with == []


def test_a_clash_shows_both_sides_and_saves_nothing(people: make.People) -> None:
    customer_id = add(people.ann, city="Xi'an", company="Old")
    save(people.mia, customer_id, 1, city="Wuhan")
    before = sets()
    with pytest.raises(Conflict) as caught:
        save(people.ann, customer_id, 1, city="Lhasa", company="New")
    assert caught.value.rows == [{"column": "city", "mine": "Lhasa", "theirs": "Wuhan"}]
    assert caught.value.details["version"] == 2
    assert sets() == before
    assert get(people.ann, customer_id).company == "Old"
    assert save(people.ann, customer_id, 2, city="Lhasa").changed == ["city"]


def test_a_form_that_was_opened_before_a_hand_over_or_archiving_still_merges(people: make.People) -> None:
    customer_id = add(people.ann)
    do(customer.assign, people.mia, customer_ids=[customer_id], owner_id=people.bo.user_id)
    do(customer.archive, people.mia, customer_id=customer_id)
    with pytest.raises(NotFound):
        save(people.ann, customer_id, 1, city="x")
    done = save(people.bo, customer_id, 1, city="x")
    assert done.merged_with == ["archived_at", "owner_id"]
    do(customer.archive, people.mia, customer_id=customer_id, archived=False)
    # Version 3 was archived; since then the city was saved and the archiving taken back.
    assert save(people.bo, customer_id, 3, region="y").merged_with == ["archived_at", "city"]


def test_values_that_no_form_would_take_do_not_block_the_other_fields(people: make.People) -> None:
    customer_id = add(people.ann)
    with connection.begin_owner() as conn:
        rows = update(schema.customers).where(schema.customers.c.id == customer_id)
        conn.execute(rows.values(phone="ask for Bob", email="none", name=""))
    loaded = {"name": "", "phone": "ask for Bob", "email": "none"}
    assert save(people.ann, customer_id, 1, **loaded, city="Wuhan").changed == ["city"]
    with pytest.raises(Invalid) as caught:
        save(people.ann, customer_id, 2, **(loaded | {"phone": "ask for Eve"}))
    assert caught.value.fields.keys() == {"phone"}


def test_two_editors_at_once_of_one_field_and_of_two(people: make.People) -> None:
    for theirs, mine in (({"city": "Wuhan"}, {"city": "Lhasa"}), ({"city": "Wuhan"}, {"region": "West"})):
        customer_id = add(people.ann)
        outcome: list[Any] = []
        started = threading.Event()

        def second(customer_id: int, values: dict[str, str], started: threading.Event, outcome: list[Any]) -> None:
            started.set()
            try:
                outcome.append(save(people.ann, customer_id, 1, **values))
            except Conflict as error:
                outcome.append(error.rows)

        with begin(people.mia, write=True) as conn:
            customer.save(conn, actor=people.mia, customer_id=customer_id, version=1, values=theirs)
            thread = threading.Thread(target=second, args=(customer_id, mine, started, outcome))
            thread.start()
            assert started.wait(5)
            _until_blocked()
        thread.join(10)
        [result] = outcome
        if "city" in mine:
            assert result == [{"column": "city", "mine": "Lhasa", "theirs": "Wuhan"}]
        else:
            assert (result.changed, result.merged_with) == (["region"], ["city"])
            one = get(people.ann, customer_id)
            assert (one.city, one.region, one.version) == ("Wuhan", "West", 3)


def _until_blocked() -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    pause = threading.Event()
    for _attempt in range(200):
        with connection.begin_owner() as conn:
            if conn.scalar(text(query)):
                return
        pause.wait(0.02)
    pytest.fail("the second editor never waited")


# --- the other commands ----------------------------------------------------------------------------------------------


def test_archived_customers_leave_the_lists_and_stay_readable(people: make.People) -> None:
    customer_id = add(people.cho)
    do(customer.archive, people.cho, customer_id=customer_id)
    assert read(customers.page, people.cho, today=TODAY).total == 0
    assert get(people.cho, customer_id).archived_at == clock.now()
    with pytest.raises(Invalid, match="archived already"):
        do(customer.archive, people.cho, customer_id=customer_id)
    do(customer.archive, people.cho, customer_id=customer_id, archived=False)
    assert read(customers.page, people.cho, today=TODAY).total == 1
    with pytest.raises(Invalid, match="not archived"):
        do(customer.archive, people.cho, customer_id=customer_id, archived=False)


def test_notes_are_checked_and_belong_to_their_customer(people: make.People) -> None:
    one, other = add(people.ann), add(people.ann)
    do(customer.add_note, people.ann, customer_id=one, body="x" * MOST_NOTE)
    for body in ("", " \u200b\n ", "x" * (MOST_NOTE + 1)):
        with pytest.raises(Invalid) as caught:
            do(customer.add_note, people.ann, customer_id=one, body=body)
        assert caught.value.fields.keys() == {"body"}
    note_id = int(read(customer.notes, people.ann, customer_id=one)["id"][0])
    for actor, customer_id in ((people.ann, other), (people.bo, one), (people.cho, one)):
        with pytest.raises(NotFound):
            do(customer.delete_note, actor, customer_id=customer_id, note_id=note_id)
    do(customer.delete_note, people.mia, customer_id=one, note_id=note_id)
    assert read(customer.notes, people.ann, customer_id=one).empty


def test_who_may_give_what_to_whom(people: make.People) -> None:
    ann, bo, mia = people.ann, people.bo, people.mia
    mine, theirs = add(ann), add(bo)
    for actor, ids, owner_id, error in (
        (ann, [theirs], ann.user_id, NotFound),
        (ann, [mine, theirs], people.cho.user_id, NotFound),
        (ann, [mine, 10**9], bo.user_id, NotFound),
        (ann, [mine], NOBODY, Invalid),
        (ann, [mine], people.ana.user_id, Invalid),
        (ann, [mine], people.root.user_id, Invalid),
        (ann, [mine], 10**9, Invalid),
        (ann, [], bo.user_id, Invalid),
        (people.ana, [mine], bo.user_id, Refused),
    ):
        with pytest.raises(error):
            do(customer.assign, actor, customer_ids=ids, owner_id=owner_id)
    with pytest.raises(Invalid) as caught:
        do(customer.assign, ann, customer_ids=[mine], owner_id=bo.user_id, reason="x" * 501)
    assert caught.value.fields.keys() == {"reason"}
    do(customer.assign, mia, customer_ids=[mine, theirs, mine], owner_id=NOBODY)
    assert get(mia, mine).owner_id == get(mia, theirs).owner_id == NOBODY
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.id == bo.user_id).values(active=False))
    with pytest.raises(Invalid, match="active salesperson"):
        do(customer.assign, mia, customer_ids=[mine], owner_id=bo.user_id)
    assert bo.user_id not in read(customer.assignees, mia)
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.id == bo.user_id).values(active=True))


def test_many_are_handed_over_and_taken_back_at_once(people: make.People) -> None:
    with connection.begin_owner() as conn:
        many = text(
            "INSERT INTO customers (owner_id, created_at, updated_at) "
            "SELECT :owner, :at, :at FROM generate_series(1, 3000) RETURNING id"
        )
        ids = list(conn.scalars(many, {"owner": people.max.user_id, "at": clock.now()}))
    given = do(customer.assign, people.max, customer_ids=ids, owner_id=people.ann.user_id)
    assert do(undo, people.max, change_set_id=given, source="screen").rows == len(ids)
    # More than the 65,535 parameters of a statement.
    with pytest.raises(NotFound, match="67000 of these customers are not there"):
        do(customer.assign, people.max, customer_ids=[*ids, *range(10**9, 10**9 + 67_000)], owner_id=people.ann.user_id)
