"""Who is in a live segment: after any history what the worker keeps is what the rules find, and the record adds up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select, update

from db import clock, connection, derived, rules, schema, scores, segment_members, segment_queue, segments
from db.connection import begin
from db.embedded import Server
from db.permissions import NOBODY, WORKER
from tests import conftest, make

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
RULES: tuple[dict[str, Any], ...] = (
    {"all": [{"field": "revenue", "op": ">", "value": 15}]},
    {"all": [{"field": "ordered", "op": "within", "value": {"last_days": 5}}]},
    {"none": [{"field": "region", "op": "in", "value": ["North"]}]},
    {"any": [{"field": "city", "op": "in", "value": ["Oslo"]}, {"field": "orders", "op": ">=", "value": 2}]},
    {"all": [{"field": "bought_product", "op": "any of", "value": {"of": [1], "last_days": 7}}]},
    {"all": [{"field": "bought_product", "op": "none of", "value": [1]}]},
    {"all": [{"field": "bought_category", "op": "any of", "value": ["tea"]}]},
    {"all": [{"field": "stage", "op": "in", "value": ["first", "repeat"]}]},
    {"all": [{"field": "m_score", "op": "in", "value": ["4", "5"]}]},
    {"all": []},
    {"any": []},
)


@pytest.fixture
def people(server: Server, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[make.People]:
    monkeypatch.setenv("KEHU_NOW", START.isoformat())
    name = f"members_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def keep(owner_id: int, *found: dict[str, Any], **values: Any) -> list[int]:
    """Segments of these rules, past the one door; gives their ids."""
    now = clock.now()
    with connection.begin_owner() as conn:
        g = schema.segments
        rows = [
            {"owner_id": owner_id, "name": f"S{n}", "rule": rule, "created_at": now, "updated_at": now} | values
            for n, rule in enumerate(found)
        ]
        return [conn.scalar(insert(g).values(**row).returning(g.c.id)) or 0 for row in rows]


def work(conn: Connection) -> None:
    """What the worker does, in one transaction."""
    while derived.refresh(conn):
        pass
    while segment_members.refresh(conn):
        pass
    for segment_id in segment_members.due(conn):
        segment_members.evaluate(conn, segment_id)
    assert segment_members.due(conn) == ()


def worked() -> None:
    with begin(WORKER, write=True) as conn:
        work(conn)


def members(conn: Connection) -> set[tuple[int, int]]:
    m = schema.segment_members.c
    return {tuple(row) for row in conn.execute(select(m.segment_id, m.customer_id))}


def found(conn: Connection, ids: list[int]) -> set[tuple[int, int]]:
    """The same by the rules alone, each by itself."""
    today, bounds, _at = segment_members._now(conn)
    pairs = set()
    for segment_id, rule in zip(ids, RULES, strict=True):
        for customer_id, _n in conn.execute(segments.fitting({segment_id: rules.parse(rule)}, today, bounds)):
            pairs.add((segment_id, customer_id))
    return pairs


class Undone(Exception):
    """Raised to leave a transaction without a trace."""


@contextmanager
def undone() -> Iterator[Connection]:
    with suppress(Undone), begin(WORKER, write=True) as conn:
        yield conn
        raise Undone


STEPS = st.one_of(
    st.tuples(st.just("order"), st.integers(0, 4), st.integers(0, 9)),
    st.tuples(st.just("remove orders"), st.integers(0, 4), st.just(0)),
    st.tuples(st.just("city"), st.integers(0, 4), st.integers(0, 1)),
    st.tuples(st.just("region"), st.integers(0, 4), st.integers(0, 1)),
    st.tuples(st.just("archive"), st.integers(0, 4), st.just(0)),
    st.tuples(st.just("join"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 4), st.just(0)),
    st.tuples(st.just("day"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("scores"), st.just(0), st.just(0)),
    st.tuples(st.just("rule"), st.integers(0, len(RULES) - 1), st.just(0)),
    st.tuples(st.just("work"), st.just(0), st.just(0)),
    st.tuples(st.just("one batch"), st.integers(1, 2), st.just(0)),
)


def touch(conn: Connection, customer_id: int) -> None:
    conn.execute(insert(schema.touched_customers).values(customer_id=customer_id, touched_at=clock.now()))


def do(conn: Connection, step: tuple[str, int, int], standing: list[int], days: list[int]) -> None:
    """One thing that can happen; each queues the customer as its writer would."""
    what, which, how = step
    if what == "work":
        work(conn)
    elif what == "one batch":
        derived.refresh(conn, limit=which)
        segment_members.refresh(conn, limit=which)
    elif what == "day":
        days.append(which)
        os.environ["KEHU_NOW"] = (START + timedelta(days=sum(days), minutes=len(days))).isoformat()
    elif what == "scores":
        days.append(0)
        os.environ["KEHU_NOW"] = (START + timedelta(days=sum(days), minutes=len(days))).isoformat()
        scores.refresh(conn)
    elif what == "join":
        standing.append(make.customer(conn, NOBODY, region=("North", "East")[which]))
        touch(conn, standing[-1])
    elif what == "rule":
        s = schema.segment_states
        conn.execute(update(s).where(s.c.segment_id == which + 1).values(digest="another", version=0))
    elif standing:
        one = standing[which % len(standing)]
        happens_to(conn, what, one, how)
        if what == "leave":
            standing.remove(one)
        if what == "city":
            segment_queue.touch(conn, [one])
        else:
            touch(conn, one)


def happens_to(conn: Connection, what: str, one: int, how: int) -> None:
    c, o = schema.customers, schema.orders
    if what == "order":
        order_id = make.order(conn, one, clock.today() - timedelta(days=how), "10.00")
        line = {"customer_id": one, "order_id": order_id, "product_id": 1 + how % 2, "quantity": 1, "amount": 1}
        conn.execute(insert(schema.order_items).values(**line))
    elif what == "remove orders":
        conn.execute(delete(schema.order_items).where(schema.order_items.c.customer_id == one))
        conn.execute(delete(o).where(o.c.customer_id == one))
    elif what == "city":
        conn.execute(update(c).where(c.c.id == one).values(city=("Oslo", "")[how]))
    elif what == "region":
        conn.execute(update(c).where(c.c.id == one).values(region=("North", "East")[how]))
    elif what == "archive":
        conn.execute(update(c).where(c.c.id == one).values(archived_at=clock.now()))
    elif what == "leave":
        conn.execute(delete(schema.order_items).where(schema.order_items.c.customer_id == one))
        conn.execute(delete(o).where(o.c.customer_id == one))
        conn.execute(delete(c).where(c.c.id == one))


def record_adds_up(conn: Connection, began: set[tuple[int, int]]) -> None:
    """Whoever was there when the record began, joined and left since, is there now; nobody joins twice."""
    m = schema.segment_moves.c
    standing = set(began)
    for row in conn.execute(select(m.segment_id, m.customer_id, m.joined).order_by(m.id)):
        pair = (row.segment_id, row.customer_id)
        assert (pair in standing) is not row.joined, pair
        (standing.add if row.joined else standing.remove)(pair)
    assert standing == members(conn)


def test_after_any_history_the_members_are_those_whom_the_rules_find(people: make.People) -> None:
    ids = keep(people.root.user_id, *RULES)
    assert ids == list(range(1, len(RULES) + 1))
    with connection.begin_owner() as conn:
        for n, category in ((1, "tea"), (2, "coffee")):
            conn.execute(insert(schema.products).values(id=n, sku=f"s{n}", name=f"p{n}", category=category))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(STEPS, max_size=14))
    def history(steps: list[tuple[str, int, int]]) -> None:
        os.environ["KEHU_NOW"] = START.isoformat()
        with undone() as conn:
            standing = [make.customer(conn, people.ann.user_id, region=r, city="Oslo") for r in ("North", "East")]
            for one in standing:
                touch(conn, one)
            work(conn)
            began = members(conn)
            assert began == found(conn, ids)
            days: list[int] = []
            for step in steps:
                do(conn, step, standing, days)
            work(conn)
            assert members(conn) == found(conn, ids)
            record_adds_up(conn, began)

    history()
