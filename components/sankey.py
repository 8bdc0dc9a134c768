"""A picture of flows: a column of states for each day, and bands from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from components.charts import _draw, _labels, _layout

STAYED = "rgba(138, 148, 166, 0.22)"


def draw(
    columns: Sequence[Sequence[tuple[str, int]]],
    steps: Sequence[Sequence[tuple[int, int, int]]],
    *,
    titles: Sequence[str],
    colours: Sequence[str],
    count: Callable[[int], str],
    key: str,
    alt: str,
) -> None:
    """Columns of the same states, each with its size, and who went from which to which of the next column.

    A step is (place before, place after, how many) of each pair of states; those who stay are muted, the others in the
    colour (#rrggbb) of the state that they come to.
    """
    size = max(sum(n for _name, n in column) for column in columns) or 1
    most = max(sum(1 for _name, n in column if n) for column in columns)
    height = max(300, 44 * most)
    gap = 16 / height
    nodes: dict[str, list[Any]] = {"label": [], "color": [], "x": [], "y": [], "customdata": []}
    places: dict[tuple[int, int], int] = {}
    for k, column in enumerate(columns):
        top = 0.0
        room = 1 - gap * (sum(1 for _name, n in column if n) - 1)
        for i, (name, n) in enumerate(column):
            if not n:
                continue
            places[k, i] = len(nodes["label"])
            tall = n / size * room
            nodes["label"].append(f"{_labels([name])[0]} · {count(n)}")
            nodes["color"].append(colours[i])
            nodes["customdata"].append(f"{_labels([titles[k]])[0]} · {_labels([name])[0]}: {count(n)}")
            nodes["x"].append(min(max(k / (len(columns) - 1), 0.001), 0.999))
            nodes["y"].append(min(max(top + tall / 2, 0.001), 0.999))
            top += tall + gap
    links: dict[str, list[Any]] = {"source": [], "target": [], "value": [], "color": [], "customdata": []}
    for k, step in enumerate(steps):
        for i, j, n in step:
            if n:
                links["source"].append(places[k, i])
                links["target"].append(places[k + 1, j])
                links["value"].append(n)
                links["color"].append(STAYED if i == j else _pale(colours[j]))
                before, after = (_labels([columns[0][place][0]])[0] for place in (i, j))
                links["customdata"].append(f"{before} → {after}: {count(n)}")
    hover = {"hovertemplate": "%{customdata}<extra></extra>"}
    figure = {
        "type": "sankey",
        "arrangement": "snap",
        "node": nodes | hover | {"pad": 16, "thickness": 14, "line": {"width": 0}},
        "link": links | hover,
        "textfont": {"size": 13},
    }
    heads = [
        {
            "text": f"<b>{title}</b>",
            "x": k / (len(columns) - 1),
            "y": 1,
            "yanchor": "bottom",
            "yshift": 12,
            "showarrow": False,
        }
        | {"xref": "paper", "yref": "paper", "xanchor": ("left", "center", "right")[_end(k, len(columns))]}
        for k, title in enumerate(_labels(titles))
    ]
    layout = _layout(
        height=height + 56, hovermode="closest", annotations=heads, margin={"l": 8, "r": 8, "t": 32, "b": 8}
    )
    _draw([figure], layout, key=key, alt=alt)


def _end(k: int, columns: int) -> int:
    """0 for the first column, 2 for the last, 1 between them."""
    return 0 if k == 0 else 2 if k == columns - 1 else 1


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.45)"
