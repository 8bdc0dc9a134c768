"""What the company says its stages and scores are, and all versions of it; db/schema.py lists the tables."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import identity, metadata, of_user, one_of, text_column, versioned

KINDS = ("stages", "scores")

# What is in force, a row for each kind. To take a change back is to put the version before into force again.
definitions = Table(
    "definitions",
    metadata,
    identity(),
    Column("kind", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("rules", JSONB, nullable=False),
    *versioned(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("kind"),
    one_of("kind", KINDS, "kind"),
    info={"rule": "shared", "recorded": True, "area": "metrics"},
)

# Every version that ever came into force, also those that were taken back: a number is given once.
definition_versions = Table(
    "definition_versions",
    metadata,
    Column("kind", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("rules", JSONB, nullable=False),
    text_column("reason"),
    of_user("made_by", nullable=True),
    Column("made_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("kind", "number"),
    one_of("kind", KINDS, "kind"),
    info={"rule": "shared", "once": True, "area": "metrics"},
)
