"""Campaigns and their funnel: small data counted by hand, what is not known, rights, and who is behind a bar."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from db import campaign_results, campaigns, clock, connection, customer, derived, funnel, schema
from db.campaigns import Campaign, State
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, NotFound
from db.funnel import Step
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 6, 1)


def on(month: int, day: int) -> date:
    return date(2026, month, day)


@dataclass(frozen=True)
class Data:
    people: make.People
    spring: int
    early: int
    running: int
    empty: int
    ids: dict[str, int]
    nothing: tuple[tuple[Campaign, ...], bool]


# Owner, region, age; orders as day, amount, currency, sku; spring: redemptions or None for no member.
# The window of Spring is 1 to 10 April, the time before it 22 to 31 March.
WHO: dict[str, tuple[str, str, str, list[tuple[date, str, str, str]], int | None]] = {
    "A": ("ann", "East", "25-34", [(on(3, 22), "10", "USD", "x"), (on(4, 1), "30", "USD", "milk")], 2),
    "B": ("ann", "East", "25-34", [(on(3, 21), "99", "USD", "x"), (on(4, 10), "5", "USD", "x")], 1),  # unmatched
    "C": ("bo", "North", "19-24", [(on(4, 11), "7", "USD", "milk"), (on(3, 31), "20", "USD", "milk")], 0),
    "D": ("cho", "", "", [(on(4, 5), "1", "EUR", "milk"), (on(4, 5), "2", "USD", "milk")], 0),
    "E": ("cho", "East", "", [(on(4, 5), "50", "USD", "milk")], None),  # not a member
    "F": ("bo", "East", "Under 18", [], 0),
}


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    name = f"campaigns_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        nothing = league(people.root), False
        with connection.begin_owner() as conn:
            ids, made = _fill(conn, people)
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield Data(people, made["Spring"], made["Early"], made["Running"], made["Empty"], ids, nothing)


def _fill(conn: Connection, people: make.People) -> tuple[dict[str, int], dict[str, int]]:
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    made = {
        name: conn.scalar(
            insert(schema.campaigns)
            .values(name=name, kind="A", starts_on=starts, ends_on=ends, **stamps)
            .returning(schema.campaigns.c.id)
        )
        for name, starts, ends in (
            ("Spring", on(4, 1), on(4, 10)),
            ("Early", on(2, 20), on(3, 10)),  # the data begin on 1 March
            ("Running", on(5, 20), on(7, 1)),
            ("Empty", on(4, 1), on(4, 2)),
        )
    }
    products = {
        sku: conn.scalar(
            insert(schema.products).values(sku=sku, name=sku, category="FOOD").returning(schema.products.c.id)
        )
        for sku in ("milk", "x")
    }
    conn.execute(insert(schema.campaign_products).values(campaign_id=made["Spring"], product_id=products["milk"]))
    ids = {}
    first = make.customer(conn, name="first")
    for day in (on(3, 1), on(5, 25)):  # how far the data reach
        make.order(conn, first, day)
    for who, (owner, region, age, orders, redeemed) in WHO.items():
        ids[who] = make.customer(conn, getattr(people, owner).user_id, name=who, region=region, age_band=age)
        for day, amount, currency, sku in orders:
            order_id = make.order(conn, ids[who], day, amount, currency=currency)
            line = {"customer_id": ids[who], "order_id": order_id, "product_id": products[sku], "quantity": 1}
            conn.execute(insert(schema.order_items).values(**line, amount=Decimal(amount)))
        if redeemed is not None:
            member = {"customer_id": ids[who], "campaign_id": made["Spring"], "received_on": on(4, 1)}
            day = on(4, 3) if redeemed else None
            conn.execute(insert(schema.campaign_members).values(**member, first_redeemed_on=day, redemptions=redeemed))
            events = {k: member[k] for k in ("customer_id", "campaign_id")} | {"kind": "redeemed"}
            for n in range(redeemed):
                conn.execute(insert(schema.campaign_events).values(**events, occurred_on=on(4, 3 + 9 * n)))
    for name in ("Early", "Running"):
        member = {"customer_id": ids["A"], "campaign_id": made[name], "received_on": on(3, 1)}
        conn.execute(insert(schema.campaign_members).values(**member))
    return ids, made


def league(viewer: Viewer) -> tuple[Campaign, ...]:
    with begin(viewer) as conn:
        found, more = campaigns.league(conn, viewer=viewer, today=TODAY)
    assert not more
    return found


def one(viewer: Viewer, campaign_id: int) -> Campaign:
    with begin(viewer) as conn:
        return campaigns.get(conn, viewer=viewer, campaign_id=campaign_id, today=TODAY)


def steps(viewer: Viewer, campaign_id: int, by: str = "") -> list[tuple[Any, ...]]:
    with begin(viewer) as conn:
        frame = funnel.steps(conn, viewer=viewer, campaign_id=campaign_id, by=by)
    assert list(frame.columns) == ["slice", "received", "bought", "promoted", "redeemed", "unmatched"]
    return list(frame.itertuples(index=False, name=None))


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_every_figure_of_a_campaign(data: Data) -> None:
    spring = one(data.people.root, data.spring)
    assert (spring.reached, spring.buyers, spring.promoted_buyers) == (5, 3, 2)  # bought: A B D, milk: A D
    assert (spring.redeemers, spring.redemptions) == (2, 3)
    assert (spring.orders, spring.revenue, spring.revenue_before) == (4, 37, 30)  # 30 + 5 + 2; 10 + 20
    assert spring.per_head == Decimal(37) / 5
    assert spring.change == pytest.approx(37 / 30 - 1)
    assert (spring.state, spring.days, spring.complete, spring.comparable) == (State.ENDED, 10, True, True)


def test_what_the_data_do_not_hold_is_not_known(data: Data) -> None:
    early, running = (one(data.people.root, i) for i in (data.early, data.running))
    assert (early.complete, early.comparable, early.change) == (False, False, None)
    assert (running.state, running.complete, running.change) == (State.RUNNING, False, None)
    empty = one(data.people.root, data.empty)
    assert (empty.reached, empty.per_head, empty.change, empty.complete) == (0, None, None, True)
    assert data.nothing == ((), False)


def test_the_league_is_each_of_them_the_latest_first(data: Data) -> None:
    found = league(data.people.root)
    assert [c.name for c in found] == ["Running", "Empty", "Spring", "Early"]
    assert found == tuple(one(data.people.root, c.id) for c in found)
    with begin(data.people.root) as conn:
        assert list(campaigns.names(conn, viewer=data.people.root).values()) == [c.name for c in found]
        assert campaigns.waiting_since(conn, viewer=data.people.root) is None


def test_each_viewer_counts_their_own(data: Data) -> None:
    people = data.people
    assert (one(people.ann, data.spring).reached, one(people.ann, data.spring).revenue) == (2, Decimal(35))
    assert (one(people.max, data.spring).reached, one(people.max, data.spring).revenue) == (1, Decimal(2))
    assert one(people.mia, data.spring).reached == 4
    for viewer in (people.ana, people.mark):
        assert one(viewer, data.spring) == one(people.root, data.spring)
    # The funnel and the league are the same people, for everyone.
    for viewer in people.everyone:
        spring = one(viewer, data.spring)
        [(_slice, received, bought, promoted, redeemed, unmatched)] = steps(viewer, data.spring)
        assert (received, bought, promoted) == (spring.reached, spring.buyers, spring.promoted_buyers)
        assert redeemed + unmatched == spring.redeemers


def test_steps_are_of_those_who_took_the_one_before(data: Data) -> None:
    assert steps(data.people.root, data.spring) == [("", 5, 3, 2, 1, 1)]
    assert steps(data.people.root, data.empty) == [("", 0, 0, 0, 0, 0)]
    assert steps(data.people.root, data.spring, "age_band") == [
        ("Under 18", 1, 0, 0, 0, 0),
        ("19-24", 1, 0, 0, 0, 0),
        ("25-34", 2, 2, 1, 1, 1),
        ("", 1, 1, 1, 0, 0),
    ]
    assert [row[:2] for row in steps(data.people.root, data.spring, "region")] == [("East", 3), ("North", 1), ("", 1)]
    assert steps(data.people.root, data.empty, "region") == []


@pytest.mark.parametrize("by", ["", *funnel.SLICES])
def test_the_people_behind_each_bar_are_as_many_as_it_counts(data: Data, by: str) -> None:
    for viewer in (data.people.root, data.people.ann, data.people.ana):
        whole = dict.fromkeys(Step, 0)
        for value, *counts in steps(viewer, data.spring, by):
            for step, count in zip(Step, counts, strict=False):
                whole[step] += count
                with begin(viewer) as conn:
                    question = {"campaign_id": data.spring, "step": step, "by": by, "value": value}
                    found = funnel.people(conn, viewer=viewer, **question)  # type: ignore[arg-type]
                assert (len(found.rows), found.total) == (count, count)
        assert list(whole.values()) == list(steps(viewer, data.spring)[0][1:5])


def test_a_page_of_people_by_revenue(data: Data) -> None:
    root = data.people.root
    with begin(root) as conn:
        first = funnel.people(conn, viewer=root, campaign_id=data.spring, step="bought", limit=2)
        rest = funnel.people(conn, viewer=root, campaign_id=data.spring, step="bought", offset=2, limit=2)
    assert [(page.rows["name"].tolist(), page.total) for page in (first, rest)] == [(["A", "B"], 3), (["D"], 3)]
    assert first.rows.iloc[0][["id", "owner", "orders", "redemptions"]].tolist() == [data.ids["A"], "Ann", 1, 2]
    with begin(data.people.mark) as conn:
        masked = funnel.people(conn, viewer=data.people.mark, campaign_id=data.spring, step="redeemed")
    assert masked.rows["name"].tolist() == [f"#{data.ids['A']}"]


def test_days_and_products(data: Data) -> None:
    root = data.people.root
    with begin(root) as conn:
        daily = campaigns.redemptions_by_day(conn, viewer=root, campaign_id=data.spring).set_index("day")["redemptions"]
        sold = campaigns.products(conn, viewer=root, campaign_id=data.spring)
        nothing = campaigns.redemptions_by_day(conn, viewer=root, campaign_id=10**9)
    # The second of A was redeemed two days after the end: it is drawn, with the days between.
    assert (daily.index[0], daily.index[-1], len(daily), daily.sum()) == (on(4, 1), on(4, 12), 12, 3)
    assert (daily[on(4, 3)], daily[on(4, 4)], daily[on(4, 12)]) == (2, 0, 1)
    assert sold.values.tolist() == [["milk", "FOOD", 2, Decimal(32)]]  # the line in euros is not in the amount
    assert nothing.empty


@pytest.mark.parametrize("campaign_id", [0, -1, 10**9, 2**63, 10**30])
def test_a_campaign_that_is_not_there(data: Data, campaign_id: int) -> None:
    with pytest.raises(NotFound, match="There is no campaign"):
        one(data.people.root, campaign_id)


def test_nonsense_is_a_sentence(data: Data) -> None:
    root = data.people.root
    with begin(root) as conn:
        with pytest.raises(Invalid, match="cannot be cut by “name; drop”"):
            funnel.steps(conn, viewer=root, campaign_id=data.spring, by="name; drop")
        with pytest.raises(Invalid, match="no step “bar”"):
            funnel.people(conn, viewer=root, campaign_id=data.spring, step="bar")
        found = funnel.people(conn, viewer=root, campaign_id=data.spring, step="bought", by="region", value="' OR 1=1")
        assert (found.total, found.rows.empty) == (0, True)


# --- kept current ----------------------------------------------------------------------------------------------------


def test_an_order_of_a_member_is_in_the_results_after_a_refresh(data: Data) -> None:
    root = data.people.root
    before = one(root, data.spring)
    with connection.begin_owner() as conn:
        order_id = make.order(conn, data.ids["F"], on(4, 2), "8.00")
        conn.execute(insert(schema.touched_customers).values(customer_id=data.ids["F"], touched_at=clock.now()))
    with begin(WORKER, write=True) as conn:
        assert derived.check(conn).results == (), "who waits is not wrong"
        derived.refresh(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
    after = one(root, data.spring)
    assert (after.buyers, after.revenue) == (before.buyers + 1, before.revenue + 8)
    with connection.begin_owner() as conn:
        conn.execute(schema.orders.delete().where(schema.orders.c.id == order_id))
        conn.execute(insert(schema.touched_customers).values(customer_id=data.ids["F"], touched_at=clock.now()))
    with begin(WORKER, write=True) as conn:
        derived.refresh(conn)
    assert one(root, data.spring) == before


def test_the_check_finds_a_result_that_was_tampered_with(data: Data) -> None:
    r = schema.campaign_results
    with connection.begin_owner() as conn:
        conn.execute(update(r).where(r.c.customer_id == data.ids["A"], r.c.campaign_id == data.spring).values(orders=9))
    with begin(WORKER, write=True) as conn:
        found = derived.check(conn)
        assert found.results == ((data.ids["A"], data.spring),)
        assert found.found
        halves = [found for turn in (0, 1) for found in campaign_results.check(conn, one_in=2, turn=turn)]
        assert halves == [(data.ids["A"], data.spring)]
        derived.rebuild(conn)
        assert not derived.check(conn).found


def test_the_check_finds_sums_purchases_and_days_that_were_tampered_with(data: Data) -> None:
    sums, bought, days = schema.campaign_sums, schema.campaign_purchases, schema.order_days
    ann = data.people.ann.user_id
    with connection.begin_owner() as conn:
        conn.execute(update(sums).where(sums.c.campaign_id == data.spring, sums.c.owner_id == ann).values(buyers=9))
        conn.execute(bought.delete().where(bought.c.customer_id == data.ids["A"]))
        conn.execute(update(days).where(days.c.customer_id == data.ids["B"]).values(days=[on(4, 1)]))
    with begin(WORKER, write=True) as conn:
        found = derived.check(conn)
        assert found.sums == ((data.spring, ann),)
        assert found.results == ((data.ids["A"], data.spring),)
        assert found.customers == (data.ids["B"],)
        derived.rebuild(conn)
        assert not derived.check(conn).found


def test_a_hand_over_moves_a_customer_from_one_owners_sums_to_anothers(data: Data) -> None:
    ann, bo, root = data.people.ann, data.people.bo, data.people.root
    before = {viewer.username: one(viewer, data.spring) for viewer in (ann, bo, root)}
    with begin(root, write=True) as conn:
        customer.assign(conn, actor=root, customer_ids=[data.ids["A"]], owner_id=bo.user_id)
    assert one(root, data.spring) == before["root"]
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
        assert not derived.check(conn).found
    after = {viewer.username: one(viewer, data.spring) for viewer in (ann, bo, root)}
    assert after["root"] == before["root"]
    assert (after["ann"].reached, after["bo"].reached) == (before["ann"].reached - 1, before["bo"].reached + 1)
    assert after["bo"].redemptions == before["bo"].redemptions + 2
    with begin(root, write=True) as conn:
        customer.assign(conn, actor=root, customer_ids=[data.ids["A"]], owner_id=ann.user_id)
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
    assert {viewer.username: one(viewer, data.spring) for viewer in (ann, bo, root)} == before
