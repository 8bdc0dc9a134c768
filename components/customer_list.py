"""The rows of the customer list as a grid in the user's language."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
import streamlit as st

from components import tables, wording
from db import needles
from db.words import _


def pick(
    rows: pd.DataFrame,
    *,
    stages: Mapping[str, str],
    currency: str,
    hidden: bool,
    words: str = "",
    by: Mapping[int, tuple[str, str]] = MappingProxyType({}),
    key: str = "customers_list",
    many: bool = False,
) -> tables.Picked:
    """Draw the rows, one of which may be clicked, with `many` ticked. `hidden` leaves the contact columns out.

    With the `words` of a search each row says what it was found by; `by`: as in customers.Page.
    """
    shown = pd.DataFrame(
        {
            "name": rows["name"],
            "stage": [stages[s] for s in rows["stage"]],
            "phone": rows["phone"],
            "region": [wording.translated(r) for r in rows["region"]],
            "owner": [wording.person(o) for o in rows["owner"]],
            "orders": rows["orders"],
            "revenue": rows["revenue"].astype(float),
            "last_order_on": pd.to_datetime(rows["last_order_on"]),
        }
    )
    columns = {
        "name": st.column_config.TextColumn(_("Name"), width=150),
        "stage": st.column_config.TextColumn(_("Stage"), width=80),
        "phone": st.column_config.TextColumn(_("Phone"), width=140),
        "orders": st.column_config.NumberColumn(_("Orders"), format="localized", width=70),
        "revenue": st.column_config.NumberColumn(
            _("Revenue ({currency})").format(currency=currency), format="%,.2f", width=110
        ),
        "last_order_on": st.column_config.DateColumn(_("Last order"), format="YYYY-MM-DD", width=100),
        "region": st.column_config.TextColumn(_("Region"), width=90),
        "owner": st.column_config.TextColumn(_("Owner"), width=110),
    }
    if hidden:
        del columns["phone"]
    wanted = needles.needle(words)
    if wanted and (by or not hidden):
        shown["found_by"] = [_found_by(wanted, row, by.get(row["id"])) for row in rows.to_dict("records")]
        found_by = st.column_config.TextColumn(_("Found by"), width=150)
        columns = {"name": columns.pop("name"), "found_by": found_by, **columns}
    height = 36 * min(len(rows) + 1, 15) + 3
    return tables.pick_row(shown, columns, key=key, widths=(7, 4), height=height, many=many)


def remarks(*, similar: bool, left_out: bool) -> None:
    """What a search has to say of what it found."""
    if similar:
        st.caption(_("Little was found as typed, so what is spelt or sounds alike is shown too."))
    if left_out:
        st.warning(_("Looking inside words took too long and was stopped. Type more of the word."))


def _found_by(wanted: needles.Needle, row: Mapping[Hashable, Any], around: tuple[str, str] | None) -> str:
    """What fits, with the value where the list does not show it anyway."""
    by, value = around or (needles.found_by(wanted, row), "")
    if by in ("company", "email"):
        value = str(row.get(by, ""))
    return f"{_(needles.FOUND_BY[by])} · {value}" if value else _(needles.FOUND_BY[by])
