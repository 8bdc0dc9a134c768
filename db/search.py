"""Finding customers by a few typed characters: Chinese, pinyin, Latin, numbers, with a slip of the finger forgiven.

Stages, each over an index: what begins so (name, pinyin, initials, e-mail, phone, numbers), what has it as the
beginning of a word or inside, and, where little was found, what is written or sounds nearly so. All are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Text,
    column,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db import needles, schema, search_around, text
from db.connection import bounded
from db.errors import Unavailable
from db.needles import LEAST_DIALLED, LEAST_INSIDE, MOST_TRIGRAMS, Needle, needle
from db.permissions import Permission, Viewer
from db.search_around import between

MOST_HITS = 300
"""A search counts and ranks at most this many customers; beyond it the total is "more than"."""
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
    ranges = _ranges(wanted)
    ranks = _beginnings(conn, wanted, ranges)
    around = search_around.find(conn, masked=viewer.masked, wanted=wanted, typed=words, most=MOST_HITS)
    by = {i: what for i, what in around.by.items() if i not in ranks}
    own = list(ranks)
    for customer_id, rank in around.ranks.items():
        ranks[customer_id] = min(rank, ranks.get(customer_id, rank))
    if len(own) > MOST_HITS or around.matching is not None:
        return _many(ranks, own, around, ranges, by)
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


# --- beginnings ------------------------------------------------------------------------------------------------------


def _ranges(wanted: Needle) -> list[tuple[ColumnElement[str], str]]:
    """The stored columns and what they may begin with, by kind of input; each has its own b-tree."""
    c = schema.customers.c
    if wanted.number:
        dialled = wanted.dialled
        return [(c.phone_key, dialled), (c.phone_reversed, dialled[::-1])] if len(dialled) >= LEAST_DIALLED else []
    if "@" in wanted.text:
        return [(c.email_key, wanted.text), (c.name_key, wanted.text)]
    found: list[tuple[ColumnElement[str], str]] = [(c.name_key, wanted.text)]
    if not text.has_han(wanted.text):
        found.append((c.email_key, wanted.text))
        if wanted.tight:
            found.append((c.pinyin_key, wanted.tight))
        if 0 < len(wanted.tight) <= MOST_INITIALS:
            found.append((c.initials_key, wanted.tight))
    return found


def _numbers(wanted: Needle) -> list[str]:
    """What a number that others gave may be typed as: with its letters in either case."""
    return [wanted.number] if wanted.number else sorted({wanted.text, wanted.text.upper(), wanted.typed})


def _beginnings(conn: Connection, wanted: Needle, ranges: Sequence[tuple[ColumnElement[str], str]]) -> dict[int, int]:
    """Rank 0 and 1, best first; one more than MOST_HITS says that there are others."""
    c, k = schema.customers.c, schema.customer_keys.c
    branches = [
        select(c.id, func.least(literal(1), func.abs(func.length(column) - len(prefix))).label("rank"))
        .where(between(column, prefix), c.archived_at.is_(None))
        .order_by(column)
        .limit(MOST_HITS + 1)
        for column, prefix in ranges
    ]
    own = schema.customers
    branches.append(
        select(k.customer_id, literal(0))
        .select_from(schema.customer_keys.join(own, c.id == k.customer_id))
        .where(k.value.in_(_numbers(wanted)), c.archived_at.is_(None))
        .limit(MOST_HITS + 1)
    )
    if wanted.number:
        branches.append(select(c.id, literal(0)).where(c.id == int(wanted.number[:18]), c.archived_at.is_(None)))
    found = union_all(*(select(b.subquery()) for b in branches)).subquery()
    ranked = select(found.c[0], func.min(found.c[1])).group_by(found.c[0]).order_by(func.min(found.c[1]), found.c[0])
    return {customer_id: rank for customer_id, rank in conn.execute(ranked.limit(MOST_HITS + 1))}


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
    starts, inside, whole = [], [], []
    for word in map(text.spaced, words):
        if wanted.number:
            # Beginnings of phones are found already; the end of a number tells more of it than how it begins.
            starts.append(f"%{word[-MOST_TRIGRAMS:]}%")
            inside.append(starts[-1])
        else:
            starts.append(f"% {needles.begun(word)}%")
            inside.append(needles.inside(word))
        if len(word) > MOST_TRIGRAMS:
            whole.append(word)
    function = func.customers_containing_scoped if viewer.scoped else func.customers_containing_all
    hits = function(*(literal(listed, ARRAY(Text)) for listed in (starts, inside, whole)), MOST_HITS + 1).table_valued(
        "id", "rank"
    )
    return [(customer_id, rank) for customer_id, rank in conn.execute(select(hits.c.id, hits.c.rank))]


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
    function = func.customers_similar_scoped if viewer.scoped else func.customers_similar_all
    hits = function(literal(list(words), ARRAY(Text)), MOST_SIMILAR + 1).table_valued("id")
    return list(conn.scalars(select(hits.c.id)))


def _sounding(conn: Connection, pinyin: str) -> list[int]:
    c = schema.customers.c
    query = select(c.id).where(between(c.pinyin_key, pinyin), c.archived_at.is_(None)).order_by(c.pinyin_key)
    return list(conn.scalars(query.limit(MOST_SIMILAR + 1))) if pinyin else []
