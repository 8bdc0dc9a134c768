"""Customers of the list kept as a frozen segment: the ticked ones, all that the filters find, by whom, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from db import connection, derived, frozen_lists, rules, saved_segments, segments
from db.connection import begin
from db.customer_filters import Filters
from db.embedded import Server
from db.errors import Invalid, Refused
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import make
from tests.pages.visits import HOSTILE, body, database, drawn, signed_in, sound, where, words

TODAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann's A, B, C and the archived Z; Cho's E."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            for name, region, archived in (("A", "East", 0), ("B", "East", 0), ("C", "West", 0), ("Z", "East", 1)):
                stamp = {"archived_at": "2026-11-01"} if archived else {}
                make.customer(conn, made.ann.user_id, name=name, region=region, **stamp)
            make.customer(conn, made.cho.user_id, name="E", region="East")
        with begin(WORKER, write=True) as conn:
            derived.rebuild(conn)
        yield made


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "customers", **params))


def tick(app: AppTest, *rows: int) -> AppTest:
    [found] = [frame for frame in app.dataframe if frame.key and frame.key.startswith("customers_list_")]
    app.session_state[found.key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def asked(app: AppTest) -> AppTest:
    app.button(key="customers_bulk_freeze").click()
    return sound(app.run())


def keep(app: AppTest, name: str) -> AppTest:
    """AppTest forgets an open dialog: open it and send its form in one."""
    asked(app)
    app.text_input(key="customers_freeze_name").set_value(name)
    app.button(key="customers_bulk_freeze").click()
    app.button(key="customers_freeze_send").click()
    return sound(app.run())


def members(viewer: Viewer, name: str) -> str:
    """The names of who is in this viewer's own frozen segment, as they see it."""
    with begin(viewer) as conn:
        [one] = [each for each in saved_segments.saved(conn, viewer=viewer) if each.name == name]
        assert one.frozen
        rule = rules.written(one.rule)
        found = segments.preview(conn, viewer=viewer, rule=rule, today=TODAY, sort="name", limit=50)
    return "".join(found.rows["name"])


def freeze(viewer: Viewer, name: str, **values: Any) -> tuple[int, int, int]:
    shared = values.pop("shared", False)
    with begin(viewer) as conn:
        found = frozen_lists.chosen(conn, viewer=viewer, today=TODAY, **values)
    kept: dict[str, Any] = {"ids": found.ids, "personal": found.personal, "shared": shared}
    with begin(viewer, write=True) as conn:
        return saved_segments.freeze(conn, actor=viewer, name=name, **kept)


def test_the_ticked_ones_are_kept_and_taken_back(people: make.People) -> None:
    app = tick(opened(people.ann), 0, 2)
    told = words(asked(app))
    assert "2 customers are kept." in told
    assert "at most 100,000 customers" in told
    app = keep(tick(opened(people.ann), 0, 2), "Ticked **x**")
    assert where(app) == "segment"
    assert "2 customers frozen." in body(app)
    assert members(people.ann, "Ticked **x**") == "AC"
    app.button(key="kehu_undo_button").click()
    sound(app.run())
    with begin(people.ann) as conn:
        assert [one.name for one in saved_segments.saved(conn, viewer=people.ann)] == []


def test_all_that_the_filters_find_are_kept(people: make.People) -> None:
    app = opened(people.ann, customers_region="East")
    told = words(asked(app))
    assert "2 customers are kept." in told
    assert "All that the filters find: Region: East" in told.replace("\\", "")
    keep(opened(people.ann, customers_region="East"), "All of the east")
    assert members(people.ann, "All of the east") == "AB"


def test_a_name_is_asked_for_and_taken_once(people: make.People) -> None:
    assert "A segment needs a name." in words(keep(opened(people.ann), " "))
    freeze(people.ann, "Taken", filters=Filters())
    assert "You have a segment of this name already." in words(keep(opened(people.ann), "Taken"))


@pytest.mark.parametrize("who", ["ann", "mia", "root", "ana", "mark"])
def test_who_keeps_segments_keeps_customers_of_the_list(people: make.People, who: str) -> None:
    viewer = getattr(people, who)
    app = opened(viewer)
    assert drawn(app, "customers_bulk_freeze")
    app = keep(app, f"Of {who}")
    assert where(app) == "segment", words(app)[-600:]
    seen = {"ann": "ABC", "mia": "ABC", "root": "ABCE"}
    found = members(viewer, f"Of {who}")
    assert found == seen[who] if who in seen else found.count("#") == 4


def test_archived_ones_are_kept_by_nobody(people: make.People) -> None:
    assert not drawn(opened(people.ann, customers_archived="yes"), "customers_bulk_freeze")
    with pytest.raises(Invalid, match="Put them back on the lists first"):
        freeze(people.ann, "Archived", filters=Filters(archived=True))


def test_who_is_out_of_sight_is_left_out_and_nobody_is_refused(people: make.People) -> None:
    with begin(people.root) as conn:
        every = segments.who(conn, viewer=people.root, rule='{"all": []}', today=TODAY, limit=9)
    _id, _set, n = freeze(people.cho, "Of all", ids=every)
    assert n == 1
    with pytest.raises(Invalid, match="nobody to keep"):
        freeze(people.cho, "Nobody", filters=Filters(region="West"))
    with pytest.raises(Invalid):
        freeze(people.cho, "Nobody", ids=(0, -1, 10**30))
    with pytest.raises(Invalid, match="at most 100,000"):
        freeze(people.cho, "Many", ids=range(1, 100_002))


@pytest.mark.parametrize("typed", list(HOSTILE)[:4])
def test_hostile_words_and_names_are_text(people: make.People, typed: str) -> None:
    with pytest.raises(Invalid):
        freeze(people.ann, "None", filters=Filters(search=typed or "zzz"))
    number, set_id, n = freeze(people.ann, typed, filters=Filters(region="West"))
    assert n == 1
    with begin(people.ann, write=True) as conn:
        undo(conn, actor=people.ann, change_set_id=set_id, source="screen")
    assert number


def test_what_was_found_by_words_is_not_told_to_masked_roles(people: make.People) -> None:
    by_words, _set, n = freeze(people.ann, "By words", filters=Filters(search="A"), shared=True)
    by_region, _set, _n = freeze(people.ann, "By region", filters=Filters(region="East"), shared=True)
    assert n >= 1

    def count(viewer: Viewer, number: int) -> int:
        with begin(viewer) as conn:
            rule = rules.written(saved_segments.listed(number))
            return segments.count(conn, viewer=viewer, rule=rule, today=TODAY)

    assert (count(people.ana, by_words), count(people.ana, by_region)) == (0, 2)
    assert (count(people.root, by_words), count(people.root, by_region)) == (n, 2)


def test_the_right_to_keep_segments_is_asked_for(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Viewer, "can", lambda _self, permission: permission.value != "segments:edit")
    with pytest.raises(Refused):
        freeze(people.ann, "x", filters=Filters())
