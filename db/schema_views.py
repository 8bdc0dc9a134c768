"""Views of lists that people keep, and what they have chosen for themselves; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import PERSONAL, identity, metadata, of_user, one_of, text_column, versioned

VISIBILITIES = ("private", "team", "shared")

# A list under a name: parameters of its address, and its columns (null: those that the reader has chosen). What may
# say something personal, the words of a search or a personal custom value, stands apart; `params` has null there.
saved_views = Table(
    "saved_views",
    metadata,
    identity(),
    text_column("name"),
    of_user("owner_id"),
    Column("visibility", Text, nullable=False, server_default="private"),
    Column("params", JSONB, nullable=False, server_default=text("'{}'")),
    Column("params_personal", JSONB, nullable=False, server_default=text("'{}'"), info=PERSONAL),
    Column("columns", JSONB(none_as_null=True)),
    Column("archived_at", DateTime(timezone=True)),
    *versioned(),
    PrimaryKeyConstraint("id"),
    one_of("visibility", VISIBILITIES, "visibility"),
    Index(
        "saved_views_owner_id_name_key",
        "owner_id",
        text("lower(name)"),
        unique=True,
        postgresql_where=text("archived_at IS NULL"),
    ),
    info={"rule": "personal", "team": True, "recorded": True, "area": "views"},
)

# Such as the columns that somebody wants to see: theirs alone, in no history, kept until they choose otherwise.
preferences = Table(
    "preferences",
    metadata,
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", JSONB, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("user_id", "key"),
    info={"rule": "own", "everybody": True, "area": "views"},
)
