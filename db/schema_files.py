"""The tables of files that belong to a customer: what is known of each, and apart from it the bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    text,
)

from db import written
from db.columns import PERSONAL, metadata, of_customer, of_user, versioned
from db.columns import identity as _id
from db.columns import text_column as _text

attachments = Table(
    "attachments",
    metadata,
    of_customer(),
    _id(),
    _text("name", info=PERSONAL),
    _text("media_type"),
    Column("bytes", Integer, nullable=False),
    # Whoever has a file could tell by it that a customer has it too.
    _text("sha256", info=PERSONAL),
    of_user("author_id"),
    *versioned(),
    written.column(),
    PrimaryKeyConstraint("customer_id", "id"),
    CheckConstraint(text("bytes > 0"), name="bytes"),
    Index("attachments_author_id_idx", "author_id"),
    written.index("attachments"),
    info={"rule": "child", "recorded": True, "area": "around"},
)

# History holds no bytes: they are written once and stay when the file is deleted, so that undo brings back what can be
# opened, until db/attachments.py removes them. No foreign key, which would hold the row above or its customer in place
# for the sake of what is left of them.
attachment_contents = Table(
    "attachment_contents",
    metadata,
    Column("customer_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False, info=PERSONAL),
    PrimaryKeyConstraint("customer_id", "id"),
    info={"rule": "child", "once": True, "area": "around"},
)
