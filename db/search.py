"""Finding customers by a few typed characters: Chinese, pinyin, Latin, numbers, with a slip of the finger forgiven.

Stages, each over an index: what begins so (name, pinyin, initials, e-mail, phone, numbers), what has it as the
beginning of a word or inside, and, where little was found, what is written or sounds nearly so. All are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from psycopg import sql
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    column,
    func,
    or_,
    select,
)

from db import needles, schema, search_around, text
from db.connection import bounded
from db.errors import Unavailable
from db.needles import LEAST_DIALLED, LEAST_INSIDE, Needle, needle
from db.permissions import Permission, Viewer
from db.search_around import between

MOST_HITS = needles.MOST_HITS
ENOUGH_HITS = 5
"""With fewer, what is nearly so is looked for too."""
MOST_INITIALS = 6
LONGEST_SIMILAR = 24
"""Letters of the words that are known with their slips."""
MOST_SIMILAR = 200
"""Of what is only similar, so many are listed; beyond it the total is "more than"."""
LEAST_SIMILAR = 4
"""Letters of a word in which a slip is forgiven."""
MOST_RECENT = 1_000
"""Among more hits than are ranked, those of so many latest buyers come first."""
INSIDE_MS = 250
"""Longer than this no stage may take; what it would have found is then left out, and the page says so."""
_LATIN = re.compile(r"[a-z]+")


class Rank(IntEnum):
    """How well a customer fits, best first."""

    EXACT = 0
    BEGINNING = 1
    WORD = 2
    INSIDE = 3
    SIMILAR = 4


@dataclass(frozen=True)
class Hits:
    """Customer id → rank, at most MOST_HITS of them; `more` says that there are others.

    `matching` is then, where they begin so, what they are looked up by: for a query that narrows them itself; `fitting`
    says the same of one customer after the other.
    `left_out`: looking inside words took too long and was stopped. `by`: customer id → what around the customer was
    found (a key of needles.FOUND_BY, the contact's name or the tag), where the customer's own values begin otherwise.
    """

    ranks: Mapping[int, int]
    more: bool = False
    matching: ColumnElement[bool] | None = None
    fitting: ColumnElement[bool] | None = None
    left_out: bool = False
    similar: bool = False
    by: Mapping[int, tuple[str, str]] = field(default_factory=dict)


def find(conn: Connection, *, viewer: Viewer, words: str) -> Hits | None:
    """The customers that the viewer may see and that fit; None without words. Masked roles find by number or tag."""
    viewer.require(Permission.CUSTOMERS_READ)
    wanted = needle(words)
    if wanted is None:
        return None
    ranks, around = _beginnings(conn, viewer, wanted, words)
    by = {i: what for i, what in around.by.items() if i not in ranks}
    own = list(ranks)
    for customer_id, rank in around.ranks.items():
        ranks[customer_id] = min(rank, ranks.get(customer_id, rank))
    if len(own) > MOST_HITS or around.matching is not None:
        return _many(ranks, own, around, _ranges(wanted), by)
    # Whoever types a whole e-mail address means it.
    if viewer.masked or ("@" in wanted.text and Rank.EXACT in ranks.values()):
        return Hits(ranks, by=by)
    left_out = cut = False
    try:
        with bounded(conn, INSIDE_MS):
            for customer_id, rank in _inside(conn, viewer, wanted):
                ranks[customer_id] = min(rank, ranks.get(customer_id, rank))
            if len(ranks) < ENOUGH_HITS and not wanted.number:
                nearly = _similar(conn, viewer, wanted)
                cut = len(nearly) > MOST_SIMILAR
                for customer_id in nearly[:MOST_SIMILAR]:
                    ranks.setdefault(customer_id, Rank.SIMILAR)
    except Unavailable:
        left_out = True
    similar = Rank.SIMILAR in ranks.values()
    best = sorted(ranks, key=lambda i: (ranks[i], i))[:MOST_HITS]
    more = cut or len(ranks) > MOST_HITS
    return Hits({i: ranks[i] for i in best}, more, left_out=left_out, similar=similar, by=by)


def _many(
    ranks: Mapping[int, int],
    own: Sequence[int],
    around: search_around.Around,
    ranges: Sequence[tuple[ColumnElement[str], str]],
    by: Mapping[int, tuple[str, str]],
) -> Hits:
    """More than are ranked: what is complete is named one by one, what is not by what it begins with."""
    c = schema.customers.c
    matching: list[ColumnElement[bool]]
    matching = [between(column, prefix) for column, prefix in ranges] if len(own) > MOST_HITS else [c.id.in_(own)]
    named = c.id.in_(list(around.ranks))
    every = named if around.matching is None else around.matching
    fitting = named if around.fitting is None else around.fitting
    best = sorted(ranks, key=lambda i: (ranks[i], i))[:MOST_HITS]
    return Hits({i: ranks[i] for i in best}, True, or_(*matching, every), or_(*matching, fitting), by=by)


def _kind(viewer: Viewer) -> str:
    return "scoped" if viewer.scoped else "all"


def _asking(statement: sql.SQL, function: str, *kinds: str) -> dict[str, str]:
    """The statement that calls a function of db/rights_search.py or db/rights_beginnings.py, by whose rows it sees."""
    return {kind: statement.format(sql.Identifier("public", f"{function}_{kind}")).as_string() for kind in kinds}


# --- beginnings ------------------------------------------------------------------------------------------------------


def _begun(wanted: Needle) -> dict[str, str]:
    """The stored keys that the kind of input may begin, and what they begin with; each has its own b-tree."""
    if wanted.number:
        dialled = wanted.dialled
        return {"phone_key": dialled, "phone_reversed": dialled[::-1]} if len(dialled) >= LEAST_DIALLED else {}
    found = {"name_key": wanted.text}
    if "@" in wanted.text:
        return found | {"email_key": wanted.text}
    if not text.has_han(wanted.text):
        found["email_key"] = wanted.text
        if wanted.tight:
            found["pinyin_key"] = wanted.tight
        if 0 < len(wanted.tight) <= MOST_INITIALS:
            found["initials_key"] = wanted.tight
    return found


def _ranges(wanted: Needle) -> list[tuple[ColumnElement[str], str]]:
    return [(schema.customers.c[key], begins) for key, begins in _begun(wanted).items()]


def _numbers(wanted: Needle) -> list[str]:
    """What a number that others gave may be typed as: with its letters in either case."""
    return [wanted.number] if wanted.number else sorted({wanted.text, wanted.text.upper(), wanted.typed})


def _beginnings(
    conn: Connection, viewer: Viewer, wanted: Needle, typed: str
) -> tuple[dict[int, int], search_around.Around]:
    """Customers of rank 0 and 1, best first, and what is around them; one more than MOST_HITS says there are others."""
    begun, contacts = _begun(wanted), search_around.begun(wanted)
    given = {
        "starts": [begun.get(k, "") for k in needles.BEGUN] + [contacts.get(k, "") for k in needles.BEGUN_CONTACT],
        "numbers": _numbers(wanted),
        "number": int(wanted.number[:18]) if wanted.number else None,
        "tags": search_around.tag_keys(wanted, typed),
    }
    rows = conn.exec_driver_sql(_BEGINNING["masked" if viewer.masked else _kind(viewer)], given).all()
    ranks = {row.id: row.rank for row in [row for row in rows if not row.by][: MOST_HITS + 1]}
    found = [row for row in rows if row.by]
    return ranks, search_around.found(found, masked=viewer.masked, wanted=wanted, typed=typed, most=MOST_HITS)


_BEGINNING = _asking(
    sql.SQL(
        "SELECT id, rank, by, value, seen "
        "FROM {}(%(starts)s::text[], %(numbers)s::text[], %(number)s::bigint, %(tags)s::text[])"
    ),
    "customers_beginning",
    *("all", "scoped", "masked"),
)


def best(conn: Connection, hits: Hits, *, scoped: bool, offset: int, limit: int) -> list[int]:
    """The customers of a piece of the hits: by rank, then by the last purchase."""
    given = {"ids": list(hits.ranks), "ranks": list(hits.ranks.values()), "offset": offset, "limit": limit}
    return list(conn.exec_driver_sql(_RANKED["scoped" if scoped else "all"], given).scalars())


_RANKED = _asking(
    sql.SQL("SELECT id FROM {}(%(ids)s::bigint[], %(ranks)s::integer[], %(offset)s::integer, %(limit)s::integer)"),
    "customers_ranked",
    *("all", "scoped"),
)


def latest_buyers(*, scoped: bool) -> FromClause:
    """The MOST_RECENT customers in sight who bought last: id and day of the last purchase."""
    if scoped:
        mine = func.latest_buyers_scoped(MOST_RECENT)
        return mine.table_valued(column("id", BigInteger), column("day", Date), name="buyers")
    m = schema.customer_metrics.c
    latest = select(m.customer_id.label("id"), m.last_order_on.label("day")).where(m.last_order_on.is_not(None))
    return latest.order_by(m.last_order_on.desc(), m.customer_id.desc()).limit(MOST_RECENT).subquery("buyers")


# --- words and what they hold ----------------------------------------------------------------------------------------


def _inside(conn: Connection, viewer: Viewer, wanted: Needle) -> list[tuple[int, int]]:
    """Customers that hold every word, where their words begin or inside, with the rank."""
    words = [wanted.number] if wanted.number else list(wanted.words)
    least = LEAST_INSIDE if wanted.number else 2
    if len(words) == 1 and len(words[0]) < least and not text.has_han(words[0]):
        return []
    spaced = [text.spaced(word) for word in words]
    looked_up = needles.looked_up(spaced)
    inside = [needles.inside(word) for word in spaced]
    given = {
        # Beginnings of phones are found already: a number is looked for anywhere.
        "starts": inside if wanted.number else [needles.starting(word) for word in spaced],
        "inside": inside,
        "words": list(looked_up.words),
        "held": list(looked_up.held),
        "begun": list(looked_up.held if wanted.number else looked_up.begun),
        "compared": list(looked_up.compared),
        "most": MOST_HITS + 1,
    }
    return [(row.id, row.rank) for row in conn.exec_driver_sql(_CONTAINING[_kind(viewer)], given)]


_CONTAINING = _asking(
    sql.SQL(
        "SELECT id, rank FROM {}(%(starts)s::text[], %(inside)s::text[], "
        "%(words)s::text[], %(held)s::text[], %(begun)s::text[], %(compared)s::text[], %(most)s::integer)"
    ),
    "customers_containing",
    *("all", "scoped"),
)


# --- nearly so -------------------------------------------------------------------------------------------------------


def _similar(conn: Connection, viewer: Viewer, wanted: Needle) -> list[int]:
    """Customers of words that are one slip away, and of names that sound the same."""
    if text.has_han(wanted.text):
        return _sounding(conn, text.pinyin(wanted.text)) if not _LATIN.search(wanted.text) else []
    words = wanted.words
    if max(map(len, words)) > LONGEST_SIMILAR or not any(
        len(word) >= LEAST_SIMILAR and _LATIN.fullmatch(word) for word in words
    ):
        return []
    joined = []
    if len(words) > 1 and _LATIN.fullmatch(wanted.tight) and len(wanted.tight) <= LONGEST_SIMILAR:
        joined = _called_similarly(conn, viewer, [wanted.tight])  # pinyin is kept in one piece
    return joined or _called_similarly(conn, viewer, words)


def _called_similarly(conn: Connection, viewer: Viewer, words: Sequence[str]) -> list[int]:
    given = {"words": list(words), "most": MOST_SIMILAR + 1}
    return list(conn.exec_driver_sql(_SIMILAR[_kind(viewer)], given).scalars())


_SIMILAR = _asking(
    sql.SQL("SELECT id FROM {}(%(words)s::text[], %(most)s::integer)"), "customers_similar", *("all", "scoped")
)


def _sounding(conn: Connection, pinyin: str) -> list[int]:
    c = schema.customers.c
    query = select(c.id).where(between(c.pinyin_key, pinyin), c.archived_at.is_(None)).order_by(c.pinyin_key)
    return list(conn.scalars(query.limit(MOST_SIMILAR + 1))) if pinyin else []
