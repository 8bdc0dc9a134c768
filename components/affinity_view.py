"""What is bought together as people read it: a table of pairs, dots with intervals, and one pair in words."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import charts, controls, format, tables
from db.words import _, ngettext

DRAWN = 12
"""Pairs of the chart."""
LISTED = 200
"""Pairs of the table."""
LONGEST = 26
"""Characters of a category beside the chart; hovering and the table tell it whole."""
LEAST = 10
"""Orders with both that a pair is in at least."""
USUAL_SPAN = "12"
_BETWEEN = "\x1f"


def code(pair: Any) -> str:
    """A pair as the address holds it."""
    return f"{pair.first}{_BETWEEN}{pair.second}"


def name(pair: Any) -> str:
    """'Tea + Milk'."""
    return f"{pair.first.title()} + {pair.second.title()}"


def _short(pair: Any) -> str:
    """As `name` in two lines, for the side of a chart that has to fit a phone."""
    return " +\n".join(
        n if len(n) <= LONGEST else f"{n[: LONGEST - 1]}…" for n in (pair.first.title(), pair.second.title())
    )


def spans() -> dict[str, str]:
    """Months of orders to choose from, in words."""
    return {
        "1": _("this month"),
        "3": _("3 months"),
        "6": _("6 months"),
        "12": _("12 months"),
        "24": _("24 months"),
    }


def orders() -> dict[str, str]:
    """Code → by what pairs are put in order; the first is the default."""
    return {
        "sure": _("Lift, lower end"),
        "lift": _("Lift"),
        "support": _("Orders with both"),
        "confidence": _("Confidence"),
    }


def shares() -> dict[str, str]:
    """Orders in a thousand that a pair must be in → in words; the first is the default."""
    return {each: _("{share} of orders").format(share=percent(each)) for each in ("10", "1", "5", "20", "50")}


def percent(thousandths: str) -> str:
    """'5' → '0.5%'."""
    return f"{int(thousandths) / 10:g}%"


def chart(
    pairs: Sequence[Any], others: Mapping[str, Any], *, of: str, against: str, key: str = "affinity_chart"
) -> None:
    """Lift of the first pairs with its interval, and of another group in grey; a line at 1."""
    shown = pairs[:DRAWN]
    beside = [others.get(code(p)) for p in shown] if against else []
    charts.whiskers(
        [_short(p) for p in shown],
        [p.lift for p in shown],
        [p.lift_interval for p in shown],
        [f"{name(p)}: {_lift(p)}" for p in shown],
        key=key,
        alt=_("Lift of the pairs"),
        written=lambda mark: f"{mark:g}",
        others=[(p.lift, p.lift_interval) if p else None for p in beside],
        level=1.0,
    )
    dots = _("Dots: {of}; grey diamonds: {against}.").format(of=of, against=against) if against else ""
    st.caption(" ".join(filter(None, (dots, _("Dotted line: as often as by chance.")))))


def table(pairs: Sequence[Any]) -> str:
    """A row for each pair; gives the code of the one that was clicked, '' without one."""
    shown = pairs[:LISTED]
    frame = pd.DataFrame(
        {
            "first": [p.first.title() for p in shown],
            "second": [p.second.title() for p in shown],
            "together": [p.together for p in shown],
            "support": [p.support * 100 for p in shown],
            "forward": [p.forward * 100 for p in shown],
            "backward": [p.backward * 100 for p in shown],
            "lift": [p.lift for p in shown],
            "interval": [_interval(p) for p in shown],
        }
    )
    # Other rows are another table: a choice must not pass to a stranger.
    key = f"affinity_table_{zlib.crc32(''.join(map(code, shown)).encode()):08x}"
    label, number = st.column_config.TextColumn, st.column_config.NumberColumn
    state = st.dataframe(
        frame,
        column_config={
            "first": label(_("First"), pinned=True, width=160),
            "second": label(_("Second"), width=160),
            "together": number(_("Orders with both"), format="localized", width=100),
            "support": number(_("Support %"), format="%.1f", width=80),
            "forward": number(_("First → second %"), format="%.1f", width=110),
            "backward": number(_("Second → first %"), format="%.1f", width=110),
            "lift": number(_("Lift"), format="%.2f", width=70),
            "interval": label(_("95% interval"), alignment="right", width=100),
        },
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode=("single-row", "single-cell"),
        row_height=32,
        height=32 * (min(len(frame), 12) + 1) + 3,
        alt=_("Pairs of categories"),
    )
    picked = state["selection"] if state else {"rows": [], "cells": []}
    rows = picked["rows"] or [row for row, _column in picked["cells"]]
    return code(shown[rows[0]]) if rows and rows[0] < len(shown) else ""


def told(found: Mapping[str, Any], *, first: str, second: str) -> None:
    """A pair's rates in full, of one group or two: each share with its interval and the orders behind it."""
    cells: dict[str, list[str]] = {
        _("Of the orders"): [
            _("with both: support"),
            _("with {first}, also {second}").format(first=first.title(), second=second.title()),
            _("with {first}, also {second}").format(first=second.title(), second=first.title()),
            _("Lift"),
        ]
    }
    for whose, pair in found.items():
        cells[whose] = (
            [
                _rate(pair.together, pair.orders, pair.support_interval),
                _rate(pair.together, pair.first_orders, pair.forward_interval),
                _rate(pair.together, pair.second_orders, pair.backward_interval),
                _lift(pair),
            ]
            if pair
            else [_("no order with both"), "–", "–", "–"]
        )
    with st.container(key="kehu_wrapped_pair"):
        tables.small(pd.DataFrame(cells), right=list(cells)[1:])


