"""Tags: the words that people put on customers to find them by, whatever their case; added, removed, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Text, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from db import changes, schema, text
from db.errors import Invalid, NotFound
from db.permissions import Permission, Viewer
from db.words import _

MOST_TAG = 40
"""Characters of a tag."""
MOST_TAGS = 50
"""Tags of one customer."""
MOST_LISTED = 500
"""Different tags that are offered to choose from."""
MOST_COUNTED = 100
"""Customers of one tag that are counted; a count of one more says "more than"."""

_t = schema.customer_tags.c


@dataclass(frozen=True)
class Tag:
    """A tag of one customer."""

    id: int
    tag: str


def key(tag: str) -> str:
    """What makes two tags the same one: the word, whatever its case."""
    return text.clean(tag).casefold()


def keys(row: Mapping[str, Any]) -> dict[str, str]:
    """The derived column of a row of the table."""
    return {"tag_key": key(str(row.get("tag") or ""))}


def of_customer(conn: Connection, *, viewer: Viewer, customer_id: int) -> list[Tag]:
    """The customer's tags, by the word."""
    viewer.require(Permission.CUSTOMERS_READ)
    if customer_id > changes.LARGEST_ID:
        return []
    rows = conn.execute(select(_t.id, _t.tag).where(_t.customer_id == customer_id))
    return sorted((Tag(*row) for row in rows), key=lambda one: text.sort_key(one.tag))


def in_use(conn: Connection, *, viewer: Viewer, limit: int = MOST_LISTED) -> pd.DataFrame:
    """The tags of the viewer's customers: tag, customers (MOST_COUNTED + 1 where there are more), by the word.

    Archived customers do not count. Of several spellings of one tag there is one.
    """
    viewer.require(Permission.CUSTOMERS_READ)
    return _listed(conn, viewer, max(1, min(limit, MOST_LISTED)), counted=MOST_COUNTED + 1)


def _listed(conn: Connection, viewer: Viewer, limit: int, *, counted: int) -> pd.DataFrame:
    function = func.tags_in_use_scoped if viewer.scoped else func.tags_in_use_all
    found = function(limit, counted).table_valued("tag", "customers")
    rows = conn.execute(select(found.c.tag, found.c.customers))
    frame = pd.DataFrame(rows.fetchall(), columns=["tag", "customers"])
    return frame.sort_values("tag", key=lambda words: words.map(text.sort_key), ignore_index=True)


def offered(conn: Connection, *, viewer: Viewer) -> dict[str, str]:
    """The tags of the viewer's customers by key, in the order of in_use; not counted, which is cheaper."""
    viewer.require(Permission.CUSTOMERS_READ)
    return {key(tag): tag for tag in _listed(conn, viewer, MOST_LISTED, counted=1)["tag"]}


def standing(conn: Connection, *, viewer: Viewer, keys: tuple[str, ...]) -> dict[str, str]:
    """Those of the keys that a customer of the viewer has who is not archived, each with a spelling of the tag."""
    viewer.require(Permission.CUSTOMERS_READ)
    asked = [one for one in dict.fromkeys(keys) if key(one) == one][:MOST_LISTED]
    if not asked:
        return {}
    function = func.tags_standing_scoped if viewer.scoped else func.tags_standing_all
    found = function(cast(asked, ARRAY(Text))).table_valued("tag_key", "tag")
    rows = {row.tag_key: row.tag for row in conn.execute(select(found.c.tag_key, found.c.tag))}
    return {one: rows[one] for one in asked if one in rows}


def add(
    conn: Connection, *, actor: Viewer, customer_id: int, tag: str, source: str = "screen", screen: str = ""
) -> int:
    """Put a tag on a customer, in the spelling that stands on others; gives the change set id.

    Raises Invalid (not a tag, there already, too many), NotFound, Refused.
    """
    actor.require(Permission.CUSTOMERS_EDIT)
    word = spelled(conn, tag)
    _lock(conn, customer_id)
    present = {key(one.tag) for one in of_customer(conn, viewer=actor, customer_id=customer_id)}
    if key(word) in present:
        problem = _("This customer has the tag “{tag}” already.").format(tag=word)
        raise Invalid(problem, fields={"tag": problem})
    if len(present) >= MOST_TAGS:
        problem = _("A customer has at most {most} tags. Remove one first.").format(most=MOST_TAGS)
        raise Invalid(problem, fields={"tag": problem})
    set_id = _start(conn, actor, "tag.add", source, screen)
    changes.insert(conn, set_id, "customer_tags", [row(customer_id, word)])
    return set_id


def remove(
    conn: Connection, *, actor: Viewer, customer_id: int, tag_id: int, source: str = "screen", screen: str = ""
) -> int:
    """Take a tag off a customer; gives the change set id. Raises NotFound, Refused."""
    actor.require(Permission.CUSTOMERS_EDIT)
    set_id = _start(conn, actor, "tag.remove", source, screen)
    changes.delete(conn, set_id, "customer_tags", [{"customer_id": customer_id, "id": tag_id}])
    return set_id


def checked(tag: str) -> str:
    """The tag as it is stored. Raises Invalid when it is empty, too long or would be two in an address."""
    word = text.clean(tag)
    problem = ""
    if not word:
        problem = _("Write the tag first.")
    elif len(word) > MOST_TAG:
        problem = _("{n} characters are too many; at most {most}.").format(n=f"{len(word):,}", most=MOST_TAG)
    elif "," in word:
        problem = _("A tag has no comma: add one after the other.")
    if problem:
        raise Invalid(problem, fields={"tag": problem})
    return word


def spelled(conn: Connection, tag: str) -> str:
    """The tag as it is stored, in the spelling that stands on the viewer's customers already. Raises Invalid."""
    word = checked(tag)
    standing = conn.scalar(select(_t.tag).where(_t.tag_key == key(word)).limit(1))
    return standing or word


def row(customer_id: int, tag: str) -> dict[str, object]:
    """What is inserted for a tag that was checked."""
    return {"customer_id": customer_id, "tag": tag, "tag_key": key(tag)}


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.CUSTOMERS_EDIT, source=source, screen=screen
    )


def _lock(conn: Connection, customer_id: int) -> None:
    """Who adds to the same customer waits, so that two do not add the same."""
    c = schema.customers.c
    found = None
    if customer_id <= changes.LARGEST_ID:
        found = conn.scalar(select(c.id).where(c.id == customer_id).with_for_update())
    if found is None:
        raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))
