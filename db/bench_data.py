"""Bench data: a synthetic company of any size, loaded into an empty database to measure what Kehu does at that size.

Per customer about 10 orders and 20 *events*, which in this schema are what happens to a customer beside the order
itself: 15 order lines, 4 campaigns received, half a coupon redeemed. So a million customers are ten million orders and
twenty million events. The rows are made by db/bench_rows.py, those of talks, tags, tasks and consents by
db/bench_around.py.

Unlike the demo it is loaded by the owner of the schema, by COPY into tables without indexes; like the demo it is one
transaction, a change set of recorded rows and one of a batch of loaded facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from time import monotonic
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, func, insert, select

from db import bench_around, bulk, changes, clock, derived, migrate, partitions, schema, search_keys
from db.bench_rows import CURRENCY, ORDERS, Company, Ints, Plan
from db.connection import begin_owner
from db.demo import ADVISORY_LOCK
from db.demo_data import Progress, quiet
from db.errors import Conflict
from db.permissions import WORKER, Permission, Role
from db.words import _

SOURCE = "Kehu bench data"
COMPANY = "Bench"
ZONE = "Asia/Shanghai"
SEED = 1
BYTES, BYTES_OF_ORDER = 4_000, 620
"""Of the database for each customer and for each order with its events, indexes included."""
CHUNK = 50_000
"""Rows of one COPY."""
AROUND = ("interactions", "notes", "tasks", "customer_tags", "consents")
BULK = ("customers", "customer_texts", "customer_keys", "orders", "order_items", "campaign_members", "changes", *AROUND)
"""Tables that are filled without their indexes."""


@dataclass(frozen=True)
class Loaded:
    """What a load did: rows by table, first and last day of orders, seconds in all, bytes of the whole database."""

    counts: dict[str, int]
    first_day: date
    last_day: date
    seconds: float
    bytes: int


def planned(customers: int, *, seed: int = SEED, last_day: date | None = None, orders: int = ORDERS) -> Plan:
    """The plan of a load, with so many orders for each customer on average; by default the last day is today."""
    return Plan(customers, seed, last_day or clock.today(ZONE), orders)


def about(plan: Plan) -> Loaded:
    """How large a load would be, roughly; the rest of it as `load` gives it."""
    n = plan.customers
    counts = {"customers": n, "orders": n * plan.orders, "events": n * plan.orders * 2}
    counts |= {"products": plan.products, "users": plan.sales}
    return Loaded(counts, plan.first_day, plan.last_day, 0.0, n * (BYTES + plan.orders * BYTES_OF_ORDER))


def load(plan: Plan, *, progress: Progress = quiet, source: str = "demo") -> Loaded:
    """Load into an empty database, in one transaction: interrupted it leaves nothing behind.

    Its tables are locked until the end. Raises Conflict for a database with customers, products or campaigns, or with
    users of the names that are needed, and while another load runs.
    """
    started = monotonic()
    with begin_owner() as conn:
        _prepare(conn)
        counts = write(conn, plan, progress=progress, source=source)
    progress(0.98, _("Statistics for the planner"))
    migrate.vacuum()
    progress(1.0, _("The bench data is loaded."))
    with begin_owner() as conn:
        size = conn.scalar(select(func.pg_database_size(conn.engine.url.database))) or 0
    return Loaded(counts, plan.first_day, plan.last_day, round(monotonic() - started, 1), size)


def write(conn: Connection, plan: Plan, *, progress: Progress = quiet, source: str = "demo") -> dict[str, int]:
    """Write everything into the owner's transaction and make the derived tables; gives the rows of each table."""
    progress(0.0, _("{n} customers").format(n=f"{plan.customers:,}"))
    company = Company(plan)
    counts: dict[str, int] = {}
    batch_id = _batch(conn, plan)
    recorded = _started(conn, source, None)
    _started(conn, source, batch_id)
    _write_settings(conn, recorded, plan)
    users = _write_users(conn, recorded, plan)

    def made(done: int, total: int, table: str) -> None:
        progress(0.3 + 0.25 * done / total, _("Indexes and keys of {table}").format(table=table))

    with bulk.without_indexes(conn, BULK, made):
        conn.exec_driver_sql("TRUNCATE customers, customer_keys, orders, order_items, campaign_members")
        ids = {"batch": batch_id, "customers": bulk.next_id(conn, "customers", plan.customers)}
        counts["customers"] = _copy_customers(conn, company, users, ids["customers"], recorded, progress)
        counts |= copy_around(conn, company, users, ids["customers"], recorded, progress)
        ids["products"] = bulk.next_id(conn, "products", plan.products)
        products, prices = company.products(ids["products"])
        counts["products"] = bulk.copy(conn, "products", products, frozen=False)
        counts |= _copy_orders(conn, company, prices, ids, progress)
        counts |= _write_campaigns(conn, company, ids, recorded, progress)
        search_keys.copy_texts(conn)
    conn.execute(schema.batches.update().where(schema.batches.c.id == batch_id).values(counts=counts))
    progress(0.55, _("Statistics for the planner"))
    conn.exec_driver_sql("ANALYZE")
    progress(0.58, _("Totals of each customer and day"))
    conn.exec_driver_sql("SET LOCAL work_mem = '512MB'")
    derived.rebuild(conn)
    # The owner's transaction does not move the generations on by itself.
    conn.info.pop("kehu_areas", None)
    conn.execute(schema.generations.update().values(n=schema.generations.c.n + 1))
    return counts | {"users": len(users), "events": sum(counts[t] for t in _EVENTS)}


