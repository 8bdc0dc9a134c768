"""What can be exported: each kind's permission, its rows under the viewer's rights, and its columns in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from db import column_names, custom_fields, customers, history, segments, started_campaigns
from db.column_names import COLUMNS
from db.custom_values import PREFIX
from db.customer_filters import Filters
from db.errors import Invalid, NotFound
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission, Viewer
from db.settings import Settings
from db.words import _

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of file. `rows(conn, viewer, today, params)` checks everything at once and then gives row after row."""

    permission: Permission
    rows: Callable[[Connection, Viewer, date, Mapping[str, Any]], Iterator[Row]]
    columns: Callable[[Connection, Viewer, Settings, Mapping[str, Any]], dict[str, str]]


def rows(conn: Connection, *, viewer: Viewer, kind: str, params: Mapping[str, Any], today: date) -> Iterator[Row]:
    """The rows of a file. Raises NotFound, Refused and Invalid before the first one."""
    found = get(kind)
    viewer.require(found.permission)
    return found.rows(conn, viewer, today, params)


def check(conn: Connection, *, viewer: Viewer, kind: str, params: Mapping[str, Any], today: date) -> None:
    """Raise what `rows` would raise, so that a screen can say it before it offers the file."""
    rows(conn, viewer=viewer, kind=kind, params=params, today=today)


def get(kind: str) -> Kind:
    """The kind of this name. Raises NotFound."""
    if kind not in KINDS:
        raise NotFound(_("There is no export of this kind."))
    return KINDS[kind]


def _customers(conn: Connection, viewer: Viewer, today: date, params: Mapping[str, Any]) -> Iterator[Row]:
    given = params.get("filters", {})
    if not isinstance(given, dict) or not given.keys() <= {f.name for f in fields(Filters)}:
        raise Invalid(_("These filters are not known."))
    tagged = "tags" in (_chosen(params) or ())
    found = customers.export(conn, viewer=viewer, today=today, filters=Filters(**given), tagged=tagged)
    return (_worded(row) for row in found)


def _worded(row: Row) -> Row:
    """The row with its stage in words and the values of custom fields as columns; several choices are one text."""
    own = {PREFIX + key: _written(value) for key, value in (row["custom"] | row["custom_personal"]).items()}
    tagged = {"tags": "; ".join(row["tags"])} if "tags" in row else {}
    return {**row, **own, **tagged, "stage": _(STAGE_NAMES[Stage(row["stage"])])}


def _written(value: Any) -> str:
    """A custom value as an import can read it again."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "; ".join(value) if isinstance(value, list) else str(value)


def _customer_columns(
    conn: Connection, viewer: Viewer, settings: Settings, params: Mapping[str, Any]
) -> dict[str, str]:
    """All columns and custom fields; where columns were chosen the number, the name and these."""
    own = custom_fields.in_use(conn, viewer=viewer)
    every = _plain_columns(settings) | {
        PREFIX + key: field.label for key, field in own.items() if not (field.personal and viewer.masked)
    }
    chosen = _chosen(params)
    if chosen is None:
        return every
    every |= {name: _(COLUMNS[name]) for name in ("source", "created_at", "tags")}
    return {name: every[name] for name in ("id", "name", *chosen) if name in every}


def _chosen(params: Mapping[str, Any]) -> list[str] | None:
    return column_names.checked(params["columns"]) if "columns" in params else None


def _plain_columns(settings: Settings) -> dict[str, str]:
    return {
        "id": _("Number"),
        "name": _("Name"),
        "company": _("Company"),
        "phone": _("Phone"),
        "email": _("E-mail"),
        "region": _("Region"),
        "city": _("City"),
        "owner": _("Owner"),
        "stage": _("Stage"),
        "orders": _("Orders"),
        "revenue": _("Revenue ({currency})").format(currency=settings.currency),
        "last_order_on": _("Last order"),
    }


def _segment(conn: Connection, viewer: Viewer, today: date, params: Mapping[str, Any]) -> Iterator[Row]:
    rule = params.get("rule", "")
    if not isinstance(rule, str):
        raise Invalid(_("These filters are not known."))
    found = segments.export(conn, viewer=viewer, rule=rule, today=today)
    return (_worded(row) for row in found)


def _changes(conn: Connection, viewer: Viewer, today: date, params: Mapping[str, Any]) -> Iterator[Row]:
    viewer.require(Permission.CHANGES_READ)

    def stepwise() -> Iterator[Row]:
        before_id: int | None = None
        while True:
            page = history.sets(conn, viewer=viewer, before_id=before_id, limit=history.MOST_SETS)
            for row in page.astype(object).where(page.notna(), None).to_dict("records"):
                yield {str(name): value for name, value in row.items()}
            if len(page) < history.MOST_SETS:
                return
            before_id = int(page["id"].min())

    return stepwise()


def _change_columns(conn: Connection, viewer: Viewer, settings: Settings, params: Mapping[str, Any]) -> dict[str, str]:
    return {
        "id": _("Number"),
        "made_at": _("When"),
        "actor": _("Who"),
        "command": _("What"),
        "rows": _("Rows"),
        "source": _("Where"),
        "screen": _("Screen"),
        "reason": _("Reason"),
        "undoes_id": _("Undoes"),
        "undone_by": _("Undone by"),
    }


def _campaign(conn: Connection, viewer: Viewer, today: date, params: Mapping[str, Any]) -> Iterator[Row]:
    number = params.get("campaign")
    if not isinstance(number, int):
        raise Invalid(_("These filters are not known."))
    found = started_campaigns.export(conn, viewer=viewer, campaign_id=number, today=today)
    return (_worded(row) for row in found)


def _campaign_columns(
    conn: Connection, viewer: Viewer, settings: Settings, params: Mapping[str, Any]
) -> dict[str, str]:
    beside = {} if viewer.masked else {"reached_by": _("Reached by")}
    return beside | {"received_on": _("Received")} | _customer_columns(conn, viewer, settings, {})


KINDS: dict[str, Kind] = {
    "campaign": Kind(Permission.CUSTOMERS_EXPORT, _campaign, _campaign_columns),
    "changes": Kind(Permission.CHANGES_READ, _changes, _change_columns),
    "customers": Kind(Permission.CUSTOMERS_EXPORT, _customers, _customer_columns),
    "segment": Kind(Permission.CUSTOMERS_EXPORT, _segment, _customer_columns),
}


def local(value: datetime, zone: str) -> str:
    """An instant in the company's time zone, as spreadsheets read it."""
    return value.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
