"""`python -m tests.deploy.writer FILE SEED`: commands of all kinds without pause, until it is killed.

After each commit the change set's number is appended to FILE; while the database is away it tries again. As long as
there is a file FILE.calm it writes a few times a second only: a processor's worth of writes would delay what starts.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from sqlalchemy import Connection, select

from db import connection, customer, schema, undo
from db.errors import KehuError, Unavailable
from db.permissions import GATE, Role, Viewer

CALM_S = 0.2


def calming(acknowledged: Path) -> Path:
    """The file that asks for few writes."""
    return acknowledged.with_suffix(".calm")


def cast() -> dict[str, Viewer]:
    """The admin and one salesperson of tests/make.py's cast."""
    users = schema.users.c
    with connection.begin(GATE) as conn:
        ids = {name: user_id for name, user_id in conn.execute(select(users.username, users.id))}
    return {
        "root": Viewer(ids["root"], "root", Role.ADMIN),
        "ann": Viewer(ids["ann"], "ann", Role.SALES, (ids["ann"],)),
    }


def command(conn: Connection, chance: random.Random, people: dict[str, Viewer], done: list[int]) -> int | None:
    """One random command; gives its change set."""
    root, ann = people["root"], people["ann"]
    ids = list(conn.scalars(select(schema.customers.c.id).order_by(schema.customers.c.id)))
    kind = chance.choice(("add", "save", "save", "assign", "note", "undo"))
    if kind == "add" or len(ids) < 5:
        return customer.add(conn, actor=root, values={"name": f"客户 {chance.random()}"})[1]
    chosen = chance.choice(ids)
    if kind == "assign":
        owner_id = chance.choice((0, ann.user_id))
        return customer.assign(conn, actor=root, customer_ids=chance.sample(ids, 3), owner_id=owner_id)
    if kind == "note":
        return customer.add_note(conn, actor=root, customer_id=chosen, body=f"note {chance.random()}")
    if kind == "undo" and done:
        return undo.undo(conn, actor=root, change_set_id=done[-1], source="screen").change_set_id
    version = conn.scalar(select(schema.customers.c.version).where(schema.customers.c.id == chosen))
    values = {"city": f"City {chance.randrange(1000)}", "region": chance.choice(("North", "South"))}
    saved = customer.save(conn, actor=root, customer_id=chosen, version=version or 0, values=values)
    return saved.change_set_id


def main(acknowledged: Path, seed: int) -> None:
    """Run until killed."""
    chance = random.Random(seed)
    done: list[int] = []
    people: dict[str, Viewer] = {}
    calm = calming(acknowledged)
    with acknowledged.open("a") as file:
        while True:
            if calm.exists():
                time.sleep(CALM_S)
            try:
                people = people or cast()
                with connection.begin(people["root"], write=True) as conn:
                    set_id = command(conn, chance, people, done)
            except Unavailable:
                time.sleep(0.05)
            except KehuError:
                done.clear()  # what an undo would take back was changed since
            else:
                if set_id:
                    done.append(set_id)
                    file.write(f"{set_id}\n")
                    file.flush()


if __name__ == "__main__":
    os.environ.pop("KEHU_NOW", None)
    main(Path(sys.argv[1]), int(sys.argv[2]))
