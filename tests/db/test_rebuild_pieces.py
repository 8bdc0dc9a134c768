"""A rebuild from whatever stands ends where one from nothing ends, in pieces of a few customers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update

from db import derived, rebuild_pieces, schema
from db.connection import begin
from db.permissions import WORKER
from tests import make
from tests.db.test_derived import undone

MADE = ("customer_metrics", "order_days", "daily_sales", "customer_months", "cohort_sums", "customer_classes")


def stands(conn: Any) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of these tables, without the time of their making."""
    return {
        name: {
            tuple(tuple(each) if isinstance(each, list) else each for each in row)
            for row in conn.execute(select(*(c for c in schema.metadata.tables[name].c if c.name != "refreshed_at")))
        }
        for name in MADE
    }


def test_what_is_wrong_or_in_vain_is_put_right_and_the_rest_is_not_written(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_pieces, "PIECE_BITS", 2)
    monkeypatch.setattr(rebuild_pieces, "PASS_BYTES", 1)
    with undone() as conn:
        ids = [make.customer(conn, people.ann.user_id, region=f"R{n % 3}") for n in range(11)]
        for n, customer in enumerate(ids):
            for k in range(n % 5):
                make.order(conn, customer, date(2026, 1, 30 - 7 * k), f"{n}.{k}5", currency=("USD", "EUR")[k % 2])
                make.order(conn, customer, date(2026, 1, 30 - 7 * k), "1.00", currency=("EUR", "USD")[k % 2], hour=1)
        derived.rebuild(conn)
        right = stands(conn)
        m, d = schema.customer_metrics.c, schema.daily_sales.c
        conn.execute(update(schema.customer_metrics).where(m.customer_id == ids[4]).values(revenue=7, orders=0))
        conn.execute(delete(schema.order_days).where(schema.order_days.c.customer_id == ids[3]))
        conn.execute(update(schema.daily_sales).where(d.currency == "EUR").values(orders=9))
        conn.execute(update(schema.daily_sales).where(d.region == "R1").values(region="gone"))
        vain = ids[-1] + 1_000_000
        conn.execute(
            update(schema.customer_months)
            .where(schema.customer_months.c.customer_id == ids[2])
            .values(months=[date(2020, 1, 1)])
        )
        for name in ("customer_metrics", "order_days", "customer_months", "customer_classes"):
            own = schema.metadata.tables[name].c.customer_id
            conn.execute(update(schema.metadata.tables[name]).where(own == ids[1]).values(customer_id=vain))
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
