"""How the scores of recency, frequency and monetary value are told: by fifths of all customers, or by fixed bounds.

Fixed bounds are four numbers of a measure. Of recency they are the most days since the last order for the scores 5, 4,
3 and 2; of frequency the fewest orders, of monetary value the least revenue, for 2, 3, 4 and 5. Each measure has its
own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from db.errors import Invalid
from db.words import N_, _

KIND = "scores"
BOUNDS = 4
MOST_DAYS = 3_650
MOST_ORDERS = 1_000_000
MOST_REVENUE = 10**12
RECENCY_DAYS = "recency_days"
"""What fixed bounds of recency are called among the bounds: their days count back from today."""
CENT = Decimal("0.01")
USUAL: Mapping[str, tuple[int, ...]] = {
    "recency": (30, 60, 90, 180),
    "frequency": (2, 3, 5, 10),
    "monetary": (100, 500, 1_000, 5_000),
}
"""What the screen begins with when bounds are to be fixed."""
NAMES: Mapping[str, str] = {"recency": N_("Recency"), "frequency": N_("Frequency"), "monetary": N_("Monetary value")}
_LEAST = {"recency": Decimal(0), "frequency": Decimal(2), "monetary": CENT}
_MOST = {"recency": MOST_DAYS, "frequency": MOST_ORDERS, "monetary": MOST_REVENUE}


@dataclass(frozen=True)
class ScoreRules:
    """The four fixed bounds of each measure, rising; None where it goes by fifths."""

    recency: tuple[Decimal, ...] | None = None
    frequency: tuple[Decimal, ...] | None = None
    monetary: tuple[Decimal, ...] | None = None

    def stored(self) -> dict[str, list[str] | None]:
        """As they are kept: numbers as texts, so that cents stay cents."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: None if held is None else [f"{each:f}" for each in held] for name, held in found.items()}

    def bounds(self) -> dict[str, tuple[float, ...]]:
        """Those that are fixed, as db/scores.py has bounds: a score is one more than how many lie below the value."""
        found: dict[str, tuple[float, ...]] = {}
        if self.recency:
            found[RECENCY_DAYS] = tuple(map(float, self.recency))
        if self.frequency:
            found["frequency"] = tuple(float(each - 1) for each in self.frequency)
        if self.monetary:
            found["monetary"] = tuple(float(each - CENT) for each in self.monetary)
        return found


def parse(held: Any) -> ScoreRules:
    """Rules as a form or `stored` has them: measure → four numbers or None. Raises Invalid by measure."""
    if not isinstance(held, Mapping) or set(held) - set(NAMES):
        raise Invalid(_("These are no bounds of scores."))
    problems: dict[str, str] = {}
    found = {}
    for name in NAMES:
        given = held.get(name)
        if given is None:
            continue
        numbers = _numbers(name, given)
        if numbers is None:
            least, most = f"{_LEAST[name]}", f"{_MOST[name]:,}"
            said = (
                _("Enter four amounts from {least} to {most}, with two decimals at most.")
                if name == "monetary"
                else _("Enter four whole numbers from {least} to {most}.")
            )
            problems[name] = said.format(least=least, most=most)
        elif any(later <= sooner for sooner, later in pairwise(numbers)):
            problems[name] = _("The four bounds must rise: each greater than the one before.")
        else:
            found[name] = numbers
    if problems:
        raise Invalid(_("Some bounds need another look."), fields=problems)
    return ScoreRules(**found)


def _numbers(name: str, given: Any) -> tuple[Decimal, ...] | None:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != BOUNDS:
        return None
    found = []
    for each in given:
        if isinstance(each, bool) or not isinstance(each, int | float | str | Decimal):
            return None
        try:
            exact = Decimal(str(each).strip())
        except InvalidOperation:
            return None
        step = CENT if name == "monetary" else Decimal(1)
        if not exact.is_finite() or not _LEAST[name] <= exact <= _MOST[name] or exact % step:
            return None
        found.append(exact.quantize(step))
    return tuple(found)


def said(rules: ScoreRules) -> dict[str, str]:
    """Measure → how its scores are told, in words."""
    words = {
        "recency": _("5 up to {0} days since the last order, 4 up to {1}, 3 up to {2}, 2 up to {3}, 1 beyond"),
        "frequency": _("1 below {0} orders, 2 from {0}, 3 from {1}, 4 from {2}, 5 from {3}"),
        "monetary": _("1 below a revenue of {0}, 2 from {0}, 3 from {1}, 4 from {2}, 5 from {3}"),
    }
    found = {}
    for name, text in words.items():
        held = getattr(rules, name)
        shown = [f"{each.normalize():,f}" for each in held or ()]
        found[name] = text.format(*shown) if held else _("by fifths of all customers with orders")
    return found
