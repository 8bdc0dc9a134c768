"""Makers of test rows: plain functions with good defaults. They write as the schema's owner, past the one door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, text

from db import clock, connection, schema
from db.permissions import NOBODY, Role, Viewer


@dataclass(frozen=True)
class People:
    """The cast of the tests, as viewers."""

    ann: Viewer
    bo: Viewer
    cho: Viewer
    mia: Viewer
    max: Viewer
    ana: Viewer
    mark: Viewer
    root: Viewer

    @property
    def everyone(self) -> tuple[Viewer, ...]:
        return (self.ann, self.bo, self.cho, self.mia, self.max, self.ana, self.mark, self.root)


def people() -> People:
    """Insert the cast: team 1 is Ann, Bo, Mia; team 2 is Cho, Max; nobody else has a team."""
    now = clock.now()
    stamps = {"created_at": now, "updated_at": now}
    cast = [
        ("ann", Role.SALES, 1),
        ("bo", Role.SALES, 1),
        ("cho", Role.SALES, 2),
        ("mia", Role.MANAGER, 1),
        ("max", Role.MANAGER, 2),
        ("ana", Role.ANALYST, None),
        ("mark", Role.MARKETER, None),
        ("root", Role.ADMIN, None),
    ]
    with connection.begin_owner() as conn:
        conn.execute(insert(schema.teams), [{"id": i, "name": f"Team {i}", **stamps} for i in (1, 2)])
        ids = {
            name: conn.scalar(
                insert(schema.users)
                .values(username=name, name=name.title(), role=role.value, team_id=team, **stamps)
                .returning(schema.users.c.id)
            )
            for name, role, team in cast
        }
    members = {1: ("ann", "bo", "mia"), 2: ("cho", "max")}
    found = {}
    for name, role, team in cast:
        own: tuple[int, ...] = ()
        if role is Role.SALES:
            own = (ids[name],)
        elif role is Role.MANAGER:
            own = tuple(sorted([NOBODY, *(ids[m] for m in members[team])]))
        found[name] = Viewer(ids[name], name, role, own)
    return People(**found)


def customer(conn: Connection, owner_id: int = NOBODY, **values: Any) -> int:
    """One customer whom searches find; gives its id."""
    made = bare_customer(conn, owner_id, **values)
    kept(conn, made)
    return made


def bare_customer(conn: Connection, owner_id: int = NOBODY, **values: Any) -> int:
    """The row of one customer alone, as it is in older schemas too; gives its id."""
    from db.customers import keys

    row = {"name": "Test Customer", **values}
    now = clock.now()
    return conn.scalar(
        insert(schema.customers)
        .values(owner_id=owner_id, created_at=now, updated_at=now, **row, **keys(row))
        .returning(schema.customers.c.id)
    )


def kept(conn: Connection, customer_id: int) -> None:
    """Let searches find the customer as it stands now, as the one door does after a write."""
    conn.exec_driver_sql("SELECT public.keep_texts(%(ids)s::bigint[])", {"ids": [customer_id]})


def order(
    conn: Connection,
    customer_id: int,
    on: date,
    amount: str = "10.00",
    *,
    currency: str = "USD",
    hour: int = 12,
) -> int:
    """One order without lines at an hour (UTC) of a day; gives its id."""
    at = datetime.combine(on, datetime.min.time(), tzinfo=clock.now().tzinfo) + timedelta(hours=hour)
    values = {
        "customer_id": customer_id,
        "placed_at": at,
        "placed_on": on,
        "currency": currency,
        "amount": Decimal(amount),
    }
    return conn.scalar(insert(schema.orders).values(**values).returning(schema.orders.c.id))


def count(conn: Connection, table: str) -> int:
    """Rows of a table, as the connection's role sees them."""
    return conn.scalar(select(text("count(*)")).select_from(schema.metadata.tables[table]))
