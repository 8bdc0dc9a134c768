"""Every table. `info` on a table is its owner rule: db/rights.py turns it into policies, grants and views.

info["rule"] is one of
    customers   row-level security by owner_id; masked roles read a view
    child       belongs to a customer: scoped roles reach it only through a view under the customer's policy
    rollup      sums keyed by owner_id: row-level security by owner_id
    shared      everybody who is signed in may read it
    personal    a user's own, which may be shared: others read it then; with info["team"] the owner's team may, too;
                with info["of"], a table and a column, it is part of a row there, and read by who reads that row
    own         a user's own, read and written by nobody else; the worker may remove it unread. With info["everybody"]
                the masked roles have such rows too, and the worker has no part in them
    record      history: append-only; scoped roles see what concerns their customers
    gate        sign-in only
    queue       anybody who writes may append; only the worker reads
    campaigns   everybody reads them; people write those that they start themselves, where their role starts any
    by_segment  of a segment: seen by who sees the segment
    hidden      read through functions that give back what the viewer may see; only the worker reaches the table
info["recorded"]: rows are edited by people and only through db/changes.py. info["once"]: rows are written once by who
may edit the customer, shared ones by administrators, and nobody but the worker changes or removes them. info["area"]:
the cache generation it moves; info["moves_with"]: those of which one moves whenever it changes, where it has no area of
its own; info["profiles"]: one more that moves unless a row is changed in none of PROFILE (db/areas.py).
Column info: "personal" is withheld from masked roles and kept apart in history; "derived" is computed from others;
"keyed" holds the values of custom fields, each of which counts as a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db import (
    columns,
    schema_around,
    schema_boards,
    schema_campaigns,
    schema_clusters,
    schema_definitions,
    schema_derived,
    schema_explorer,
    schema_fields,
    schema_files,
    schema_segments,
    schema_views,
    written,
)
from db.columns import PERSONAL, PERSONAL_DERIVED
from db.columns import identity as _id
from db.columns import one_of as _one_of
from db.columns import text_column as _text
from db.columns import versioned as _version

metadata = columns.metadata

ROLES = ("sales", "manager", "analyst", "marketer", "admin")
LANGUAGES = ("en", "zh_CN")


# --- users ---------------------------------------------------------------------------------------------------------

teams = Table(
    "teams",
    metadata,
    _id(),
    _text("name"),
    *_version(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("name"),
    info={"rule": "shared", "recorded": True, "area": "users"},
)

users = Table(
    "users",
    metadata,
    _id(),
    _text("username"),
    _text("name"),
    Column("email", Text, nullable=True),
    Column("role", Text, nullable=False),
    Column("team_id", BigInteger, ForeignKey("teams.id", ondelete="RESTRICT")),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("language", Text, nullable=True),
    Column("password_hash", Text, nullable=True),
    Column("failed_count", Integer, nullable=False, server_default="0"),
    Column("locked_until", DateTime(timezone=True)),
    Column("auth_epoch", Integer, nullable=False, server_default="1"),
    Column("demo", Boolean, nullable=False, server_default=text("false")),
    Column("seen_at", DateTime(timezone=True)),
    *_version(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("username"),
    _one_of("role", ROLES, "role"),
    CheckConstraint(text("username = lower(username) AND username <> ''"), name="username"),
    Index("users_team_id_idx", "team_id"),
    # What other people may read of a user; sign-in columns are for the gate alone.
    info={"rule": "users", "recorded": True, "area": "users"},
)
USER_SHARED_COLUMNS = ("id", "username", "name", "role", "team_id", "active")
USER_SIGN_IN_COLUMNS = ("password_hash", "failed_count", "locked_until", "auth_epoch", "seen_at")

app_sessions = Table(
    "app_sessions",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("auth_epoch", Integer, nullable=False),
    Column("token_hash", Text, nullable=True),
    Column("ticket_hash", Text, nullable=True),
    Column("ticket_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    _text("user_agent"),
    _text("address"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("token_hash"),
    UniqueConstraint("ticket_hash"),
    Index("app_sessions_user_id_idx", "user_id"),
    info={"rule": "gate"},
)

user_links = Table(
    "user_links",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("token_hash"),
    Index("user_links_user_id_idx", "user_id"),
    info={"rule": "gate"},
)

# Attempts to sign in under names that do not exist are counted too, so that lockout does not tell which do.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("name_hash", Text, nullable=False),
    Column("failed_count", Integer, nullable=False, server_default="0"),
    Column("locked_until", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name_hash"),
    info={"rule": "gate"},
)

# A file that a screen has offered to its user: asked for once, for ten minutes, by a random name in the address.
exports = Table(
    "exports",
    metadata,
    _id(),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("downloaded_at", DateTime(timezone=True)),
    Column("rows", Integer),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("token_hash"),
    Index("exports_user_id_idx", "user_id", "id"),
    info={"rule": "gate"},
)

settings = Table(
    "settings",
    metadata,
    _id(),
    _text("key"),
    Column("value", JSONB, nullable=False),
    *_version(),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("key"),
    info={"rule": "shared", "recorded": True, "area": "settings"},
)

# --- customers -----------------------------------------------------------------------------------------------------


def _searched(key: str) -> Index:
    """The index of a key that searches begin with: it says by itself whose a customer is, and whether it is listed."""
    known = None if key in ("name_key", "initials_key") else text(f"{key} <> ''")
    covered = ["id", "archived_at"]
    return Index(f"customers_{key}_idx", key, "owner_id", postgresql_include=covered, postgresql_where=known)


customers = Table(
    "customers",
    metadata,
    _id(),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False, server_default="0"),
    Column("kind", Text, nullable=False, server_default="person"),
    _text("name", info=PERSONAL),
    _text("company", info=PERSONAL),
    _text("email", info=PERSONAL),
    _text("phone", info=PERSONAL),
    _text("address", info=PERSONAL),
    _text("city"),
    _text("region"),
    _text("source"),
    _text("age_band"),
    _text("income_band"),
    _text("home_ownership"),
    _text("marital_status"),
    _text("household_size"),
    _text("household_kind"),
    _text("children"),
    Column("archived_at", DateTime(timezone=True)),
    Column("merged_into_id", BigInteger),
    Column("sort_key", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("name_key", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("pinyin_key", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("initials_key", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("email_key", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("phone_key", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("phone_reversed", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    Column("search_text", Text(collation="C"), nullable=False, server_default="", info=PERSONAL_DERIVED),
    *_version(),
    schema_fields.values_by_key("custom"),
    schema_fields.values_by_key("custom_personal", personal=True),
    PrimaryKeyConstraint("id"),
    _one_of("kind", ("person", "company"), "kind"),
    # With whether they are listed: how many of one's own there are is answered by the index alone.
    Index("customers_owner_id_sort_key_idx", "owner_id", "sort_key", "id", postgresql_include=["archived_at"]),
    Index("customers_sort_key_idx", "sort_key", "id"),
    Index("customers_region_idx", "region", "owner_id"),
    Index("customers_source_idx", "source", "owner_id"),
    # What segments and counts of everybody look at, in a quarter of the bytes of the rows themselves.
    Index(
        "customers_profile_idx",
        "id",
        postgresql_include=[
            *("owner_id", "region", "city", "source", "age_band", "income_band", "home_ownership", "marital_status"),
            *("household_size", "household_kind", "children", "created_at", "archived_at"),
        ],
    ),
    Index("customers_archived_idx", "id", postgresql_where=text("archived_at IS NOT NULL")),
    _searched("name_key"),
    _searched("pinyin_key"),
    _searched("initials_key"),
    _searched("email_key"),
    _searched("phone_key"),
    _searched("phone_reversed"),
    info={"rule": "customers", "recorded": True, "area": "customers", "profiles": "profiles"},
)

PROFILE = frozenset(
    c.name
    for c in customers.columns
    if not {"personal", "keyed"} & c.info.keys() and c.name not in ("version", "updated_at")
)
"""What figures are made of: neither who somebody is by name nor how they are reached."""

customer_keys = Table(
    "customer_keys",
    metadata,
    _text("kind"),
    _text("value"),
    Column("customer_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("value", "kind"),
    Index("customer_keys_customer_id_idx", "customer_id"),
    info={"rule": "child", "masked": ("kind", "customer_id"), "area": "customers"},
)

notes = Table(
    "notes",
    metadata,
    Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="RESTRICT"), nullable=False),
    _id(),
    Column("author_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    _text("body", info=PERSONAL),
    *_version(),
    written.column(),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("notes_author_id_idx", "author_id"),
    Index("notes_created_at_idx", "created_at", "customer_id"),
    written.index("notes"),
    info={"rule": "child", "recorded": True, "area": "around"},
)

# --- commerce ------------------------------------------------------------------------------------------------------

products = Table(
    "products",
    metadata,
    _id(),
    _text("sku"),
    _text("name"),
    _text("department"),
    _text("category"),
    _text("brand"),
    _text("package"),
    Column("placeholder", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("sku"),
    info={"rule": "shared", "area": "orders"},
)

batches = Table(
    "batches",
    metadata,
    _id(),
    _text("source"),
    _text("note"),
    Column("counts", JSONB, nullable=False),
    Column("loaded_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id"),
    info={"rule": "shared", "area": "orders"},
)

orders = Table(
    "orders",
    metadata,
    Column("customer_id", BigInteger, ForeignKey("customers.id", ondelete="RESTRICT"), nullable=False),
    _id(),
    _text("reference"),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    # The company day of placed_at: stored, so that days are the same in every query and an index can serve them.
    Column("placed_on", Date, nullable=False),
    _text("store"),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("discount", Numeric(14, 2), nullable=False, server_default="0"),
    Column("lines", Integer, nullable=False, server_default="0"),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("customer_id", "id"),
    Index("orders_placed_on_idx", "placed_on", "customer_id", postgresql_include=["currency", "amount"]),
    Index("orders_customer_id_placed_at_idx", "customer_id", text("placed_at DESC")),
    Index("orders_batch_id_idx", "batch_id"),
    info={"rule": "child", "area": "orders"},
)

order_items = Table(
    "order_items",
    metadata,
    Column("customer_id", BigInteger, nullable=False),
    _id(),
    Column("order_id", BigInteger, nullable=False),
    Column("product_id", BigInteger, ForeignKey("products.id", ondelete="RESTRICT"), nullable=False),
    Column("quantity", Numeric(14, 3), nullable=False),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("retail_discount", Numeric(14, 2), nullable=False, server_default="0"),
    Column("coupon_discount", Numeric(14, 2), nullable=False, server_default="0"),
    Column("coupon_match_discount", Numeric(14, 2), nullable=False, server_default="0"),
    PrimaryKeyConstraint("customer_id", "id"),
    ForeignKeyConstraint(["customer_id", "order_id"], ["orders.customer_id", "orders.id"], ondelete="RESTRICT"),
    Index("order_items_customer_id_order_id_idx", "customer_id", "order_id"),
    Index("order_items_product_id_idx", "product_id", "customer_id"),
    info={"rule": "child", "area": "orders"},
)

# --- marketing: db/schema_campaigns.py -------------------------------------------------------------------------------

campaigns = schema_campaigns.campaigns
campaign_products = schema_campaigns.campaign_products
campaign_members = schema_campaigns.campaign_members
campaign_held_out = schema_campaigns.campaign_held_out
campaign_events = schema_campaigns.campaign_events

# --- segments ------------------------------------------------------------------------------------------------------

# What somebody keeps under a name. Others see it when it is shared; only its owner (and an administrator) changes it.
segments = Table(
    "segments",
    metadata,
    _id(),
    _text("name"),
    _text("description"),
    Column("rule", JSONB, nullable=False),
    Column("owner_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("visibility", Text, nullable=False, server_default="private"),
    Column("archived_at", DateTime(timezone=True)),
    *_version(),
    # A live one has whom its rule finds; a frozen one those who were listed when it was made, and its rule says so.
    Column("kind", Text, nullable=False, server_default="live"),
    _text("folder"),
    Column("tags", JSONB, nullable=False, server_default=text("'[]'")),
    PrimaryKeyConstraint("id"),
    _one_of("visibility", ("private", "shared"), "visibility"),
    _one_of("kind", ("live", "frozen"), "kind"),
    Index(
        "segments_owner_id_name_key",
        "owner_id",
        text("lower(name)"),
        unique=True,
        postgresql_where=text("archived_at IS NULL"),
    ),
    info={"rule": "personal", "recorded": True, "area": "segments", "rules": True},
)

cluster_models = schema_clusters.cluster_models

# --- who is in them: db/schema_segments.py ---------------------------------------------------------------------------

segment_members = schema_segments.segment_members
segment_moves = schema_segments.segment_moves
segment_states = schema_segments.segment_states
segment_touches = schema_segments.segment_touches

# --- what surrounds a customer: db/schema_around.py, db/schema_files.py -----------------------------------------------

interactions = schema_around.interactions
tasks = schema_around.tasks
contacts = schema_around.contacts
addresses = schema_around.addresses
consents = schema_around.consents
attachments = schema_files.attachments
attachment_contents = schema_files.attachment_contents
customer_tags = schema_around.customer_tags

# --- custom fields, drafts, rules: db/schema_fields.py, db/schema_definitions.py --------------------------------------

custom_fields = schema_fields.custom_fields
drafts = schema_fields.drafts
definitions = schema_definitions.definitions
definition_versions = schema_definitions.definition_versions

# --- views and preferences: db/schema_views.py ------------------------------------------------------------------------

saved_views = schema_views.saved_views
boards, board_cards = schema_boards.boards, schema_boards.board_cards
preferences = schema_views.preferences

# --- derived: db/schema_derived.py -----------------------------------------------------------------------------------

score_bounds = schema_derived.score_bounds
customer_metrics = schema_derived.customer_metrics
order_days = schema_derived.order_days
customer_categories = schema_derived.customer_categories
campaign_results = schema_derived.campaign_results
campaign_purchases = schema_derived.campaign_purchases
campaign_sums = schema_derived.campaign_sums
stage_sums = schema_derived.stage_sums
daily_sales = schema_derived.daily_sales
customer_texts = schema_derived.customer_texts
moved_customers = schema_derived.moved_customers
search_words = schema_derived.search_words
search_parts = schema_derived.search_parts
customer_months = schema_explorer.customer_months
cohort_sums = schema_explorer.cohort_sums
basket_categories = schema_explorer.basket_categories
customer_baskets = schema_explorer.customer_baskets
basket_sums = schema_explorer.basket_sums
interval_sums = schema_explorer.interval_sums
wait_sums = schema_explorer.wait_sums
class_days = schema_explorer.class_days
customer_classes = schema_explorer.customer_classes

touched_customers = Table(
    "touched_customers",
    metadata,
    _id(),
    Column("customer_id", BigInteger, nullable=False),
    Column("touched_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("id"),
    # Each screen asks for the oldest; after a bulk action many wait.
    Index("touched_customers_touched_at_idx", "touched_at"),
    # Queued by who changes a customer or takes back a load, taken by who brings the sums up to date.
    info={"rule": "queue", "moves_with": ("metrics", "orders", "profiles")},
)

# --- record --------------------------------------------------------------------------------------------------------

change_sets = Table(
    "change_sets",
    metadata,
    _id(),
    Column("actor_id", BigInteger, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    # The command, the permission it needed (an undo needs it again), and where it came from.
    Column("command", Text, nullable=False),
    Column("permission", Text, nullable=False),
    Column("source", Text, nullable=False),
    _text("screen"),
    _text("reason"),
    Column("undoes_id", BigInteger, ForeignKey("change_sets.id", ondelete="RESTRICT")),
    Column("batch_id", BigInteger, ForeignKey("batches.id", ondelete="RESTRICT")),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("undoes_id"),
    _one_of("source", ("screen", "terminal", "worker", "import", "rule", "demo", "api"), "source"),
    Index("change_sets_actor_id_idx", "actor_id", "id"),
    info={"rule": "record"},
)

changes = Table(
    "changes",
    metadata,
    _id(),
    Column("change_set_id", BigInteger, ForeignKey("change_sets.id", ondelete="RESTRICT"), nullable=False),
    Column("customer_id", BigInteger, nullable=True),
    Column("table_name", Text, nullable=False),
    Column("row_id", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    # Images before and after; personal columns apart, so that an erasure can blank them.
    Column("before", JSONB, nullable=False),
    Column("after", JSONB, nullable=False),
    Column("before_personal", JSONB, nullable=False, info=PERSONAL),
    Column("after_personal", JSONB, nullable=False, info=PERSONAL),
    PrimaryKeyConstraint("id"),
    _one_of("action", ("insert", "update", "delete"), "action"),
    Index("changes_change_set_id_idx", "change_set_id"),
    Index("changes_customer_id_idx", "customer_id", "id"),
    Index("changes_table_name_row_id_idx", "table_name", "row_id", "id"),
    info={"rule": "record"},
)

# A number per area of data that moves on with every commit; part of every cache key.
generations = Table(
    "generations",
    metadata,
    Column("area", Text, nullable=False),
    Column("n", BigInteger, nullable=False),
    PrimaryKeyConstraint("area"),
    # Who asks how far areas have moved names them as what the answer depends on.
    info={"rule": "counter", "moves_with": ()},
)

AREAS = tuple(sorted({t.info[k] for t in metadata.tables.values() for k in ("area", "profiles") if k in t.info}))
RECORDED = {name: t for name, t in metadata.tables.items() if t.info.get("recorded")}


def moved(table: Table, columns: Iterable[str] | None = None) -> set[str]:
    """The areas that move when rows of a table come, go (columns None), or are changed in these columns."""
    narrow = (
        {table.info["profiles"]} if "profiles" in table.info and (columns is None or PROFILE & set(columns)) else set()
    )
    return {table.info["area"]} | narrow


CUSTOMER_TABLES = tuple(name for name, t in metadata.tables.items() if t.info["rule"] in ("customers", "child"))
