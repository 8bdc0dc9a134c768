"""Fields that an administrator adds to customers, and what people have begun to type; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import PERSONAL, metadata, one_of, versioned
from db.columns import identity as _id
from db.columns import text_column as _text

FIELD_TYPES = ("text", "number", "date", "choice", "choices", "flag")
KEYED = {"keyed": True}
"""Column info: the values of custom fields by key; each key is a value of its own for history and undo."""


def values_by_key(name: str, *, personal: bool = False) -> Column[object]:
    """A column of `customers` with the values of custom fields: field key → value."""
    info = KEYED | PERSONAL if personal else KEYED
    return Column(name, JSONB, nullable=False, server_default=text("'{}'"), info=info)


# The values stand in customers.custom and customers.custom_personal. A row is never deleted: a key is given once.
custom_fields = Table(
    "custom_fields",
    metadata,
    _id(),
    Column("key", Text, nullable=False),
    _text("name"),
    _text("name_zh"),
    Column("type", Text, nullable=False),
    Column("choices", JSONB, nullable=False, server_default=text("'[]'")),
    Column("required", Boolean, nullable=False, server_default=text("false")),
    Column("personal", Boolean, nullable=False, server_default=text("false")),
    _text("help"),
    Column("position", Integer, nullable=False, server_default="0"),
    Column("archived_at", DateTime(timezone=True)),
    *versioned(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("key"),
    one_of("type", FIELD_TYPES, "type"),
    info={"rule": "shared", "recorded": True, "area": "fields"},
)

# What somebody has typed into a form and not saved yet: theirs alone, in no history.
drafts = Table(
    "drafts",
    metadata,
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("form", Text, nullable=False),
    Column("values", JSONB, nullable=False, info=PERSONAL),
    # Of the row that the form was opened with; 0 where there is none yet.
    Column("version", Integer, nullable=False, server_default="0"),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("user_id", "form"),
    Index("drafts_updated_at_idx", "updated_at"),
    info={"rule": "own"},
)
