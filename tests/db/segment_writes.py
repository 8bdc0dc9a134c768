"""Whatever people and loads write that answers to rules depend on, drawn at random."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, select

from db import changes, clock, connection, derived, schema, tags
from db.connection import begin
from db.permissions import NOBODY, WORKER, Permission
from tests import make
from tests.db.segment_data import TODAY, Data


class Writes:
    """One after the other, to the customers of the data and those that it adds."""

    def __init__(self, data: Data, seed: int) -> None:
        self.root, self.rng, self.ids = data.people.root, random.Random(seed), list(data.ids)
        self.owners = (data.people.ann.user_id, data.people.bo.user_id, NOBODY)

    def any(self) -> None:
        """One of them."""
        rng, by = self.rng, {"author_id": self.root.user_id}
        now = clock.now()
        steps = (
            *(self.new, self.order, self.order, self.tag, self.tag, self.done),
            lambda: self.edit(owner_id=rng.choice(self.owners)),
            lambda: self.edit(region=rng.choice(["North", "", "Nowhere yet"])),
            lambda: self.edit(archived_at=rng.choice([None, now])),
            lambda: self.edit(phone=rng.choice(["", "1"])),
            lambda: self.add("tasks", title="T", due_on=TODAY - timedelta(1), assignee_id=self.root.user_id, **by),
            lambda: self.add(
                "interactions", kind=rng.choice(["call", "mail"]), happened_at=now, happened_on=TODAY, **by
            ),
            lambda: self.add("notes", body="N", **by),
            lambda: self.add("consents", channel="mail", state=rng.choice(["given", "refused"]), happened_at=now, **by),
        )
        rng.choice(steps)()

    def refresh(self) -> None:
        """Figures of those who bought."""
        with begin(WORKER, write=True) as conn:
            derived.refresh(conn)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Connection, int]]:
        with begin(self.root, write=True) as conn:
            asked: dict[str, Any] = {"permission": Permission.CUSTOMERS_EDIT, "source": "screen"}
            yield conn, changes.start(conn, actor=self.root, command="customer.save", **asked)

    def edit(self, **patch: Any) -> None:
        """One customer's row."""
        with self._changing() as (conn, set_id):
            changes.update(conn, set_id, "customers", [{"id": self.rng.choice(self.ids), **patch}])

    def new(self) -> None:
        """One customer more."""
        row = {"name": "N", "owner_id": self.rng.choice(self.owners), "region": self.rng.choice(["North", "Elsewhere"])}
        with self._changing() as (conn, set_id):
            self.ids += changes.insert(conn, set_id, "customers", [row])

    def order(self) -> None:
        """An order with a line, as loads write them."""
        one = self.rng.choice(self.ids)
        with connection.begin_owner() as conn:
            placed = make.order(conn, one, TODAY - timedelta(days=self.rng.randrange(100)), "10.01")
            line = {"order_id": placed, "product_id": self.rng.randint(1, 3), "quantity": 1, "amount": 1}
            conn.execute(insert(schema.order_items).values(customer_id=one, **line))
            conn.execute(insert(schema.touched_customers).values(customer_id=one, touched_at=clock.now()))
        self.refresh()

    def add(self, table: str, **values: Any) -> None:
        """A row around a customer."""
        with self._changing() as (conn, set_id):
            changes.insert(conn, set_id, table, [{"customer_id": self.rng.choice(self.ids), **values}])

    def tag(self) -> None:
        """A tag, or one less where the customer has it."""
        t, one = schema.customer_tags.c, self.rng.choice(self.ids)
        word = self.rng.choice(["Fresh", "second", f"n{self.rng.randrange(3)}"])
        with self._changing() as (conn, set_id):
            has = conn.execute(select(t.id).where(t.customer_id == one, t.tag_key == tags.key(word))).scalar()
            if has is None:
                changes.insert(conn, set_id, "customer_tags", [tags.row(one, word)])
            else:
                changes.delete(conn, set_id, "customer_tags", [{"customer_id": one, "id": has}])

    def done(self) -> None:
        """Some open tasks are done."""
        t = schema.tasks.c
        with self._changing() as (conn, set_id):
            rows = conn.execute(select(t.customer_id, t.id).where(t.done_at.is_(None)).limit(3)).mappings()
            changes.update(conn, set_id, "tasks", [{**row, "done_at": clock.now()} for row in rows])
