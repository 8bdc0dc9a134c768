"""Segment rules: read from JSON, checked before any SQL, written back as JSON. In words: db/rule_words.py.

A rule is a group, `{"all": […]}`, `{"any": […]}` or `{"none": […]}`, of conditions and groups; a condition is
`{"field": …, "op": …, "value": …}` with a field of db/fields.py. An empty "all" or "none" is everyone, an empty "any"
nobody. `known` are the fields there are: those of Kehu, and of an administrator's where the caller has read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from db import calendar_periods, text
from db.custom_values import PREFIX
from db.errors import Invalid
from db.fields import FIELDS, OPERATORS, Field, Kind, since
from db.words import _

MOST_DEPTH = 5
MOST_CONDITIONS = 100
MOST_VALUES = 200
MOST_CHARACTERS = 20_000
MOST_TEXT = 200
MOST_NUMBER = 10**12
MOST_DECIMALS = 6
MOST_DAYS = 36_500
MOST_ANNIVERSARY = 365
MOST_COUNT = 1_000_000
MATCHES = ("all", "any", "none")


@dataclass(frozen=True)
class Span:
    """A period of a purchase or campaign: the last days, one of the calendar, or from a day to a day; else any time."""

    last_days: int | None = None
    start: date | None = None
    end: date | None = None
    during: str = ""

    def ends(self, today: date) -> tuple[date | None, date | None]:
        """Its first and its last day, None where it has none."""
        if self.during:
            return calendar_periods.ends(self.during, today)
        return (since(today, self.last_days), today) if self.last_days else (self.start, self.end)


@dataclass(frozen=True)
class Condition:
    """One comparison. `values` are texts, numbers, days or ids by the field's kind; `span` is for what has a period."""

    field: Field
    op: str
    values: tuple[Any, ...] = ()
    span: Span = Span()


@dataclass(frozen=True)
class Group:
    """Conditions and groups of which all, any or none must hold."""

    match: str
    rules: tuple[Condition | Group, ...] = ()


EVERYONE = Group("all")


# --- reading ---------------------------------------------------------------------------------------------------------


