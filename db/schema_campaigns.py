"""Campaigns: what they are for, who received them or was held out, and what came of it; db/schema.py lists them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from db.columns import identity as _id
from db.columns import metadata, one_of, versioned
from db.columns import text_column as _text
from db.schema_around import CHANNELS

campaigns = Table(
    "campaigns",
    metadata,
    _id(),
    _text("name"),
    _text("kind"),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    *versioned(),
    # Of those that somebody started from a list: by which way, from which segment, who, the load of its members, and
    # how many of a hundred were held out.
    _text("channel"),
    Column("segment_id", BigInteger, ForeignKey("segments.id", ondelete="RESTRICT")),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT")),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    Column("held_percent", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("name"),
    CheckConstraint(text("starts_on <= ends_on"), name="dates"),
    one_of("channel", ("", *CHANNELS), "channel"),
    CheckConstraint(text("held_percent BETWEEN 0 AND 50"), name="held_percent"),
    Index("campaigns_segment_id_idx", "segment_id"),
    Index("campaigns_owner_id_idx", "owner_id"),
    Index("campaigns_batch_id_idx", "batch_id"),
    info={"rule": "campaigns", "recorded": True, "area": "campaigns"},
)

# What a campaign's coupons are for.
campaign_products = Table(
    "campaign_products",
    metadata,
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="RESTRICT"), nullable=False),
    Column("product_id", BigInteger, ForeignKey("products.id", ondelete="RESTRICT"), nullable=False),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("campaign_id", "product_id"),
    Index("campaign_products_product_id_idx", "product_id"),
    Index("campaign_products_batch_id_idx", "batch_id"),
    info={"rule": "shared", "area": "campaigns"},
)

campaign_members = Table(
    "campaign_members",
    metadata,
    Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="RESTRICT"), nullable=False),
    _id(),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="RESTRICT"), nullable=False),
    Column("received_on", Date, nullable=False),
    Column("first_redeemed_on", Date),
    Column("redemptions", Integer, nullable=False, server_default="0"),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("customer_id", "id"),
    UniqueConstraint("customer_id", "campaign_id"),
    Index(
        "campaign_members_campaign_id_idx",
        *("campaign_id", "customer_id"),
        postgresql_include=["redemptions", "received_on", "first_redeemed_on"],
    ),
    Index("campaign_members_batch_id_idx", "batch_id"),
    info={"rule": "child", "area": "campaigns"},
)

# Who was to receive a campaign and was picked at random to receive nothing: a table of its own, so that nobody can
# count them as reached.
campaign_held_out = Table(
    "campaign_held_out",
    metadata,
    Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="RESTRICT"), nullable=False),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="RESTRICT"), nullable=False),
    # The day on which the others receive it.
    Column("held_on", Date, nullable=False),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("customer_id", "campaign_id"),
    Index("campaign_held_out_campaign_id_idx", "campaign_id", "customer_id", postgresql_include=["held_on"]),
    Index("campaign_held_out_batch_id_idx", "batch_id"),
    info={"rule": "child", "area": "campaigns"},
)

campaign_events = Table(
    "campaign_events",
    metadata,
    Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="RESTRICT"), nullable=False),
    _id(),
    Column("campaign_id", BigInteger, ForeignKey("campaigns.id", ondelete="RESTRICT"), nullable=False),
    _text("kind"),
    Column("occurred_on", Date, nullable=False),
    _text("reference"),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("customer_id", "id", "occurred_on"),
    Index("campaign_events_campaign_id_idx", "campaign_id", "kind", "occurred_on"),
    postgresql_partition_by="RANGE (occurred_on)",
    info={"rule": "child", "area": "campaigns"},
)
