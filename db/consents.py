"""Whether a customer may be called or written to: what they said, by channel; the newest holds, nothing is erased."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from db import changes, clock, customer_rows, schema, text
from db.around_words import MOST_SOURCE
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.schema_around import CHANNELS, CONSENT_STATES
from db.words import _


@dataclass(frozen=True)
class Consent:
    """What holds for a channel; `state` is '' when the customer was not asked. `source` says how it was obtained."""

    state: str = ""
    source: str = ""
    happened_at: datetime | None = None


def record(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    channel: str,
    state: str,
    how: str = "",
    happened_at: datetime | None = None,
    source: str = "screen",
    screen: str = "",
) -> int:
    """Keep what the customer said, now unless said otherwise; gives the change set id. `how` it was obtained.

    Raises Invalid with a sentence for each field that cannot be accepted, NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    customer_rows.require_customer(conn, customer_id)
    at = happened_at or clock.now()
    obtained = text.clean(how)
    problems: dict[str, str] = {}
    for name, value, known in (("channel", channel, CHANNELS), ("state", state, CONSENT_STATES)):
        if value not in known:
            listed = ", ".join(known)
            problems[name] = _("There is no “{value}” here. Possible: {known}.").format(value=value, known=listed)
    if not obtained:
        problems["how"] = _("Say how you know: a form, a call, a letter.")
    if len(obtained) > MOST_SOURCE:
        problems["how"] = _("{n} characters are too many; at most {most}.").format(
            n=f"{len(obtained):,}", most=MOST_SOURCE
        )
    if at > clock.now():
        problems["happened_at"] = _("This lies in the future. Log what has happened.")
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    set_id = customer_rows.starter(conn, actor, "consent.record", source, screen)()
    said = {"channel": channel, "state": state, "source": obtained, "happened_at": at}
    changes.insert(conn, set_id, "consents", [said | {"customer_id": customer_id, "author_id": actor.user_id}])
    return set_id


def current(conn: Connection, *, viewer: Viewer, customer_id: int) -> Mapping[str, Consent]:
    """What holds for each channel, in their order; of two of one moment the one that was written later."""
    viewer.require(Permission.CUSTOMERS_READ)
    c = schema.consents.c
    newest = (
        select(c.channel, c.state, c.source, c.happened_at)
        .where(c.customer_id == customer_id)
        .ext(distinct_on(c.channel))
        .order_by(c.channel, c.happened_at.desc(), c.id.desc())
    )
    found = {row.channel: Consent(row.state, row.source, row.happened_at) for row in conn.execute(newest)}
    return {channel: found.get(channel, Consent()) for channel in CHANNELS}


def history(conn: Connection, *, viewer: Viewer, customer_id: int, limit: int = 100) -> pd.DataFrame:
    """All that was said, newest first: id, channel, state, source ('' for masked roles), happened_at, author."""
    viewer.require(Permission.CUSTOMERS_READ)
    c, u = schema.consents.c, schema.users.c
    query = (
        select(c.id, c.channel, c.state, c.source, c.happened_at, u.name.label("author"))
        .select_from(schema.consents.join(schema.users, u.id == c.author_id))
        .where(c.customer_id == customer_id)
        .order_by(c.happened_at.desc(), c.id.desc())
        .limit(max(1, limit))
    )
    return customer_rows.listed(conn, query)
