"""The screen of stages and scores: a draft and its effect, saving and undo, who may, what is wrong, other versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from db import clock, connection, definitions, derived
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.pages.visits import HOSTILE, click, database, drawn, markup_of, said, signed_in, sound, words


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Of Ann six who ordered today, one to six times; of Cho one who ordered 40 days ago."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            for n in range(1, 7):
                one = make.customer(conn, made.ann.user_id, name=f"C{n}")
                for back in range(n):
                    make.order(conn, one, clock.today() - timedelta(days=back * 3))
            make.order(conn, make.customer(conn, made.cho.user_id), clock.today() - timedelta(days=40))
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield made


def number(viewer: Viewer, kind: str = "stages") -> definitions.InForce:
    with begin(viewer) as conn:
        return definitions.in_force(conn, viewer=viewer, kind=kind)


def entry(app: AppTest, name: str) -> AppTest:
    return next(each for each in app.number_input if each.key and each.key.endswith(f"_{name}"))


def test_a_draft_says_at_once_what_it_would_change(people: make.People) -> None:
    app = sound(signed_in(people.root, "lifecycle"))
    told = said(app)
    assert "By version 1 of the rules, in force since" in told
    assert "| Loyal | 5 orders or more, and not at risk | 2 | 2 | 0 |" in told
    assert "These are the rules in force: change a number to see who would move." in told
    entry(app, "loyal_orders").set_value(4)
    told = said(sound(app.run()))
    assert "| Loyal | 4 orders or more, and not at risk | 2 | 3 | +1 |" in told
    assert "| Repeat buyer | Loyal | 1 |" in told
    assert "1 of 7 customers would move (14.3%):" in told
    of_cho = said(sound(signed_in(people.cho, "lifecycle")))
    assert "| At risk | last order more than 30 days ago, and not lost | 1 | 1 | 0 |" in of_cho


@pytest.mark.parametrize("who", ["ann", "mia", "ana", "mark"])
def test_the_others_may_try_and_not_save(people: make.People, who: str) -> None:
    app = sound(signed_in(getattr(people, who), "lifecycle"))
    assert not drawn(app, "lifecycle_save")
    assert "Administrators put them into force." in said(app)
    entry(app, "loyal_orders").set_value(3)
    assert "3 orders or more" in said(sound(app.run()))


def test_rules_that_do_not_rise_are_told_at_their_field(people: make.People) -> None:
    app = sound(signed_in(people.root, "lifecycle"))
    entry(app, "lost_days").set_value(30)
    told = words(sound(app.run())).replace("\\", "")
    assert "Lost must come after at risk: enter more days." in told
    assert "Correct the numbers marked in red to see it." in told
    assert not drawn(app, "lifecycle_save")


def test_a_version_is_saved_undone_and_brought_back(people: make.People) -> None:
    before = number(people.root).number
    app = sound(signed_in(people.root, "lifecycle"))
    entry(app, "loyal_orders").set_value(4)
    sound(click(app, "lifecycle_save"))
    assert number(people.root).number == before, "without a reason nothing is saved"
    assert "Say in a few words why" in words(app).replace("\\", "")
    why = next(t for t in app.text_input if t.key and t.key.startswith("lifecycle_why"))
    why.set_value(next(iter(HOSTILE)))
    sound(click(app, "lifecycle_save"))
    saved = number(people.root)
    assert saved.number > before
    assert f"Version {saved.number} is in force." in said(app)
    assert markup_of(app, HOSTILE[next(iter(HOSTILE))]) == []
    assert f"Rules, version {saved.number}" in words(sound(signed_in(people.ann, "overview")))
    sound(click(app, "kehu_undo_button"))
    assert number(people.root).number == before
    app = sound(signed_in(people.root, "lifecycle"))
    assert "Taken back" in said(app)
    chosen = next(s for s in app.selectbox if s.key and s.key.startswith("lifecycle_from"))
    chosen.set_value(saved.number)
    sound(app.run())
    assert entry(app, "loyal_orders").value == 4
    sound(click(app, "lifecycle_save"))
    assert number(people.root).number == saved.number + 1
    with begin(people.root) as conn:
        assert (
            definitions.versions(conn, viewer=people.root, kind="stages")[0].reason == f"Version {saved.number} again"
        )


def test_scores_by_fixed_bounds(people: make.People) -> None:
    app = sound(signed_in(people.root, "lifecycle", lifecycle_of="scores"))
    assert "by fifths of all customers with orders" in said(app)
    way = next(g for g in app.segmented_control if g.key and g.key.endswith("_frequency_way"))
    way.set_value("fixed")
    told = said(sound(app.run()))
    assert "1 below 2 orders, 2 from 2, 3 from 3, 4 from 5, 5 from 10" in told
    entry(app, "frequency_5").set_value(4)
    assert "The four bounds must rise" in words(sound(app.run())).replace("\\", "")


def test_in_chinese(people: make.People) -> None:
    told = said(sound(signed_in(people.root, "lifecycle", language="zh_CN")))
    assert "草稿会带来的变化" in told
    assert "多次购买" in told
