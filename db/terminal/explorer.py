"""Commands of the explorer over time: cohorts, repeat purchases."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date
from typing import Any

import pandas as pd

from analytics import cohorts as arithmetic
from analytics import survival
from db import clock, cohorts, repeats, settings
from db.connection import begin
from db.metrics import N_
from db.permissions import Permission
from db.repeats import Intervals, Waits
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import Command, up_to, viewer_of
from db.terminal.output import Output
from db.terminal.segment_source import Source
from db.words import _, ngettext

DAYS = (7, 14, 30, 60, 90, 180, 365)
LEAST = 10
"""Customers whom a share that bought again rests on at least, as on the screen."""
DIGITS = 4
"""Of shares in documents."""


def _months(parser: ArgumentParser, most: int, said: str) -> None:
    parser.add_argument("--months", metavar="N", type=up_to(most), default=12, help=said)
    segment_source.options(parser, file=True)
    segment_source.against_option(parser)


# --- cohorts ---------------------------------------------------------------------------------------------------------


def _cohorts_options(parser: ArgumentParser) -> None:
    _months(
        parser, cohorts.MOST_MONTHS, _("cohorts of the last N months, this one included: 12 by default, 36 at most")
    )


def _cohorts(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        today = clock.today(settings.get(conn).time_zone)
        groups = segment_source.groups(conn, viewer, args)
        asked: dict[str, Any] = {"viewer": viewer, "today": today, "months": args.months}
        found = [(each, cohorts.cohorts(conn, rule=each.rule, **asked)) for each in groups]
    data = [
        {
            "of": each.code,
            "first_known": shown.first_known,
            "unknown": shown.unknown,
            "cohorts": list(shown.months),
            "rows": out.records(shown.rows),
        }
        for each, shown in found
    ]
    told = []
    for each, shown in found:
        told += [each.called] if len(found) > 1 else []
        told += _triangle(shown, arithmetic.triangle(shown.rows, "customers", cohorts=shown.months, until=today))
    return Output(beside(data), "\n\n".join(told))


def beside(data: list[dict[str, Any]]) -> dict[str, Any]:
    """The document of one group, with that of another one in it as `against`, null without one."""
    first, *others = data
    return first | {"against": others[0] if others else None}


def _triangle(found: cohorts.Cohorts, made: Any) -> list[str]:
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
    return told


# --- repeat purchases ------------------------------------------------------------------------------------------------


def _repeats_options(parser: ArgumentParser) -> None:
    said = _("from which purchase to the next: 1 by default, {most} at most").format(most=repeats.MOST_STEPS)
    parser.add_argument("--step", metavar="N", type=up_to(repeats.MOST_STEPS), default=1, help=said)
    first = _("of customers who first bought in the last N months: 12 by default, {most} at most")
    _months(parser, repeats.MOST_MONTHS, first.format(most=repeats.MOST_MONTHS))


def _repeats(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        asked: dict[str, Any] = {"viewer": viewer, "today": clock.today(zone)}
        more = asked | {"step": args.step, "months": args.months}
        found = [
            (each, repeats.waits(conn, rule=each.rule, **more), repeats.intervals(conn, rule=each.rule, **asked))
            for each in segment_source.groups(conn, viewer, args)
        ]
    data = [_repeats_of(each, waits, gaps, args.step) for each, waits, gaps in found]
    lines = [_shares(data, [each.called for each, _waits, _gaps in found])]
    for each, waits, gaps in found:
        lines += ["", *_repeats_said(each, waits, gaps, zone)]
    return Output(beside(data), "\n".join(lines))


def _repeats_of(of: Source, waits: Waits, gaps: Intervals, step: int) -> dict[str, Any]:
    curve = survival.kaplan_meier(waits.rows, least=LEAST)
    return {
        "of": of.code,
        "step": step,
        "known_from": waits.known_from,
        "unknown": waits.unknown,
        "customers": int(waits.rows["customers"].sum()),
        "half_by_day": survival.median_wait(curve),
        "curve": [
            {
                "day": each.day,
                "share": round(each.happened, DIGITS),
                "interval": [round(end, DIGITS) for end in each.interval],
                "at_risk": each.at_risk,
            }
            for each in curve
        ],
        "half_of_intervals": _median(gaps.rows),
        "intervals": out.records(gaps.rows),
        "intervals_made_at": gaps.made_at,
    }


def _median(rows: pd.DataFrame) -> int | None:
    return survival.weighted_median(rows["days"], rows["intervals"])


def _shares(data: list[dict[str, Any]], names: list[str]) -> str:
    """The share that has bought again by some days, a column for each group."""
    columns = {_("Within days"): [*map(out.number, DAYS), _("half by day"), _("Customers")]}
    for name, each in zip(names, data, strict=True):
        cells = [_share(each["curve"], day) for day in DAYS]
        half = each["half_by_day"]
        column = name if name not in columns else f"{name} (2)"
        columns[column] = [*cells, "–" if half is None else out.number(half), out.number(each["customers"])]
    return out.table(columns, right=list(columns))


def _share(curve: list[dict[str, Any]], day: int) -> str:
    """By a day; a dash beyond what is seen of enough customers."""
    if not curve or day > curve[-1]["day"]:
        return "–"
    seen = [each for each in curve if each["day"] <= day]
    if not seen:
        return out.percent(0)
    low, high = seen[-1]["interval"]
    return f"{out.percent(seen[-1]['share'])} ({out.percent(low)}–{out.percent(high)})"


def _repeats_said(of: Source, waits: Waits, gaps: Intervals, zone: str) -> list[str]:
    said = []
    if waits.unknown and waits.known_from:
        said.append(out.line(of.called, _left_out(waits.unknown, waits.known_from)))
    half = _median(gaps.rows)
    if half is not None:
        text = _("{name}: half of the {n} intervals are at most {days} days.")
        n = out.number(int(gaps.rows["intervals"].sum()))
        said.append(text.format(name=of.called, n=n, days=out.number(half)))
    if gaps.made_at:
        counted = _("Everyone's intervals are as of {time}; they are added up anew every hour.")
        said.append(counted.format(time=out.instant(gaps.made_at, zone)))
    return said


def _left_out(unknown: int, known_from: date) -> str:
    return ngettext(
        "{n} customer is left out: first bought before {day}, and whether that was the first purchase is not known.",
        "{n} customers are left out: first bought before {day}, and whether that was the first purchase is not known.",
        unknown,
    ).format(n=out.number(unknown), day=out.day(known_from))


_READ = (Permission.SEGMENTS_READ,)

COMMANDS = (
    Command(
        "cohorts", N_("who bought again in the months after the first purchase"), _READ, _cohorts_options, _cohorts
    ),
    Command(
        "repeats", N_("how soon customers buy again, and the days between purchases"), _READ, _repeats_options, _repeats
    ),
)
