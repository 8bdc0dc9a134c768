"""What the modules of the schema share: its metadata with the names of keys, and the plainest columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Text,
)

PERSONAL = {"personal": True}
"""Column info: withheld from masked roles and kept apart in history."""
PERSONAL_DERIVED = {"personal": True, "derived": True}

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


def identity() -> Column[int]:
    """The number of a row; it may be given, as an undo does."""
    return Column("id", BigInteger, Identity(always=False), nullable=False)


def one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    """A check that holds a text to these values."""
    listed = ", ".join("'" + value + "'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=name)


def versioned() -> list[Column[Any]]:
    """The columns of a recorded row that db/changes.py keeps."""
    return [
        Column("version", Integer, nullable=False, server_default="1"),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False),
    ]


def of_customer() -> Column[int]:
    """The customer that a row belongs to; first in its key."""
    return Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="RESTRICT"), nullable=False)


def of_user(name: str, *, nullable: bool = False) -> Column[int]:
    """A user that a row names."""
    return Column(name, BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=nullable)
