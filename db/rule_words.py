"""Segment rules in words, so that a person can check what a rule asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from db import calendar_periods
from db.fields import OPERATORS, YES_NO, Field, Kind
from db.rules import Condition, Group, Span
from db.words import N_, _, language, ngettext

Names: TypeAlias = Callable[[str, Any], str]
"""A field's key and one of its values → what people call that value."""
_CALLED = {"created_on": N_("Entered")}
"""Fields whose name would not run on with “in the last 30 days”."""
_PHRASES: Mapping[str, tuple[str, str]] = {
    "bought_category": (N_("bought category {values}"), N_("did not buy category {values}")),
    "bought_product": (N_("bought product {values}"), N_("did not buy product {values}")),
    "received": (N_("received campaign {values}"), N_("did not receive campaign {values}")),
    "redeemed": (N_("redeemed in campaign {values}"), N_("did not redeem in campaign {values}")),
    "converted": (N_("bought after campaign {values}"), N_("did not buy after campaign {values}")),
    "held_out": (N_("held out of campaign {values}"), N_("not held out of campaign {values}")),
    "contacted": (N_("contacted by {values}"), N_("not contacted by {values}")),
    "listed": (N_("on the frozen list {values}"), N_("not on the frozen list {values}")),
    "segment": (N_("in segment {values}"), N_("not in segment {values}")),
}
"""What a customer did with one of some values, or did with none of them."""
_NAMED = {Kind.CAMPAIGN, Kind.LISTED, Kind.SEGMENT}
"""Kinds whose values are names that people gave."""
_MISREAD = re.compile(
    r"""[,;:()“”"'，、；：（）]|^\s*$|\b(?:and|or|nor|not|is|in|from|to|since|until|known)\b""", re.IGNORECASE
)
"""What would be read as a part of the sentence if it stood in it without quotation marks."""


def sentence(rule: Group, names: Names) -> str:
    """The rule in words. Groups within groups and what is negated stand in brackets, so that nothing can be misread."""
    if not rule.rules:
        return {"all": _("Everyone"), "none": _("Everyone"), "any": _("No customer")}[rule.match]
    said = _group(rule, names, outer=True)
    return said[:1].upper() + said[1:]


def _group(rule: Condition | Group, names: Names, *, outer: bool = False) -> str:
    if isinstance(rule, Condition):
        return _said(rule, names, alone=outer)
    if not rule.rules:
        return {"all": _("everyone"), "none": _("everyone"), "any": _("no customer")}[rule.match]
    if len(rule.rules) == 1:
        only = _group(rule.rules[0], names, outer=outer or rule.match == "none")
        return _("not ({part})").format(part=only) if rule.match == "none" else only
    joined = (_(" and ") if rule.match == "all" else _(" or ")).join(_group(each, names) for each in rule.rules)
    if rule.match == "none":
        return _("none of ({parts})").format(parts=joined)
    return joined if outer else _("({parts})").format(parts=joined)


def _said(c: Condition, names: Names, *, alone: bool) -> str:
    """One condition; where it is not `alone`, several values stand in brackets."""
    values = [_value(c.field, value, names) for value in c.values]
    said = _SAYERS[OPERATORS[c.field.kind][c.op]]
    return said(c, _label(c.field), values, names) if said is not _say_some else _say_some(c, values, alone=alone)


