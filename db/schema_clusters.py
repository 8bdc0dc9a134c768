"""Clusters of customers that people keep; db/schema.py lists the table."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from db.columns import identity, metadata, of_user, one_of, text_column, versioned

# What scores a customer (db/cluster_values.py). It holds averages of customers and nothing of a single one; everybody
# may count by it, only its owner and administrators change it.
cluster_models = Table(
    "cluster_models",
    metadata,
    identity(),
    text_column("name"),
    Column("model", JSONB, nullable=False),
    of_user("owner_id"),
    Column("visibility", Text, nullable=False, server_default="shared"),
    Column("archived_at", DateTime(timezone=True)),
    *versioned(),
    PrimaryKeyConstraint("id"),
    one_of("visibility", ("private", "shared"), "visibility"),
    Index(
        "cluster_models_owner_id_name_key",
        "owner_id",
        text("lower(name)"),
        unique=True,
        postgresql_where=text("archived_at IS NULL"),
    ),
    info={"rule": "personal", "recorded": True, "area": "segments"},
)
