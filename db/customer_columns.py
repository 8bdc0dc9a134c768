"""What the columns of the customer list need beside its rows: source, day of adding, tags, values of custom fields."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Connection, ScalarSelect, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from db import schema
from db.permissions import Permission, Viewer

MOST_ROWS = 500


def beside(conn: Connection, *, viewer: Viewer, customer_ids: Sequence[int]) -> pd.DataFrame:
    """A row for each of these customers (at most MOST_ROWS) that the viewer sees: id, source, created_at, tags (a list
    in the order of the alphabet), custom (the values of custom fields by key; personal ones are withheld from the
    masked roles)."""
    viewer.require(Permission.CUSTOMERS_READ)
    c = schema.customers.c
    values = c.custom.op("||")(c.custom_personal).label("custom")
    query = select(c.id, c.source, c.created_at, tags().label("tags"), values)
    rows = conn.execute(query.where(c.id.in_(list(customer_ids)[:MOST_ROWS]))).all()
    return pd.DataFrame(rows, columns=["id", "source", "created_at", "tags", "custom"])


def tags() -> ScalarSelect[list[str]]:
    """For a statement over customers: the tags of each, as an array."""
    t = schema.customer_tags.c
    listed = func.array_agg(aggregate_order_by(t.tag, t.tag_key))
    found = func.coalesce(listed, literal_column("ARRAY[]::text[]"))
    return select(found).where(t.customer_id == schema.customers.c.id).correlate(schema.customers).scalar_subquery()
