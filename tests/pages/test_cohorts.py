"""The screen of cohorts: what it shows to whom, what the address holds, and the people behind a cell."""

from __future__ import annotations

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
from tests.pages.visits import body, database, signed_in, sound

WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Data from July on. Ann's and Cho's first buy in September; Ann's again in October and November."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            old = make.customer(conn, made.ann.user_id, name="Old Hand")
            one = make.customer(conn, made.ann.user_id, name="Wang :red[x]", region="West")
            two = make.customer(conn, made.cho.user_id, name="Other One")
            for who, day in (
                (old, date(2026, 7, 20)),
                (one, date(2026, 9, 1)),
                (one, date(2026, 10, 2)),
                (one, date(2026, 11, 2)),
                (two, date(2026, 9, 30)),
            ):
                make.order(conn, who, day, "10.00")
            conn.execute(
                insert(schema.touched_customers),
                [{"customer_id": i, "touched_at": clock.now()} for i in (old, one, two)],
            )
        with begin(WORKER, write=True) as conn:
            derived.refresh(conn)
        with begin(made.ann, write=True) as conn:
            saved_segments.save(conn, actor=made.ann, name="My <West>", rule=WEST)
        yield made


def triangle(app: AppTest) -> list[list[str]]:
    return app.dataframe[0].value.to_numpy().tolist()


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[1].value["name"])


def test_the_triangle_says_not_known_where_it_is_not_known(people: make.People) -> None:
    app = sound(signed_in(people.root, "cohorts"))
    assert triangle(app) == [
        ["before Sep 2026", "1", "not known", ""],
        ["Sep 2026", "2", "50%", "50% …"],
        ["Oct 2026", "0", "", ""],
        ["Nov 2026", "0", "", ""],
    ]
    assert "50.0% (9.5–90.5%)" in body(app)
    assert "1 customer first bought before Sep 2026" in body(app)
    amounts = sound(signed_in(people.root, "cohorts", cohorts_measure="revenue", cohorts_unit="absolute"))
    assert triangle(amounts)[1] == ["Sep 2026", "$20.00", "$10.00", "$10.00 …"]


def test_everybody_sees_their_own_customers_and_masked_roles_no_name(people: make.People) -> None:
    link = {"cohorts_cohort": "2026-09"}
    assert triangle(sound(signed_in(people.cho, "cohorts", **link)))[0] == ["Sep 2026", "1", "0.0%", "0.0% …"]
    ann = sound(signed_in(people.ann, "cohorts", **link))
    assert triangle(ann)[1] == ["Sep 2026", "1", "100%", "100% …"]
    assert names(ann) == ["Wang :red[x]"]
    for masked in (people.ana, people.mark):
        app = sound(signed_in(masked, "cohorts", **link))
        assert triangle(app)[1][1] == "2"
        assert "Wang" not in str(names(app)) + body(app)


def test_a_segment_beside_another_and_the_people_behind_a_cell(people: make.People) -> None:
    link = {"cohorts_segment": "s1", "cohorts_against": "everyone", "cohorts_cohort": "2026-09", "cohorts_month": "1"}
    app = sound(signed_in(people.ann, "cohorts", **link))
    assert triangle(app)[0] == ["Sep 2026", "1", "100%", "100% …"]
    assert "My \\<West\\> against Everyone" in body(app)
    assert names(app) == ["Wang :red[x]"]
    early = sound(signed_in(people.ann, "cohorts", cohorts_cohort="unknown"))
    assert names(early) == ["Old Hand"]


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_what_a_link_may_say_wrongly_is_told_and_never_another_ones_segment(people: make.People, language: str) -> None:
    app = sound(signed_in(people.cho, "cohorts", language=language, cohorts_segment="s1", cohorts_span="<b>"))
    told = {"en": "the link's segment is not one of yours", "zh_CN": "链接中的分群不在您的列表里"}
    assert told[language] in body(app)
    assert "West" not in body(app)
    hostile = {"cohorts_cohort": "'; --", "cohorts_month": "-1", "cohorts_page": "99999999", "cohorts_side": "x"}
    assert len(triangle(sound(signed_in(people.root, "cohorts", language=language, **hostile)))) == 4
