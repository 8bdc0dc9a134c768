"""Starting a campaign from a list of customers: who would receive it, the start itself, and taking it back.

Whoever receives it, and whoever is held out, stands from then on, whatever becomes of the rule that found them. Left
out is who said no to the channel, who has no address for it and, unless wanted, who was never asked. Of the others as
many as were asked for are held out at random, which their numbers and the campaign's decide (db/rights_campaigns.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from db import changes, clock, schema, segments, text
from db.around_words import CHANNEL_NAMES
from db.connection import bounded, bump
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Permission, Viewer
from db.words import _, ngettext

COMMAND = "campaign.start"
MOST_NAME, MOST_KIND = 120, 40
MOST_DAYS = 731
"""Days from the first to the last."""
MOST_MEMBERS = 200_000
"""Customers of a list that a campaign is started from."""
MOST_HELD = 50
"""Of a hundred."""
START_MS = 120_000
"""How long the members of one may take to be written, or removed."""
MOVED = ("campaigns", "metrics", "orders")
"""Areas that move: who received what, whose figures wait, and what was loaded."""
_NAME_KEY = "campaigns_name_key"


@dataclass(frozen=True)
class Reach:
    """Of the `chosen` customers: who said no, has no address for the channel, was never asked; each counted once.

    The rest would receive it, or did, but for those who are held out.
    """

    chosen: int
    refused: int
    unreachable: int
    unasked: int
    held_out: int

    @property
    def received(self) -> int:
        """How many receive it."""
        return self.chosen - self.refused - self.unreachable - self.unasked - self.held_out


@dataclass(frozen=True)
class Begun:
    """A campaign that was started."""

    campaign_id: int
    change_set_id: int
    reach: Reach


def reach(
    conn: Connection, *, viewer: Viewer, rule: str, channel: str, percent: int, unasked: bool, today: date
) -> Reach:
    """Who of those who fit a rule (JSON) would receive a campaign by this channel; with `unasked` those too whom nobody
    asked. `percent` of them are held out. Raises Invalid, also for too many, and Refused."""
    viewer.require(Permission.CAMPAIGNS_EDIT)
    _raise(_problems_of_list(channel, percent))
    ids = segments.who(conn, viewer=viewer, rule=rule, today=today, limit=MOST_MEMBERS + 1)
    _few_enough(ids)
    asked = func.campaign_reach(list(ids), channel, unasked, percent)
    row = conn.execute(select(asked.table_valued(*Reach.__dataclass_fields__, name="found"))).one()
    return Reach(*row)


def start(
    conn: Connection,
    *,
    actor: Viewer,
    ids: Sequence[int],
    name: str,
    kind: str,
    channel: str,
    starts_on: date,
    ends_on: date,
    today: date,
    percent: int = 0,
    unasked: bool = False,
    segment_id: int | None = None,
    expected: int | None = None,
    source: str = "screen",
    screen: str = "",
) -> Begun:
    """Start a campaign with those of these customers who may and can be reached; who is out of sight is left out.

    `segment_id` is the kept segment they are of. With `expected` nothing is done where another number would receive it.
    Raises Invalid by field, also where nobody would receive it; Conflict, NotFound (the segment), Refused.
    """
    actor.require(Permission.CAMPAIGNS_EDIT)
    given = {"name": text.clean(name), "kind": text.clean(kind), "starts_on": starts_on, "ends_on": ends_on}
    _raise(_problems(given, today) | _problems_of_list(channel, percent))
    _few_enough(ids)
    if segment_id is not None:
        _require_segment(conn, segment_id)
    now = clock.now()
    batch_id = conn.scalar(select(func.begin_campaign_batch(now)))
    if batch_id is None:
        raise Refused(_("The database refused this: your role has no right to these rows or columns."))
    set_id = changes.start(
        conn,
        actor=actor,
        command=COMMAND,
        permission=Permission.CAMPAIGNS_EDIT,
        source=source,
        screen=screen,
        batch_id=batch_id,
    )
    row = given | {"channel": channel, "held_percent": percent, "segment_id": segment_id}
    row |= {"owner_id": actor.user_id, "batch_id": batch_id}
    campaign_id = _inserted(conn, set_id, row)
    # One statement: who receives it, who is held out, and how many are neither.
    begun = func.start_campaign(campaign_id, sorted(set(ids)), channel, unasked, now)
    columns = (*Reach.__dataclass_fields__, "received")
    bump(conn, MOVED)
    with bounded(conn, START_MS):
        *counts, received = conn.execute(select(begun.table_valued(*columns, name="begun"))).one()
    found = Reach(*counts)
    if not received:
        raise Invalid(_("None of them would receive it, so nothing was started."))
    if expected is not None and received != expected:
        raise Conflict(
            _("Meanwhile {n} would receive it, and not {seen}. Nothing was started; look at the numbers again.").format(
                n=f"{received:,}", seen=f"{expected:,}"
            )
        )
    return Begun(campaign_id, set_id, found)


def withdraw(conn: Connection, batch_id: int) -> int | None:
    """Remove the members of a campaign that was started; gives their number, None for any other load.

    Raises Conflict as soon as somebody has redeemed something.
    """
    with bounded(conn, START_MS):
        removed = conn.scalar(select(func.withdraw_campaign(batch_id, clock.now())))
    if removed is None:
        return None
    if removed < 0:
        raise Conflict(
            ngettext(
                "{n} customer has redeemed something in this campaign already. It stays as it is.",
                "{n} customers have redeemed something in this campaign already. It stays as it is.",
                -removed,
            ).format(n=f"{-removed:,}")
        )
    bump(conn, MOVED)
    return int(removed)


def _inserted(conn: Connection, set_id: int, row: dict[str, Any]) -> int:
    try:
        with conn.begin_nested():
            return changes.insert(conn, set_id, "campaigns", [row])[0]
    except IntegrityError as error:
        if _NAME_KEY not in str(error.orig):
            raise
        problem = _("There is a campaign of this name already. Choose another name.")
        raise Invalid(problem, fields={"name": problem}) from error


def _require_segment(conn: Connection, segment_id: int) -> None:
    s = schema.segments.c
    if not 0 < segment_id <= changes.LARGEST_ID or not conn.scalar(select(s.id).where(s.id == segment_id)):
        raise NotFound(_("There is no segment {id} that you may see.").format(id=segment_id))


def _few_enough(ids: Sequence[int]) -> None:
    if not ids:
        raise Invalid(_("There is nobody to start a campaign with."))
    if len(ids) > MOST_MEMBERS:
        most = f"{MOST_MEMBERS:,}"
        raise Invalid(_("A campaign is started with at most {most} customers; these are more.").format(most=most))


def _raise(problems: dict[str, str]) -> None:
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)


def _problems(given: dict[str, Any], today: date) -> dict[str, str]:
    problems = {}
    if not given["name"]:
        problems["name"] = _("A campaign needs a name.")
    if len(given["name"]) > MOST_NAME:
        problems["name"] = _("A name has at most {n} characters.").format(n=MOST_NAME)
    if not given["kind"]:
        problems["kind"] = _("Say what kind of campaign it is.")
    if len(given["kind"]) > MOST_KIND:
        problems["kind"] = _("A kind has at most {n} characters.").format(n=MOST_KIND)
    if given["starts_on"] < today:
        problems["starts_on"] = _("The first day is over. Choose today or a later one.")
    elif given["ends_on"] < given["starts_on"]:
        problems["ends_on"] = _("The last day lies before the first.")
    elif (given["ends_on"] - given["starts_on"]).days >= MOST_DAYS:
        problems["ends_on"] = _("A campaign lasts at most {n} days.").format(n=MOST_DAYS)
    return problems


def _problems_of_list(channel: str, percent: int) -> dict[str, str]:
    problems = {}
    if channel not in CHANNEL_NAMES:
        known = ", ".join(CHANNEL_NAMES)
        problems["channel"] = _("There is no “{value}” here. Possible: {known}.").format(value=channel, known=known)
    if not 0 <= percent <= MOST_HELD:
        problems["percent"] = _("From 0 to {n} of a hundred can be held out.").format(n=MOST_HELD)
    return problems
