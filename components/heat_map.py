"""A table whose cells are as strong in colour as what stands in them, as wide as its place; a cell may be clicked."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import streamlit as st

from components.charts import _CONFIG, _labels, _layout

TEXT = {"light": "#1B2430", "dark": "#E6EBF2"}
FEW, CHARACTERS = 7, 11
"""Longer headings of more columns are folded; of few ones those of twice the length."""


def draw(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    colours: Sequence[Sequence[str]],
    *,
    key: str,
    alt: str,
) -> tuple[int, int] | None:
    """Cells and their colours by row; a cell may have two lines. Gives row and column of the cell that was clicked.

    Each column is a trace of bars of the same length: so the cells fill any width, and each can be clicked by itself.
    """
    pen = TEXT["dark" if st.context.theme.type == "dark" else "light"]
    most = CHARACTERS if len(columns) > FEW else 2 * CHARACTERS
    headings = [textwrap.wrap(name, most, break_long_words=False) for name in columns]
    two = any("\n" in text for row in cells for text in row)
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": _labels(rows),
            "x": [1] * len(rows),
            "base": j,
            "width": 1,
            "text": [row[j].replace("\n", "<br>") for row in cells],
            "textposition": "inside",
            "insidetextanchor": "middle",
            "textangle": 0,
            "constraintext": "none",
            "insidetextfont": {"color": pen, "size": 12},
            "marker": {
                "color": [row[j] or "rgba(138, 148, 166, 0.04)" for row in colours],
                "line": {"color": "rgba(138, 148, 166, 0.25)", "width": 0.5},
            },
            "unselected": {"marker": {"opacity": 1}, "textfont": {"color": pen}},
            "customdata": [f"{_labels([row])[0]} → {name}" for row in rows],
            "hovertemplate": "%{customdata}<br>%{text}<extra></extra>",
        }
        for j, name in enumerate(_labels(columns))
    ]
    axis = {"fixedrange": True, "showgrid": False, "zeroline": False, "automargin": True}
    height = (40 if two else 34) * len(rows) + 18 * max((len(lines) for lines in headings), default=1) + 16
    layout = _layout(
        height=height,
        barmode="overlay",
        bargap=0,
        hovermode="closest",
        clickmode="event+select",
        xaxis=axis
        | {
            "side": "top",
            "range": [0, len(columns) or 1],
            "tickvals": [j + 0.5 for j in range(len(columns))],
            "ticktext": ["<br>".join(_labels(lines)) for lines in headings],
            "tickangle": 0,
        },
        yaxis=axis | {"type": "category", "autorange": "reversed", "ticksuffix": "  "},
    )
    clicked = st.plotly_chart(
        {"data": data, "layout": layout}, key=key, alt=alt, config=_CONFIG, on_select="rerun", selection_mode="points"
    )
    points = clicked["selection"]["points"]
    return (int(points[0]["point_index"]), int(points[0]["curve_number"])) if points else None
