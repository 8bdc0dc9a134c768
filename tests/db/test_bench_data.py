"""The bench data: small loads whose totals are added up again from the raw rows, and who may see what of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Connection, select, text

from db import bench_data, bench_rows, connection, customer, customers, derived, schema, scores, settings, undo
from db import viewers as everybody
from db.bench_rows import Company, Plan
from db.connection import begin
from db.errors import Conflict
from db.permissions import GATE, NOBODY, WORKER, Role, Viewer
from db.text import has_han
from tests import make

LAST = date(2026, 11, 20)
SMALL = Plan(300, 1, LAST)
SUMMED = ("campaign_results", "campaign_purchases", "campaign_sums", "stage_sums")
CATALOGUE = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
ORDER BY 1, 2, 3
"""


@pytest.fixture
def catalogue(owner: Connection) -> list[Any]:
    return list(owner.execute(text(CATALOGUE)))


@pytest.fixture
def loaded(clone: str, catalogue: list[Any]) -> bench_data.Loaded:
    return bench_data.load(SMALL)


def frame(conn: Connection, query: str) -> pd.DataFrame:
    rows = conn.execute(text(query))
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def viewer(name: str) -> Viewer:
    with begin(GATE) as conn:
        return everybody.viewer_of(conn, username=name)


# --- the rows --------------------------------------------------------------------------------------------------------


def pieces(plan: Plan) -> Iterator[pa.Table]:
    company = Company(plan)
    products, prices = company.products(1)
    yield company.customers(slice(0, plan.customers), bench_data.np.arange(plan.sales) + 10, 1)
    yield products
    for rows in company.orders(prices, {"customers": 1, "products": 1, "orders": 1, "order_items": 1, "batch": 1}):
        yield from rows
    for i, campaign in enumerate(company.campaigns()):
        yield from company.members(i, campaign["starts_on"], campaign["ends_on"])  # type: ignore[arg-type]


def test_the_same_plan_gives_the_same_rows_and_another_seed_gives_others() -> None:
    assert list(pieces(SMALL)) == list(pieces(Plan(300, 1, LAST)))
    one, other = next(pieces(SMALL)), next(pieces(Plan(300, 2, LAST)))
    assert one.column("name") != other.column("name")


def test_the_company_is_skewed_as_companies_are() -> None:
    company = Company(Plan(20_000, 1, LAST))
    rows = company.customers(slice(0, 20_000), bench_data.np.arange(company.plan.sales) + 1, 1).to_pandas()
    assert rows["name"].map(has_han).mean() == 0.5
    assert 0.04 < (rows["owner_id"] == NOBODY).mean() < 0.08
    assert 0.01 < rows["archived_at"].notna().mean() < 0.03
    assert rows["phone_key"][rows["phone_key"] != ""].is_unique
    assert rows["email_key"][rows["email_key"] != ""].is_unique
    _products, prices = company.products(1)
    ids = {"customers": 1, "products": 1, "orders": 1, "order_items": 1, "batch": 1}
    made = list(company.orders(prices, ids))
    orders = pa.concat_tables([o for o, _lines in made]).to_pandas()
    lines = pa.concat_tables([items for _orders, items in made]).to_pandas()
    per_customer = orders["customer_id"].value_counts()
    assert 9 < len(orders) / 20_000 < 11
    assert 1.4 < len(lines) / len(orders) < 1.6
    assert 1_700 < per_customer.iloc[0] < 2_300
    assert per_customer.median() < per_customer.mean()
    sold = lines["product_id"].value_counts()
    assert sold.iloc[:40].sum() > sold.sum() * 0.3, "a tenth of the products is a third of the sales"
    weekday = pd.to_datetime(orders["placed_on"]).dt.day_of_week.value_counts()
    assert weekday[6] > weekday[2] * 1.3
    assert orders["placed_at"].is_monotonic_increasing
    assert orders["placed_on"].min() >= company.plan.first_day
    assert orders["placed_on"].max() == LAST


def test_fewer_orders_can_be_asked_for_and_campaigns_are_fewer_too() -> None:
    counts = []
    for orders in (10, 2):
        company = Company(Plan(20_000, 1, LAST, orders))
        _products, prices = company.products(1)
        ids = {"customers": 1, "products": 1, "orders": 1, "order_items": 1, "batch": 1}
        made = sum(rows.num_rows for rows, _lines in company.orders(prices, ids))
        members = sum(company.members(i, LAST, LAST)[0].num_rows for i in range(company.plan.campaigns))
        counts.append((made, members))
    (all_orders, all_members), (some_orders, some_members) = counts
    assert 4.7 < all_orders / some_orders < 5.3
    assert some_members < all_members / 3


def test_a_large_company_has_500_salespeople_in_50_teams_one_of_which_is_large() -> None:
    plan = Plan(1_000_000, 1, LAST)
    sizes = pd.Series([plan.team_of(i) for i in range(plan.sales)]).value_counts()
    assert (plan.sales, plan.teams, len(sizes), sizes[0]) == (500, 50, 50, 50)
    assert sizes.drop(0).between(9, 10).all()


