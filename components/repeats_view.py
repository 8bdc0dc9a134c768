"""Repeat purchases as people read them: a rising curve with its band, and bars of intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from components import charts, format, tables, wording
from db.words import _, ngettext

DAYS = (7, 14, 30, 60, 90, 180, 365)
EDGES = (1, 2, 4, 8, 15, 29, 57, 85, 169, 365)
"""Where each bar of intervals begins, in days."""


def steps() -> dict[str, str]:
    """Code → from which purchase to which."""
    return {
        "1": _("first to second"),
        "2": _("second to third"),
        "3": _("third to fourth"),
        "4": _("fourth to fifth"),
        "5": _("fifth to sixth"),
    }


def curve(
    told: Mapping[str, tuple[Sequence[Any], int | None, Sequence[Any]]],
    sizes: Mapping[str, int],
    *,
    least: int,
    key: str = "repeats_curve",
    beside: bool = True,
) -> None:
    """`told`: of each group its steps (analytics.survival.Step), the median, and the step at each of DAYS.

    The numbers stand `beside` the chart, or only the median of each below it.
    """
    if not any(found for found, _median, _at in told.values()):
        st.caption(_("Nobody has bought again yet, or fewer than {n} customers are known.").format(n=least))
        return
    lines = [
        charts.Line(
            name,
            [0, *(s.day for s in found)],
            [0.0, *(s.happened for s in found)],
            ["", *(_step(s) for s in found)],
            [(0.0, 0.0), *(s.interval for s in found)],
        )
        for name, (found, _median, _at) in told.items()
    ]
    last = max(line.x[-1] for line in lines)
    marks = [(0.0, "0"), *((float(day), format.number(day)) for day in (30, 60, 90, 180, 270, 365, 730) if day <= last)]
    left, right = st.columns([3, 2]) if beside else (st.container(), None)
    with left:
        charts.curves(lines, marks=marks, key=key, alt=_("Share that bought again"), steps=True)
    if right is None:
        for name, (_found, median, _at) in told.items():
            half = _("{name}: half by day {day}, of {n} customers")
            day = format.number(median) if median else "–"
            st.caption(half.format(name=wording.plain(name), day=day, n=format.number(sizes[name])))
        return
    with right:
        cells = {_("Within days"): [format.number(day) for day in DAYS] + [_("Half by day"), _("Customers")]}
        for name, (found, median, at) in told.items():
            end = found[-1].day if found else 0
            shares = [_share(s) if day <= end else "–" for s, day in zip(at, DAYS, strict=True)]
            title = name if len(told) > 1 else _("Share (95% interval)")
            cells[title] = [*shares, format.number(median) if median else "–", format.number(sizes[name])]
        tables.small(pd.DataFrame(cells), right=list(cells)[1:])
    said = _(
        "Estimated as by Kaplan and Meier: customers who have not bought again count for as long as they were seen. "
        "“–”: fewer than {n} were seen for so long."
    )
    st.caption(said.format(n=least))


def _share(step: Any) -> str:
    if step is None:
        return format.percent(0)
    low, high = step.interval
    return f"{format.percent(step.happened)} ({low * 100:.1f}–{high * 100:.1f}%)"


def _step(step: Any) -> str:
    text = _("{share} by day {day}, {n} still waited for")
    return text.format(share=_share(step), day=format.number(step.day), n=format.number(step.at_risk))


def intervals(found: Mapping[str, tuple[Sequence[int], int | None]], *, key: str = "repeats_intervals") -> None:
    """The bars of one group, or of two side by side: how many intervals each bin holds, and the median."""
    names = [_bin(i) for i in range(len(EDGES))]
    groups = list(found.items())
    counts, _median = groups[0][1]
    total = sum(counts)
    if not total:
        st.caption(_("Nobody has bought on two days yet."))
        return
    shares = [n / total for n in counts]
    texts = [f"{format.percent(share)} · {format.number(n)}" for share, n in zip(shares, counts, strict=True)]
    if len(groups) > 1:
        others = groups[1][1][0]
        whole = sum(others) or 1
        charts.compared(
            names,
            shares,
            [n / whole for n in others],
            texts,
            of_whom=groups[0][0],
            others_of_whom=groups[1][0],
            key=key,
            alt=_("Days between two purchases"),
        )
    else:
        charts.bars(names, shares, texts, key=key, alt=_("Days between two purchases"))
    for name, (counted, median) in groups:
        if median:
            said = _("{name}: half of the {n} intervals are at most {days} days.")
            st.caption(said.format(name=name, n=format.number(sum(counted)), days=format.number(median)))


def _bin(i: int) -> str:
    if i + 1 == len(EDGES):
        return _("{n} days or more").format(n=EDGES[i])
    low, high = EDGES[i], EDGES[i + 1] - 1
    return _("1 day") if low == high == 1 else _("{low}–{high} days").format(low=low, high=high)


def left_out(unknown: int, known_from: date) -> str:
    """Why early customers do not count."""
    return ngettext(
        "{n} customer is left out: the first order in the data is from before {day} and may not be the first ever.",
        "{n} customers are left out: their first order in the data is from before {day} and may not be the first ever.",
        unknown,
    ).format(n=format.number(unknown), day=format.day(known_from))
