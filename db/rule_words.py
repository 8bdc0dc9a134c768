"""Segment rules in words, so that a person can check what a rule asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

from db import calendar_periods
from db.fields import OPERATORS, Field
from db.rules import Condition, Group, Span
from db.words import _, ngettext

Names: TypeAlias = Callable[[str, Any], str]
"""A field's key and one of its values → what people call that value."""


def sentence(rule: Group, names: Names) -> str:
    """The rule in words. Groups within groups and what is negated stand in brackets, so that nothing can be misread."""
    if not rule.rules:
        return {"all": _("Everyone"), "none": _("Everyone"), "any": _("No customer")}[rule.match]
    said = _group(rule, names, outer=True)
    return said[:1].upper() + said[1:]


def _group(rule: Condition | Group, names: Names, *, outer: bool = False) -> str:
    if isinstance(rule, Condition):
        return _said(rule, names)
    if not rule.rules:
        return {"all": _("everyone"), "none": _("everyone"), "any": _("no customer")}[rule.match]
    if len(rule.rules) == 1:
        only = _group(rule.rules[0], names, outer=outer or rule.match == "none")
        return _("not ({part})").format(part=only) if rule.match == "none" else only
    joined = (_(" and ") if rule.match == "all" else _(" or ")).join(_group(each, names) for each in rule.rules)
    if rule.match == "none":
        return _("none of ({parts})").format(parts=joined)
    return joined if outer else _("({parts})").format(parts=joined)


def _said(c: Condition, names: Names) -> str:
    field = c.field.label
    values = [_value(c.field, value, names) for value in c.values]
    return _SAYERS[OPERATORS[c.field.kind][c.op]](c, field, values, names)


def _say_nothing(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    template = {
        "empty": _("{field} not known"),
        "not empty": _("{field} known"),
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
    shown = {"!=": "≠", "<=": "≤", ">=": "≥", "on": "=", "before": "<", "after": ">"}.get(c.op, c.op)
    return f"{field} {shown} {values[0]}"


def _say_two(_c: Condition, field: str, values: list[str], _names: Names) -> str:
    return _("{field} from {low} to {high}").format(field=field, low=values[0], high=values[1])


def _say_some(c: Condition, field: str, values: list[str], _names: Names) -> str:
    if len(values) == 1 and c.op in ("in", "not in"):
        return f"{field} {'=' if c.op == 'in' else '≠'} {values[0]}"
    template = {
        "in": _("{field} one of ({values})"),
        "not in": _("{field} not one of ({values})"),
        "any of": _("{field} any of ({values})"),
        "none of": _("{field} none of ({values})"),
        "all of": _("{field} all of ({values})"),
    }[c.op]
    return template.format(field=field, values=_(", ").join(values))


def _say_spanned(c: Condition, field: str, values: list[str], _names: Names) -> str:
    template = _("{field} any of ({values})") if c.op == "any of" else _("{field} none of ({values})")
    said, period = template.format(field=field, values=_(", ").join(values)), _span(c.span)
    return _("{condition} {period}").format(condition=said, period=period) if period else said


def _say_span(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    said = _("{condition} {period}").format(condition=field, period=_span(c.span))
    return said if c.op == "within" else _("not ({part})").format(part=said)


def _say_counted(c: Condition, field: str, _values: list[str], _names: Names) -> str:
    shown = {"<=": "≤", ">=": "≥"}.get(c.op, c.op)
    said, period = f"{field} {shown} {c.values[0]:,}", _span(c.span)
    return _("{condition} {period}").format(condition=said, period=period) if period else said


def _say_step(c: Condition, _field: str, _values: list[str], names: Names) -> str:
    template = _("{campaign}: “{step}” reached") if c.op == "reached" else _("{campaign}: “{step}” not reached")
    return template.format(step=names(c.field.key, c.values[1]), campaign=names("received", c.values[0]))


_SAYERS: Mapping[str, Callable[[Condition, str, list[str], Names], str]] = {
    "nothing": _say_nothing,
    "days": _say_days,
    "calendar": _say_calendar,
    "one": _say_one,
    "words": _say_words,
    "two": _say_two,
    "some": _say_some,
    "spanned": _say_spanned,
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
