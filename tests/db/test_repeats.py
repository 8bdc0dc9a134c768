"""Repeat purchases: waits and intervals by hand, against a naive count, for a segment, and by rights."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from db import clock, connection, derived, held, repeats
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
EVERYONE = '{"all":[]}'


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"repeats_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def loaded(people: make.People, bought: dict[str, tuple[str, list[date]]], archived: tuple[str, ...] = ()) -> None:
    with connection.begin_owner() as conn:
        for name, (owner, days) in bought.items():
            put_away = clock.now() if name in archived else None
            made = make.customer(conn, getattr(people, owner).user_id, name=name, archived_at=put_away)
            for day in days:
                make.order(conn, made, day)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)


def waits(viewer: Viewer, **question: Any) -> tuple[dict[tuple[int, bool], int], int]:
    with begin(viewer) as conn:
        found = repeats.waits(conn, viewer=viewer, today=TODAY, **question)
    return {(r.days, r.happened): r.customers for r in found.rows.itertuples()}, found.unknown


def gaps(viewer: Viewer, **question: Any) -> dict[int, int]:
    with begin(viewer) as conn:
        found = repeats.intervals(conn, viewer=viewer, today=TODAY, **question)
    return {r.days: r.intervals for r in found.rows.itertuples()}


def d(month: int, day: int) -> date:
    return date(2026, month, day)


def test_by_hand_and_by_rights(people: make.People) -> None:
    shop = {
        "old": ("ann", [d(7, 1), d(8, 1)]),  # in the time in which the data begin: not known
        "A": ("ann", [d(9, 1), d(9, 1), d(9, 11), d(10, 1)]),  # twice on a day counts once: 10, then 20 days
        "B": ("bo", [d(11, 10)]),  # seen for ten days
        "C": ("cho", [d(11, 10), d(11, 20)]),
        "Z": ("ann", [d(9, 1), d(9, 2)]),
        "none": ("ann", []),
    }
    loaded(people, shop, archived=("Z",))
    assert waits(people.root) == ({(10, True): 2, (10, False): 1}, 1)
    assert waits(people.root, rule=EVERYONE) == waits(people.root)
    assert waits(people.root, step=2) == ({(20, True): 1, (0, False): 1}, 1)
    assert waits(people.root, step=3) == ({(50, False): 1}, 1)
    assert waits(people.root, months=1) == ({(10, True): 1, (10, False): 1}, 0)
    assert waits(people.ann) == ({(10, True): 1}, 1)
    assert waits(people.mia) == ({(10, True): 1, (10, False): 1}, 1)
    assert waits(people.cho) == ({(10, True): 1}, 0)
    assert gaps(people.root) == gaps(people.mark) == {31: 1, 10: 2, 20: 1}
    assert gaps(people.bo) == {}
    assert gaps(people.cho) == gaps(people.cho, rule=EVERYONE) == {10: 1}
    assert gaps(people.ann) == gaps(people.ann, rule=EVERYONE) == {31: 1, 10: 1, 20: 1}


def test_what_cannot_be_asked_gets_a_sentence_and_nothing_is_nothing(people: make.People) -> None:
    assert waits(people.root) == ({}, 0)
    assert gaps(people.root) == {}
    for wrong in ({"step": 0}, {"step": 6}, {"months": 0}, {"months": 99}, {"rule": "'; DROP"}):
        with pytest.raises(Invalid):
            waits(people.root, **wrong)
    with pytest.raises(Refused):
        waits(WORKER)


def drawn(seed: int, start: date) -> dict[str, tuple[str, list[date]]]:
    """Bo has one customer, who bought before the first day; Ann and Cho have the others."""
    random = Random(seed)
    shop = {"first": ("bo", [start - timedelta(days=100)])}
    for n in range(25):
        days = sorted(start + timedelta(days=random.randrange(300)) for _n in range(random.randrange(7)))
        shop[str(n)] = (random.choice(("ann", "cho")), days)
    return shop


@pytest.mark.parametrize("seed", range(3))
def test_any_orders_give_what_counting_one_by_one_gives(people: make.People, seed: int) -> None:
    start = date(2026, 1, 1)
    shop = drawn(seed, start)
    loaded(people, shop)
    for owners, viewer in ((("ann", "bo", "cho"), people.root), (("cho",), people.cho)):
        bought = [sorted(set(days)) for owner, days in shop.values() if owner in owners and days]
        counted = Counter((b - a).days for days in bought for a, b in pairwise(days))
        assert gaps(viewer) == gaps(viewer, rule=EVERYONE) == counted
        for step in range(1, 6):
            naive = Counter(
                ((days[step] if len(days) > step else TODAY) - days[step - 1]).days * 2 + (len(days) > step)
                for days in bought
                if days[0] >= start and len(days) >= step
            )
            expected = {(key // 2, key % 2 == 1): n for key, n in naive.items()}
            assert waits(viewer, step=step)[0] == expected


def test_of_a_rule_memory_tells_what_postgresql_tells(people: make.People) -> None:
    loaded(people, drawn(7, date(2026, 1, 1)))
    rules = (EVERYONE, '{"all":[{"field":"orders","op":">=","value":3}]}', '{"none":[{"all":[]}]}')
    viewers = (people.root, people.cho, people.bo, people.mark)
    asked = [(viewer, rule) for viewer in viewers for rule in rules]

    def answers() -> list[Any]:
        kept = [{"step": step, "months": months} for step in (1, 2, 5) for months in (3, 12)]
        return [
            (gaps(viewer, rule=rule), [waits(viewer, rule=rule, **which) for which in kept]) for viewer, rule in asked
        ]

    by_postgresql = answers()
    assert held.load()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(repeats, "_live", None)
            patch.setattr(repeats, "_intervals", None)
            assert answers() == by_postgresql
    finally:
        held.drop()
