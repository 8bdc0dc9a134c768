"""Custom fields as filters of the list and as fields of segments: by hand, against the slow way, and for whom."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from db import (
    bulk_actions,
    clock,
    connection,
    custom_fields,
    custom_filters,
    customers,
    derived,
    exports,
    fields,
    rule_words,
    rules,
    saved_segments,
    saved_views,
    schema,
    segments,
    view_params,
)
from db.bulk_actions import Action, Chosen
from db.connection import begin
from db.custom_values import Field
from db.customer_filters import Filters
from db.embedded import Server
from db.errors import Invalid, NotFound, Refused
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import conftest, make
from tests.manual import speaking

TODAY = date(2026, 11, 20)
TIERS = ("gold", "silver", "a,b\\c", "金卡")
SPORTS = ("golf", "tennis", "围棋")
DEFINED: dict[str, dict[str, Any]] = {
    "memo": {"name": "Memo", "name_zh": "备忘", "type": "text"},
    "size": {"name": "Size", "type": "number"},
    "since": {"name": "Since", "type": "date"},
    "tier": {"name": "Tier", "type": "choice", "choices": TIERS},
    "sports": {"name": "Sports", "type": "choices", "choices": SPORTS},
    "news": {"name": "News", "type": "flag"},
    "salary": {"name": "Salary", "type": "number", "personal": True},
}
# Whose, and what stands in `custom` and in `custom_personal`.
BY_HAND: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "A": (
        "ann",
        {"memo": "Prefers E-mail", "size": "10", "since": "2026-01-31", "tier": "gold", "sports": ["golf", "围棋"]},
        {"salary": "5000"},
    ),
    "B": ("ann", {"memo": "100% 电子邮件_x", "size": "-2.5", "since": "2025-12-31", "news": True}, {"salary": "70000"}),
    "C": ("ann", {"tier": "a,b\\c", "news": False, "sports": ["tennis"]}, {}),
    "D": ("bo", {"memo": "e-mail\nnever", "size": "1000000", "tier": "gold", "news": True}, {"salary": "5000.5"}),
    # Written past the form: of no kind that its field has.
    "E": ("cho", {"memo": "", "size": "x", "since": "2026-02-31x", "tier": "", "sports": [], "news": "maybe"}, {}),
    "F": ("", {"sports": ["tennis", "golf"], "size": "10.000001"}, {}),
}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A, B, C and the archived Z, Bo's D, Cho's E, nobody's F; seven fields."""
    name = f"own_filters_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        made = make.people()
        with begin(made.root, write=True) as conn:
            for key, values in DEFINED.items():
                custom_fields.add(conn, actor=made.root, values={"key": key, **values})
        with connection.begin_owner() as conn:
            for letter, (owner, custom, personal) in BY_HAND.items():
                owner_id = getattr(made, owner).user_id if owner else 0
                make.customer(conn, owner_id, name=letter, custom=custom, custom_personal=personal)
            gone = {"archived_at": clock.now(), "custom": {"tier": "gold"}}
            make.customer(conn, made.ann.user_id, name="Z", **gone)
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield made


def found(viewer: Viewer, **filters: Any) -> str:
    """Letters of the list; its total, every order of it, the export and the actions on all of it say the same."""
    narrowed = Filters(**filters)
    with begin(viewer) as conn:
        page = customers.page(conn, viewer=viewer, today=TODAY, filters=narrowed)
        names = page.rows["name"].tolist()
        assert page.total == len(names)
        for sort in customers.SORTS:
            other = customers.page(conn, viewer=viewer, today=TODAY, filters=narrowed, sort=sort, descending=True)
            assert sorted(other.rows["name"]) == sorted(names), sort
        if not viewer.masked:
            params = {"filters": json.loads(json.dumps(vars(narrowed)))}
            rows = exports.rows(conn, viewer=viewer, kind="customers", params=params, today=TODAY)
            assert [row["name"] for row in rows] == names
            chosen, action = Chosen(filters=narrowed), Action("tag", tag="x")
            if viewer.scoped:
                done = bulk_actions.preview(conn, viewer=viewer, today=TODAY, chosen=chosen, action=action)
                assert done.total == len(names)
    return "".join(names)


