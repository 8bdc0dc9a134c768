"""The screen of repeat purchases: the shares by day, who is left out, intervals, and the people below."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from db import connection, derived
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER
from tests import make
from tests.pages.visits import database, grid, said, signed_in, sound


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's twelve buy again after ten days, Cho's twelve never; one is too early to tell."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            make.order(conn, make.customer(conn, made.ann.user_id, name="Early Bird"), date(2026, 6, 1))
            for n in range(12):
                first = date(2026, 8, 1) + timedelta(days=n)
                again = make.customer(conn, made.ann.user_id, name=f"Back {n}")
                make.order(conn, again, first)
                make.order(conn, again, first + timedelta(days=10))
                make.order(conn, make.customer(conn, made.cho.user_id, name=f"Gone :red[{n}]"), first)
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield made


def test_shares_by_day_with_their_interval_and_who_is_left_out(people: make.People) -> None:
    told = said(sound(signed_in(people.root, "repeats")))
    assert "| 7 | 0.0% |" in told
    assert "1 customer is left out: the first order in the data is from before Jun 29, 2026" in told
    assert "Everyone: half of the 12 intervals are at most 10 days." in told
    alone = said(sound(signed_in(people.cho, "repeats")))
    assert "Nobody has bought again yet, or fewer than 10 customers are known." in alone
    assert "Nobody has bought on two days yet." in alone


def test_the_people_below_are_the_viewers_own_and_nameless_for_masked_roles(people: make.People) -> None:
    assert set(grid(sound(signed_in(people.cho, "repeats")), "repeats_people")["name"]) == {
        f"Gone :red[{n}]" for n in range(12)
    }
    app = sound(signed_in(people.mark, "repeats", repeats_step="9", repeats_segment="x", repeats_page="zz"))
    assert "Gone" not in said(app) + str(list(grid(app, "repeats_people")["name"]))
    assert len(grid(app, "repeats_people")) == 13
