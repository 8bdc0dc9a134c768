"""The command over many customers at once: handed over, tagged, archived, put back; as one change, told before."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from db import bulk_actions, clock, customers, settings, tags, users
from db.bulk_actions import ACTIONS, ASSIGN, BATCH, MOST_CHANGED, RESTORE, TAG, UNTAG, Action, Chosen, Preview
from db.connection import begin
from db.customer_filters import BEFORE, MOST_DAYS, MOST_REVENUE, NEVER, WITHIN, Filters
from db.errors import Invalid
from db.metrics import Stage
from db.permissions import Permission, Viewer
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import SOURCE, Command, Usage, number, up_to, viewer_of
from db.terminal.output import Output
from db.words import N_, _, ngettext


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", choices=ACTIONS, help=", ".join(ACTIONS))
    parser.add_argument(
        "value", metavar="VALUE", nargs="?", help=_("to whom (a user name, - for nobody), or which tag")
    )
    sure = parser.add_mutually_exclusive_group()
    sure.add_argument("--dry-run", action="store_true", help=_("say how many and who would change, and do nothing"))
    sure.add_argument(
        "--count",
        metavar="N",
        type=up_to(MOST_CHANGED),
        help=_("do it, unless more than so many would change; needed with filters"),
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--ids", metavar="ID", nargs="+", type=number, help=_("the customers of these numbers"))
    who.add_argument("--everybody", action="store_true", help=_("all customers you see, without a filter"))
    parser.add_argument("--search", metavar="TEXT", default="", help=_("what the search of the list finds"))
    parser.add_argument("--owner", metavar="USERNAME", help=_("whose customers; - for nobody's"))
    parser.add_argument("--team", metavar="TEAM", help=_("the customers of this team"))
    parser.add_argument("--stage", choices=[s.value for s in Stage], default="", help=_("in this stage"))
    parser.add_argument("--region", metavar="REGION", default="", help=_("of this region"))
    parser.add_argument("--source", metavar="SOURCE", default="", help=_("from this source"))
    parser.add_argument("--tag", metavar="TAG", action="append", default=[], help=_("with this tag, once or more"))
    money = up_to(MOST_REVENUE)
    parser.add_argument("--revenue-from", metavar="N", type=money, help=_("with at least this revenue"))
    parser.add_argument("--revenue-to", metavar="N", type=money, help=_("with at most this revenue"))
    segment_source.options(parser)
    days = up_to(MOST_DAYS)
    told = {
        "ordered": (_("ordered in the last N days"), _("no order in the last N days"), _("never ordered")),
        "contacted": (_("contact in the last N days"), _("no contact in the last N days"), _("never contacted")),
    }
    for what, (within, before, never) in told.items():
        either = parser.add_mutually_exclusive_group()
        either.add_argument(f"--{what}-within", metavar="N", type=days, help=within)
        either.add_argument(f"--not-{what}-for", metavar="N", type=days, help=before)
        either.add_argument(f"--never-{what}", action="store_true", help=never)


def _run(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=not args.dry_run) as conn:
        viewer.require(Permission.CUSTOMERS_ASSIGN if args.action == ASSIGN else Permission.CUSTOMERS_EDIT)
        today = clock.today(settings.get(conn).time_zone)
        asked: dict[str, Any] = {
            "today": today,
            "chosen": _chosen(conn, viewer, args),
            "action": _action(conn, viewer, args),
        }
        found = bulk_actions.preview(conn, viewer=viewer, **asked)
        data = asdict(found) | {"names": list(found.names), "changed": 0, "change_set_id": None}
        if args.dry_run:
            return Output(data, "\n".join([*_told(found), *_left(found, args.action), _how(found)]))
        if args.count is None and not args.ids:
            raise Usage(
                ngettext(
                    "This would change {n} customer. Look with --dry-run, then repeat it with --count {n}.",
                    "This would change {n} customers. Look with --dry-run, then repeat it with --count {n}.",
                    found.changing,
                ).format(n=found.changing)
            )
        done = bulk_actions.run(conn, actor=viewer, expected=args.count, progress=_progress, source=SOURCE, **asked)
    data |= {"changed": done.changed, "change_set_id": done.change_set_id}
    changed = ngettext("{n} customer was changed.", "{n} customers were changed.", done.changed)
    undo = _("Saved. To take it back: {commands}").format(commands=f"python -m db undo {done.change_set_id}")
    return Output(data, "\n".join([changed.format(n=out.number(done.changed)), *_left(found, args.action), undo]))


def _chosen(conn: Connection, viewer: Viewer, args: Namespace) -> Chosen:
    """The customers of the numbers, or those that the filters find; never all of them by an oversight."""
    filters = _filters(conn, viewer, args)
    narrowed = filters != Filters(archived=args.action == RESTORE)
    if args.ids and narrowed:
        raise Usage(_("Either --ids or filters: both together say two things."))
    if args.everybody and narrowed:
        raise Usage(_("Either --everybody or filters: both together say two things."))
    if args.ids:
        return Chosen(ids=tuple(args.ids))
    if not (narrowed or args.everybody):
        raise Usage(_("Say which customers: --ids, filters, or --everybody."))
    return Chosen(filters=filters)


def _filters(conn: Connection, viewer: Viewer, args: Namespace) -> Filters:
    values: dict[str, Any] = {
        name: getattr(args, name) for name in ("search", "stage", "region", "source", "revenue_from", "revenue_to")
    }
    for what in ("ordered", "contacted"):
        modes = {
            WITHIN: getattr(args, f"{what}_within"),
            BEFORE: getattr(args, f"not_{what}_for"),
            NEVER: getattr(args, f"never_{what}") or None,
        }
        mode = next((mode for mode, given in modes.items() if given is not None), "")
        values[what] = mode
        if mode in (WITHIN, BEFORE):
            values[f"{what}_days"] = modes[mode]
    if args.owner:
        values["owner_id"] = users.named(conn, viewer=viewer, username=args.owner)[0]
    if args.team:
        values["team_id"] = _team(conn, viewer, args.team)
    known = {"region": customers.regions, "source": customers.sources}
    for name, listed in known.items():
        if values[name] and values[name] not in (offered := listed(conn, viewer=viewer)):
            problem = _("There is no “{value}” here. Possible: {known}.").format(
                value=values[name], known=", ".join(offered)
            )
            raise Invalid(problem, fields={name: problem})
    values |= {"segment": segment_source.code(args), "tags": tuple(map(tags.checked, args.tag))}
    return Filters(**values, archived=args.action == RESTORE)


def _team(conn: Connection, viewer: Viewer, name: str) -> int:
    known = customers.teams(conn, viewer=viewer)
    found = next((team_id for team_id, called in known.items() if called == name), None)
    if found is None:
        problem = _("There is no “{value}” here. Possible: {known}.").format(
            value=name, known=", ".join(known.values()) or "–"
        )
        raise Invalid(problem, fields={"team": problem})
    return found


def _action(conn: Connection, viewer: Viewer, args: Namespace) -> Action:
    needs = args.action in (ASSIGN, TAG, UNTAG)
    if needs != (args.value is not None):
        raise Usage(
            _("{action} takes a value, as in {example}.").format(action=args.action, example=_EXAMPLES[args.action])
            if needs
            else _("{action} takes no value.").format(action=args.action)
        )
    if args.action == ASSIGN:
        return Action(ASSIGN, owner_id=users.named(conn, viewer=viewer, username=args.value)[0])
    return Action(args.action, tag=args.value or "")


_EXAMPLES = {ASSIGN: "assign lin.sales", TAG: "tag VIP", UNTAG: "untag VIP"}


def _told(found: Preview) -> list[str]:
    """How many would change, and who."""
    n = found.changing
    heading = ngettext("{n} customer will change.", "{n} customers will change.", n) if n else _("Nobody would change.")
    lines = [heading.format(n=out.number(n))]
    if found.names:
        lines.append(", ".join(found.names) + (" …" if n > len(found.names) else ""))
    return lines


def _left(found: Preview, action: str) -> list[str]:
    """How many would not change, and why."""
    if action == RESTORE:
        off = ngettext("{n} is on the lists already.", "{n} are on the lists already.", found.archived)
    else:
        off = ngettext("{n} is archived and stays as it is.", "{n} are archived and stay as they are.", found.archived)
    left = (
        (found.archived, off),
        (found.standing, _standing(action, found.standing)),
        (
            found.full,
            ngettext(
                "{n} has {most} tags already, the most there can be.",
                "{n} have {most} tags already, the most there can be.",
                found.full,
            ),
        ),
        (found.unseen, ngettext("{n} is not among yours.", "{n} are not among yours.", found.unseen)),
    )
    return [told.format(n=out.number(count), most=tags.MOST_TAGS) for count, told in left if count]


def _standing(action: str, n: int) -> str:
    if action == ASSIGN:
        return ngettext("{n} belongs to this person already.", "{n} belong to this person already.", n)
    if action == UNTAG:
        return ngettext("{n} does not have this tag.", "{n} do not have this tag.", n)
    return ngettext("{n} has this tag already.", "{n} have this tag already.", n)


def _how(found: Preview) -> str:
    if not found.changing:
        return _("Nothing was done.")
    return _("Nothing was done. To do it, give --count {n} instead of --dry-run.").format(n=found.changing)


def _progress(done: int, total: int) -> None:
    """On standard error, where it takes more than one step."""
    if total > BATCH:
        told = _("{n} of {total} done; nothing is kept before the end.")
        print(told.format(n=out.number(done), total=out.number(total)), file=sys.stderr, flush=True)


COMMANDS = (
    Command(
        "customers bulk",
        N_("change many customers at once, as one change"),
        (Permission.CUSTOMERS_EDIT, Permission.CUSTOMERS_ASSIGN),
        _options,
        _run,
    ),
)