HAND: list[tuple[dict[str, str], str]] = [
    ({"memo": "has:e-MAIL"}, "AD"),
    ({"memo": "has:%"}, "B"),
    ({"memo": "has:_x"}, "B"),
    ({"memo": "has:邮件"}, "B"),
    ({"memo": "has: ｅ-mail "}, "AD"),
    ({"memo": "has:'; DROP TABLE customers; --"}, ""),
    ({"memo": "is:prefers e-mail"}, "A"),
    ({"memo": "is:e-mail"}, ""),
    ({"memo": "none"}, "CEF"),
    ({"memo": "any"}, "ABD"),
    ({"size": "10..10"}, "A"),
    ({"size": "-2.5.."}, "ABDF"),
    ({"size": "-2.4999.."}, "ADF"),
    ({"size": "..10"}, "AB"),
    ({"size": "10..1,000,000"}, "ADF"),
    ({"size": "none"}, "CE"),
    ({"since": "2026-01-01.."}, "A"),
    ({"since": "..2025-12-31"}, "B"),
    ({"since": "2025-12-31..2026年1月31日"}, "AB"),
    ({"since": "none"}, "CDEF"),
    ({"tier": "in:gold"}, "AD"),
    ({"tier": r"in:gold,a\,b\\c"}, "ACD"),
    ({"tier": "in:金卡"}, ""),
    ({"tier": "none"}, "BEF"),
    ({"sports": "in:golf"}, "AF"),
    ({"sports": "in:golf,tennis"}, "ACF"),
    ({"sports": "none"}, "BDE"),
    ({"sports": "any"}, "ACF"),
    ({"news": "yes"}, "BD"),
    ({"news": "no"}, "C"),
    ({"news": "none"}, "AEF"),
    ({"salary": "5000..5000.5"}, "AD"),
    ({"salary": "none"}, "CEF"),
    ({"tier": "in:gold", "news": "yes"}, "D"),
    ({"tier": "any", "memo": "none", "sports": "in:tennis", "news": "no"}, "C"),
]


@pytest.mark.parametrize(("own", "names"), HAND, ids=str)
def test_each_filter_finds_what_was_counted_by_hand(people: make.People, own: dict[str, str], names: str) -> None:
    given_own = tuple(own.items())
    assert found(people.root, own=given_own) == names
    assert found(people.ann, own=given_own) == "".join(n for n in names if n in "ABC")
    assert found(people.mia, own=given_own) == "".join(n for n in names if n in "ABCDF")
    if "salary" not in own:
        assert found(people.ana, own=given_own).count("#") == len(names)


def test_they_go_with_all_other_filters_and_the_search(people: make.People) -> None:
    gold = (("tier", "in:gold"),)
    assert found(people.root, own=gold, owner_id=people.bo.user_id) == "D"
    assert found(people.root, own=gold, search="d") == "D"
    assert found(people.root, own=gold, search="b") == ""
    assert found(people.root, own=gold, archived=True) == "Z"
    assert found(people.root, own=gold, archived=True, search="z") == "Z"
    assert found(people.root, own=gold, stage="prospect", ordered="never", contacted="never") == "AD"
    assert found(people.root, own=gold, revenue_from=1) == ""
    assert found(people.root, own=[list(pair) for pair in gold]) == "AD"


