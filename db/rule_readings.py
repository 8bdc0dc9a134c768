"""How else a rule could be read: the same conditions in the same order, with other brackets between AND and OR."""

from __future__ import annotations

from db.rules import MOST_DEPTH, Condition, Group

Part = Condition | Group

NOTABLE = 0.2
"""Another reading is worth a warning where its count differs by more than this share of the rule's own."""


def otherwise(rule: Group) -> tuple[Group, ...]:
    """The rule as somebody would read it who overlooks its brackets, where that is another rule; at most two.

    Written without brackets, "A and B or C" has two readings: AND binds tighter, or OR does. What stands in "none"
    groups is negated as a whole and keeps its brackets.
    """
    parts, words = _flat(rule)
    if {"all", "any"} - set(words):
        return ()
    plain = _simple(rule)
    readings = (_split(parts, words, outer, inner) for outer, inner in (("any", "all"), ("all", "any")))
    found = [each for each in readings if _simple(each) != plain and _depth(each) <= MOST_DEPTH]
    return tuple(dict.fromkeys(found))


def notable(n: int, other: int) -> bool:
    """Whether two counts differ so much that a reader should be warned."""
    return abs(n - other) > NOTABLE * n


def _flat(part: Part) -> tuple[list[Part], list[str]]:
    """The parts from left to right without brackets, and the word between each two."""
    if isinstance(part, Condition) or part.match == "none" or not part.rules:
        return [part], []
    parts: list[Part] = []
    words: list[str] = []
    for each in part.rules:
        inner, between = _flat(each)
        words += [part.match] * bool(parts) + between
        parts += inner
    return parts, words


def _split(parts: list[Part], words: list[str], outer: str, inner: str) -> Group:
    runs: list[list[Part]] = [[parts[0]]]
    for word, part in zip(words, parts[1:], strict=True):
        if word == outer:
            runs.append([])
        runs[-1].append(part)
    return Group(outer, tuple(run[0] if len(run) == 1 else Group(inner, tuple(run)) for run in runs))


def _simple(part: Part) -> Part:
    """Without groups of one, and groups in a group of their own kind."""
    if isinstance(part, Condition):
        return part
    found: list[Part] = []
    for each in map(_simple, part.rules):
        same = isinstance(each, Group) and each.match == part.match != "none"
        found += each.rules if same and isinstance(each, Group) else [each]
    return found[0] if len(found) == 1 and part.match != "none" else Group(part.match, tuple(found))


def _depth(part: Part) -> int:
    return 0 if isinstance(part, Condition) else 1 + max((_depth(each) for each in part.rules), default=0)
