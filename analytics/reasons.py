"""Why a rule holds or does not: the fewest conditions that decide it, and the fewest that would have to be otherwise.

A rule is a tree: a condition is its number, a group `(match, parts)` with match "all", "any" or "none". Conditions are
taken to be independent of each other; the same number may stand at several places.

The fewest that decide are a sufficient reason of minimal size: Darwiche and Hirth (2020), On the reasons behind
decisions, ECAI. Where no condition stands twice a recursion finds it. Else it is a smallest set that hits every way to
turn the answer: Ignatiev, Narodytska and Marques-Silva (2019), Abduction-based explanations for machine learning
models, AAAI 33, 1511-1519.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

Tree: TypeAlias = "int | tuple[str, tuple[Tree, ...]]"
Found: TypeAlias = "frozenset[int] | None"
Cost: TypeAlias = Callable[[int, bool], Found]
"""What it takes for a condition to count as true, or as false; None: that cannot be had."""

MOST_REPEATED = 10
"""So many different conditions may stand twice: each doubles the work."""
MOST_ROUNDS = 200
MOST_TRIED = 20_000


@dataclass(frozen=True)
class Reason:
    """Whether the rule holds, the conditions that decide it, and those that would have to change for the opposite.

    `turn` is None where no change of conditions turns the rule. `exact`: nothing smaller decides. Of a rule in which
    more than MOST_REPEATED conditions stand twice that is not known, nor is its `turn`.
    """

    holds: bool
    decisive: tuple[int, ...]
    turn: tuple[int, ...] | None
    exact: bool


def reason(tree: Tree, holds: Sequence[bool]) -> Reason:
    """Why the rule is as it is when condition i is `holds[i]`. Of equally small answers one."""
    result = _value(tree, holds)
    repeated = sorted(number for number, n in Counter(_leaves(tree)).items() if n > 1)
    enough = _least(tree, result, lambda i, value: frozenset({i}) if value == holds[i] else None)
    assert enough is not None
    if not repeated:
        turn = _turn(tree, holds, not result)
        return Reason(result, _ordered(enough), None if turn is None else _ordered(turn), True)
    if len(repeated) > MOST_REPEATED:
        return Reason(result, _ordered(enough), None, False)
    turn = _turn(tree, holds, not result, repeated)
    found = _hitting(tree, holds, not result, repeated, enough)
    return Reason(
        result,
        _ordered(enough if found is None else found),
        None if turn is None else _ordered(turn),
        found is not None,
    )


def _ordered(found: frozenset[int]) -> tuple[int, ...]:
    return tuple(sorted(found))


def _leaves(tree: Tree) -> Iterator[int]:
    if isinstance(tree, int):
        yield tree
        return
    for part in tree[1]:
        yield from _leaves(part)


def _value(tree: Tree, values: Sequence[bool]) -> bool:
    if isinstance(tree, int):
        return values[tree]
    match, parts = tree
    if match == "all":
        return all(_value(part, values) for part in parts)
    return any(_value(part, values) for part in parts) != (match == "none")


def _least(tree: Tree, wanted: bool, cost: Cost) -> Found:
    """The smallest set of what it takes for the tree to be `wanted`, were no condition to stand twice."""
    if isinstance(tree, int):
        return cost(tree, wanted)
    match, parts = tree
    every = (match == "all") == wanted if match != "none" else wanted
    found = [_least(part, wanted != (match == "none"), cost) for part in parts]
    possible = [each for each in found if each is not None]
    if not every:
        return min(possible, key=_place, default=None)
    return frozenset().union(*possible) if len(possible) == len(found) else None


def _place(found: frozenset[int]) -> tuple[int, list[int]]:
    return len(found), sorted(found)


def _turn(
    tree: Tree,
    holds: Sequence[bool],
    wanted: bool,
    repeated: Sequence[int] = (),
    kept: frozenset[int] = frozenset(),
) -> Found:
    """The fewest conditions outside `kept` whose change makes the tree `wanted`; None: `kept` decides.

    Those that stand twice are tried both ways, so that nothing stands twice in what is left to decide.
    """
    free = [i for i in repeated if i not in kept]
    best: Found = None
    for trial in product((False, True), repeat=len(free)):
        given = dict(zip(free, trial, strict=True))
        changed = frozenset(i for i, value in given.items() if value != holds[i])

        def cost(i: int, value: bool, given: Mapping[int, bool] = given) -> Found:
            if given.get(i, holds[i]) == value:
                return frozenset()
            return None if i in kept or i in given else frozenset({i})

        found = _least(tree, wanted, cost)
        if found is not None and (best is None or _place(found | changed) < _place(best)):
            best = found | changed
    return best


# --- where conditions stand twice ------------------------------------------------------------------------------------


def _hitting(tree: Tree, holds: Sequence[bool], turned: bool, repeated: Sequence[int], enough: frozenset[int]) -> Found:
    """A smallest set that every change which turns the rule has a part in; None where that takes too long."""
    turns: list[frozenset[int]] = []
    for _round in range(MOST_ROUNDS):
        found = _smallest_hit(turns, len(enough))
        if found is None:
            return None
        turn = _turn(tree, holds, turned, repeated, found)
        if turn is None:
            return found
        turns.append(turn)
    return None


def _smallest_hit(turns: Sequence[frozenset[int]], most: int) -> Found:
    """A smallest set with a member of each, of at most `most`; None where that took too many trials."""
    left = MOST_TRIED

    def hit(chosen: frozenset[int], size: int) -> Found:
        nonlocal left
        left -= 1
        missed = next((turn for turn in turns if not turn & chosen), None)
        if missed is None:
            return chosen
        if len(chosen) == size or left < 0:
            return None
        tried = (hit(chosen | {i}, size) for i in sorted(missed))
        return next((found for found in tried if found is not None), None)

    sizes = (hit(frozenset(), size) for size in range(most + 1))
    found = next((found for found in sizes if found is not None), None)
    return found if left >= 0 else None
