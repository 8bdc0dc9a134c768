"""The life of a segment on its screen, and segments as sets on the list: members, moves, freezing, overlaps."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from components.segment_life import FOLDED
from db import clock, customer, saved_segments, segments
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from tests import make
from tests.pages.visits import body, database, metrics, signed_in, sound
from worker import tasks

OSLO = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})
NORTH = json.dumps({"all": [{"field": "region", "op": "in", "value": ["North"]}]})
PHONE = json.dumps({"all": [{"field": "phone", "op": "in", "value": ["yes"]}]})


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann has A and B in Oslo, C elsewhere; B and C in the north."""
    with database(server, template) as made:
        for name, city, region in (("A", "Oslo", ""), ("B", "Oslo", "North"), ("C", "", "North")):
            with begin(made.ann, write=True) as conn:
                values = {"name": f"Client {name}", "city": city, "region": region, "phone": "+4791234567"}
                customer.add(conn, actor=made.ann, values=values)
        worked()
        yield made


def worked() -> None:
    tasks.drain()
    tasks.keep_segments()


def keep(viewer: Viewer, name: str, rule: str, **options: object) -> int:
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=rule, **options)[0]  # type: ignore[arg-type]


def test_the_screen_tells_who_joined_and_left(people: make.People) -> None:
    segment = keep(people.ann, "In Oslo", OSLO, shared=True, folder="Cities", tags=["north"])
    app = sound(signed_in(people.ann, "segment", id=str(segment)))
    assert "being found for the first time" in body(app)
    assert "in the folder Cities" in body(app)
    assert "#north" in body(app)
    worked()
    with begin(people.ann, write=True) as conn:
        rows = segments.preview(conn, viewer=people.ann, rule=OSLO, today=clock.today()).rows
        one = int(rows["id"].min())
        customer.save(conn, actor=people.ann, customer_id=one, version=1, values={"city": "Rome"})
    app = sound(signed_in(people.ann, "segment", id=str(segment)))
    assert "Members as of" in body(app)
    worked()
    app = sound(signed_in(people.ann, "segment", id=str(segment)))
    assert "Members up to date" in body(app)
    assert "Who left" not in body(app), "what is folded is not asked for"
    app.session_state[FOLDED] = True
    app = sound(app.run())
    assert "Who left in the last 7 days" in body(app)
    assert "1 of 1" in body(app).replace("1–1", "1")
    other = body(sound(signed_in(people.cho, "segment", id=str(segment))))
    assert "Client" not in other
    with begin(people.ann, write=True) as conn:
        customer.save(conn, actor=people.ann, customer_id=one, version=2, values={"city": "Oslo"})
    worked()


def test_who_fits_is_frozen_and_stays(people: make.People) -> None:
    app = sound(signed_in(people.ann, "segment", segment_rule=OSLO))
    [name] = [field for field in app.text_input if field.key and "freeze" in field.key and field.key.endswith("_name")]
    name.set_value("Frozen in Oslo")
    [send] = [b for b in app.button if b.key and "freeze" in b.key and b.key.endswith("_send")]
    send.click()
    app.run()
    with begin(people.ann) as conn:
        [one] = [s for s in saved_segments.saved(conn, viewer=people.ann) if s.name == "Frozen in Oslo"]
    assert one.frozen
    app = sound(signed_in(people.ann, "segment", id=str(one.id)))
    assert metrics(app)["Customers who fit"] == "2"
    assert "It keeps the customers who were listed" in body(app)


def test_segments_as_sets(people: make.People) -> None:
    first, second = keep(people.ann, "Set Oslo", OSLO), keep(people.ann, "Set north", NORTH)
    app = sound(signed_in(people.ann, "segments", segments_sets=f"s{first},s{second}"))
    assert metrics(app)["Customers"] == "3"
    text = body(app)
    assert "Side by side" in text
    assert "Set Oslo (2)" in text
    app = sound(signed_in(people.ann, "segments", segments_sets=f"s{first},s{second}", segments_set="difference"))
    assert metrics(app)["Customers"] == "1"
    [name] = [field for field in app.text_input if field.key == "segments_freeze_form_name"]
    name.set_value("Only Oslo")
    [send] = [b for b in app.button if b.key == "segments_freeze_form_send"]
    send.click()
    app.run()
    with begin(people.ann) as conn:
        assert [s.kind for s in saved_segments.saved(conn, viewer=people.ann) if s.name == "Only Oslo"] == ["frozen"]


def test_masked_roles_are_not_offered_what_they_may_not_count(people: make.People) -> None:
    hidden = keep(people.ann, "Reachable", PHONE, shared=True)
    worked()
    app = sound(signed_in(people.mark, "segments", segments_sets=f"s{hidden},champions"))
    assert "Choose two to 5 segments" in body(app)
