"""The segment of the customer list's filter: in the address, as a chip, in views, and never the whole list instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete
from streamlit.testing.v1 import AppTest

from db import connection, saved_segments, saved_views, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import Viewer
from db.undo import undo
from tests import make
from tests.pages.visits import body, click, control, database, drawn, grid, markup_of, signed_in, sound

NAME = "Oslo :red[x] <b>"
UNSEEN = "is not there any more, or is not shared with you, so nobody is shown"


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A in Oslo and B in Bergen, Bo's C in Oslo."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            make.customer(conn, made.ann.user_id, name="A", city="Oslo")
            make.customer(conn, made.ann.user_id, name="B", city="Bergen")
            make.customer(conn, made.bo.user_id, name="C", city="Oslo")
        yield made


@pytest.fixture
def oslo(people: make.People) -> Iterator[int]:
    """Ann's segment, not shared."""
    rule = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})
    with begin(people.ann, write=True) as conn:
        number, made = saved_segments.save(conn, actor=people.ann, name=NAME, rule=rule)
    yield number
    with connection.begin_owner() as conn:
        conn.execute(delete(schema.saved_views))
        conn.execute(delete(schema.segments))
    assert made


def change(viewer: Viewer, segment_id: int, **values: Any) -> None:
    with begin(viewer, write=True) as conn:
        one = saved_segments.get(conn, viewer=viewer, segment_id=segment_id)
        rule = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})
        given = {"segment_id": segment_id, "version": one.version, "name": NAME, "rule": rule, **values}
        saved_segments.save(conn, actor=viewer, **given)


def names(app: AppTest) -> str:
    return "".join(grid(app, "customers_list")["name"]) if app.dataframe else ""


def chips(app: AppTest) -> list[str]:
    return [b.label.replace("\\", "") for b in app.button if (b.key or "").startswith("customers_chip_")]


def unfold(app: AppTest) -> AppTest:
    app.session_state["customers_filters"] = True
    return sound(app.run())


def test_it_is_chosen_stands_in_the_address_and_is_taken_away(people: make.People, oslo: int) -> None:
    app = sound(signed_in(people.ann, "customers"))
    assert names(app) == "AB"
    unfold(app)
    chooser = control(app, "customers_segment")
    assert chooser.options[:2] == ["All customers", NAME]
    assert any("Stage" in option for option in chooser.options), "ready-made ones, too"
    chooser.set_value(f"s{oslo}")
    sound(app.run())
    assert (names(app), chips(app)) == ("A", [f"Segment: {NAME}"])
    assert dict(app.query_params) == {"customers_segment": f"s{oslo}"}
    assert markup_of(app, NAME) == []
    click(app, "customers_chip_0")
    assert (names(sound(app)), chips(app), dict(app.query_params)) == ("AB", [], {})


def test_a_link_finds_each_ones_own(people: make.People, oslo: int) -> None:
    change(people.ann, oslo, shared=True)
    link = {"customers_segment": f"s{oslo}"}
    for viewer, found in ((people.ann, "A"), (people.bo, "C"), (people.cho, ""), (people.mia, "AC")):
        app = sound(signed_in(viewer, "customers", **link))
        assert (names(app), chips(app)) == (found, [f"Segment: {NAME}"])
    app = sound(signed_in(people.ann, "customers", language="zh_CN", **link))
    assert chips(app) == [f"分群：{NAME}"]
    assert names(sound(signed_in(people.ann, "customers", customers_segment="stage_prospect"))) == "AB"


@pytest.mark.parametrize("who", ["bo", "mia", "ana", "mark"])
def test_a_private_one_shows_others_nobody_and_is_not_named(people: make.People, oslo: int, who: str) -> None:
    viewer: Viewer = getattr(people, who)
    # Who may see it was here just before: what they were told must not be told to others.
    assert names(sound(signed_in(people.ann, "customers", customers_segment=f"s{oslo}"))) == "A"
    app = sound(signed_in(viewer, "customers", customers_segment=f"s{oslo}"))
    assert UNSEEN in body(app)
    assert not app.dataframe
    assert not drawn(app, "customers_export")
    assert "Oslo" not in body(app)
    assert chips(app) == [f"Segment: no. {oslo}, which you do not see"]
    unfold(app)
    assert NAME not in control(app, "customers_segment").options
    assert not app.dataframe, "to open the filters does not let go of it"
    click(app, "customers_chip_0")
    assert app.dataframe


