"""The derived tables: refreshing what was touched ends where rebuilding all of it ends, whatever happened between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select, update

from db import changes, clock, derived, schema
from db.connection import begin
from db.permissions import NOBODY, WORKER, Permission, Viewer
from tests import make

REGIONS = ("North", "East", "")
CURRENCIES = ("USD", "EUR")

Metrics = dict[int, tuple[Any, ...]]
Days = dict[tuple[Any, ...], tuple[Any, ...]]


def standing(conn: Connection) -> tuple[Metrics, Days]:
    """All of both tables, without the time of their making."""
    m, d = schema.customer_metrics, schema.daily_sales
    aside = ("refreshed_at", "orders_digest", "rolled_archived", "usual_days")
    metrics = {row[0]: tuple(row[1:]) for row in conn.execute(select(*(c for c in m.c if c.name not in aside)))}
    days = {tuple(row[:4]): tuple(row[4:]) for row in conn.execute(select(d))}
    return metrics, days


def touch(conn: Connection, customer_id: int) -> None:
    conn.execute(insert(schema.touched_customers).values(customer_id=customer_id, touched_at=clock.now()))
    make.kept(conn, customer_id)


def drain(conn: Connection, limit: int = derived.BATCH) -> None:
    while derived.refresh(conn, limit=limit):
        pass


class Undone(Exception):
    """Raised to leave a transaction without a trace."""


@contextmanager
def undone(viewer: Viewer = WORKER) -> Iterator[Connection]:
    """A write transaction that is rolled back."""
    with suppress(Undone), begin(viewer, write=True) as conn:
        yield conn
        raise Undone


def test_the_figures_of_a_customer_and_of_a_day(people: make.People) -> None:
    with undone() as conn:
        ann, bo = people.ann.user_id, people.bo.user_id
        one = make.customer(conn, ann, region="North")
        two = make.customer(conn, bo, region="East", archived_at=clock.now())
        none = make.customer(conn, ann, region="North")
        make.order(conn, one, date(2026, 5, 2), "20.10")
        make.order(conn, one, date(2026, 5, 2), "7.00", currency="EUR", hour=9)
        make.order(conn, one, date(2026, 5, 4), "0.05")
        make.order(conn, two, date(2026, 5, 4), "3.00")
        assert derived.rebuild(conn) == derived.Rebuilt(customers=3, days=4)
        metrics, days = standing(conn)
        assert metrics == {
            one: (date(2026, 5, 2), date(2026, 5, 4), 3, Decimal("20.15"), 1, ann, "North"),
            two: (date(2026, 5, 4), date(2026, 5, 4), 1, Decimal("3.00"), 0, bo, "East"),
            none: (None, None, 0, Decimal("0.00"), 0, ann, "North"),
        }
        # The first order of all was the one in euros: the customer is new there, once, and not in dollars.
        assert days == {
            (date(2026, 5, 2), ann, "North", "USD"): (1, Decimal("20.10"), 0, 0, 0, 0),
            (date(2026, 5, 2), ann, "North", "EUR"): (1, Decimal("7.00"), 1, 1, 1, 1),
            (date(2026, 5, 4), ann, "North", "USD"): (1, Decimal("0.05"), 0, 1, 1, 0),  # Saturday, then Monday
            (date(2026, 5, 4), bo, "East", "USD"): (1, Decimal("3.00"), 1, 1, 1, 1),
        }


def test_a_handover_moves_all_of_a_customers_days_and_leaves_no_empty_ones(people: make.People) -> None:
    with undone() as conn:
        ann, bo = people.ann.user_id, people.bo.user_id
        moving, staying = make.customer(conn, ann), make.customer(conn, ann)
        make.order(conn, moving, date(2026, 5, 2), "1.00")
        make.order(conn, moving, date(2026, 5, 3), "2.00")
        make.order(conn, staying, date(2026, 5, 2), "4.00")
        make.order(conn, staying, date(2026, 5, 2), "8.00")
        derived.rebuild(conn)
        conn.execute(update(schema.customers).where(schema.customers.c.id == moving).values(owner_id=bo))
        touch(conn, moving)
        touch(conn, moving)
        assert derived.refresh(conn) == 2
        assert derived.refresh(conn) == 0
        assert standing(conn)[1] == {
            (date(2026, 5, 2), bo, "", "USD"): (1, Decimal("1.00"), 1, 1, 1, 1),
            (date(2026, 5, 3), bo, "", "USD"): (1, Decimal("2.00"), 0, 1, 0, 0),
            (date(2026, 5, 2), ann, "", "USD"): (2, Decimal("12.00"), 1, 1, 1, 1),
        }


def test_a_customer_whose_creation_is_taken_back_leaves_nothing(people: make.People) -> None:
    with undone() as conn:
        customer = make.customer(conn, people.ann.user_id)
        touch(conn, customer)
        drain(conn)
        assert customer in standing(conn)[0]
        conn.execute(delete(schema.customers).where(schema.customers.c.id == customer))
        touch(conn, customer)
        drain(conn)
        assert standing(conn) == ({}, {})


def test_a_refresh_without_work_writes_nothing_and_moves_no_generation(clone: str, owner: Connection) -> None:
    before = owner.execute(select(schema.generations).order_by("area")).all()
    owner.rollback()
    with begin(WORKER, write=True) as conn:
        assert derived.refresh(conn) == 0
    assert owner.execute(select(schema.generations).order_by("area")).all() == before


STEPS = st.one_of(
    st.tuples(st.just("hand over"), st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("move"), st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("order"), st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("remove orders"), st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("archive"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("join"), st.integers(0, 2), st.integers(0, 5)),
    st.tuples(st.just("refresh"), st.integers(1, 3), st.just(0)),
)


def day(n: int) -> date:
    """0 … 5: over the end of a month and of a week, some in the same."""
    return date(2026, 2, 26) + timedelta(days=2 * n)


def do(conn: Connection, step: tuple[str, int, int], standing_ids: list[int], owners: list[int]) -> None:
    """One thing that can happen to a customer; each but `refresh` queues the customer as its writer would."""
    what, which, how = step
    c, o = schema.customers, schema.orders
    if what == "refresh":
        derived.refresh(conn, limit=which)
        return
    if what == "join":
        standing_ids.append(make.customer(conn, owners[which], region=REGIONS[how % 3]))
        make.order(conn, standing_ids[-1], day(how), "9.99")
        touch(conn, standing_ids[-1])
        return
    customer = standing_ids[which]
    if what == "hand over":
        conn.execute(update(c).where(c.c.id == customer).values(owner_id=owners[how]))
    elif what == "move":
        conn.execute(update(c).where(c.c.id == customer).values(region=REGIONS[how]))
    elif what == "archive":
        conn.execute(update(c).where(c.c.id == customer).values(archived_at=clock.now()))
    elif what == "order":
        make.order(conn, customer, day(how), f"{how}.{which}1", currency=CURRENCIES[how % 2], hour=how)
    else:
        conn.execute(delete(o).where(o.c.customer_id == customer, o.c.placed_on == day(how)))
    touch(conn, customer)


def test_after_any_history_a_refresh_ends_where_a_rebuild_ends(people: make.People) -> None:
    owners = [people.ann.user_id, people.bo.user_id, NOBODY]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        orders=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from(CURRENCIES)), max_size=8),
        steps=st.lists(STEPS, min_size=3, max_size=14),
        limit=st.integers(1, 5),
    )
    # Sums are taken anew while somebody's new order waits.
    @example(orders=[], steps=[("move", 0, 1), ("order", 3, 0), ("remove orders", 0, 0)], limit=1)
    def holds(orders: list[tuple[int, int, str]], steps: list[tuple[str, int, int]], limit: int) -> None:
        with undone() as conn:
            ids = [make.customer(conn, owners[i % 3], region=REGIONS[i % 2]) for i in range(4)]
            shared_days = [(i, n, "USD") for i in range(4) for n in (0, 1)]
            for which, n, currency in shared_days + orders:
                make.order(conn, ids[which], day(n), f"1{n}.0{which}", currency=currency)
            derived.rebuild(conn)
            for step in steps:
                do(conn, step, ids, owners)
            drain(conn, limit)
            assert not derived.check(conn).found
            refreshed = standing(conn)
            derived.rebuild(conn)
            assert refreshed == standing(conn)

    holds()


def test_two_workers_and_a_hand_that_keeps_changing_things_end_exact(people: make.People) -> None:
    owners = [people.ann.user_id, people.bo.user_id, NOBODY]
    with begin(WORKER, write=True) as conn:
        ids = [make.customer(conn, owners[i % 3], region=REGIONS[i % 2]) for i in range(12)]
        for i, customer in enumerate(ids):
            for day in range(1, 6):
                make.order(conn, customer, date(2026, 4, day), f"{i}.{day}0")
        derived.rebuild(conn)
    over = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        try:
            while True:
                ending = over.is_set()
                with begin(WORKER, write=True) as conn:
                    taken = derived.refresh(conn, limit=3)
                if ending and not taken:
                    return
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for thread in workers:
        thread.start()
    for turn in range(60):
        with begin(people.root, write=True) as conn:
            set_id = changes.start(
                conn, actor=people.root, command="test", permission=Permission.CUSTOMERS_ASSIGN, source="screen"
            )
            chosen = [{"id": ids[(turn * k) % 12], "owner_id": owners[(turn + k) % 3]} for k in (1, 5)]
            changes.update(conn, set_id, "customers", list({p["id"]: p for p in chosen}.values()))
        with begin(WORKER, write=True) as conn:
            make.order(conn, ids[turn % 12], date(2026, 4, 6 + turn % 9), "5.55")
            touch(conn, ids[turn % 12])
    over.set()
    for thread in workers:
        thread.join(30)
    assert not failures
    with begin(WORKER, write=True) as conn:
        assert derived.check(conn) == derived.Drift((), (), 0)
        refreshed = standing(conn)
        derived.rebuild(conn)
        assert refreshed == standing(conn)


def test_a_writer_does_not_wait_for_a_refresh_in_progress(people: make.People) -> None:
    with begin(WORKER, write=True) as conn:
        customer = make.customer(conn, people.ann.user_id)
        touch(conn, customer)
    with begin(WORKER, write=True) as slow:
        assert derived.refresh(slow) == 1
        with begin(people.root, write=True) as conn:
            set_id = changes.start(
                conn, actor=people.root, command="test", permission=Permission.CUSTOMERS_ASSIGN, source="screen"
            )
            changes.update(conn, set_id, "customers", [{"id": customer, "owner_id": people.bo.user_id}])
    with begin(WORKER, write=True) as conn:
        assert derived.refresh(conn) == 1
        assert standing(conn)[0][customer][-2] == people.bo.user_id


def test_the_check_finds_what_was_tampered_with_and_leaves_the_waiting_alone(people: make.People) -> None:
    with undone() as conn:
        ann, bo = people.ann.user_id, people.bo.user_id
        right, wrong, waiting = (make.customer(conn, owner) for owner in (ann, ann, bo))
        for customer in (right, wrong, waiting):
            make.order(conn, customer, date(2026, 5, 2), "10.00")
        derived.rebuild(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
        make.order(conn, waiting, date(2026, 5, 3), "10.00")
        touch(conn, waiting)
        assert derived.check(conn) == derived.Drift((), (), 1)
        m, d = schema.customer_metrics, schema.daily_sales
        conn.execute(update(m).where(m.c.customer_id == wrong).values(revenue=11))
        conn.execute(update(d).where(d.c.owner_id == ann).values(new_customers=7))
        found = derived.check(conn)
        of_stage = ((ann, "", "lost"),)
        assert found == derived.Drift((wrong,), ((date(2026, 5, 2), ann, "", "USD"),), 1, stages=of_stage)
        assert found.found
        halves = [derived.check(conn, one_in=2, turn=turn) for turn in (0, 1)]
        assert sorted(i for half in halves for i in half.customers) == [wrong]
        assert len([key for half in halves for key in half.days]) == 1


def test_orders_that_make_up_for_others_between_two_refreshes_are_seen(people: make.People) -> None:
    with undone() as conn:
        ann = people.ann.user_id
        customer = make.customer(conn, ann)
        gone, *_kept = (make.order(conn, customer, date(2026, 5, day)) for day in (2, 1, 9))
        derived.rebuild(conn)
        conn.execute(delete(schema.orders).where(schema.orders.c.id == gone))
        make.order(conn, customer, date(2026, 5, 3))
        touch(conn, customer)
        drain(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
        assert [key[0].day for key in sorted(standing(conn)[1])] == [1, 3, 9]


def test_the_currency_of_the_company_decides_what_is_revenue(people: make.People) -> None:
    with undone() as conn:
        set_id = changes.start(conn, actor=WORKER, command="test", permission=Permission.DEMO_LOAD, source="terminal")
        changes.insert(conn, set_id, "settings", [{"key": "currency", "value": "EUR"}])
        customer = make.customer(conn, people.ann.user_id)
        make.order(conn, customer, date(2026, 5, 2), "10.00")
        make.order(conn, customer, date(2026, 5, 2), "3.00", currency="EUR")
        derived.rebuild(conn)
        row = conn.execute(select(schema.customer_metrics)).mappings().one()
        assert (row["revenue"], row["orders"], row["other_currency_orders"]) == (Decimal("3.00"), 2, 1)
        assert row["refreshed_at"] == clock.now()
