"""The customer page as the tests open, fill in and read it."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from db import connection, customer, schema
from db.permissions import Viewer
from tests.pages.visits import (
    click,
    drawn,
    signed_in,
    sound,
    write,
)

TODAY = date(2026, 11, 20)
PHONE = "+86 138 0013 8000"
CHOOSE = "Somebody saved this customer while you were editing. Choose which values to keep."
RECORD = ("change_sets", "changes", "customers", "notes")


def opened(viewer: Viewer, customer_id: int, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customer", id=str(customer_id), **params))


def added(actor: Viewer, **values: str) -> int:
    with connection.begin(actor, write=True) as conn:
        return customer.add(conn, actor=actor, values={"name": "Start", **values})[0]


def saved(actor: Viewer, customer_id: int, **values: str) -> customer.Saved:
    """Somebody else saves."""
    with connection.begin(actor, write=True) as conn:
        version = customer.get(conn, viewer=actor, customer_id=customer_id, today=TODAY).version
        return customer.save(conn, actor=actor, customer_id=customer_id, version=version, values=values)


def stored(customer_id: int) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        query = select(schema.customers).where(schema.customers.c.id == customer_id)
        return dict(conn.execute(query).mappings().one())


def edit(app: AppTest, **typed: str) -> AppTest:
    """Type into the open form, or into one that is opened for it, and save."""
    if not drawn(app, "customer_form_save"):
        sound(click(app, "customer_edit"))
    for column, value in typed.items():
        write(field(app, column), value)
    return sound(click(app, "customer_form_save"))


def field(app: AppTest, column: str) -> Any:
    inputs = [*app.text_input, *app.text_area, *app.selectbox]
    [found] = [w for w in inputs if w.key.startswith(f"customer_form_field_{column}_")]
    return found