@pytest.mark.parametrize(
    ("key", "written", "problem"),
    [
        ("nothing", "any", "There is no field “nothing” to filter by."),
        ("'; drop table customers; --", "any", "There is no field “'; drop table customers; --” to filter by."),
        ("x" * 9_999, "any", "There is no field “" + "x" * 60 + "” to filter by."),
        ("memo", "", "Memo: this cannot be asked of it"),
        ("memo", "yes", "Memo: this cannot be asked of it"),
        ("memo", "1..2", "Memo: this cannot be asked of it"),
        ("memo", "has:", "Memo: a text of 1 to 200 characters is expected"),
        ("memo", "has:\0\u200b", "Memo: a text of 1 to 200 characters is expected"),
        ("memo", "has:" + "x" * 201, "Memo: a text of 1 to 200 characters is expected"),
        ("size", "..", "Size: at least one end is expected"),
        ("size", "1", "Size: this cannot be asked of it"),
        ("size", "2..1", "Size: the first value is greater than the second"),
        ("size", "one..2", "Size: This is not a number. Example: 1234.5"),
        ("size", "1e999..", "Size: At most 15 digits before the point."),
        ("size", "NaN..", "Size: This is not a number. Example: 1234.5"),
        ("size", "1..2..3", "Size: This is not a number. Example: 1234.5"),
        ("since", "2026-13-45..", "Since: This is not a day. Example: 2026-11-25"),
        ("since", "2026-02-01..2026-01-01", "Since: the first value is greater than the second"),
        ("tier", "in:", "Tier: 1 to 50 of the list are expected"),
        ("tier", "in:bronze", "Tier: “bronze” is not in the list"),
        ("tier", "in:GOLD", "Tier: “GOLD” is not in the list"),
        ("tier", "has:gold", "Tier: this cannot be asked of it"),
        ("sports", "in:" + ",".join(map(str, range(51))), "Sports: 1 to 50 of the list are expected"),
        ("news", "maybe", "News: this cannot be asked of it"),
        ("news", "1..2", "News: this cannot be asked of it"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_asked_is_refused_in_words(people: make.People, key: str, written: str, problem: str) -> None:
    with pytest.raises(Invalid) as error, begin(people.root) as conn:
        customers.page(conn, viewer=people.root, today=TODAY, filters=Filters(own=((key, written),)))
    assert error.value.message == problem


def test_too_many_at_once_and_archived_ones_are_refused(people: make.People) -> None:
    many = tuple((f"f{n}", "any") for n in range(custom_filters.MOST_FILTERS + 1))
    with pytest.raises(Invalid, match="at most 10 fields"), begin(people.root) as conn:
        customers.page(conn, viewer=people.root, today=TODAY, filters=Filters(own=many))
    with begin(people.root, write=True) as conn:
        [tier] = [f for f in custom_fields.every(conn, viewer=people.root) if f.key == "tier"]
        set_id = custom_fields.archive(conn, actor=people.root, field_id=tier.id)
    with pytest.raises(Invalid, match="There is no field “tier”"), begin(people.root) as conn:
        customers.page(conn, viewer=people.root, today=TODAY, filters=Filters(own=(("tier", "in:gold"),)))
    with begin(people.root, write=True) as conn:
        undo(conn, actor=people.root, change_set_id=set_id, source="screen")
    assert found(people.root, own=(("tier", "in:gold"),)) == "AD"


def test_filters_that_were_not_looked_up_are_never_silently_everybody(people: make.People) -> None:
    with pytest.raises(RuntimeError):
        customers.listed(TODAY, Filters(own=(("tier", "in:gold"),)))


# --- for whom --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ana", "mark"])
@pytest.mark.parametrize("written", ["any", "none", "5000.."])
def test_a_personal_field_is_refused_to_masked_roles_wherever_it_is_asked(
    people: make.People, who: str, written: str
) -> None:
    viewer, narrowed = getattr(people, who), Filters(own=(("salary", written),))
    params = {"filters": vars(narrowed)}
    with begin(viewer) as conn:
        for attempt in (
            lambda: customers.page(conn, viewer=viewer, today=TODAY, filters=narrowed),
            lambda: customers.matching(conn, viewer, TODAY, narrowed),
            lambda: (
                customers.search(conn, viewer=viewer, today=TODAY, words="1")
                and customers.page(conn, viewer=viewer, today=TODAY, filters=replace(narrowed, search="1"))
            ),
            lambda: exports.rows(conn, viewer=viewer, kind="customers", params=params, today=TODAY),
        ):
            with pytest.raises(Refused):
                attempt()
        # Past all of these: the database has nothing to compare with.
        held = schema.customers.c.custom_personal["salary"]
        everybody = select(text("count(*)")).select_from(schema.customers)
        assert conn.scalar(everybody.where(held.is_not(None))) == 0
        one = fields.of_custom(Field(1, "salary", "S", "", "number", (), False, True, "", 1, False, 1))
        assert one.column
        assert conn.scalar(everybody.where(one.column(TODAY, {}).is_not(None))) == 0


@pytest.mark.parametrize("who", ["ana", "mark"])
@pytest.mark.parametrize("op", ["empty", "not empty", ">"])
def test_masked_roles_count_no_segment_by_a_personal_field(people: make.People, who: str, op: str) -> None:
    viewer = getattr(people, who)
    value = {"value": 1} if op == ">" else {}
    rule = json.dumps({"any": [{"field": "custom.salary", "op": op, **value}]})
    with begin(viewer) as conn:
        asked = {"viewer": viewer, "rule": rule, "today": TODAY}
        for query in (segments.count, segments.explore, segments.preview, segments.export):
            with pytest.raises(Refused):
                query(conn, **asked)
        assert segments.counts(conn, viewer=viewer, rules=(rule,), today=TODAY) == (None,)
    with pytest.raises(Refused), begin(viewer, write=True) as conn:
        saved_segments.save(conn, actor=viewer, name="x", rule=rule)


# --- segments --------------------------------------------------------------------------------------------------------


def counted(viewer: Viewer, *leaves: tuple[Any, ...], match: str = "all") -> int:
    """How many fit; the preview, the export and the count beside others say the same."""
    given_leaves = [
        {"field": f"custom.{key}", "op": op, **({"value": value[0]} if value else {})} for key, op, *value in leaves
    ]
    rule = json.dumps({match: given_leaves})
    with begin(viewer) as conn:
        n = segments.count(conn, viewer=viewer, rule=rule, today=TODAY)
        assert segments.counts(conn, viewer=viewer, rules=(rule, '{"all":[]}'), today=TODAY)[0] == n
        explored = segments.explore(conn, viewer=viewer, rule=rule, today=TODAY)
        assert explored.customers == n
        assert len(segments.preview(conn, viewer=viewer, rule=rule, today=TODAY).rows) == n
    return n


@pytest.mark.parametrize(
    ("leaf", "n"),
    [
        (("memo", "contains", "E-MAIL"), 2),
        (("memo", "not contains", "e-mail"), 4),
        (("memo", "is", "Prefers e-mail"), 1),
        (("memo", "is not", "prefers e-mail"), 5),
        (("memo", "empty"), 3),
        (("size", ">", 10), 2),
        (("size", "=", "10.000001"), 1),
        (("size", "!=", 10), 5),
        (("size", "between", [-2.5, 10]), 2),
        (("size", "not empty"), 4),
        (("since", "on", "2026-01-31"), 1),
        (("since", "before", "2026-01-31"), 1),
        (("since", "between", ["2025-12-31", "2026-01-31"]), 2),
        (("since", "in the last", 400), 2),
        (("since", "in the last", 294), 1),
        (("since", "in the last", 293), 0),
        (("since", "not in the last", 294), 5),
        (("tier", "in", ["gold", "a,b\\c"]), 3),
        (("tier", "in", "gold"), 2),
        (("tier", "not in", "gold"), 4),
        (("sports", "any of", ["golf", "tennis"]), 3),
        (("sports", "all of", ["golf", "tennis"]), 1),
        (("sports", "none of", "golf"), 4),
        (("sports", "empty"), 3),
        (("news", "yes"), 2),
        (("news", "no"), 1),
        (("news", "empty"), 3),
        (("salary", ">=", 5000.5), 2),
    ],
    ids=str,
)
def test_a_custom_field_counts_as_was_counted_by_hand(people: make.People, leaf: tuple[Any, ...], n: int) -> None:
    assert counted(people.root, leaf) == n
    assert counted(people.root, leaf, match="none") == 6 - n
    assert counted(people.ann, leaf) + counted(people.ann, leaf, match="none") == 3


def test_an_export_of_a_segment_has_who_fits(people: make.People) -> None:
    rule = '{"all":[{"field":"custom.tier","op":"in","value":"gold"}]}'
    with begin(people.root) as conn:
        rows = exports.rows(conn, viewer=people.root, kind="segment", params={"rule": rule}, today=TODAY)
        assert [row["name"] for row in rows] == ["A", "D"]


# --- against the slow way --------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(["e-mail", "E", "%", "_", "邮件", "prefers e-mail", "\\", "'", "x", "É", "it's"])
_NUMBERS = st.sampled_from(["-2.5", "0", "10", "10.000001", "1000000", "999999999999999.999999"])
_DAYS = st.dates(date(2025, 12, 1), date(2026, 3, 1)).map(date.isoformat)
_NUMBER_LIKE = ["", "x", "-2.5", "0", "10", "10.000001", "1000000", None]
_LIKELY = {
    "memo": ["", None, "E-mail", "it's É", "é", "100% _x\\", "邮件"],
    "size": _NUMBER_LIKE,
    "salary": _NUMBER_LIKE,
    "since": ["", None, "x", "2025-12-31", "2026-01-31", "2026-02-31", "20260101"],
    "tier": ["", None, *TIERS, "retired"],
    "sports": [[], None, ["golf"], ["golf", "tennis"], ["围棋", "retired"], "golf"],
    "news": [True, False, None, "true", "x"],
}


def _ranges(values: st.SearchStrategy[str], key: Any) -> st.SearchStrategy[str]:
    both = st.tuples(values, values).map(lambda two: "..".join(sorted(two, key=key)))
    return both | values.map(lambda low: f"{low}..") | values.map(lambda high: f"..{high}")


def _some(choices: tuple[str, ...]) -> st.SearchStrategy[str]:
    listed = st.lists(st.sampled_from(choices), min_size=1, max_size=3, unique=True)
    return listed.map(lambda some: "in:" + ",".join(one.replace("\\", "\\\\").replace(",", "\\,") for one in some))


_EITHER = st.sampled_from(["none", "any"])
_ASKED = {
    "memo": st.tuples(st.sampled_from(["has:", "is:"]), _WORDS).map("".join) | _EITHER,
    "size": _ranges(_NUMBERS, Decimal) | _EITHER,
    "salary": _ranges(_NUMBERS, Decimal) | _EITHER,
    "since": _ranges(_DAYS, str) | _EITHER,
    "tier": _some(TIERS) | _EITHER,
    "sports": _some(SPORTS) | _EITHER,
    "news": st.sampled_from(["yes", "no"]) | _EITHER,
}
OWN = st.dictionaries(st.sampled_from([*_ASKED]), st.none(), min_size=1, max_size=4).flatmap(
    lambda keys: st.fixed_dictionaries({key: _ASKED[key] for key in keys})
)


def known(kind: str, value: Any) -> Any:
    """The value of its kind, None where it is not filled in."""
    if kind == "choices":
        return value if isinstance(value, list) and value else None
    if kind == "flag":
        return {True: True, "true": True, False: False, "false": False}.get(value)
    if value in (None, ""):
        return None
    if kind == "number":
        return Decimal(value) if value != "x" else None
    if kind == "date":
        return value if len(value) == 10 else None
    return value


def slowly(kind: str, written: str, value: Any) -> bool:
    """Whether the stored value is what is asked for, worked out without a database."""
    mine = known(kind, value)
    if written in ("none", "any"):
        return (mine is None) == (written == "none")
    if mine is None:
        return False
    if kind == "flag":
        return bool(mine == (written == "yes"))
    if kind == "text":
        mode, words = written.split(":", 1)
        return words.lower() in mine.lower() if mode == "has" else words.lower() == mine.lower()
    if kind in ("number", "date"):
        low, high = (None if not end else Decimal(end) if kind == "number" else end for end in written.split(".."))
        return (low is None or mine >= low) and (high is None or mine <= high)
    asked = [TIERS[2] if one == "\0" else one for one in written[3:].replace(r"a\,b\\c", "\0").split(",")]
    return any(one in asked for one in ([mine] if kind == "choice" else mine))


def as_rule(key: str, written: str) -> dict[str, Any]:
    """The same question as a condition of a segment."""
    kind = DEFINED[key]["type"]
    if written in ("none", "any", "yes", "no"):
        return {"field": f"custom.{key}", "op": {"none": "empty", "any": "not empty"}.get(written, written)}
    if kind == "text":
        mode, words = written.split(":", 1)
        return {"field": f"custom.{key}", "op": {"has": "contains", "is": "is"}[mode], "value": words}
    if kind in ("choice", "choices"):
        some = [TIERS[2] if one == "\0" else one for one in written[3:].replace(r"a\,b\\c", "\0").split(",")]
        return {"field": f"custom.{key}", "op": "in" if kind == "choice" else "any of", "value": some}
    low, high = written.split("..")
    if kind == "date":
        return {"field": f"custom.{key}", "op": "between", "value": [low or "1900-01-01", high or "2199-12-31"]}
    most = 10**12
    some = [low or -most, high or most]
    return {"field": f"custom.{key}", "op": "between", "value": some}


def test_every_filter_and_every_rule_find_whom_the_slow_way_finds(people: make.People) -> None:
    rng = random.Random(7)
    held: dict[int, dict[str, Any]] = {}
    with connection.begin_owner() as conn:
        for n in range(80):
            values = {key: rng.choice(some) for key, some in _LIKELY.items()}
            values = {key: value for key, value in values.items() if value is not None}
            personal = {key: values.pop(key) for key in ("salary",) if key in values}
            held[make.customer(conn, people.max.user_id, name=f"P{n}", custom=values, custom_personal=personal)] = (
                values | personal
            )

    try:
        with begin(people.root) as conn, begin(people.max) as of_max:

            @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            @given(OWN)
            def check(own: dict[str, str]) -> None:
                fit = {
                    one
                    for one, values in held.items()
                    if all(slowly(DEFINED[key]["type"], written, values.get(key)) for key, written in own.items())
                }
                for viewer, reading in ((people.root, conn), (people.max, of_max)):
                    narrowed = Filters(own=tuple(own.items()), owner_id=people.max.user_id)
                    found_ids, more = customers.matching(reading, viewer, TODAY, narrowed)
                    ids = set(reading.scalars(found_ids.with_only_columns(schema.customers.c.id)))
                    assert (ids, more) == (fit, False)
                far = any("999999999999999" in written for written in own.values())
                if not far:  # a rule's numbers are smaller
                    mine = {"field": "owner", "op": "in", "value": people.max.user_id}
                    rule = json.dumps({"all": [mine, *(as_rule(*pair) for pair in own.items())]})
                    assert segments.count(conn, viewer=people.root, rule=rule, today=TODAY) == len(fit)
                    unlike = json.dumps({"all": [mine, {"none": [as_rule(*pair) for pair in own.items()]}]})
                    either = {
                        one
                        for one, values in held.items()
                        if any(slowly(DEFINED[k]["type"], written, values.get(k)) for k, written in own.items())
                    }
                    n = segments.count(conn, viewer=people.root, rule=unlike, today=TODAY)
                    assert n == len(held) - len(either)

            check()
    finally:
        with connection.begin_owner() as conn:
            conn.execute(delete(schema.customers).where(schema.customers.c.id.in_([*held])))


@given(OWN)
def test_what_is_written_is_read_as_the_same(own: dict[str, str]) -> None:
    for key, written in own.items():
        field = Field(
            id=1,
            key=key,
            name=key,
            name_zh="",
            type=DEFINED[key]["type"],
            choices=tuple(DEFINED[key].get("choices", ())),
            required=True,
            personal=False,
            help="",
            position=1,
            archived=False,
            version=1,
        )
        one = custom_filters.read(field, written)
        assert custom_filters.read(field, custom_filters.written(one)) == one
        assert custom_filters.written(one) == written
    kept = view_params.params_of(Filters(own=tuple(own.items())), "name", False)
    assert view_params.checked(kept) == kept


# --- kept rules and views --------------------------------------------------------------------------------------------

SALARY = '{"all": [{"field": "custom.salary", "op": ">", "value": 31337}]}'
GOLD = '{"any": [{"field": "custom.tier", "op": "in", "value": ["gold"]}]}'


@pytest.fixture
def kept(people: make.People) -> Iterator[make.People]:
    """The people; what they keep is gone afterwards."""
    yield people
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE segments, saved_views, changes, change_sets CASCADE"))


def saved(actor: Viewer, rule: str, **values: Any) -> int:
    with begin(actor, write=True) as conn:
        return saved_segments.save(conn, actor=actor, name="Kept", rule=rule, **values)[0]


def test_a_segment_whose_field_is_archived_or_gone_says_so_and_counts_nobody(kept: make.People) -> None:
    root = kept.root
    with begin(root, write=True) as conn:
        new = {"key": "brief", "name": "Brief", "type": "flag"}
        field_id, added = custom_fields.add(conn, actor=root, values=new)
    rule = '{"none": [{"field": "custom.brief", "op": "yes"}]}'
    segment_id = saved(root, rule)

    def problem() -> str:
        with begin(root) as conn:
            one = saved_segments.get(conn, viewer=root, segment_id=segment_id)
            [listed] = saved_segments.saved(conn, viewer=root)
            assert one.problem == listed.problem
            if one.problem:
                assert segments.count(conn, viewer=root, rule=rules.written(one.rule), today=TODAY) == 0
                with pytest.raises(Invalid):
                    segments.count(conn, viewer=root, rule=rule, today=TODAY)
            else:
                assert segments.count(conn, viewer=root, rule=rules.written(one.rule), today=TODAY) == 6
            return one.problem

    assert problem() == ""
    with begin(root, write=True) as conn:
        archived = custom_fields.archive(conn, actor=root, field_id=field_id)
    assert "the field “Brief” is archived: leave it out, or have it put back on the screen Fields" in problem()
    with begin(root, write=True) as conn:
        undo(conn, actor=root, change_set_id=archived, source="screen")
    assert problem() == ""
    # Of another kind, past all commands.
    f = schema.custom_fields
    with connection.begin_owner() as conn:
        conn.execute(update(f).where(f.c.id == field_id).values(type="text"))
    assert "“yes” does not go with “custom.brief”, which takes: contains" in problem()
    with connection.begin_owner() as conn:
        conn.execute(update(f).where(f.c.id == field_id).values(type="flag"))
    with begin(root, write=True) as conn:
        undo(conn, actor=root, change_set_id=added, source="screen", leave_conflicts=True)
    assert "the field “custom.brief” is not there any more" in problem()


def test_no_two_kinds_of_custom_fields_share_an_operator_that_takes_a_value() -> None:
    made = {kind: fields.OPERATORS[fields._KINDS[kind]] for kind in DEFINED_KINDS}
    for one, ops in made.items():
        for other, others in made.items():
            if one != other:
                shared = {op for op in ops.keys() & others.keys() if ops[op] != "nothing"}
                # Of these the value tells: a day is no number.
                assert shared <= ({"between"} if {one, other} == {"number", "date"} else set()), (one, other)


DEFINED_KINDS = ("text", "number", "date", "choice", "choices", "flag")


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_what_a_shared_rule_asks_of_a_personal_field_is_withheld_from_masked_roles(kept: make.People, who: str) -> None:
    viewer = getattr(kept, who)
    hidden = saved(kept.ann, SALARY, shared=True)
    shown = saved(kept.bo, GOLD, shared=True)
    nested = saved(kept.cho, f'{{"any": [{GOLD}, {{"none": [{SALARY}]}}]}}', shared=True)
    s = schema.segments.c
    with begin(viewer) as conn:
        assert [one.id for one in saved_segments.saved(conn, viewer=viewer)] == [shown]
        for segment_id in (hidden, nested):
            with pytest.raises(NotFound):
                saved_segments.get(conn, viewer=viewer, segment_id=segment_id)
            assert saved_segments.history(conn, viewer=viewer, segment_id=segment_id) == []
        everything = conn.execute(select(schema.segments)).all()
        assert "31337" not in str(everything)
    with begin(viewer, write=True) as conn:
        assert conn.scalars(select(s.id).where(s.visibility == "shared")).all() == [shown]
        with pytest.raises(NotFound):
            saved_segments.save(conn, actor=viewer, name="x", rule=GOLD, segment_id=hidden, version=1)
    # Those who see the field see the rule.
    with begin(kept.max) as conn:
        assert len(saved_segments.saved(conn, viewer=kept.max)) == 3
    # What the rule was before it became fit to be seen stays withheld.
    with begin(kept.ann, write=True) as conn:
        saved_segments.save(conn, actor=kept.ann, name="Kept", rule=GOLD, shared=True, segment_id=hidden, version=1)
    with begin(viewer) as conn:
        assert saved_segments.get(conn, viewer=viewer, segment_id=hidden).problem == ""
        made = saved_segments.history(conn, viewer=viewer, segment_id=hidden)
        assert len(made) == 2
        assert "31337" not in str(made)
    with begin(kept.max) as conn:
        assert "31337" in str(saved_segments.history(conn, viewer=kept.max, segment_id=hidden))


def test_a_view_keeps_filters_of_custom_fields_and_personal_ones_apart(kept: make.People) -> None:
    narrowed = Filters(own=(("tier", r"in:a\,b\\c"), ("salary", "31337..")))
    params = view_params.params_of(narrowed, "name", False)
    assert params == {"f_tier": r"in:a\,b\\c", "f_salary": "31337.."}
    with begin(kept.ann, write=True) as conn:
        view_id, _set = saved_views.add(conn, actor=kept.ann, name="Mine", params=params, visibility="shared")
    with begin(kept.bo) as conn:
        assert saved_views.get(conn, viewer=kept.bo, view_id=view_id).params == params
    with begin(kept.ana) as conn:
        seen = saved_views.get(conn, viewer=kept.ana, view_id=view_id)
        assert (seen.params, seen.withheld) == ({"f_tier": params["f_tier"]}, ("f_salary",))


def test_rules_are_told_in_words_and_copied_whole(people: make.People) -> None:
    with begin(people.root) as conn:
        known = custom_fields.countable(conn, viewer=people.root)
    said = [
        ({"field": "custom.memo", "op": "contains", "value": " x "}, "Memo contains “x”", "备忘包含“x”"),
        ({"field": "custom.memo", "op": "is not", "value": "x"}, "Memo is not “x”", "备忘不是“x”"),
        ({"field": "custom.memo", "op": "empty"}, "Memo is not known", "备忘未知"),
        ({"field": "custom.size", "op": ">=", "value": 1000}, "Size ≥ 1,000", "Size ≥ 1,000"),
        (
            {"field": "custom.sports", "op": "all of", "value": ["golf", "tennis"]},
            "Sports include all of golf and tennis",
            None,
        ),
        ({"field": "custom.news", "op": "no"}, "News: no", "News：否"),
    ]
    for data, english, chinese in said:
        rule = rules.parse(data, known)
        assert rules.parse_text(rules.written(rule), known) == rule
        copied = copy.deepcopy(rule)
        assert copied == rule
        assert copied.rules[0].field.column is not None
        for language, words in (("en", english), ("zh_CN", chinese)):
            if words:
                with speaking(language):
                    assert rule_words.sentence(copied, segments.called({})) == words


def test_a_rule_in_letters_written_as_numbers_is_read_too(people: make.People) -> None:
    assert counted(people.root, ("tier", "in", "gold")) == 2
    with begin(people.root) as conn:
        rule = GOLD.replace("custom", "\\u0063ustom")
        assert segments.count(conn, viewer=people.root, rule=rule, today=TODAY) == 2
    for written in ('{"field": "custom.", "op": "yes"}', '{"field": "custom.x y", "op": "yes"}'):
        with pytest.raises(Invalid, match="is not there any more"), begin(people.root) as conn:
            segments.count(conn, viewer=people.root, rule=written, today=TODAY)
