"""Flows between classes: told from the orders up to each day, kept up with late ones, by the viewer's rights."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Date, Integer, column, delete, func, insert, select, update, values

from analytics import flows as arithmetic
from db import clock, connection, definitions, derived, flows, held_stages, past_classes, rfm, schema, scores, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, Refused
from db.held_pairs import NEVER
from db.lifecycle import StageRules, stage_column
from db.past_classes import EPOCH, STAGES, kept_days
from db.permissions import WORKER, Viewer
from tests import conftest, make

TODAY = date(2026, 11, 20)
AUG, SEP, OCT = date(2026, 8, 31), date(2026, 9, 30), date(2026, 10, 31)


@pytest.fixture
def people(server: Server, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[make.People]:
    monkeypatch.setattr(clock, "today", lambda _zone: TODAY)
    name = f"flows_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def touched(conn: Connection, *ids: int) -> None:
    conn.execute(insert(schema.touched_customers), [{"customer_id": i, "touched_at": clock.now()} for i in ids])
    for i in ids:
        make.kept(conn, i)


def refreshed(*, anew: bool = False) -> None:
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
        if anew:
            derived.rebuild(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)


def ways(viewer: Viewer, by: str, *days: date, rule: str = "") -> dict[tuple[str, ...], int]:
    with begin(viewer) as conn:
        found = flows.flows(conn, viewer=viewer, today=TODAY, by=by, days=days, rule=rule)
    return {tuple(row[:-1]): row[-1] for row in found.rows.itertuples(index=False)}


def company(people: make.People) -> dict[str, int]:
    """Five with orders, one without, one archived; data begin long before the days that are asked about.

    Orders up to 31 August: A 1 (1 May), B 2 (last 20 August), D 1 (10 June); C and E have none. Up to 31 October A has
    another (5 October), C its first (20 October); B and D none. In November D orders again, and E for the first time.
    """
    owners = {"A": "ann", "B": "ann", "C": "bo", "D": "cho", "E": "cho", "none": "ann", "Z": "ann"}
    bought = {
        "A": ((date(2026, 5, 1), "10"), (date(2026, 10, 5), "20")),
        "B": ((date(2026, 7, 1), "30"), (date(2026, 8, 20), "30.50")),
        "C": ((date(2026, 10, 20), "5"),),
        "D": ((date(2026, 6, 10), "100"), (date(2026, 11, 2), "1")),
        "E": ((date(2026, 11, 19), "7"),),
        "Z": ((date(2026, 8, 30), "99"),),
    }
    ids = {}
    with connection.begin_owner() as conn:
        for name, owner in owners.items():
            stamps = {"created_at": clock.now().replace(year=2026, month=9 if name == "none" else 1, day=15)}
            ids[name] = make.customer(
                conn,
                getattr(people, owner).user_id,
                name=name,
                region="West" if name in "BC" else "East",
                archived_at=clock.now() if name == "Z" else None,
            )
            conn.execute(update(schema.customers).where(schema.customers.c.id == ids[name]).values(**stamps))
        for name, orders in bought.items():
            for day, amount in orders:
                make.order(conn, ids[name], day, amount)
        touched(conn, *ids.values())
    refreshed(anew=True)
    return ids


def test_each_customer_is_where_the_orders_up_to_that_day_say(people: make.People) -> None:
    company(people)
    assert ways(people.root, "stage", AUG, OCT, TODAY) == {
        ("lost", "repeat", "at_risk"): 1,  # A: 122 days, 26 days, 46 days after the last order
        ("repeat", "at_risk", "lost"): 1,  # B: 11, 72 and 92 days after the last of two
        ("prospect", "first", "at_risk"): 1,  # C: its only order lies 31 days before 20 November
        ("at_risk", "lost", "repeat"): 1,  # D
        ("prospect", "prospect", "first"): 1,  # E
        ("", "prospect", "prospect"): 1,  # entered on 15 September
    }


def test_scores_of_a_past_day_are_by_the_bounds_of_that_day(people: make.People) -> None:
    company(people)
    # On 31 August of A, B, D: last 1 May, 20 August, 10 June; orders 1, 2, 1; revenue 10, 60.50, 100. A value's score
    # is one more than the number of bounds below it; the bounds at 20, 40, 60, 80 % are the 1st, 2nd, 2nd, 3rd value.
    with begin(people.root) as conn:
        days = {each.day: each for each in flows.days(conn, viewer=people.root).days}
    aug = days[AUG].bounds
    assert aug["monetary"] == (10, 60.5, 60.5, 100)
    assert aug["frequency"] == (1, 1, 1, 2)
    assert aug["recency"] == tuple(
        (day - EPOCH).days for day in (date(2026, 5, 1), date(2026, 6, 10), date(2026, 6, 10), date(2026, 8, 20))
    )
    # Scores r f m: A 1 1 1, B 4 4 2, D 2 1 4. Means of f and m: 1, 3, 2.5 (down to 2).
    found = ways(people.root, "rfm_class", AUG, TODAY)
    before = Counter({before: sum(n for way, n in found.items() if way[0] == before) for before, _after in found})
    assert before == {rfm.class_of(1, 1, 1): 1, rfm.class_of(4, 4, 2): 1, rfm.class_of(2, 1, 4): 1, "": 3}
    values = ways(people.root, "rfm_value", AUG, TODAY)
    assert sum(n for way, n in values.items() if way[0] == "key_win_back") == 1  # D
    tenths = ways(people.root, "value_decile", AUG, TODAY)
    # Bounds at 10 … 90 %: 10, 10, 10, 60.5, 60.5, 60.5, 100, 100, 100.
    assert {way[0] for way in tenths} == {"1", "4", "7", ""}


def test_the_present_day_says_what_segments_say(people: make.People) -> None:
    company(people)
    for by in flows.BY:
        found = ways(people.root, by, OCT, TODAY)
        for state in flows.states(by):
            rule = f'{{"all":[{{"field":"{by}","op":"in","value":["{state}"]}}]}}'
            with begin(people.root) as conn:
                expected = segments.count(conn, viewer=people.root, rule=rule, today=TODAY)
            assert sum(n for way, n in found.items() if way[1] == state) == expected, (by, state)


def test_everybody_sees_their_own_customers_alone(people: make.People) -> None:
    company(people)
    sizes = {
        name: sum(ways(getattr(people, name), "stage", AUG, OCT).values())
        for name in ("ann", "bo", "cho", "mia", "max", "ana", "mark", "root")
    }
    assert sizes == {"ann": 3, "bo": 1, "cho": 2, "mia": 4, "max": 2, "ana": 6, "mark": 6, "root": 6}
    with pytest.raises(Refused):
        ways(WORKER, "stage", AUG, OCT)
    with begin(people.cho) as conn:
        of = {"viewer": people.cho, "today": TODAY, "by": "stage"}
        assert flows.people(conn, **of, way={AUG: "repeat", OCT: "at_risk"}).total == 0  # B is Ann's
        assert flows.who(conn, **of, way={AUG: "repeat", OCT: "at_risk"}, limit=9) == ()


def test_the_people_of_each_flow_are_as_many_as_it_says_and_these(people: make.People) -> None:
    ids = company(people)
    west = '{"all":[{"field":"region","op":"in","value":["West"]}]}'
    for viewer in people.everyone:
        for by in flows.BY:
            for rule in ("", '{"all":[]}', west):
                for way, n in ways(viewer, by, AUG, OCT, rule=rule).items():
                    with begin(viewer) as conn:
                        asked: dict[str, Any] = {"viewer": viewer, "today": TODAY, "by": by, "rule": rule}
                        asked["way"] = dict(zip((AUG, OCT), way, strict=True))
                        found = flows.people(conn, **asked)
                        assert (found.total, len(found.rows)) == (n, n)
                        assert list(flows.who(conn, **asked, limit=100)) == list(found.rows["id"])
    with begin(people.ann) as conn:
        asked = {"viewer": people.ann, "today": TODAY, "by": "stage", "way": {AUG: "repeat", OCT: "at_risk"}}
        assert flows.who(conn, **asked, limit=100) == (ids["B"],)


def test_a_late_order_moves_the_days_it_lies_before_by_the_bounds_that_stand(people: make.People) -> None:
    ids = company(people)
    with connection.begin_owner() as conn:
        make.order(conn, ids["E"], date(2026, 8, 25), "60.50")
        conn.execute(
            update(schema.customers).where(schema.customers.c.id == ids["none"]).values(archived_at=clock.now())
        )
        conn.execute(update(schema.customers).where(schema.customers.c.id == ids["Z"]).values(archived_at=None))
        touched(conn, ids["E"], ids["none"], ids["Z"])
    refreshed()
    found = ways(people.root, "stage", AUG, OCT)
    assert ("", "prospect") not in found
    assert found[("first", "at_risk")] == 2  # E with its late order, and Z, who was put back
    with begin(people.root) as conn:
        days = {each.day: each for each in flows.days(conn, viewer=people.root).days}
        assert days[AUG].bounds["monetary"] == (10, 60.5, 60.5, 100)
        asked = {"viewer": people.root, "today": TODAY, "by": "value_decile"}
        assert set(flows.who(conn, **asked, way={AUG: "4", SEP: "4"}, limit=9)) == {ids["B"], ids["E"]}
    refreshed(anew=True)
    with begin(people.root) as conn:
        days = {each.day: each for each in flows.days(conn, viewer=people.root).days}
    assert days[AUG].bounds["monetary"] == (10, 60.5, 60.5, 99)  # of 10, 60.50, 60.50, 99, 100


def test_every_hour_the_present_is_told_anew_and_with_a_month_all(people: make.People, monkeypatch: Any) -> None:
    company(people)
    later = TODAY + timedelta(days=10)  # 30 November: no month has ended since
    monkeypatch.setattr(clock, "today", lambda _zone: later)
    with begin(WORKER, write=True) as conn:
        derived.retake(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
    assert ways(people.root, "stage", OCT, later)[("first", "at_risk")] == 1  # C, 41 days after the first order
    monkeypatch.setattr(clock, "today", lambda _zone: later + timedelta(days=1))
    with begin(WORKER, write=True) as conn:
        derived.retake(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
    found = ways(people.root, "stage", OCT, later, later + timedelta(days=1))
    assert found[("first", "at_risk", "at_risk")] == 1
    with begin(people.root) as conn:
        assert flows.days(conn, viewer=people.root).days[-1].day == date(2026, 12, 1)


def test_the_check_finds_a_wrong_class(people: make.People) -> None:
    ids = company(people)
    k = schema.customer_classes
    with connection.begin_owner() as conn:
        conn.execute(update(k).where(k.c.customer_id == ids["B"]).values(deciles=bytes(13)))
        conn.execute(delete(k).where(k.c.customer_id == ids["C"]))
        conn.execute(insert(k).values(customer_id=ids["Z"], **dict.fromkeys(past_classes.KINDS, bytes(13))))
    with begin(WORKER) as conn:
        assert derived.check(conn).customers == tuple(sorted((ids["B"], ids["C"], ids["Z"])))


def test_an_empty_database_has_days_without_anybody_and_hostile_questions_get_a_sentence(people: make.People) -> None:
    with begin(people.root) as conn:
        assert flows.days(conn, viewer=people.root).days == ()
    refreshed(anew=True)
    with begin(people.root) as conn:
        found = flows.days(conn, viewer=people.root)
        assert ([each.day for each in found.days], found.unknown) == ([TODAY], 12)
        assert flows.usual(found) == (TODAY,)
    assert ways(people.root, "stage", AUG, OCT) == {}
    for days in ((AUG,), (OCT, AUG), (AUG, AUG), (AUG, date(2026, 9, 29)), kept_days(TODAY)[:5]):
        with pytest.raises(Invalid):
            ways(people.root, "stage", *days)
    for by in ("stages", "'; DROP TABLE orders --", ""):
        with pytest.raises(Invalid):
            ways(people.root, by, AUG, OCT)
    for rule in ("{", "null", '{"all":[{"field":"x"}]}'):
        with pytest.raises(Invalid):
            ways(people.root, "stage", AUG, OCT, rule=rule)
    with pytest.raises(Invalid), begin(people.root) as conn:
        flows.people(conn, viewer=people.root, today=TODAY, by="stage", way={AUG: "champions", OCT: "lost"})


Orders = Mapping[int, Sequence[tuple[date, int]]]


def naive(orders: Orders, created: Mapping[int, date], day: date, bounds: Orders | None = None) -> dict[int, tuple]:
    """From the raw orders, one by one: stage, RFM class, value class and decile of each; '' where there is none.

    The bounds are over `bounds`, or over the same orders.
    """

    def figures(of: Orders) -> dict[int, tuple[int, int, int]]:
        until = {i: [(d, cents) for d, cents in each if d <= day] for i, each in of.items()}
        return {
            i: ((max(d for d, _c in each) - EPOCH).days, len(each), sum(cents for _d, cents in each))
            for i, each in until.items()
            if each
        }

    own, among = figures(orders), figures(bounds if bounds is not None else orders)

    def score(i: int, measure: int, shares: Sequence[float]) -> int:
        values = sorted(each[measure] for each in among.values())
        return 1 + sum(values[max(math.ceil(share * len(values)), 1) - 1] < own[i][measure] for share in shares)

    found = {}
    for i in orders:
        if i not in own:
            found[i] = ("prospect" if created[i] <= day else "", "", "", "")
            continue
        quiet = (day - EPOCH).days - own[i][0]
        stage = "lost" if quiet > 90 else "at_risk" if quiet > 30 else ""
        stage = stage or ("loyal" if own[i][1] >= 5 else "repeat" if own[i][1] >= 2 else "first")
        r, f, m = (score(i, measure, scores.SHARES) for measure in range(3))
        found[i] = (stage, rfm.class_of(r, f, m), rfm.value_class_of(r, f, m), str(score(i, 2, scores.TENTHS)))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_all_is_as_told_one_by_one_from_the_raw_orders(people: make.People, seed: int) -> None:
    random = Random(seed)
    owners = [getattr(people, name).user_id for name in ("ann", "bo", "cho")]
    start = date(2025, 10, 1)
    with connection.begin_owner() as conn:
        ids = [make.customer(conn, random.choice(owners)) for _n in range(14)]
        make.order(conn, ids[0], start - timedelta(days=60))
        touched(conn, *ids)
    for round_ in range(3):
        with connection.begin_owner() as conn:
            for _step in range(20):
                who, table = random.choice(ids), schema.customers
                match random.randrange(6):
                    case 0:
                        conn.execute(
                            update(table)
                            .where(table.c.id == who)
                            .values(
                                archived_at=random.choice((None, clock.now())),
                                owner_id=random.choice(owners),
                            )
                        )
                    case 1 if who != ids[0]:
                        conn.execute(delete(schema.orders).where(schema.orders.c.customer_id == who))
                    case _:
                        on = start + timedelta(days=random.randrange(415))
                        make.order(conn, who, on, f"{random.randrange(-99, 999)}.{random.randrange(10, 99)}")
                touched(conn, who)
        refreshed(anew=round_ != 1)
        with connection.begin_owner() as conn:
            c, o = schema.customers.c, schema.orders.c
            listed = dict(
                conn.execute(select(c.id, func.date(c.created_at)).where(c.archived_at.is_(None), c.id.in_(ids))).all()
            )
            raw: dict[int, list[tuple[date, int]]] = {i: [] for i in listed}
            for row in conn.execute(select(o.customer_id, o.placed_on, o.amount).where(o.customer_id.in_(listed))):
                raw[row.customer_id].append((row.placed_on, int(row.amount * 100)))
            kept = {row.customer_id: row for row in conn.execute(select(schema.customer_classes))}
        if round_ == 1:  # by the bounds of the round before: told by the check alone
            continue
        assert kept.keys() == listed.keys()
        for place, day in enumerate(kept_days(TODAY)):
            for i, expected in naive(raw, listed, day).items():
                got = tuple(
                    ["", *past_classes.STATES[kind]][getattr(kept[i], kind)[place]] for kind in past_classes.KINDS
                )
                assert got == expected, (day, i)


WAY = st.tuples(st.sampled_from(("", "a", "b")), st.sampled_from(("", "a", "b")), st.integers(1, 9))


@given(st.lists(WAY, max_size=12))
def test_whoever_is_before_is_after_and_nobody_twice(rows: list[tuple[str, str, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["day_0", "day_1", "customers"])
    step = arithmetic.step(frame, "day_0", "day_1", ("", "a", "b"))
    assert step.before.sum() == step.after.sum() == sum(n for _a, _b, n in rows)
    assert step.stayed[0] == sum(n for a, b, n in rows if a == b)
    moved = sum(n for a, b, n in rows if a != b and a and b)
    assert sum(move.customers for move in step.largest(most=9)) == moved


def test_stages_in_memory_are_those_of_the_one_definition(people: make.People) -> None:
    """On the days around each limit, by days and by one's own rhythm."""
    lasts = [None, *(TODAY - timedelta(days=n) for n in (-1, 0, 1, 29, 30, 31, 32, 60, 61, 89, 90, 91, 92, 400))]
    rows = [(last, orders, usual) for last in lasts for orders in (1, 2, 4, 5, 9) for usual in (None, 7, 30)]
    numbered = [(i, last, orders if last else 0, usual) for i, (last, orders, usual) in enumerate(rows)]
    names = [
        column("i", Integer),
        column("last_order_on", Date),
        column("orders", Integer),
        column("usual_days", Integer),
    ]
    figures = values(*names, name="figures").data(numbered)
    last = np.array([(row[0] - EPOCH).days if row[0] else NEVER for row in rows])
    orders, usual = (np.array([row[i] or 0 for row in numbered]) for i in (2, 3))
    day = (TODAY - EPOCH).days
    for rules in (StageRules(), StageRules(3, 6, 20, 50, risk_tenths=20, lost_tenths=45)):
        with begin(people.root) as conn:
            told = select(stage_column(TODAY, figures, rules)).select_from(figures).order_by(figures.c.i)
            by_sql = conn.scalars(told).all()
        found = held_stages.stages(day, last=last, orders=orders, usual=usual, rules=rules)
        assert [STAGES[i] for i in found] == by_sql


