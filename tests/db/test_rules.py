"""Rules: what is read, what is refused and where, and what they say in words."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import rule_words, rules
from db.errors import Invalid
from db.fields import FIELDS, OPERATORS
from tests.db.segment_rules import RULES
from tests.manual import speaking

A = {"field": "orders", "op": ">", "value": 3}
B = {"field": "region", "op": "in", "value": ["North", "East"]}
C = {"field": "last_order_on", "op": "in the last", "value": 30}


def said(data: Any, language: str = "en") -> str:
    with speaking(language):
        return rule_words.sentence(rules.parse(data), lambda _field, value: str(value))


@given(RULES)
def test_a_rule_written_and_read_again_is_the_same(data: Any) -> None:
    rule = rules.parse(data)
    assert rules.parse(rules.data_of(rule)) == rule
    assert rules.parse_text(rules.written(rule)) == rule
    assert rules.written(rules.parse_text(rules.written(rule))) == rules.written(rule)
    for language in ("en", "zh_CN"):
        assert said(data, language)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "This is not JSON (line 1, character 1)"),
        ('{"all": [', "This is not JSON (line 1"),
        ('{"all": [{"field": "orders", "op": ">", "value": NaN}]}', "This is not JSON"),
        ("[" * 50_000, "at most 20,000 characters"),
        ("[" * 15_000, "This is not JSON"),
        ("3", "The rule: a group or a condition is expected."),
        ("[]", "The rule: a group or a condition is expected."),
        ('{"all": {}}', "In all: a list is expected."),
        ('{"all": [], "any": []}', "The rule: a group has one key"),
        ('{"every": []}', "The rule: a group has one key"),
        ('{"all": [3]}', "In all[0]: a group or a condition is expected."),
        ('{"field": "orders"}', "In op: “None” does not go with “orders”"),
        (
            '{"field": "orders", "op": "in", "value": [1]}',
            "In op: “in” does not go with “orders”, which",
        ),
        ('{"field": "orders", "op": ">"}', "In value: a value is missing."),
        ('{"field": "orders", "op": ">", "value": true}', "In value: a number is expected."),
        ('{"field": "orders", "op": ">", "value": "many"}', "In value: a number is expected."),
        ('{"field": "orders", "op": ">", "value": 1e400}', "In value: a number of at most"),
        ('{"field": "orders", "op": ">", "value": 1e30}', "In value: a number of at most"),
        ('{"field": "orders", "op": "between", "value": [2]}', "In value: a list of two values"),
        ('{"field": "orders", "op": "between", "value": [2, 1]}', "In value: the first value is greater"),
        ('{"field": "orders", "op": "empty", "value": 1}', "In value: “empty” takes no value."),
        ('{"field": "drop table", "op": ">", "value": 1}', "In field: there is no field “drop table”."),
        ('{"field": ["orders"], "op": ">", "value": 1}', "In field: there is no field"),
        ('{"field": "orders", "op": ">", "value": 1, "sql": "x"}', "The rule: “sql” is not known here."),
        ('{"field": "region", "op": "in", "value": []}', "In value: at least one value is expected."),
        ('{"field": "region", "op": "in", "value": [1]}', "In value[0]: a text of 1 to 200 characters"),
        ('{"field": "region", "op": "in", "value": ["a\\u0000"]}', "In value[0]: a text of 1 to"),
        (
            '{"field": "stage", "op": "in", "value": ["loyal", "gone"]}',
            "In value[1]: “gone” is none of: prospect",
        ),
        ('{"field": "owner", "op": "in", "value": ["ann"]}', "In value[0]: a number from 1 on is expected."),
        ('{"field": "owner", "op": "in", "value": [9223372036854775808]}', "In value[0]: a number from 1 on is"),
        ('{"field": "owner", "op": "in", "value": [0]}', "In value[0]: a number from 1 on is expected."),
        ('{"all": [], "all": []}', "“all” stands twice in one group or condition of the rule."),
        ('{"field": "orders", "op": ">", "op": "<", "value": 3}', "“op” stands twice"),
        ('{"field": "bought_category", "op": "any of", "value": {"of": ["X"], "of": ["Y"]}}', "“of” stands twice"),
        ('{"field": "region", "op": "in", "value": ["\\ud800"]}', "In value[0]: a text of 1 to"),
        ('{"field": "bought_category", "op": "any of", "value": ["\\udfff"]}', "In value.of[0]: a text of 1 to"),
        ('{"field": "region", "op": "in", "value": [" \\u200b"]}', "In value[0]: a text of 1 to"),
        ('{"field": "region", "op": "in", "value": ["' + "\ufdfa" * 100 + '"]}', "In value[0]: a text of 1 to"),
        ('{"field": "\\ud800\\u202e", "op": "in"}', "In field: there is no field “”."),
        ('{"field": ' + "[" * 900 + "]" * 900 + "}", "In field: there is no field “[…]”."),
        ('{"field": "orders", "op": ' + "[" * 900 + "]" * 900 + "}", "In op: “[…]” does not go with “orders”"),
        ('{"field": "stage", "op": "in", "value": ' + "[" * 900 + "]" * 900 + "}", "In value[0]: a text of 1 to"),
        (
            '{"field": "funnel", "op": "reached", "value": {"campaign": 1, "step": ' + "[" * 900 + "]" * 900 + "}}",
            "In value.step: “[…]” is none of",
        ),
        ('{"field": "orders", "op": ">", "value": ' + "9" * 5_000 + "}", "This is not JSON"),
        ('{"field": "orders", "op": ">", "value": ' + "9" * 4_000 + "}", "In value: a number of at most"),
        ('{"field": "orders", "op": ">", "value": 1e99999999999999999999}', "This is not JSON"),
        ('{"field": "orders", "op": ">", "value": 1e-400}', "In value: a number with at most 6 decimals"),
        ('{"field": "orders", "op": ">", "value": -Infinity}', "This is not JSON"),
        ('{"field": "orders", "op": ">", "value": "1_000"}', "In value: a number is expected."),
        ('{"field": "orders", "op": ">", "value": "１２"}', "In value: a number is expected."),
        ('{"field": "orders", "op": ">", "value": " 12"}', "In value: a number is expected."),
        ('{"field": "orders", "op": ">", "value": "NaN"}', "In value: a number is expected."),
        ('{"field": "orders", "op": ">", "value": null}', "In value: a number is expected."),
        ('{"field": "first_order_on", "op": "on", "value": "2026-W47-5"}', "In value: a day such as 2026-11-20"),
        ('{"field": "first_order_on", "op": "on", "value": "２０２６-11-20"}', "In value: a day such as 2026-11-20"),
        ('{"field": "first_order_on", "op": "on", "value": "2026-02-30"}', "In value: a day such as 2026-11-20"),
        ('{"field": "first_order_on", "op": "on", "value": 20261120}', "In value: a day such as 2026-11-20"),
        ('{"field": "last_order_on", "op": "before", "value": "soon"}', "In value: a day such as 2026-11-20"),
        ('{"field": "last_order_on", "op": "before", "value": "0001-01-01"}', "In value: a day from 1900 to 2199"),
        ('{"field": "last_order_on", "op": "in the last", "value": 0}', "In value: a number of days from 1 to 36,500"),
        ('{"field": "bought_category", "op": "any of", "value": {"from": "2026-01-01"}}', "In value: “of” is expected"),
        (
            '{"field": "bought_category", "op": "any of", "value": {"of": ["X"], "last_days": 3, "to": "2026-01-01"}}',
            "In value: either “last_days”, or “during”, or “from” and “to”.",
        ),
        ('{"field": "funnel", "op": "reached", "value": {"campaign": 1}}', "In value: “campaign” and “step”"),
        (
            '{"field": "funnel", "op": "reached", "value": {"campaign": 1, "step": "won"}}',
            "In value.step: “won” is none of: received, bought, promoted, redeemed.",
        ),
        ('{"all": [{"any": [{"none": [{"field": "x"}]}]}]}', "In all[0].any[0].none[0].field: there is no field “x”."),
    ],
    ids=lambda value: value[:50],
)
def test_what_is_wrong_is_said_with_its_place(written: str, problem: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.parse_text(written)
    assert problem in caught.value.message
    for language in ("en", "zh_CN"):
        with speaking(language), pytest.raises(Invalid) as caught:
            rules.parse_text(written)
        assert len(caught.value.message) < 500
        assert caught.value.message.encode()
        assert not caught.value.fields or " " not in next(iter(caught.value.fields))


@pytest.mark.parametrize("depth", [*range(5, 400, 79), *range(900, 1_000), 5_000])
def test_however_deep_it_is_one_sentence(depth: int) -> None:
    """Also where the reader of JSON is just not too deep, and what comes after would be."""
    for opened, closed in (("[", "]"), ('{"field":', "}"), ('{"all":[', "]}"), ('{"none":[{"any":[', "]}]}")):
        whole = opened * depth + "1" + closed * depth
        for written in (whole, f'{{"field": "orders", "op": "=", "value": {whole}}}', f'{{"all": [{whole}]}}'):
            with pytest.raises(Invalid):
                rules.parse_text(written)


def test_a_million_characters_are_not_even_read() -> None:
    for written in ("[" * 10**6, " " * 10**6 + '{"all": []}', '{"all": ["' + "客" * 10**6 + '"]}'):
        with pytest.raises(Invalid, match="at most 20,000 characters"):
            rules.parse_text(written)


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("0.1", "0.1"),
        ("123456789012.123456", "123456789012.123456"),
        ('"123456789012.123456"', "123456789012.123456"),
        ("999999999999.999999", "999999999999.999999"),
        ("1e3", "1000"),
        ("-0.0", "0"),
        ("1000000000000", "1000000000000"),
        ('"-2.50"', "-2.5"),
    ],
)
def test_numbers_are_exact(typed: str, number: str) -> None:
    """Binary floating point would round the second one to 123456789012.12346."""
    rule = rules.parse_text(f'{{"field": "revenue", "op": ">", "value": {typed}}}')
    [condition] = rules.conditions(rule)
    assert condition.values == (Decimal(number),)
    assert str(condition.values[0]).startswith("-") is number.startswith("-")
    assert rules.parse_text(rules.written(rule)) == rule
    assert rules.parse(json.loads(json.dumps(rules.data_of(rule)))) == rule
    assert said(rules.data_of(rule)) == f"Revenue > {Decimal(number):,f}"


@given(st.decimals(-(10**12), 10**12, places=6), st.sampled_from(["revenue", "basket", "orders"]))
def test_every_number_is_written_and_read_again_as_it_is(number: Decimal, field: str) -> None:
    rule = rules.parse({"field": field, "op": "<=", "value": str(number)})
    assert rules.conditions(rule)[0].values == (number,)
    assert rules.parse(json.loads(rules.written(rule))) == rules.parse_text(rules.written(rule)) == rule


def test_values_of_customers_are_compared_as_they_are_stored_and_names_of_goods_as_they_stand() -> None:
    """Full-width letters and stray blanks of a rule would silently fit nobody."""
    for typed in (" Ｎorth ", "North", "No\u200brth", "North\n"):
        rule = rules.parse({"field": "region", "op": "in", "value": [typed]})
        assert rules.conditions(rule)[0].values == ("North",)
    rule = rules.parse({"field": "region", "op": "in", "value": ["North", "Ｎorth", "North "]})
    assert rules.conditions(rule)[0].values == ("North",)
    rule = rules.parse({"field": "bought_category", "op": "any of", "value": ["CHRISTMAS  SEASONAL"]})
    assert rules.conditions(rule)[0].values == ("CHRISTMAS  SEASONAL",)


def test_limits() -> None:
    nested: Any = A
    for _n in range(rules.MOST_DEPTH):
        nested = {"all": [nested]}
    assert rules.parse(nested)
    with pytest.raises(Invalid, match="groups stand at most 5 deep"):
        rules.parse({"all": [nested]})
    assert rules.parse({"all": [A] * rules.MOST_CONDITIONS})
    with pytest.raises(Invalid, match="at most 100 entries"):
        rules.parse({"all": [A] * (rules.MOST_CONDITIONS + 1)})
    with pytest.raises(Invalid, match="at most 100 conditions; this one has 120"):
        rules.parse({"any": [{"all": [A] * 60}, {"all": [A] * 60}]})
    with pytest.raises(Invalid, match="at most 200 entries"):
        rules.parse({"field": "region", "op": "in", "value": [str(n) for n in range(201)]})


KEYS = st.sampled_from(["all", "any", "none", "field", "op", "value", "of"]) | st.text(max_size=3)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(KEYS, each, max_size=3),
    max_leaves=10,
)


@given(PLAIN)
def test_any_plain_values_are_a_rule_or_a_sentence(data: Any) -> None:
    with suppress(Invalid):
        rule = rules.parse(data)
        assert rules.parse(json.loads(rules.written(rule))) == rule


@given(st.text(max_size=40) | PLAIN.map(json.dumps) | RULES.map(json.dumps).flatmap(lambda t: st.permutations(t[:30])))
def test_any_text_is_a_rule_or_a_sentence(written: Any) -> None:
    with suppress(Invalid):
        rule = rules.parse_text("".join(written))
        assert rules.parse_text(rules.written(rule)) == rule


@given(
    RULES,
    st.sampled_from(sorted(FIELDS)),
    st.sampled_from(sorted({op for of in OPERATORS.values() for op in of})),
    PLAIN,
)
def test_one_wrong_leaf_is_a_sentence_and_nothing_else(rule: Any, field: str, op: str, value: Any) -> None:
    leaf = {"field": field, "op": op, "value": value}
    with suppress(Invalid):
        found = rules.parse({"all": [rule, leaf]})
        assert rules.parse(rules.data_of(found)) == found
        assert said(rules.data_of(found))


WORDS: list[tuple[Any, str, str]] = [
    ({"all": []}, "Everyone", "全部客户"),
    ({"none": []}, "Everyone", "全部客户"),
    ({"any": []}, "No customer", "没有客户"),
    ({"all": [A, {"any": []}]}, "Orders > 3 and no customer", "订单数 > 3，且没有客户"),
    ({"all": [A, B]}, "Orders > 3 and region is (North or East)", "订单数 > 3，且地区为“North”或“East”"),
    (
        {"any": [A, {"all": [B, C]}]},
        "Orders > 3 or (region is (North or East) and last order in the last 30 days)",
        "订单数 > 3，或（地区为“North”或“East”，且最近下单在最近 30 天内）",
    ),
    (
        {"none": [A, C]},
        "None of (orders > 3 or last order in the last 30 days)",
        "以下各项均不成立（订单数 > 3，或最近下单在最近 30 天内）",
    ),
    ({"none": [A]}, "Not (orders > 3)", "以下不成立（订单数 > 3）"),
    # Without brackets this could be read as the opposite of both.
    (
        {"all": [{"none": [A]}, C]},
        "Not (orders > 3) and last order in the last 30 days",
        "以下不成立（订单数 > 3），且最近下单在最近 30 天内",
    ),
    (
        {"none": [{"all": [A, C]}]},
        "Not (orders > 3 and last order in the last 30 days)",
        "以下不成立（订单数 > 3，且最近下单在最近 30 天内）",
    ),
    ({"none": [{"none": [A]}]}, "Not (not (orders > 3))", "以下不成立（以下不成立（订单数 > 3））"),
    (
        {"all": [A, {"any": [{"all": [C]}]}]},
        "Orders > 3 and last order in the last 30 days",
        "订单数 > 3，且最近下单在最近 30 天内",
    ),
    (
        {"all": [A, {"any": [{"all": [A, C]}]}]},
        "Orders > 3 and (orders > 3 and last order in the last 30 days)",
        "订单数 > 3，且（订单数 > 3，且最近下单在最近 30 天内）",
    ),
    (
        {"field": "bought_category", "op": "none of", "value": {"of": ["BEEF"], "last_days": 1}},
        "Did not buy category BEEF in the last 1 day",
        "最近 1 天内未购买品类“BEEF”",
    ),
    (
        {"field": "received", "op": "any of", "value": {"of": [3, 4], "from": "2026-01-01"}},
        "Received campaign (“3” or “4”) since 2026-01-01",
        "2026-01-01 起收到过活动“3”或“4”",
    ),
    (
        {"field": "bought_product", "op": "any of", "value": {"of": [7], "from": "2026-01-01", "to": "2026-01-31"}},
        "Bought product 7 from 2026-01-01 to 2026-01-31",
        "2026-01-01 至 2026-01-31 期间购买过商品“7”",
    ),
    ({"field": "city", "op": "empty"}, "City is not known", "城市未知"),
    ({"field": "revenue", "op": "<=", "value": 1234.5}, "Revenue ≤ 1,234.5", "销售额 ≤ 1,234.5"),
    ({"field": "basket", "op": "=", "value": 0.000001}, "Average basket = 0.000001", "客单价 = 0.000001"),
    (
        {"field": "basket", "op": ">", "value": 10**12},
        "Average basket > 1,000,000,000,000",
        "客单价 > 1,000,000,000,000",
    ),
    (
        {"field": "first_order_on", "op": "on", "value": "2026-01-01"},
        "First order on 2026-01-01",
        "首次下单在 2026-01-01",
    ),
    (
        {"field": "last_order_on", "op": "not in the last", "value": 1},
        "Last order not in the last 1 day",
        "最近下单不在最近 1 天内",
    ),
    (
        {"field": "ordered", "op": "within", "value": {"last_days": 30}},
        "Ordered in the last 30 days",
        "最近 30 天内下过单",
    ),
    (
        {"field": "ordered", "op": "not within", "value": {"during": "last month"}},
        "Not ordered last month",
        "上月未下单",
    ),
    (
        {"field": "first_order_on", "op": "during", "value": "this month"},
        "First order this month",
        "首次下单在本月",
    ),
    (
        {"field": "first_order_on", "op": "not during", "value": "this week"},
        "First order not this week",
        "首次下单不在本周",
    ),
    (
        {"field": "received_count", "op": "=", "value": {"count": 0, "last_days": 90}},
        "Campaigns received = 0 in the last 90 days",
        "最近 90 天内收到的活动数 = 0",
    ),
    (
        {"field": "contacts", "op": ">=", "value": 3},
        "Number of contacts ≥ 3",
        "联系次数 ≥ 3",
    ),
    (
        {"field": "first_order_on", "op": "anniversary in the next", "value": 7},
        "Anniversary of first order in the next 7 days",
        "首次下单的周年日在未来 7 天内",
    ),
    (
        {"field": "next_due_on", "op": "in the next", "value": 1},
        "Next purchase due in the next 1 day",
        "预计下次购买在未来 1 天内",
    ),
    (
        {"field": "ordered", "op": "not within", "value": {"from": "2026-01-01"}},
        "Not ordered since 2026-01-01",
        "2026-01-01 起未下单",
    ),
    (B, "Region is North or East", "地区为“North”或“East”"),
    ({"any": [B, A]}, "Region is (North or East) or orders > 3", "地区为“North”或“East”，或订单数 > 3"),
    ({"field": "region", "op": "in", "value": "North"}, "Region is North", "地区为“North”"),
    ({"field": "region", "op": "not in", "value": ["North"]}, "Region is not North", "地区不是“North”"),
    (
        {"all": [A, {"field": "region", "op": "not in", "value": ["North", "East", "West"]}]},
        "Orders > 3 and region is neither North, East nor West",
        "订单数 > 3，且地区不在“North”、“East”、“West”之列",
    ),
    # Read on, these values would be something else.
    (
        {"field": "city", "op": "in", "value": ["York or Orders > 5", "A, B", "Iceland"]},
        "City is “York or Orders > 5”, “A, B” or Iceland",
        "城市为“York or Orders > 5”、“A, B”或“Iceland”",
    ),
    ({"field": "city", "op": "in", "value": "not known"}, "City is “not known”", "城市为“not known”"),
    ({"field": "tags", "op": "all of", "value": ["a", "b"]}, "Tags include all of a and b", "标签同时包含“a”和“b”"),
    (
        {"field": "tags", "op": "none of", "value": ["a", "b"]},
        "Tags include neither a nor b",
        "标签不含“a”、“b”中的任何一个",
    ),
    ({"field": "tags", "op": "none of", "value": ["a"]}, "Tags do not include a", "标签不含“a”"),
    (
        {"all": [A, {"field": "tags", "op": "any of", "value": ["a", "b"]}]},
        "Orders > 3 and tags include (a or b)",
        "订单数 > 3，且标签包含“a”或“b”",
    ),
    ({"field": "segment", "op": "not in", "value": [3, 4]}, "Not in segment “3” or “4”", "不属于分群“3”或“4”"),
    ({"field": "listed", "op": "none of", "value": [3]}, "Not on the frozen list “3”", "不在冻结名单“3”中"),
    ({"field": "email", "op": "in", "value": "yes"}, "Has an e-mail: yes", "有邮箱：“yes”"),
    (
        {"field": "created_on", "op": "before", "value": "2026-01-01"},
        "Entered before 2026-01-01",
        "录入早于 2026-01-01",
    ),
    ({"field": "created_on", "op": "in the last", "value": 7}, "Entered in the last 7 days", "录入在最近 7 天内"),
    (
        {"field": "rfm_class", "op": "in", "value": ["new", "loyal"]},
        "RFM class is new or loyal",
        "RFM 分类为“new”或“loyal”",
    ),
]


@pytest.mark.parametrize(("data", "english", "chinese"), WORDS, ids=lambda value: str(value)[:40])
def test_words(data: Any, english: str, chinese: str) -> None:
    assert said(data) == english
    assert said(data, "zh_CN") == chinese


def test_every_field_and_operator_can_be_said() -> None:
    examples: dict[str, Any] = {
        "nothing": None,
        "one": 1,
        "two": [1, 2],
        "some": ["x"],
        "days": 3,
        "spanned": {"of": ["x"], "from": "2026-01-01"},
        "span": {"last_days": 3},
        "step": {"campaign": 1, "step": "bought"},
        "calendar": "last week",
        "counted": {"count": 2, "last_days": 30},
    }
    for field in FIELDS.values():
        for op, takes in OPERATORS[field.kind].items():
            value = examples[takes]
            if field.kind == "date" and takes in ("one", "two"):
                value = "2026-01-01" if takes == "one" else ["2026-01-01", "2026-02-01"]
            if takes == "some":
                value = [1] if field.ids else [field.choices[0]] if field.choices else ["x"]
            if takes == "spanned" and field.ids:
                value = {"of": [1]}
            if takes == "spanned" and field.choices:
                value = {"of": [field.choices[0]]}
            leaf = {"field": field.key, "op": op} | ({} if takes == "nothing" else {"value": value})
            for language in ("en", "zh_CN"):
                assert said(leaf, language)
