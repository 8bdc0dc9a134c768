"""Who is in which kept segment, and since when: of live ones kept by the worker, of frozen ones as they were listed.

Nothing here has a foreign key: an undo of a segment's or a customer's creation must not wait for what follows from it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Index, Integer, PrimaryKeyConstraint, Table, Text

from db.columns import identity, metadata, one_of
from db.columns import text_column as _text

# Seen by who sees both the customer and the segment (public.my_segments).
segment_members = Table(
    "segment_members",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("segment_id", BigInteger, nullable=False, autoincrement=False),
    Column("since", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("customer_id", "segment_id"),
    Index("segment_members_segment_id_idx", "segment_id", "customer_id"),
    info={"rule": "child", "area": "members", "by_segment": True},
)

# Who joined a live segment and who left it; `cause` is a change of the customer, another day (or other bounds of the
# scores), or another rule.
segment_moves = Table(
    "segment_moves",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    identity(),
    Column("segment_id", BigInteger, nullable=False),
    Column("joined", Boolean, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("cause", Text, nullable=False),
    PrimaryKeyConstraint("customer_id", "id"),
    one_of("cause", ("data", "day", "rule"), "cause"),
    Index("segment_moves_segment_id_idx", "segment_id", "at"),
    info={"rule": "child", "area": "members", "by_segment": True},
)

# What the members of a segment were last found by: on which day, from which version of the segment, with which rule.
# `began_at` is since when who joins and leaves is recorded; `personal` whether that tells of personal values.
segment_states = Table(
    "segment_states",
    metadata,
    Column("segment_id", BigInteger, nullable=False, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("day", Date, nullable=True),
    Column("kept_at", DateTime(timezone=True), nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    _text("digest"),
    Column("personal", Boolean, nullable=False),
    # Why the worker leaves it as it is: "unreadable", "refused", "slow"; empty when it is kept.
    _text("problem"),
    PrimaryKeyConstraint("segment_id"),
    info={"rule": "by_segment", "area": "members"},
)

# Customers of whom something changed that rules may look at.
segment_touches = Table(
    "segment_touches",
    metadata,
    identity(),
    Column("customer_id", BigInteger, nullable=False),
    Column("touched_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id"),
    Index("segment_touches_touched_at_idx", "touched_at"),
    info={"rule": "queue", "moves_with": ("around", "customers", "metrics", "profiles", "tags", "tasks")},
)
