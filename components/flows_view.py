"""Flows between classes as people read them: sentences, a picture with a column for each day, and a table of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from components import charts, controls, format, heat_map, sankey, tables, wording
from db import flows
from db.flows import NONE
from db.words import _, ngettext

MOST_SAID = 5
"""Moves in sentences."""
MOST_BECAME = 4
"""Classes after, in the line of a class before."""
STRONGEST = 0.62
# Alike in all kinds where classes are; the others take what is left, in order.
_COLOURS = {
    **dict.fromkeys((NONE, "prospect", "lost", "general_win_back"), charts.GREY),
    **dict.fromkeys(("champions", "repeat", "key_value"), charts.BLUE),
    **dict.fromkeys(("new", "first", "key_develop"), "#0D9488"),
    **dict.fromkeys(("loyal", "key_keep"), "#8B5CF6"),
    **dict.fromkeys(("at_risk", "key_win_back"), "#D97706"),
    "potential": "#0891B2",
    "promising": "#65A30D",
    "attention": "#A16207",
    "sleeping": "#DB2777",
    "not_lose": "#B91C1C",
    "hibernating": "#9333EA",
}
_NONE_CODE = "none"
NOW = "now"
"""The present in the address: a link and a board mean the day on which they are looked at."""


def kinds() -> dict[str, str]:
    """What customers can be told apart by."""
    return {
        "stage": _("Stage"),
        "rfm_class": _("RFM class"),
        "rfm_value": _("RFM value class"),
        "value_decile": _("Value decile"),
    }


def named(by: str, state: str) -> str:
    """A class in words."""
    return flows.named(by, state)


def day_name(day: date, today: date) -> str:
    """A month end by its day; today is called so."""
    return _("today") if day == today else format.day(day)


def none_yet() -> str:
    """Why there is nothing to show."""
    return _("No month end is known yet. Flows appear with the first one, within an hour; the worker tells them.")


def choose_days(found: flows.Days, today: date) -> tuple[tuple[date, ...], str]:
    """Two to MOST_DAYS of the days that are kept, in the address; and a note where fewer were chosen."""
    codes = _codes(found)
    usual = flows.usual(found)
    chosen = controls.several(
        "flows_days",
        _("Days, {n} at most").format(n=flows.MOST_DAYS),
        list(codes),
        lambda code: day_name(codes[code], today),
        most=flows.MOST_DAYS,
        placeholder=" → ".join(day_name(day, today) for day in usual),
    )
    return days_of(found, chosen)


def days_of(found: flows.Days, chosen: Sequence[str]) -> tuple[tuple[date, ...], str]:
    """The days of these codes, as `choose_days` gives them; what is not kept any more is left out."""
    codes = _codes(found)
    days = tuple(sorted(codes[code] for code in dict.fromkeys(chosen) if code in codes))[-flows.MOST_DAYS :]
    if len(days) > 1:
        return days, ""
    return flows.usual(found), _("one day alone has no flow; the usual days are shown") if days else ""


def _codes(found: flows.Days) -> dict[str, date]:
    """Code → day, the latest first."""
    present = [each.day for each in found.days[-1:]]
    return {NOW if each.day in present else each.day.isoformat(): each.day for each in reversed(found.days)}


def choose_step(days: Sequence[date], today: date) -> tuple[int, int]:
    """Which two of the days the sentences and the table are of: the first and the last unless chosen otherwise."""
    last = len(days) - 1
    pairs = {f"{i}-{j}": (i, j) for i, j in [(0, last), *((i, i + 1) for i in range(last))]}
    if len(pairs) == 1:
        return 0, last

    def words(code: str) -> str:
        i, j = pairs[code]
        return f"{day_name(days[i], today)} → {day_name(days[j], today)}"

    return pairs[controls.switch("flows_step", _("Table from … to"), list(pairs), words, default=f"0-{last}")]


def said(by: str, steps: Mapping[str, Any]) -> None:
    """The largest moves in sentences, of one group or of two side by side."""
    (name, found), *others = steps.items()
    same, everybody = found.stayed
    moves = found.largest(most=MOST_SAID, without=NONE)
    if not others:
        lines = [_told(by, move) for move in moves] or [_("Nobody changed class.")]
        st.markdown("\n".join(f"- {line}" for line in lines))
    else:
        table: dict[str, list[str]] = {_("Became"): [], name: [], others[0][0]: []}
        for move in moves:
            table[_("Became")].append(f"{named(by, move.before)} → {named(by, move.after)}")
            for title, step in steps.items():
                table[title].append(_rate(*step.rate(move.before, move.after)))
        with st.container(key="kehu_wrapped_flows"):
            tables.small(pd.DataFrame(table), right=list(table)[1:])
    if everybody:
        stay = _("{n} of {all} customers are in the same class on both days: {share}.")
        st.caption(
            stay.format(n=format.number(same), all=format.number(everybody), share=format.percent(same / everybody))
        )


def _told(by: str, move: Any) -> str:
    sentence = _("**{n}** of {of} “{before}” became “{after}”: **{share}**")
    return sentence.format(
        n=format.number(move.customers),
        of=format.number(move.of),
        before=named(by, move.before),
        after=named(by, move.after),
        share=format.percent(move.customers / move.of),
    )


def _rate(part: int, whole: int, interval: tuple[float, float]) -> str:
    """'412 of 1,930 · 21.3% (19.6–23.2%)'."""
    if not whole:
        return _("nobody")
    counted = _("{n} of {of}").format(n=format.number(part), of=format.number(whole))
    return f"{counted} · {tables.rate(part, whole, interval)}"


def picture(by: str, steps: Sequence[Any], days: Sequence[date], today: date, *, key: str = "flows_picture") -> None:
    """The way of all customers through the days, in steps; those who stay are muted."""
    states = steps[0].states
    columns = [[int(n) for n in step.before] for step in steps] + [[int(n) for n in steps[-1].after]]
    sankey.draw(
        [[(named(by, state), n) for state, n in zip(states, column, strict=True)] for column in columns],
        [[(i, j, int(step.counts[i, j])) for i in range(len(states)) for j in range(len(states))] for step in steps],
        titles=[day_name(day, today) for day in days],
        colours=[_colour(i, state) for i, state in enumerate(states)],
        count=format.number,
        key=key,
        alt=_("Customers by class on each day, and from which class to which they went"),
    )


def _colour(place: int, state: str) -> str:
    return _COLOURS.get(state, charts.SERIES[place % len(charts.SERIES)])


def matrix(by: str, found: Any, *, key: str) -> tuple[str, str] | None:
    """A row for each class before, a column for each after: how many, and the share of the row; gives the classes of a
    clicked cell. A phone has a line for each class before instead."""
    before = [i for i, n in enumerate(found.before) if n]
    after = [j for j, n in enumerate(found.after) if n]
    apart = "\n" if len(after) > heat_map.FEW else " · "
    texts = [[_cell(int(found.counts[i, j]), float(found.shares[i, j]), apart) for j in after] for i in before]
    colours = [[_shade(float(found.shares[i, j]), stayed=i == j) for j in after] for i in before]
    with st.container(key=f"kehu_narrow_{key}"):
        lines(by, found)
    with st.container(key=f"kehu_wide_{key}"):
        clicked = heat_map.draw(
            [wording.line(named(by, found.states[i]), format.number(int(found.before[i]))) for i in before],
            [named(by, found.states[j]) for j in after],
            texts,
            colours,
            key=f"{key}_{by}",
            alt=_("Customers by class before and after"),
        )
        st.caption(_("Rows: before. Columns: after. Grey: stayed. Click a cell to see who they are."))
    if clicked is None or clicked[0] >= len(before) or clicked[1] >= len(after):
        return None
    return found.states[before[clicked[0]]], found.states[after[clicked[1]]]


def _shade(share: float, *, stayed: bool) -> str:
    rgb = "138, 148, 166" if stayed else "37, 99, 235"
    return f"rgba({rgb}, {STRONGEST * share:.2f})" if share else ""


def lines(by: str, found: Any) -> None:
    """A line for each class before: which classes its customers are in after, the largest first."""
    st.markdown("\n".join(f"- {_line(by, found, i)}" for i, n in enumerate(found.before) if n))


def _line(by: str, found: Any, i: int) -> str:
    """'**Loyal: 1,225** → Loyal: 1,090 · 89.0%, At risk: 123 · 10.0%', the largest first."""
    cells = sorted(((int(n), j) for j, n in enumerate(found.counts[i]) if n), key=lambda cell: (-cell[0], cell[1]))
    became = [
        wording.labelled(named(by, found.states[j]), _cell(n, float(found.shares[i, j])))
        for n, j in cells[:MOST_BECAME]
    ]
    rest = sum(n for n, _j in cells[MOST_BECAME:])
    if rest:
        became.append(wording.labelled(_("others"), _cell(rest, rest / int(found.before[i]))))
    became = [one.replace(" ", "\u00a0").replace("：", "：\u2060") for one in became]  # lines fold between them
    name = wording.labelled(named(by, found.states[i]), format.number(int(found.before[i])))
    return f"**{name}** → {wording.listed(became)}"


def _cell(n: int, share: float, apart: str = " · ") -> str:
    return f"{format.number(n)}{apart}{format.percent(share)}" if n else ""


def behind(by: str, clicked: tuple[str, str] | None, found: Any) -> tuple[str, str] | None:
    """The choice of a class before and one after, led by the cell that was clicked; at first the largest move."""
    if clicked and st.session_state.get("flows_clicked") != (by, clicked):
        st.session_state["flows_clicked"] = by, clicked
        for key, state in zip(("flows_before", "flows_after"), clicked, strict=True):
            st.session_state[controls.key_of(key)] = state or _NONE_CODE
    largest = found.largest(most=1)
    states = [state or _NONE_CODE for state in found.states]
    first = (largest[0].before, largest[0].after) if largest else (states[0], states[0])
    chosen = []
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_people"):
        for key, name, usual in zip(("flows_before", "flows_after"), (_("Before"), _("After")), first, strict=True):
            start = usual or _NONE_CODE
            options = [start, *(state for state in states if state != start)]
            chosen.append(controls.order(key, name, options, partial(_of_code, by)))
    return _state(chosen[0]), _state(chosen[1])


def _of_code(by: str, code: str) -> str:
    return named(by, _state(code))


def _state(code: str) -> str:
    return NONE if code == _NONE_CODE else code


def left_out(found: flows.Days) -> str:
    """Why early month ends are not told."""
    if not found.unknown:
        return ""
    return ngettext(
        "{n} earlier month end is not offered: the data begin too shortly before it to tell who was new.",
        "{n} earlier month ends are not offered: the data begin too shortly before them to tell who was new.",
        found.unknown,
    ).format(n=found.unknown)


def meant(found: flows.Days, days: Sequence[date], zone: str) -> str:
    """By which bounds the classes of these days are."""
    made = {each.day: each.made_at for each in found.days}
    past = [made[day] for day in days[:-1] if day in made]
    said = _("A past day's classes are by the orders up to it and the score bounds of that day, taken on {time}.")
    present = _("Those of the last day are by the bounds of now, taken at {time}.")
    parts: list[Any] = [said.format(time=format.instant(min(past), zone))] if past else []
    if days and found.days and days[-1] == found.days[-1].day:
        parts.append(present.format(time=format.instant(made[days[-1]], zone)))
    if found.outdated:
        parts.append(_("The rules of stages or scores have changed since: all days are being told anew."))
    return wording.run_on(*parts)
