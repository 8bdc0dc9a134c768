"""Why a customer is in a segment: the card on the segment's screen and the tab on the customer's page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from db import connection, derived, saved_segments, schema, scores
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.pages.visits import body, database, said, signed_in, sound

ODD = "**x** <b>y</b> [z](http://w) $a$"
RULE: dict[str, Any] = {
    "all": [
        {"field": "orders", "op": ">", "value": 1},
        {"any": [{"field": "region", "op": "in", "value": ["North"]}, {"field": "revenue", "op": ">", "value": 1000}]},
    ]
}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            for name, region, orders in (("Northern", "North", 3), ("Hostile " + ODD, "South", 3)):
                one = make.customer(conn, made.ann.user_id, name=name, region=region)
                for month in range(orders):
                    make.order(conn, one, date(2026, 8 + month, 1), "100")
            make.customer(conn, made.cho.user_id, name="Cho's")
            derived.rebuild(conn)
        with begin(WORKER, write=True) as conn:
            scores.refresh(conn)
        yield made


def numbers(people: make.People) -> dict[str, int]:
    with begin(people.root) as conn:
        c = schema.customers.c
        return {name: number for number, name in conn.execute(select(c.id, c.name))}


def opened(viewer: Viewer, who: object, rule: Any = RULE) -> AppTest:
    return sound(signed_in(viewer, "segment", segment_rule=json.dumps(rule), segment_who=str(who)))


def test_what_decides_stands_there_with_the_customers_own_values(people: make.People) -> None:
    ids = numbers(people)
    shown = said(opened(people.ann, ids["Northern"]))
    assert "Northern is in." in shown
    assert "These conditions decide it, whatever the others are:" in shown
    assert "Region is North · holds" in shown
    assert "The customer: North" in shown
    assert "Orders > 1 · holds" in shown
    assert "The other condition makes no difference." in shown
    assert "Would be out as soon as “Orders > 1” no longer holds." in shown
    other = next(number for name, number in ids.items() if name.startswith("Hostile"))
    shown = said(opened(people.ann, other))
    assert "is not in." in shown
    assert "Region is North · does not hold" in shown
    assert "The customer: South" in shown
    assert "The customer: $300" in shown
    assert "Would be in as soon as “Region is North” holds." in shown


def test_a_customer_of_others_is_not_found_and_odd_addresses_are_nobody(people: make.People) -> None:
    theirs = numbers(people)["Cho's"]
    shown = said(opened(people.ann, theirs))
    assert f"There is no customer {theirs} that you may see" in shown
    assert "Cho's" not in shown
    for odd in ("", "x", "-1", "99999999999999999999999", "1; DROP TABLE customers", ODD):
        assert "is in." not in said(opened(people.ann, odd))


def test_a_search_leads_to_the_customer_and_masked_roles_see_no_name(people: make.People) -> None:
    app = opened(people.ann, "")
    next(box for box in app.text_input if box.key == "segment_who_words").set_value("Northern")
    assert "Northern is in." in said(sound(app.run()))
    app = opened(people.ann, "")
    next(box for box in app.text_input if box.key == "segment_who_words").set_value("Nobody-like-that")
    assert "Nobody is found by these words." in said(sound(app.run()))
    app = opened(people.mark, numbers(people)["Northern"])
    assert "Northern" not in body(app).replace("Region is North", "")


def test_the_customers_page_lists_the_segments_they_are_in(people: make.People) -> None:
    with begin(people.ann, write=True) as conn:
        saved_segments.save(conn, actor=people.ann, name="Often or rich", rule=json.dumps(RULE))
    one = numbers(people)["Northern"]
    app = sound(signed_in(people.ann, "customer", id=str(one), customer_tab="segments"))
    assert "In these segments" in said(app)
    links = {link.label.replace("\\", ""): link.proto.query_string for link in app.main.page_link}
    assert f"segment_who={one}" in links["Often or rich"]
    assert "segment_ready=stage_prospect" in links["Stage: Prospect"]
