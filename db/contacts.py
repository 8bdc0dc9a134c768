"""The people one talks to at a customer: name, job, ways to reach them; one of them may be the main one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from sqlalchemy import Connection, select

from db import customer_rows, schema, text
from db.around_words import CONTACT_LIMITS, MOST_CONTACTS
from db.customer import Saved
from db.customer_rows import Form, Values
from db.permissions import Permission, Viewer


def keys(row: Mapping[str, Any]) -> dict[str, str]:
    """The derived columns that searches match by, from name, e-mail and phone."""
    phone = text.digits(row.get("phone"))
    return {
        "name_key": text.match_key(row.get("name")),
        "pinyin_key": text.pinyin(row.get("name")),
        "email_key": text.match_key(row.get("email")),
        "phone_key": phone,
        "phone_reversed": phone[::-1],
    }


FORM = Form(schema.contacts, CONTACT_LIMITS, MOST_CONTACTS, required=("name",), multiline=("note",), keys=keys)


def people(conn: Connection, *, viewer: Viewer, customer_id: int) -> pd.DataFrame:
    """All of a customer's, the main one first: id, version, name, job_title, phone, email, wechat, main, note.

    Texts are '' for masked roles.
    """
    viewer.require(Permission.CUSTOMERS_READ)
    c = schema.contacts.c
    query = select(c.id, c.version, *(c[name] for name in FORM.fields)).where(c.customer_id == customer_id)
    return customer_rows.listed(conn, query.order_by(c.main.desc(), c.id).limit(MOST_CONTACTS))


def add(
    conn: Connection, *, actor: Viewer, customer_id: int, values: Values, source: str = "screen", screen: str = ""
) -> tuple[int, int]:
    """Add somebody; gives (contact id, change set id). Whoever was the main one before is not any more.

    Raises Invalid with a sentence for each field that cannot be accepted, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    start = customer_rows.starter(conn, actor, "contact.add", source, screen)
    return customer_rows.add(conn, FORM, customer_id, values, start)


def save(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    contact_id: int,
    version: int,
    values: Values,
    source: str = "screen",
    screen: str = "",
) -> Saved:
    """Save a form that was opened at `version`; as customer.save does with what others saved meanwhile.

    Raises Invalid (by field), Conflict, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    start = customer_rows.starter(conn, actor, "contact.save", source, screen)
    return customer_rows.save(conn, FORM, customer_id, contact_id, version, values, start)


def delete(
    conn: Connection, *, actor: Viewer, customer_id: int, contact_id: int, source: str = "screen", screen: str = ""
) -> int:
    """Delete one (undo brings it back with its id); gives the change set id. Raises NotFound, Refused."""
    actor.require(Permission.CUSTOMERS_EDIT)
    start = customer_rows.starter(conn, actor, "contact.delete", source, screen)
    return customer_rows.delete(conn, FORM, customer_id, contact_id, start)
