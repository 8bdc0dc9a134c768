"""What belongs to campaigns that people start from a list; db/schema.py has campaigns and their members."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, PrimaryKeyConstraint, Table

from db.columns import metadata

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
