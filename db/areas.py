"""Which areas of data a statement reads: what an answer that is kept depends on.

Each word that names a table stands for the table's area; one that names a view or a function, or a table with policies,
stands for the areas of all that their definitions in db/rights.py name, and so on. Words are not understood: a label
that is called like a table may add an area that is not read. None that is read is missing: every relation and function
of the database is defined in db/schema.py or db/rights.py (a test lists them), and who names another relation, such as
a catalogue of PostgreSQL, is held to read everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from sqlalchemy import Table

from db import rights, schema

EVERYTHING = frozenset(schema.AREAS)

_SCHEMAS = {"public", "scoped", "masked"}
_ELSEWHERE = re.compile(r"pg_(?!catalog$)|information_schema$|jobs$|procrastinate_")
_DEFINED = re.compile(
    r"CREATE (?:OR REPLACE )?(?:VIEW|FUNCTION|TABLE(?: IF NOT EXISTS)?) \"?\w+\"?\.\"?(\w+)"
    r'|CREATE POLICY "?\w+"? ON "?public"?\."?(\w+)'
)
_WORD = re.compile(r"[A-Za-z_]\w*")
# A bound value, a literal, a quoted or a bare name, or one other character.
_TOKEN = re.compile(r"%\(\w+\)s|'(?:[^']|'')*'|\"[^\"]+\"|[A-Za-z_]\w*|\S")


@lru_cache(maxsize=4_096)
def areas_of(statement: str) -> frozenset[str]:
    """The areas that this statement may read; none where it names no table."""
    known = _known()
    tokens = [_plain(token) for token in _TOKEN.findall(statement)]
    defined = set(_defined(tokens))
    found: set[str] = set()
    for place, token in enumerate(tokens):
        if token.startswith("'"):
            # What a function may be told to read.
            found.update(*(known.get(word, ()) for word in _WORD.findall(token)))
        elif token in known:
            if not _is_label(tokens, place):
                found |= known[token]
        elif _is_elsewhere(tokens, place) and token not in defined:
            return EVERYTHING
    return frozenset(found)


def _plain(token: str) -> str:
    return token[1:-1] if token.startswith('"') else token if token.startswith("'") else token.lower()


def _defined(tokens: list[str]) -> Iterator[str]:
    """Names that the statement itself gives: aliases, and parts of WITH."""
    for before, word, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if word == "as":
            yield after
            if after in ("(", "materialized", "not"):
                yield before
        elif before in ("with", "recursive"):
            yield word


def _is_label(tokens: list[str], place: int) -> bool:
    """A column of something, or what a column is called here."""
    before = tokens[place - 1] if place else ""
    return before == "as" or (before == "." and tokens[place - 2] not in _SCHEMAS)


def _is_elsewhere(tokens: list[str], place: int) -> bool:
    """A relation that this module does not know. A function that it does not know is PostgreSQL's, and reads none."""
    token, after = tokens[place], tokens[place + 1] if place + 1 < len(tokens) else ""
    if after == "(" or not _WORD.fullmatch(token) or token in ("only", "lateral", *_SCHEMAS):
        return False
    if _ELSEWHERE.match(token):
        return True
    start = place
    if place > 1 and tokens[place - 1] == ".":
        if tokens[place - 2] not in _SCHEMAS:
            return False
        start -= 2
    return start > 0 and tokens[start - 1] in ("from", "join") and tokens[start - 2] != "distinct"


@cache
def _known() -> dict[str, frozenset[str]]:
    """Name of a table, view or function → its areas."""
    own = {name: _of_table(table) for name, table in schema.metadata.tables.items()}
    named: dict[str, set[str]] = {name: set() for name in own}
    for statement in rights.statements():
        match = _DEFINED.match(statement)
        if match:
            named.setdefault(match[1] or match[2], set()).update(_WORD.findall(statement))
    found = {}
    for name in named:
        reached, waiting = {name}, [name]
        while waiting:
            new = {word for word in named[waiting.pop()] if word in named} - reached
            reached |= new
            waiting += new
        found[name] = frozenset().union(*(own.get(each, frozenset()) for each in reached))
    return found


def _of_table(table: Table) -> frozenset[str]:
    """What moves when its rows do. Who wrote a table that says nothing of it may have moved any area, or none."""
    moving = table.info.get("moves_with")
    if moving:
        return frozenset(moving)
    return frozenset({table.info["area"]}) if "area" in table.info else EVERYTHING
