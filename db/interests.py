"""What a customer is interested in, told by purchases: the product categories most was spent on, with their share."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Connection, func, select

from db import schema
from db.changes import LARGEST_ID
from db.permissions import Permission, Viewer

TOP = 3


def interests(
    conn: Connection, *, viewer: Viewer, customer_id: int, currency: str, limit: int = TOP
) -> list[tuple[str, Decimal]]:
    """Category and its share of what all lines with a category cost, of the orders in one currency; most first."""
    viewer.require(Permission.CUSTOMERS_READ)
    i, p, o = schema.order_items.c, schema.products.c, schema.orders.c
    amount = func.sum(i.amount)
    spent = (
        select(p.category, amount.label("amount"), func.sum(amount).over().label("total"))
        .select_from(
            schema.order_items.join(schema.products, p.id == i.product_id).join(
                schema.orders, (o.customer_id == i.customer_id) & (o.id == i.order_id)
            )
        )
        .where(
            i.customer_id == (customer_id if customer_id <= LARGEST_ID else -1),
            p.category != "",
            o.currency == currency,
        )
        .group_by(p.category)
        .subquery()
        .c
    )
    rows = conn.execute(
        select(spent.category, spent.amount / spent.total)
        .where(spent.amount > 0, spent.total > 0)
        .order_by(spent.amount.desc(), spent.category)
        .limit(limit)
    )
    return [(category, share) for category, share in rows]
