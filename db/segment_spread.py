"""How a segment differs from everyone by one more field: those that are not counted along with every rule."""

from __future__ import annotations

from datetime import date

import pandas as pd
from sqlalchemy import Connection, func, select

from db import scores, segments
from db.errors import Invalid
from db.fields import FIELDS
from db.permissions import Permission, Viewer
from db.rules import Group
from db.segment_question import Question
from db.words import _

MORE = ("city", "r_score", "f_score")
"""Beside segments.DIMENSIONS. A city has thousands of values: counted along they would make every count slower."""


def spread(conn: Connection, *, viewer: Viewer, rule: str, today: date, by: str) -> pd.DataFrame:
    """Value ('' is not known), customers who fit, and everyone, by one of MORE.

    Scores in their order, cities by size, the unknown last. Raises Invalid and Refused.
    """
    viewer.require(Permission.SEGMENTS_READ)
    if by not in MORE:
        raise Invalid(_("“{field}” has no list of values.").format(field=by))
    found = segments.remembered(
        conn, viewer=viewer, rule=rule, today=today, answer=lambda sight, fits: [*sight.spread((by,), fits)]
    )
    if found is None:
        found = _by_tables(conn, segments.checked(conn, viewer, rule), today, by)
    found.sort(key=lambda row: (row[1] == "", -row[3] if by == "city" else 0, row[1]))
    return pd.DataFrame([row[1:] for row in found], columns=["value", "customers", "everyone"])


def _by_tables(conn: Connection, group: Group, today: date, by: str) -> list[tuple[str, str, int, int]]:
    """As `Sight.spread` gives it."""
    bounds, _made = scores.bounds(conn)
    asked = Question(today, bounds)
    fits, column = asked.fits(group), FIELDS[by].column
    assert column
    each = (
        asked.base(func.coalesce(column(today, bounds), "").label("value"), fits.label("fits")).offset(0).subquery().c
    )
    query = select(each.value, func.count().filter(each.fits), func.count()).group_by(each.value)
    return [(by, str(value), int(n), int(everyone)) for value, n, everyone in conn.execute(query)]
