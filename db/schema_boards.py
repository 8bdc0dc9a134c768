"""Boards: charts of the explorer that people keep side by side; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import identity, metadata, of_user, one_of, text_column, versioned
from db.schema_views import VISIBILITIES

boards = Table(
    "boards",
    metadata,
    identity(),
    text_column("name"),
    of_user("owner_id"),
    Column("visibility", Text, nullable=False, server_default="private"),
    Column("archived_at", DateTime(timezone=True)),
    *versioned(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("id", "owner_id"),
    one_of("visibility", VISIBILITIES, "visibility"),
    Index(
        "boards_owner_id_name_key",
        "owner_id",
        text("lower(name)"),
        unique=True,
        postgresql_where=text("archived_at IS NULL"),
    ),
    info={"rule": "personal", "team": True, "recorded": True, "area": "views"},
)

# A chart (db/board_charts.py) with what its screen was told: codes of choices and numbers of segments, no rule and no
# words of a search. Whose the board is the card is, which the key holds it to; who sees the board sees the card.
board_cards = Table(
    "board_cards",
    metadata,
    identity(),
    Column("board_id", BigInteger, nullable=False),
    of_user("owner_id"),
    Column("position", Integer, nullable=False),
    Column("chart", Text, nullable=False),
    text_column("title"),
    Column("params", JSONB, nullable=False, server_default=text("'{}'")),
    Column("wide", Boolean, nullable=False, server_default=text("false")),
    *versioned(),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["board_id", "owner_id"], ["boards.id", "boards.owner_id"], ondelete="RESTRICT"),
    Index("board_cards_board_id_idx", "board_id", "position"),
    info={"rule": "personal", "of": ("boards", "board_id"), "recorded": True, "area": "views"},
)