# --- the load --------------------------------------------------------------------------------------------------------


def test_keys_and_search_text_are_those_that_the_app_would_write(loaded: bench_data.Loaded, owner: Connection) -> None:
    rows = owner.execute(select(schema.customers)).mappings().all()
    assert len(rows) == 300
    for row in rows:
        assert customers.keys(row) == {key: row[key] for key in customers.keys(row)}


def test_what_is_counted_stands_in_the_tables(loaded: bench_data.Loaded, owner: Connection) -> None:
    counted = {name: make.count(owner, name) for name in loaded.counts if name not in ("users", "events")}
    assert counted == {name: loaded.counts[name] for name in counted}
    assert loaded.counts["events"] == sum(counted[t] for t in ("order_items", "campaign_members", "campaign_events"))
    [batch] = owner.execute(select(schema.batches)).all()
    assert batch.counts == counted
    assert owner.scalar(text("SELECT count(*) FROM campaign_events_default")) == 0


def test_orders_are_the_sums_of_their_lines(loaded: bench_data.Loaded, owner: Connection) -> None:
    orders = frame(owner, "SELECT id, customer_id, amount, discount, lines, placed_on, placed_at FROM orders")
    lines = frame(owner, "SELECT order_id, customer_id, amount, retail_discount FROM order_items")
    sums = lines.groupby("order_id").agg(
        amount=("amount", "sum"), discount=("retail_discount", "sum"), lines=("amount", "size")
    )
    assert sums.equals(orders.set_index("id")[["amount", "discount", "lines"]].sort_index().rename_axis("order_id"))
    of_customer = orders.set_index("id")["customer_id"]
    assert (lines["order_id"].map(of_customer) == lines["customer_id"]).all()
    local = pd.to_datetime(orders["placed_at"], utc=True).dt.tz_convert(bench_data.ZONE).dt.date
    assert (local == orders["placed_on"]).all()
    assert orders["placed_on"].between(LAST - timedelta(days=729), LAST).all()


def test_members_say_what_their_redemptions_say(loaded: bench_data.Loaded, owner: Connection) -> None:
    members = frame(
        owner,
        "SELECT m.customer_id, m.campaign_id, redemptions, first_redeemed_on, received_on, c.starts_on, c.ends_on "
        "FROM campaign_members AS m JOIN campaigns AS c ON c.id = m.campaign_id",
    ).set_index(["customer_id", "campaign_id"])
    events = frame(owner, "SELECT customer_id, campaign_id, occurred_on FROM campaign_events")
    found = events.groupby(["customer_id", "campaign_id"])["occurred_on"].agg(["size", "min"])
    redeemed = members[members["redemptions"] > 0].sort_index()
    assert list(redeemed["redemptions"]) == list(found["size"])
    assert list(redeemed["first_redeemed_on"]) == list(found["min"])
    assert members[members["redemptions"] == 0]["first_redeemed_on"].isna().all()
    assert (redeemed["first_redeemed_on"] >= redeemed["starts_on"]).all()
    assert (members["received_on"] <= members["starts_on"]).all()


def test_the_derived_tables_are_what_a_rebuild_and_a_check_say(loaded: bench_data.Loaded, owner: Connection) -> None:
    derived_tables = ("customer_metrics", "customer_categories", "order_days", "daily_sales", *SUMMED)

    def whole() -> list[list[Any]]:
        kept = (
            c for t in derived_tables for c in [[x for x in schema.metadata.tables[t].c if x.name != "refreshed_at"]]
        )
        with connection.engine().connect() as conn:
            return [sorted(conn.execute(select(*columns)).all()) for columns in kept]

    with begin(WORKER) as conn:
        assert not derived.check(conn).found
        bounds = scores.bounds(conn)[0]
    before = whole()
    assert all(before)
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    assert whole() == before
    with begin(WORKER) as conn:
        assert scores.bounds(conn)[0] == bounds


def test_keys_and_indexes_are_as_the_migrations_made_them(
    catalogue: list[Any], loaded: bench_data.Loaded, owner: Connection
) -> None:
    owner.rollback()
    months = [row for row in owner.execute(text(CATALOGUE)) if not row[0].startswith("campaign_events_2")]
    assert months == [row for row in catalogue if not row[0].startswith("campaign_events_2")]


def test_ids_go_on_behind_those_that_were_loaded(loaded: bench_data.Loaded, owner: Connection) -> None:
    most = owner.scalar(text("SELECT max(id) FROM customers"))
    admin = viewer("bench.admin")
    with begin(admin, write=True) as conn:
        customer_id, _set = customer.add(conn, actor=admin, values={"name": "张新"})
    assert customer_id == most + 1
    with connection.begin_owner() as conn:
        assert make.order(conn, customer_id, LAST) > owner.scalar(text("SELECT max(id) FROM orders"))


# --- rights ----------------------------------------------------------------------------------------------------------


