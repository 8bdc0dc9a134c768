"""A rule while it is being built: what counts and what not yet, and that nothing is lost on the way there and back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import rule_draft
from components.rule_draft import Card, Draft, Line
from db import rules
from db.rules import Group
from tests.db.segment_rules import LEAVES

ORDERS = {"field": "orders", "op": ">", "value": 100}
NORTH = {"field": "region", "op": "in", "value": ["North"]}


def draft(data: Any) -> Draft:
    return rule_draft.of(rules.parse(data), itertools.count(1).__next__)


def made(data: Any) -> Draft:
    return draft(data)


conditions = LEAVES
groups = st.builds(
    lambda match, inner: {match: inner}, st.sampled_from(rules.MATCHES), st.lists(conditions, max_size=4)
)
flat = st.builds(
    lambda match, inner: {match: inner}, st.sampled_from(rules.MATCHES), st.lists(conditions | groups, max_size=5)
)


@given(flat)
def test_what_the_cards_show_is_the_rule(data: dict[str, Any]) -> None:
    assert made(data).rule() == rules.parse(data)


def test_numbers_are_never_given_twice() -> None:
    found = made({"all": [ORDERS, {"any": [NORTH, ORDERS]}, NORTH]})
    numbers = [part.id for part in found.parts] + [line.id for line in found.lines()]
    assert len(set(numbers)) == 5


@pytest.mark.parametrize("match", rules.MATCHES)
def test_conditions_without_a_value_do_not_count(match: str) -> None:
    found = Draft(0, match, [Line(1), Line(2, "orders", ">"), Card(3, "any", [Line(4, "region", "in", None)])])
    assert found.counted() == []
    assert found.rule() == rules.EVERYONE
    found.parts.append(Line(5, "orders", ">", 100))
    assert found.rule() == rules.parse({match: [ORDERS]})
    assert [part.id for part in found.counted()] == [5]


def test_an_empty_group_is_what_the_rule_says_it_is() -> None:
    assert made({"any": []}).rule() == Group("any")
    assert made({"all": [{"any": []}]}).rule() == Group("all", (Group("any"),))


def test_another_field_forgets_the_value_and_another_comparison_keeps_what_fits() -> None:
    line = Line(1, "orders", ">", 100)
    line.choose("orders")
    assert line.value == 100
    line.compare("<=")
    assert line.data == {"field": "orders", "op": "<=", "value": 100}
    line.compare("between")
    assert line.value is None
    assert line.problem == ""
    line.value = [5, 1]
    assert line.problem == "In value: the first value is greater than the second."
    line.choose("region")
    assert (line.op, line.value) == ("in", None)
    line.compare("empty")
    assert line.problem is None
    assert line.data == {"field": "region", "op": "empty"}


def test_a_card_goes_with_its_last_condition() -> None:
    found = made({"all": [ORDERS, {"any": [NORTH, ORDERS]}]})
    card = found.parts[1]
    assert isinstance(card, Card)
    first, second = (part.id for part in card.parts)
    found.remove(first)
    assert found.rule() == rules.parse({"all": [ORDERS, {"any": [ORDERS]}]})
    found.remove(second)
    assert found.rule() == rules.parse({"all": [ORDERS]})
    found.remove(found.parts[0].id)
    assert found.rule() == rules.EVERYONE


# --- moving ----------------------------------------------------------------------------------------------------------

EAST = {"field": "region", "op": "in", "value": ["East"]}
COUNTER = itertools.count(1_000)
deep = st.recursive(
    conditions,
    lambda inner: st.builds(lambda match, parts: {match: parts}, st.sampled_from(rules.MATCHES), st.lists(inner)),
    max_leaves=10,
).filter(lambda data: "field" not in data and _height(data) <= rules.MOST_DEPTH)


def _height(data: Any) -> int:
    if "field" in data:
        return 0
    [parts] = data.values()
    return 1 + max(map(_height, parts), default=0)


def number_of(found: Draft, data: Any) -> int:
    return next(part.id for part in found.every() if isinstance(part, Line) and part.data == data)


def moved(data: Any, leaf: Any, how: str) -> Any:
    found = made(data)
    found.move(number_of(found, leaf), how, COUNTER.__next__)
    return rules.data_of(found.rule())


@given(deep)
def test_rules_to_depth_five_are_drafts(data: dict[str, Any]) -> None:
    assert made(data).rule() == rules.parse(data)


def test_moves_by_hand() -> None:
    rule = {"all": [ORDERS, {"any": [NORTH, EAST]}]}
    assert moved(rule, ORDERS, "down") == {"all": [{"any": [NORTH, EAST]}, ORDERS]}
    assert moved(rule, EAST, "up") == {"all": [ORDERS, {"any": [EAST, NORTH]}]}
    assert moved(rule, ORDERS, "into") == {"all": [{"any": [ORDERS, NORTH, EAST]}]}
    assert moved({"all": [{"any": [NORTH]}, ORDERS]}, ORDERS, "into") == {"all": [{"any": [NORTH, ORDERS]}]}
    assert moved(rule, NORTH, "out") == {"all": [ORDERS, {"any": [EAST]}, NORTH]}
    assert moved({"all": [{"any": [NORTH]}, ORDERS]}, NORTH, "out") == {"all": [NORTH, ORDERS]}
    assert moved(rule, NORTH, "wrap") == {"all": [ORDERS, {"any": [{"any": [NORTH]}, EAST]}]}
    assert moved(rule, NORTH, "copy") == {"all": [ORDERS, {"any": [NORTH, NORTH, EAST]}]}
    for how in ("up", "out", "nonsense", ""):
        assert moved(rule, ORDERS, how) == rule, "what cannot be done is left undone"


def test_a_copied_group_is_a_group_of_its_own() -> None:
    found = made({"all": [{"any": [NORTH, ORDERS]}]})
    found.move(found.parts[0].id, "copy", COUNTER.__next__)
    first = next(found.parts[0].lines())  # type: ignore[union-attr]
    first.value.append("East")
    assert rules.data_of(found.rule())["all"][1] == {"any": [NORTH, ORDERS]}
    numbers = [part.id for part in found.every()]
    assert len(set(numbers)) == len(numbers) == 6


@given(deep, st.data())
def test_no_move_makes_a_rule_too_deep_or_loses_a_condition(data: dict[str, Any], drawn: Any) -> None:
    found = made(data)
    parts = [part.id for part in found.every()]
    if not parts:
        return
    for _step in range(4):
        number = drawn.draw(st.sampled_from([part.id for part in found.every()]))
        before = sorted(str(line.data) for line in found.lines())
        how = drawn.draw(st.sampled_from(found.moves(number)))
        found.move(number, how, COUNTER.__next__)
        after = sorted(str(line.data) for line in found.lines())
        assert how == "copy" or before == after
        assert len({part.id for part in found.every()}) == len(list(found.every()))
        assert found.height <= rules.MOST_DEPTH
        found.rule()


def test_the_rule_without_a_part_and_a_part_alone() -> None:
    found = made({"all": [ORDERS, {"any": [NORTH, {"none": [EAST]}]}]})
    assert rules.data_of(found.rule(without=number_of(found, NORTH))) == {"all": [ORDERS, {"any": [{"none": [EAST]}]}]}
    assert rules.data_of(found.rule(without=number_of(found, EAST))) == {"all": [ORDERS, {"any": [NORTH]}]}
    assert rules.data_of(found.rule(without=found.parts[1].id)) == {"all": [ORDERS]}
    assert rules.data_of(found.alone(found.parts[1].id)) == {"all": [{"any": [NORTH, {"none": [EAST]}]}]}
    one = made({"any": [ORDERS]})
    assert one.rule(without=one.parts[0].id) == rules.EVERYONE
