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


def draft(data: Any) -> Draft | None:
    return rule_draft.of(rules.parse(data), itertools.count(1).__next__)


def made(data: Any) -> Draft:
    found = draft(data)
    assert found is not None
    return found


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


def test_deeper_rules_are_for_json_alone() -> None:
    assert draft({"all": [{"any": [{"none": [ORDERS]}]}]}) is None


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
    first, second = (line.id for line in card.lines)
    found.remove(first)
    assert found.rule() == rules.parse({"all": [ORDERS, {"any": [ORDERS]}]})
    found.remove(second)
    assert found.rule() == rules.parse({"all": [ORDERS]})
    found.remove(found.parts[0].id)
    assert found.rule() == rules.EVERYONE
