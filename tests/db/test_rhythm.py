"""The usual interval, the next purchase, scores and interests: counted by hand, the same for every role."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import insert

from db import connection, customer, derived, interests, rhythm, schema, scores, segments
from db.connection import begin
from db.embedded import Server
from db.errors import NotFound
from db.metrics import CUSTOMER_METRICS
from db.permissions import NOBODY, WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
NOT_KNOWN = (None, None)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"rhythm_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture(scope="module")
def bought(people: make.People) -> dict[str, int]:
    """Five customers of Ann with 1 to 5 orders of 10, 20, … 50; who has most bought last. None has none."""
    made: dict[str, int] = {}
    with connection.begin_owner() as conn:
        for n in range(1, 6):
            made[str(n)] = make.customer(conn, people.ann.user_id)
            for i in range(n):
                make.order(conn, made[str(n)], date(2026, 10, n + 5 - i), f"{n}0")
        made["none"] = make.customer(conn, people.ann.user_id)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        scores.refresh(conn)
    return made


def get(viewer: Viewer, customer_id: int) -> customer.Customer:
    with begin(viewer) as conn:
        return customer.get(conn, viewer=viewer, customer_id=customer_id, today=TODAY)


@pytest.mark.parametrize(
    ("days", "every"),
    [
        ([], None),
        ([1], None),
        ([1, 1, 1, 1], None),
        ([1, 5], None),
        ([1, 5, 5, 5], None),
        ([1, 5, 15], 7),
        ([1, 5, 14], 7),  # 4 and 9: 6.5
        ([1, 5, 14, 15], 4),  # 4, 9 and 1
        ([15, 1, 5, 14, 14], 4),
        ([1, 2, 3], 1),
    ],
)
def test_the_interval_is_the_median_between_days(days: list[int], every: int | None) -> None:
    assert rhythm.interval([date(2026, 1, d) for d in days]) == every


def test_nothing_is_known_of_no_days_and_the_day_due_is_days_later() -> None:
    assert rhythm.interval(None) is None
    assert rhythm.due_on(None, 7) is rhythm.due_on(date(2026, 1, 1), None) is None
    assert rhythm.due_on(date(2026, 1, 30), 3) == date(2026, 2, 2)


def test_scores_are_by_fifths_and_the_same_for_every_role(people: make.People, bought: dict[str, int]) -> None:
    for viewer in (people.ann, people.mia, people.ana, people.mark, people.root):
        for n in range(1, 6):
            one = get(viewer, bought[str(n)])
            # The bounds between five customers are the first four themselves: each is alone in a fifth.
            assert (one.r_score, one.f_score, one.m_score) == (n, n, n)
        none = get(viewer, bought["none"])
        assert (none.r_score, none.f_score, none.m_score) == (None, None, None)
        assert (none.interval_days, none.due_on) == NOT_KNOWN


def test_scores_are_those_that_segments_find(people: make.People, bought: dict[str, int]) -> None:
    for viewer in (people.ann, people.ana):
        with begin(viewer) as conn:
            for name in rhythm.SCORES:
                for score in "12345":
                    rule = f'{{"all": [{{"field": "{name}", "op": "in", "value": ["{score}"]}}]}}'
                    found = segments.preview(conn, viewer=viewer, rule=rule, today=TODAY)
                    rows = found[0] if isinstance(found, tuple) else getattr(found, "rows", found)
                    shown = [i for i in bought.values() if str(getattr(get(viewer, i), name)) == score]
                    assert sorted(rows["id"]) == sorted(shown), (name, score)


def test_without_bounds_nothing_is_told(people: make.People) -> None:
    with connection.begin_owner() as conn:
        made = make.customer(conn, people.ann.user_id)
        make.order(conn, made, TODAY)
        derived.rebuild(conn)
        conn.execute(schema.score_bounds.delete())
        conn.exec_driver_sql("SET LOCAL ROLE kehu_admin")
        one = customer.get(conn, viewer=people.root, customer_id=made, today=TODAY)
        conn.rollback()
    assert (one.orders, one.r_score, one.f_score, one.m_score) == (1, None, None, None)


def test_the_interval_and_the_day_of_a_customer(people: make.People, bought: dict[str, int]) -> None:
    for viewer in (people.ann, people.mark):
        assert (get(viewer, bought["2"]).interval_days, get(viewer, bought["2"]).due_on) == NOT_KNOWN
        one = get(viewer, bought["4"])  # October 6 to 9
        assert (one.interval_days, one.due_on) == (1, date(2026, 10, 10))


def test_the_team_of_the_owner(people: make.People, bought: dict[str, int]) -> None:
    assert get(people.ana, bought["1"]).team == "Team 1"
    with connection.begin_owner() as conn:
        nobodys = make.customer(conn, NOBODY)
    assert get(people.max, nobodys).team == ""


def test_the_wrong_user_is_told_nothing(people: make.People, bought: dict[str, int]) -> None:
    for viewer in (people.bo, people.max):
        with pytest.raises(NotFound):
            get(viewer, bought["4"])
        with begin(viewer) as conn:
            assert interests.interests(conn, viewer=viewer, customer_id=bought["4"], currency="USD") == []


def test_interests_are_shares_of_what_lines_with_a_category_cost(people: make.People) -> None:
    with connection.begin_owner() as conn:
        made = make.customer(conn, people.bo.user_id)
        order, other = (make.order(conn, made, TODAY, currency=c) for c in ("USD", "EUR"))
        for at, (category, amount) in enumerate(
            [
                ("TEA *x*", "50"),
                ("INK", "20"),
                ("CUP", "20"),
                ("<b>", "6"),
                ("BACK", "-1"),
                ("", "900"),
                ("TEA *x*", "5"),
            ]
        ):
            values = {"sku": f"interest {at}", "name": "x", "category": category}
            product_id = conn.scalar(insert(schema.products).values(**values).returning(schema.products.c.id))
            line = {"customer_id": made, "product_id": product_id, "quantity": 1, "amount": amount}
            conn.execute(insert(schema.order_items).values(order_id=order, **line))
        conn.execute(insert(schema.order_items).values(order_id=other, **line | {"amount": "777"}))
    for viewer in (people.bo, people.mia, people.ana, people.root):
        with begin(viewer) as conn:
            told = interests.interests(conn, viewer=viewer, customer_id=made, currency="USD")
            assert interests.interests(conn, viewer=viewer, customer_id=made, currency="CNY") == []
            assert interests.interests(conn, viewer=viewer, customer_id=2**70, currency="USD") == []
        # 55, 20 and 20 of 100; equals by name.
        assert told == [("TEA *x*", Decimal("0.55")), ("CUP", Decimal("0.2")), ("INK", Decimal("0.2"))]


def test_every_figure_is_defined() -> None:
    assert {"interval", "next_due", *rhythm.SCORES, "interests"} <= CUSTOMER_METRICS.keys()
    assert all(len(words) == 5 for words in rhythm.SCORE_WORDS.values())
    assert str(rhythm.LEAST_DAYS) in CUSTOMER_METRICS["interval"].formula
    assert interests.TOP == 3
