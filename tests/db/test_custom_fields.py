"""Custom fields: what is accepted, who may add them, forms saved by two editors, undo of one field's edit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from db import changes, connection, custom_fields, custom_values, customer, history, keyed, schema
from db.connection import begin
from db.custom_fields import MOST_CHOICES, MOST_FIELDS, MOST_NAME
from db.custom_values import MOST_TEXT, Field
from db.customer import Saved
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.undo import undo
from tests import conftest, make

TODAY = date(2026, 11, 20)
HTML = "<b>Gold</b> & :red[x]"


@pytest.fixture(scope="module")
def database(server: Server, template: str) -> Iterator[str]:
    name = f"custom_{os.getpid()}"
    conftest._create(server, name, template)
    yield from conftest._served(server, name)


@pytest.fixture(scope="module")
def people(database: str) -> make.People:
    found = make.people()
    for key, values in {
        "size": {"type": "number"},
        "since": {"type": "date"},
        "tier": {"type": "choice", "choices": ["Gold", HTML, "金卡"]},
        "likes": {"type": "choices", "choices": ["tea", "coffee", "ink"]},
        "vip": {"type": "flag"},
        "remark": {"type": "text"},
        "idcard": {"type": "text", "personal": True, "name_zh": "证件号"},
    }.items():
        do(custom_fields.add, found.root, values={"key": key, "name": key.title()} | values)
    return found


def do(command: Callable[..., Any], actor: Any, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def read(query: Callable[..., Any], viewer: Any, **values: Any) -> Any:
    with begin(viewer) as conn:
        return query(conn, viewer=viewer, **values)


def add(actor: Any, **own: Any) -> int:
    values = {"name": "张三"} | {f"custom.{key}": value for key, value in own.items()}
    found: int = do(customer.add, actor, values=values)[0]
    return found


def save(actor: Any, customer_id: int, version: int, **own: Any) -> Saved:
    values = {key.replace("custom_", "custom.", 1): value for key, value in own.items()}
    return do(customer.save, actor, customer_id=customer_id, version=version, values=values)


def values_of(viewer: Any, customer_id: int) -> dict[str, Any]:
    found: customer.Customer = read(customer.get, viewer, customer_id=customer_id, today=TODAY)
    return found.custom_values


def field(type_: str, *, choices: tuple[str, ...] = (), required: bool = False) -> Field:
    return Field(1, "k", "K", "", type_, choices, required, False, "", 1, False, 1)


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "given_", "stored"),
    [
        ("text", "  a\u202eb \0 ", "ab"),
        ("text", "مرحبا\u200f", "مرحبا"),
        ("text", "<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("text", "one\r\ntwo", "one\ntwo"),
        ("text", " ", None),
        ("text", None, None),
        ("text", 12, "12"),
        ("number", "12.50", "12.5"),
        ("number", "１２．５", "12.5"),
        ("number", "1,234,567.890", "1234567.89"),
        ("number", "1e3", "1000"),
        ("number", "-0.0", "0"),
        ("number", "0e999", "0"),
        ("number", "\u22125", "-5"),
        ("number", "999999999999999.999999", "999999999999999.999999"),
        ("number", 0.1, "0.1"),
        ("number", Decimal("0.10"), "0.1"),
        ("number", "٣", "3"),
        ("number", "", None),
        ("date", "2026-2-3", "2026-02-03"),
        *(("date", d, "2026-02-03") for d in ("2026/02/03", "2026年2月3日", "20260203", 20260203, "２０２６．２．３")),
        ("date", date(2026, 2, 3), "2026-02-03"),
        ("date", datetime(2026, 2, 3, 23, 59, tzinfo=UTC), "2026-02-03"),
        ("date", "", None),
        ("choice", "Gold", "Gold"),
        ("choice", HTML, HTML),
        ("choice", "", None),
        ("choices", ["b", "a", "b"], ["a", "b"]),
        ("choices", "b; a", ["a", "b"]),
        ("choices", [], None),
        ("choices", None, None),
        ("flag", True, True),
        ("flag", False, False),
        ("flag", "否", False),
        ("flag", "YES", True),
        ("flag", "", None),
    ],
)
def test_values_are_stored_in_one_form(type_: str, given_: Any, stored: Any) -> None:
    fields = {"k": field(type_, choices=("Gold", HTML, "a", "b"))}
    found = custom_values.checked(fields, {"k": given_})["k"]
    assert found == stored
    assert type(found) is type(stored)


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        ("text", "x" * (MOST_TEXT + 1)),
        ("text", ["a"]),
        ("text", True),
        *(
            ("number", n)
            for n in ("NaN", "Infinity", "-inf", "1_000", "1e15", "1e999", "1e-7", "0.1234567", "1,2", "x")
        ),
        *(("number", n) for n in (float("nan"), float("inf"), 10**15, 10**4000, True, "9" * 10_000, "1e-99999", {})),
        *(("date", d) for d in ("2026-02-30", "2026-13-01", "26-01-01", "0000-01-01", "today", 2026, "20261301")),
        *(("choice", c) for c in ("gold", "Silver", ["Gold"], True)),
        *(("choices", c) for c in (["c"], "c", 1, [True], [["a"]], {"a": 1})),
        *(("flag", f) for f in ("maybe", 2, [True])),
    ],
)
def test_what_is_no_value_is_refused_in_a_sentence(type_: str, wrong: Any) -> None:
    with pytest.raises(Invalid) as caught:
        custom_values.checked({"k": field(type_, choices=("Gold", "a", "b"))}, {"k": wrong})
    assert set(caught.value.fields) == {"k"}
    assert len(caught.value.fields["k"]) < 200


def test_a_required_field_must_be_filled_and_one_that_is_not_there_is_refused() -> None:
    for value in (None, "", " \u200b "):
        with pytest.raises(Invalid, match="another look"):
            custom_values.checked({"k": field("text", required=True)}, {"k": value})
    assert custom_values.checked({"k": field("flag", required=True)}, {"k": False}) == {"k": False}
    with pytest.raises(Invalid) as caught:
        custom_values.checked({}, {"k": "x", "__proto__": "y"})
    assert set(caught.value.fields) == {"k", "__proto__"}


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.dates(),
    st.text(),
    st.from_regex(r"[+-]?[0-9]{0,17}\.?[0-9]{0,8}", fullmatch=True),
    st.lists(st.sampled_from(["a", "b", "c"])),
    st.sampled_from(["a", "b", "是", "no", "2026-1-2", "1,000"]),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(schema.schema_fields.FIELD_TYPES), anything)
def test_checking_again_changes_nothing(type_: str, value: Any) -> None:
    fields = {"k": field(type_, choices=("a", "b", "0"))}
    try:
        once = custom_values.checked(fields, {"k": value})
    except Invalid:
        return
    assert custom_values.checked(fields, once) == once
    assert custom_values.changed(fields, once, once) == {}
    custom_values.told(fields["k"], once["k"])


@settings(max_examples=200, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15) + 1, max_value=10**15 - 1))
def test_numbers_are_exact(value: Decimal) -> None:
    stored = custom_values.checked({"k": field("number")}, {"k": value})["k"]
    assert Decimal(stored) == value
    assert "e" not in stored.lower()


names = st.sampled_from(["custom.a", "custom.b", "custom_personal.c", "city"])


@given(st.dictionaries(names, st.text(min_size=1)), st.dictionaries(names, st.one_of(st.none(), st.text(min_size=1))))
def test_spread_and_gathered_are_each_others_way_back(held: dict[str, Any], patch: dict[str, Any]) -> None:
    t = schema.customers
    now = keyed.gathered(t, held, {})
    assert keyed.spread(t, now) == held
    after = keyed.spread(t, {**now, **keyed.gathered(t, patch, now)})
    wanted = {**held, **patch}
    assert after == {c: v for c, v in wanted.items() if v is not None or (c == "city" and c in wanted)}


# --- the fields themselves -------------------------------------------------------------------------------------------


def test_fields_are_listed_in_their_order_and_only_administrators_change_them(people: make.People) -> None:
    found = read(custom_fields.every, people.ann)
    assert [f.key for f in found if not f.archived][:7] == ["size", "since", "tier", "likes", "vip", "remark", "idcard"]
    assert found[2].choices == ("Gold", HTML, "金卡")
    assert read(custom_fields.in_use, people.ana).keys() >= {"size", "idcard"}
    for viewer in (people.ann, people.mia, people.ana, people.mark):
        for command, values in (
            (custom_fields.add, {"values": {"name": "x", "type": "text"}}),
            (custom_fields.save, {"field_id": 1, "version": 1, "values": {"name": "x"}}),
            (custom_fields.archive, {"field_id": 1}),
            (custom_fields.reorder, {"field_ids": []}),
        ):
            with pytest.raises(Refused):
                do(command, viewer, **values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"name": "", "type": "text"}, "name"),
        ({"name": "x" * (MOST_NAME + 1), "type": "text"}, "name"),
        ({"name": "Size", "type": "text", "key": "size2"}, "name"),
        ({"name": "size", "type": "text", "key": "size3"}, "name"),
        ({"name": "New", "type": "text", "key": "size"}, "key"),
        ({"name": "New", "type": "text", "key": "1a"}, "key"),
        ({"name": "New", "type": "text", "key": "a.b"}, "key"),
        ({"name": "New", "type": "text", "key": "x" * 41}, "key"),
        ({"name": "!!!", "type": "text"}, "key"),
        ({"name": "New", "type": "json"}, "type"),
        ({"name": "New"}, "type"),
        ({"name": "New", "type": "choice"}, "choices"),
        ({"name": "New", "type": "choices", "choices": ["", " "]}, "choices"),
        ({"name": "New", "type": "choice", "choices": ["x" * 101]}, "choices"),
        ({"name": "New", "type": "choice", "choices": [str(n) for n in range(MOST_CHOICES + 1)]}, "choices"),
        ({"name": "New", "type": "text", "choices": ["a"]}, "choices"),
        ({"name": "New", "type": "text", "help": "x" * 301}, "help"),
    ],
)
def test_a_field_that_cannot_be_is_refused_at_what_is_wrong(
    people: make.People, values: dict[str, Any], named: str
) -> None:
    with pytest.raises(Invalid) as caught:
        do(custom_fields.add, people.root, values=values)
    assert named in caught.value.fields


def test_a_key_is_made_of_the_name_and_never_given_twice(people: make.People) -> None:
    assert [custom_fields.key_of(n) for n in ("Loyalty card No.", "会员等级", "Über-Größe", "2nd", "<>")] == [
        *("loyalty_card_no", "huiyuandengji", "uber_grosse", "nd", "")
    ]
    _id, set_id = do(custom_fields.add, people.root, values={"name": "Shoe colour", "type": "text"})
    with begin(people.root, write=True) as conn:
        undo(conn, actor=people.root, change_set_id=set_id, source="screen")
    with pytest.raises(Invalid) as caught:
        do(custom_fields.add, people.root, values={"name": "Another", "key": "shoe_colour", "type": "number"})
    assert "never used twice" in caught.value.fields["key"]


def test_type_key_and_sight_are_decided_once_and_a_stale_save_is_refused(people: make.People) -> None:
    field_id, _set = do(custom_fields.add, people.root, values={"name": "Fixed", "type": "text"})
    fine = {"name": "Fixed 2", "name_zh": "固定"}
    for name, value in (("type", "number"), ("personal", True), ("key", "other")):
        with pytest.raises(Invalid) as caught:
            do(custom_fields.save, people.root, field_id=field_id, version=1, values=fine | {name: value})
        assert name in caught.value.fields
    assert do(custom_fields.save, people.root, field_id=field_id, version=1, values=fine)
    assert do(custom_fields.save, people.root, field_id=field_id, version=2, values=fine) is None
    with pytest.raises(Conflict):
        do(custom_fields.save, people.root, field_id=field_id, version=1, values={"name": "Late"})
    with pytest.raises(NotFound):
        do(custom_fields.archive, people.root, field_id=2**70)
    do(custom_fields.archive, people.root, field_id=field_id)
    assert "fixed" not in read(custom_fields.in_use, people.ann)
    with pytest.raises(Invalid):
        do(custom_fields.archive, people.root, field_id=field_id)
    do(custom_fields.archive, people.root, field_id=field_id, archived=False)
    do(custom_fields.archive, people.root, field_id=field_id)


def test_fields_can_be_put_into_another_order(people: make.People) -> None:
    before = [f.id for f in read(custom_fields.every, people.root) if not f.archived]
    set_id = do(custom_fields.reorder, people.root, field_ids=before[::-1])
    assert [f.id for f in read(custom_fields.every, people.root) if not f.archived] == before[::-1]
    for wrong in ([], before[1:], [*before, before[0]], [*before[1:], 10**9], before[::-1]):
        with pytest.raises(Invalid):
            do(custom_fields.reorder, people.root, field_ids=wrong)
    do(undo, people.root, change_set_id=set_id, source="screen")
    assert [f.id for f in read(custom_fields.every, people.root) if not f.archived] == before


def test_there_is_a_most_of_fields_in_use(people: make.People) -> None:
    with begin(people.root, write=True) as conn:
        there = sum(not f.archived for f in custom_fields.every(conn, viewer=people.root))
        outer = conn.begin_nested()
        for n in range(MOST_FIELDS - there):
            made = {"name": f"Many {n}", "key": f"many_{n}", "type": "text"}
            last, _set = custom_fields.add(conn, actor=people.root, values=made)
        one_more = {"name": "One more", "type": "text"}
        with pytest.raises(Invalid, match="Archive one first"):
            custom_fields.add(conn, actor=people.root, values=one_more)
        custom_fields.archive(conn, actor=people.root, field_id=last)
        custom_fields.add(conn, actor=people.root, values=one_more)
        with pytest.raises(Invalid, match="Archive one first"):
            custom_fields.archive(conn, actor=people.root, field_id=last, archived=False)
        outer.rollback()


# --- in a customer ---------------------------------------------------------------------------------------------------


def test_values_are_kept_changed_and_emptied(people: make.People) -> None:
    own = {
        "size": "1,000.50",
        "tier": "金卡",
        "likes": ["ink", "tea"],
        "vip": False,
        "idcard": " 110105 ",
        "remark": "",
    }
    customer_id = add(people.ann, **own)
    assert values_of(people.ann, customer_id) == {
        "size": "1000.5",
        "tier": "金卡",
        "likes": ["tea", "ink"],
        "vip": False,
        "idcard": "110105",
    }
    done = save(people.ann, customer_id, 1, custom_size=None, custom_vip=True, custom_likes=["tea", "ink"])
    assert done.changed == ["custom.size", "custom.vip"]
    assert values_of(people.ann, customer_id).keys() == {"tier", "likes", "vip", "idcard"}
    assert save(people.ann, customer_id, 2, custom_vip="yes").change_set_id is None
    with pytest.raises(Invalid) as caught:
        save(people.ann, customer_id, 2, custom_size="many", custom_gone="x", phone="12")
    assert caught.value.fields.keys() == {"custom.size", "custom.gone", "phone"}


def test_masked_roles_see_plain_values_and_no_personal_one(people: make.People) -> None:
    customer_id = add(people.ann, idcard="110105", tier="Gold")
    save(people.ann, customer_id, 1, custom_idcard="220105", custom_tier="金卡")
    for viewer in (people.ana, people.mark):
        assert values_of(viewer, customer_id) == {"tier": "金卡"}
        for statement in (
            "SELECT custom_personal FROM public.customers",
            "SELECT id FROM public.customers WHERE custom_personal ? 'idcard'",
        ):
            with pytest.raises(Refused), begin(viewer) as conn:
                conn.exec_driver_sql(statement)
        made = read(history.of_customer, viewer, customer_id=customer_id)
        assert "110105" not in str(made["details"].tolist())
        columns = [line["column"] for details in made["details"] for d in details for line in d["lines"]]
        assert "custom.tier" in columns
    with pytest.raises(NotFound):
        values_of(people.cho, customer_id)


def test_a_required_field_is_asked_for_when_it_is_new_or_touched(people: make.People) -> None:
    old = add(people.ann, size=1)
    field_id, _set = do(custom_fields.add, people.root, values={"name": "Must", "type": "text", "required": True})
    with pytest.raises(Invalid) as caught:
        add(people.ann)
    assert caught.value.fields == {"custom.must": "This must not be empty."}
    customer_id = add(people.ann, must="x")
    assert save(people.ann, old, 1, custom_size=2, custom_must=None).changed == ["custom.size"]
    with pytest.raises(Invalid):
        save(people.ann, customer_id, 1, custom_must=" ")
    do(custom_fields.archive, people.root, field_id=field_id)
    assert values_of(people.ann, customer_id)["must"] == "x"  # an archived field's values stay
    with pytest.raises(Invalid) as caught:
        save(people.ann, customer_id, 1, custom_must="y")
    assert "not used any more" in caught.value.fields["custom.must"]
    assert save(people.ann, customer_id, 1, custom_must="x", custom_size="3").changed == ["custom.size"]


def test_a_choice_taken_from_the_list_stays_where_it_stands(people: make.People) -> None:
    made = {"name": "Plan", "type": "choices", "choices": ["old", "new"]}
    field_id, _set = do(custom_fields.add, people.root, values=made)
    customer_id, other = add(people.ann, plan=["old"]), add(people.ann, plan=["new"])
    do(custom_fields.save, people.root, field_id=field_id, version=1, values={"name": "Plan", "choices": ["new", "x"]})
    assert values_of(people.ann, customer_id)["plan"] == ["old"]
    save(people.ann, customer_id, 1, custom_plan=["x", "old"])
    assert values_of(people.ann, customer_id)["plan"] == ["x", "old"]
    with pytest.raises(Invalid):
        save(people.ann, other, 1, custom_plan=["old"])


# --- two editors -----------------------------------------------------------------------------------------------------


def test_two_editors_of_different_fields_are_merged_and_of_the_same_one_must_choose(people: make.People) -> None:
    customer_id = add(people.ann, size=1, tier="Gold", idcard="A")
    save(people.ann, customer_id, 1, custom_size=2, custom_idcard="B")
    merged = save(people.mia, customer_id, 1, custom_size="1", custom_tier="金卡", custom_vip=True)
    assert (merged.changed, merged.merged_with) == (["custom.tier", "custom.vip"], ["custom.idcard", "custom.size"])
    assert values_of(people.ann, customer_id) == {"size": "2", "tier": "金卡", "vip": True, "idcard": "B"}
    with pytest.raises(Conflict) as caught:
        save(people.mia, customer_id, 1, custom_size="3", custom_remark="mine", custom_idcard=None)
    assert sorted((r["column"], r["mine"], r["theirs"]) for r in caught.value.rows) == [
        ("custom.idcard", None, "B"),
        ("custom.size", "3", "2"),
    ]
    assert "remark" not in values_of(people.ann, customer_id)
    assert save(people.mia, customer_id, 1, custom_size="2").change_set_id is None  # both want the same
    assert save(people.mia, customer_id, caught.value.details["version"], custom_size="3").changed == ["custom.size"]


def test_a_field_emptied_by_another_clashes_too(people: make.People) -> None:
    customer_id = add(people.ann, size=1)
    save(people.ann, customer_id, 1, custom_size=None)
    with pytest.raises(Conflict) as caught:
        save(people.mia, customer_id, 1, custom_size=5)
    assert [(r["mine"], r["theirs"]) for r in caught.value.rows] == [("5", None)]


# --- undo ------------------------------------------------------------------------------------------------------------


def test_undo_of_one_fields_edit_leaves_anothers_later_edit(people: make.People) -> None:
    customer_id = add(people.ann, size=1, tier="Gold", idcard="A")
    first = save(people.ann, customer_id, 1, custom_size=2, custom_idcard="B", city="Rome")
    save(people.mia, customer_id, 2, custom_tier="金卡", custom_remark="later")
    done = do(undo, people.ann, change_set_id=first.change_set_id, source="screen")
    assert done.rows == 1
    assert values_of(people.ann, customer_id) == {"size": "1", "tier": "金卡", "idcard": "A", "remark": "later"}
    again = do(undo, people.ann, change_set_id=done.change_set_id, source="screen")
    assert again.rows == 1
    assert values_of(people.ann, customer_id) == {"size": "2", "tier": "金卡", "idcard": "B", "remark": "later"}


def test_undo_of_a_field_that_was_changed_since_is_a_conflict_of_that_field(people: make.People) -> None:
    customer_id = add(people.ann, size=1)
    first = save(people.ann, customer_id, 1, custom_size=2, custom_vip=True, custom_idcard="A")
    save(people.mia, customer_id, 2, custom_size=3, custom_idcard="B")
    with pytest.raises(Conflict) as caught:
        do(undo, people.ann, change_set_id=first.change_set_id, source="screen")
    assert [(r["column"], r["before"], r["after"], r["now"]) for r in caught.value.rows] == [
        ("custom.size", "1", "2", "3"),
        ("custom_personal.idcard", None, "A", "B"),
    ]
    assert caught.value.details["rest"] == 1
    do(undo, people.ann, change_set_id=first.change_set_id, source="screen", leave_conflicts=True)
    assert values_of(people.ann, customer_id) == {"size": "3", "idcard": "B"}


def test_undo_of_an_addition_looks_at_each_field(people: make.People) -> None:
    customer_id, set_id = do(customer.add, people.ann, values={"name": "Gone", "custom.size": 1, "custom.vip": True})
    save(people.ann, customer_id, 1, custom_size=2)
    with pytest.raises(Conflict) as caught:
        do(undo, people.ann, change_set_id=set_id, source="screen")
    assert [(r["column"], r["after"], r["now"]) for r in caught.value.rows] == [("custom.size", "1", "2")]
    save(people.ann, customer_id, 2, custom_size=1)
    gone = do(undo, people.ann, change_set_id=set_id, source="screen")
    do(undo, people.ann, change_set_id=gone.change_set_id, source="screen")
    assert values_of(people.ann, customer_id) == {"size": "1", "vip": True}


def test_history_has_a_line_for_each_field_that_changed(people: make.People) -> None:
    customer_id = add(people.ann, size=1, tier="Gold")
    save(people.ann, customer_id, 1, custom_size=2, custom_idcard="A", city="Rome")
    made = read(history.of_customer, people.ann, customer_id=customer_id)
    lines = [(x["column"], x["before"], x["after"]) for d in made["details"][0] for x in d["lines"]]
    assert lines == [
        ("city", "", "Rome"),
        ("custom.size", "1", "2"),
        ("custom_personal.idcard", None, "A"),
    ]


def test_images_in_history_keep_personal_values_apart(people: make.People) -> None:
    customer_id = add(people.ann, size=1)
    done = save(people.ann, customer_id, 1, custom_size=2, custom_idcard="Zekret")
    with connection.begin_owner() as conn:
        h = schema.changes.c
        row = conn.execute(select(h.before, h.after, h.after_personal).where(h.change_set_id == done.change_set_id))
        assert [tuple(each) for each in row] == [
            ({"custom": {"size": "1"}}, {"custom": {"size": "2"}}, {"custom_personal": {"idcard": "Zekret"}})
        ]


def test_the_columns_do_not_take_what_is_no_change_set(people: make.People) -> None:
    with pytest.raises(Refused), begin(people.ana, write=True) as conn:
        conn.execute(text("UPDATE public.customers SET custom = '{}'"))
    assert "custom" in changes.readable(schema.customers)
