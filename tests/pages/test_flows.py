"""The screen of flows: what it shows to whom, what the address holds, the people of a flow, and keeping them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import insert
from streamlit.testing.v1 import AppTest

from db import clock, connection, derived, saved_segments, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER
from tests import make
from tests.pages.visits import body, database, grid, said, signed_in, sound

WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """On 31 August Ann's two were repeat buyers, on 31 October one is at risk; Cho's was lost on both."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            stays = make.customer(conn, made.ann.user_id, name="Stays Put")
            falls = make.customer(conn, made.ann.user_id, name="Wang :red[x]", region="West")
            other = make.customer(conn, made.cho.user_id, name="Other One")
            for who, *days in (
                (stays, date(2026, 3, 1), date(2026, 8, 20), date(2026, 10, 20)),
                (falls, date(2026, 3, 1), date(2026, 8, 20)),
                (other, date(2026, 1, 2)),
            ):
                for day in days:
                    make.order(conn, who, day, "10.00")
            conn.execute(
                insert(schema.touched_customers),
                [{"customer_id": i, "touched_at": clock.now()} for i in (stays, falls, other)],
            )
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        with begin(made.ann, write=True) as conn:
            saved_segments.save(conn, actor=made.ann, name="My <West>", rule=WEST)
        yield made


DAYS = {"flows_days": "2026-10-31,2026-08-31"}


def matrix(app: AppTest) -> list[list[str]]:
    """A row for each class before: its name with its size, then the cells of the classes after."""
    columns = json.loads(app.get("plotly_chart")[-1].proto.spec)["data"]
    return [[row, *(column["text"][i] for column in columns)] for i, row in enumerate(columns[0]["y"])]


def test_sentences_table_and_people_say_the_same(people: make.People) -> None:
    app = sound(signed_in(people.root, "flows", **DAYS))
    assert "1 of 2 “Repeat buyer” became “At risk”: 50.0%" in said(app).replace("**", "")
    assert "2 of 3 customers are in the same class on both days: 66.7%." in said(app)
    assert matrix(app) == [
        ["Repeat buyer · 2", "1 · 50.0%", "1 · 50.0%", ""],
        ["Lost · 1", "", "", "1 · 100.0%"],
    ]
    assert list(grid(app, "flows_people")["name"]) == ["Wang :red[x]"]
    usual = sound(signed_in(people.root, "flows"))
    assert "Aug 31, 2026 → Oct 31, 2026" in said(usual)


def test_everybody_sees_their_own_customers_and_masked_roles_no_name(people: make.People) -> None:
    assert matrix(sound(signed_in(people.cho, "flows", **DAYS))) == [["Lost · 1", "1 · 100.0%"]]
    for masked in (people.ana, people.mark):
        app = sound(signed_in(masked, "flows", **DAYS))
        assert matrix(app)[0][0] == "Repeat buyer · 2"
        assert "Wang" not in said(app)


def test_a_segment_beside_everyone_and_a_chosen_flow(people: make.People) -> None:
    link = DAYS | {"flows_segment": "s1", "flows_against": "everyone", "flows_before": "repeat"}
    app = sound(signed_in(people.ann, "flows", **link, flows_after="at_risk"))
    assert "1 of 1 · 100.0% (20.7–100.0%)" in said(app)
    assert "1 of 2 · 50.0% (9.5–90.5%)" in said(app)
    assert list(grid(app, "flows_people")["name"]) == ["Wang :red[x]"]
    stayed = sound(signed_in(people.ann, "flows", **DAYS, flows_before="repeat", flows_after="repeat"))
    assert list(grid(stayed, "flows_people")["name"]) == ["Stays Put"]


def test_who_went_is_kept_as_a_frozen_segment_by_whoever_may(people: make.People) -> None:
    for viewer in (people.ana, people.ann):
        app = sound(signed_in(viewer, "flows", **DAYS))
        app.text_input(key="flows_freeze_form_name").set_value("Fell")
        app.button(key="flows_freeze_form_send").click().run()
        with begin(viewer) as conn:
            [kept] = [one for one in saved_segments.saved(conn, viewer=viewer) if one.name == "Fell"]
        assert kept.frozen


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_what_a_link_may_say_wrongly_is_told_or_left_out(people: make.People, language: str) -> None:
    hostile = {"flows_days": "2026-08-30,'; --", "flows_by": "x", "flows_before": "<b>", "flows_page": "zz"}
    app = sound(signed_in(people.cho, "flows", language=language, flows_segment="s1", flows_step="9-9", **hostile))
    told = {"en": "the link's segment is not one of yours", "zh_CN": "链接中的分群不在您的列表里"}
    assert told[language] in body(app)
    assert "West" not in body(app)
    for by in ("rfm_class", "rfm_value", "value_decile"):
        assert matrix(sound(signed_in(people.root, "flows", language=language, flows_by=by, **DAYS)))
