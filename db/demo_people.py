"""Invented people for the demo: every name, phone, e-mail, place and owner follows from the household's number alone.

Nothing here is real, and it can be seen: Chinese numbers lie in 120-0xxx-xxxx, which is no mobile block, North American
ones in 555-01xx, which is kept for fiction, and e-mails are at the example domains of RFC 2606.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

from db import text
from db.permissions import Role

T = TypeVar("T")

REGIONS: dict[str, tuple[str, ...]] = {
    "North": ("Pine Falls", "Lakemont", "Winterhaven"),
    "Northeast": ("Harbor Point", "Kingsbridge", "Marlow"),
    "East": ("Eastport Bay", "Millbrook Landing", "Ashcombe"),
    "Southeast": ("Coral Springs Mill", "Magnolia Bend", "Saltmarsh"),
    "South": ("Riverton Oaks", "Cedar Hollow", "Fairwater"),
    "Southwest": ("Red Mesa", "Sunfield", "Copper Wells"),
    "West": ("Golden Bluff", "Seacliff Cove", "Redwood Pass"),
    "Northwest": ("Fernvale", "Cascade Mills", "Graywater"),
}
"""Region → its towns. All are invented; the names are English and stable, so that catalogues can translate them."""

SOURCES = ("store", "web", "referral", "mail", "event")
"""How a customer came, most frequent first."""

TEAMS: dict[str, tuple[str, ...]] = {
    "Coast": ("North", "Northeast", "East", "Southeast"),
    "Inland": ("South", "Southwest", "West", "Northwest"),
}
"""Team → the regions whose customers it serves."""


@dataclass(frozen=True)
class Person:
    """A demo user. `share` is the salesperson's part, in percent, of the team's owned customers."""

    username: str
    name: str
    role: Role
    team: str | None = None
    share: int = 0


USERS = (
    Person("lin.sales", "林静", Role.SALES, "Coast", 34),
    Person("maria.sales", "María López", Role.SALES, "Coast", 28),
    Person("chen.sales", "陈浩然", Role.SALES, "Coast", 22),
    Person("tom.sales", "Tom Becker", Role.SALES, "Coast", 16),
    Person("zhao.sales", "赵雨桐", Role.SALES, "Inland", 32),
    Person("emma.sales", "Emma Clark", Role.SALES, "Inland", 27),
    Person("ouyang.sales", "欧阳明", Role.SALES, "Inland", 25),
    Person("omar.sales", "Omar Haddad", Role.SALES, "Inland", 16),
    Person("wang.manager", "王建国", Role.MANAGER, "Coast"),
    Person("helen.manager", "Helen Brooks", Role.MANAGER, "Inland"),
    Person("sun.analyst", "孙悦", Role.ANALYST),
    Person("julia.marketer", "Julia Novák", Role.MARKETER),
    Person("he.admin", "何宁", Role.ADMIN),
)


_UNOWNED_PERCENT = 6
_NO_PHONE_PERCENT = 5
_NO_EMAIL_PERCENT = 8
_EMPLOYER_PERCENT = 6
_COMPANY_PER_MILLE = 15


def _words(listed: str) -> tuple[str, ...]:
    return tuple(listed.split())


_COMMON = tuple("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗")
_LESS_COMMON = tuple("郑梁谢宋唐许韩冯邓曹彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈姚卢傅钟崔谭汪范金石廖贾")
_COMPOUND = ("欧阳", "司马", "上官", "诸葛", "令狐", "尉迟", "长孙", "慕容", "皇甫", "澹台")
_READ_OTHERWISE = tuple("单解仇查曾朴区盖任华翟乐覃缪")
"""Surnames whose reading differs from that of the character in a word: 单 is shàn, not dān."""

_GIVEN = tuple("伟芳娜敏静磊军洋勇艳杰娟涛明超霞平刚丽桂玲斌燕鑫波鹏宁琳倩晶")
_FIRST = tuple("建国志文晓雨子思欣梓浩宇佳海春美玉秀永天一嘉俊诗若景立德")
_SECOND = tuple("华明强辉涛轩涵怡萱洋杰琳婷雪梅兰英军峰龙鹏飞然悦琪彤远清")

LATIN_GIVEN = _words(
    "Emma Liam Olivia Noah Ava Ethan Sophia Mason Isabella Lucas Mia Logan Amelia James Harper Benjamin Evelyn Daniel "
    "Abigail Henry Emily Samuel Ella David Grace Carlos José María Sofía Andrés Lucía Mateo Inés François Chloé Renée "
    "Zoë Jürgen Anneliese Björn Aisha Omar Fatima Yusuf Priya Arjun Ananya Kwame Amara Tendai Hana Kenji Minh Linh "
    "Katarzyna Marek Elena Dimitri Giulia Matteo"
)
LATIN_SURNAMES = (
    *_words(
        "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Thomas Moore Martin Jackson Thompson "
        "White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams Baker Nelson Carter "
        "Mitchell García Rodríguez Hernández López González Núñez Müller Schröder Weiß Åkesson Lindqvist Lefèvre Çelik "
        "Novák Kowalski Rossi Esposito Patel Sharma Okafor Mensah Nguyễn Tanaka Kim Haddad O'Brien d'Angelo Saint-Clair"
    ),
    "Van der Berg",
)
SHOP_PLACES = _words("明月 东海 长青 春风 金桥 和平 南山 阳光")
SHOP_KINDS = _words("小馆 餐饮有限公司 面包房 食品商行 咖啡馆 托儿所")
LATIN_SHOP_PLACES = ("Riverside", "Harbor Street", "Maple", "Old Mill", "Sunrise", "Corner", "Blue Door", "Hilltop")
LATIN_SHOP_KINDS = ("Café", "Bakery LLC", "Diner", "Catering Inc.", "Daycare", "Deli & Grill")

_AREA_CODES = (
    *("206", "207", "212", "215", "216", "219", "301", "303", "305", "312", "313", "402", "404"),
    *("412", "415", "502", "503", "504", "505", "512", "602", "612", "615", "617", "702", "704"),
)
_CHINESE_PHONES = ("{0}{1}{2}", "{0} {1} {2}", "{0}-{1}-{2}", "+86 {0} {1} {2}", "+86-{0}{1}{2}")
_LATIN_PHONES = ("({0}) {1}-{2}", "{0}-{1}-{2}", "{0}.{1}.{2}", "+1 {0} {1} {2}", "1-{0}-{1}-{2}")


def customer(household: int) -> dict[str, str]:
    """What is made up about a household (1 … 2599): kind, name, company, email, phone, region, city, source.

    Phone and e-mail are each of one household only; a few have none, as in any real list.
    """
    chinese = draw(household, "script", 2) == 0
    is_company = draw(household, "kind", 1000) < _COMPANY_PER_MILLE
    name = _shop(household, chinese) if is_company else name_of(household, chinese)
    employed = not is_company and draw(household, "employed", 100) < _EMPLOYER_PERCENT
    region = _skewed(household, "region", tuple(REGIONS))
    return {
        "kind": "company" if is_company else "person",
        "name": name,
        "company": _shop(household, chinese) if employed else "",
        "email": _email(household, name),
        "phone": _phone(household, chinese),
        "region": region,
        "city": _skewed(household, "city", REGIONS[region]),
        "source": _skewed(household, "source", SOURCES),
    }


def owner(household: int, region: str) -> str | None:
    """The username of the salesperson who serves a household of this region; None for one that nobody has taken."""
    if draw(household, "owned", 100) < _UNOWNED_PERCENT:
        return None
    team = next(name for name, regions in TEAMS.items() if region in regions)
    members = [person for person in USERS if person.team == team and person.share]
    ticket = draw(household, "owner", sum(person.share for person in members))
    for person in members:
        if ticket < person.share:
            return person.username
        ticket -= person.share
    raise AssertionError("the ticket is smaller than the sum of the shares")


def draw(household: int, what: str, n: int) -> int:
    """A number 0 … n-1: evenly spread, the same on every machine and in every version."""
    digest = blake2b(f"{what} {household}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % n


def pick(household: int, what: str, choices: Sequence[T]) -> T:
    """One of the choices, as evenly."""
    return choices[draw(household, what, len(choices))]


def _skewed(household: int, what: str, choices: Sequence[T]) -> T:
    """The first choice is taken about twice as often as the last."""
    weights = [2 * len(choices) - i for i in range(len(choices))]
    ticket = draw(household, what, sum(weights))
    for choice, weight in zip(choices, weights, strict=True):
        if ticket < weight:
            return choice
        ticket -= weight
    raise AssertionError("the ticket is smaller than the sum of the weights")


def name_of(household: int, chinese: bool) -> str:
    """What somebody is called; any number names one."""
    if not chinese:
        return f"{pick(household, 'given', LATIN_GIVEN)} {pick(household, 'surname', LATIN_SURNAMES)}"
    rarity = draw(household, "rarity", 100)
    surnames = (
        _COMMON if rarity < 55 else _LESS_COMMON if rarity < 88 else _READ_OTHERWISE if rarity < 96 else _COMPOUND
    )
    surname = pick(household, "surname", surnames)
    if draw(household, "length", 100) < 30:
        return surname + pick(household, "given", _GIVEN)
    return surname + pick(household, "first", _FIRST) + pick(household, "second", _SECOND)


def _shop(household: int, chinese: bool) -> str:
    if chinese:
        return pick(household, "shop place", SHOP_PLACES) + pick(household, "shop kind", SHOP_KINDS)
    return f"{pick(household, 'shop place', LATIN_SHOP_PLACES)} {pick(household, 'shop kind', LATIN_SHOP_KINDS)}"


def _email(household: int, name: str) -> str:
    if draw(household, "no email", 100) < _NO_EMAIL_PERCENT:
        return ""
    read = text.pinyin(name) or ".".join(re.findall("[a-z]+", text.match_key(name)))
    domain = pick(household, "domain", ("example.com", "example.org", "example.net"))
    return f"{read}{household}@{domain}"


def _phone(household: int, chinese: bool) -> str:
    if draw(household, "no phone", 100) < _NO_PHONE_PERCENT:
        return ""
    if chinese:
        parts = ("120", f"0{draw(household, 'phone', 1000):03d}", f"{household:04d}")
        return pick(household, "phone form", _CHINESE_PHONES).format(*parts)
    parts = (_AREA_CODES[household // 100], "555", f"01{household % 100:02d}")
    return pick(household, "phone form", _LATIN_PHONES).format(*parts)
