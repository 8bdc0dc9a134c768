"""Tables: small ones as text that a phone and a screen reader can read, long ones as a grid with one selectable row."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import format, wording
from db.words import _

ROW, HEAD = 36, 34
"""How tall a row of a grid is, and what stands above the first, its frame included."""


def each(rows: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples; their fields have the types that the query's docstring gives."""
    yield from rows.itertuples()


def rate(part: int, whole: int, interval: tuple[float, float]) -> str:
    """'12.3% (10.1–14.8%)'; "not known" without anybody to count."""
    if not whole:
        return _("not known")
    low, high = interval
    return f"{format.percent(part / whole)} ({low * 100:.1f}–{high * 100:.1f}%)"


def small(frame: pd.DataFrame, *, right: Sequence[str] = ()) -> None:
    """A handful of rows; columns named in `right` hold figures."""
    aligned = [":--" if column not in right else "--:" for column in frame.columns]
    lines = [list(frame.columns), aligned, *frame.astype(str).map(_cell).to_numpy().tolist()]
    st.markdown("\n".join("| " + " | ".join(line) + " |" for line in lines), width="stretch")


def _cell(text: str) -> str:
    return wording.plain(text.replace("\n", " ")) or " "


@dataclass(frozen=True)
class Picked:
    """The position of the row to look at, None without one, the places below the grid and beside it, and the positions
    of all rows that are ticked."""

    row: int | None
    below: DeltaGenerator
    beside: DeltaGenerator
    ticked: tuple[int, ...] = ()


def pick_row(
    frame: pd.DataFrame,
    columns: Mapping[str, Any],
    *,
    key: str,
    widths: tuple[int, int],
    height: int | Literal["auto"] = "auto",
    ids: Sequence[int] = (),
    many: bool = False,
) -> Picked:
    """A grid of the named columns with one row to click; it makes room, in these `widths`, once there is one.

    With `many` rows are ticked too, and only a click on a cell opens its row: what is ticked must not move.
    `ids` say which rows these are where what stands in them changes by itself.
    """
    # Other rows are another table: a choice must not pass to a stranger.
    key = f"{key}_{_fingerprint(pd.DataFrame(ids) if ids else frame)}"
    chosen = _chosen(st.session_state.get(key), len(frame), many) is not None
    left, right = st.columns(widths if chosen else (999, 1), gap="small" if chosen else None)
    state = left.dataframe(
        frame,
        column_order=list(columns),
        column_config=dict(columns),
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode=("multi-row" if many else "single-row", "single-cell"),
        height=height,
        row_height=ROW,
    )
    return Picked(
        _chosen(state, len(frame), many),
        left.container(),
        right.container(key=f"kehu_beside_{key}") if chosen else right,
        _ticked(state, len(frame)),
    )


def height(rows: int, most: int) -> int:
    """How tall a grid is that shows whole rows, at most so many."""
    return HEAD + ROW * min(rows, most)


def _chosen(state: Any, length: int, many: bool) -> int | None:
    """The row of the clicked cell, or the row itself where it is the one that is clicked."""
    if not state:
        return None
    picked = state["selection"]
    rows = ([] if many else picked["rows"]) or [row for row, _column in picked["cells"]]
    return int(rows[0]) if rows and rows[0] < length else None


def _ticked(state: Any, length: int) -> tuple[int, ...]:
    return tuple(int(row) for row in state["selection"]["rows"] if row < length) if state else ()


def _fingerprint(frame: pd.DataFrame) -> str:
    return f"{zlib.crc32(frame.to_csv(index=False).encode()):08x}"


def position(offset: int, shown: int, total: int, *, more: bool = False) -> str:
    """'1–50 of 2,469', or 'more than 1,000' where a search stops counting."""
    if not total:
        return _("none")
    if more:
        return _("{first}–{last} of more than {total}").format(
            first=format.number(offset + 1), last=format.number(offset + shown), total=format.number(total)
        )
    return _("{first}–{last} of {total}").format(
        first=format.number(offset + 1), last=format.number(offset + shown), total=format.number(total)
    )
