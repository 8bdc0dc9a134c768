"""Other readings of a rule: which there are, by hand, and that none loses a condition."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import rules
from db.errors import Invalid
from db.rule_readings import notable, otherwise


def leaf(n: int) -> dict[str, Any]:
    return {"field": "orders", "op": "=", "value": n}


A, B, C, D = map(leaf, range(4))


@pytest.mark.parametrize(
    ("rule", "others"),
    [
        ({"all": [A, {"any": [B, C]}]}, [{"any": [{"all": [A, B]}, C]}]),
        ({"any": [{"all": [A, B]}, C]}, [{"all": [A, {"any": [B, C]}]}]),
        ({"all": [{"any": [A, B]}, {"any": [C, D]}]}, [{"any": [A, {"all": [B, C]}, D]}]),
        (
            {"any": [A, {"all": [B, {"any": [C, D]}]}]},
            [{"any": [A, {"all": [B, C]}, D]}, {"all": [{"any": [A, B]}, {"any": [C, D]}]}],
        ),
        ({"all": [A, B, {"all": [C, D]}]}, []),
        ({"any": [A, {"any": [B]}]}, []),
        ({"all": [A, {"any": [B]}, C]}, []),
        ({"all": [A, {"none": [B, C]}]}, []),
        ({"none": [A, {"any": [B, {"all": [C, D]}]}]}, []),
        ({"all": []}, []),
        ({"any": [A, {"all": []}]}, []),
    ],
)
def test_readings_by_hand(rule: Any, others: Any) -> None:
    assert [rules.data_of(each) for each in otherwise(rules.parse(rule))] == others


groups = st.recursive(
    st.integers(0, 9).map(leaf),
    lambda inner: st.builds(lambda m, parts: {m: parts}, st.sampled_from(rules.MATCHES), st.lists(inner, max_size=4)),
    max_leaves=12,
)


@given(groups)
def test_a_reading_has_the_same_conditions_in_the_same_order(data: Any) -> None:
    try:
        rule = rules.parse(data)
    except Invalid:  # nested too deep
        return
    for other in otherwise(rule):
        assert rules.conditions(other) == rules.conditions(rule)
        assert rules.parse_text(rules.written(other)) == other
        assert other != rule


def test_what_is_worth_a_warning() -> None:
    assert [notable(100, n) for n in (79, 80, 100, 120, 121)] == [True, False, False, False, True]
    assert notable(0, 1)
    assert not notable(0, 0)


NASTY = [
    "",
    "{",
    "[]",
    "null",
    "NaN",
    '{"all": NaN}',
    '{"all": [1e999]}',
    '{"all": {}}',
    '{"all": [], "any": []}',
    '{"all": [], "all": []}',
    '{"__proto__": []}',
    '{"ALL": []}',
    '{"all": [null]}',
    '{"all": [[]]}',
    "[" * 9_000,
    '{"all": [' * 9 + "]}" * 9,
    '{"all": [' + '{"field": "orders", "op": ">", "value": 1},' * 200 + "]}",
    json.dumps({"all": [leaf(1)] * 101}),
    '{"all": [{"field": "orders; DROP TABLE customers", "op": ">", "value": 1}]}',
    '{"all": [{"field": "orders", "op": "> 0 OR TRUE --", "value": 1}]}',
    '{"all": [{"field": "orders", "op": ">", "value": {"$gt": 0}}]}',
    '{"all": [{"field": "orders", "op": ">", "value": 1e400}]}',
    '{"all": [{"field": ["orders"], "op": ">", "value": 1}]}',
    '{"all": [{"field": "orders", "op": null, "value": 1}]}',
    '{"all": [{"field": "region", "op": "in", "value": ["\\u0000"]}]}',
    '{"all": [{"field": "region", "op": "in", "value": ["\\ud800"]}]}',
    '{"all": [{"field": "last_order_on", "op": "in the last", "value": -1}]}',
    '{"all": [{"field": "last_order_on", "op": "on", "value": "2026-02-30"}]}',
    '{"all": [{"field": "orders", "op": ">", "value": 1, "extra": "<script>alert(1)</script>"}]}',
    "\ufeff" + '{"all": []}',
    "9" * 19_000,
]


@pytest.mark.parametrize("written", NASTY, ids=lambda written: written[:30])
def test_hostile_json_is_a_sentence(written: str) -> None:
    with pytest.raises(Invalid) as caught:
        rules.parse_text(written)
    assert caught.value.message.rstrip().endswith((".", "}", "?")), caught.value.message
    assert len(caught.value.message) < 1_500
    assert "Traceback" not in caught.value.message
