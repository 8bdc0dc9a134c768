"""The segment screens with the newer fields: ready-made groups, segments within segments, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from db import clock, connection, derived, ready_segments, saved_segments, schema, scores, tags
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.pages.test_segments import fit, keep, opened
from tests.pages.visits import body, database, grid, said, signed_in, sound

EVERY: list[tuple[dict[str, Any], str]] = [
    ({"field": "tags", "op": "any of", "value": ["VIP"]}, "Tags include VIP"),
    ({"field": "rfm_class", "op": "in", "value": ["champions", "new"]}, "RFM class is Champions or New"),
    ({"field": "rfm_value", "op": "in", "value": ["key_value"]}, "RFM value class is “Key: value”"),
    ({"field": "value_decile", "op": "in", "value": ["10"]}, "Value decile is 10"),
    ({"field": "rhythm", "op": ">=", "value": 1.5}, "Intervals since the last order ≥ 1.5"),
    ({"field": "contacts", "op": "=", "value": {"count": 0, "last_days": 30}}, "Number of contacts = 0 in the last 30"),
    ({"field": "contacted", "op": "none of", "value": {"of": ["call", "note"]}}, "Not contacted by Call or Note"),
    ({"field": "consent_mail", "op": "in", "value": ["given"]}, "Consent to e-mails is given"),
    ({"field": "open_tasks", "op": "=", "value": 0}, "Open tasks = 0"),
    (
        {"field": "first_order_on", "op": "anniversary in the next", "value": 7},
        "Anniversary of first order in",
    ),
    ({"field": "next_due_on", "op": "in the next", "value": 400}, "Next purchase due in the next 400 days"),
]


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann has four customers with 0 to 3 orders a month apart; the last two have a tag."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            stamps = {"created_at": clock.now(), "updated_at": clock.now()}
            for n in range(4):
                one = make.customer(conn, made.ann.user_id, name=f"No. {n}")
                for month in range(n):
                    make.order(conn, one, date(2026, 6 + month, 1), "100")
                if n > 1:
                    conn.execute(schema.customer_tags.insert().values(**tags.row(one, "VIP"), **stamps))
            derived.rebuild(conn)
        with begin(WORKER, write=True) as conn:
            scores.refresh(conn)
        yield made


@pytest.mark.parametrize(("leaf", "words"), EVERY, ids=lambda each: each["field"] if isinstance(each, dict) else "")
def test_each_new_field_is_shown_said_and_kept_as_it_is(people: make.People, leaf: Any, words: str) -> None:
    app = opened(people.ann, {"all": [leaf]})
    assert words in said(app)
    again = app.run()
    assert again.query_params["segment_rule"] in (app.query_params["segment_rule"], [app.query_params["segment_rule"]])
    assert fit(again) == fit(app)
    if leaf["field"] == "tags":
        assert fit(app) == "2"


def test_the_ready_made_ones_stand_in_groups(people: make.People) -> None:
    for group in ready_segments.GROUPS:
        rows = grid(
            sound(signed_in(people.ann, "segments", segments_kind="ready", segments_group=group)), "segments_list"
        )
        assert list(rows["name"]) == [one.name for one in ready_segments.every().values() if one.group == group]
        if group == "stages":
            assert rows["customers"].sum() == 4
    keep(people.ann, "Mine")
    rows = grid(sound(signed_in(people.ann, "segments")), "segments_list")
    assert list(rows["name"]) == ["Mine", *(o.name for o in ready_segments.every().values() if o.group == "stages")]
    for code, one in ready_segments.every().items():
        if code in ("champions", "key_value", "stage_loyal", "quiet", "decile_10"):
            assert one.name in body(sound(signed_in(people.ann, "segment", segment_ready=code)))


def test_a_segment_in_a_segment_is_named_to_those_who_see_it(people: make.People) -> None:
    shared = keep(people.bo, "Big <b>spenders", shared=True)
    private = keep(people.bo, "Secret of Bo")
    app = opened(people.ann, segment(shared))
    assert fit(app) == "1"
    assert "In segment “Big <b>spenders”" in said(app)
    for viewer in (people.ann, people.ana):
        refused = opened(viewer, segment(private))
        assert f"The rule names segment {private}, which is not there or not shared with you." in said(refused)
        assert "Secret of Bo" not in body(refused)
    number = keep(people.bo, "Around it", segment(private))
    with begin(people.bo, write=True) as conn:
        saved_segments.archive(conn, actor=people.bo, segment_id=private)
    assert fit(opened_one(people.bo, number)) == "0"


def segment(number: int) -> dict[str, Any]:
    return {"all": [{"field": "segment", "op": "in", "value": [number]}]}


def opened_one(viewer: Viewer, number: int) -> Any:
    return sound(signed_in(viewer, "segment", id=str(number)))
