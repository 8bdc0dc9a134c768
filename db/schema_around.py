"""What people keep around a customer: talks, tags, tasks, contacts, addresses, consents; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
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
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from db import written
from db.columns import PERSONAL, PERSONAL_DERIVED, metadata, of_customer, of_user, one_of, versioned
from db.columns import identity as _id
from db.columns import text_column as _text

INTERACTION_KINDS = ("call", "mail", "meeting", "message")
DIRECTIONS = ("", "in", "out")
TASK_KINDS = ("call", "mail", "meeting", "todo")
PRIORITIES = ("low", "normal", "high")
ADDRESS_KINDS = ("home", "office", "delivery", "billing", "other")
CHANNELS = ("phone", "sms", "wechat", "mail", "post")
CONSENT_STATES = ("given", "refused", "withdrawn")


def _one_main(table: str) -> ExcludeConstraint:
    """One main row for each customer, looked at when a statement ends: an undo may swap two in one statement."""
    return ExcludeConstraint(
        ("customer_id", "="),
        where=text("main"),
        using="btree",
        name=f"{table}_one_main",
        deferrable=True,
        initially="IMMEDIATE",
    )


def _main() -> Column[bool]:
    return Column("main", Boolean, nullable=False, server_default=text("false"))


def _key(name: str) -> Column[str]:
    return Column(name, Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED)


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
    written.column(),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("kind", INTERACTION_KINDS, "kind"),
    one_of("direction", DIRECTIONS, "direction"),
    Index("interactions_customer_id_happened_at_idx", "customer_id", text("happened_at DESC")),
    Index("interactions_author_id_idx", "author_id", "happened_on"),
    # Who was talked to lately, and who was not.
    Index("interactions_happened_on_idx", "happened_on", "customer_id"),
    written.index("interactions"),
    info={"rule": "child", "recorded": True, "area": "around"},
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
    info={"rule": "child", "recorded": True, "area": "tags"},
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
    written.column(),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("kind", TASK_KINDS, "kind"),
    one_of("priority", PRIORITIES, "priority"),
    # Open ones are few beside all that were ever done: each list of them has an index of its own.
    Index("tasks_assignee_id_due_on_idx", "assignee_id", "due_on", postgresql_where=_OPEN),
    Index("tasks_customer_id_due_on_idx", "customer_id", "due_on", postgresql_where=_OPEN),
    Index("tasks_due_on_idx", "due_on", postgresql_where=_OPEN),
    Index("tasks_assignee_id_done_at_idx", "assignee_id", "done_at", postgresql_where=_DONE),
    Index("tasks_done_at_idx", "done_at", postgresql_where=_DONE),
    Index("tasks_created_at_idx", "created_at"),
    written.index("tasks"),
    info={"rule": "child", "recorded": True, "area": "tasks"},
)

# The people one talks to at a customer. The keys are what a search matches: db/contacts.py fills them.
contacts = Table(
    "contacts",
    metadata,
    of_customer(),
    _id(),
    _text("name", info=PERSONAL),
    _text("job_title", info=PERSONAL),
    _text("phone", info=PERSONAL),
    _text("email", info=PERSONAL),
    _text("wechat", info=PERSONAL),
    _main(),
    _text("note", info=PERSONAL),
    _key("name_key"),
    _key("pinyin_key"),
    _key("email_key"),
    _key("phone_key"),
    *versioned(),
    _key("phone_reversed"),
    PrimaryKeyConstraint("customer_id", "id"),
    _one_main("contacts"),
    Index("contacts_name_key_idx", "name_key", "customer_id"),
    Index("contacts_pinyin_key_idx", "pinyin_key", "customer_id", postgresql_where=text("pinyin_key <> ''")),
    Index("contacts_email_key_idx", "email_key", "customer_id", postgresql_where=text("email_key <> ''")),
    Index("contacts_phone_key_idx", "phone_key", "customer_id", postgresql_where=text("phone_key <> ''")),
    Index(
        "contacts_phone_reversed_idx", "phone_reversed", "customer_id", postgresql_where=text("phone_reversed <> ''")
    ),
    info={"rule": "child", "recorded": True, "area": "around"},
)

addresses = Table(
    "addresses",
    metadata,
    of_customer(),
    _id(),
    Column("kind", Text, nullable=False),
    _text("recipient", info=PERSONAL),
    _text("phone", info=PERSONAL),
    _text("street", info=PERSONAL),
    _text("city"),
    _text("region"),
    _text("postcode", info=PERSONAL),
    _text("country"),
    _main(),
    *versioned(),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("kind", ADDRESS_KINDS, "kind"),
    _one_main("addresses"),
    info={"rule": "child", "recorded": True, "area": "around"},
)

# What a customer said to being written to or called: the newest of a channel holds, the older ones stay.
consents = Table(
    "consents",
    metadata,
    of_customer(),
    _id(),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    _text("source", info=PERSONAL),
    Column("happened_at", DateTime(timezone=True), nullable=False),
    of_user("author_id"),
    *versioned(),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("channel", CHANNELS, "channel"),
    one_of("state", CONSENT_STATES, "state"),
    Index("consents_customer_id_channel_idx", "customer_id", "channel", text("happened_at DESC"), text("id DESC")),
    Index("consents_author_id_idx", "author_id"),
    info={"rule": "child", "recorded": True, "area": "around"},
)
