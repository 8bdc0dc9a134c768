"""Files of a customer: kept in the database, told by their content, given out only to who sees the customer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd
from sqlalchemy import BigInteger, Connection, and_, func, insert, literal, select, tuple_
from sqlalchemy import delete as sa_delete
from sqlalchemy.dialects.postgresql import ARRAY

from db import changes, clock, customer_rows, schema, text, written
from db.connection import bump
from db.errors import Conflict, Invalid, NotFound
from db.file_types import MEDIA_TYPES, media_type
from db.permissions import Permission, Viewer
from db.words import _

MOST_MEGABYTES = 10
MOST_BYTES = MOST_MEGABYTES * 1024 * 1024
MOST_FILES = 200
MOST_NAME = 200
KEPT_DELETED = timedelta(days=90)
"""How long the bytes of a deleted file stay, so that undo brings it back."""
MOST_REMOVED = 500
"""Contents removed by one transaction."""
ADVISORY_LOCK = 7_203_461
_NO_NAME = re.compile(r'[/\\:*?"<>|]')


@dataclass(frozen=True)
class File:
    """A file as it is given out."""

    name: str
    media_type: str
    content: bytes


def files(conn: Connection, *, viewer: Viewer, customer_id: int) -> pd.DataFrame:
    """All of a customer's, newest first: id, name ('' for masked roles), media_type, bytes, created_at, author."""
    viewer.require(Permission.CUSTOMERS_READ)
    a, u = schema.attachments.c, schema.users.c
    query = (
        select(a.id, a.name, a.media_type, a.bytes, a.created_at, u.name.label("author"))
        .select_from(schema.attachments.join(schema.users, u.id == a.author_id))
        .where(a.customer_id == customer_id)
        .order_by(a.created_at.desc(), a.id.desc())
        .limit(MOST_FILES)
    )
    return customer_rows.listed(conn, query)


def content(conn: Connection, *, viewer: Viewer, customer_id: int, attachment_id: int) -> File:
    """One file with its bytes. Raises NotFound in the same words whether it is absent or another's, Refused."""
    viewer.require(Permission.PERSONAL_READ)
    a, c = schema.attachments.c, schema.attachment_contents.c
    row = None
    if max(customer_id, attachment_id) <= changes.LARGEST_ID:
        of = schema.attachments.join(schema.attachment_contents, (c.customer_id == a.customer_id) & (c.id == a.id))
        row = conn.execute(
            select(a.name, a.media_type, c.content)
            .select_from(of)
            .where(a.customer_id == customer_id, a.id == attachment_id)
        ).one_or_none()
    if row is None:
        raise NotFound(_("There is no such file that you may see."))
    return File(row.name, row.media_type, row.content)


