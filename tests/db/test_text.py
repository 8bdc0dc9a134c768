"""Normalisation: any input is survived, twice is once, and the keys are what people type."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy import text as sql_text

from db import text

# Every code point, lone surrogates too; then pieces that have tripped others, next to one another.
TRICKY = [
    *"aéeßİıŁøÆ張张三〇𠮷김가がｶﾞ１２①ﬁ™²ǅ\u0301\u0327\u20dd",
    *"\x00\x07\x0b\x0c\r\n\t\x1b\x7f\x85\u00a0\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200d\u202e\u2028\u2029\u2066",
    *"\u2800\u3000\u3164\ufe0f\ufeff\uffa0\ufffc\ufffd\U000e0001\U000e0100\ud800\udfff",
]
ANY = (
    st.text(st.characters()) | st.text(st.sampled_from(TRICKY), max_size=12) | st.text(st.characters(categories=["Cs"]))
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(ANY)
def test_cleaning_survives_everything_and_twice_is_once(value: str) -> None:
    for multiline in (False, True):
        cleaned = text.clean(value, multiline=multiline)
        assert text.clean(cleaned, multiline=multiline) == cleaned
        assert cleaned == cleaned.strip()
        assert "\n" not in cleaned or multiline
        cleaned.encode()  # no lone surrogate is left
        for c in cleaned:
            assert unicodedata.category(c) not in ("Cc", "Cs") or (multiline and c == "\n")
            assert unicodedata.bidirectional(c) not in ("RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI")
    assert text.clean(text.clean(value, multiline=True)) == text.clean(value)
    for key in (text.match_key, text.spaced):
        assert key(key(value)) == key(value)
    assert text.match_key(text.clean(value)) == text.match_key(value)
    for f in (text.pinyin, text.initials, text.sort_key, text.digits, text.match_key, text.spaced):
        f(value).encode()
    assert text.digits(value).isascii()
    assert not text.pinyin(value) or text.has_han(text.clean(value))


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        (None, ""),
        ("", ""),
        (" \t a \u00a0\u3000 b\u200b ", "a b"),
        ("ＡＢＣ　１２３", "ABC 123"),
        ("a\x00b\u202ec\ufeff", "abc"),
        ("line\r\nnext\x0bsoft\x85last", "line next soft last"),
        ("e\u200b\u0301", "é"),  # what an invisible character kept apart belongs together
        ("\u3164\u2800\U000e0041", ""),  # a name of invisible letters is none
        ("\ud83d\ude00 \U0001f600", "\U0001f600"),
        ("張三", "張三"),
    ],
)
def test_cleaned(value: str | None, cleaned: str) -> None:
    assert text.clean(value) == cleaned


def test_lines_stay_lines_where_they_are_wanted() -> None:
    assert text.clean(" a  b\r\nc\u2028\u2028d \n", multiline=True) == "a b\nc\n\nd"


@pytest.mark.parametrize(
    ("name", "pinyin", "initials"),
    [
        ("张三", "zhangsan", "zs"),
        ("单雄信", "shanxiongxin", "sxx"),
        ("解晓东", "xiexiaodong", "xxd"),
        ("仇英", "qiuying", "qy"),
        ("区楚良", "ouchuliang", "ocl"),
        ("曾志伟", "zengzhiwei", "zzw"),
        ("尉迟恭", "yuchigong", "ycg"),
        ("万俟卨", "moqixie", "mqx"),
        ("长孙无忌", "zhangsunwuji", "zswj"),
        ("吕布", "lvbu", "lb"),
        ("单位", "shanwei", "sw"),
        ("单", "dan", "d"),
        ("黑龙江大药房", "heilongjiangdayaofang", "hljdyf"),  # no person, so no surname
        ("重庆火锅老店", "chongqinghuoguolaodian", "cqhgld"),
        ("张三 Zhang", "zhangsanzhang", "zsz"),
        ("Zoë Müller-Łukasz", "", "zm"),
        ("", "", ""),
    ],
)
def test_pinyin_and_initials(name: str, pinyin: str, initials: str) -> None:
    assert text.pinyin(name) == pinyin
    assert text.initials(name) == initials


def test_names_sort_by_pinyin_and_without_accents() -> None:
    names = [
        "Zoe",
        "张三",
        "Émile",
        "李四",
        "éric",
        "Øystein",
        "阿明",
        "Emil",
        "zebra",
        "安娜",
        "Ozan",
        "李斯",
        "李 四",
    ]
    assert sorted(names, key=text.sort_key) == [
        "阿明",
        "安娜",
        "Emil",
        "Émile",
        "éric",
        "李 四",
        "李四",
        "李斯",
        "Øystein",
        "Ozan",
        "zebra",
        "张三",
        "Zoe",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MÜLLER", "muller"),
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("Łódź", "lodz"),
        ("Ｍｕｌｌｅｒ", "müller"),
        ("葛\ufe00", "葛"),
        ("e\u0301a", "éa"),
        ("Đặng", "dang"),
    ],
)
def test_what_is_the_same_to_a_person_is_the_same_key(one: str, other: str) -> None:
    assert text.match_key(one) == text.match_key(other)


def test_digits_of_every_script_and_spaced_characters() -> None:
    assert text.digits("+86 (138)-0013 ８０００ ٣") == "86138001380003"
    assert text.digits(None) == ""
    assert text.spaced("张三Ltd〇李") == "张 三 ltd 〇 李"
    assert text.spaced("𠮷野家") == "𠮷 野 家"
    assert not text.has_han("Müller カナ 김")


def test_every_cleaned_text_can_be_stored(owner: Connection) -> None:
    """PostgreSQL takes what is left of all code points, and gives it back."""
    every = text.clean("".join(chr(n) for n in range(0x110000)), multiline=True)
    assert owner.scalar(sql_text("SELECT CAST(:value AS text)"), {"value": every}) == every
