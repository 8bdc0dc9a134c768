"""Tables: small ones as text that a phone and a screen reader can read, long ones as a grid with one selectable row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import format
from db.words import _


def rate(part: int, whole: int, interval: tuple[float, float]) -> str:
    """'12.3% (10.1–14.8%)'; "not known" without anybody to count."""
    if not whole:
        return _("not known")
    low, high = interval
    return f"{format.percent(part / whole)} ({low * 100:.1f}–{high * 100:.1f}%)"


def small(frame: pd.DataFrame, *, right: Sequence[str] = ()) -> None:
    """A handful of rows; columns named in `right` hold figures."""
    styled = frame.style.set_properties(subset=list(right), **{"text-align": "right"}) if right else frame
    st.table(styled, border="horizontal", hide_index=True)


def pick_row(frame: pd.DataFrame, columns: Mapping[str, Any], *, key: str, height: int | str = "auto") -> int | None:
    """A grid of the named columns; gives the position of the row that was clicked, None without one."""
    chosen = st.dataframe(
        frame,
        column_order=list(columns),
        column_config=dict(columns),
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        height=height,
        row_height=36,
    )
    rows = chosen["selection"]["rows"]
    return int(rows[0]) if rows and rows[0] < len(frame) else None


def position(offset: int, shown: int, total: int, *, more: bool = False) -> str:
    """'1–50 of 2,469', or 'more than 1,000' where a search stops counting."""
    if not total:
        return _("none")
    if more:
        return _("{first}–{last} of more than {total}").format(
            first=format.number(offset + 1), last=format.number(offset + shown), total=format.number(total - 1)
        )
    return _("{first}–{last} of {total}").format(
        first=format.number(offset + 1), last=format.number(offset + shown), total=format.number(total)
    )
