"""The two segment screens: the list and its counts, the builder and its answer, keeping a rule, links, wrong people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select
from streamlit.testing.v1 import AppTest

from components import data
from db import clock, connection, derived, rules, saved_segments, schema, scores, segments
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    TOO_LONG,
    body,
    click,
    database,
    drawn,
    grid,
    markup_of,
    metrics,
    pick,
    said,
    signed_in,
    sound,
    speaking,
    where,
)

TODAY = date(2026, 11, 20)
OFTEN = {"all": [{"field": "orders", "op": ">", "value": 2}]}
NORTH = {"field": "region", "op": "in", "value": ["North"]}
RICH: dict[str, Any] = {
    "all": [
        {"field": "orders", "op": ">", "value": 0},
        {"any": [NORTH, {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF"], "last_days": 90}}]},
        {"none": [{"field": "received", "op": "any of", "value": [1]}, {"field": "owner", "op": "in", "value": [2]}]},
        {"field": "age_band", "op": "empty"},
        {"field": "stage", "op": "not in", "value": ["lost"]},
        {"field": "funnel", "op": "not reached", "value": {"campaign": 1, "step": "redeemed"}},
        {"field": "bought_product", "op": "none of", "value": {"of": [1]}},
        {"field": "city", "op": "empty"},
        {"field": "source", "op": "empty"},
        {"field": "r_score", "op": "in", "value": ["5", "4", "3", "2", "1"]},
        {"field": "first_order_on", "op": "in the last", "value": 300},
    ]
}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann has six customers with 0 to 5 orders, every other one in the north; Cho has three without orders."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            stamps = {"created_at": clock.now(), "updated_at": clock.now()}
            conn.execute(insert(schema.products).values(id=1, sku="P1", name="BEEF", category="BEEF"))
            window = {"starts_on": date(2026, 10, 1), "ends_on": date(2026, 10, 9)}
            conn.execute(insert(schema.campaigns).values(id=1, name="Campaign 1", kind="A", **window, **stamps))
            for n in range(6):
                one = make.customer(conn, made.ann.user_id, name=f"No. {n}", region="North" if n % 2 else "")
                for month in range(n):
                    make.order(conn, one, date(2026, 6 + month, 1), "100")
            for n in range(3):
                make.customer(conn, made.cho.user_id, name=f"Cho's {n}")
            derived.rebuild(conn)
        with begin(WORKER, write=True) as conn:
            scores.refresh(conn)
        yield made


def written(rule: Any) -> str:
    return json.dumps(rule)


def opened(viewer: Viewer, rule: Any = None, **params: str) -> AppTest:
    if rule is not None:
        params["segment_rule"] = rule if isinstance(rule, str) else written(rule)
    return sound(signed_in(viewer, "segment", **params))


def parameter(app: AppTest, name: str) -> str:
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def fit(app: AppTest) -> str:
    return metrics(app)["Customers who fit"]


def keep(viewer: Viewer, name: str, rule: Any = OFTEN, **values: Any) -> int:
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=written(rule), **values)[0]


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_counts_each_segment_for_each_viewer(people: make.People) -> None:
    for viewer, everyone in ((people.ann, 6), (people.cho, 3), (people.root, 9), (people.ana, 9)):
        rows = grid(sound(signed_in(viewer, "segments", segments_kind="ready")), "segments_list").set_index("name")
        stages = rows[rows.index.str.startswith("Stage: ")]
        assert stages["customers"].sum() == everyone
        assert rows.loc["Stage: Prospect", "customers"] == {6: 1, 3: 3, 9: 4}[everyone]


def test_kinds_of_the_list_and_where_a_row_leads(people: make.People) -> None:
    mine, shared = keep(people.ann, "Of Ann"), keep(people.bo, "Of Bo", shared=True, description="Who buys often")
    keep(people.bo, "Of Bo alone")

    def names(kind: str) -> list[str]:
        app = sound(signed_in(people.ann, "segments", segments_kind=kind))
        if "No segment here yet." in body(app):
            return []
        return [n for n in grid(app, "segments_list")["name"] if n.startswith("Of ")]

    assert (names("mine"), names("shared"), names("ready")) == (["Of Ann"], ["Of Bo"], [])
    assert names("archived") == []
    app = signed_in(people.ann, "segments", segments_kind="shared")
    at = list(grid(app, "segments_list")["name"]).index("Of Bo")
    app = sound(pick(app, "segments_list", at))
    assert "Who buys often" in said(app)
    assert "Orders > 2" in said(app)
    assert fit(app) == "3"
    opened_as = {link.label: link.proto.query_string for link in app.main.page_link}
    assert opened_as["Open"] == f"id={shared}"
    with begin(people.ann, write=True) as conn:
        saved_segments.archive(conn, actor=people.ann, segment_id=mine)
    assert (names("mine"), names("archived")) == ([], ["Of Ann"])


def test_a_rule_about_contacts_tells_no_number_to_those_who_see_none(people: make.People) -> None:
    rule = {"all": [{"field": "phone", "op": "in", "value": ["yes"]}]}
    number = keep(people.ann, "With a phone", rule, shared=True)
    app = signed_in(people.ana, "segments", segments_kind="shared")
    rows = grid(sound(app), "segments_list").set_index("name")
    assert str(rows.loc["With a phone", "customers"]) == "<NA>"
    app = sound(pick(app, "segments_list", list(rows.index).index("With a phone")))
    assert fit(app) == "hidden from your role"
    refused = sound(signed_in(people.ana, "segment", id=str(number)))
    assert "Names and contacts are hidden from your role, so it cannot count by: Has a phone." in said(refused)
    assert "Customers who fit" not in metrics(refused)
    assert "Has a phone · Profile" not in body(opened(people.ana))


# --- building --------------------------------------------------------------------------------------------------------


def test_a_rule_is_built_step_by_step_and_stands_in_the_address(people: make.People) -> None:
    app = opened(people.ann)
    assert fit(app) == "6"
    assert "Everyone" in said(app)
    [field] = [box for box in app.selectbox if box.key.startswith("segment_field_")]
    with speaking("en"):
        field.set_value("orders")
    app = sound(app.run())
    assert "Without a value this condition does not count yet." in body(app)
    assert fit(app) == "6"
    with speaking("en"):
        comparison = next(box for box in app.selectbox if box.key.startswith("segment_op_"))
        assert comparison.value == ">="
        comparison.set_value(">")
    app = app.run()
    app.number_input[0].set_value(2)
    app = sound(app.run())
    assert fit(app) == "3"
    assert "50.0% of your 6 customers" in said(app)
    assert json.loads(parameter(app, "segment_rule")) == OFTEN
    app = click(app, "segment_add_group")
    boxes = [box for box in app.selectbox if box.key.startswith("segment_field_")]
    with speaking("en"):
        boxes[-1].set_value("region")
    app = app.run()
    with speaking("en"):
        app.multiselect[0].set_value(["North"])
    app = sound(app.run())
    assert fit(app) == "2"
    assert "Orders > 2 and region is North" in said(app)
    assert "alone: 3" in said(app)
    app = click(app, "segment_back")
    assert fit(sound(app)) == "3"
    app = click(app, "segment_clear")
    assert fit(sound(app)) == "6"
    assert "segment_rule" not in app.query_params


def test_any_none_and_the_cross(people: make.People) -> None:
    app = opened(people.ann, {"any": [OFTEN["all"][0], NORTH]})
    assert fit(app) == "4"
    with speaking("en"):
        next(w for w in app.button_group if w.key.startswith("segment_match_")).set_value("none")
    app = sound(app.run())
    assert fit(app) == "2"
    remove = next(b for b in app.button if b.key.startswith("segment_remove_"))
    app = sound(remove.click().run())
    assert "Not (region is North)" in said(app)
    assert fit(app) == "3"


def test_the_answer_is_the_query_for_every_viewer(people: make.People) -> None:
    rule = written(RICH)
    for viewer in (people.ann, people.cho, people.mia, people.ana, people.mark, people.root):
        app = opened(viewer, RICH)
        with begin(viewer) as conn:
            found = segments.explore(conn, viewer=viewer, rule=rule, today=TODAY)
            rows = segments.preview(conn, viewer=viewer, rule=rule, today=TODAY).rows
        assert fit(app) == str(found.customers)
        if found.customers:
            assert list(grid(app, "segment_people")["name"]) == list(rows["name"])


def test_the_richest_rule_stays_within_the_budget(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEHU_NO_CACHE", "1")
    for viewer in (people.root, people.ann, people.ana):
        opened(viewer, RICH)
        assert data.queries() <= 19  # the largest rule, with ids of all kinds, tags, clusters and what each part does


@pytest.mark.parametrize("value", [1_234_567, 2.5, 0.01, "123456789012.123456", -3, 10**12])
@pytest.mark.parametrize("field", ["orders", "revenue"])
def test_a_number_is_shown_and_kept_as_it_is(people: make.People, field: str, value: float | str) -> None:
    rule = {
        "all": [{"field": field, "op": "<", "value": value}, {"field": field, "op": "between", "value": [-9, value]}]
    }
    if isinstance(value, int) and value < 0:
        rule = {"all": rule["all"][:1]}
    app = opened(people.ann, rule)
    app = click(click(app, "segment_add"), "segment_add")
    assert json.loads(parameter(app, "segment_rule")) == rule
    assert app.number_input[0].value == float(value)


def test_groups_to_depth_five_stand_in_cards(people: make.People) -> None:
    deep: Any = OFTEN["all"][0]
    for match in ("all", "none", "any", "none", "all"):
        deep = {match: [deep]}
    app = opened(people.ann, deep)
    assert fit(app) == "3"
    assert len([w for w in app.button_group if w.key.startswith("segment_match_")]) == 5
    adders = [b.key for b in app.button if b.key.startswith("segment_add_group")]
    assert len(adders) == 4, "no group stands in the fifth"
    app = sound(app.number_input[0].set_value(4).run())
    assert fit(app) == "1"


# --- JSON, links, nonsense -------------------------------------------------------------------------------------------


def test_json_in_and_out(people: make.People) -> None:
    app = opened(people.ann, OFTEN)
    [area] = [box for box in app.text_area if box.key.startswith("segment_json_")]
    assert json.loads(area.value) == OFTEN
    area.set_value('{"all": [{"field": "order", "op": ">", "value": 2}]}')
    app = sound(click(app, "segment_json_use"))
    assert "In all[0].field: there is no field “order”." in said(app)
    assert fit(app) == "3"
    [area] = [box for box in app.text_area if box.key.startswith("segment_json_")]
    area.set_value(written({"none": [NORTH]}))
    app = sound(click(app, "segment_json_use"))
    assert fit(app) == "3"
    assert "Not (region is North)" in said(app)


@pytest.mark.parametrize(
    "rule",
    ["{", "[]", "null", '{"all": 5}', "[" * 10_000, "x" * 30_000, '{"all": [{"field": "\\u0000"}]}', *HOSTILE],
    ids=lambda rule: rule[:20],
)
def test_nonsense_in_the_address_is_a_sentence(people: make.People, rule: str) -> None:
    app = opened(people.ann, rule)
    assert app.error, rule
    assert fit(app) == "6"
    for text in HOSTILE:
        assert markup_of(app, text) == []


@pytest.mark.parametrize("asked", ["0", "-1", "x", "9" * 30, "99"])
def test_a_segment_that_is_not_there(people: make.People, asked: str) -> None:
    app = sound(signed_in(people.ann, "segment", id=asked))
    assert "that you may see" in said(app)


def test_a_link_to_a_private_segment_brings_its_rule_along(people: make.People) -> None:
    number = keep(people.bo, "Private of Bo")
    alone = sound(signed_in(people.ann, "segment", id=str(number)))
    assert "Private of Bo" not in body(alone)
    app = opened(people.ann, OFTEN, id=str(number))
    assert "the link's segment is not shared with you; its rule is" in said(app)
    assert "Private of Bo" not in body(app)
    assert fit(app) == "3"


def test_the_link_to_share_holds_the_rule(people: make.People) -> None:
    app = opened(people.ann, OFTEN)
    assert any("segment_rule=%7B%22all%22" in code.value for code in app.code)


# --- keeping ---------------------------------------------------------------------------------------------------------


def test_save_change_and_take_back(people: make.People) -> None:
    app = opened(people.ann, OFTEN)
    app.text_input(key="segment_form_new_name").set_value("  Often ")
    app = sound(click(app, "segment_form_new_send"))
    assert where(app) == "segment"
    assert "Segment saved." in body(app)
    assert [t.value for t in app.title] == ["Often"]
    number = int(parameter(app, "id"))
    assert not drawn(app, "segment_save")
    app.number_input[0].set_value(3)
    app = sound(app.run())
    assert fit(app) == "2"
    app = sound(click(app, "segment_save"))
    assert not drawn(app, "segment_save")
    with begin(people.ann) as conn:
        assert saved_segments.get(conn, viewer=people.ann, segment_id=number).rule.rules[0].values == (3,)
    app = sound(click(app, "kehu_undo_button"))
    assert fit(app) == "3"
    assert "Segment changed" in body(app)
    assert "Undo of: Segment changed" in body(app)
    assert "Rule: Orders > 2 → Orders > 3" in body(app)


def test_names_are_asked_for_and_nothing_is_lost(people: make.People) -> None:
    app = opened(people.ann, OFTEN)
    app = sound(click(app, "segment_form_new_send"))
    assert "A segment needs a name." in said(app)
    app.text_input(key="segment_form_new_name").set_value(TOO_LONG)
    app.text_area(key="segment_form_new_description").set_value(TOO_LONG)
    app = sound(click(app, "segment_form_new_send"))
    assert "A name has at most 120 characters." in said(app)
    assert "A description has at most 1,000 characters." in said(app)
    assert app.text_input(key="segment_form_new_name").value == TOO_LONG
    assert fit(app) == "3"
    keep(people.ann, "Taken")
    app.text_input(key="segment_form_new_name").set_value("taken")
    app.text_area(key="segment_form_new_description").set_value("")
    app = sound(click(app, "segment_form_new_send"))
    assert "You have a segment of this name already." in said(app)


@pytest.mark.parametrize(("typed", "stored"), HOSTILE.items(), ids=lambda text: text[:12])
def test_hostile_names_are_text(people: make.People, typed: str, stored: str) -> None:
    app = opened(people.ann, OFTEN)
    app.text_input(key="segment_form_new_name").set_value(typed)
    app.text_area(key="segment_form_new_description").set_value(typed)
    app = sound(click(app, "segment_form_new_send"))
    with connection.begin_owner() as conn:
        assert stored in set(conn.scalars(select(schema.segments.c.name)))
    assert markup_of(app, stored) == []
    listed = sound(signed_in(people.ann, "segments", segments_kind="mine"))
    listed = pick(listed, "segments_list", list(grid(listed, "segments_list")["name"]).index(stored))
    assert markup_of(sound(listed), stored) == []


def test_two_editors_never_overwrite_each_other(people: make.People) -> None:
    number = keep(people.ann, "Of two")
    first, second = (opened(people.ann, id=str(number)) for _tab in range(2))
    for app, value in ((first, 4), (second, 5)):
        app.number_input[0].set_value(value)
        app.run()
    click(first, "segment_save")
    second = sound(click(second, "segment_save"))
    assert "Somebody changed this segment meanwhile." in said(second)
    with begin(people.ann) as conn:
        assert saved_segments.get(conn, viewer=people.ann, segment_id=number).rule.rules[0].values == (4,)
    second = sound(click(second, "segment_take"))
    assert fit(second) == "1"
    assert "Orders > 4" in said(second)
    assert fit(sound(click(second, "segment_back"))) == "0"


def test_a_colleagues_segment_is_copied_not_changed(people: make.People) -> None:
    number = keep(people.bo, "Bo's to copy", shared=True)
    app = opened(people.ann, id=str(number))
    assert fit(app) == "3"
    app.number_input[0].set_value(4)
    app = sound(app.run())
    for key in ("segment_save", "segment_archive", f"segment_form_{number}_1_send"):
        assert not drawn(app, key)
    app.text_input(key=f"segment_form_copy_{number}_1_name").set_value("Mine after Bo's")
    app = sound(click(app, f"segment_form_copy_{number}_1_send"))
    assert int(parameter(app, "id")) != number
    with begin(people.bo) as conn:
        assert saved_segments.get(conn, viewer=people.bo, segment_id=number).rule.rules[0].values == (2,)


def test_archive_and_back(people: make.People) -> None:
    number = keep(people.mark, "Of Mark")
    app = sound(click(opened(people.mark, id=str(number)), "segment_archive"))
    assert "Archived." in body(app)
    assert drawn(app, "segment_restore")
    app = sound(click(app, "segment_restore"))
    assert drawn(app, "segment_archive")


def test_who_may_not_export_has_no_button(people: make.People) -> None:
    assert drawn(opened(people.ana), "segment_export")
    assert not drawn(opened(people.mark), "segment_export")


# --- what others left behind -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_hostile_rules_in_the_address_are_text(people: make.People, text: str) -> None:
    shown = HOSTILE[text]
    for rule in (
        {"all": [{"field": text, "op": ">", "value": 1}]},
        {"all": [{"field": "orders", "op": text, "value": 1}]},
        {"all": [{"field": "orders", "op": ">", "value": 1, text: 1}]},
        {"all": [{"field": "stage", "op": "in", "value": [text]}]},
        {"all": [{"field": "region", "op": "in", "value": [shown]}]},
        {"any": [{"field": "bought_category", "op": "any of", "value": [shown]}]},
    ):
        for language in ("en", "zh_CN"):
            app = sound(signed_in(people.ann, "segment", language=language, segment_rule=written(rule)))
            assert markup_of(app, shown) == [], rule
            assert shown in said(app)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_rule_that_cannot_be_read_spoils_no_list(people: make.People, language: str) -> None:
    hostile = "[x](http://evil.example)"
    number = keep(people.bo, f"A broken one, {language}", shared=True)
    broken = {"all": [{"field": hostile, "op": "=", "value": 1}]}
    with connection.begin_owner() as conn:
        conn.execute(schema.segments.update().where(schema.segments.c.id == number).values(rule=broken))
        conn.exec_driver_sql("UPDATE generations SET n = n + 1")
    for viewer in (people.ann, people.bo, people.mark):
        app = sound(signed_in(viewer, "segments", language=language))
        rows = grid(app, "segments_list")
        place = list(rows["name"]).index(f"A broken one, {language}")
        assert rows["customers"].isna()[place]
        assert rows["customers"].notna().any()
        with speaking(language):
            app = sound(pick(app, "segments_list", place))
        assert hostile in said(app)
        assert markup_of(app, hostile) == []
        app = sound(signed_in(viewer, "segment", language=language, id=str(number)))
        assert app.error
        assert hostile in said(app)
        assert markup_of(app, hostile) == []
        assert fit(app) == "0" if language == "en" else True
        assert not drawn(app, "segment_details")
        assert drawn(app, "segment_archive") is (viewer == people.bo)
    app = sound(signed_in(people.bo, "segment", language=language, id=str(number), segment_rule=written(OFTEN)))
    with speaking(language):
        app = sound(click(app, "segment_save"))
    assert not app.error
    assert saved_segments_rule(people.ann, number) == OFTEN


def saved_segments_rule(viewer: Viewer, number: int) -> Any:
    with begin(viewer) as conn:
        return rules.data_of(saved_segments.get(conn, viewer=viewer, segment_id=number).rule)


def test_a_slow_rule_is_a_sentence_and_leaves_list_builder_and_history(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders are locked by somebody else: what needs them is stopped, all the rest is there."""
    bought = {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF"], "last_days": 9}}
    number = keep(people.cho, "A slow one", {"all": [bought]})
    for limit in ("TOGETHER_MS", "ALONE_MS"):
        monkeypatch.setattr(segments, limit, 200)
    with connection.engine().connect() as other, other.begin():
        other.exec_driver_sql("LOCK TABLE orders")
        app = sound(signed_in(people.cho, "segments", segments_kind="mine"))
        rows = grid(app, "segments_list")
        assert rows["customers"].isna().tolist() == [name == "A slow one" for name in rows["name"]]
        app = sound(pick(app, "segments_list", list(rows["name"]).index("A slow one")))
        assert metrics(app)["Customers who fit"] == "not counted: too slow"
        app = sound(signed_in(people.cho, "segment", id=str(number)))  # waits for the lock as long as any statement may
        assert [warning.value for warning in app.warning] == [
            "Somebody else is changing the same rows. Nothing was saved; try again in a moment."
        ]
        assert drawn(app, "segment_add")
        assert "Segment saved" in body(app)
    assert fit(sound(app.run())) == "0"


def test_what_people_enter_is_no_markup_in_a_chart(people: make.People) -> None:
    regions = ["<a href='http://evil.example'>North</a>", "<b>&amp;</b>", "2026", "2025"]
    with connection.begin_owner() as conn:
        for region in regions:
            make.customer(conn, people.max.user_id, name="Of no team", region=region)
        conn.exec_driver_sql("UPDATE generations SET n = n + 1")
    app = sound(signed_in(people.root, "segment", segment_by="region"))
    [chart] = app.get("plotly_chart")
    figure = json.loads(chart.proto.spec)
    shown = figure["data"][0]["y"]
    assert {"&lt;a href='http://evil.example'>North&lt;/a>", "&lt;b>&amp;amp;&lt;/b>", "2026", "2025"} <= set(shown)
    assert not any("<" in name for name in shown)
    assert figure["layout"]["yaxis"]["type"] == "category"


@pytest.mark.parametrize("value", ["123456789012.123456", "-999999999999.999999", "0.1", "0.000001", "1000000000000"])
def test_looking_at_a_rule_changes_none_of_its_digits(people: make.People, value: str) -> None:
    rule = '{"all":[{"field":"revenue","op":"between","value":[' + ("-999999999999.999999," + value) + "]}]}"
    number = keep(people.cho, f"Exactly {value}", json.loads(rule, parse_float=str))
    app = opened(people.cho, id=str(number))
    app = sound(app.run())
    assert not drawn(app, "segment_save"), "nothing was changed"
    assert f"{Decimal(value).normalize():,f}" in said(app)