def parse_text(written: str, known: Mapping[str, Field] = FIELDS) -> Group:
    """A rule from JSON as somebody typed it. Raises Invalid, with the place."""
    if len(written) > MOST_CHARACTERS:
        raise Invalid(_("A rule has at most {n} characters.").format(n=f"{MOST_CHARACTERS:,}"))
    try:
        data = json.loads(
            written, parse_constant=_no_constant, parse_float=Decimal, object_pairs_hook=_without_repetition
        )
    except (ValueError, InvalidOperation, RecursionError) as error:
        place = (
            _(" (line {line}, character {column})").format(line=error.lineno, column=error.colno)
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise Invalid(_("This is not JSON{place}. Example: {example}").format(place=place, example=EXAMPLE)) from error
    return parse(data, known)


EXAMPLE = '{"all": [{"field": "orders", "op": ">", "value": 100}]}'


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that stands twice JSON silently keeps the last: half of a rule would be lost."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Invalid(_("“{key}” stands twice in one group or condition of the rule.").format(key=_shown(key)))
        found[key] = value
    return found


def parse(data: Any, known: Mapping[str, Field] = FIELDS) -> Group:
    """A rule from the plain values of its JSON; one condition alone counts as all of one. Raises Invalid."""
    rule = _rule(data, "", 1, known)
    found = rule if isinstance(rule, Group) else Group("all", (rule,))
    n = len(conditions(found))
    if n > MOST_CONDITIONS:
        raise Invalid(_("A rule has at most {most} conditions; this one has {n}.").format(most=MOST_CONDITIONS, n=n))
    return found


def conditions(rule: Condition | Group) -> list[Condition]:
    """Every condition of a rule, in order."""
    if isinstance(rule, Condition):
        return [rule]
    return [found for each in rule.rules for found in conditions(each)]


def _rule(data: Any, place: str, depth: int, known: Mapping[str, Field]) -> Condition | Group:
    if not isinstance(data, dict):
        raise _wrong(place, _("a group or a condition is expected"))
    if "field" in data:
        return _condition(data, place, known)
    if depth > MOST_DEPTH:
        raise _wrong(place, _("groups stand at most {n} deep").format(n=MOST_DEPTH))
    match = [key for key in data if key in MATCHES]
    if len(data) != 1 or len(match) != 1:
        raise _wrong(place, _("a group has one key, “all”, “any” or “none”; a condition has “field”, “op” and “value”"))
    rules = data[match[0]]
    if not isinstance(rules, list):
        raise _wrong(f"{place}.{match[0]}", _("a list is expected"))
    if len(rules) > MOST_CONDITIONS:
        raise _wrong(f"{place}.{match[0]}", _("at most {n} entries").format(n=MOST_CONDITIONS))
    found = (_rule(each, f"{place}.{match[0]}[{i}]", depth + 1, known) for i, each in enumerate(rules))
    return Group(match[0], tuple(found))


def _condition(data: dict[str, Any], place: str, fields: Mapping[str, Field]) -> Condition:
    unknown = data.keys() - {"field", "op", "value"}
    if unknown:
        raise _wrong(place, _("“{key}” is not known here").format(key=_shown(min(map(str, unknown)))))
    field = fields.get(data["field"]) if isinstance(data["field"], str) else None
    if field is None:
        own = isinstance(data["field"], str) and data["field"].startswith(PREFIX)
        problem = _("the field “{field}” is not there any more") if own else _("there is no field “{field}”")
        raise _wrong(f"{place}.field", problem.format(field=_shown(data["field"])))
    if field.clusters and field.clusters.archived:
        problem = _("the clusters “{name}” are archived: leave them out, or choose others")
        raise _wrong(f"{place}.field", problem.format(name=_shown(field.clusters.name)))
    if field.own and field.own.archived:
        problem = _("the field “{field}” is archived: leave it out, or have it put back on the screen Fields")
        raise _wrong(f"{place}.field", problem.format(field=_shown(field.label)))
    op = data.get("op")
    if not isinstance(op, str) or op not in OPERATORS[field.kind]:
        known = ", ".join(OPERATORS[field.kind])
        problem = _("“{op}” does not go with “{field}”, which takes: {known}")
        raise _wrong(f"{place}.op", problem.format(op=_shown(op), field=field.key, known=known))
    takes = OPERATORS[field.kind][op]
    if takes == "nothing":
        if data.get("value") is not None:
            raise _wrong(f"{place}.value", _("“{op}” takes no value").format(op=op))
        return Condition(field, op)
    if "value" not in data:
        raise _wrong(f"{place}.value", _("a value is missing"))
    return _READERS[takes](field, op, data["value"], f"{place}.value")


def _some(field: Field, op: str, value: Any, place: str) -> Condition:
    """A list of texts or ids, or one of them."""
    return Condition(field, op, _each(field, value if isinstance(value, list) else [value], place))


def _each(field: Field, values: list[Any], place: str) -> tuple[Any, ...]:
    if not values:
        raise _wrong(place, _("at least one value is expected"))
    if len(values) > MOST_VALUES:
        raise _wrong(place, _("at most {n} entries").format(n=MOST_VALUES))
    read = _id_of if field.ids else _text
    found = [read(field, value, f"{place}[{i}]") for i, value in enumerate(values)]
    return tuple(dict.fromkeys(found))


def _text(field: Field, value: Any, place: str) -> str:
    """A text as it is stored: what people enter of a customer is normalised (db/text.py), names of goods are not."""
    stored = ""
    if isinstance(value, str) and len(value) <= MOST_TEXT and not _NO_TEXT.search(value):
        stored = value if field.kind is Kind.BOUGHT else text.clean(value)
    if not 1 <= len(stored) <= MOST_TEXT:
        raise _wrong(place, _("a text of 1 to {n} characters is expected").format(n=MOST_TEXT))
    if field.choices and stored not in field.choices:
        known = ", ".join(field.choices)
        raise _wrong(place, _("“{value}” is none of: {known}").format(value=_shown(stored), known=known))
    return stored


# What PostgreSQL has no text for.
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")


def _id_of(_field: Field, value: Any, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise _wrong(place, _("a number from 1 on is expected"))
    return value


def _one(field: Field, op: str, value: Any, place: str) -> Condition:
    return Condition(field, op, (_scalar(field, value, place),))


def _words(field: Field, op: str, value: Any, place: str) -> Condition:
    return Condition(field, op, (_text(field, value, place),))


def _two(field: Field, op: str, value: Any, place: str) -> Condition:
    if not isinstance(value, list) or len(value) != 2:
        raise _wrong(place, _("a list of two values is expected, from and to"))
    low, high = (_scalar(field, each, f"{place}[{i}]") for i, each in enumerate(value))
    if low > high:
        raise _wrong(place, _("the first value is greater than the second"))
    return Condition(field, op, (low, high))


def _days(field: Field, op: str, value: Any, place: str) -> Condition:
    most = MOST_ANNIVERSARY if op == "anniversary in the next" else MOST_DAYS
    return Condition(field, op, (_day_count(value, place, most),))


def _calendar(field: Field, op: str, value: Any, place: str) -> Condition:
    return Condition(field, op, (_calendar_period(value, place),))


def _calendar_period(value: Any, place: str) -> str:
    if not isinstance(value, str) or value not in calendar_periods.PERIODS:
        known = ", ".join(calendar_periods.PERIODS)
        raise _wrong(place, _("“{value}” is none of: {known}").format(value=_shown(value), known=known))
    return value


def _day_count(value: Any, place: str, most: int = MOST_DAYS) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _wrong(place, _("a number of days from 1 to {n} is expected").format(n=f"{most:,}"))
    return value


def _spanned(field: Field, op: str, value: Any, place: str) -> Condition:
    """`{"of": […]}` with `last_days`, `during`, or `from` and `to`, or none; a list alone is of any time."""
    given = value if isinstance(value, dict) else {"of": value}
    unknown = given.keys() - {"of", *_PERIOD}
    if unknown or "of" not in given:
        raise _wrong(place, _("“of” is expected, and beside it “last_days”, “during”, or “from” and “to”"))
    of = given["of"]
    values = _each(field, of if isinstance(of, list) else [of], f"{place}.of")
    return Condition(field, op, values, _period(given, place))


def _span(field: Field, op: str, value: Any, place: str) -> Condition:
    """`{"last_days": 30}`, `{"during": "this month"}`, or `from` and `to`, one of which is enough."""
    if not isinstance(value, dict) or not value or value.keys() - _PERIOD:
        raise _wrong(place, _("either “last_days”, or “during”, or “from” and “to”"))
    return Condition(field, op, (), _period(value, place))


def _counted(field: Field, op: str, value: Any, place: str) -> Condition:
    """`{"count": 3}` with `last_days`, `during`, or `from` and `to`, or none; a number alone is of any time."""
    given = value if isinstance(value, dict) else {"count": value}
    if given.keys() - {"count", *_PERIOD} or "count" not in given:
        raise _wrong(place, _("“count” is expected, and beside it “last_days”, “during”, or “from” and “to”"))
    n = given["count"]
    if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n <= MOST_COUNT:
        raise _wrong(f"{place}.count", _("a whole number from 0 to {n} is expected").format(n=f"{MOST_COUNT:,}"))
    return Condition(field, op, (n,), _period(given, place))


_PERIOD = frozenset({"last_days", "during", "from", "to"})


def _period(given: dict[str, Any], place: str) -> Span:
    if len({"from" if key == "to" else key for key in given.keys() & _PERIOD}) > 1:
        raise _wrong(place, _("either “last_days”, or “during”, or “from” and “to”"))
    if "during" in given:
        return Span(during=_calendar_period(given["during"], f"{place}.during"))
    if "last_days" in given:
        return Span(last_days=_day_count(given["last_days"], f"{place}.last_days"))
    start, end = (_day(given[k], f"{place}.{k}") if k in given else None for k in ("from", "to"))
    if start and end and start > end:
        raise _wrong(place, _("the first value is greater than the second"))
    return Span(start=start, end=end)


def _step(field: Field, op: str, value: Any, place: str) -> Condition:
    """`{"campaign": 18, "step": "promoted"}`."""
    if not isinstance(value, dict) or value.keys() != {"campaign", "step"}:
        raise _wrong(place, _("“campaign” and “step” are expected"))
    campaign, step = _id_of(field, value["campaign"], f"{place}.campaign"), value["step"]
    if step not in field.choices:
        known = ", ".join(field.choices)
        raise _wrong(f"{place}.step", _("“{value}” is none of: {known}").format(value=_shown(step), known=known))
    return Condition(field, op, (campaign, step))


_READERS: Mapping[str, Callable[[Field, str, Any, str], Condition]] = {
    "some": _some,
    "one": _one,
    "words": _words,
    "two": _two,
    "days": _days,
    "calendar": _calendar,
    "spanned": _spanned,
    "span": _span,
    "step": _step,
    "counted": _counted,
}


def _scalar(field: Field, value: Any, place: str) -> Any:
    if field.kind is Kind.DATE:
        return _day(value, place)
    if isinstance(value, str):
        value = Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _wrong(place, _("a number is expected"))
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number) > MOST_NUMBER:
        raise _wrong(place, _("a number of at most {n} is expected").format(n=f"{MOST_NUMBER:,}"))
    rounded = number.quantize(_SMALLEST)
    if rounded != number:
        raise _wrong(place, _("a number with at most {n} decimals is expected").format(n=MOST_DECIMALS))
    return rounded + 0  # never minus zero


_NUMBER = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,6})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SMALLEST = Decimal(1).scaleb(-MOST_DECIMALS)


