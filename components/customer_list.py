"""The rows of the customer list as a grid in the user's language."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from components import tables, wording
from db.words import _


def pick(
    rows: pd.DataFrame,
    *,
    stages: Mapping[str, str],
    currency: str,
    hidden: bool,
    key: str = "customers_list",
    many: bool = False,
) -> tables.Picked:
    """Draw the rows, one of which may be clicked, with `many` ticked. `hidden` leaves the contact columns out."""
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
    height = 36 * min(len(rows) + 1, 15) + 3
    return tables.pick_row(shown, columns, key=key, widths=(7, 4), height=height, many=many)
