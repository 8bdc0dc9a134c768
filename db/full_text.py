"""Search in what people wrote: notes, calls and mails, tasks, names of files; Chinese by the character."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
from sqlalchemy import BigInteger, ColumnElement, Connection, DateTime, Select, Text, column, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from db import needles, schema, text
from db.connection import bounded
from db.errors import Invalid, Unavailable
from db.needles import MOST_TRIGRAMS
from db.permissions import Permission, Viewer
from db.words import N_, _

PAGE = 20
MOST_ROWS = 200
MOST_HITS = 1_000
"""Hits that are counted and paged through; beyond it the total is "more than"."""
SEARCH_MS = 2_000
"""Longer than this a search may not take; it is then stopped, and says so."""
BEFORE = 40
"""Characters that are shown before a hit."""
AFTER = 160
"""Characters that are shown after where a hit begins."""
PARTS: Mapping[str, str] = {
    "talks": N_("Calls, mails, meetings"),
    "notes": N_("Notes"),
    "tasks": N_("Tasks"),
    "files": N_("Files"),
}
COLUMNS = ("part", "customer_id", "id", "customer", "kind", "written_at", "who", "title", "before", "hit", "after")


@dataclass(frozen=True)
class Found:
    """`rows`: COLUMNS, newest first; a piece of the text with the `hit` between `before` and `after`.

    `kind` is call, mail, meeting, message, note, task or file; `title` a talk's subject, a task's title or a file's
    name. `total` is exact up to MOST_HITS, `more` says that there are more. `left_out`: it took too long.
    """

    rows: pd.DataFrame
    total: int = 0
    more: bool = False
    left_out: bool = False


def find(conn: Connection, *, viewer: Viewer, words: str, part: str = "", offset: int = 0, limit: int = PAGE) -> Found:
    """What holds all of the words, of one part or all, at the customers in sight that are not archived.

    Nothing for no words. Raises Invalid for an unknown part, Refused for roles that do not read what is written.
    """
    viewer.require(Permission.PERSONAL_READ)
    if part and part not in PARTS:
        raise Invalid(_("There is no “{value}” here. Possible: {known}.").format(value=part, known=", ".join(PARTS)))
    offset, limit = max(0, offset), max(1, min(limit, MOST_ROWS))
    looked_for = patterns(words)
    nothing = pd.DataFrame(columns=list(COLUMNS))
    if not looked_for:
        return Found(nothing)
    function = func.written_scoped if viewer.scoped else func.written_all
    whole = [word for word in spaced(words) if len(word) > MOST_TRIGRAMS]
    hits = function(
        *(literal(listed, ARRAY(Text)) for listed in ([part] if part else list(PARTS), looked_for, whole)),
        MOST_HITS + 1,
    ).table_valued(
        column("part", Text),
        column("customer_id", BigInteger),
        column("id", BigInteger),
        column("written_at", DateTime(timezone=True)),
    )
    newest = select(hits.c.part, hits.c.customer_id, hits.c.id)
    newest = newest.order_by(hits.c.written_at.desc(), hits.c.part, hits.c.id.desc()).limit(MOST_HITS + 1)
    try:
        with bounded(conn, SEARCH_MS):
            found = [(row[0], row[1], row[2]) for row in conn.execute(newest)]
    except Unavailable:
        return Found(nothing, left_out=True)
    page = found[:MOST_HITS][offset : offset + limit]
    return Found(_rows(conn, page, words), min(len(found), MOST_HITS), len(found) > MOST_HITS)


def spaced(words: str) -> list[str]:
    """The words as what was written is kept: Chinese characters set apart by blanks."""
    wanted = needles.needle(words)
    return [text.spaced(word) for word in wanted.words] if wanted else []


def patterns(words: str) -> list[str]:
    """What LIKE is asked of each word: inside, or where a word begins for what is too short for that."""
    return [needles.inside(word) for word in spaced(words)]


def holding(column: ColumnElement[str], words: str) -> list[ColumnElement[bool]]:
    """Conditions on a search text that hold where all of the words stand in it; false for nothing but blanks."""
    asked = [column.like(pattern) for pattern in patterns(words)]
    whole = [func.strpos(column, word) > 0 for word in spaced(words) if len(word) > MOST_TRIGRAMS]
    return [*asked, *whole] if asked else [literal(False)]


# --- the rows of a page ----------------------------------------------------------------------------------------------


def _rows(conn: Connection, page: Sequence[tuple[str, int, int]], words: str) -> pd.DataFrame:
    """The page whole, read with the viewer's own rights, in the order that it has."""
    read: dict[tuple[str, int, int], dict[str, Any]] = {}
    for part, query in _WHOLE.items():
        of = [(customer_id, row_id) for called, customer_id, row_id in page if called == part]
        if of:
            t = schema.metadata.tables[_TABLES[part]].c
            ids = [[one for one, _id in of], [row_id for _one, row_id in of]]
            found = query().where(t.customer_id.in_(ids[0]), t.id.in_(ids[1]))
            for one in conn.execute(found).mappings():
                read[part, one["customer_id"], one["id"]] = dict(one)
    rows = []
    for key in page:
        if row := read.get(key):
            body = str(row.pop("body"))
            before, hit, after = snippet(body if body else str(row["title"]), str(row["title"]), words)
            rows.append({"part": key[0], **row, "before": before, "hit": hit, "after": after})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _listed(table: str, kind: ColumnElement[str], moment: str, title: ColumnElement[str], body: Any) -> Select[Any]:
    t, c, u = schema.metadata.tables[table], schema.customers, schema.users
    return select(
        t.c.customer_id,
        t.c.id,
        c.c.name.label("customer"),
        kind.label("kind"),
        t.c[moment].label("written_at"),
        u.c.name.label("who"),
        title.label("title"),
        body.label("body"),
    ).select_from(t.join(c, c.c.id == t.c.customer_id).join(u, u.c.id == t.c.author_id))


