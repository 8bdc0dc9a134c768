"""The builder of a rule: moving and copying parts, steps back and forward, what each part does, overlooked brackets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from db import connection, derived, scores
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.pages.visits import click, database, drawn, metrics, said, signed_in, sound, speaking

OFTEN = {"field": "orders", "op": ">", "value": 2}
NORTH = {"field": "region", "op": "in", "value": ["North"]}
NEVER = {"field": "orders", "op": "=", "value": 0}


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's six customers have 0 to 5 orders, every other one is in the north."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            for n in range(6):
                one = make.customer(conn, made.ann.user_id, name=f"No. {n}", region="North" if n % 2 else "")
                for month in range(n):
                    make.order(conn, one, date(2026, 6 + month, 1), "100")
            derived.rebuild(conn)
        with begin(WORKER, write=True) as conn:
            scores.refresh(conn)
        yield made


def opened(viewer: Viewer, rule: Any) -> AppTest:
    return sound(signed_in(viewer, "segment", segment_rule=json.dumps(rule)))


def rule_of(app: AppTest) -> Any:
    value = app.query_params["segment_rule"]
    return json.loads(value if isinstance(value, str) else value[0])


def choose(app: AppTest, at: int, how: str) -> AppTest:
    """Choose from the menu of the part at this place among all."""
    menus = [w for w in app.get("menu_button") if w.key.startswith("segment_menu_")]
    with speaking("en"):
        return sound(menus[at].set_value(how).run())


def test_each_part_tells_what_it_does(people: make.People) -> None:
    app = opened(people.ann, {"all": [OFTEN, {"any": [NORTH, NEVER]}]})
    assert metrics(app)["Customers who fit"] == "2"
    shown = said(app)
    assert "alone: 3 · removes 2" in shown, "the three with more than two orders; four fit the group"
    assert "alone: 4 · removes 1" in shown, "the group"
    assert "alone: 3 · adds 2" in shown, "the north, within the group"
    assert "alone: 1 · changes nothing" in shown, "those without orders, within the group"


def test_overlooked_brackets_are_warned_of(people: make.People) -> None:
    app = opened(people.ann, {"all": [OFTEN, {"any": [NORTH, NEVER]}]})
    assert "read as “(orders > 2 and region is North) or orders = 0”, it would find 3." in said(app)
    app = opened(people.ann, {"all": [OFTEN, {"any": [NORTH, OFTEN]}]})
    assert "read as" not in said(app), "three either way"
    app = opened(people.ann, {"all": [OFTEN, NORTH]})
    assert "read as" not in said(app)


def test_steps_back_and_forward(people: make.People) -> None:
    app = opened(people.ann, {"all": [OFTEN, NORTH]})
    assert not drawn(app, "segment_back")
    app = sound(app.number_input[0].set_value(3).run())
    app = sound(app.number_input[0].set_value(4).run())
    assert metrics(app)["Customers who fit"] == "1"
    app = sound(click(sound(click(app, "segment_back")), "segment_back"))
    assert rule_of(app) == {"all": [OFTEN, NORTH]}
    assert not drawn(app, "segment_back")
    app = sound(click(app, "segment_forward"))
    assert rule_of(app)["all"][0]["value"] == 3
    app = sound(app.number_input[0].set_value(1).run())
    assert not drawn(app, "segment_forward"), "what was ahead is gone with another change"
    app = sound(click(app, "segment_back"))
    assert rule_of(app)["all"][0]["value"] == 3


def test_a_part_moves_by_its_menu(people: make.People) -> None:
    app = opened(people.ann, {"all": [OFTEN, {"any": [NORTH, NEVER]}]})
    app = choose(app, 0, "Into the group beside it")
    assert rule_of(app) == {"all": [{"any": [OFTEN, NORTH, NEVER]}]}
    app = choose(app, 1, "Out of its group")
    assert rule_of(app) == {"all": [{"any": [NORTH, NEVER]}, OFTEN]}
    app = choose(app, 0, "Duplicate")
    assert rule_of(app) == {"all": [{"any": [NORTH, NEVER]}, {"any": [NORTH, NEVER]}, OFTEN]}
    app = sound(click(app, "segment_back"))
    assert rule_of(app) == {"all": [{"any": [NORTH, NEVER]}, OFTEN]}
