"""Commands of the explorer: cohorts."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from analytics import cohorts as arithmetic
from db import clock, cohorts, settings
from db.connection import begin
from db.metrics import N_
from db.permissions import Permission
from db.terminal import output as out
from db.terminal.command import Command, up_to, viewer_of
from db.terminal.output import Output
from db.terminal.segments import rule_of
from db.words import _


def _rule_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rule",
        metavar="FILE",
        help=_("only of the customers who fit the rule in this file (JSON); - reads standard input"),
    )


def _cohorts_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--months",
        metavar="N",
        type=up_to(cohorts.MOST_MONTHS),
        default=12,
        help=_("cohorts of the last N months, this one included: 12 by default, 36 at most"),
    )
    _rule_option(parser)


def _cohorts(args: Namespace) -> Output:
    rule = rule_of(args.rule) if args.rule else ""
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        today = clock.today(settings.get(conn).time_zone)
        found = cohorts.cohorts(conn, viewer=viewer, today=today, months=args.months, rule=rule)
    made = arithmetic.triangle(found.rows, "customers", cohorts=found.months, until=today)
    data = {
        "first_known": found.first_known,
        "unknown": found.unknown,
        "cohorts": list(found.months),
        "rows": out.records(found.rows),
    }
    width = made.values.shape[1]
    columns = {
        _("First purchase in"): [f"{c:%Y-%m}" for c in made.cohorts],
        _("Customers"): [out.number(int(n)) for n in made.values[:, :1].ravel()],
    }
    for k in range(1, width):
        columns[f"+{k}"] = [
            "" if out.unknown(float(made.values[i, k])) else out.percent(made.shares[i, k]) + ("" if over else "…")
            for i, over in enumerate(made.complete[:, k])
        ]
    told = [out.table(columns, right=list(columns)[1:])] if made.cohorts else [_("No cohort is known in these months.")]
    if found.unknown and found.first_known:
        early = _("First purchase before {month}: {n} customers, not known whether it was the first.")
        told.append(early.format(month=f"{found.first_known:%Y-%m}", n=out.number(found.unknown)))
    return Output(data, "\n\n".join(told))


COMMANDS = (
    Command(
        "cohorts",
        N_("who bought again in the months after the first purchase"),
        (Permission.SEGMENTS_READ,),
        _cohorts_options,
        _cohorts,
    ),
)
