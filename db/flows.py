"""Flows between classes: in which class customers were on one day, and in which on the next.

Customers who are not archived now, as segments count them; the classes that db/past_classes.py keeps. How the past of a
class is meant stands there. Everybody's are counted by reading one short row for each customer, those of a segment by
its members' rows: sums by owner, pair of days and pair of classes would be more rows than there are customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Select, func, select

from db import customers, past_classes, rfm, schema, segments
from db.customers import Page
from db.errors import Invalid
from db.metrics import STAGE_NAMES
from db.overview import known_from
from db.past_classes import MEASURES, STATES
from db.permissions import Permission, Viewer
from db.words import _

MOST_DAYS = 4
"""Days of one picture: more columns are not legible."""
BY: Mapping[str, str] = {
    "stage": "stages",
    "rfm_class": "rfm_classes",
    "rfm_value": "rfm_values",
    "value_decile": "deciles",
}
"""What customers are told apart by, as the fields of segments are called → kind of db/past_classes.py."""
NONE = ""
"""Without an order on that day, and with stages not entered yet."""


@dataclass(frozen=True)
class Day:
    """A day whose classes are kept. `bounds` are what its scores are by, measure → values, taken at `made_at`."""

    day: date
    bounds: Mapping[str, tuple[float, ...]]
    made_at: datetime


@dataclass(frozen=True)
class Days:
    """The days that are kept and known, in order; the last is the present. `unknown` earlier ones lie before it is
    known who was new: the data begin too shortly before them. `outdated`: other rules are in force by now."""

    days: tuple[Day, ...]
    unknown: int
    waiting_since: datetime | None
    outdated: bool


@dataclass(frozen=True)
class Flows:
    """`rows`: a column day_0, day_1, … for each of the days with the class on it (NONE: none), and `customers`."""

    days: tuple[date, ...]
    rows: pd.DataFrame

    @property
    def customers(self) -> int:
        """All of them."""
        return int(self.rows["customers"].sum())


def states(by: str) -> tuple[str, ...]:
    """The classes that customers are told apart by, in order; NONE is not among them. Raises Invalid."""
    if by not in BY:
        known = ", ".join(BY)
        raise Invalid(_("“{value}” is none of: {known}").format(value=by, known=known))
    return STATES[BY[by]]


def named(by: str, state: str) -> str:
    """A class in words, in the reader's language."""
    if state == NONE:
        return _("Not there yet") if by == "stage" else _("No order yet")
    words: Mapping[str, str] = {
        "stage": {str(stage): name for stage, name in STAGE_NAMES.items()},
        "rfm_class": rfm.CLASSES,
        "rfm_value": rfm.VALUE_CLASSES,
    }.get(by, {})
    return _(words[state]) if state in words else _("Tenth {n}").format(n=state)


def days(conn: Connection, *, viewer: Viewer) -> Days:
    """The days that flows can be between."""
    viewer.require(Permission.SEGMENTS_READ)
    rows = conn.execute(select(schema.class_days).order_by(schema.class_days.c.day)).mappings().all()
    known = known_from(conn.scalar(select(func.data_since())))
    told = tuple(
        Day(row["day"], {name: tuple(float(b) for b in row[name]) for name in MEASURES}, row["made_at"])
        for i, row in enumerate(rows)
        if i == len(rows) - 1 or (known and row["day"] >= known)
    )
    return Days(told, len(rows) - len(told), conn.scalar(select(func.waiting_since())), past_classes.outdated(conn))


