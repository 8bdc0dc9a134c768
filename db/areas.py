"""Which areas of data a statement reads: what an answer that is kept depends on.

Each word that names a table stands for the table's area; one that names a view or a function, or a table with policies,
stands for the areas of all that their definitions in db/rights.py name, and so on. Words are not understood: a label
that is called like a table may add an area that is not read. None that is read is missing: every relation and function
of the database is defined in db/schema.py or db/rights.py (a test lists them), and who names another relation, such as
a catalogue of PostgreSQL, is held to read everything.

A customer's row is of two areas. Who there is, whose, listed or not, and where from, is in `profiles`, of which figures
are made; it stands still when a name or a number is corrected. Who names a column beyond these, or a whole row, or
anything here that may be one, depends on all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from sqlalchemy import Table

from db import rights, schema

EVERYTHING = frozenset(schema.AREAS)

_CUSTOMERS = schema.customers.name
_WHOLE = schema.customers.info["area"]
_DETAILS = frozenset(schema.customers.columns.keys()) - schema.PROFILE
_SCHEMAS = {"public", "scoped", "masked"}
_ELSEWHERE = re.compile(r"pg_(?!catalog$)|information_schema$|jobs$|procrastinate_")
_DEFINED = re.compile(
    r"CREATE (?:OR REPLACE )?(VIEW|FUNCTION|TABLE)(?: IF NOT EXISTS)? \"?\w+\"?\.\"?(\w+)"
    r'|CREATE (POLICY) "?\w+"? ON "?public"?\."?(\w+)'
)
_WORD = re.compile(r"[A-Za-z_]\w*")
# A bound value, a literal, a quoted or a bare name, or one other character.
_TOKEN = re.compile(r"%\(\w+\)s|'(?:[^']|'')*'|\"[^\"]+\"|[A-Za-z_]\w*|\S")
_BEFORE_A_TABLE = {"from", "join", "only", "as", "."}
_AFTER_A_TABLE = {"", ",", ")", "as", "on", "where", "join", "left", "inner", "cross", "group", "order", "union"}


@lru_cache(maxsize=1_024)
def areas_of(statement: str) -> frozenset[str]:
    """The areas that this statement may read; none where it names no table."""
    known = _known()
    tokens = _tokens(statement)
    defined = set(_defined(tokens))
    found: set[str] = set()
    for place, token in enumerate(tokens):
        if token.startswith("'"):
            # What a function may be told to read.
            words = _WORD.findall(token)
            found.update(*(known.get(word, ()) for word in words))
            found |= {_WHOLE} if _CUSTOMERS in words else set()
        elif token in known:
            if not _is_label(tokens, place):
                found |= known[token]
        elif _is_elsewhere(tokens, place) and token not in defined:
            return EVERYTHING
    if _tells_details(tokens):
        found.add(_WHOLE)
    return frozenset(found)


def _tokens(written: str) -> list[str]:
    found = _TOKEN.findall(written)
    return [t[1:-1] if t.startswith('"') else t if t.startswith("'") else t.lower() for t in found]


def _around(tokens: list[str]) -> Iterator[tuple[str, str, str]]:
    """Each with the one before and the one after it."""
    return zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False)


def _defined(tokens: list[str]) -> Iterator[str]:
    """Names that the statement itself gives: aliases, and parts of WITH."""
    for place, (before, word, after) in enumerate(_around(tokens)):
        if word == "as":
            yield after
            if after in ("(", "materialized", "not"):
                yield _before_columns(tokens, place - 1) if before == ")" else before


def _before_columns(tokens: list[str], place: int) -> str:
    """What stands before the bracket that is closed at this place."""
    depth = 0
    for start in range(place, 0, -1):
        depth += {")": 1, "(": -1}.get(tokens[start], 0)
        if not depth:
            return tokens[start - 1]
    return ""


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


def _tells_details(tokens: list[str]) -> bool:
    """Whether customers are named, and any column beyond their profiles, or what may be a whole row of theirs."""
    if _CUSTOMERS not in tokens:
        return False
    called = {after for before, word, after in _around(tokens) if before == _CUSTOMERS and word == "as"} | {_CUSTOMERS}
    for place, (before, word, after) in enumerate(_around(tokens)):
        of = tokens[place - 2] if before in (".", "as", "from") else ""
        if word in _DETAILS and before != "as" and (before != "." or of in called):
            return True
        if word == "*" and before in (".", ",", "select", "distinct", "all"):
            return True
        if word in called and after != "." and not _is_label(tokens, place):
            is_table = before in _BEFORE_A_TABLE and after in _AFTER_A_TABLE and of != "distinct"
            if not is_table:
                return True
        if before == "as" and of == _CUSTOMERS and after not in _AFTER_A_TABLE:
            return True
    return "natural" in tokens


@cache
def _known() -> dict[str, frozenset[str]]:
    """Name of a table, view or function → its areas; of customers, those of their profiles."""
    own = {name: set(_of_table(table)) for name, table in schema.metadata.tables.items()}
    named: dict[str, set[str]] = {name: set() for name in own}
    for statement in rights.statements():
        match = _DEFINED.match(statement)
        if match:
            name = match[2] or match[4]
            words = _WORD.findall(statement)
            named.setdefault(name, set()).update(words)
            if name != _CUSTOMERS and _defined_with_details(match[1], statement, words):
                own.setdefault(name, set()).add(_WHOLE)
    return {name: frozenset().union(*(own.get(each, ()) for each in _reached(name, named))) for name in named}


def _defined_with_details(kind: str, statement: str, words: Iterable[str]) -> bool:
    """As `_tells_details`; a function may put its statements together from pieces, of which any word counts."""
    if kind != "FUNCTION":
        return _tells_details(_tokens(statement))
    body = statement.rsplit(" AS $f$ ", maxsplit=1)[-1].replace("'", " ")
    return _CUSTOMERS in words and (bool(_DETAILS & set(words)) or _tells_details(_tokens(body)))


def _reached(name: str, named: dict[str, set[str]]) -> set[str]:
    reached, waiting = {name}, [name]
    while waiting:
        new = {word for word in named[waiting.pop()] if word in named} - reached
        reached |= new
        waiting += new
    return reached


def _of_table(table: Table) -> frozenset[str]:
    """What moves when its rows do. Who wrote a table that says nothing of it may have moved any area, or none."""
    if "moves_with" in table.info:
        return frozenset(table.info["moves_with"])
    area = table.info.get("profiles", table.info.get("area"))
    return frozenset({area}) if area else EVERYTHING