def test_everybody_sees_what_their_role_sees(loaded: bench_data.Loaded, owner: Connection) -> None:
    total = make.count(owner, "customers")
    team = owner.scalar(text("SELECT team_id FROM users WHERE username = 'bench.manager1'"))
    members = owner.scalars(text("SELECT id FROM users WHERE team_id = :t"), {"t": team}).all()
    counted: Callable[[tuple[int, ...]], int] = lambda ids: owner.scalar(  # noqa: E731
        select(text("count(*)")).select_from(schema.customers).where(schema.customers.c.owner_id.in_(ids))
    )
    sales = viewer("bench.sales1")
    expected = {
        "bench.sales1": counted((sales.user_id,)),
        "bench.manager1": counted((NOBODY, *members)),
        "bench.analyst": total,
        "bench.admin": total,
    }
    assert 0 < expected["bench.sales1"] < expected["bench.manager1"] < total
    for name, n in expected.items():
        with begin(viewer(name)) as conn:
            assert conn.scalar(text("SELECT count(*) FROM customers")) == n, name
            orders = conn.scalar(text("SELECT count(*) FROM orders"))
        assert (orders == make.count(owner, "orders")) == (n == total), name
    with begin(viewer("bench.analyst")) as conn:
        assert (
            conn.execute(text("SELECT 1 FROM customers WHERE phone <> '' OR search_text <> '' LIMIT 1")).first() is None
        )


def test_nobody_can_sign_in_without_being_given_a_link(loaded: bench_data.Loaded, owner: Connection) -> None:
    assert owner.scalars(text("SELECT DISTINCT password_hash FROM users")).all() == [None]
    assert not owner.scalar(text("SELECT bool_or(demo) FROM users"))
    assert not settings.get(owner).demo
    assert {r for (r,) in owner.execute(text("SELECT DISTINCT role FROM users"))} == {
        r.value for r in (Role.ADMIN, Role.ANALYST, Role.MANAGER, Role.MARKETER, Role.SALES)
    }


# --- an empty database only, and all or nothing ----------------------------------------------------------------------


def test_a_database_with_data_is_refused_and_left_alone(loaded: bench_data.Loaded, owner: Connection) -> None:
    with pytest.raises(Conflict, match="empty one"):
        bench_data.load(SMALL)
    assert make.count(owner, "customers") == 300
    assert make.count(owner, "batches") == 1


def test_a_user_of_the_same_name_is_a_conflict(clone: str, owner: Connection) -> None:
    with connection.begin_owner() as conn:
        conn.execute(
            schema.users.insert().values(
                username="bench.admin",
                role="admin",
                created_at=bench_data.clock.now(),
                updated_at=bench_data.clock.now(),
            )
        )
    with pytest.raises(Conflict, match=r"bench\.admin"):
        bench_data.load(SMALL)
    assert make.count(owner, "customers") == 0


@pytest.mark.parametrize("part", [0.05, 0.2, 0.4, 0.58])
def test_interrupted_it_leaves_nothing_behind(clone: str, catalogue: list[Any], owner: Connection, part: float) -> None:
    owner.rollback()

    def stop(done: float, _sentence: str) -> None:
        if done >= part:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_data.load(SMALL, progress=stop)
    assert list(owner.execute(text(CATALOGUE))) == catalogue
    for table in ("customers", "products", "orders", "campaigns", "batches", "changes", "customer_metrics"):
        assert make.count(owner, table) == 0
    assert make.count(owner, "users") == 1  # nobody
    owner.rollback()
    assert bench_data.load(SMALL).counts["customers"] == 300


def test_a_small_load_is_taken_back_as_the_demo_is(loaded: bench_data.Loaded, owner: Connection) -> None:
    found = owner.execute(select(schema.change_sets).order_by(schema.change_sets.c.id)).all()
    assert [(s.command, s.source, s.batch_id is None) for s in found] == [
        ("bench.load", "demo", True),
        ("bench.load", "demo", False),
    ]
    assert owner.scalar(text("SELECT count(*) FROM changes WHERE table_name = 'customers'")) == 300
    admin = viewer("bench.admin")
    with begin(admin, write=True) as conn:
        undone = undo.undo(conn, actor=admin, change_set_id=found[1].id, source="terminal")
    facts = ("orders", "order_items", "campaign_members", "campaign_events", "campaign_products")
    assert undone.rows == sum(loaded.counts[t] for t in facts)
    owner.rollback()
    assert [make.count(owner, t) for t in facts] == [0] * len(facts)
    with begin(WORKER, write=True) as conn:
        while derived.refresh(conn):
            pass
    owner.rollback()
    assert owner.scalar(text("SELECT sum(orders) FROM customer_metrics")) == 0
    assert make.count(owner, "daily_sales") == 0
    assert make.count(owner, "customers") == 300


def test_it_is_the_size_that_was_announced() -> None:
    about = bench_data.about(Plan(1_000_000, 1, LAST))
    assert (about.counts["orders"], about.counts["events"]) == (10_000_000, 20_000_000)
    assert about.counts["orders"] == bench_rows.ORDERS * 1_000_000
    fewer = bench_data.about(Plan(1_000_000, 1, LAST, 2))
    assert (fewer.counts["orders"], fewer.counts["events"]) == (2_000_000, 4_000_000)
    assert about.bytes > fewer.bytes > about.bytes / 3
