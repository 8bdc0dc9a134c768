"""The tables that are computed from others by db/derived.py and can be thrown away; db/schema.py lists them too."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.columns import identity, metadata
from db.columns import text_column as _text

# The four values between the five scores of each measure, over the customers of the whole company.
score_bounds = Table(
    "score_bounds",
    metadata,
    Column("measure", Text, nullable=False),
    Column("bounds", ARRAY(Numeric), nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("measure"),
    info={"rule": "shared", "area": "metrics"},
)

customer_metrics = Table(
    "customer_metrics",
    metadata,
    # No foreign key: taking back the creation of a customer must not wait for what is derived from it.
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("first_order_on", Date),
    Column("last_order_on", Date),
    Column("orders", Integer, nullable=False, server_default="0"),
    Column("revenue", Numeric(16, 2), nullable=False, server_default="0"),
    Column("other_currency_orders", Integer, nullable=False, server_default="0"),
    # Where this customer's orders stand in daily_sales; a hand-over moves them by comparing with the customer.
    Column("rolled_owner_id", BigInteger, nullable=False, server_default="0"),
    _text("rolled_region"),
    Column("refreshed_at", DateTime(timezone=True), nullable=False),
    # Tells one set of orders from another with the same totals: db/derived.py.
    Column("orders_digest", BigInteger, nullable=False, server_default="0"),
    # Whether this customer stands in stage_sums as one that is archived.
    Column("rolled_archived", Boolean, nullable=False, server_default="false"),
    # As in order_days: stages may be told by it.
    Column("usual_days", Integer),
    PrimaryKeyConstraint("customer_id"),
    Index("customer_metrics_last_order_on_idx", "last_order_on", "customer_id"),
    Index("customer_metrics_rolled_owner_id_idx", "rolled_owner_id", "last_order_on", "customer_id"),
    Index("customer_metrics_revenue_idx", "revenue", "customer_id"),
    Index("customer_metrics_orders_idx", "orders", "customer_id"),
    info={"rule": "child", "area": "metrics"},
)

# The day of each order of a customer, in order: how many lie in a period is two binary searches (width_bucket), so
# distinct customers of any period are counted by reading one short row for each customer, and not the orders.
order_days = Table(
    "order_days",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("days", ARRAY(Date), nullable=False),
    # As db/rhythm.py tells the usual interval; null where it does not.
    Column("usual_days", Integer),
    PrimaryKeyConstraint("customer_id"),
    info={"rule": "child", "area": "metrics"},
)

# The product categories of all lines of a customer, each once, in order.
customer_categories = Table(
    "customer_categories",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("categories", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("customer_id"),
    info={"rule": "child", "area": "metrics"},
)

# What a member bought while the campaign ran, and in the equally long time before it.
campaign_results = Table(
    "campaign_results",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("campaign_id", BigInteger, nullable=False, autoincrement=False),
    Column("orders", Integer, nullable=False),
    Column("revenue", Numeric(16, 2), nullable=False),
    Column("promoted_orders", Integer, nullable=False),
    Column("orders_before", Integer, nullable=False),
    Column("revenue_before", Numeric(16, 2), nullable=False),
    # As the membership says, and where this row stands in campaign_sums.
    Column("redemptions", Integer, nullable=False, server_default="0"),
    Column("rolled_owner_id", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("customer_id", "campaign_id"),
    Index(
        "campaign_results_campaign_id_idx",
        *("campaign_id", "customer_id"),
        postgresql_include=["orders", "revenue", "promoted_orders", "redemptions"],
    ),
    info={"rule": "child", "area": "metrics"},
)

# The promoted products that a member bought while the campaign ran; the amount is in the company's currency.
campaign_purchases = Table(
    "campaign_purchases",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("campaign_id", BigInteger, nullable=False, autoincrement=False),
    Column("product_id", BigInteger, nullable=False, autoincrement=False),
    Column("amount", Numeric(16, 2), nullable=False),
    PrimaryKeyConstraint("customer_id", "campaign_id", "product_id"),
    Index(
        "campaign_purchases_campaign_id_idx", "campaign_id", "product_id", "customer_id", postgresql_include=["amount"]
    ),
    info={"rule": "child", "area": "metrics"},
)

# campaign_results added up for each owner's customers. A customer has one owner, so even distinct ones add up.
campaign_sums = Table(
    "campaign_sums",
    metadata,
    Column("campaign_id", BigInteger, nullable=False, autoincrement=False),
    Column("owner_id", BigInteger, nullable=False, autoincrement=False),
    Column("reached", Integer, nullable=False),
    Column("buyers", Integer, nullable=False),
    Column("promoted_buyers", Integer, nullable=False),
    Column("redeemers", Integer, nullable=False),
    Column("redemptions", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("revenue", Numeric(18, 2), nullable=False),
    Column("revenue_before", Numeric(18, 2), nullable=False),
    PrimaryKeyConstraint("campaign_id", "owner_id"),
    Index("campaign_sums_owner_id_idx", "owner_id", "campaign_id"),
    info={"rule": "rollup", "area": "metrics"},
)

# Customers by their stage on the day `as_of`, told by the version `rules` of the rules, both the same in all rows:
# another day has other stages. Of those that are not archived `customers` and `revenue`; of all `buyers` (with an
# order) and `repeat_buyers` (with more than one).
stage_sums = Table(
    "stage_sums",
    metadata,
    Column("owner_id", BigInteger, nullable=False, autoincrement=False),
    _text("region"),
    Column("stage", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("customers", Integer, nullable=False),
    Column("revenue", Numeric(18, 2), nullable=False),
    Column("buyers", Integer, nullable=False),
    Column("repeat_buyers", Integer, nullable=False),
    Column("rules", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("owner_id", "region", "stage"),
    info={"rule": "rollup", "area": "metrics"},
)

daily_sales = Table(
    "daily_sales",
    metadata,
    Column("day", Date, nullable=False),
    Column("owner_id", BigInteger, nullable=False),
    _text("region"),
    Column("currency", Text, nullable=False),
    Column("orders", Integer, nullable=False),
    Column("revenue", Numeric(16, 2), nullable=False),
    Column("new_customers", Integer, nullable=False),
    # Customers whose first order of this day, of its ISO week, of its month this is. Distinct customers do not add up,
    # these do: over owners and regions, and over the days from a week's or month's first.
    Column("first_of_day", Integer, nullable=False, server_default="0"),
    Column("first_of_week", Integer, nullable=False, server_default="0"),
    Column("first_of_month", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("day", "owner_id", "region", "currency"),
    Index("daily_sales_owner_id_idx", "owner_id", "day"),
    info={"rule": "rollup", "area": "metrics"},
)

# What searches look into, and whose it is: a copy, so that a customer who is handed over, or edited elsewhere, costs
# nothing in the index of all parts of words. `owner_id` and `listed` stand in no index: they change in place.
customer_texts = Table(
    "customer_texts",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("owner_id", BigInteger, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("search_text", Text(collation="C"), nullable=False),
    PrimaryKeyConstraint("customer_id"),
    Index(
        "customer_texts_search_text_idx",
        "search_text",
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    ),
    # Whole words, of which a slip of the finger may have meant one.
    Index("customer_texts_words_idx", text("string_to_array(search_text, ' ')"), postgresql_using="gin"),
    info={"rule": "hidden", "moves_with": ("customers", "metrics", "profiles")},
    postgresql_with={"fillfactor": 85},
)

# Every Latin word of names and companies, and every name in pinyin, with what is left of it without one letter.
search_words = Table(
    "search_words",
    metadata,
    Column("word", Text(collation="C"), nullable=False),
    Column("variants", ARRAY(Text(collation="C")), nullable=False),
    PrimaryKeyConstraint("word"),
    Index("search_words_variants_idx", "variants", postgresql_using="gin"),
    # Learnt with each saved customer, made anew with the sums.
    info={"rule": "hidden", "moves_with": ("customers", "metrics")},
)

# Three letters or digits, and how many of a sample of customers have them in their search text.
search_parts = Table(
    "search_parts",
    metadata,
    Column("part", Text(collation="C"), nullable=False),
    Column("customers", Integer, nullable=False),
    PrimaryKeyConstraint("part"),
    # It says where a search looks first, never what it finds: nothing has to be asked anew for its sake.
    info={"rule": "hidden", "moves_with": ("customers", "metrics")},
)

# Whose columns that processes hold in memory are out of date, by the transaction that changed them; NULL: everybody's.
# The part is what of them (db/moved.py).
moved_customers = Table(
    "moved_customers",
    metadata,
    identity(),
    Column("xid", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    Column("customer_ids", ARRAY(BigInteger)),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("part", Text(collation="C"), nullable=False, server_default=""),
    PrimaryKeyConstraint("id"),
    Index("moved_customers_xid_idx", "xid"),
    # Who asks what is held names the areas that the answer depends on.
    info={"rule": "queue", "moves_with": ()},
)