def flows(conn: Connection, *, viewer: Viewer, today: date, by: str, days: Sequence[date], rule: str = "") -> Flows:
    """How many customers took which way through the classes of two to MOST_DAYS days; of everyone, or of a rule's
    members (JSON). Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    words = [NONE, *states(by)]
    places = _places(conn, days)
    classes = [_class(by, places[day]).label(f"day_{i}") for i, day in enumerate(days)]
    query = _among(conn, viewer, select(*classes, func.count().label("customers")), rule, today)
    found = conn.execute(query.group_by(*classes)).all()
    names = [f"day_{i}" for i in range(len(days))]
    rows = sorted(tuple(row) for row in found)
    frame = pd.DataFrame([(*(words[n] for n in row[:-1]), row[-1]) for row in rows], columns=[*names, "customers"])
    return Flows(tuple(days), frame.astype({"customers": int}))


def people(
    conn: Connection,
    *,
    viewer: Viewer,
    today: date,
    by: str,
    way: Mapping[date, str],
    rule: str = "",
    offset: int = 0,
    limit: int = 20,
) -> Page:
    """A page of the customers who were in these classes on these days (NONE: in none), as the list of customers shows
    them, by number. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    number = schema.customer_classes.c.customer_id
    query = _taking(conn, viewer, by, way, rule, today, number)
    total = conn.scalar(select(func.count()).select_from(query.subquery())) or 0
    ids = conn.scalars(query.order_by(number).offset(max(0, offset)).limit(max(1, min(limit, 500)))).all()
    return Page(customers.rows_of(conn, today, ids, viewer=viewer), total)


def who(
    conn: Connection, *, viewer: Viewer, today: date, by: str, way: Mapping[date, str], rule: str = "", limit: int
) -> tuple[int, ...]:
    """The numbers of the same customers, in order, at most `limit`. Raises Invalid and Refused."""
    viewer.require(Permission.SEGMENTS_READ)
    viewer.require(Permission.CUSTOMERS_READ)
    number = schema.customer_classes.c.customer_id
    return tuple(conn.scalars(_taking(conn, viewer, by, way, rule, today, number).order_by(number).limit(limit)))


def _taking(
    conn: Connection, viewer: Viewer, by: str, way: Mapping[date, str], rule: str, today: date, column: Any
) -> Select[Any]:
    words = [NONE, *states(by)]
    places = _places(conn, tuple(way))
    unknown = [state for state in way.values() if state not in words]
    if unknown:
        known = ", ".join(states(by))
        raise Invalid(_("“{value}” is none of: {known}").format(value=unknown[0], known=known))
    taken = (_class(by, places[day]) == words.index(state) for day, state in way.items())
    return _among(conn, viewer, select(column), rule, today).where(*taken)


def _class(by: str, place: int) -> Any:
    return func.get_byte(schema.customer_classes.c[BY[by]], place)


def _places(conn: Connection, days: Sequence[date]) -> dict[date, int]:
    """Where the bytes of these days stand. Raises Invalid where they cannot be asked for."""
    kept = conn.scalars(select(schema.class_days.c.day).order_by(schema.class_days.c.day)).all()
    if not 2 <= len(days) <= MOST_DAYS or list(days) != sorted(set(days)):
        raise Invalid(_("Choose 2 to {n} different days, the earliest first.").format(n=MOST_DAYS))
    places = {day: i for i, day in enumerate(kept)}
    missing = [day for day in days if day not in places]
    if missing:
        raise Invalid(_("Of {day} no classes are kept. Choose another month end.").format(day=missing[0].isoformat()))
    return {day: places[day] for day in days}


def _among(conn: Connection, viewer: Viewer, query: Select[Any], rule: str, today: date) -> Select[Any]:
    """Of everyone, or of a rule's members."""
    k = schema.customer_classes
    if not rule:
        return query.select_from(k)
    members = segments.members(conn, viewer, rule, today).subquery()
    return query.select_from(k.join(members, members.c.customer_id == k.c.customer_id))


def usual(found: Days) -> tuple[date, ...]:
    """Three months ago, the last month end, and the present, as far as they are known."""
    ends, now = [each.day for each in found.days[:-1]], [each.day for each in found.days[-1:]]
    chosen = {*ends[-3:-2], *ends[-1:], *now}
    return tuple(sorted(chosen))