def _label(field: Field) -> str:
    """What a field is called within a sentence: in small letters, but for abbreviations and what people named."""
    if field.own or field.clusters:
        return field.label
    called = _CALLED.get(field.key, field.name)
    name = _(called)
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def _say_nothing(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    template = {
        "empty": _("{field} is not known"),
        "not empty": _("{field} is known"),
        "yes": _("{field}: yes"),
        "no": _("{field}: no"),
    }[c.op]
    return template.format(field=field)


def _say_words(c: Condition, field: str, values: list[str], _names: Names) -> str:
    template = {
        "contains": _("{field} contains “{words}”"),
        "not contains": _("{field} does not contain “{words}”"),
        "is": _("{field} is “{words}”"),
        "is not": _("{field} is not “{words}”"),
    }[c.op]
    return template.format(field=field, words=values[0])


def _say_days(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    n = c.values[0]
    days = ngettext("{n} day", "{n} days", n).format(n=f"{n:,}")
    template = {
        "in the last": _("{field} in the last {days}"),
        "not in the last": _("{field} not in the last {days}"),
        "in the next": _("{field} in the next {days}"),
        "anniversary in the next": _("anniversary of {field} in the next {days}"),
    }[c.op]
    return template.format(field=field, days=days)


def _say_calendar(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    template = _("{field} {period}") if c.op == "during" else _("{field} not {period}")
    return template.format(field=field, period=calendar_periods.label(c.values[0]))


def _say_one(c: Condition, field: str, values: list[str], _names: Names) -> str:
    days = {
        "on": _("{field} on {day}"),
        "before": _("{field} before {day}"),
        "after": _("{field} after {day}"),
    }
    if c.op in days:
        return days[c.op].format(field=field, day=values[0])
    shown = {"!=": "≠", "<=": "≤", ">=": "≥"}.get(c.op, c.op)
    return f"{field} {shown} {values[0]}"


def _say_two(_c: Condition, field: str, values: list[str], _names: Names) -> str:
    return _("{field} from {low} to {high}").format(field=field, low=values[0], high=values[1])


def _say_some(c: Condition, values: list[str], *, alone: bool) -> str:
    """One of some values, or none or all of them, in a period where there is one."""
    field, period = _label(c.field), _span(c.span)
    several = len(values) > 1
    values = [_quoted(c.field, value) for value in values]
    if c.field.key in _PHRASES:
        phrase = _PHRASES[c.field.key][c.op in ("none of", "not in")]
        said = _(phrase).format(values=_run(values, _("{values} or {last}"), bare=alone and not period))
        return _("{condition} {period}").format(condition=said, period=period) if period else said
    if c.field.words is YES_NO and not several:
        template = _("{field}: {value}") if c.op == "in" else _("{field}: not {value}")
        return template.format(field=field, value=values[0])
    includes, either = _("{field} include {value}"), _("{values} or {last}")
    neither, nor = _("{field} include neither {values}"), _("{values} nor {last}")
    one, some, last = {
        "in": (_("{field} is {value}"), _("{field} is {value}"), either),
        "not in": (_("{field} is not {value}"), _("{field} is neither {values}"), nor),
        "any of": (includes, includes, either),
        "none of": (_("{field} do not include {value}"), neither, nor),
        "all of": (includes, _("{field} include all of {values}"), _("{values} and {last}")),
    }[c.op]
    said = _run(values, last, bare=alone or c.op in ("not in", "none of"))
    return (some if several else one).format(field=field, value=said, values=said)


def _run(values: Sequence[str], last: str, *, bare: bool) -> str:
    """'North, East or West'; in brackets unless `bare`."""
    if len(values) == 1:
        return values[0]
    said = last.format(values=_(", ").join(values[:-1]), last=values[-1])
    return said if bare else _("({values})").format(values=said)


def _quoted(field: Field, value: str) -> str:
    """A value within a sentence: Chinese quotes all of them, English names and what would be misread."""
    if language() == "en" and field.kind not in _NAMED and not _MISREAD.search(value):
        return value
    return _("“{value}”").format(value=value)


def _say_span(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    said = field if c.op == "within" else _("not ordered")
    return _("{condition} {period}").format(condition=said, period=_span(c.span))


def _say_counted(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    shown = {"<=": "≤", ">=": "≥"}.get(c.op, c.op)
    said, period = f"{field} {shown} {c.values[0]:,}", _span(c.span)
    return _("{condition} {period}").format(condition=said, period=period) if period else said


def _say_step(c: Condition, _field: str, _values: list[str], names: Names) -> str:
    template = _("{campaign}: “{step}” reached") if c.op == "reached" else _("{campaign}: “{step}” not reached")
    return template.format(step=names(c.field.key, c.values[1]), campaign=names("received", c.values[0]))


_SAYERS: Mapping[str, Callable[..., str]] = {
    "nothing": _say_nothing,
    "days": _say_days,
    "calendar": _say_calendar,
    "one": _say_one,
    "words": _say_words,
    "two": _say_two,
    "some": _say_some,
    "spanned": _say_some,
    "span": _say_span,
    "step": _say_step,
    "counted": _say_counted,
}


def _value(field: Field, value: Any, names: Names) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}"
    return value.isoformat() if isinstance(value, date) else names(field.key, value)


def _span(span: Span) -> str:
    """The period of a purchase or campaign, "" for any time."""
    if span.during:
        return calendar_periods.label(span.during)
    if span.last_days:
        n = span.last_days
        return ngettext("in the last {n} day", "in the last {n} days", n).format(n=f"{n:,}")
    if span.start and span.end:
        return _("from {low} to {high}").format(low=span.start, high=span.end)
    if span.start:
        return _("since {day}").format(day=span.start)
    return _("until {day}").format(day=span.end) if span.end else ""
