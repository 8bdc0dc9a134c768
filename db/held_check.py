"""What columns in memory are compared with: the same counts by PostgreSQL."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection

from db import custom_fields, held
from db.fields import Bounds
from db.permissions import WORKER
from db.rules import Group, parse_text
from db.segment_question import Question


def verify(conn: Connection, sight: held.Sight, today: date, bounds: Bounds) -> Callable[[], str]:
    """Count one of _VERIFIED or a custom field in memory; what it gives counts the same by PostgreSQL and says what
    differs, if so."""
    fields = custom_fields.countable(conn, viewer=WORKER)
    own = [{"field": key, "op": "not empty"} for key, each in fields.items() if each.own and sight.holds(each.own)]
    rule = random.choice([*_VERIFIED, *own])  # noqa: S311 — which of them is no secret
    group = parse_text(json.dumps({"all": [rule]}), fields)
    remembered = sight.count(group), sight.everyone

    def compare() -> str:
        asked = Question(today, bounds)
        found = asked.count(conn, group), asked.count(conn, Group("all"))
        return "" if found == remembered else f"{rule['field']}: {remembered} in memory, {found} in the database"

    return compare


_VERIFIED: Sequence[Mapping[str, Any]] = (
    {"field": "orders", "op": ">", "value": 1},
    {"field": "revenue", "op": ">", "value": 100},
    {"field": "stage", "op": "in", "value": ["first", "loyal"]},
    {"field": "r_score", "op": "in", "value": ["4", "5"]},
    {"field": "last_order_on", "op": "in the last", "value": 90},
    {"field": "ordered", "op": "within", "value": {"last_days": 60}},
    {"field": "region", "op": "not empty"},
    {"field": "owner", "op": "empty"},
    {"field": "created_on", "op": "in the last", "value": 30},
)
"""What of each kind of column is compared; lines of orders that wait for their refresh would differ rightly."""
