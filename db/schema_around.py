"""The tables that people fill around a customer: talks and tags; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from db.columns import PERSONAL, metadata, of_customer, of_user, one_of, versioned
from db.columns import identity as _id
from db.columns import text_column as _text

INTERACTION_KINDS = ("call", "mail", "meeting", "message")
DIRECTIONS = ("", "in", "out")

# A call, a mail, a meeting or a message, by whom and how it went. Notes are a table of their own.
interactions = Table(
    "interactions",
    metadata,
    of_customer(),
    _id(),
    Column("kind", Text, nullable=False),
    _text("direction"),
    of_user("author_id"),
    Column("happened_at", DateTime(timezone=True), nullable=False),
    # The company day of happened_at, as with orders.
    Column("happened_on", Date, nullable=False),
    Column("minutes", Integer),
    _text("outcome"),
    _text("subject", info=PERSONAL),
    _text("body", info=PERSONAL),
    *versioned(),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("kind", INTERACTION_KINDS, "kind"),
    one_of("direction", DIRECTIONS, "direction"),
    Index("interactions_customer_id_happened_at_idx", "customer_id", text("happened_at DESC")),
    Index("interactions_author_id_idx", "author_id", "happened_on"),
    # Who was talked to lately, and who was not.
    Index("interactions_happened_on_idx", "happened_on", "customer_id"),
    info={"rule": "child", "recorded": True, "area": "customers"},
)

# A word that people put on customers to find them by. The key is the word without case: one customer has it once.
customer_tags = Table(
    "customer_tags",
    metadata,
    of_customer(),
    _id(),
    Column("tag", Text, nullable=False),
    Column("tag_key", Text(collation="C"), nullable=False, info={"derived": True}),
    *versioned(),
    PrimaryKeyConstraint("customer_id", "id"),
    CheckConstraint("tag <> ''", name="tag"),
    Index("customer_tags_customer_id_tag_key_idx", "customer_id", "tag_key", unique=True),
    Index("customer_tags_tag_key_idx", "tag_key", "customer_id"),
    info={"rule": "child", "recorded": True, "area": "customers"},
)
