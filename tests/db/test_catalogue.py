"""The catalogue of fields: classes of scores, anniversaries, segments in segments, and who learns what through them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Date, column, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from db import (
    connection,
    custom_fields,
    fields,
    nested,
    ready_segments,
    rfm,
    rhythm,
    rule_words,
    rules,
    saved_segments,
    schema,
    segments,
)
from db.calendar_periods import PERIODS
from db.comparisons import compared
from db.connection import begin
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import Viewer
from db.rules import Condition
from tests.db.segment_data import EVERYONE, TODAY, Data, _one, counted, filled, seen
from tests.db.segment_rules import has_anniversary, lies_in


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


# --- classes of scores -----------------------------------------------------------------------------------------------


def test_every_three_scores_are_in_exactly_one_class_of_each_table() -> None:
    every = list(product(range(1, 6), repeat=3))
    classes = Counter(rfm.class_of(*scores) for scores in every)
    eight = Counter(rfm.value_class_of(*scores) for scores in every)
    assert classes.keys() == rfm.CLASSES.keys()
    assert eight.keys() == rfm.VALUE_CLASSES.keys()
    assert classes.total() == eight.total() == len(rfm.BY_SCORES) == len(rfm.VALUE_BY_SCORES) == 125
    for place, (r, f, m) in enumerate(every, 1):
        assert place == 25 * r + 5 * f + m - 30
        assert rfm.BY_SCORES[place - 1] == rfm.class_of(r, f, m)
        assert rfm.VALUE_BY_SCORES[place - 1] == rfm.value_class_of(r, f, m)
    by_hand = {
        (5, 5, 5): "champions",
        (5, 1, 2): "new",
        (4, 1, 1): "promising",
        (3, 5, 4): "loyal",
        (1, 5, 5): "not_lose",
    }
    by_hand |= {(2, 5, 5): "at_risk", (1, 1, 2): "lost", (2, 2, 2): "hibernating", (3, 3, 3): "attention"}
    by_hand |= {(3, 1, 1): "sleeping", (5, 3, 3): "potential", (5, 1, 5): "potential", (1, 1, 5): "at_risk"}
    assert {scores: rfm.class_of(*scores) for scores in by_hand} == by_hand
    assert rfm.value_class_of(4, 4, 4) == "key_value"
    assert rfm.value_class_of(3, 3, 3) == "general_win_back"
    assert rfm.value_class_of(3, 4, 4) == "key_keep"


def test_classes_and_tenths_are_everyone_with_orders(data: Data) -> None:
    root = data.people.root
    buyers = sum(bool(p.orders) for p in seen(data, root))
    for field in ("rfm_class", "rfm_value", "value_decile", "m_score"):
        parts = [counted(root, _one(field, "in", [value])) for value in fields.FIELDS[field].choices]
        assert sum(parts) == buyers, field
        assert counted(root, _one(field, "empty")) == len(seen(data, root)) - buyers


def test_the_usual_interval_is_that_of_the_customers_page(data: Data) -> None:
    d = schema.order_days.c
    with connection.begin_owner() as conn:
        rows = conn.execute(select(d.days, d.usual_days)).all()
    assert len(rows) == len(data.ids)
    assert any(row.usual_days for row in rows)
    for row in rows:
        assert row.usual_days == rhythm.interval(row.days)


# --- ready-made ------------------------------------------------------------------------------------------------------


def test_everybody_is_at_one_stage(data: Data) -> None:
    found = [one.rule for one in ready_segments.every().values() if one.group == "stages"]
    for person in seen(data, data.people.root):
        assert sum(data.world.fits(rules.data_of(rule), person) for rule in found) == 1
    parts = [counted(data.people.root, rules.written(rule)) for rule in found]
    assert sum(parts) == counted(data.people.root, EVERYONE)
    assert sum(part > 0 for part in parts) >= 5


def test_ready_made_ones_are_in_groups_and_counted_together(data: Data) -> None:
    every = ready_segments.every()
    assert {one.group for one in every.values()} == ready_segments.GROUPS.keys()
    assert len({one.name for one in every.values()}) == len(every)
    written = tuple(rules.written(one.rule) for one in every.values())
    with begin(data.people.root) as conn:
        together = segments.counts(conn, viewer=data.people.root, rules=written, today=TODAY)
    assert together == tuple(counted(data.people.root, rule) for rule in written)


# --- anniversaries ---------------------------------------------------------------------------------------------------

DAYS = [date(2023, 1, 1) + timedelta(days=n) for n in range(4 * 366)]
TODAYS = (
    date(2026, 2, 22),
    date(2027, 2, 28),
    date(2027, 3, 1),
    date(2028, 2, 28),
    date(2028, 2, 29),
    date(2026, 12, 28),
)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("today", TODAYS)
def test_anniversaries_come_back_on_their_day_leap_days_too(data: Data, today: date, own: bool) -> None:
    field = fields.FIELDS["first_order_on"]
    if own:
        made = custom_fields.Field(1, "born", "Born", "", "date", (), False, False, "", 1, False, 1)
        field = fields.of_custom(made)
    days = func.unnest(literal(DAYS, ARRAY(Date))).table_valued("day").render_derived()
    held: Any = column("day", Date)
    if own:
        held = func.to_char(held, "YYYY-MM-DD").collate("C")
    with connection.begin_owner() as conn:
        for ahead in (1, 2, 7, 8, 31, 364, 365):
            fits = compared(Condition(field, "anniversary in the next", (ahead,)), held, today)
            found = set(conn.scalars(select(days.c.day).where(fits)))
            assert found == {day for day in DAYS if has_anniversary(day, today, ahead)}, ahead
            fits = compared(Condition(field, "in the next", (ahead,)), held, today)
            found = set(conn.scalars(select(days.c.day).where(fits)))
            assert found == {day for day in DAYS if today <= day < today + timedelta(days=ahead)}, ahead
        for period in PERIODS:
            found = set(
                conn.scalars(select(days.c.day).where(compared(Condition(field, "during", (period,)), held, today)))
            )
            assert found == {day for day in DAYS if lies_in(day, period, today)}, period


# --- segments in segments --------------------------------------------------------------------------------------------


def kept(data: Data, owner: Viewer, name: str, rule: str, **values: Any) -> int:
    with begin(owner, write=True) as conn:
        return saved_segments.save(conn, actor=owner, name=name, rule=rule, **values)[0]


def of(*numbers: int, op: str = "in") -> str:
    return _one("segment", op, list(numbers))


@pytest.fixture
def clean(data: Data) -> Iterator[Data]:
    yield data
    with connection.begin_owner() as conn:
        conn.execute(schema.segments.delete().where(schema.segments.c.id < 900))


NORTH = _one("region", "in", ["North"])
PHONE = _one("phone", "in", ["yes"])


def test_a_private_segment_counts_for_its_owner_and_an_administrator_alone(clean: Data) -> None:
    people = clean.people
    private = kept(clean, people.ana, "Private", NORTH)
    shared = kept(clean, people.ana, "Shared", NORTH, shared=True)
    for viewer in people.everyone:
        assert counted(viewer, of(shared)) == counted(viewer, NORTH)
        if viewer in (people.ana, people.root):
            assert counted(viewer, of(private)) == counted(viewer, NORTH)
            continue
        for query in (segments.count, segments.explore, segments.preview):
            with begin(viewer) as conn, pytest.raises(Invalid, match=f"segment {private}, which is not there or not"):
                query(conn, viewer=viewer, rule=of(shared, private), today=TODAY)
        with begin(viewer) as conn:
            both = segments.counts(conn, viewer=viewer, rules=(of(private), of(shared)), today=TODAY)
            known = segments.names(conn, viewer=viewer, rule=of(shared, private))
            said = rule_words.sentence(rules.parse_text(of(shared, private)), segments.called(known))
        assert both == (None, counted(viewer, NORTH))
        assert known == {("segment", shared): "Shared"}
        assert said == f"In segment “Shared” or “no. {private}, which you do not see”"
        with begin(viewer, write=True) as conn, pytest.raises(Invalid, match="not there or not shared"):
            saved_segments.save(conn, actor=viewer, name="x", rule=of(private))
    for viewer in people.everyone:
        with begin(viewer) as conn, pytest.raises(Invalid, match="segment 4711, which is not there"):
            segments.count(conn, viewer=viewer, rule=of(4711, op="not in"), today=TODAY)


def test_a_rule_that_may_name_what_is_ones_own_is_told_from_others() -> None:
    assert nested.asks(of(1))
    assert nested.asks(of(1).replace("segment", "\\u0073egment"))
    assert nested.asks('{"all":[{"field":"cluster.1","op":"in","value":["1"]}]}')
    assert not nested.asks(NORTH)
    assert not nested.asks(EVERYONE)


def test_what_is_hidden_stays_hidden_within_a_segment(clean: Data) -> None:
    shared = kept(clean, clean.people.ann, "With a phone", PHONE, shared=True)
    around = kept(clean, clean.people.ann, "Around it", of(shared), shared=True)
    for masked in (clean.people.ana, clean.people.mark):
        for number in (shared, around):
            with begin(masked) as conn, pytest.raises(Refused, match="cannot count by: Has a phone"):
                segments.count(conn, viewer=masked, rule=of(number), today=TODAY)
            with begin(masked, write=True) as conn, pytest.raises(Refused, match="cannot count by"):
                saved_segments.save(conn, actor=masked, name="x", rule=of(number))
            with begin(masked) as conn:
                assert segments.counts(conn, viewer=masked, rules=(of(number),), today=TODAY) == (None,)


def test_a_shared_segment_names_shared_ones(clean: Data) -> None:
    ann = clean.people.ann
    private = kept(clean, ann, "Mine", NORTH)
    assert kept(clean, ann, "Around it", of(private))
    with pytest.raises(Invalid, match="Colleagues do not see “Mine”"):
        kept(clean, ann, "For all", of(private, 901), shared=True)
    assert kept(clean, ann, "For all", of(902, 901), shared=True)


def test_a_segment_is_no_part_of_itself(clean: Data) -> None:
    ann = clean.people.ann
    first = kept(clean, ann, "First", NORTH)
    second = kept(clean, ann, "Second", of(first))
    with pytest.raises(Invalid, match="cannot be a part of itself: “First” → “Second” → “First”"):
        kept(clean, ann, "First", of(second), segment_id=first, version=1)
    with pytest.raises(Invalid, match="cannot be a part of itself: “First” → “First”"):
        kept(clean, ann, "First", of(first), segment_id=first, version=1)
    # Written past the commands, or by two at once.
    with connection.begin_owner() as conn:
        s = schema.segments
        conn.execute(update(s).where(s.c.id == first).values(rule=json.loads(of(second))))
    with begin(ann) as conn, pytest.raises(Invalid, match="cannot be a part of itself: “Second” → “First” → “Second”"):
        segments.count(conn, viewer=ann, rule=of(second), today=TODAY)
    with begin(ann) as conn:
        assert saved_segments.get(conn, viewer=ann, segment_id=first).problem == ""
        assert segments.counts(conn, viewer=ann, rules=(of(first), NORTH), today=TODAY)[0] is None


def test_how_deep_and_how_much_segments_hold(clean: Data) -> None:
    ann = clean.people.ann
    numbers = [kept(clean, ann, "Level 0", NORTH)]
    for level in range(1, nested.MOST_NESTED):
        numbers.append(kept(clean, ann, f"Level {level}", of(numbers[-1])))
    assert counted(ann, of(numbers[-1])) == counted(ann, NORTH)
    with connection.begin_owner() as conn:
        stamps = {"created_at": clean.world.people[0].created_at, "updated_at": clean.world.people[0].created_at}
        row = {"name": "Too deep", "rule": json.loads(of(numbers[-1])), "owner_id": ann.user_id}
        deep = conn.scalar(insert(schema.segments).values(**row, **stamps).returning(schema.segments.c.id))
    with begin(ann) as conn, pytest.raises(Invalid, match="at most 5 deep"):
        segments.count(conn, viewer=ann, rule=of(deep), today=TODAY)
    leaf = json.loads(NORTH)["all"][0]
    large = kept(clean, ann, "Large", json.dumps({"any": [leaf] * 100}))
    double = kept(clean, ann, "Double", json.dumps({"any": [json.loads(of(large))["all"][0]] * 3}))
    assert counted(ann, of(double)) == counted(ann, NORTH)
    with begin(ann) as conn, pytest.raises(Invalid, match="at most 300 conditions together"):
        segments.count(conn, viewer=ann, rule=of(double, large), today=TODAY)


def test_a_segment_that_is_archived_counts_and_one_that_cannot_be_read_says_so(clean: Data) -> None:
    ann = clean.people.ann
    number = kept(clean, ann, "Put away", NORTH)
    with begin(ann, write=True) as conn:
        saved_segments.archive(conn, actor=ann, segment_id=number)
    assert counted(ann, of(number)) == counted(ann, NORTH)
    with connection.begin_owner() as conn:
        s = schema.segments
        conn.execute(update(s).where(s.c.id == number).values(rule={"all": [{"field": "gone", "op": "="}]}))
    with begin(ann) as conn, pytest.raises(Invalid, match="“Put away”, whose own rule cannot be read"):
        segments.count(conn, viewer=ann, rule=of(number), today=TODAY)
    with begin(ann) as conn, pytest.raises(NotFound):
        saved_segments.get(conn, viewer=ann, segment_id=4711)
