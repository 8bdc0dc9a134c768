"""The derived column by which what people wrote is found: the tables that have it, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Column, Index, Text

from db import text
from db.columns import PERSONAL_DERIVED

OF: Mapping[str, tuple[str, ...]] = {
    "interactions": ("subject", "body"),
    "notes": ("body",),
    "tasks": ("title", "body"),
    "attachments": ("name",),
}
"""Table → the columns that are looked through."""


def column() -> Column[str]:
    """What a table of OF keeps; the last column of it."""
    return Column("search_text", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED)


def index(table: str) -> Index:
    """By which it is searched, whatever stands inside."""
    return Index(
        f"{table}_search_text_idx",
        "search_text",
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )


def keys(table: str) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """What computes the derived column of a row of this table."""
    return lambda row: {"search_text": joined(*(row.get(name) for name in OF[table]))}


def joined(*parts: str | None) -> str:
    """Chinese characters set apart by blanks, as everywhere that is searched, with blanks at both ends."""
    return " ".join(["", *filter(None, map(text.spaced, parts)), ""])
