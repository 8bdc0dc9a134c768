"""The command that says why a customer is in a segment or is not."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from sqlalchemy import Connection

from analytics.reasons import reason
from db import clock, rule_words, rules, segment_reasons, segments, settings
from db.connection import begin
from db.metrics import N_
from db.permissions import Permission, Viewer
from db.rules import Condition, Group
from db.segment_reasons import Weighed
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import Command, number, viewer_of
from db.terminal.output import Output
from db.words import _


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("customer", metavar="CUSTOMER_ID", type=number, help=_("the customer's number"))
    segment_source.options(parser, file=True, required=True)


def _why(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        source = segment_source.read(conn, viewer, args)
        today = clock.today(settings.get(conn).time_zone)
        asked: dict[str, Any] = {"viewer": viewer, "rule": source.rule, "today": today}
        found = segment_reasons.weigh(conn, **asked, customer_id=args.customer)
        said = [_said(conn, viewer, each) for each in found.conditions]
    why = reason(found.tree, found.holds)
    data = {
        "customer_id": found.customer_id,
        "name": found.name,
        "fits": found.fits,
        "decisive": [_part(found, said, i) for i in why.decisive],
        "turn": None if why.turn is None else [_part(found, said, i) for i in why.turn],
        "exact": why.exact,
    }
    return Output(data, "\n".join(_lines(found, said, why)))


def _said(conn: Connection, viewer: Viewer, condition: Condition) -> str:
    alone = Group("all", (condition,))
    known = segments.names(conn, viewer=viewer, rule=rules.written(alone))
    return rule_words.sentence(alone, segments.called(known))


def _part(found: Weighed, said: list[str], i: int) -> dict[str, Any]:
    condition = rules.data_of(found.conditions[i])
    return {"condition": condition, "sentence": said[i], "holds": found.holds[i], "value": found.values[i]}


def _lines(found: Weighed, said: list[str], why: Any) -> list[str]:
    """The answer, what decides it, and the smallest change that turns it."""
    told = _("{name} is in.") if found.fits else _("{name} is not in.")
    lines = [told.format(name=found.name or f"#{found.customer_id}")]
    for i in why.decisive:
        mark = _("holds") if found.holds[i] else _("does not hold")
        value = _("The customer: {value}").format(value=_value(found.values[i]))
        lines.append(f"- {said[i]} · {mark}. {value}")
    if not why.decisive:
        lines.append(_("The rule says so of every customer."))
    if not why.exact:
        lines.append(_("So many conditions stand twice in this rule that fewer of them might decide it."))
    if why.turn:
        parts = []
        for i in why.turn:
            template = _("“{condition}” no longer holds") if found.holds[i] else _("“{condition}” holds")
            parts.append(template.format(condition=said[i]))
        turned = _("Would be out as soon as {changes}.") if found.fits else _("Would be in as soon as {changes}.")
        lines.append(turned.format(changes=_(" and ").join(parts)))
    return lines


def _value(value: Any) -> str:
    if value is None:
        return _("not known")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return _(", ").join(map(str, value))
    return out.number(value) if isinstance(value, int) else str(value)


COMMANDS = (
    Command(
        "segment why",
        N_("why a customer is in a segment or is not"),
        (Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ),
        _options,
        _why,
    ),
)
