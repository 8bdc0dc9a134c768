"""The tables that people fill around a customer: calls, mails, meetings, messages; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import (
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
    info={"rule": "child", "recorded": True, "area": "customers"},
)