def _day(value: Any, place: str) -> date:
    try:
        if not isinstance(value, str) or not _DAY.fullmatch(value):
            raise ValueError
        found = date.fromisoformat(value)
    except ValueError as error:
        raise _wrong(place, _("a day such as 2026-11-20 is expected")) from error
    if not 1900 <= found.year <= 2199:
        raise _wrong(place, _("a day from 1900 to 2199 is expected"))
    return found


def _wrong(place: str, problem: str) -> Invalid:
    where = place.removeprefix(".")
    template = _("In {place}: {problem}.") if where else _("The rule: {problem}.")
    said = template.format(place=where, problem=problem)
    return Invalid(said, fields={where or "rule": problem})


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "[…]" if isinstance(value, list) else "{…}"
    shown = text.clean(str(value))
    return shown if len(shown) <= 60 else shown[:59] + "…"


# --- writing ---------------------------------------------------------------------------------------------------------


def data_of(rule: Condition | Group) -> dict[str, Any]:
    """The rule as plain values, ready for JSON; `parse` gives an equal rule."""
    if isinstance(rule, Group):
        return {rule.match: [data_of(each) for each in rule.rules]}
    takes = OPERATORS[rule.field.kind][rule.op]
    plain = [_plain(value) for value in rule.values]
    found: dict[str, Any] = {"field": rule.field.key, "op": rule.op}
    if takes == "nothing":
        return found
    if takes in ("spanned", "span", "counted"):
        value: Any = {"spanned": {"of": plain}, "span": {}, "counted": {"count": plain[0] if plain else 0}}[takes]
        if rule.span.last_days:
            value["last_days"] = rule.span.last_days
        if rule.span.during:
            value["during"] = rule.span.during
        value |= {k: day.isoformat() for k, day in (("from", rule.span.start), ("to", rule.span.end)) if day}
    elif takes == "step":
        value = {"campaign": plain[0], "step": plain[1]}
    else:
        value = plain if takes in ("some", "two") else plain[0]
    return found | {"value": value}


def written(rule: Group) -> str:
    """The rule as compact JSON, the same for equal rules: what addresses and caches hold."""
    return json.dumps(data_of(rule), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """For JSON: a number that binary floating point would change is written as a text."""
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        return float(value) if Decimal(str(float(value))) == value else f"{value.normalize():f}"
    return value.isoformat() if isinstance(value, date) else value
