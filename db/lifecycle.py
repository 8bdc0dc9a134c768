"""The rules by which customers are in a stage: what can be set, what is refused, and the stage of a row by them.

The rules are looked at in one order, and who fits one is in its stage and in no later one: no order, lost, at risk,
loyal, repeat buyer, and first purchase for the rest. So everybody is in exactly one stage, whatever is set. A customer
is quiet for as many days as have passed since the last order; at risk, or lost, is who is quiet for more days than a
limit. The limit is a number of days, or, when the rules go by rhythm, a multiple of the customer's own usual interval
(db/rhythm.py) where that is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import ColumnElement, Date, FromClause, Integer, case, cast, func, literal, null, select, type_coerce

from db import schema
from db.errors import Invalid
from db.metrics import Stage
from db.words import _

KIND = "stages"
MOST_ORDERS = 10_000
MOST_DAYS = 3_650
MOST_TIMES = Decimal(50)


@dataclass(frozen=True)
class StageRules:
    """Orders from which a customer is a repeat buyer and loyal; days, and tenths of the own interval, beyond which one
    is at risk and lost. The tenths are None unless the rules go by rhythm.
    """

    repeat_orders: int = 2
    loyal_orders: int = 5
    risk_days: int = 30
    lost_days: int = 90
    risk_tenths: int | None = None
    lost_tenths: int | None = None

    @property
    def by_rhythm(self) -> bool:
        """Whether a customer's own interval decides where it is known."""
        return self.risk_tenths is not None

    def stored(self) -> dict[str, int | None]:
        """As it is kept."""
        return {name: getattr(self, name) for name in NAMES}

    def numbers(self) -> tuple[float, ...]:
        """In the order of NAMES; what is not set is 0."""
        return tuple(float(getattr(self, name) or 0) for name in NAMES)


NAMES = tuple(StageRules.__annotations__)
DEFAULT = StageRules()
USUAL_TENTHS = (20, 40)
"""What the screen begins with when the rules are to go by rhythm."""


def of_numbers(numbers: tuple[float, ...] | None) -> StageRules:
    """The rules that `numbers` tell; the usual ones where there are none."""
    if numbers is None:
        return DEFAULT
    whole = dict(zip(NAMES, map(int, numbers), strict=True))
    return StageRules(**{n: whole[n] or None if n.endswith("tenths") else whole[n] for n in NAMES})  # type: ignore[arg-type]


def parse(held: Any) -> StageRules:
    """Rules as a form or `stored` has them, checked: whole numbers, or their texts. Raises Invalid by field."""
    if not isinstance(held, Mapping):
        raise Invalid(_("These are no rules of stages."))
    problems: dict[str, str] = {}
    unknown = set(held) - set(NAMES)
    if unknown:
        raise Invalid(_("The stages have no rule “{name}”.").format(name=str(min(map(str, unknown)))[:60]))
    most = {"orders": MOST_ORDERS, "days": MOST_DAYS, "tenths": int(MOST_TIMES * 10)}
    least = {"repeat_orders": 2, "loyal_orders": 3, "risk_tenths": 10, "lost_tenths": 10}
    found: dict[str, int | None] = {}
    for name in NAMES:
        value, measure = held.get(name, getattr(DEFAULT, name)), name.split("_")[1]
        if measure == "tenths" and value is None:
            found[name] = None
            continue
        low, high = least.get(name, 1), most[measure]
        number = _whole(value)
        if number is None or not low <= number <= high:
            shown = (Decimal(low) / 10, Decimal(high) / 10) if measure == "tenths" else (low, high)
            problems[name] = (
                _("Enter a number from {least} to {most}, with one decimal at most.")
                if measure == "tenths"
                else _("Enter a whole number from {least} to {most}.")
            ).format(least=shown[0], most=shown[1])
        found[name] = number
    if (found["risk_tenths"] is None) != (found["lost_tenths"] is None) and not problems:
        missing = "risk_tenths" if found["risk_tenths"] is None else "lost_tenths"
        problems[missing] = _("By their own rhythm both at risk and lost need a number of intervals.")
    if not problems:
        problems = _not_rising(found)
    if problems:
        raise Invalid(_("Some numbers need another look."), fields=problems)
    return StageRules(**found)  # type: ignore[arg-type]


def tenths(times: Any) -> Any:
    """A number of intervals, which has one decimal, in tenths; what is no such number is given back as it is."""
    try:
        exact = Decimal(str(times)) * 10
    except InvalidOperation:
        return times
    return int(exact) if exact.is_finite() and exact == exact.to_integral_value() else times


