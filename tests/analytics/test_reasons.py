"""The fewest conditions that decide, against trying every subset of every rule."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.reasons import MOST_REPEATED, reason

CONDITIONS = 5

_groups = st.recursive(
    st.integers(0, CONDITIONS - 1),
    lambda inner: st.tuples(st.sampled_from(["all", "any", "none"]), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=8,
)


def value(tree: Any, holds: tuple[bool, ...]) -> bool:
    if isinstance(tree, int):
        return holds[tree]
    found = [value(part, holds) for part in tree[1]]
    return {"all": all(found), "any": any(found), "none": not any(found)}[tree[0]]


def decides(tree: Any, holds: tuple[bool, ...], kept: tuple[int, ...]) -> bool:
    """Whether the rule stays as it is whatever the other conditions are."""
    others = product((False, True), repeat=CONDITIONS)
    same = (tuple(holds[i] if i in kept else trial[i] for i in range(CONDITIONS)) for trial in others)
    return all(value(tree, each) == value(tree, holds) for each in same)


def turns(tree: Any, holds: tuple[bool, ...], changed: tuple[int, ...]) -> bool:
    return value(tree, tuple(h != (i in changed) for i, h in enumerate(holds))) != value(tree, holds)


@settings(max_examples=250, deadline=None)
@given(_groups, st.tuples(*[st.booleans()] * CONDITIONS))
def test_no_smaller_set_decides_and_no_smaller_change_turns(tree: Any, holds: tuple[bool, ...]) -> None:
    found = reason(tree, holds)
    assert found.holds == value(tree, holds)
    assert found.exact
    assert decides(tree, holds, found.decisive)
    subsets = [c for n in range(CONDITIONS + 1) for c in combinations(range(CONDITIONS), n)]
    assert len(found.decisive) == min(len(c) for c in subsets if decides(tree, holds, c))
    turning = [len(c) for c in subsets if turns(tree, holds, c)]
    if found.turn is None:
        assert turning == []
    else:
        assert turns(tree, holds, found.turn)
        assert len(found.turn) == min(turning)


@pytest.mark.parametrize(
    ("tree", "holds", "decisive", "turn"),
    [
        (("all", (0, 1)), (True, True), (0, 1), (0,)),
        (("all", (0, 1)), (True, False), (1,), (1,)),
        (("all", (0, 1)), (False, False), (0,), (0, 1)),
        (("any", (0, ("all", (1, 2)))), (True, True, True), (0,), (0, 1)),
        (("all", (0, ("none", (1, 2)))), (True, False, False), (0, 1, 2), (0,)),
        (("all", (0, ("none", (1, 2)))), (True, False, True), (2,), (2,)),
        (("any", (0, ("none", (0,)))), (True,), (), None),
        (("any", (("all", (0, 1)), ("all", (0, 2)))), (True, True, True), (0, 1), (0,)),
        (("all", ()), (), (), None),
        (("any", ()), (), (), None),
    ],
)
def test_reasons_by_hand(tree: Any, holds: Any, decisive: Any, turn: Any) -> None:
    found = reason(tree, holds)
    assert (found.decisive, found.turn) == (decisive, turn)


def test_a_large_rule_is_quick_and_one_full_of_repetitions_says_that_it_is_not_exact() -> None:
    deep: Any = 99
    for n in range(98, -1, -1):
        deep = (("all", "any", "none")[n % 3], (n, deep))
    assert reason(deep, [bool(n % 2) for n in range(100)]).exact
    many = tuple(("any", (n, (n + 1) % 50)) for n in range(50))
    found = reason(("all", many), [True] * 50)
    assert not found.exact
    assert found.holds
    assert 25 <= len(found.decisive) <= 50
    assert found.turn is None
    few = tuple(("any", (n, (n + 1) % MOST_REPEATED)) for n in range(MOST_REPEATED))
    found = reason(("all", few), [True] * MOST_REPEATED)
    assert (found.exact, len(found.decisive)) == (True, MOST_REPEATED // 2)