def test_other_rules_are_told_on_all_days_by_the_worker(people: make.People) -> None:
    company(people)
    with begin(people.root, write=True) as conn:
        asked = {"actor": people.root, "reason": "Trial"}
        for kind, rules in (("stages", {"risk_days": 100, "lost_days": 200}), ("scores", {"frequency": [2, 3, 4, 5]})):
            stands = definitions.in_force(conn, viewer=people.root, kind=kind)
            wanted = {**stands.rules.stored(), **rules}
            definitions.save(conn, **asked, kind=kind, rules=wanted, row_version=stands.row_version)
    with begin(WORKER) as conn:
        assert past_classes.outdated(conn)
    with begin(WORKER, write=True) as conn:
        derived.retake(conn)
        assert not past_classes.outdated(conn)
        assert derived.check(conn) == derived.Drift((), (), 0)
    found = ways(people.root, "stage", AUG, OCT, TODAY)
    assert found == {
        ("at_risk", "repeat", "repeat"): 1,  # A: 122, 26, 46 days
        ("repeat", "repeat", "repeat"): 1,  # B: 11, 72, 92
        ("prospect", "first", "first"): 1,  # C
        ("first", "at_risk", "repeat"): 1,  # D: 82, 143, 18
        ("prospect", "prospect", "first"): 1,  # E
        ("", "prospect", "prospect"): 1,
    }
    with begin(people.root) as conn:
        days = {each.day: each for each in flows.days(conn, viewer=people.root).days}
    assert days[AUG].bounds["frequency"] == (1, 2, 3, 4)
