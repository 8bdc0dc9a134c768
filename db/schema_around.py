"""The tables that people fill around a customer: talks and tasks; db/schema.py lists them."""

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
    Time,
    text,
)

from db.columns import PERSONAL, metadata, of_customer, of_user, one_of, versioned
from db.columns import identity as _id
from db.columns import text_column as _text

INTERACTION_KINDS = ("call", "mail", "meeting", "message")
DIRECTIONS = ("", "in", "out")
TASK_KINDS = ("call", "mail", "meeting", "todo")
PRIORITIES = ("low", "normal", "high")

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

_OPEN = text("done_at IS NULL")
_DONE = text("done_at IS NOT NULL")

# What is to be done with a customer, by whom and until when: the time of day may be open, the day too.
tasks = Table(
    "tasks",
    metadata,
    of_customer(),
    _id(),
    _text("title", info=PERSONAL),
    _text("body", info=PERSONAL),
    Column("kind", Text, nullable=False, server_default="todo"),
    Column("due_on", Date),
    Column("due_time", Time),
    Column("priority", Text, nullable=False, server_default="normal"),
    of_user("assignee_id"),
    of_user("author_id"),
    Column("done_at", DateTime(timezone=True)),
    of_user("done_by_id", nullable=True),
    *versioned(),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("kind", TASK_KINDS, "kind"),
    one_of("priority", PRIORITIES, "priority"),
    # Open ones are few beside all that were ever done: each list of them has an index of its own.
    Index("tasks_assignee_id_due_on_idx", "assignee_id", "due_on", postgresql_where=_OPEN),
    Index("tasks_customer_id_due_on_idx", "customer_id", "due_on", postgresql_where=_OPEN),
    Index("tasks_due_on_idx", "due_on", postgresql_where=_OPEN),
    Index("tasks_assignee_id_done_at_idx", "assignee_id", "done_at", postgresql_where=_DONE),
    Index("tasks_done_at_idx", "done_at", postgresql_where=_DONE),
    info={"rule": "child", "recorded": True, "area": "tasks"},
)
