"""The rows of the customer list as a grid in the user's language."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import streamlit as st

from components import controls, list_columns, tables
from db import needles
from db.column_names import USUAL, WITHHELD
from db.custom_values import Field
from db.customers import PAGE, Page
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
    columns: Sequence[str] = USUAL,
    more: pd.DataFrame | None = None,
    own: Mapping[str, Field] = MappingProxyType({}),
    zone: str = "UTC",
    most: int = 14,
) -> tables.Picked:
    """Draw the rows, one of which may be clicked, with `many` ticked. `hidden` leaves the contact columns out.

    With the `words` of a search each row says what it was found by; `by`: as in customers.Page. `columns` stand after
    the name; `more` and `own` are what some of them need (components/list_columns.py). `most` rows are seen at once.
    """
    columns = [name for name in columns if not (hidden and name in WITHHELD)]
    shown = list_columns.values(rows, columns, more=more, own=own, stages=stages, zone=zone)
    drawn = list_columns.drawn(columns, own=own, currency=currency)
    wanted = needles.needle(words)
    if wanted and (by or not hidden):
        shown["found_by"] = [_found_by(wanted, row, by.get(row["id"])) for row in rows.to_dict("records")]
        found_by = st.column_config.TextColumn(_("Found by"), width=150)
        drawn = {"name": drawn.pop("name"), "found_by": found_by, **drawn}
    height = tables.height(len(rows), most)
    return tables.pick_row(shown, drawn, key=key, widths=(7, 4), height=height, many=many)


def nothing(*, narrowed: bool, may_add: bool) -> None:
    """What a list without anybody says."""
    if narrowed:
        st.info(_("No customer matches. Remove a filter or try another spelling."))
    elif may_add:
        st.info(_("No customers yet. Add the first one with the button above."))
    else:
        st.info(_("No customers yet."))


def remarks(*, similar: bool, left_out: bool) -> None:
    """What a search has to say of what it found."""
    if similar:
        st.caption(_("Little was found as typed, so what is spelt or sounds alike is shown too."))
    if left_out:
        st.warning(_("Looking inside words took too long and was stopped. Type more of the word."))


def foot(found: Page, number: int, *, clicked: bool) -> None:
    """Which rows these are, how to see more of one as long as none was clicked, and the other pages."""
    st.caption(tables.position((number - 1) * PAGE, len(found.rows), found.total, more=found.more), width="content")
    if not clicked:
        st.caption(_("Click a row to see the customer."), width="content")
    controls.turner("customers_page", number, -(-found.total // PAGE))


def _found_by(wanted: needles.Needle, row: Mapping[Hashable, Any], around: tuple[str, str] | None) -> str:
    """What fits, with the value where the list does not show it anyway."""
    by, value = around or (needles.found_by(wanted, row), "")
    if by in ("company", "email"):
        value = str(row.get(by, ""))
    return f"{_(needles.FOUND_BY[by])} · {value}" if value else _(needles.FOUND_BY[by])
