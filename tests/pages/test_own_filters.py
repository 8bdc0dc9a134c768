"""Custom fields in the list's filters and in the rule builder, as people meet them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from streamlit.testing.v1 import AppTest

from components import controls
from db import connection, custom_fields, derived, saved_segments, saved_views
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import HOSTILE, body, click, database, drawn, grid, markup_of, said, signed_in, sound

MARKUP = "![x](http://evil.example)"
FIELDS: dict[str, dict[str, Any]] = {
    "memo": {"name": "Memo", "type": "text"},
    "size": {"name": "Size", "type": "number"},
    "since_days": {"name": "Since", "type": "date"},
    "tier": {"name": "Tier", "name_zh": "等级", "type": "choice", "choices": ["gold", "a,b", MARKUP]},
    "sports": {"name": MARKUP, "type": "choices", "choices": ["golf", "tennis"]},
    "news": {"name": "News", "type": "flag"},
    "salary": {"name": "Salary", "type": "number", "personal": True},
}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A, B and C with seven fields."""
    with database(server, template) as made:
        with begin(made.root, write=True) as conn:
            for key, values in FIELDS.items():
                custom_fields.add(conn, actor=made.root, values={"key": key, **values})
        ann = made.ann.user_id
        with connection.begin_owner() as conn:
            a = {"memo": "prefers e-mail", "size": "10", "since_days": "2026-01-31", "tier": "gold", "news": True}
            make.customer(conn, ann, name="A", custom=a, custom_personal={"salary": "5000"})
            make.customer(
                conn, ann, name="B", custom={"size": "20.5", "tier": "a,b", "sports": ["golf"], "news": False}
            )
            make.customer(conn, ann, name="C", custom={"tier": MARKUP, "since_days": "2026-03-01"})
            derived.rebuild(conn)
        yield made


@pytest.fixture(autouse=True)
def empty(people: make.People) -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE segments, saved_views CASCADE"))


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customers", **params))


def names(app: AppTest) -> str:
    return "".join(grid(app, "customers_list")["name"]) if app.dataframe else ""


def chips(app: AppTest) -> list[str]:
    found = [b for b in app.button if (b.key or "").startswith("customers_chip_")]
    return [b.label.replace("\\", "").replace("\u2060", "") for b in found]


def heard(app: AppTest) -> str:
    return said(app).replace("\\", "").replace("\u2060", "")


def widget(app: AppTest, part: str) -> Any:
    key = controls.key_of(f"customers_own_{part}")
    return next(w for w in [*app.selectbox, *app.multiselect, *app.text_input] if w.key == key)


LINKS = [
    ({"memo": "has:E-Mail"}, "A", ["Memo contains “E-Mail”"]),
    ({"memo": "is:prefers e-mail"}, "A", ["Memo is “prefers e-mail”"]),
    ({"memo": "none"}, "BC", ["Memo: not filled in"]),
    ({"size": "10..20"}, "A", ["Size from 10 to 20"]),
    ({"size": "10.."}, "AB", ["Size from 10"]),
    ({"size": "..1234567.5"}, "AB", ["Size up to 1,234,567.5"]),
    ({"since_days": "2026-02-01.."}, "C", ["Since from Feb 1, 2026"]),
    ({"tier": "in:gold,a\\,b"}, "AB", ["Tier: gold, a,b"]),
    ({"tier": f"in:{MARKUP}"}, "C", [f"Tier: {MARKUP}"]),
    ({"sports": "in:golf"}, "B", [f"{MARKUP}: golf"]),
    ({"news": "no"}, "B", ["News: no"]),
    ({"news": "any"}, "AB", ["News: filled in"]),
    ({"salary": "1.."}, "A", ["Salary from 1"]),
    ({"memo": "none", "size": "any"}, "B", ["Memo: not filled in", "Size: filled in"]),
]


@pytest.mark.parametrize(("own", "found", "told"), LINKS, ids=str)
def test_a_link_opens_its_filters_and_each_is_taken_away(
    people: make.People, own: dict[str, str], found: str, told: list[str]
) -> None:
    params = {f"customers_f_{key}": written for key, written in own.items()}
    app = opened(people.ann, **params)
    assert (names(app), chips(app)) == (found, told)
    assert dict(app.query_params) == params
    assert "Left out of this link" not in body(app)
    assert markup_of(app, MARKUP) == []
    assert len(widget(app, "fields").value) == len(own)
    for left in range(len(told) - 1, -1, -1):
        sound(click(app, "customers_chip_0"))
        assert chips(app) == told[len(told) - left :]
    assert (names(app), dict(app.query_params)) == ("ABC", {})
    assert widget(app, "fields").value == []


