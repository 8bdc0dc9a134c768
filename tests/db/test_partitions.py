"""Months of events: made ahead, strays counted without reading the months."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import Connection, insert, select, text

from db import clock, partitions, schema
from db.connection import begin
from db.errors import Refused
from db.permissions import WORKER
from tests import make


def event(conn: Connection, on: date) -> None:
    customer = make.customer(conn)
    campaign = conn.scalar(select(schema.campaigns.c.id)) or conn.scalar(
        insert(schema.campaigns)
        .values(name="C", starts_on=on, ends_on=on, created_at=clock.now(), updated_at=clock.now())
        .returning(schema.campaigns.c.id)
    )
    values = {"customer_id": customer, "campaign_id": campaign, "kind": "redeemed", "occurred_on": on}
    conn.execute(insert(schema.campaign_events).values(**values))


def test_the_months_are_made_once_and_across_a_year(clone: str) -> None:
    with begin(WORKER, write=True) as conn:
        assert partitions.make_ahead(conn, today=date(2026, 11, 30)) == 4
        assert partitions.make_ahead(conn, today=date(2026, 12, 1)) == 1
        assert partitions.make_ahead(conn, today=date(2026, 12, 1)) == 0


def test_strays_are_those_before_between_and_after_the_months(clone: str) -> None:
    with begin(WORKER, write=True) as conn:
        assert partitions.strays(conn) == 0
        event(conn, date(2026, 1, 31))
        assert partitions.strays(conn) == 1  # there are no months at all yet
        conn.execute(text("SELECT make_event_months('2026-02-01', '2026-03-31')"))
        conn.execute(text("SELECT make_event_months('2026-12-01', '2026-12-31')"))
        for inside in (date(2026, 2, 1), date(2026, 3, 31), date(2026, 12, 1), date(2026, 12, 31)):
            event(conn, inside)
        assert partitions.strays(conn) == 1
        for outside in (date(2026, 4, 1), date(2026, 11, 30), date(2027, 1, 1)):
            event(conn, outside)
        assert partitions.strays(conn) == 4


def test_counting_strays_reads_no_month(clone: str) -> None:
    with begin(WORKER, write=True) as conn:
        conn.execute(text("SELECT make_event_months('2026-02-01', '2026-12-31')"))
        event(conn, date(2026, 5, 1))
        gap = "SELECT count(*) FROM campaign_events WHERE occurred_on >= '2027-01-01'"
        plan = "\n".join(conn.execute(text(f"EXPLAIN {gap}")).scalars())
    assert "campaign_events_default" in plan
    assert "campaign_events_2026" not in plan


def test_others_may_not_make_partitions(people: make.People) -> None:
    with pytest.raises(Refused), begin(people.root, write=True) as conn:
        partitions.make_ahead(conn, today=date(2026, 11, 30))