_i, _n, _k, _a = schema.interactions.c, schema.notes.c, schema.tasks.c, schema.attachments.c
_TABLES = {"talks": "interactions", "notes": "notes", "tasks": "tasks", "files": "attachments"}
_WHOLE = {
    "talks": lambda: _listed("interactions", _i.kind, "happened_at", _i.subject, _i.body),
    "notes": lambda: _listed("notes", literal("note"), "created_at", literal(""), _n.body),
    "tasks": lambda: _listed("tasks", literal("task"), "created_at", _k.title, _k.body),
    "files": lambda: _listed("attachments", literal("file"), "created_at", _a.name, literal("")),
}


@lru_cache(maxsize=16_384)
def _folded(character: str) -> str:
    return text.match_key(character)


def snippet(body: str, title: str, words: str) -> tuple[str, str, str]:
    """A piece of the text: before the first hit, the hit, after it; of the title where the body has none."""
    wanted = needles.needle(words)
    for whole, blank in ((body, " "), (title, " "), (body, "")):
        # Letter by letter, as the search compares, at last without blanks, which do not matter between Chinese ones;
        # `places` says where each came from.
        letters, places = [], []
        for place, character in enumerate(whole):
            for letter in _folded(character) or blank:
                letters.append(letter)
                places.append(place)
        joined = "".join(letters)
        for word in wanted.words if wanted else ():
            start = joined.find(word)
            if start >= 0:
                first, last = places[start], places[start + len(word) - 1] + 1
                since = max(0, first - BEFORE)
                before = ("…" if since else "") + whole[since:first]
                after = whole[last : first + AFTER] + ("…" if len(whole) > first + AFTER else "")
                return _line(before), _line(whole[first:last]), _line(after)
    return "", "", _line(body[:AFTER]) + ("…" if len(body) > AFTER else "")


def _line(piece: str) -> str:
    return re.sub(r"\s+", " ", piece)
