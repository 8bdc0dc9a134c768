"""Invented people for the bench data, by the million: names with the keys that searches need, phones, e-mails.

A name's keys are computed once for each distinct name, by the app's own `customers.keys`; rows then take them by
number. Phones lie in blocks that belong to nobody (120-0xxx-xxxx and area code 555), e-mails at the example domains.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from db import customers, demo_people

MOST = 10_000_000
"""Customers whose phones are all different."""

Numbers = npt.NDArray[np.int64]

_SURNAMES = (
    *"王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈姚卢傅钟崔谭汪范金",
    *"石廖贾单解仇查曾朴区盖任华翟乐覃缪",
    *("欧阳", "司马", "上官", "诸葛", "令狐", "尉迟", "长孙", "慕容", "皇甫", "澹台"),
)
_GIVEN = (
    *"伟芳娜敏静磊军洋勇艳杰娟涛明超霞平刚丽桂玲斌燕鑫波鹏宁琳倩晶",
    *(
        a + b
        for a in "建国志文晓雨子思欣梓浩宇佳海春美玉秀永天一嘉俊诗若景立德"
        for b in "华明强辉涛轩涵怡萱洋杰琳婷雪梅"
    ),
)


_MIDDLE = ("", " A.", " B.", " C.", " D.", " E.", " J.", " K.", " L.", " M.", " R.", " S.")
DOMAINS = ("example.com", "example.org", "example.net")

CHINESE, LATIN, CHINESE_SHOPS, LATIN_SHOPS = range(4)
"""The kinds of names."""


@cache
def pools() -> tuple[tuple[str, ...], ...]:
    """All names of each kind; those of people by surname, so that a number says both parts."""
    return (
        tuple(surname + given for surname in _SURNAMES for given in _GIVEN),
        tuple(
            f"{given}{middle} {surname}"
            for surname in demo_people.LATIN_SURNAMES
            for given in demo_people.LATIN_GIVEN
            for middle in _MIDDLE
        ),
        tuple(f"{place}{kind}" for place in demo_people.SHOP_PLACES for kind in demo_people.SHOP_KINDS),
        tuple(f"{place} {kind}" for place in demo_people.LATIN_SHOP_PLACES for kind in demo_people.LATIN_SHOP_KINDS),
    )


def draw(kind: Numbers, rng: np.random.Generator) -> Numbers:
    """For each row a number in the pool of its kind; a surname is the rarer the later it stands in its list."""
    found = np.zeros(len(kind), dtype=np.int64)
    of_people = {CHINESE: len(_SURNAMES), LATIN: len(demo_people.LATIN_SURNAMES)}
    for k, pool in enumerate(pools()):
        rows = np.flatnonzero(kind == k)
        if k in of_people:
            weights = np.cumsum(1 / (np.arange(of_people[k]) + 8.0))
            surname = np.searchsorted(weights / weights[-1], rng.random(len(rows)))
            each = len(pool) // of_people[k]
            found[rows] = surname * each + rng.integers(0, each, len(rows))
        else:
            found[rows] = rng.integers(0, len(pool), len(rows))
    return found


class Names:
    """The distinct names that some rows use, with their keys as Arrow arrays; `places` leads from a row to its name."""

    def __init__(self, kind: Numbers, number: Numbers) -> None:
        listed = pools()
        starts = np.cumsum([0, *(len(pool) for pool in listed)])
        used, self.places = np.unique(starts[kind] + number, return_inverse=True)
        every = [name for pool in listed for name in pool]
        names = [every[i] for i in used]
        keys = [_keys_of(name) for name in names]
        self.name = pa.array(names)
        self.columns = {key: pa.array([row[key] for row in keys]) for key in keys[0]} if keys else {}

    def take(self, key: str, rows: slice) -> pa.Array:
        """One key (or `name`) of each of these rows."""
        column = self.name if key == "name" else self.columns[key]
        return column.take(pa.array(self.places[rows]))


@cache
def _keys_of(name: str) -> dict[str, str]:
    """The name's own keys; `spoken`, `employer` and `slug` are its parts of search texts and of an e-mail address."""
    made = customers.keys({"name": name})
    own = {key: made[key] for key in ("sort_key", "name_key", "pinyin_key", "initials_key")}
    slug = made["pinyin_key"] or ".".join(re.findall("[a-z]+", made["name_key"]))
    employer = customers.keys({"company": name})["search_text"].strip()
    return own | {"spoken": made["search_text"].strip(), "employer": employer, "slug": slug}


def phones(number: Numbers, chinese: npt.NDArray[np.bool_], form: Numbers) -> tuple[pa.Array, pa.Array]:
    """Phones as people write them, in one of three forms, and their digits; each number (0 … MOST - 1) has its own."""
    digits = pc.utf8_lpad(pa.array(number).cast(pa.string()), 7, "0")
    first, last = pc.utf8_slice_codeunits(digits, 0, 3), pc.utf8_slice_codeunits(digits, 3, 7)
    written, plain = [], []
    for parts, forms in (
        (
            (pc.binary_join_element_wise("0", first, ""), last),
            (("120", "", ""), ("120 ", " ", ""), ("+86 120 ", " ", "86")),
        ),
        ((first, last), (("(555) ", "-", ""), ("555-", "-", ""), ("+1 555 ", " ", "1"))),
    ):
        area = "120" if parts[0] is not first else "555"
        for before, between, prefix in forms:
            written.append(pc.binary_join_element_wise(before, parts[0], between, parts[1], ""))
            plain.append(pc.binary_join_element_wise(prefix, area, *parts, ""))
    which = pa.array(np.where(chinese, form, form + 3))
    return pc.choose(which, *written), pc.choose(which, *plain)