_EVENTS = ("order_items", "campaign_members", "campaign_events")


def _prepare(conn: Connection) -> None:
    if not conn.scalar(select(func.pg_try_advisory_xact_lock(ADVISORY_LOCK))):
        raise Conflict(_("Another process is loading data. Wait until it is done."))
    for table in (schema.customers, schema.products, schema.campaigns):
        if conn.execute(select(table.c.id).limit(1)).first():
            raise Conflict(
                _("This database holds data already. The bench data can only be loaded into an empty one."),
                table=table.name,
            )
    conn.exec_driver_sql("SET LOCAL TimeZone = 'UTC'; SET LOCAL lock_timeout = '10s'")
    conn.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'; SET LOCAL max_parallel_maintenance_workers = 1")


def _batch(conn: Connection, plan: Plan) -> int:
    note = f"{plan.customers} customers, seed {plan.seed}, until {plan.last_day}"
    b = schema.batches
    made = insert(b).values(source=SOURCE, note=note, counts={}, loaded_at=clock.now()).returning(b.c.id)
    return int(conn.execute(made).scalar_one())


def _started(conn: Connection, source: str, batch_id: int | None) -> int:
    return changes.start(
        conn,
        actor=WORKER,
        command="bench.load",
        permission=Permission.DEMO_LOAD,
        source=source,
        reason=SOURCE,
        batch_id=batch_id,
    )


def _write_settings(conn: Connection, set_id: int, plan: Plan) -> None:
    wanted = {
        "company_name": COMPANY,
        "time_zone": ZONE,
        "currency": CURRENCY,
        "bench": {
            "customers": plan.customers,
            "seed": plan.seed,
            "last_day": plan.last_day.isoformat(),
            "orders": plan.orders,
        },
    }
    t = schema.settings.c
    standing = {key: row_id for key, row_id in conn.execute(select(t.key, t.id))}
    changes.insert(conn, set_id, "settings", [{"key": k, "value": v} for k, v in wanted.items() if k not in standing])
    old = [{"id": standing[key], "value": value} for key, value in wanted.items() if key in standing]
    changes.update(conn, set_id, "settings", old)


def _write_users(conn: Connection, set_id: int, plan: Plan) -> Ints:
    """Salespeople, a manager for each team, an analyst, a marketer, an administrator; gives the salespeople's ids.

    None has a password: `users link` gives one to whoever is to sign in.
    """
    teams = changes.insert(conn, set_id, "teams", [{"name": f"Bench {t + 1}"} for t in range(plan.teams)])
    rows: list[dict[str, Any]] = [
        {"username": f"bench.sales{i + 1}", "role": Role.SALES.value, "team_id": teams[plan.team_of(i)]}
        for i in range(plan.sales)
    ]
    rows += [
        {"username": f"bench.manager{t + 1}", "role": Role.MANAGER.value, "team_id": team}
        for t, team in enumerate(teams)
    ]
    rows += [
        {"username": f"bench.{role.value}", "role": role.value, "team_id": None}
        for role in (Role.ANALYST, Role.MARKETER, Role.ADMIN)
    ]
    names = [row["username"] for row in rows]
    taken = conn.execute(select(schema.users.c.username).where(schema.users.c.username.in_(names))).scalar()
    if taken:
        raise Conflict(_("There is a user named {name} already. Rename it, then load again.").format(name=taken))
    named = [row | {"name": row["username"].removeprefix("bench.").title()} for row in rows]
    return np.array(changes.insert(conn, set_id, "users", named)[: plan.sales], dtype=np.int64)


def _copy_customers(
    conn: Connection, company: Company, users: Ints, first_id: int, set_id: int, progress: Progress
) -> int:
    """Customers, a number of theirs that searches find, and their place in the history: keys only, as always."""
    total = company.plan.customers
    pieces = (slice(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK))
    for rows in bulk.ahead(company.customers(piece, users, first_id) for piece in pieces):
        bulk.copy(conn, "customers", rows, frozen=True)
        own, n = rows.column("id"), rows.num_rows
        number = pa.array(np.char.add("B", own.to_numpy().astype(str)))
        keys = pa.table({"kind": pa.array(["number"] * n), "value": number, "customer_id": own})
        bulk.copy(conn, "customer_keys", keys, frozen=True)
        _record(conn, set_id, "customers", own, own)
        done = int(own[-1].as_py()) - first_id + 1
        _tell(progress, _("{done} of {total} customers"), done, total, 0.02, 0.08)
    return total


