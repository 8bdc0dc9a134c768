"""The derived tables behind the explorer: what customers bought by month and together, and their classes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.columns import metadata

# The months in which a customer who is not archived bought, each by its first day and in order, and beside each how
# many orders and what revenue in the company's currency. The first is the cohort. `rolled_owner_id` is whose row of
# cohort_sums holds them.
customer_months = Table(
    "customer_months",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("rolled_owner_id", BigInteger, nullable=False),
    Column("months", ARRAY(Date), nullable=False),
    Column("orders", ARRAY(Integer), nullable=False),
    Column("revenue", ARRAY(Numeric(16, 2)), nullable=False),
    PrimaryKeyConstraint("customer_id"),
    info={"rule": "child", "area": "metrics"},
)

# customer_months added up: of the customers whose first purchase lies in the month `cohort`, who bought in `month`.
cohort_sums = Table(
    "cohort_sums",
    metadata,
    Column("owner_id", BigInteger, nullable=False, autoincrement=False),
    Column("cohort", Date, nullable=False),
    Column("month", Date, nullable=False),
    Column("customers", Integer, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("revenue", Numeric(18, 2), nullable=False),
    PrimaryKeyConstraint("owner_id", "cohort", "month"),
    info={"rule": "rollup", "area": "metrics"},
)

# How many intervals between two days with a purchase of a customer were so many days long, of all time.
interval_sums = Table(
    "interval_sums",
    metadata,
    Column("owner_id", BigInteger, nullable=False, autoincrement=False),
    Column("days", Integer, nullable=False, autoincrement=False),
    Column("intervals", BigInteger, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("owner_id", "days"),
    info={"rule": "rollup", "area": "metrics"},
)

# How long everybody's customers took from one purchase to the next, of those who first bought in a month, under the
# owner -1, whom no scope has. `days` are those of the wait, and of one that has not ended those from 1970 to the
# purchase. Of customers whose first purchase lies before `known_from`, from which it is known to be the first, only the
# number, as step 0.
wait_sums = Table(
    "wait_sums",
    metadata,
    Column("owner_id", BigInteger, nullable=False, autoincrement=False),
    Column("month", Date, nullable=False),
    Column("step", SmallInteger, nullable=False, autoincrement=False),
    Column("happened", Boolean, nullable=False),
    Column("days", Integer, nullable=False, autoincrement=False),
    Column("customers", Integer, nullable=False),
    Column("known_from", Date, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("owner_id", "month", "step", "happened", "days"),
    info={"rule": "rollup", "area": "metrics"},
)

# The days on which customers' classes are kept: month ends, and last the present day as it was when all were told.
# Beside each the bounds between the scores that its classes are by, empty without any order, and when they were taken.
class_days = Table(
    "class_days",
    metadata,
    Column("day", Date, nullable=False),
    Column("recency", ARRAY(Numeric), nullable=False),
    Column("frequency", ARRAY(Numeric), nullable=False),
    Column("monetary", ARRAY(Numeric), nullable=False),
    Column("value", ARRAY(Numeric), nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    # The numbers of the versions of the rules of stages and scores.
    Column("rules", Text, nullable=False),
    PrimaryKeyConstraint("day"),
    info={"rule": "shared", "area": "metrics"},
)

# What class a customer who is not archived was in on each of these days, in their order, a byte for each day: the place
# of the stage, the RFM class, the RFM value class and the value decile in their lists, from 1; 0 where there was none.
customer_classes = Table(
    "customer_classes",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("stages", LargeBinary, nullable=False),
    Column("rfm_classes", LargeBinary, nullable=False),
    Column("rfm_values", LargeBinary, nullable=False),
    Column("deciles", LargeBinary, nullable=False),
    PrimaryKeyConstraint("customer_id"),
    info={"rule": "child", "area": "metrics"},
)

# The product categories that stand in baskets, each with the number of its bit: db/baskets.py chooses them.
basket_categories = Table(
    "basket_categories",
    metadata,
    Column("code", SmallInteger, nullable=False, autoincrement=False),
    Column("category", Text, nullable=False),
    PrimaryKeyConstraint("code"),
    UniqueConstraint("category"),
    info={"rule": "shared", "area": "metrics"},
)

# The orders of a customer who is not archived that have a line with a category: the month of each, in order, and beside
# it the categories as bits. `rolled_owner_id` is whose rows of basket_sums hold them.
customer_baskets = Table(
    "customer_baskets",
    metadata,
    Column("customer_id", BigInteger, nullable=False, autoincrement=False),
    Column("rolled_owner_id", BigInteger, nullable=False),
    Column("months", ARRAY(Date), nullable=False),
    Column("baskets", ARRAY(BigInteger), nullable=False),
    PrimaryKeyConstraint("customer_id"),
    info={"rule": "child", "area": "metrics"},
)

# How many orders of a month hold both categories, one where `first` is `second`, and how many there are where both are
# -1. Each owner's, and everybody's under the owner -1, whom no scope has.
basket_sums = Table(
    "basket_sums",
    metadata,
    Column("owner_id", BigInteger, nullable=False, autoincrement=False),
    Column("month", Date, nullable=False),
    Column("first", SmallInteger, nullable=False, autoincrement=False),
    Column("second", SmallInteger, nullable=False, autoincrement=False),
    Column("orders", Integer, nullable=False),
    PrimaryKeyConstraint("owner_id", "month", "first", "second"),
    info={"rule": "rollup", "area": "metrics"},
)
