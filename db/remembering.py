"""Questions about rules to the columns in memory; what of a rule these do not hold is looked up in tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, func

from db import held, schema
from db.fields import Bounds, Kind
from db.permissions import Viewer
from db.rules import Condition, Group
from db.segment_question import Question, each_customer, looked_up

Answer = TypeVar("Answer")


def ask(
    conn: Connection,
    viewer: Viewer,
    today: date,
    bounds: Bounds,
    rules: Sequence[Condition | Group],
    answer: Callable[[held.Sight], Answer],
) -> Answer | None:
    """The answer from the columns in memory, None where PostgreSQL is to be asked; fields are the caller's to check."""

    def missing(condition: Condition) -> Any:
        if condition.field.kind is Kind.LISTED:
            ids = func.string_agg(func.int8send(schema.segment_members.c.customer_id), b"")
            packed = conn.scalar(looked_up(condition, today).with_only_columns(ids))
        else:
            ids = func.string_agg(func.int8send(schema.customers.c.id), b"")
            asked = Question(today, bounds, scoped=viewer.scoped)
            packed = conn.scalar(asked.who(Group("all", (condition,)), each_customer(ids)))
        return np.frombuffer(packed or b"", ">i8")

    return held.ask(conn, viewer=viewer, today=today, bounds=bounds, rules=rules, missing=missing, answer=answer)
