"""A funnel as people read it: bars with rates and drops, a table of groups, the people behind a bar."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from components import campaign_view, charts, format, places, tables, wording
from db import rules
from db.words import _, language

CHART = "funnel_bars"


def names() -> dict[str, str]:
    """Step → its name, in order."""
    return {
        "received": _("Received"),
        "bought": _("Bought in the window"),
        "promoted": _("Bought promoted"),
        "redeemed": _("Redeemed"),
    }


def bars(whole: Any, intervals: list[tuple[str, str]]) -> int | None:
    """The steps of everybody together, with rates; gives the position of a bar that was clicked.

    `whole`: received, bought, promoted, redeemed, unmatched. `intervals`: for each step but the first the rate of the
    step before and of all received, each with its interval.
    """
    steps = names()
    values = [int(whole[step]) for step in steps]
    labels = [format.number(values[0])]
    for step, before in zip(values[1:], values, strict=False):
        share = format.percent(step / values[0] if values[0] else None)
        lost = _("{n} fewer").format(n=format.number(before - step))
        labels.append(f"{format.number(step)} · {share} · {lost}")
    with st.container(border=True):
        st.markdown("**" + _("Customers by step · share of all who received · lost since the step before") + "**")
        clicked = charts.steps(list(steps.values()), values, labels, key=CHART, alt=_("Steps of the funnel"))
        st.caption(_("Click a bar to see the customers."))
        cells = {
            _("Step"): list(steps.values()),
            _("Customers"): [format.number(v) for v in values],
            _("Of the step before (95% interval)"): ["–", *(of_step for of_step, _of_all in intervals)],
            _("Of all who received (95% interval)"): ["–", *(of_all for _of_step, of_all in intervals)],
        }
        tables.small(pd.DataFrame(cells), right=list(cells)[1:])
        if whole["unmatched"]:
            told = _("{n} more redeemed without a recorded purchase of a promoted product: not in the last step.")
            st.caption(told.format(n=format.number(int(whole["unmatched"]))))
    return clicked


def slices(rows: pd.DataFrame, last: list[str]) -> None:
    """The steps of each group; `last` is the rate of redemption of each with its interval."""
    steps = names()
    with st.container(border=True):
        st.markdown("**" + _("The same by group") + "**")
        cells = {_("Group"): [campaign_view.slice_name(value) for value in rows["slice"]]}
        cells |= {
            name: [_part(part, whole) for part, whole in zip(rows[step], rows["received"], strict=True)]
            for step, name in list(steps.items())[:-1]
        }
        cells[_("Redeemed (95% interval)")] = [
            f"{format.number(n)} · {rate}" for n, rate in zip(rows["redeemed"], last, strict=True)
        ]
        tables.small(pd.DataFrame(cells), right=list(cells)[1:])


def follow(clicked: int) -> None:
    """Make the bar that was clicked the step whose people are listed, once for each click."""
    code = list(names())[clicked]
    if st.session_state.get("funnel_clicked") == code:
        return
    st.session_state["funnel_clicked"] = code
    st.session_state[f"funnel_step_{language()}"] = code


def segment_rule(campaign_id: int, step: str, by: str = "", value: str = "") -> str:
    """The rule of the customers behind a bar, as the segment screen takes it."""
    found: list[dict[str, Any]] = [
        {"field": "funnel", "op": "reached", "value": {"campaign": campaign_id, "step": step}}
    ]
    if by:
        found.append({"field": by, "op": "in", "value": [value]} if value else {"field": by, "op": "empty"})
    return rules.written(rules.parse({"all": found}))


def people(rows: pd.DataFrame, *, currency: str) -> None:
    """The customers behind a bar; each opens its page."""
    shown = pd.DataFrame(
        {
            "name": rows["name"],
            "region": [wording.translated(r) for r in rows["region"]],
            "owner": [wording.person(o) for o in rows["owner"]],
            "orders": rows["orders"],
            "revenue": rows["revenue"].astype(float),
            "redemptions": rows["redemptions"],
        }
    )
    number, label = st.column_config.NumberColumn, st.column_config.TextColumn
    columns = {
        "name": label(_("Name"), width=150),
        "orders": number(_("Orders in the window"), format="localized", width=120),
        "revenue": number(_("Revenue ({currency})").format(currency=currency), format="%,.2f", width=110),
        "redemptions": number(_("Redemptions"), format="localized", width=90),
        "region": label(_("Region"), width=90),
        "owner": label(_("Owner"), width=110),
    }
    picked = tables.pick_row(shown, columns, key="funnel_people", widths=(7, 2))
    if picked.row is not None:
        with picked.beside:
            row = rows.iloc[picked.row]
            st.markdown(f"**{wording.plain(row['name'])}**")
            places.link("customer", _("Open"), icon=":material/open_in_full:", id=str(row["id"]))


def _part(part: int, whole: int) -> str:
    share = f" · {format.percent(part / whole)}" if whole and part != whole else ""
    return format.number(part) + share
