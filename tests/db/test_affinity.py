"""Affinity: pairs of categories by hand, a segment and everyone, the people behind a pair, rights, and drift."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, delete, func, insert, select, update

from db import affinity, basket_rebuild, baskets, clock, connection, derived, rebuild_pieces, rules, schema, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from db.explorer import of_pair
from db.permissions import WORKER, Viewer
from tests import conftest, make
from worker.tasks import keep_current

TODAY = date(2026, 11, 20)
EVERYONE = '{"all":[]}'
WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'
HOSTILE = "'; DROP TABLE orders -- <b>😀{x}%s"


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"affinity_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def product(conn: Connection, category: str) -> int:
    number = conn.scalar(select(func.count()).select_from(schema.products))
    values = {"sku": f"P{number}", "name": f"{category} 1", "department": "", "category": category, "brand": ""}
    query = insert(schema.products).values(package="", **values).returning(schema.products.c.id)
    return int(conn.execute(query).scalar_one())


def bought(conn: Connection, customer_id: int, on: date, products: Sequence[int]) -> None:
    key = {"customer_id": customer_id, "order_id": make.order(conn, customer_id, on)}
    for each in products:
        conn.execute(insert(schema.order_items).values(**key, product_id=each, quantity=1, amount=1))


def touched(conn: Connection, *ids: int) -> None:
    conn.execute(insert(schema.touched_customers), [{"customer_id": i, "touched_at": clock.now()} for i in ids])
    for i in ids:
        make.kept(conn, i)


def refreshed() -> None:
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
        assert derived.check(conn) == derived.Drift((), (), 0)


def asked(viewer: Viewer, **question: Any) -> affinity.Affinity:
    with begin(viewer) as conn:
        return affinity.affinity(conn, viewer=viewer, today=TODAY, **question)


def pairs(found: affinity.Affinity) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {(r.first, r.second): (r.together, r.first_orders, r.second_orders) for r in found.rows.itertuples()}


def company(people: make.People) -> dict[str, int]:
    """Ann's A and W (West), Bo's B (West), Cho's C, Ann's Z archived; tea, milk, rice and goods without a category."""
    owners = {"A": "ann", "W": "ann", "B": "bo", "C": "cho", "Z": "ann"}
    ids = {}
    with connection.begin_owner() as conn:
        goods = {name: product(conn, name) for name in ("Tea", "Milk", "Rice", "", HOSTILE)}
        more_tea = product(conn, "Tea")
        for name, owner in owners.items():
            ids[name] = make.customer(
                conn,
                getattr(people, owner).user_id,
                name=name,
                region="West" if name in ("W", "B") else "East",
                archived_at=clock.now() if name == "Z" else None,
            )

        def buys(name: str, day: date, *what: str) -> None:
            bought(conn, ids[name], day, [goods[each] for each in what])

        buys("A", date(2026, 11, 1), "Tea", "Milk", "Milk")  # two lines of milk are one order with milk
        buys("A", date(2026, 11, 2), "Tea", "")
        bought(conn, ids["A"], date(2026, 11, 3), [goods["Tea"], more_tea])  # no pair with itself
        buys("A", date(2026, 10, 31), "Milk")
        buys("W", date(2026, 11, 20), "Tea", "Milk", "Rice")
        buys("B", date(2026, 10, 1), "Rice")
        buys("B", date(2026, 9, 30), "Tea", "Rice")  # before the last two months
        buys("C", date(2026, 10, 15), "Milk", HOSTILE)
        buys("C", date(2026, 10, 16), "")  # has no category: counts nowhere
        buys("Z", date(2026, 11, 1), "Tea", "Milk")  # archived
        make.order(conn, ids["C"], date(2026, 10, 17))  # without lines
        touched(conn, *ids.values())
    refreshed()
    return ids


def test_each_pair_is_counted_once_in_each_order_of_the_period(people: make.People) -> None:
    company(people)
    found = asked(people.root, months=2)
    assert pairs(found) == {
        ("Milk", "Tea"): (2, 4, 4),
        ("Milk", "Rice"): (1, 4, 2),
        ("Rice", "Tea"): (1, 2, 4),
        (HOSTILE, "Milk"): (1, 1, 4),
    }
    assert found.orders == 7
    assert found.categories == {"Milk": 4, "Tea": 4, "Rice": 2, HOSTILE: 1}
    assert (found.start, found.end, found.others) == (date(2026, 10, 1), date(2026, 11, 30), 0)
    assert pairs(asked(people.root, months=1)) == {
        ("Milk", "Tea"): (2, 2, 4),
        ("Milk", "Rice"): (1, 2, 1),
        ("Rice", "Tea"): (1, 1, 4),
    }
    assert pairs(asked(people.root, months=3))["Rice", "Tea"] == (2, 3, 5)


def test_everybody_sees_the_orders_of_their_own_customers(people: make.People) -> None:
    company(people)
    orders = {name: asked(getattr(people, name), months=2).orders for name in ("ann", "bo", "cho", "mia", "max")}
    assert orders == {"ann": 5, "bo": 1, "cho": 1, "mia": 6, "max": 1}
    for viewer in (people.root, people.ana, people.mark):
        assert asked(viewer, months=2).orders == 7
    assert pairs(asked(people.bo, months=2)) == {}
    assert pairs(asked(people.cho)) == {(HOSTILE, "Milk"): (1, 1, 1)}
    with pytest.raises(Refused):
        asked(WORKER)


def test_a_segment_of_everyone_is_everyone_and_a_part_adds_up_from_its_members(people: make.People) -> None:
    company(people)
    for viewer in people.everyone:
        for months in (1, 2, 3, 24):
            own, by_rule = asked(viewer, months=months), asked(viewer, months=months, rule=EVERYONE)
            assert (pairs(own), own.orders, own.categories) == (pairs(by_rule), by_rule.orders, by_rule.categories)
    west = asked(people.mark, months=2, rule=WEST)
    assert pairs(west) == {("Milk", "Tea"): (1, 1, 1), ("Milk", "Rice"): (1, 1, 2), ("Rice", "Tea"): (1, 2, 1)}
    assert west.orders == 2
    assert asked(people.root, rule='{"any":[]}').orders == 0


def test_who_bought_both_and_whom_to_offer_are_rules_and_only_the_viewers(people: make.People) -> None:
    ids = company(people)
    period = {"start": date(2026, 10, 1), "end": date(2026, 11, 30)}

    def who(viewer: Viewer, first: str, second: str, *, without: bool, rule: str = "") -> set[str]:
        behind = of_pair(rule, first=first, second=second, without=without, **period)
        assert rules.parse_text(behind)
        with begin(viewer) as conn:
            found = segments.preview(conn, viewer=viewer, rule=behind, today=TODAY)
        return {name for name, number in ids.items() if number in set(found.rows["id"])}

    assert who(people.root, "Milk", "Tea", without=False) == {"A", "W"}
    assert who(people.root, "Milk", "Tea", without=True) == {"C"}
    assert who(people.root, "Rice", "Tea", without=True) == {"B"}  # tea with rice was before the period
    assert who(people.ann, "Milk", "Tea", without=True) == set()
    assert who(people.root, "Milk", "Tea", without=False, rule=WEST) == {"W"}
    assert who(people.root, "Milk", HOSTILE, without=False) == {"C"}


def test_what_cannot_be_asked_gets_a_sentence_and_nothing_is_nothing(people: make.People) -> None:
    empty = asked(people.root)
    assert (pairs(empty), empty.orders, empty.categories, empty.others) == ({}, 0, {}, 0)
    assert asked(people.ann, rule=EVERYONE).orders == 0
    for wrong in ({"months": 0}, {"months": affinity.MOST_MONTHS + 1}, {"rule": "'; DROP"}, {"rule": "null"}):
        with pytest.raises(Invalid):
            asked(people.root, **wrong)


def test_there_is_room_for_the_most_bought_categories_and_the_others_are_told(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baskets, "MOST_CATEGORIES", 2)
    monkeypatch.setattr(affinity, "MOST_CATEGORIES", 2)
    ids = company(people)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        assert not derived.check(conn).found
    found = asked(people.root, months=2)
    assert pairs(found) == {("Milk", "Tea"): (2, 4, 4)}
    assert (found.orders, found.others) == (7, 2)
    assert asked(people.root, months=2, rule=EVERYONE).orders == 7
    with connection.begin_owner() as conn:
        bought(conn, ids["A"], date(2026, 11, 5), [product(conn, "New")])
        touched(conn, ids["A"])
    refreshed()
    assert (asked(people.root, months=2).orders, asked(people.root).others) == (8, 3)


def test_the_check_finds_a_wrong_basket_and_a_wrong_sum(people: make.People) -> None:
    ids = company(people)
    b, s = schema.customer_baskets, schema.basket_sums
    with connection.begin_owner() as conn:
        conn.execute(update(b).where(b.c.customer_id == ids["B"]).values(baskets=[0, 0]))
    with begin(WORKER) as conn:
        drift = derived.check(conn)
    assert drift.customers == (ids["B"],)
    assert {key[0] for key in drift.baskets} == {people.bo.user_id, baskets.EVERYBODY}
    assert drift.found
    with connection.begin_owner() as conn:
        conn.execute(delete(s))
    with begin(WORKER, write=True) as conn:
        assert derived.check(conn).baskets
        derived.rebuild(conn)
        assert not derived.check(conn).found


def naive(conn: Connection, owners: tuple[int, ...], start: date) -> tuple[Counter[tuple[str, ...]], int]:
    """From the lines, one by one."""
    c, o, i, p = schema.customers.c, schema.orders.c, schema.order_items.c, schema.products.c
    of = schema.order_items.join(schema.orders, (o.customer_id == i.customer_id) & (o.id == i.order_id))
    of = of.join(schema.products, p.id == i.product_id).join(schema.customers, c.id == i.customer_id)
    query = select(o.id, p.category).select_from(of)
    held: dict[int, set[str]] = {}
    for number, category in conn.execute(
        query.where(c.archived_at.is_(None), c.owner_id.in_(owners), p.category != "", o.placed_on >= start)
    ):
        held.setdefault(number, set()).add(category)
    return Counter(pair for found in held.values() for pair in combinations(sorted(found), 2)), len(held)


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_all_is_as_counted_from_the_lines(people: make.People, seed: int) -> None:
    random = Random(seed)
    owners = [getattr(people, name).user_id for name in ("ann", "bo", "cho")]
    with connection.begin_owner() as conn:
        goods = [product(conn, name) for name in ("a", "b", "c", "d", "e", "")]
        ids = [make.customer(conn, random.choice(owners)) for _n in range(12)]
        touched(conn, *ids)
    table = schema.customers
    for _round in range(4):
        with connection.begin_owner() as conn:
            for _step in range(15):
                who = random.choice(ids)
                match random.randrange(6):
                    case 0:
                        conn.execute(update(table).where(table.c.id == who).values(owner_id=random.choice(owners)))
                    case 1:
                        put_away = random.choice((None, clock.now()))
                        conn.execute(update(table).where(table.c.id == who).values(archived_at=put_away))
                    case 2:
                        for each in (schema.order_items, schema.orders):
                            conn.execute(delete(each).where(each.c.customer_id == who))
                    case _:
                        on = date(2026, 6, 1) + timedelta(days=random.randrange(170))
                        bought(conn, who, on, random.sample(goods, random.randrange(1, 5)))
                touched(conn, who)
        refreshed()
        with begin(WORKER, write=True) as conn:
            baskets.rebuild(conn)
            assert derived.check(conn) == derived.Drift((), (), 0)
        for viewer, of in ((people.root, tuple(owners)), (people.mia, tuple(owners[:2])), (people.cho, (owners[2],))):
            for months, start in ((24, date(2024, 1, 1)), (3, date(2026, 9, 1))):
                with connection.begin_owner() as conn:
                    expected, orders = naive(conn, of, start)
                for rule in ("", EVERYONE):
                    found = asked(viewer, months=months, rule=rule)
                    assert {key: n for key, (n, *_alone) in pairs(found).items()} == dict(expected)
                    assert found.orders == orders


def test_all_made_at_once_is_what_one_customer_after_the_other_makes(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_pieces, "PIECE_BITS", 2)
    monkeypatch.setattr(rebuild_pieces, "PASS_BYTES", 1)
    monkeypatch.setattr(basket_rebuild, "MOST_KEYS", 50)
    random = Random(5)
    owners = [getattr(people, name).user_id for name in ("ann", "bo")]
    with connection.begin_owner() as conn:
        goods = [product(conn, name) for name in ("", *(f"c{n:02}" for n in range(baskets.MOST_CATEGORIES + 3)))]
        for n in range(14):
            archived = clock.now() if n == 3 else None
            who = make.customer(conn, random.choice(owners), archived_at=archived)
            for _order in range(random.randrange(6)):
                on = random.choice((date(1969, 12, 31), date(2026, 10, 31), date(2026, 11, 1)))
                bought(conn, who, on, random.sample(goods, random.choice((0, 1, 3, 64))))
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
        assert max(conn.scalars(select(func.max(schema.basket_categories.c.code)))) == baskets.MOST_CATEGORIES - 1


def test_after_the_migration_the_worker_makes_all_baskets_and_until_then_the_screen_is_told(
    people: make.People,
) -> None:
    ids = company(people)
    before = asked(people.root)
    with connection.begin_owner() as conn:
        for each in (schema.customer_baskets, schema.basket_sums, schema.basket_categories):
            conn.execute(delete(each))
    assert asked(people.root).missing
    keep_current()
    after = asked(people.root)
    assert not after.missing
    assert (pairs(after), after.orders) == (pairs(before), before.orders)
    with connection.begin_owner() as conn:
        for each in (schema.customer_baskets, schema.basket_sums, schema.basket_categories):
            conn.execute(delete(each))
        touched(conn, ids["B"])
    refreshed()
    assert pairs(asked(people.root)) == pairs(before)


def test_both_ways_of_counting_bits_give_the_same() -> None:
    random = Random(1)
    codes = [0, 3, 59]
    few = np.asarray([random.choice((0, 1, 8, 9, 1 << 59)) for _n in range(1000)], np.int64)
    many = np.asarray([random.randrange(1 << 60) for _n in range(300)], np.int64)
    for held in (few, many, few[:0]):
        naive_count = Counter(
            (a, b)
            for basket in held.tolist()
            for i, a in enumerate(codes)
            for b in codes[i:]
            if basket >> a & 1 and basket >> b & 1
        )
        assert affinity._pairs(held, codes) == dict(naive_count)
    assert affinity._pairs(many, []) == {}
