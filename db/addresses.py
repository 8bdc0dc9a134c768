"""Where a customer lives, works, has things delivered or bills sent to; one of the addresses may be the main one."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection, select

from db import customer_rows, schema
from db.around_words import ADDRESS_LIMITS, MOST_ADDRESSES
from db.customer import Saved
from db.customer_rows import Form, Values
from db.permissions import Permission, Viewer
from db.schema_around import ADDRESS_KINDS

FORM = Form(
    schema.addresses,
    ADDRESS_LIMITS,
    MOST_ADDRESSES,
    required=("kind", "street"),
    multiline=("street",),
    choices={"kind": ADDRESS_KINDS},
)


def places(conn: Connection, *, viewer: Viewer, customer_id: int) -> pd.DataFrame:
    """All of a customer's, the main one first: id, version, kind and the fields of the form.

    Recipient, phone, street and postcode are '' for masked roles.
    """
    viewer.require(Permission.CUSTOMERS_READ)
    c = schema.addresses.c
    query = select(c.id, c.version, *(c[name] for name in FORM.fields)).where(c.customer_id == customer_id)
    return customer_rows.listed(conn, query.order_by(c.main.desc(), c.id).limit(MOST_ADDRESSES))


def add(
    conn: Connection, *, actor: Viewer, customer_id: int, values: Values, source: str = "screen", screen: str = ""
) -> tuple[int, int]:
    """Add an address; gives (address id, change set id). Whichever was the main one before is not any more.

    Raises Invalid with a sentence for each field that cannot be accepted, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    start = customer_rows.starter(conn, actor, "address.add", source, screen)
    return customer_rows.add(conn, FORM, customer_id, values, start)


def save(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    address_id: int,
    version: int,
    values: Values,
    source: str = "screen",
    screen: str = "",
) -> Saved:
    """Save a form that was opened at `version`; as customer.save does with what others saved meanwhile.

    Raises Invalid (by field), Conflict, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    start = customer_rows.starter(conn, actor, "address.save", source, screen)
    return customer_rows.save(conn, FORM, customer_id, address_id, version, values, start)


def delete(
    conn: Connection, *, actor: Viewer, customer_id: int, address_id: int, source: str = "screen", screen: str = ""
) -> int:
    """Delete one (undo brings it back with its id); gives the change set id. Raises NotFound, Refused."""
    actor.require(Permission.CUSTOMERS_EDIT)
    start = customer_rows.starter(conn, actor, "address.delete", source, screen)
    return customer_rows.delete(conn, FORM, customer_id, address_id, start)
