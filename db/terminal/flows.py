"""The command that says who moved from which class to which between two days."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from analytics import flows as arithmetic
from analytics.flows import Move, Step
from analytics.intervals import wilson
from db import clock, flows, settings
from db.connection import begin
from db.errors import Invalid
from db.flows import Flows, named
from db.metrics import N_
from db.permissions import Permission
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import Command, day, viewer_of
from db.terminal.explorer import DIGITS, beside
from db.terminal.output import Output
from db.terminal.segment_source import Source
from db.words import _

MOST_SAID = 10
"""Moves in the text; the document has all."""


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("--by", choices=tuple(flows.BY), default="stage", help=_("the kind of class"))
    days = _("2 to {most} month ends, or today; without it three months ago, the last month end, and today")
    parser.add_argument("--days", metavar="DAY", type=day, nargs="+", help=days.format(most=flows.MOST_DAYS))
    segment_source.options(parser, file=True)
    segment_source.against_option(parser)


def _flows(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        today = clock.today(settings.get(conn).time_zone)
        known = flows.days(conn, viewer=viewer)
        days = tuple(sorted(set(args.days))) if args.days else flows.usual(known)
        if args.days is None and len(days) < 2:
            raise Invalid(_("No month end is known yet. They are told by the worker, within an hour."))
        asked: dict[str, Any] = {"viewer": viewer, "today": today, "by": args.by, "days": days}
        found = [
            (each, flows.flows(conn, rule=each.rule, **asked)) for each in segment_source.groups(conn, viewer, args)
        ]
    states = ("", *flows.states(args.by))
    steps = [arithmetic.step(shown.rows, "day_0", f"day_{len(days) - 1}", states) for _each, shown in found]
    moves = [step.largest(most=len(states) ** 2, without=flows.NONE) for step in steps]
    more = {"by": args.by, "days": list(days), "known_days": [each.day for each in known.days]}
    data = [
        _document(each, shown, step, made) | more for (each, shown), step, made in zip(found, steps, moves, strict=True)
    ]
    between = out.days(days[0], days[-1])
    told = [out.line(between, *(each.called for each, _shown in found)), _matrix(args.by, steps[0])]
    told.append(_moves(args.by, moves[0], steps[1:]))
    same, everybody = steps[0].stayed
    if everybody:
        stay = _("{n} of {all} customers are in the same class on both days: {share}.")
        told.append(stay.format(n=out.number(same), all=out.number(everybody), share=out.percent(same / everybody)))
    return Output(beside(data), "\n\n".join(filter(None, told)))


def _document(of: Source, found: Flows, step: Step, moves: list[Move]) -> dict[str, Any]:
    ways = found.rows.itertuples(index=False, name=None)
    return {
        "of": of.code,
        "customers": found.customers,
        "stayed": step.stayed[0],
        "moves": [
            {
                "before": move.before,
                "after": move.after,
                "customers": move.customers,
                "before_customers": move.of,
                "share": round(move.customers / move.of, DIGITS),
                "interval": [round(end, DIGITS) for end in wilson(move.customers, move.of)],
            }
            for move in moves
        ],
        "rows": [{"classes": list(way[:-1]), "customers": way[-1]} for way in ways],
    }


def _matrix(by: str, step: Step) -> str:
    """A row for each class on the first day, a column for each on the last."""
    before = [i for i, n in enumerate(step.before) if n]
    after = [j for j, n in enumerate(step.after) if n]
    if not before:
        return _("Nobody.")
    columns = {
        _("From"): [named(by, step.states[i]) for i in before],
        _("Customers"): [out.number(int(step.before[i])) for i in before],
    }
    for j in after:
        columns[f"→ {named(by, step.states[j])}"] = [
            f"{out.number(int(step.counts[i, j]))} · {out.percent(float(step.shares[i, j]))}"
            if step.counts[i, j]
            else ""
            for i in before
        ]
    return out.table(columns, right=list(columns)[1:])


def _moves(by: str, moves: list[Move], others: list[Step]) -> str:
    """The largest moves with their intervals, and those of the other group beside them."""
    shown = moves[:MOST_SAID]
    if not shown:
        return ""
    columns = {
        _("Became"): [f"{named(by, move.before)} → {named(by, move.after)}" for move in shown],
        _("Share (95% interval)"): [_rate(move.customers, move.of) for move in shown],
    }
    for step in others:
        columns[_("Against")] = [_rate(*step.rate(move.before, move.after)[:2]) for move in shown]
    return out.table(columns, right=list(columns)[1:])


def _rate(part: int, whole: int) -> str:
    if not whole:
        return _("nobody")
    low, high = wilson(part, whole)
    of = _("{n} of {of}").format(n=out.number(part), of=out.number(whole))
    return f"{of} · {out.percent(part / whole)} ({out.percent(low)}–{out.percent(high)})"


COMMANDS = (
    Command(
        "flows",
        N_("who moved from which stage or class to which"),
        (Permission.SEGMENTS_READ,),
        _options,
        _flows,
    ),
)
