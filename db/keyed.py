"""Columns of many values by key (the values of custom fields): each key counts as a column of its own.

History keeps such a column whole. Whoever compares, merges or takes back looks at `column.key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Table


@cache
def columns(t: Table) -> tuple[str, ...]:
    """The keyed columns of a table."""
    return tuple(c.name for c in t.columns if c.info.get("keyed"))


def base(name: str) -> str:
    """The column of a value: 'custom.colour' is in 'custom'; a plain column is itself."""
    return name.partition(".")[0]


def spread(t: Table, image: Mapping[str, Any]) -> dict[str, Any]:
    """The image with an entry `column.key` for each value of a keyed column instead of the column."""
    inner = {f"{c}.{key}": value for c in columns(t) for key, value in (image.get(c) or {}).items()}
    return {c: value for c, value in image.items() if c not in columns(t)} | inner


def gathered(t: Table, patch: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The way back: a patch of `spread` names as one of columns, over what the row holds. None takes a key out."""
    found = {c: value for c, value in patch.items() if "." not in c}
    for c in columns(t):
        own = {name.partition(".")[2]: value for name, value in patch.items() if "." in name and base(name) == c}
        if own:
            found[c] = {k: v for k, v in {**(now.get(c) or {}), **own}.items() if v is not None}
    return found