def _rate(part: int, whole: int, interval: tuple[float, float]) -> str:
    of = _("{n} of {total} orders").format(n=format.number(part), total=format.number(whole))
    return f"{tables.rate(part, whole, interval)} · {of}"


def _lift(pair: Any) -> str:
    return f"{pair.lift:.2f} ({_interval(pair)})"


def _interval(pair: Any) -> str:
    low, high = pair.lift_interval
    return f"{low:.2f}–{high:.2f}"


def behind(clicked: str, pairs: Sequence[Any]) -> tuple[Any, str]:
    """The choice of a pair, led by the row that was clicked, and of whom: 'both', 'first' or 'second' alone."""
    known = {code(p): p for p in pairs[:LISTED]}
    if clicked and st.session_state.get("affinity_clicked") != clicked:  # once: later choices are the user's own
        st.session_state[controls.key_of("affinity_pair")] = clicked
    st.session_state["affinity_clicked"] = clicked
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_people"):
        chosen = known[controls.order("affinity_pair", _("Pair"), list(known), lambda one: name(known[one]), width=320)]
        first, second = chosen.first.title(), chosen.second.title()
        without = _("{first}, not {second}")
        whom = {
            "both": _("both"),
            "first": without.format(first=first, second=second),
            "second": without.format(first=second, second=first),
        }
        who = controls.switch("affinity_who", _("Who bought"), list(whom), whom.__getitem__, default="both")
    return chosen, who


def left_out(*, shown: int, kept: int, rarer: int, others: int, orders: int, share: str, least: int) -> list[str]:
    """What the table does not hold, and why."""
    found = [
        _("Pairs in at least {share} of {orders} orders with a category, and in at least {least} of them.").format(
            share=share, least=least, orders=format.number(orders)
        )
    ]
    if rarer:
        text = ngettext("{n} rarer pair is left out.", "{n} rarer pairs are left out.", rarer)
        found.append(text.format(n=format.number(rarer)))
    if kept > shown:
        text = _("Shown are the first {n} of {total}: choose a category or another order to see others.")
        found.append(text.format(n=format.number(shown), total=format.number(kept)))
    if others:
        text = ngettext(
            "{n} category beyond the most bought ones is not told apart.",
            "{n} categories beyond the most bought ones are not told apart.",
            others,
        )
        found.append(text.format(n=format.number(others)))
    return found
