"""Cohorts as people read them: a triangle with colour behind its numbers, and the average curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from components import charts, controls, format, tables
from db.words import _, ngettext

STRONGEST = 0.62
"""How much of the colour stands behind the largest value: text is legible on it in both themes."""


def measures() -> dict[str, str]:
    """Code → what is followed over the months."""
    return {"customers": _("Customers"), "revenue": _("Revenue"), "orders": _("Orders")}


def units() -> dict[str, str]:
    """Code → how it is shown."""
    return {"percent": _("Percent"), "absolute": _("Absolute")}


def month(cohort: date) -> str:
    """'Sep 2026'."""
    return format.short_day(cohort, "month")


def code(cohort: date) -> str:
    """A month as the address holds it."""
    return f"{cohort:%Y-%m}"


def triangle(
    found: Any,
    *,
    percent: bool,
    written: Callable[[float], str],
    first: str,
    unknown: int,
    first_known: date,
    key: str,
    counted: bool = True,
    clickable: bool = True,
) -> tuple[int, int] | None:
    """A row for each cohort, a column for each month after the first; gives the (row, month) of a clicked cell.

    `found` is an analytics.cohorts.Triangle, `first` the heading of what the first month held, `written` an amount in
    words. The cohorts that are not known are a row of their own, the first, which is no cohort: -1; it says that it
    holds customers where they are not what is `counted`.
    """
    values, shares = found.values, found.shares
    months = range(1, values.shape[1])
    columns: dict[str, list[str]] = {"cohort": [], "first": [], **{f"+{k}": [] for k in months}}
    colours: list[list[str]] = []
    numbers = shares if percent else values
    top = max((numbers[i, k] for i in range(len(found.cohorts)) for k in months if numbers[i, k] > 0), default=0)
    if unknown:
        columns["cohort"].append(_("before {month}").format(month=month(first_known)))
        of_whom = ngettext("{n} customer", "{n} customers", unknown) if not counted else "{n}"
        columns["first"].append(of_whom.format(n=format.number(unknown)))
        for k in months:
            columns[f"+{k}"].append(_("not known") if k == 1 else "")
        colours.append([""] * len(columns))
    for i, cohort in enumerate(found.cohorts):
        columns["cohort"].append(month(cohort))
        columns["first"].append(written(float(values[i, 0])))
        behind = ["", ""]
        for k in months:
            value, begun = numbers[i, k], not format.unknown(float(values[i, k]))
            told = begun and not format.unknown(float(value))  # of a cohort without anybody there is no share
            text = (_percent(value) if percent else written(float(value))) if told else ""
            columns[f"+{k}"].append(text + (" …" if told and not found.complete[i, k] else ""))
            strength = STRONGEST * value / top if begun and top and value > 0 else 0
            behind.append(f"background-color: rgba(37, 99, 235, {strength:.2f})" if strength else "")
        colours.append(behind)
    frame = pd.DataFrame(columns)
    label = st.column_config.TextColumn
    drawn = {
        "cohort": label(_("First purchase in"), pinned=True, width=110),
        "first": label(first, alignment="right", width=84 if counted else 124),
        **{f"+{k}": label(f"+{k}", alignment="right", width=72 if percent else 84) for k in months},
    }
    state: Any = st.dataframe(
        frame.style.apply(lambda _frame: pd.DataFrame(colours, columns=frame.columns), axis=None),
        column_config=drawn,
        hide_index=True,
        key=key,
        on_select="rerun" if clickable else "ignore",
        selection_mode="single-cell",
        row_height=32,
        height=32 * (len(frame) + 1) + 3,
        alt=_("Cohorts by month"),
    )
    cells = state["selection"]["cells"] if clickable and state else []
    if not cells or cells[0][0] >= len(frame):
        return None
    row, column = cells[0]
    k = int(column) if str(column).startswith("+") else 0
    row -= 1 if unknown else 0
    return (row, k) if row < 0 or not format.unknown(float(values[row, k])) else None


def _percent(share: float) -> str:
    """Without a decimal place: there are many, and few people behind each."""
    return format.percent(share) if share < 0.1 else f"{share * 100:.0f}%"


def curve(points: Mapping[str, Sequence[Any]], *, counted: bool, key: str, beside: bool = True) -> None:
    """The average of each group over the months after the first, as a chart and, `beside` it, in numbers.

    `points` are analytics.cohorts.Point by the group's name, of one or two groups.
    """
    lines = []
    for name, found in points.items():
        shown = [p for p in found if p.month and p.share is not None]
        lines.append(
            charts.Line(
                name,
                [p.month for p in shown],
                [p.share for p in shown],
                [_told(p, counted=counted) for p in shown],
                [p.interval for p in shown] if counted else (),
            )
        )
    last = max((line.x[-1] for line in lines if line.x), default=0)
    if not last:
        st.caption(_("No cohort has a whole month behind it yet."))
        return
    left, right = st.columns([3, 2]) if beside else (st.container(), None)
    with left:
        step = -(-int(last) // 12)
        marks = [(k, f"+{k}") for k in range(1, int(last) + 1, step)]
        charts.curves(lines, marks=marks, key=key, alt=_("Average over the months after the first purchase"))
    if right is None:
        return
    with right:
        cells: dict[str, list[str]] = {_("Month"): [f"+{k}" for k in range(1, int(last) + 1)]}
        for name, found in points.items():
            at = {p.month: p for p in found}
            title = name if len(points) > 1 else _("Share (95% interval)") if counted else _("Of the first month")
            cells[title] = [_told(at[k], counted=counted) if k in at else "–" for k in range(1, int(last) + 1)]
        first = next(iter(points.values()))
        cohorts = {p.month: p.cohorts for p in first}
        cells[_("Cohorts")] = [format.number(cohorts.get(k, 0)) for k in range(1, int(last) + 1)]
        with st.container(height=340, border=False):
            tables.small(pd.DataFrame(cells), right=list(cells)[1:])


def _told(point: Any, *, counted: bool) -> str:
    if counted:
        return tables.rate(round(point.part), round(point.whole), point.interval or (0.0, 1.0))
    return format.percent(point.share)


def behind(
    clicked: tuple[int, int] | None, cohorts: Sequence[date], *, unknown: bool, today: date
) -> tuple[date | None, int]:
    """The choice of a cohort and of a month after the first, led by the cell that was clicked.

    Gives the cohort, None for those that are not known, and the month, 0 for any.
    """
    _follow(clicked, cohorts)
    known = {code(cohort): cohort for cohort in cohorts}
    listed = [*reversed(known), *(["unknown"] if unknown else [])]
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_people"):
        chosen = controls.order(
            "cohorts_cohort",
            _("First purchase in"),
            listed,
            lambda code: month(known[code]) if code in known else _("not known"),
        )
        cohort = known.get(chosen)
        later = (today.year - cohort.year) * 12 + today.month - cohort.month if cohort else 0
        months = [str(k) for k in range(1, later + 1)]
        after = controls.select("cohorts_month", _("Bought again in"), months, _("any month"), lambda k: f"+{k}")
    return cohort, int(after or 0)


def _follow(clicked: tuple[int, int] | None, cohorts: Sequence[date]) -> None:
    """Once for each click: later choices are the user's own."""
    if clicked is None or st.session_state.get("cohorts_clicked") == clicked:
        return
    st.session_state["cohorts_clicked"] = clicked
    row, k = clicked
    st.session_state[controls.key_of("cohorts_cohort")] = code(cohorts[row]) if row >= 0 else "unknown"
    st.session_state[controls.key_of("cohorts_month")] = str(k) if k else ""


def left_out(unknown: int, first_known: date) -> str:
    """Why early cohorts are not told."""
    return ngettext(
        "{n} customer first bought before {month}: the data begin too shortly before that to tell whether it was the "
        "first purchase, so the cohort is not known.",
        "{n} customers first bought before {month}: the data begin too shortly before that to tell whether it was the "
        "first purchase, so their cohorts are not known.",
        unknown,
    ).format(n=format.number(unknown), month=month(first_known))
