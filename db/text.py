"""Normalisation of every text that is written, and the keys that lists sort and searches match by."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from opencc import OpenCC

MAX_TEXT = 10_000

# What shows nothing in a form makes equal names unequal, stands for an empty name or reorders a line: zero-width and
# bidirectional controls, fillers, language tags.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SPACE = re.compile(r"[^\S\n]+")
_HAN = re.compile(r"([〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af])")
_NAME = re.compile(rf"(?:{_HAN.pattern}){{2,4}}")
# Chooses between forms of one character; the form is the writer's, the character is what is searched.
_VARIANT = re.compile("[\ufe00-\ufe0f]")
_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"})

# Surnames that are read otherwise than the same character in a word (Table of General Standard Chinese Characters).
SURNAMES = {
    "单": "shan",
    "解": "xie",
    "仇": "qiu",
    "查": "zha",
    "曾": "zeng",
    "朴": "piao",
    "区": "ou",
    "盖": "ge",
    "尉迟": "yu chi",
    "万俟": "mo qi",
    "任": "ren",
    "华": "hua",
    "翟": "zhai",
    "乐": "yue",
    "覃": "qin",
    "缪": "miao",
    "员": "yun",
    "折": "she",
    "召": "shao",
    "种": "chong",
    "重": "chong",
    "秘": "bi",
    "黑": "he",
    "纪": "ji",
    "那": "na",
    "燕": "yan",
    "冼": "xian",
    "洗": "xian",
    "尹": "yin",
    "葛": "ge",
    "卜": "bu",
    "宁": "ning",
    "令狐": "ling hu",
    "长孙": "zhang sun",
    "澹台": "tan tai",
}

# Surnames of two characters that are read as anywhere else; SURNAMES has the others.
_COMPOUND = frozenset(
    re.findall("..", "欧阳司马上官诸葛慕容皇甫东方夏侯司徒公孙端木南宫轩辕独孤宇文闻人钟离申屠濮阳淳于呼延赫连百里")
)
_TO_SIMPLIFIED = OpenCC("t2s")


def clean(value: str | None, *, multiline: bool = False) -> str:
    """NFKC, without control, invisible and bidi characters, runs of blanks folded, trimmed. `None` gives ''."""
    if not value:
        return ""
    # Taken out first: what stood between two characters that combine must not keep them apart.
    visible = _INVISIBLE.sub("", _CONTROL.sub("", _LINE_END.sub("\n", value)))
    text = unicodedata.normalize("NFKC", visible)
    if not multiline:
        text = text.replace("\n", " ")
    return _SPACE.sub(" ", text).strip()


def has_han(value: str) -> bool:
    """True when the text holds at least one Chinese character."""
    return bool(_HAN.search(value))


def unaccent(value: str) -> str:
    """Letters without their marks, in lower case also those that Unicode does not take apart: 'müłler' → 'muller'."""
    apart = _VARIANT.sub("", unicodedata.normalize("NFD", value))
    return "".join(c for c in apart if not unicodedata.combining(c)).translate(_LETTERS)


@lru_cache(maxsize=32_768)
def _simplified_character(character: str) -> str:
    # One by one: a part of a name must become what it becomes within the whole.
    return str(_TO_SIMPLIFIED.convert(character))


def simplified(value: str) -> str:
    """Traditional characters as simplified ones, each by itself: '張國榮' → '张国荣'."""
    return _HAN.sub(lambda found: _simplified_character(found[1]), value)


def match_key(value: str | None) -> str:
    """The form in which names, e-mails and companies are compared: cleaned, lower case, unaccented, simplified."""
    return simplified(_SPACE.sub(" ", unaccent(clean(value).casefold())).strip())


def _parted(name: str) -> tuple[str, str]:
    """Surname and given name of a person's simplified name; ('', name) for what is none.

    Two to four characters are a person's name; a company's is read as the words that it is made of.
    """
    if _NAME.fullmatch(name.split(" ", maxsplit=1)[0]):
        for length in (2, 1):
            surname, given = name[:length], name[length:]
            if given and (length == 1 or surname in SURNAMES or surname in _COMPOUND):
                return surname, given
    return "", name


def _read(text: str) -> list[str]:
    # Its dictionaries take half a second to load, and most processes of the terminal read no Chinese name.
    from pypinyin import Style, lazy_pinyin

    return lazy_pinyin(text, style=Style.NORMAL)


@lru_cache(maxsize=65_536)
def _syllables(name: str) -> tuple[str, ...]:
    name = simplified(name)
    surname, given = _parted(name)
    if surname in SURNAMES:
        return (*SURNAMES[surname].split(), *_read(given))
    return tuple(_read(name))


def pinyin(value: str | None) -> str:
    """Toneless pinyin without blanks ('张三' → 'zhangsan'); '' for a text without Chinese characters."""
    name = clean(value)
    return "".join(match_key(s).replace(" ", "") for s in _syllables(name)) if has_han(name) else ""


def given_pinyin(value: str | None) -> str:
    """Toneless pinyin of the given name ('王建国' → 'jianguo'); '' for what is no person's name in Chinese."""
    name = clean(value)
    surname, _given = _parted(simplified(name))
    return "".join(match_key(s).replace(" ", "") for s in _syllables(name)[len(surname) :]) if surname else ""


def initials(value: str | None) -> str:
    """First letters: of the syllables of a Chinese name ('张三' → 'zs'), of the words of a Latin one."""
    name = clean(value)
    parts = _syllables(name) if has_han(name) else tuple(match_key(name).split())
    return "".join(match_key(p)[:1] for p in parts if p.strip())


def reads_as(name: str, words: str) -> bool:
    """Whether every word stands in a thing's name, in its pinyin, or begins its initials: '重要客户' by 'zhongyao'.

    Not read as a person's name is: '单次购买' is no Ms Shan.
    """
    asked = match_key(words).split()
    if not asked:
        return True
    said = match_key(name)
    parts = _read(simplified(clean(name))) if has_han(name) else []
    syllables = [match_key(part) for part in parts]
    heard, first = "".join(syllables).replace(" ", ""), "".join(s[:1] for s in syllables)
    return all(word in said or word in heard or (bool(first) and first.startswith(word)) for word in asked)


def sort_key(value: str | None) -> str:
    """What lists sort by under COLLATE "C": pinyin for Chinese, unaccented lower case for Latin, then the text."""
    name = clean(value)
    return f"{' '.join(match_key(s) for s in _syllables(name))}\t{name}" if has_han(name) else match_key(name)


def digits(value: str | None) -> str:
    """Only the digits, those of other scripts folded: '+86 138-0013 8000' → '8613800138000'."""
    return "".join(str(unicodedata.decimal(c)) for c in clean(value) if c.isdecimal())


def spaced(value: str | None) -> str:
    """The match key with every Chinese character, and the @ of an address, set apart by blanks.

    So trigrams index one and two characters, and a domain begins a word.
    """
    return _SPACE.sub(" ", _HAN.sub(r" \1 ", match_key(value)).replace("@", " @ ")).strip()
