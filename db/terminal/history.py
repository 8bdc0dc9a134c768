"""Commands over what happened: changes, undo."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from sqlalchemy import Connection

from db import clock, customer, history, settings, undo
from db.connection import begin
from db.metrics import N_
from db.permissions import Permission, Viewer
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, Usage, number, up_to, viewer_of
from db.terminal.output import Output
from db.words import _

UNDO_TIMEOUT_MS = 120_000


def _changes_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="SET_ID", nargs="?", type=number, help=_("show what this change did"))
    parser.add_argument("--customer", metavar="ID", type=number, help=_("only changes of one customer, value by value"))
    parser.add_argument("--before", metavar="ID", type=number, help=_("only changes older than this one"))
    parser.add_argument(
        "--limit",
        metavar="N",
        type=up_to(history.MOST_SETS),
        default=50,
        help=_("changes at most, or changed rows of one (by default 50; 200 at most)"),
    )


def _changes(args: Namespace) -> Output:
    if sum(given is not None for given in (args.id, args.customer, args.before)) > 1:
        raise Usage(_("changes takes one of SET_ID, --customer and --before."))
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        if args.id is not None:
            return _one_set(conn, viewer, args.id, args.limit, zone)
        if args.customer is not None:
            return _sets_of_customer(conn, viewer, args.customer, args.limit, zone)
        return _sets(conn, viewer, args.before, args.limit, zone)


def _sets(conn: Connection, viewer: Viewer, before: int | None, limit: int, zone: str) -> Output:
    found = _heads(conn, viewer, before, limit)
    more = bool(found) and bool(_heads(conn, viewer, found[-1]["id"], 1))
    if not found:
        return Output({"sets": [], "more": False}, _("No changes."))
    said = out.table(
        {
            _("Number"): [str(row["id"]) for row in found],
            _("When"): [out.instant(row["made_at"], zone) for row in found],
            _("Who"): [row["actor"] or _("Nobody") for row in found],
            _("What"): [_what(row) for row in found],
            _("Rows"): [out.number(row["rows"]) for row in found],
            _("Where"): [row["source"] for row in found],
            _("State"): [_("undone") if row["undone_by"] else "" for row in found],
        },
        right=(_("Number"), _("Rows")),
    )
    older = _("Older ones: python -m db changes --before {id}").format(id=found[-1]["id"])
    return Output({"sets": found, "more": more}, f"{said}\n\n{older}" if more else said)


def _sets_of_customer(conn: Connection, viewer: Viewer, customer_id: int, limit: int, zone: str) -> Output:
    today = clock.today(zone)
    customer.get(conn, viewer=viewer, customer_id=customer_id, today=today)  # NotFound rather than no changes
    found = out.records(history.of_customer(conn, viewer=viewer, customer_id=customer_id, limit=limit + 1))
    more = sum(len(row["details"]) for row in found) > limit
    if more:  # one row too many was asked for, to see whether there is one
        found[-1]["details"].pop()
        found = [row for row in found if row["details"]]
    for row in found:
        row["lines"] = [line for detail in row.pop("details") for line in detail["lines"]]
    if not found:
        return Output({"sets": [], "more": False}, _("No changes."))
    return Output({"sets": found, "more": more}, "\n\n".join(_set_text(row, zone) for row in found))


def _one_set(conn: Connection, viewer: Viewer, set_id: int, limit: int, zone: str) -> Output:
    lines = out.records(history.details(conn, viewer=viewer, change_set_id=set_id, limit=limit))
    [head] = _heads(conn, viewer, set_id + 1, 1)
    more = head["rows"] > limit
    said = _set_text(head | {"lines": lines}, zone)
    if more:
        said += "\n" + _("The first {n} rows are shown.").format(n=limit)
    return Output(head | {"lines": lines, "more": more}, said)


def _heads(conn: Connection, viewer: Viewer, before: int | None, limit: int) -> list[dict[str, Any]]:
    found = history.sets(conn, viewer=viewer, before_id=before, limit=limit)
    return out.records(found.drop(columns="customers"))  # it only says whether customer_id is the one


def _what(row: dict[str, Any]) -> str:
    if not row["undoes_id"]:
        return str(row["command"])
    return _("undo of {id}, {command}").format(id=row["undoes_id"], command=row["command"])


def _set_text(row: dict[str, Any], zone: str) -> str:
    head = out.line(
        f"#{row['id']}",
        _what(row),
        row["actor"] or _("Nobody"),
        out.instant(row["made_at"], zone),
        row["source"],
        _("undone by {id}").format(id=row["undone_by"]) if row["undone_by"] else "",
    )
    lines = [line for line in row["lines"] if line["column"]]
    if not lines:
        return head
    return (
        head
        + "\n"
        + out.table(
            {
                _("Row"): [f"{line['table']} {line['id']}" for line in lines],
                _("Field"): [line["column"] for line in lines],
                _("Before"): [_value(line["before"]) for line in lines],
                _("After"): [_value(line["after"]) for line in lines],
            }
        )
    )


def _value(raw: Any) -> str:
    return "–" if raw is None or raw == "" else str(raw)


def _undo_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="SET_ID", type=number, help=_("the number of the change"))
    parser.add_argument(
        "--leave-conflicts", action="store_true", help=_("take back the rest where values were changed since")
    )


def _undo(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True, timeout_ms=UNDO_TIMEOUT_MS) as conn:
        done = undo.undo(conn, actor=viewer, change_set_id=args.id, source=SOURCE, leave_conflicts=args.leave_conflicts)
    said = _("Change {id} is undone.").format(id=args.id)
    left = [out.conflict(row) for row in done.conflicts]
    if left:
        said = "\n".join([said, _("Changed since, and left as they are:"), *left])
    return Output(vars(done), said)


COMMANDS = (
    Command(
        "changes",
        N_("who changed what and when"),
        (Permission.CHANGES_READ, Permission.CUSTOMERS_READ),
        _changes_options,
        _changes,
    ),
    Command("undo", N_("take back a change"), (Permission.CHANGES_UNDO,), _undo_options, _undo),
)
