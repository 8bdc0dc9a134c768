"""Stages and scores by rules that people set: by hand, the same in memory, in versions, undone, and right at once."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Date, Integer, cast, literal, null, select, text, update

from db import (
    connection,
    customer,
    definitions,
    derived,
    fields,
    held,
    lifecycle,
    overview,
    rfm,
    saved_segments,
    schema,
    score_rules,
    scores,
    segment_members,
    segments,
)
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.held_rules import Asked
from db.held_stages import STAGES
from db.lifecycle import StageRules
from db.metrics import Stage
from db.permissions import WORKER, Viewer
from db.score_rules import ScoreRules
from db.undo import undo
from tests.db.segment_data import EVERYONE, TODAY, Data, filled, seen
from tests.db.segment_rules import Person

RHYTHM = StageRules(2, 4, 30, 90, 20, 40)


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


@pytest.fixture(autouse=True)
def delivered(data: Data) -> Iterator[None]:
    """After each test the rules as they were delivered."""
    yield
    with connection.begin_owner() as conn:
        for kind, rules in (("stages", lifecycle.DEFAULT), ("scores", ScoreRules())):
            d = schema.definitions
            conn.execute(update(d).where(d.c.kind == kind).values(number=1, rules=rules.stored()))
    held.drop()


def in_force(viewer: Viewer, kind: str = "stages") -> definitions.InForce:
    with begin(viewer) as conn:
        return definitions.in_force(conn, viewer=viewer, kind=kind)


def save(viewer: Viewer, rules: dict[str, Any], kind: str = "stages", **options: Any) -> tuple[int, int]:
    options = {"reason": "because", "row_version": in_force(viewer, kind).row_version} | options
    with begin(viewer, write=True) as conn:
        return definitions.save(conn, actor=viewer, kind=kind, rules=rules, **options)


def effect(viewer: Viewer, rules: dict[str, Any], kind: str = "stages") -> definitions.Effect:
    """By PostgreSQL, and the same from memory."""

    def ask() -> definitions.Effect:
        with begin(viewer) as conn:
            return definitions.effect(conn, viewer=viewer, kind=kind, rules=rules, today=TODAY)

    held.drop()
    found = ask()
    assert held.load()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(definitions, "_moves", None)
        assert ask() == found
    held.drop()
    return found


def told(quiet: int | None, orders: int, usual: int | None, rules: StageRules) -> Stage:
    """The stage as a person would tell it."""
    if quiet is None:
        return Stage.PROSPECT
    lost, risk = Decimal(rules.lost_days), Decimal(rules.risk_days)
    if rules.risk_tenths and rules.lost_tenths and usual:
        lost, risk = usual * Decimal(rules.lost_tenths) / 10, usual * Decimal(rules.risk_tenths) / 10
    if quiet > lost:
        return Stage.LOST
    if quiet > risk:
        return Stage.AT_RISK
    return (
        Stage.LOYAL if orders >= rules.loyal_orders else Stage.REPEAT if orders >= rules.repeat_orders else Stage.FIRST
    )


def told_of(data: Data, person: Person, rules: StageRules) -> Stage:
    days = [o.day for o in person.orders]
    quiet = (TODAY - max(days)).days if days else None
    return told(quiet, len(days), data.world._rhythm(person), rules)


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quiet", "orders", "usual", "rules", "stage"),
    [
        (None, 0, None, lifecycle.DEFAULT, "prospect"),
        (0, 1, None, lifecycle.DEFAULT, "first"),
        (30, 1, None, lifecycle.DEFAULT, "first"),
        (30, 2, None, lifecycle.DEFAULT, "repeat"),
        (30, 4, None, lifecycle.DEFAULT, "repeat"),
        (30, 5, 7, lifecycle.DEFAULT, "loyal"),
        (31, 99, 7, lifecycle.DEFAULT, "at_risk"),
        (90, 1, None, lifecycle.DEFAULT, "at_risk"),
        (91, 99, 7, lifecycle.DEFAULT, "lost"),
        # Who buys every 20 days is at risk after 40 and lost after 80; without a rhythm the days count.
        (40, 3, 20, RHYTHM, "repeat"),
        (41, 3, 20, RHYTHM, "at_risk"),
        (80, 4, 20, RHYTHM, "at_risk"),
        (81, 4, 20, RHYTHM, "lost"),
        (200, 4, 100, RHYTHM, "loyal"),
        (31, 2, None, RHYTHM, "at_risk"),
        # One and a half of 3 days are 4.5.
        (4, 9, 3, StageRules(2, 5, 30, 90, 15, 20), "loyal"),
        (5, 9, 3, StageRules(2, 5, 30, 90, 15, 20), "at_risk"),
        (-1, 1, None, lifecycle.DEFAULT, "first"),  # an order of tomorrow
    ],
)
def test_a_stage_by_hand(
    data: Data, quiet: int | None, orders: int, usual: int | None, rules: StageRules, stage: str
) -> None:
    last = cast(null(), Date) if quiet is None else literal(TODAY - timedelta(days=quiet), Date)
    every = cast(null(), Integer) if usual is None else literal(usual, Integer)
    asked = lifecycle.stage(last=last, orders=literal(orders, Integer), usual=every, day=TODAY, rules=rules)
    with begin(data.people.root) as conn:
        assert conn.scalar(select(asked)) == stage
    assert told(quiet, orders, usual, rules) == stage


@st.composite
def stage_rules(draw: Any) -> StageRules:
    repeat = draw(st.integers(2, 5))
    risk = draw(st.integers(1, 100))
    by_rhythm = draw(st.booleans())
    tenths = draw(st.integers(10, 60)) if by_rhythm else None
    return StageRules(
        repeat,
        repeat + draw(st.integers(1, 3)),
        risk,
        risk + draw(st.integers(1, 60)),
        tenths,
        tenths + draw(st.integers(1, 60)) if tenths else None,
    )


def test_everybody_is_in_exactly_one_stage_under_any_rules_and_memory_says_the_same(data: Data) -> None:
    root = data.people.root
    assert held.load()
    standing = held.standing()
    assert standing
    people = seen(data, root)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(stage_rules())
    def holds(rules: StageRules) -> None:
        assert lifecycle.parse(rules.stored()) == rules
        assert lifecycle.of_numbers(rules.numbers()) == rules
        found = effect(root, rules.stored()).then("stages")
        known = {stage.value: 0 for stage in Stage}
        for person in people:
            known[told_of(data, person, rules).value] += 1
        assert found == {stage: n for stage, n in known.items() if n}
        codes, words = Asked(standing.columns, TODAY, {"stages": rules.numbers()}, {}).codes("stage")
        listed = standing.columns.of("listed")
        assert {w: int(((codes == i) & listed).sum()) for i, w in enumerate(words)} == known
        assert words == [stage.value for stage in STAGES]

    holds()


# --- versions --------------------------------------------------------------------------------------------------------


def test_a_version_has_a_number_a_person_a_reason_and_can_be_brought_back(data: Data) -> None:
    root = data.people.root
    before = in_force(root)
    first, _set = save(root, {"loyal_orders": 4}, reason="Few buy\u200b five times")
    second, set_id = save(root, {"loyal_orders": 3, "risk_days": 45}, reason="<b>Summer</b>")
    assert second == first + 1
    with begin(data.people.ana) as conn:
        listed = definitions.versions(conn, viewer=data.people.ana, kind="stages")
    assert [v.number for v in listed] == sorted((v.number for v in listed), reverse=True)
    known = {v.number: v for v in listed}
    assert (known[second].reason, known[second].in_force, known[first].in_force) == ("<b>Summer</b>", True, False)
    assert known[first].reason == "Few buy five times"
    assert (known[1].by, known[1].rules, known[1].reason) == ("", lifecycle.DEFAULT, "")
    assert known[first].rules == StageRules(loyal_orders=4)
    assert in_force(root).number == second != before.number
    with begin(root, write=True) as conn:
        undone = undo(conn, actor=root, change_set_id=set_id, source="screen")
    assert (undone.rows, undone.conflicts) == (1, [])
    assert (in_force(root).number, in_force(root).rules) == (first, StageRules(loyal_orders=4))
    third, _set = save(root, {"loyal_orders": 3})
    assert third == second + 1, "the number of what was taken back is not given again"
    rules = known[second].rules
    assert isinstance(rules, StageRules)
    again, _set = save(root, rules.stored(), reason="Version again")
    assert in_force(root).rules == rules
    assert again == third + 1


def test_of_two_editors_the_second_looks_again(data: Data) -> None:
    root = data.people.root
    seen_by_both = in_force(root).row_version
    save(root, {"loyal_orders": 7}, row_version=seen_by_both)
    with pytest.raises(Conflict, match="Somebody has just saved other rules"):
        save(root, {"loyal_orders": 8}, row_version=seen_by_both)
    assert in_force(root).rules == StageRules(loyal_orders=7)


def test_an_undo_below_a_later_version_is_a_conflict(data: Data) -> None:
    root = data.people.root
    _number, early = save(root, {"loyal_orders": 7})
    save(root, {"loyal_orders": 9})
    with begin(root, write=True) as conn, pytest.raises(Conflict):
        undo(conn, actor=root, change_set_id=early, source="screen")
    assert in_force(root).rules == StageRules(loyal_orders=9)


def test_only_administrators_put_rules_into_force_and_everybody_may_try(data: Data) -> None:
    people = data.people
    version = in_force(people.root).row_version
    for viewer in people.everyone:
        assert sum(effect(viewer, {"loyal_orders": 3}).now("stages").values()) == len(seen(data, viewer))
        if viewer is people.root:
            continue
        with pytest.raises(Refused):
            save(viewer, {"loyal_orders": 3}, row_version=version)
        for statement in (
            "UPDATE definitions SET number = 99",
            "DELETE FROM definition_versions",
            "INSERT INTO definition_versions (kind, number, rules, made_at) VALUES ('stages', 99, '{}', now())",
        ):
            with pytest.raises(Refused), begin(viewer, write=True) as conn:
                conn.execute(text(statement))
    with pytest.raises(Refused), begin(people.root, write=True) as conn:  # what was in force stays written
        conn.execute(text("UPDATE definition_versions SET reason = 'x'"))


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        ({"loyal_orders": 2}, "loyal_orders"),
        ({"repeat_orders": 1}, "repeat_orders"),
        ({"repeat_orders": None}, "repeat_orders"),
        ({"risk_days": 0}, "risk_days"),
        ({"risk_days": 90}, "lost_days"),
        ({"risk_days": "a lot"}, "risk_days"),
        ({"lost_days": 1.5}, "lost_days"),
        ({"lost_days": float("nan")}, "lost_days"),
        ({"lost_days": True}, "lost_days"),
        ({"lost_days": 10**30}, "lost_days"),
        ({"lost_days": "9" * 5_000}, "lost_days"),
        ({"risk_tenths": 20}, "lost_tenths"),
        ({"risk_tenths": 20, "lost_tenths": 20}, "lost_tenths"),
        ({"risk_tenths": 9, "lost_tenths": 20}, "risk_tenths"),
        ({"risk_tenths": 2.05, "lost_tenths": 20}, "risk_tenths"),
        ({"'; DROP TABLE definitions; --": 1}, ""),
        ([1], ""),
        (None, ""),
    ],
    ids=str,
)
def test_rules_that_make_no_sense_are_refused_with_a_sentence(data: Data, rules: Any, where: str) -> None:
    for ask in (lambda: effect(data.people.root, rules), lambda: save(data.people.root, rules)):
        with pytest.raises(Invalid) as caught:
            ask()
        assert set(caught.value.fields) == ({where} if where else set())
        assert all(sentence.endswith(".") for sentence in caught.value.fields.values())


def test_a_version_needs_a_reason_and_a_difference(data: Data) -> None:
    root = data.people.root
    for reason in ("", " \u200b ", "x" * 301):
        with pytest.raises(Invalid) as caught:
            save(root, {"loyal_orders": 8}, reason=reason)
        assert "reason" in caught.value.fields
    with pytest.raises(Invalid, match="in force already"):
        save(root, lifecycle.DEFAULT.stored())
    with pytest.raises(Invalid, match="no definition"), begin(root, write=True) as conn:
        definitions.save(conn, actor=root, kind="'; --", rules={}, reason="x", row_version=1)
    with pytest.raises(NotFound):
        in_force(root, "'; --")


# --- right at once ---------------------------------------------------------------------------------------------------


def stages_of(viewer: Viewer) -> dict[str, int]:
    with begin(viewer) as conn:
        shown = overview.overview(conn, viewer=viewer, today=TODAY, currency="USD").stages
    return {row.stage: row.customers for row in shown.itertuples() if row.customers}


def refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived.clock, "today", lambda *_zone: TODAY)
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
        assert derived.check(conn).stages == ()


@pytest.mark.parametrize("rules", [StageRules(2, 3, 10, 50), RHYTHM], ids=["days", "rhythm"])
def test_everything_that_shows_stages_follows_at_once(
    data: Data, rules: StageRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = data.people.root
    refreshed(monkeypatch)
    _number, set_id = save(root, rules.stored())
    for viewer in (root, data.people.mia, data.people.ann, data.people.ana):
        known: dict[str, int] = {}
        for person in seen(data, viewer):
            stage = told_of(data, person, rules).value
            known[stage] = known.get(stage, 0) + 1
        assert stages_of(viewer) == known, "counted while the sums are by other rules"
        with begin(viewer) as conn:
            asked = [json.dumps({"all": [{"field": "stage", "op": "in", "value": [s.value]}]}) for s in Stage]
            counted = segments.counts(conn, viewer=viewer, rules=tuple(asked), today=TODAY)
        assert dict(zip([s.value for s in Stage], counted, strict=True)) == {
            s.value: known.get(s.value, 0) for s in Stage
        }
    before = stages_of(root)
    refreshed(monkeypatch)
    assert stages_of(root) == before, "from the sums"
    with begin(root) as conn:
        assert {row.rules for row in conn.execute(select(schema.stage_sums.c.rules))} == {in_force(root).number}
    with begin(root, write=True) as conn:
        undo(conn, actor=root, change_set_id=set_id, source="screen")
    assert stages_of(root) != before
    refreshed(monkeypatch)
    with begin(root) as conn:
        assert {row.rules for row in conn.execute(select(schema.stage_sums.c.rules))} == {1}


def test_the_members_of_a_segment_follow(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    root = data.people.root
    rule = {"all": [{"field": "stage", "op": "in", "value": ["loyal"]}]}
    with begin(root, write=True) as conn:
        segment, _set = saved_segments.save(conn, actor=root, name="Loyal ones", rule=json.dumps(rule))
    monkeypatch.setattr(segment_members.clock, "today", lambda *_zone: TODAY)

    def members() -> int:
        for number in due():
            with begin(WORKER, write=True) as conn:
                segment_members.evaluate(conn, number)
        with begin(WORKER) as conn:
            m = schema.segment_members.c
            return len(conn.execute(select(m.customer_id).where(m.segment_id == segment)).all())

    def due() -> tuple[int, ...]:
        with begin(WORKER) as conn:
            return segment_members.due(conn)

    first = members()
    assert segment not in due()
    save(root, {"loyal_orders": 3, "risk_days": 80})
    assert segment in due()
    assert members() > first


# --- scores ----------------------------------------------------------------------------------------------------------

FIXED = {"recency": [10, 30, 60, 90], "frequency": [2, 3, 4, 6], "monetary": ["5.00", "12.50", 40, 80]}


def scored(person: Person) -> tuple[str, str, str] | None:
    """Scores by FIXED as a person would tell them."""
    if not person.orders:
        return None
    quiet = (TODAY - max(o.day for o in person.orders)).days
    revenue = sum((o.amount for o in person.orders if not o.foreign), Decimal(0))
    r = next((score for score, most in zip((5, 4, 3, 2), FIXED["recency"], strict=True) if quiet <= most), 1)  # type: ignore[operator]
    f = 1 + sum(len(person.orders) >= least for least in FIXED["frequency"])  # type: ignore[operator]
    m = 1 + sum(revenue >= Decimal(least) for least in FIXED["monetary"])
    return str(r), str(f), str(m)


def test_fixed_bounds_by_hand_in_postgresql_and_in_memory(data: Data) -> None:
    root = data.people.root
    draft = effect(root, FIXED, "scores")
    known = [scored(person) for person in seen(data, root)]
    for place, measure in enumerate(fields.MEASURES):
        expected: dict[str, int] = {}
        for each in known:
            score = each[place] if each else ""
            expected[score] = expected.get(score, 0) + 1
        assert draft.then(measure) == expected
    save(root, FIXED, "scores")
    assert effect(root, FIXED, "scores").moved("recency") == 0
    with begin(root) as conn:
        bounds, _made = scores.bounds(conn)
    assert bounds["frequency"] == (1, 2, 3, 5)
    for remembered in (False, True):
        assert not remembered or held.load()
        for place, name in enumerate(("r_score", "f_score", "m_score")):
            for score in fields.SCORES:
                rule = json.dumps({"all": [{"field": name, "op": "in", "value": [score]}]})
                with begin(root) as conn:
                    counted = segments.count(conn, viewer=root, rule=rule, today=TODAY)
                assert counted == sum(each is not None and each[place] == score for each in known), (name, score)
        for name in ("rfm_class", "rfm_value", "value_decile"):
            with begin(root) as conn:
                unknown = json.dumps({"all": [{"field": name, "op": "empty"}]})
                assert segments.count(conn, viewer=root, rule=unknown, today=TODAY) == known.count(None)
    person = next(n for n, each in enumerate(data.world.people) if each.orders and not each.archived)
    with begin(root) as conn:
        one = customer.get(conn, viewer=root, customer_id=data.ids[person], today=TODAY)
    assert tuple(map(str, (one.r_score, one.f_score, one.m_score))) == scored(data.world.people[person])


def test_fixed_recency_counts_back_from_each_day(data: Data) -> None:
    between: Callable[..., Any] = fields.between
    bounds = score_rules.parse({"recency": [0, 1, 2, 3]}).bounds()
    for today in (date(2024, 2, 29), date(2026, 3, 1)):
        at = between("recency", today, bounds)
        of = {back: 1 + sum(bound < (today - fields.EPOCH).days - back for bound in at) for back in range(6)}
        assert of == {0: 5, 1: 4, 2: 3, 3: 2, 4: 1, 5: 1}


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        ({"recency": [30, 20, 60, 90]}, "recency"),
        ({"recency": [30, 30, 60, 90]}, "recency"),
        ({"recency": [30, 60, 90]}, "recency"),
        ({"recency": "1234"}, "recency"),
        ({"recency": [-1, 2, 3, 4]}, "recency"),
        ({"frequency": [1, 2, 3, 4]}, "frequency"),
        ({"frequency": [2, 3, 4.5, 6]}, "frequency"),
        ({"frequency": [2, 3, "", 6]}, "frequency"),
        ({"frequency": [2, 3, float("inf"), 6]}, "frequency"),
        ({"monetary": [0, 1, 2, 3]}, "monetary"),
        ({"monetary": ["0.001", 1, 2, 3]}, "monetary"),
        ({"monetary": [1, 2, 3, 10**13]}, "monetary"),
        ({"monetary": [True, 2, 3, 4]}, "monetary"),
        ({"money": [1, 2, 3, 4]}, ""),
        ([], ""),
    ],
    ids=str,
)
def test_bounds_that_make_no_sense_are_refused_with_a_sentence(data: Data, rules: Any, where: str) -> None:
    with pytest.raises(Invalid) as caught:
        effect(data.people.root, rules, "scores")
    assert set(caught.value.fields) == ({where} if where else set())


# Recency and the mean of frequency and monetary value, as published: db/rfm.py names the sources.
RANGES = {
    "champions": (range(4, 6), range(4, 6)),
    "loyal": (range(2, 6), range(3, 6)),
    "potential": (range(3, 6), range(1, 4)),
    "new": (range(4, 6), range(2)),
    "promising": (range(3, 5), range(2)),
    "attention": (range(2, 4), range(2, 4)),
    "sleeping": (range(2, 4), range(3)),
    "at_risk": (range(3), range(2, 6)),
    "not_lose": (range(2), range(4, 6)),
    "hibernating": (range(1, 3), range(1, 3)),
    "lost": (range(3), range(3)),
}


def test_classes_lie_in_the_ranges_that_were_published() -> None:
    assert RANGES.keys() == rfm.CLASSES.keys()
    met = set()
    for r, f, m in product(range(1, 6), repeat=3):
        recency, mean = RANGES[rfm.class_of(r, f, m)]
        assert r in recency, (r, f, m)
        assert (f + m) // 2 in mean, (r, f, m)
        met.add(rfm.class_of(r, f, m))
    assert met == RANGES.keys()


# --- what was kept before --------------------------------------------------------------------------------------------


def test_rules_that_name_stages_of_before_find_whom_they_found(data: Data) -> None:
    carried = importlib.import_module("db.migrations.versions.2026_11_26_lifecycle").carried
    root = data.people.root

    def before(person: Person) -> str:
        days = [o.day for o in person.orders]
        recent = TODAY - timedelta(days=30)
        if not days:
            return "prospect"
        if min(days) >= recent:
            return "new"
        return "active" if max(days) >= recent else "at_risk" if max(days) >= TODAY - timedelta(days=90) else "lost"

    people = seen(data, root)
    for wanted in (["new"], ["active"], ["new", "active"], ["active", "lost"], ["new", "active", "prospect"], ["lost"]):
        for op in ("in", "not in"):
            leaf = {"field": "stage", "op": op, "value": wanted}
            for rule in (leaf, {"all": [leaf]}, {"none": [leaf, {"field": "orders", "op": "=", "value": 3}]}):
                with begin(root) as conn:
                    counted = segments.count(conn, viewer=root, rule=json.dumps(carried(rule)), today=TODAY)
                fits = [(before(p) in wanted) == (op == "in") for p in people]
                if "none" in rule:
                    fits = [not (one or len(p.orders) == 3) for one, p in zip(fits, people, strict=True)]
                assert counted == sum(fits), rule
    deep: Any = {"field": "stage", "op": "in", "value": ["active"]}
    for _level in range(4):
        deep = {"all": [deep]}
    near = carried({"all": [deep]})
    assert "repeat" in json.dumps(near)
    assert carried(EVERYONE) == EVERYONE
    assert carried({"field": "stage", "op": "in", "value": "active"}) == {
        "field": "stage",
        "op": "in",
        "value": "active",
    }
