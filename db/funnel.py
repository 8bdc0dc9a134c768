"""The marketing funnel of a campaign: received, bought, bought what was promoted, redeemed; and the people behind it.

Each step counts distinct customers who took all steps before it. Who redeemed without a recorded purchase of a promoted
product is not in the last step and is counted beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, select, true

from db import schema
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _

MOST_PEOPLE = 200
"""Rows of one page of the people behind a bar."""


class Step(StrEnum):
    """The steps, in order."""

    RECEIVED = "received"
    BOUGHT = "bought"
    PROMOTED = "promoted"
    REDEEMED = "redeemed"


_r, _c = schema.campaign_results.c, schema.customers.c

_TAKEN: Mapping[Step, ColumnElement[bool]] = {
    Step.RECEIVED: true(),
    Step.BOUGHT: _r.orders > 0,
    Step.PROMOTED: _r.promoted_orders > 0,
    Step.REDEEMED: and_(_r.promoted_orders > 0, _r.redemptions > 0),
}
SLICES: Mapping[str, ColumnElement[str]] = {
    "age_band": _c.age_band,
    "income_band": _c.income_band,
    "region": _c.region,
}
"""What a funnel can be cut by."""


@dataclass(frozen=True)
class People:
    """A page of the customers behind a bar, and how many they are in all.

    `rows`: id, name, region, owner, orders and revenue in the campaign's window, redemptions; by revenue.
    """

    rows: pd.DataFrame
    total: int


def steps(conn: Connection, *, viewer: Viewer, campaign_id: int, by: str = "") -> pd.DataFrame:
    """Columns slice, received, bought, promoted, redeemed, unmatched; one row, or one for each value of `by`.

    `unmatched` redeemed without a recorded purchase of a promoted product. Ages and incomes come in order, regions the
    largest first, the unknown ('') last. Raises Invalid for an unknown cut.
    """
    viewer.require(Permission.CAMPAIGNS_READ)
    cut = _cut(by)
    unmatched = and_(_r.redemptions > 0, _r.promoted_orders == 0)
    counts = [func.count().filter(condition).label(step.value) for step, condition in _TAKEN.items()]
    query = (
        select(cut.label("slice"), *counts, func.count().filter(unmatched).label("unmatched"))
        .select_from(_members(by))
        .where(_r.campaign_id == campaign_id)
        .group_by(cut)
    )
    rows = conn.execute(query)
    frame = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
    if frame.empty and not by:
        return pd.DataFrame([{name: "" if name == "slice" else 0 for name in frame.columns}])
    size = -frame["received"] if by == "region" else [lowest(value) for value in frame["slice"]]
    frame = frame.assign(unknown=frame["slice"] == "", size=size)
    frame = frame.sort_values(["unknown", "size", "slice"], ignore_index=True)
    return frame.drop(columns=["unknown", "size"])


def members(campaign_id: int, step: str) -> Select[Any]:
    """The ids of a campaign's members who reached a step."""
    return select(_r.customer_id).where(_r.campaign_id == campaign_id, _TAKEN[Step(step)])


def lowest(band: str) -> float:
    """Where a band begins: '25-34' at 25, '250K+' at 250, 'Under 15K' below 15."""
    found = re.search(r"\d+", band)
    return (float(found[0]) if found else math.inf) - (band.startswith("Under") * 0.5)


def people(
    conn: Connection,
    *,
    viewer: Viewer,
    campaign_id: int,
    step: str,
    by: str = "",
    value: str = "",
    offset: int = 0,
    limit: int = 50,
) -> People:
    """The customers behind one bar: as many in all as `steps` counts there. Raises Invalid."""
    viewer.require(Permission.CAMPAIGNS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    if step not in list(Step):
        raise Invalid(_("There is no step “{step}” in a funnel.").format(step=step))
    chosen = [_r.campaign_id == campaign_id, _TAKEN[Step(step)]]
    if by:
        chosen.append(_cut(by) == value)
    u = schema.users.c
    # The page first, by itself: what is shown of its customers is fetched for these few.
    page = (
        select(_r.customer_id, _r.orders, _r.revenue, _r.redemptions)
        .select_from(_members(by))
        .where(*chosen)
        .order_by(_r.revenue.desc(), _r.customer_id)
        .offset(max(0, offset))
        .limit(min(limit, MOST_PEOPLE))
        .subquery()
    )
    query = (
        select(
            _c.id,
            _c.name,
            _c.region,
            u.name.label("owner"),
            page.c.orders,
            page.c.revenue,
            page.c.redemptions,
        )
        .select_from(page.join(schema.customers, _c.id == page.c.customer_id).join(schema.users, u.id == _c.owner_id))
        .order_by(page.c.revenue.desc(), _c.id)
    )
    rows = conn.execute(query)
    total = conn.scalar(select(func.count()).select_from(_members(by)).where(*chosen)) or 0
    return People(pd.DataFrame(rows.fetchall(), columns=list(rows.keys())), total)


def _cut(by: str) -> ColumnElement[str]:
    if by and by not in SLICES:
        raise Invalid(_("A funnel cannot be cut by “{by}”.").format(by=by))
    return SLICES[by] if by else literal("")


def _members(by: str):  # type: ignore[no-untyped-def]  # a join has no public type
    """Members with what they bought; with their profile where it is cut by that."""
    return schema.campaign_results.join(schema.customers, _c.id == _r.customer_id) if by else schema.campaign_results