def copy_around(
    conn: Connection, company: Company, users: Ints, first_id: int, set_id: int, progress: Progress = quiet
) -> dict[str, int]:
    """What people keep around customers, recorded as the customers are; gives the rows of each table."""
    total = company.plan.customers
    counts = dict.fromkeys(AROUND, 0)
    pieces = (slice(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK))
    made = ((piece.stop, *found) for piece in pieces for found in bench_around.rows(company, piece, users, first_id))
    for done, table, rows in bulk.ahead(made):
        n = rows.num_rows
        ids = pa.array(np.arange(n) + bulk.next_id(conn, table, max(n, 1)))
        counts[table] += bulk.copy(conn, table, rows.append_column("id", ids), frozen=False)
        _record(conn, set_id, table, rows.column("customer_id"), ids)
        _tell(progress, _("Talks, tags and tasks of {done} of {total} customers"), done, total, 0.08, 0.12)
    return counts


def _record(conn: Connection, set_id: int, table: str, customers: pa.Array, ids: pa.Array) -> None:
    """Their place in the history: keys only, as always with what is new."""
    n = len(ids)
    history = {
        "change_set_id": pa.array(np.full(n, set_id)),
        "customer_id": customers,
        "table_name": pa.array([table] * n),
        "row_id": ids,
        "action": pa.array(["insert"] * n),
        **{image: pa.array(["{}"] * n) for image in ("before", "after", "before_personal", "after_personal")},
    }
    bulk.copy(conn, "changes", pa.table(history), frozen=False)


def _copy_orders(
    conn: Connection, company: Company, prices: Ints, ids: dict[str, int], progress: Progress
) -> dict[str, int]:
    """Orders and lines; their sequences go on behind them."""
    first = {table: bulk.next_id(conn, table, 1) for table in ("orders", "order_items")}
    orders, lines, expected = 0, 0, company.plan.customers * company.plan.orders
    for order_rows, line_rows in bulk.ahead(company.orders(prices, ids | first)):
        for piece in _pieces(order_rows):
            orders += bulk.copy(conn, "orders", piece, frozen=True)
        for piece in _pieces(line_rows):
            lines += bulk.copy(conn, "order_items", piece, frozen=True)
        _tell(progress, _("{done} of about {total} orders"), orders, max(expected, orders), 0.12, 0.25)
    for table, n in (("orders", orders), ("order_items", lines)):
        bulk.next_id(conn, table, max(n, 1))
    return {"orders": orders, "order_items": lines}


def _pieces(rows: pa.Table) -> Iterator[pa.Table]:
    return (rows.slice(start, CHUNK) for start in range(0, rows.num_rows, CHUNK))


def _write_campaigns(
    conn: Connection, company: Company, ids: dict[str, int], set_id: int, progress: Progress
) -> dict[str, int]:
    """Campaigns, what they are for, who received them and which coupons were redeemed."""
    rows = company.campaigns()
    campaigns = changes.insert(conn, set_id, "campaigns", rows)
    promoted = company.promoted(np.array(campaigns), ids["products"])
    batch = ids["batch"]
    counts = {
        "campaigns": len(rows),
        "campaign_products": bulk.copy(conn, "campaign_products", _of_batch(promoted, batch), frozen=False),
        "campaign_members": 0,
        "campaign_events": 0,
    }
    first = company.plan.first_day
    conn.execute(select(func.make_event_months(first, company.plan.last_day)))
    partitions.make_ahead(conn, today=max(clock.today(ZONE), first))
    for i, (row, campaign_id) in enumerate(zip(rows, campaigns, strict=True)):
        members, events = (
            _of_batch(_of_customers(found, ids["customers"], campaign_id), batch)
            for found in company.members(i, _day(row["starts_on"]), _day(row["ends_on"]))
        )
        if members.num_rows:
            counts["campaign_members"] += bulk.copy(conn, "campaign_members", members, frozen=True)
        if events.num_rows:
            events = events.append_column("kind", pa.array(["redeemed"] * events.num_rows))
            counts["campaign_events"] += bulk.copy(conn, "campaign_events", events, frozen=False)
        _tell(progress, _("{done} of {total} campaigns"), i + 1, len(rows), 0.25, 0.3)
    return counts


def _day(value: object) -> date:
    assert isinstance(value, date)
    return value


def _of_customers(rows: pa.Table, first_id: int, campaign_id: int) -> pa.Table:
    """With the ids of customers, who were counted from 0, and of the campaign."""
    place = rows.column_names.index("customer_id")
    own = pa.array(rows.column("customer_id").to_numpy() + first_id)
    rows = rows.set_column(place, "customer_id", own)
    return rows.append_column("campaign_id", pa.array(np.full(rows.num_rows, campaign_id)))


def _of_batch(rows: pa.Table, batch_id: int) -> pa.Table:
    return rows.append_column("batch_id", pa.array(np.full(rows.num_rows, batch_id)))


def _tell(progress: Progress, sentence: str, done: int, total: int, start: float, end: float) -> None:
    progress(start + (end - start) * done / total, sentence.format(done=f"{done:,}", total=f"{total:,}"))