def add(
    conn: Connection,
    *,
    actor: Viewer,
    customer_id: int,
    name: str,
    content: bytes,
    source: str = "screen",
    screen: str = "",
) -> int:
    """Keep a file; gives the change set id.

    Raises Invalid with the sentence at field `file` (empty, too large, too many, of no known kind, there already),
    NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    customer_rows.require_customer(conn, customer_id)
    called = file_name(name)
    digest = hashlib.sha256(content).hexdigest()
    kind = media_type(called, content) if len(content) <= MOST_BYTES else ""
    problem = _problem(called, content, kind) or _standing(conn, customer_id, digest)
    if problem:
        raise Invalid(problem, fields={"file": problem})
    set_id = customer_rows.starter(conn, actor, "attachment.add", source, screen)()
    row = {
        "customer_id": customer_id,
        "name": called,
        "media_type": kind,
        "bytes": len(content),
        "sha256": digest,
        "author_id": actor.user_id,
    }
    [attachment_id] = changes.insert(conn, set_id, "attachments", [row | written.keys("attachments")(row)])
    conn.execute(insert(schema.attachment_contents).values(customer_id=customer_id, id=attachment_id, content=content))
    bump(conn, [schema.attachment_contents.info["area"]])
    return set_id


def delete(
    conn: Connection, *, actor: Viewer, customer_id: int, attachment_id: int, source: str = "screen", screen: str = ""
) -> int:
    """Take a file off the customer; its bytes stay for KEPT_DELETED, for undo. Raises NotFound, Refused."""
    actor.require(Permission.CUSTOMERS_EDIT)
    set_id = customer_rows.starter(conn, actor, "attachment.delete", source, screen)()
    changes.delete(conn, set_id, "attachments", [{"customer_id": customer_id, "id": attachment_id}])
    return set_id


def require_contents(conn: Connection, keys: Sequence[tuple[int, int]]) -> None:
    """Before files (customer and id) are brought back: raises Conflict when the bytes of one are gone.

    Those that are there stay until the commit: discard_removed waits for it.
    """
    conn.execute(select(func.pg_advisory_xact_lock_shared(ADVISORY_LOCK)))
    c = schema.attachment_contents.c
    wanted = (
        func.unnest(
            literal([key[0] for key in keys], ARRAY(BigInteger)), literal([key[1] for key in keys], ARRAY(BigInteger))
        )
        .table_valued("customer_id", "id", name="wanted")
        .render_derived()
    )
    of = wanted.join(schema.attachment_contents, and_(c.customer_id == wanted.c.customer_id, c.id == wanted.c.id))
    if (conn.scalar(select(func.count()).select_from(of)) or 0) < len(keys):
        raise Conflict(
            _(
                "The content of this file is gone: a deleted file is kept for {n} days. Add the file again if you "
                "still have it."
            ).format(n=KEPT_DELETED.days),
            gone=True,
        )


def discard_removed(conn: Connection, *, actor: Viewer) -> int:
    """Remove bytes, at most MOST_REMOVED, of files that were taken off longer than KEPT_DELETED ago; gives how many.

    A file that was brought back and deleted again counts from the last time. For the worker.
    """
    actor.require(Permission.METRICS_REFRESH)
    conn.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    c, a = schema.attachment_contents.c, schema.attachments.c
    h, s = schema.changes.c, schema.change_sets.c
    standing = select(a.id).where(a.customer_id == c.customer_id, a.id == c.id)
    lately = (
        select(h.id)
        .join(schema.change_sets, s.id == h.change_set_id)
        .where(h.table_name == schema.attachments.name, h.row_id == c.id, h.action == "delete")
        .where(s.made_at > clock.now() - KEPT_DELETED)
    )
    old: Any = select(c.customer_id, c.id).where(~standing.exists(), ~lately.exists()).limit(MOST_REMOVED)
    done = conn.execute(sa_delete(schema.attachment_contents).where(tuple_(c.customer_id, c.id).in_(old))).rowcount
    if done:
        bump(conn, [schema.attachment_contents.info["area"]])
    return done


def file_name(name: str) -> str:
    """The name as it is kept: the last part of a path, without what no system allows in one."""
    last = text.clean(re.split(r"[/\\]", name)[-1])
    return _NO_NAME.sub("_", last).strip(" .")


def _problem(name: str, content: bytes, kind: str) -> str:
    if not name:
        return _("The file has no name.")
    if len(name) > MOST_NAME:
        return _("The name of the file has {n} characters; at most {most}.").format(n=len(name), most=MOST_NAME)
    if not content:
        return _("The file is empty.")
    if len(content) > MOST_BYTES:
        return _("The file is larger than {most} MB.").format(most=MOST_MEGABYTES)
    if not kind:
        kinds = ", ".join(MEDIA_TYPES)
        return _("The content is not what the name says, or no kind that is kept here. Possible: {kinds}.").format(
            kinds=kinds
        )
    return ""


def _standing(conn: Connection, customer_id: int, digest: str) -> str:
    """Why the customer can have no more, or not this one."""
    a = schema.attachments.c
    mine = select(func.count(), func.min(a.name).filter(a.sha256 == digest)).where(a.customer_id == customer_id)
    have, same = conn.execute(mine).one()
    if same is not None:
        return _("This file is here already as “{name}”.").format(name=same)
    if have >= MOST_FILES:
        return _("A customer can have {most} files at most. Delete one first.").format(most=MOST_FILES)
    return ""
