"""Commands over tasks and talks: tasks list, add, done, …; customers timeline, log."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from db import clock, customer, interactions, settings, tasks, timeline, users
from db.connection import begin
from db.event_words import KIND_NAMES, MOST_MINUTES, OUTCOMES, PARTS
from db.permissions import Permission
from db.schema_around import PRIORITIES, TASK_KINDS
from db.task_words import BUCKETS, LATELY_DAYS
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, day, number, up_to, viewer_of
from db.terminal.output import Output
from db.words import N_, _

P = Permission
MIDDAY = time(12)

# --- tasks -----------------------------------------------------------------------------------------------------------


def _list_options(parser: ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--all", action="store_true", help=_("at all customers you see, whoever has them"))
    whose.add_argument("--of", metavar="USERNAME", help=_("those of this user"))
    parser.add_argument(
        "--due",
        choices=BUCKETS,
        default="",
        help=_("one part of the list; done is what was finished in the last {n} days").format(n=LATELY_DAYS),
    )
    parser.add_argument("--limit", metavar="N", type=up_to(tasks.MOST_ROWS), default=50, help=_("tasks at most"))


def _list(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        asked = {"today": clock.today(settings.get(conn).time_zone), "bucket": args.due, "limit": args.limit}
        if args.all or args.of:
            who = users.named(conn, viewer=viewer, username=args.of)[0] if args.of else None
            found = tasks.team(conn, viewer=viewer, assignee_id=who, **asked)
        else:
            found = tasks.mine(conn, viewer=viewer, **asked)
    rows = out.records(found.rows)
    for row in rows:
        row["due_time"] = f"{row['due_time']:%H:%M}" if row["due_time"] else None
    data = {"rows": rows, "totals": dict(found.totals)}
    counted = out.line(*(f"{_(BUCKETS[name])} {out.number(n)}" for name, n in found.totals.items() if n))
    if not rows:
        return Output(data, out.line(_("No tasks."), counted))
    listed = out.table(
        {
            _("Customer"): [str(row["customer_id"]) for row in rows],
            _("Number"): [str(row["id"]) for row in rows],
            _("Due"): [out.line(out.day(row["due_on"]), row["due_time"] or "") for row in rows],
            _("Task"): [row["title"] for row in rows],
            _("Name"): [row["customer"] for row in rows],
            _("Phone"): [row["phone"] for row in rows],
            _("Who does it"): [row["assignee"] for row in rows],
        },
        right=(_("Customer"), _("Number")),
    )
    return Output(data, f"{listed}\n\n{counted}")


def _time(text: str) -> time:
    """The kind of times of day."""
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007  (a time of day has no zone)
    except ValueError as error:
        raise ArgumentTypeError(_("“{text}” is not a time of day; 14:30 is one").format(text=text)) from error


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("customer", metavar="ID", type=number, help=_("the customer's number"))
    parser.add_argument("title", metavar="TITLE", help=_("what is to be done, in a few words"))
    parser.add_argument("--kind", choices=TASK_KINDS, default="todo", help=_("what kind of task it is"))
    parser.add_argument("--due", metavar="DAY", type=day, help=_("until when, as in 2026-11-20"))
    parser.add_argument("--time", metavar="HH:MM", type=_time, help=_("at what time of the day"))
    parser.add_argument("--priority", choices=PRIORITIES, default="normal", help=_("how urgent it is"))
    parser.add_argument("--for", dest="whom", metavar="USERNAME", help=_("who does it (by default who asks)"))
    parser.add_argument("--details", metavar="TEXT", default="", help=_("more about it"))


def _add(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        viewer.require(P.TASKS_EDIT)
        whom = users.named(conn, viewer=viewer, username=args.whom)[0] if args.whom else None
        done = tasks.add(
            conn,
            actor=viewer,
            customer_id=args.customer,
            title=args.title,
            kind=args.kind,
            due_on=args.due,
            due_time=args.time,
            priority=args.priority,
            assignee_id=whom,
            body=args.details,
            source=SOURCE,
        )
    return _saved(done)


def _one_options(parser: ArgumentParser) -> None:
    parser.add_argument("customer", metavar="ID", type=number, help=_("the customer's number"))
    parser.add_argument("task", metavar="TASK", type=number, help=_("the task's number"))


def _postpone_options(parser: ArgumentParser) -> None:
    _one_options(parser)
    parser.add_argument("day", metavar="DAY", type=day, help=_("until when, as in 2026-11-20"))


def _one(command: Callable[..., int]) -> Callable[[Namespace], Output]:
    """The command of the terminal that does this with one task."""

    def run(args: Namespace) -> Output:
        viewer = viewer_of(args)
        more = {"due_on": args.day} if "day" in args else {}
        with begin(viewer, write=True) as conn:
            done = command(conn, actor=viewer, customer_id=args.customer, task_id=args.task, source=SOURCE, **more)
        return _saved(done)

    return run


def _saved(set_id: int) -> Output:
    undo = f"python -m db undo {set_id}"
    return Output({"change_set_id": set_id}, _("Saved. To take it back: {commands}").format(commands=undo))


# --- talks -----------------------------------------------------------------------------------------------------------


def _timeline_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the customer's number"))
    parser.add_argument("--part", choices=PARTS, default="", help=_("one part of it"))
    parser.add_argument("--limit", metavar="N", type=up_to(timeline.MOST_EVENTS), default=30, help=_("events at most"))


def _timeline(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        today = clock.today(zone)
        customer.get(conn, viewer=viewer, customer_id=args.id, today=today)  # NotFound rather than nothing
        asked = {"customer_id": args.id, "zone": zone, "part": args.part, "limit": args.limit}
        found = timeline.timeline(conn, viewer=viewer, **asked)
    rows = out.records(found.rows.astype({"minutes": "Int64", "lines": "Int64"}))
    data = {"rows": rows, "totals": dict(found.totals)}
    if not rows:
        return Output(data, _("Nothing has happened here yet."))
    told = [out.line(*filter(None, (row["title"], row["body"], row["outcome"]))) for row in rows]
    listed = out.table(
        {
            _("When"): [
                out.instant(row["happened_at"], zone) if row["happened_at"] else out.day(row["happened_on"])
                for row in rows
            ],
            _("What"): [row["kind"] for row in rows],
            _("Who"): [row["who"] for row in rows],
            _("Amount"): [out.money(row["amount"], row["currency"]) if row["currency"] else "" for row in rows],
            _("Content"): [text.replace("\n", " ") for text in told],
        },
        right=(_("Amount"),),
    )
    of = _("{n} of {total}").format(
        n=out.number(len(rows)),
        total=out.number(found.totals[args.part] if args.part else sum(found.totals.values())),
    )
    return Output(data, f"{listed}\n\n{of}")


def _log_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the customer's number"))
    parser.add_argument("--kind", choices=KIND_NAMES, default="call", help=_("how you talked (by default a call)"))
    parser.add_argument("--direction", choices=("in", "out"), default="out", help=_("who began: out is you"))
    parser.add_argument("--outcome", choices=OUTCOMES, default="", help=_("how it went"))
    parser.add_argument("--subject", metavar="TEXT", default="", help=_("what it was about"))
    parser.add_argument("--body", metavar="TEXT", default="", help=_("what was said"))
    parser.add_argument("--minutes", metavar="N", type=up_to(MOST_MINUTES), help=_("how long it took"))
    parser.add_argument("--day", metavar="DAY", type=day, help=_("the day, at midday (by default now)"))


def _log(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        zone = ZoneInfo(settings.get(conn).time_zone)
        values: dict[str, Any] = {
            name: getattr(args, name) for name in ("kind", "direction", "outcome", "subject", "body", "minutes")
        }
        at = datetime.combine(args.day, MIDDAY, zone) if args.day else None
        done = interactions.log(conn, actor=viewer, customer_id=args.id, happened_at=at, source=SOURCE, **values)
    return _saved(done)


COMMANDS = (
    Command("tasks list", N_("what is to be done, the most urgent first"), (P.TASKS_READ,), _list_options, _list),
    Command("tasks add", N_("add a task at a customer"), (P.TASKS_EDIT,), _add_options, _add),
    Command("tasks done", N_("finish a task"), (P.TASKS_EDIT,), _one_options, _one(tasks.finish)),
    Command("tasks reopen", N_("open a finished task again"), (P.TASKS_EDIT,), _one_options, _one(tasks.reopen)),
    Command(
        "tasks postpone", N_("put a task on another day"), (P.TASKS_EDIT,), _postpone_options, _one(tasks.postpone)
    ),
    Command("tasks delete", N_("delete a task"), (P.TASKS_EDIT,), _one_options, _one(tasks.delete)),
    Command(
        "customers timeline",
        N_("everything that happened, newest first"),
        (P.CUSTOMERS_READ,),
        _timeline_options,
        _timeline,
    ),
    Command("customers log", N_("log a call, mail, meeting or message"), (P.CUSTOMERS_EDIT,), _log_options, _log),
)
