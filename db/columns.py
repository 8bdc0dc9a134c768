"""What the modules of the schema share: its metadata with the names of keys, and the plainest column."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, Text

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def text_column(name: str, *, info: dict[str, Any] | None = None) -> Column[str]:
    """A text that is never null; empty by default."""
    return Column(name, Text, nullable=False, server_default="", info=info or {})