def test_a_field_is_chosen_asked_and_let_go(people: make.People) -> None:
    app = opened(people.ann)
    widget(app, "fields").set_value(["size", "tier"])
    sound(app.run())
    assert (names(app), chips(app)) == ("ABC", [])
    widget(app, "size_low").set_value("15")
    sound(app.run())
    assert (names(app), chips(app), app.query_params["customers_f_size"]) == ("B", ["Size from 15"], "15..")
    widget(app, "size_high").set_value("x")
    sound(app.run())
    assert (names(app), chips(app)) == ("ABC", [])
    assert "Size: This is not a number. Example: 1234.5" in heard(app)
    widget(app, "size_high").set_value("1,000")
    sound(app.run())
    assert chips(app) == ["Size from 15 to 1,000"]
    widget(app, "size_mode").set_value("none")
    sound(app.run())
    assert (names(app), chips(app)) == ("C", ["Size: not filled in"])
    widget(app, "tier_chosen").set_value([MARKUP])
    sound(app.run())
    assert chips(app) == ["Size: not filled in", f"Tier: {MARKUP}"]
    widget(app, "fields").set_value(["tier"])
    sound(app.run())
    assert (names(app), chips(app)) == ("C", [f"Tier: {MARKUP}"])
    sound(click(app, "customers_chip_0"))
    assert (names(app), dict(app.query_params)) == ("ABC", {})


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ({"nothing": "any"}, "There is no field “nothing” to filter by."),
        ({"size": "x"}, "Size: this cannot be asked of it"),
        ({"size": "2..1"}, "Size: the first value is greater than the second"),
        ({"tier": "in:bronze"}, "Tier: “bronze” is not in the list"),
        ({"'; DROP TABLE customers; --": "any"}, "There is no field “'; DROP TABLE customers; --” to filter by."),
        ({f"f{n}": "x" for n in range(300)}, "And 295 more."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_link_cannot_ask_is_said_until_it_is_hidden(
    people: make.People, own: dict[str, str], problem: str
) -> None:
    app = opened(people.ann, customers_f_news="yes", **{f"customers_f_{key}": value for key, value in own.items()})
    assert (names(app), chips(app)) == ("A", ["News: yes"])
    assert "Left out of this link:" in heard(app)
    assert problem in heard(app)
    sound(app.run())
    assert problem in heard(app)
    sound(click(app, "customers_own_hide"))
    assert "Left out of this link" not in heard(app)
    assert dict(app.query_params) == {"customers_f_news": "yes"}


@pytest.mark.parametrize("value", [*HOSTILE], ids=lambda value: repr(value)[:30])
def test_hostile_keys_and_values_are_text(people: make.People, value: str) -> None:
    app = opened(
        people.ann, **{"customers_f_" + value: value, "customers_f_tier": value, "customers_f_memo": "has:" + value}
    )
    assert markup_of(app, HOSTILE[value]) == []


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_a_personal_field_is_no_filter_of_masked_roles(people: make.People, who: str) -> None:
    app = opened(getattr(people, who), customers_f_salary="1..")
    assert chips(app) == []
    assert "“Salary” is hidden from your role, so no list is narrowed by it." in heard(app)
    assert "Salary" not in widget(app, "fields").options
    assert "Tier" in widget(app, "fields").options


def test_a_view_keeps_and_opens_them_and_says_what_is_withheld_or_gone(people: make.People) -> None:
    with begin(people.ann, write=True) as conn:
        params = {"f_tier": "in:gold", "f_since_days": "..2026-02-01", "f_salary": "1..", "f_gone": "any"}
        view_id, _set = saved_views.add(conn, actor=people.ann, name="V", params=params, visibility="shared")
    app = opened(people.ann, customers_view=str(view_id))
    assert names(app) == "A"
    assert chips(app) == ["Since up to Feb 1, 2026", "Tier: gold", "Salary from 1"]
    assert "left out of this view" in heard(app)
    assert drawn(app, "customers_view_update")  # without what is gone
    sound(click(app, "customers_view_leave"))
    assert (names(app), chips(app)) == ("ABC", [])
    app = opened(people.ana, customers_view=str(view_id))
    assert chips(app) == ["Since up to Feb 1, 2026", "Tier: gold"]
    assert "Salary (hidden from your role)" in heard(app)


# --- segments --------------------------------------------------------------------------------------------------------


def segment(viewer: Viewer, rule: dict[str, Any] | None = None, **params: str) -> AppTest:
    if rule:
        params["segment_rule"] = json.dumps(rule)
    return sound(signed_in(viewer, "segment", **params))


def fields_of(app: AppTest) -> Any:
    return next(s for s in app.selectbox if (s.key or "").startswith("segment_field_"))


RULES = [
    ({"field": "custom.memo", "op": "contains", "value": "MAIL"}, "Memo contains “MAIL”", "1"),
    ({"field": "custom.memo", "op": "is not", "value": "x"}, "Memo is not “x”", "3"),
    ({"field": "custom.size", "op": "between", "value": [10, 20]}, "Size from 10 to 20", "1"),
    ({"field": "custom.size", "op": ">=", "value": 20.5}, "Size ≥ 20.5", "1"),
    ({"field": "custom.since_days", "op": "after", "value": "2026-02-01"}, "Since after 2026-02-01", "1"),
    ({"field": "custom.tier", "op": "in", "value": ["gold", MARKUP]}, f"Tier is gold or “{MARKUP}”", "2"),
    ({"field": "custom.sports", "op": "all of", "value": ["golf"]}, f"{MARKUP} include golf", "1"),
    ({"field": "custom.news", "op": "no"}, "News: no", "1"),
    ({"field": "custom.salary", "op": "not empty"}, "Salary is known", "1"),
]


@pytest.mark.parametrize(("rule", "told", "n"), RULES, ids=str)
def test_a_custom_field_is_a_field_of_the_builder(people: make.People, rule: dict[str, Any], told: str, n: str) -> None:
    app = segment(people.ann, {"all": [rule]})
    assert told in heard(app)
    assert app.metric[0].value == n
    assert markup_of(app, MARKUP) == []
    assert any(label.startswith("Tier · ") for label in fields_of(app).options)


def test_a_condition_is_built_of_a_custom_field(people: make.People) -> None:
    app = segment(people.ann)
    fields_of(app).set_value("custom.news")
    sound(app.run())
    assert app.metric[0].value == "1"
    assert json.loads(
        app.query_params["segment_rule"][0]
        if isinstance(app.query_params["segment_rule"], list)
        else app.query_params["segment_rule"]
    ) == {"all": [{"field": "custom.news", "op": "yes"}]}
    fields_of(app).set_value("custom.memo")
    sound(app.run())
    assert app.metric[0].value == "3"
    typed = next(t for t in app.text_input if (t.key or "").startswith("segment_value_"))
    typed.set_value("mail")
    sound(app.run())
    assert app.metric[0].value == "1"


def test_masked_roles_neither_see_nor_count_a_personal_field(people: make.People) -> None:
    app = signed_in(people.ana, "segment", segment_rule=json.dumps({"all": [RULES[-1][0]]}))
    assert "Salary" in heard(app)
    assert not app.metric
    app = segment(people.mark)
    assert not any(label.startswith("Salary · ") for label in fields_of(app).options)


def test_a_segment_of_an_archived_field_says_so(people: make.People) -> None:
    with begin(people.root, write=True) as conn:
        new = {"key": "brief", "name": "Brief", "type": "flag"}
        field_id, _set = custom_fields.add(conn, actor=people.root, values=new)
        rule = '{"all": [{"field": "custom.brief", "op": "empty"}]}'
        number, _set = saved_segments.save(conn, actor=people.root, name="Of brief", rule=rule)
        custom_fields.archive(conn, actor=people.root, field_id=field_id)
    app = segment(people.root, id=str(number))
    assert "the field “Brief” is archived: leave it out, or have it put back on the screen Fields" in heard(app)
    assert "custom.brief" in body(app)
    app = sound(signed_in(people.root, "segments"))
    listed = grid(app, "segments_list")
    assert listed.loc[listed["name"] == "Of brief", "customers"].isna().all()
    # A link with such a rule says the same.
    assert "is archived" in heard(segment(people.root, json.loads(rule)))
