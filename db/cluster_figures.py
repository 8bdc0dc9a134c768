"""The figures that clusters of customers are made of, and what each cluster looks like: of everyone, or of a segment.

Whom: all customers with orders, or those of them who fit a rule (JSON). What is kept scores every customer by their
figures; that only those of the segment are meant is for the rule that asks for a cluster to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, func, select

from db import fields, schema, segments
from db.cluster_values import FEATURES, read
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _

MOST_FITTED = 50_000
"""Customers that clusters are made of; all are scored."""


def sample(
    conn: Connection, *, viewer: Viewer, features: tuple[str, ...], today: date, rule: str = ""
) -> tuple[pd.DataFrame, int]:
    """The figures of at most MOST_FITTED of the viewer's customers with orders, a column each, and how many there are.

    With a rule of those alone who fit it. Which ones is decided by a hash of their numbers: it is as good as chance,
    and the same the next time. Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    _require_features(features)
    c = schema.customers.c
    figures = fields.figures(today)
    total = conn.scalar(_buyers(conn, viewer, today, rule, func.count())) or 0
    columns = (figures[key].label(key) for key in features)
    query = _buyers(conn, viewer, today, rule, *columns).order_by(func.hashint8(c.id), c.id)
    rows = conn.execute(query.limit(MOST_FITTED)).all()
    return pd.DataFrame([tuple(row) for row in rows], columns=list(features), dtype=float), total


def profile(conn: Connection, *, viewer: Viewer, model: Mapping[str, Any], today: date, rule: str = "") -> pd.DataFrame:
    """Each cluster among all of the viewer's customers with orders, or those who fit a rule: cluster, customers, means.

    Of each of FEATURES a mean; `model` is as db/cluster_values.py has it. Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    expression = fields.of_cluster(read(dict(model))).column
    assert expression
    figures = fields.figures(today)
    columns = (expression(today, {}).label("cluster"), *(figures[key].label(key) for key in FEATURES))
    each = _buyers(conn, viewer, today, rule, *columns).offset(0).subquery().c
    means = (func.avg(each[key]).label(key) for key in FEATURES)
    rows = conn.execute(
        select(each.cluster, func.count().label("customers"), *means).group_by(each.cluster).order_by("cluster")
    )
    return pd.DataFrame([tuple(row) for row in rows], columns=["cluster", "customers", *FEATURES])


def _buyers(conn: Connection, viewer: Viewer, today: date, rule: str, *columns: Any) -> Select[Any]:
    c, m = schema.customers.c, schema.customer_metrics.c
    joined: Any = schema.customers.join(schema.customer_metrics, m.customer_id == c.id)
    if rule:
        members = segments.members(conn, viewer, rule, today).cte("members").prefix_with("MATERIALIZED")
        joined = joined.join(members, members.c.customer_id == c.id)
    return select(*columns).select_from(joined).where(c.archived_at.is_(None), m.orders > 0)


def _require_features(features: Sequence[str]) -> None:
    unknown = [key for key in features if key not in FEATURES]
    if unknown or not features:
        raise Invalid(_("Choose at least one figure of the list."))