def test_one_analyst_is_not_told_what_another_was(people: make.People, oslo: int) -> None:
    rule = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})
    with begin(people.ana, write=True) as conn:
        own, _set = saved_segments.save(conn, actor=people.ana, name="Ana's", rule=rule)
    link = {"customers_segment": f"s{own}"}
    assert len(grid(sound(signed_in(people.ana, "customers", **link)), "customers_list")) == 2
    app = sound(signed_in(people.mark, "customers", **link))
    assert UNSEEN in body(app), "both see all rows, with the same columns"
    assert not app.dataframe


@pytest.mark.parametrize("code", ["s0", "abc", "s1,s2", "x" * 300, "<b>", "s99999999999999999999"])
def test_an_address_that_names_no_segment_shows_nobody(people: make.People, oslo: int, code: str) -> None:
    app = sound(signed_in(people.ann, "customers", customers_segment=code))
    assert UNSEEN in body(app)
    assert not app.dataframe
    assert len(chips(app)) == 1


def test_an_archived_one_goes_on_with_a_sentence(people: make.People, oslo: int) -> None:
    with begin(people.ann, write=True) as conn:
        done = saved_segments.archive(conn, actor=people.ann, segment_id=oslo)
    app = sound(signed_in(people.ann, "customers", customers_segment=f"s{oslo}"))
    assert (names(app), chips(app)) == ("A", [f"Segment: {NAME} (archived)"])
    assert "is archived. The list shows who fits its rule all the same." in body(app)
    fresh = unfold(sound(signed_in(people.ann, "customers")))
    assert not any(NAME in option for option in control(fresh, "customers_segment").options)
    with begin(people.ann, write=True) as conn:
        undo(conn, actor=people.ann, change_set_id=done, source="screen")
    app = sound(signed_in(people.ann, "customers", customers_segment=f"s{oslo}"))
    assert "is archived" not in body(app)


def test_with_the_archived_customers_it_finds_nobody(people: make.People, oslo: int) -> None:
    app = sound(signed_in(people.ann, "customers", customers_segment=f"s{oslo}", customers_archived="yes"))
    assert "Who is archived is in no segment" in body(app)
    assert not app.dataframe


def test_a_view_keeps_it_and_shows_nobody_to_who_may_not_see_it(people: make.People, oslo: int) -> None:
    with begin(people.ann, write=True) as conn:
        given = {"params": {"segment": f"s{oslo}"}, "visibility": "shared"}
        view_id, _set = saved_views.add(conn, actor=people.ann, name="In Oslo", **given)
    app = sound(signed_in(people.ann, "customers"))
    click(app, f"customers_view_open_{view_id}")
    assert (names(sound(app)), chips(app)) == ("A", [f"Segment: {NAME}"])
    assert not drawn(app, "customers_view_update"), "it is as it was kept"
    for viewer in (people.bo, people.ana):
        app = sound(signed_in(viewer, "customers", customers_view=str(view_id)))
        assert UNSEEN in body(app)
        assert not app.dataframe
        app = sound(signed_in(viewer, "customers"))
        assert app.dataframe
        click(app, f"customers_view_open_{view_id}")
        assert UNSEEN in body(sound(app))
        assert not app.dataframe
        assert "Oslo :red" not in body(app)
    change(people.ann, oslo, shared=True)
    assert names(sound(signed_in(people.bo, "customers", customers_view=str(view_id)))) == "C"


def test_the_segment_says_which_views_and_boards_use_it(people: make.People, oslo: int) -> None:
    change(people.ann, oslo, shared=True)
    with begin(people.ann, write=True) as conn:
        saved_views.add(conn, actor=people.ann, name="Mine :red[x]", params={"segment": f"s{oslo}"})
    with begin(people.bo, write=True) as conn:
        saved_views.add(conn, actor=people.bo, name="Bo's own", params={"segment": f"s{oslo}"})
    app = sound(signed_in(people.ann, "segment", id=str(oslo)))
    assert "In views of the list of customers:" in body(app)
    assert "Used in 1 place that you do not see." in body(app)
    assert "Bo's own" not in body(app)
    app = sound(signed_in(people.bo, "segment", id=str(oslo)))
    assert "In views of the list of customers:" in body(app)
    assert "that you do not see" not in body(app)
