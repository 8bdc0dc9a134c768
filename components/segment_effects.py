"""What each part of a rule does to the count, and a warning where the rule is easily misread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamlit.delta_generator import DeltaGenerator

from components import data, format, segment_choices, wording
from components.rule_draft import Draft, counts
from components.segment_choices import Choices
from db import rule_readings, rules, segments
from db.rules import EVERYONE, Group
from db.words import _

_INNER = str.maketrans("“”", "‘’")
MOST_PARTS = 20
"""So many conditions and groups have their numbers; in a longer rule the outermost ones are counted alone."""


def draw(
    draft: Draft,
    places: Mapping[int, DeltaGenerator],
    warning: DeltaGenerator,
    *,
    question: Mapping[str, Any],
    found: Any,
    choices: Choices,
) -> None:
    """Under each part how many fit it alone and how many it removes; `found` is as db.segments.explore gives it."""
    rule = draft.rule()
    outer = dict(zip((part.id for part in draft.counted()), found.effects, strict=True))
    every = [part.id for part in draft.every() if part.id in places and counts(part)]
    every = every if len(every) <= MOST_PARTS else []
    alone = {number: draft.alone(number) for number in every if number not in outer}
    without = {number: draft.rule(without=number) for number in every}
    readings = rule_readings.otherwise(rule)
    wanted = dict.fromkeys((*alone.values(), *without.values(), *readings))
    known: dict[Group, int | None] = {rule: found.customers, EVERYONE: found.everyone}
    asked = [each for each in wanted if each not in known]
    if asked:
        written = tuple(rules.written(each) for each in asked)
        numbers = data.read(segments.counts, viewer=question["viewer"], rules=written, today=question["today"])
        known |= dict(zip(asked, numbers, strict=True))
    for number in outer | alone:
        fits = outer[number] if number in outer else known[alone[number]]
        rest = known[without[number]] if number in without else None
        if fits is not None:
            told = _("alone: {n}").format(n=format.number(fits))
            places[number].caption(wording.line(told, _removed(found.customers, rest)), width="content")
    for each in readings:
        n = known[each]
        if n is not None and rule_readings.notable(found.customers, n):
            # Within quotation marks those of the sentence are the inner ones.
            said = wording.plain(segment_choices.sentence(each, choices).translate(_INNER))
            told = _("Mind the brackets: read as “{rule}”, it would find {n}.")
            warning.warning(told.format(rule=said, n=format.number(n)), icon=":material/data_array:")


def _removed(n: int, rest: int | None) -> str:
    """What the count would be without a part, beside what it is."""
    if rest is None:
        return ""
    if rest == n:
        return _("changes nothing")
    template = _("removes {n}") if rest > n else _("adds {n}")
    return template.format(n=format.number(abs(rest - n)))
