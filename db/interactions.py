"""Calls, mails, meetings and messages with a customer: logged, deleted, taken back like everything else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from db import changes, clock, customer_rows, settings, text, written
from db.errors import Invalid
from db.event_words import MOST_BODY, MOST_MINUTES, MOST_SUBJECT, OUTCOMES
from db.permissions import Permission, Viewer
from db.schema_around import DIRECTIONS, INTERACTION_KINDS
from db.words import _


def log(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    kind: str,
    happened_at: datetime | None = None,
    direction: str = "",
    minutes: int | None = None,
    outcome: str = "",
    subject: str = "",
    body: str = "",
    source: str = "screen",
    screen: str = "",
) -> int:
    """Keep what happened, now unless said otherwise; gives the change set id.

    Raises Invalid with a sentence for each field that cannot be accepted, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    customer_rows.require_customer(conn, customer_id)
    at = happened_at or clock.now()
    row = {
        "kind": kind,
        "direction": direction,
        "minutes": minutes,
        "outcome": outcome,
        "subject": text.clean(subject),
        "body": text.clean(body, multiline=True),
        "happened_at": at,
        # The company's day, as with orders.
        "happened_on": at.astimezone(ZoneInfo(settings.get(conn).time_zone)).date(),
    }
    problems = _problems(row)
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    set_id = _start(conn, actor, f"{kind}.log", source, screen)
    row |= {"customer_id": customer_id, "author_id": actor.user_id, **written.keys("interactions")(row)}
    changes.insert(conn, set_id, "interactions", [row])
    return set_id


def delete(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    interaction_id: int,
    source: str = "screen",
    screen: str = "",
) -> int:
    """Delete one (undo brings it back with its id); gives the change set id. Raises NotFound, Refused."""
    actor.require(Permission.CUSTOMERS_EDIT)
    set_id = _start(conn, actor, "interaction.delete", source, screen)
    changes.delete(conn, set_id, "interactions", [{"customer_id": customer_id, "id": interaction_id}])
    return set_id


def _problems(row: Mapping[str, object]) -> dict[str, str]:
    """What is wrong, a sentence for each field."""
    found: dict[str, str] = {}
    for name, known in (("kind", INTERACTION_KINDS), ("direction", DIRECTIONS), ("outcome", ("", *OUTCOMES))):
        if row[name] not in known:
            listed = ", ".join(filter(None, known))
            found[name] = _("There is no “{value}” here. Possible: {known}.").format(value=row[name], known=listed)
    for name, most in (("subject", MOST_SUBJECT), ("body", MOST_BODY)):
        length = len(str(row[name]))
        if length > most:
            found[name] = _("{n} characters are too many; at most {most}.").format(n=f"{length:,}", most=f"{most:,}")
    minutes, at = row["minutes"], row["happened_at"]
    if isinstance(minutes, int) and not 0 <= minutes <= MOST_MINUTES:
        found["minutes"] = _("Between 0 and {most} minutes.").format(most=f"{MOST_MINUTES:,}")
    if isinstance(at, datetime) and at > clock.now():
        found["happened_at"] = _("This lies in the future. Log what has happened.")
    if not (row["subject"] or row["body"] or row["outcome"]):
        found["body"] = _("Write something first, or say how it went.")
    return found


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.CUSTOMERS_EDIT, source=source, screen=screen
    )
