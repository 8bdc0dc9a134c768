"""What is typed into a search box, in the form that stored keys have, and which value of a customer it fits."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db import text
from db.words import N_

MOST_HITS = 300
"""A search counts and ranks at most this many customers; beyond it the total is "more than"."""
MOST_NEEDLE = 200
MOST_WORDS = 8
LEAST_INSIDE = 3
"""Latin letters or digits that are looked for inside words; fewer only where a word begins."""
MOST_TRIGRAMS = 8
"""Characters of a word that are looked up by trigrams: more cost time and hardly narrow."""
MOST_CHARACTERS = 4
"""The same of a word in Chinese."""
LEAST_DIALLED = 3
"""Digits that phones are looked up by."""
LAST_CHARACTER = "\U0010ffff"
"""Above every other: what begins with a prefix lies below the prefix and this."""
BEGUN = ("name_key", "email_key", "pinyin_key", "initials_key", "phone_key", "phone_reversed")
"""Keys of customers that a search may begin, in the order that the database's functions take them."""
BEGUN_CONTACT = ("name_key", "email_key", "pinyin_key", "phone_key", "phone_reversed")
"""The same of contact people."""
_PLAIN = re.compile(r"[a-z0-9]{3}")
_PREFIX = re.compile("^00?(?=[1-9])")
_NOT_IN_NUMBERS = re.compile(r"[^\d\s()+.\-/#]")

FOUND_BY: Mapping[str, str] = {
    "name": N_("Name"),
    "pinyin": N_("Pinyin"),
    "company": N_("Company"),
    "phone": N_("Phone"),
    "email": N_("E-mail"),
    "number": N_("Number"),
    "contact": N_("Contact"),
    "tag": N_("Tag"),
    "several": N_("Several"),
    "similar": N_("Similar"),
}
"""What a customer was found by."""


@dataclass(frozen=True)
class Needle:
    """What is looked for: the text as keys hold it, its words, the digits where it is a number, and as it was typed."""

    text: str
    words: tuple[str, ...]
    number: str
    typed: str = ""

    @property
    def tight(self) -> str:
        """Without blanks and apostrophes, as pinyin and initials are kept."""
        return self.text.replace(" ", "").replace("'", "")

    @property
    def dialled(self) -> str:
        """The number as phones are kept: a trunk or an international prefix (0, 00) is dialled, not stored."""
        return _PREFIX.sub("", self.number)


def needle(words: str) -> Needle | None:
    """What was typed, None for nothing that could be looked for."""
    typed = text.match_key(words)[:MOST_NEEDLE].strip()
    if not typed:
        return None
    number = text.digits(typed) if not _NOT_IN_NUMBERS.search(typed) else ""
    return Needle(typed, tuple(dict.fromkeys(typed.split(" ")))[:MOST_WORDS], number, text.clean(words)[:MOST_NEEDLE])


def starting(word: str, most: int | None = None) -> str:
    """The pattern of a spaced word, or of its first `most` characters, where a word of a search text begins."""
    return f"% {_escaped(word[:most])}%"


def inside(word: str, most: int | None = None) -> str:
    """The pattern of a spaced word anywhere in a search text; of a short one where a word begins."""
    before = " " if len(word) < LEAST_INSIDE or text.has_han(word[:1]) else ""
    return f"%{before}{_escaped(word[:most])}%"


def _escaped(word: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", word)


@dataclass(frozen=True)
class LookedUp:
    """How words are found by trigrams: `words` by their rarest, the patterns as they are; `compared` must then hold.

    `begun` are the patterns for where words begin.
    """

    words: tuple[str, ...]
    held: tuple[str, ...]
    begun: tuple[str, ...]
    compared: tuple[str, ...]


def looked_up(words: Sequence[str]) -> LookedUp:
    """What a search looks up for spaced words. The fewer trigrams, the quicker; what they leave is compared."""
    plain, held, begun, compared = [], [], [], []
    for word in words:
        if text.has_han(word):
            # Every Chinese character stands between blanks: one trigram each.
            characters = [c for c in dict.fromkeys(word) if text.has_han(c)][:MOST_CHARACTERS]
            held += [starting(c) for c in characters]
            begun += [starting(c) for c in characters]
            if characters != [word]:
                compared.append(inside(word))
        elif len(word) > LEAST_INSIDE and _PLAIN.search(word):
            plain.append(word)
            compared.append(inside(word))
        else:
            held.append(inside(word, MOST_TRIGRAMS))
            begun.append(starting(word, MOST_TRIGRAMS))
            if len(word) > MOST_TRIGRAMS:
                compared.append(inside(word))
    return LookedUp(tuple(plain), tuple(held), tuple(begun), tuple(compared))


def found_by(wanted: Needle, row: Mapping[Hashable, Any]) -> str:
    """The key in FOUND_BY of the value (id, name, company, phone, email) of a found customer that fits."""
    if wanted.number:
        by_phone = wanted.dialled and wanted.dialled in text.digits(row["phone"])
        return "phone" if by_phone and str(row["id"]) != wanted.dialled else "number"
    values = {
        "name": text.match_key(row["name"]),
        "pinyin": _read(row["name"]),
        "company": f"{text.match_key(row['company'])} {_read(row['company'])}",
        "email": text.match_key(row["email"]),
    }
    for by, value in values.items():
        if wanted.text in value or all(word in value for word in wanted.words):
            return by
    if wanted.tight in values["pinyin"]:
        return "pinyin"
    values["phone"] = text.digits(row["phone"])
    everything = " ".join(values.values())
    return "several" if all(word in everything for word in wanted.words) else "similar"


def _read(name: str) -> str:
    return f"{text.pinyin(name)} {text.given_pinyin(name)} {text.initials(name)}"