def _not_rising(found: Mapping[str, int | None]) -> dict[str, str]:
    said = {
        "loyal_orders": ("repeat_orders", _("Loyal must take more orders than a repeat buyer.")),
        "lost_days": ("risk_days", _("Lost must come after at risk: enter more days.")),
        "lost_tenths": ("risk_tenths", _("Lost must come after at risk: enter more intervals.")),
    }
    return {later: text for later, (sooner, text) in said.items() if (found[later] or 1) <= (found[sooner] or 0)}


def _whole(value: Any) -> int | None:
    """A whole number, also as a text or a number with a point; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        exact = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not exact.is_finite() or abs(exact) > MOST_ORDERS * 10 or exact != exact.to_integral_value():
        return None
    return int(exact)


# --- the stage of a row ----------------------------------------------------------------------------------------------


def stage(
    *,
    last: ColumnElement[Any],
    orders: ColumnElement[Any],
    usual: ColumnElement[Any],
    day: date | ColumnElement[Any],
    rules: StageRules | None = None,
) -> ColumnElement[str]:
    """The stage on a day of whoever had `orders` orders by then, the latest on the day `last`; null is none.

    `usual` is the usual interval in days, null where it is not known. Without `rules` those in force decide, which the
    statement reads once. Days may be columns, too: for the stages of many days at once.
    """
    of = {name: _in_force(name) for name in NAMES} if rules is None else {n: _literal(rules, n) for n in NAMES}
    today = literal(day, Date) if isinstance(day, date) else day
    quiet = type_coerce(today - last, Integer) * 10
    return case(
        (last.is_(None), literal(Stage.PROSPECT.value)),
        (quiet > _limit(usual, of["lost_tenths"], of["lost_days"]), literal(Stage.LOST.value)),
        (quiet > _limit(usual, of["risk_tenths"], of["risk_days"]), literal(Stage.AT_RISK.value)),
        (orders >= of["loyal_orders"], literal(Stage.LOYAL.value)),
        (orders >= of["repeat_orders"], literal(Stage.REPEAT.value)),
        else_=literal(Stage.FIRST.value),
    )


def stage_column(
    today: date, figures: FromClause = schema.customer_metrics, rules: StageRules | None = None
) -> ColumnElement[str]:
    """The stage of a row of customer_metrics, or of `figures` with its columns (possibly missing), on a day."""
    m = figures.c
    return stage(last=m.last_order_on, orders=m.orders, usual=m.usual_days, day=today, rules=rules)


def number_in_force() -> ColumnElement[int]:
    """The number of the version in force, as a part of statements."""
    d = schema.definitions.c
    return func.coalesce(select(d.number).where(d.kind == KIND).scalar_subquery(), 0)


def _limit(usual: ColumnElement[Any], of_usual: ColumnElement[Any], days: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(usual * of_usual, days * 10)


def _literal(rules: StageRules, name: str) -> ColumnElement[Any]:
    value = getattr(rules, name)
    return cast(null(), Integer) if value is None else literal(value, Integer)


def _in_force(name: str) -> ColumnElement[Any]:
    d = schema.definitions.c
    held = select(cast(d.rules[name].astext, Integer)).where(d.kind == KIND).scalar_subquery()
    usual = getattr(DEFAULT, name)
    return held if usual is None else func.coalesce(held, usual)


# --- in words --------------------------------------------------------------------------------------------------------


def said(rules: StageRules) -> dict[Stage, str]:
    """Stage → its rule in words, in the reader's language."""
    risk, lost = _quiet(rules.risk_days, rules.risk_tenths), _quiet(rules.lost_days, rules.lost_tenths)
    return {
        Stage.PROSPECT: _("no order yet"),
        Stage.FIRST: (
            _("1 order, and not at risk")
            if rules.repeat_orders == 2
            else _("1 to {n} orders, and not at risk").format(n=rules.repeat_orders - 1)
        ),
        Stage.REPEAT: (
            _("{n} orders, and not at risk").format(n=rules.repeat_orders)
            if rules.loyal_orders == rules.repeat_orders + 1
            else _("{n} to {most} orders, and not at risk").format(n=rules.repeat_orders, most=rules.loyal_orders - 1)
        ),
        Stage.LOYAL: _("{n} orders or more, and not at risk").format(n=rules.loyal_orders),
        Stage.AT_RISK: _("last order more than {risk} ago, and not lost").format(risk=risk),
        Stage.LOST: _("last order more than {lost} ago").format(lost=lost),
    }


def _quiet(days: int, of_usual: int | None) -> str:
    if of_usual is None:
        return _("{n} days").format(n=days)
    times = f"{Decimal(of_usual) / 10:f}"
    return _("{times} of their usual intervals ({n} days where no interval is known)").format(times=times, n=days)
