"""Commands over campaigns that are started from a list: campaign start, campaign show."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from analytics.intervals import newcombe, wilson
from db import campaign_start, campaigns, clock, rules, saved_segments, segments, settings, started_campaigns
from db.around_words import CHANNEL_NAMES
from db.campaign_start import MOST_HELD, MOST_MEMBERS, Reach
from db.connection import begin
from db.errors import Invalid
from db.metrics import N_
from db.permissions import Permission
from db.started_campaigns import Arm
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, day, number, up_to, viewer_of
from db.terminal.output import Output
from db.terminal.segments import rule_of
from db.words import _

DAYS = 14


def _options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=_("what to call it"))
    of = parser.add_mutually_exclusive_group(required=True)
    of.add_argument("--segment", metavar="ID", type=number, help=_("the segment's number"))
    of.add_argument("--rule", metavar="FILE", help=_("a file with the rule as JSON; - reads standard input"))
    parser.add_argument("--channel", choices=list(CHANNEL_NAMES), required=True, help=_("by which way"))
    parser.add_argument("--type", metavar="TEXT", default="", help=_("what kind of campaign it is"))
    parser.add_argument("--from", metavar="DAY", dest="starts_on", type=day, help=_("its first day (today)"))
    parser.add_argument("--to", metavar="DAY", dest="ends_on", type=day, help=_("its last day (two weeks in all)"))
    held = _("hold out so many of a hundred at random, who receive nothing")
    parser.add_argument("--hold-out", metavar="N", type=up_to(MOST_HELD), default=0, help=held)
    parser.add_argument("--unasked", action="store_true", help=_("also those who were never asked for their consent"))
    parser.add_argument("--dry-run", action="store_true", help=_("say who would receive it, and start nothing"))


def _start(args: Namespace) -> Output:
    written = rule_of(args.rule) if args.rule else ""
    viewer = viewer_of(args)
    viewer.require(Permission.CAMPAIGNS_EDIT)
    asked: dict[str, Any] = {"channel": args.channel, "percent": args.hold_out, "unasked": args.unasked}
    with begin(viewer) as conn:
        today = clock.today(settings.get(conn).time_zone)
        if args.segment:
            written = rules.written(saved_segments.get(conn, viewer=viewer, segment_id=args.segment).rule)
        if args.dry_run:
            found = campaign_start.reach(conn, viewer=viewer, rule=written, today=today, **asked)
            return Output(_data(found) | {"id": None, "change_set_id": None}, _told(found, args.channel, done=False))
        ids = segments.who(conn, viewer=viewer, rule=written, today=today, limit=MOST_MEMBERS + 1)
    starts_on = args.starts_on or today
    values = asked | {
        "name": args.name,
        "kind": args.type or _("List"),
        "starts_on": starts_on,
        "ends_on": args.ends_on or starts_on + timedelta(days=DAYS - 1),
        "segment_id": args.segment,
    }
    with begin(viewer, write=True) as conn:
        begun = campaign_start.start(conn, actor=viewer, ids=ids, today=today, source=SOURCE, **values)
    data = _data(begun.reach) | {"id": begun.campaign_id, "change_set_id": begun.change_set_id}
    undo = _("Campaign {id} is started. To take it back: {commands}")
    undo = undo.format(id=begun.campaign_id, commands=f"python -m db undo {begun.change_set_id}")
    return Output(data, "\n".join([_told(begun.reach, args.channel, done=True), undo]))


def _data(found: Reach) -> dict[str, Any]:
    return asdict(found) | {"received": found.received}


def _told(found: Reach, channel: str, *, done: bool) -> str:
    """How many receive it, and for each reason how many do not."""
    n, total = out.number(found.received), out.number(found.chosen)
    head = _("{n} of {total} receive it.") if done else _("{n} of {total} would receive it.")
    missing = _("no address for this channel ({channel})").format(channel=_(CHANNEL_NAMES[channel]))
    reasons = {
        _("said no"): found.refused,
        missing: found.unreachable,
        _("never asked"): found.unasked,
        _("held out at random"): found.held_out,
    }
    lines = [f"  {reason}: {out.number(n)}" for reason, n in reasons.items() if n]
    return "\n".join([head.format(n=n, total=total), *lines])


def _show_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the campaign's number"))


def _show(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        today = clock.today(settings.get(conn).time_zone)
        one = campaigns.get(conn, viewer=viewer, campaign_id=args.id, today=today)
        found = started_campaigns.get(conn, viewer=viewer, campaign_id=args.id)
    if found is None:
        raise Invalid(_("Campaign {id} was loaded, not started from a list.").format(id=args.id))
    apart = None
    if found.received.customers and found.held_out.customers:
        apart = newcombe(
            *(found.received.buyers, found.received.customers, found.held_out.buyers, found.held_out.customers)
        )
    data = {
        "id": one.id,
        "campaign": one.name,
        "starts_on": one.starts_on,
        "ends_on": one.ends_on,
        "channel": found.channel,
        "by": found.by,
        "segment_id": found.segment_id,
        "hold_out": found.percent,
        "start": _data(found.reach) if found.reach else None,
        "received": _arm(found.received),
        "held_out": _arm(found.held_out),
        "difference": apart[0] if apart else None,
        "interval": list(apart[1:]) if apart else [None, None],
    }
    title = out.line(f"{one.name} #{one.id}", out.days(one.starts_on, one.ends_on), _(CHANNEL_NAMES[found.channel]))
    arms = {_("Received it"): found.received, _("Held out"): found.held_out}
    listed = out.table(
        {
            _("Group"): list(arms),
            _("Customers"): [out.number(arm.customers) for arm in arms.values()],
            _("Bought in the window"): [out.number(arm.buyers) for arm in arms.values()],
            _("Share (95% interval)"): [_rate(arm) for arm in arms.values()],
        },
        right=(_("Customers"), _("Bought in the window"), _("Share (95% interval)")),
    )
    said = _("Nobody was held out, or you see one group alone: there is nothing to compare.")
    if apart:
        n, low, high = (f"{100 * value:+.1f}" for value in apart)
        said = _("Difference: {n} percentage points (95% interval {low} to {high})").format(n=n, low=low, high=high)
    return Output(data, "\n\n".join([title, listed, said]))


def _arm(arm: Arm) -> dict[str, Any]:
    low, high = wilson(arm.buyers, arm.customers) if arm.customers else (None, None)
    return asdict(arm) | {"share": arm.buyers / arm.customers if arm.customers else None, "interval": [low, high]}


def _rate(arm: Arm) -> str:
    if not arm.customers:
        return _("not known")
    low, high = wilson(arm.buyers, arm.customers)
    return f"{out.percent(arm.buyers / arm.customers)} ({low * 100:.1f}–{high * 100:.1f}%)"


COMMANDS = (
    Command(
        "campaign start",
        N_("start a campaign with the customers of a segment"),
        (Permission.CAMPAIGNS_EDIT, Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ),
        _options,
        _start,
    ),
    Command(
        "campaign show",
        N_("what a campaign brought about that was started from a list"),
        (Permission.CAMPAIGNS_READ,),
        _show_options,
        _show,
    ),
)
