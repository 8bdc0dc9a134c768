"""A rebuild from whatever stands ends where one from nothing ends, in pieces of a few customers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from db import clock, derived, rebuild_pieces, schema
from db.connection import begin
from db.permissions import WORKER
from tests import make
from tests.db.test_derived import undone

MADE = (
    *("customer_metrics", "order_days", "daily_sales", "customer_months", "cohort_sums", "customer_classes"),
    *("customer_baskets", "basket_sums", "customer_categories", "interval_sums", "wait_sums"),
    *("campaign_results", "campaign_purchases", "campaign_sums"),
)
ASIDE = ("refreshed_at", "made_at")


def stands(conn: Any) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of these tables, without the time of their making."""
    return {
        name: {
            tuple(tuple(each) if isinstance(each, list) else each for each in row)
            for row in conn.execute(select(*(c for c in schema.metadata.tables[name].c if c.name not in ASIDE)))
        }
        for name in MADE
    }


def promoted(conn: Any) -> tuple[int, list[int]]:
    """A campaign, and products of which it promotes the first."""
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    days = {"starts_on": date(2026, 1, 10), "ends_on": date(2026, 1, 25)}
    campaigns, products = schema.campaigns, schema.products
    campaign = conn.scalar(insert(campaigns).values(name="S", kind="A", **days, **stamps).returning(campaigns.c.id))
    sold = [
        conn.scalar(insert(products).values(sku=f"P{n}", name="p", category=f"c{n}").returning(products.c.id))
        for n in range(3)
    ]
    conn.execute(insert(schema.campaign_products).values(campaign_id=campaign, product_id=sold[0]))
    return campaign, sold


def test_what_is_wrong_or_in_vain_is_put_right_and_the_rest_is_not_written(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_pieces, "PIECE_BITS", 2)
    monkeypatch.setattr(rebuild_pieces, "PASS_BYTES", 1)
    with undone() as conn:
        ids = [make.customer(conn, people.ann.user_id, region=f"R{n % 3}") for n in range(11)]
        campaign, sold = promoted(conn)
        for n, customer in enumerate(ids):
            for k in range(n % 5):
                make.order(conn, customer, date(2026, 1, 30 - 7 * k), f"{n}.{k}5", currency=("USD", "EUR")[k % 2])
                of = make.order(
                    conn, customer, date(2026, 1, 30 - 7 * k), "1.00", currency=("EUR", "USD")[k % 2], hour=1
                )
                for each in sold[: (n + k) % 4]:
                    line = {"customer_id": customer, "order_id": of, "product_id": each}
                    conn.execute(insert(schema.order_items).values(**line, quantity=1, amount=k + 1))
            if n % 3:
                member = {"customer_id": customer, "campaign_id": campaign, "received_on": date(2026, 1, 10)}
                conn.execute(insert(schema.campaign_members).values(**member, redemptions=n % 2))
        derived.rebuild(conn)
        right = stands(conn)
        m, d = schema.customer_metrics.c, schema.daily_sales.c
        conn.execute(update(schema.customer_metrics).where(m.customer_id == ids[4]).values(revenue=7, orders=0))
        conn.execute(delete(schema.order_days).where(schema.order_days.c.customer_id == ids[3]))
        conn.execute(update(schema.daily_sales).where(d.currency == "EUR").values(orders=9))
        conn.execute(update(schema.daily_sales).where(d.region == "R1").values(region="gone"))
        vain = ids[-1] + 1_000_000
        assert all(right[name] for name in MADE)
        tables = {name: schema.metadata.tables[name] for name in MADE}
        for name, wrong in (
            ("customer_baskets", {"baskets": func.array_append(tables["customer_baskets"].c.baskets, 5)}),
            ("basket_sums", {"orders": 77}),
            ("campaign_results", {"promoted_orders": 9}),
            ("campaign_purchases", {"amount": 12}),
            ("campaign_sums", {"reached": 0}),
            ("customer_categories", {"categories": ["gone"]}),
        ):
            conn.execute(update(tables[name]).values(**wrong))
        b, r = tables["basket_sums"].c, tables["campaign_purchases"].c
        conn.execute(update(tables["basket_sums"]).where(b.second == 1).values(month=date(2020, 1, 1)))
        conn.execute(update(tables["campaign_purchases"]).where(r.customer_id == ids[4]).values(product_id=sold[2]))
        conn.execute(delete(tables["customer_baskets"]).where(tables["customer_baskets"].c.customer_id == ids[6]))
        conn.execute(
            update(schema.customer_months)
            .where(schema.customer_months.c.customer_id == ids[2])
            .values(months=[date(2020, 1, 1)])
        )
        for name in MADE:
            own = tables[name].c.get("customer_id")
            if own is None:
                continue
            conn.execute(update(tables[name]).where(own == ids[1]).values(customer_id=vain))
        derived.rebuild(conn)
        assert stands(conn) == right
        assert derived.check(conn) == derived.Drift((), (), 0)
    with begin(WORKER, write=True) as conn:
        make.order(conn, make.customer(conn, people.ann.user_id), date(2026, 1, 5), "3.00")
        derived.rebuild(conn)
    written = text("SELECT count(*) FROM customer_metrics WHERE xmin::text::bigint = txid_current() & 4294967295")
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
        assert conn.scalar(written) == 0
