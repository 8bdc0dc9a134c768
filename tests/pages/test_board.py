"""The screen of boards: keeping a chart, cards that stand alone, who sees what, what its owner does, the ways."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, insert
from streamlit.testing.v1 import AppTest

from components import board_drawings
from db import board_charts, boards, clock, clusters, connection, derived, saved_segments, schema
from db.connection import begin
from db.embedded import Server
from db.permissions import WORKER, Viewer
from tests import make
from tests.db.entry_points import MODEL
from tests.manual import speaking
from tests.pages.visits import body, database, said, signed_in, sound

WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Data from July on; Ann's customer lives in the West and buys again, Cho's does not."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            old = make.customer(conn, made.ann.user_id, name="Old Hand")
            one = make.customer(conn, made.ann.user_id, name="Wang", region="West")
            two = make.customer(conn, made.cho.user_id, name="Other One")
            for who, day in ((old, 20), (one, 63), (one, 94), (one, 125), (two, 92)):
                make.order(conn, who, date.fromordinal(date(2026, 7, 1).toordinal() + day - 1), "10.00")
            conn.execute(
                insert(schema.touched_customers),
                [{"customer_id": i, "touched_at": clock.now()} for i in (old, one, two)],
            )
        with begin(WORKER, write=True) as conn:
            derived.refresh(conn)
        yield made


@pytest.fixture(autouse=True)
def empty(people: make.People) -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        for table in (schema.board_cards, schema.boards, schema.segments, schema.cluster_models):
            conn.execute(delete(table))
        # What was read of them before is not to be had from the cache.
        conn.execute(schema.generations.update().values(n=schema.generations.c.n + 1))


def segment(actor: Viewer, name: str = "My <West>", **more: Any) -> int:
    with begin(actor, write=True) as conn:
        return saved_segments.save(conn, actor=actor, name=name, rule=WEST, **more)[0]


def kept(actor: Viewer, chart: str, params: dict[str, str], **more: Any) -> tuple[int, int]:
    more = {"title": f"T {chart}", "board_name": "B"} | more
    with begin(actor, write=True) as conn:
        card_id, board_id, _set = boards.keep(conn, actor=actor, chart=chart, params=params, **more)
    return card_id, board_id


def every_chart(actor: Viewer) -> int:
    """A board with each chart there is, of a shared segment; gives the board."""
    number = segment(actor, shared=True)
    with begin(actor, write=True) as conn:
        model, _set = clusters.save(conn, actor=actor, name="C", model=MODEL)
    code = f"s{number}"
    params: dict[str, dict[str, str]] = {
        "cohorts": {"cohorts_segment": code},
        "cohorts_curve": {"cohorts_against": code, "cohorts_measure": "revenue"},
        "repeats": {"repeats_segment": code, "repeats_span": "nonsense"},
        "repeats_intervals": {},
        "affinity": {"affinity_segment": code, "affinity_against": "everyone", "affinity_category": "<b>"},
        "flows": {"flows_days": "now,2026-08-31,2020-01-31"},
        "flows_moves": {"flows_against": code, "flows_by": "value_decile"},
        "clusters": {"clusters_kept": str(model)},
        "segment_spread": {"segment_ready": "stage_repeat", "segment_by": "city"},
        "segment_size": {"id": str(number)},
        "segments_overlap": {"segments_sets": f"{code},stage_repeat"},
        "segments_compare": {"segments_sets": f"{code},stage_repeat"},
    }
    assert params.keys() <= board_charts.CHARTS.keys()
    card, board_id = kept(actor, "cohorts", params.pop("cohorts"), wide=True)
    for chart, given in params.items():
        kept(actor, chart, given, board_id=board_id)
    with begin(actor, write=True) as conn:
        boards.save(conn, actor=actor, board_id=board_id, version=1, values={"visibility": "shared"})
    assert card
    return board_id


def press(app: AppTest, label: str, at: int = 0) -> AppTest:
    [*found] = [button for button in app.button if button.label == label]
    return sound(found[at].click().run())


def test_every_chart_can_be_drawn() -> None:
    assert board_drawings.DRAWN.keys() == board_charts.CHARTS.keys()


def test_a_board_draws_every_chart_for_each_role_with_their_own_rights(people: make.People) -> None:
    board_id = every_chart(people.ana)
    for viewer in (people.ana, people.mark, people.root, people.ann, people.cho):
        app = sound(signed_in(viewer, "board", board_id=str(board_id)))
        said = body(app)
        assert "Something went wrong" not in said
        for chart in board_charts.CHARTS:
            assert f"T {chart}".replace("_", "\\_") in said
        assert [e.value for e in app.warning] == []
        # Of repeat purchases there are too few yet; and Cho has nobody who is active or lives in the West.
        assert len(app.get("plotly_chart")) == (1 if viewer is people.cho else 3)
        first = app.dataframe[0].value.to_numpy().tolist()
        assert first[0][:2] == (["Sep 2026", "0"] if viewer is people.cho else ["Sep 2026", "1"])
        assert bool([b for b in app.button if b.label == "Remove"]) == (viewer in (people.ana, people.root))


def test_a_failing_card_and_one_without_its_segment_leave_the_others_alone(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = segment(people.ana)
    _card, board_id = kept(people.ana, "cohorts", {"cohorts_segment": f"s{number}"})
    kept(people.ana, "repeats", {}, board_id=board_id)
    kept(people.ana, "segment_spread", {"segment_ready": "stage_repeat"}, board_id=board_id)
    with begin(people.ana, write=True) as conn:
        boards.save(conn, actor=people.ana, board_id=board_id, version=1, values={"visibility": "shared"})

    def fails(asked: board_drawings.Asked) -> list[str]:
        raise ZeroDivisionError

    monkeypatch.setitem(board_drawings.DRAWN, "repeats", fails)  # type: ignore[arg-type]
    app = signed_in(people.ann, "board", board_id=str(board_id))
    said = body(app)
    assert "A segment of this chart is not there any more, or is not shared with you." in said
    assert len(app.get("plotly_chart")) == 1
    assert [e.value[:20] for e in app.error] == ["Something went wrong"]
    with begin(people.ana, write=True) as conn:
        saved_segments.archive(conn, actor=people.ana, segment_id=number)
    assert "is archived" in body(signed_in(people.ana, "board", board_id=str(board_id)))


def test_the_board_itself_asks_little_and_each_card_for_itself(
    people: make.People, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEHU_NO_CACHE", "1")
    board_id = every_chart(people.ana)
    with caplog.at_level(logging.INFO, "kehu.runs"):
        sound(signed_in(people.ana, "board", board_id=str(board_id)))
    ran = [(r.screen, r.queries) for r in caplog.records if r.message == "run"]  # type: ignore[attr-defined]
    assert len([one for one in ran if one[0] == "board/card_chart"]) == len(board_charts.CHARTS)
    assert max(queries for _screen, queries in ran) <= 13


# --- keeping -------------------------------------------------------------------------------------------------------


def test_a_chart_is_kept_from_its_screen_and_opens_there_again(people: make.People) -> None:
    number = segment(people.ana)
    link = {"cohorts_segment": f"s{number}", "cohorts_span": "24", "cohorts_unit": "absolute"}
    app = sound(signed_in(people.ana, "cohorts", **link))
    assert not [b for b in app.button if b.label == "Keep"], "what is folded asks nothing"
    app.session_state["cohorts_keep"] = True
    sound(app.run())
    press(app, "Keep")
    with begin(people.ana) as conn:
        [board] = boards.listed(conn, viewer=people.ana)
        [card] = boards.get(conn, viewer=people.ana, board_id=board.id).cards
    assert (board.name, card.title, card.chart) == ("My board", "", "cohorts")
    assert (board.called, card.called) == ("My board", "Cohorts by month · My <West>")
    assert card.params == link
    press(app, "Undo")
    with begin(people.ana) as conn:
        assert boards.listed(conn, viewer=people.ana) == ()


def test_what_is_not_saved_is_not_kept(people: make.People) -> None:
    app = signed_in(people.ana, "segment", segment_rule=WEST)
    app.session_state["segment_keep"] = True
    sound(app.run())
    assert "Save the segment first" in body(app)
    assert not [b for b in app.button if b.label == "Keep"]


def test_an_empty_board_says_what_would_be_here(people: make.People) -> None:
    app = sound(signed_in(people.mark, "board"))
    assert "A board keeps charts of" in body(app)
    app = sound(signed_in(people.mark, "board", board_id="999999999999999999999"))
    assert "A board keeps charts of" in body(app)


# --- what its owner does -------------------------------------------------------------------------------------------


def titles(viewer: Viewer, board_id: int) -> list[str]:
    with begin(viewer) as conn:
        return [card.title for card in boards.get(conn, viewer=viewer, board_id=board_id).cards]


def test_cards_are_moved_renamed_and_removed_with_an_undo(people: make.People) -> None:
    card_id, board_id = kept(people.ana, "repeats_intervals", {}, title="a")
    kept(people.ana, "repeats", {}, title="b", board_id=board_id)
    app = sound(signed_in(people.ana, "board"))
    press(app, "Move later")
    assert titles(people.ana, board_id) == ["b", "a"]
    app.text_input(key=f"board_title_{card_id}_2").set_value("c <b>")
    app.toggle(key=f"board_wide_{card_id}_2").set_value(True)
    press(app, "Save", at=2)
    assert titles(people.ana, board_id) == ["b", "c <b>"]
    press(app, "Remove", at=0)
    assert titles(people.ana, board_id) == ["c <b>"]
    press(app, "Undo")
    assert titles(people.ana, board_id) == ["b", "c <b>"]


def test_two_editors_of_a_title_see_both_sides(people: make.People) -> None:
    card_id, board_id = kept(people.ana, "repeats", {}, title="old")
    app = sound(signed_in(people.ana, "board"))
    with begin(people.root, write=True) as conn:
        theirs = {"card_id": card_id, "version": 1, "values": {"title": "theirs", "wide": True}}
        boards.change_card(conn, actor=people.root, **theirs)
    app.text_input(key=f"board_title_{card_id}_1").set_value("mine")
    press(app, "Save", at=1)
    assert "This card was changed meanwhile" in body(app)
    assert "Yours: mine · theirs: theirs" in body(app)
    assert titles(people.ana, board_id) == ["theirs"]


def test_boards_are_begun_deleted_and_restored(people: make.People) -> None:
    _card, board_id = kept(people.ana, "repeats", {}, title="a")
    app = sound(signed_in(people.ana, "board"))
    press(app, "Delete board")
    assert "A board keeps charts of" in body(app)
    app.session_state["board_new"] = True
    sound(app.run())
    press(app, "B")
    with begin(people.ana) as conn:
        assert [board.id for board in boards.listed(conn, viewer=people.ana)] == [board_id]
    app = sound(signed_in(people.ana, "board"))
    app.session_state["board_new"] = True
    sound(app.run())
    app.text_input(key="board_new_name").set_value("Second")
    press(app, "Begin board")
    assert "Nothing is kept" not in body(app)
    assert "A board keeps charts of" in body(app)
    app = sound(signed_in(people.ana, "board", board_id="999"))
    assert "the board of this link is not there any more" in body(app)


# --- the ways ------------------------------------------------------------------------------------------------------


def test_the_ways_between_segments_and_the_explorer(people: make.People) -> None:
    number = segment(people.ana)
    app = sound(signed_in(people.ana, "segment", id=str(number)))
    ways = {link.label for link in app.main.get("page_link")}
    assert {"Cohorts", "Repeat purchases"} <= ways
    sound(app.run())
    new = sound(signed_in(people.ana, "segment"))
    assert "Cohorts" not in {link.label for link in new.main.get("page_link")}
    app = sound(signed_in(people.ana, "cohorts", cohorts_segment=f"s{number}"))
    assert "Open segment" in [link.label for link in app.main.get("page_link")]
    app = sound(signed_in(people.ana, "cohorts"))
    assert "Open segment" not in [link.label for link in app.main.get("page_link")]


# --- titles that nobody typed --------------------------------------------------------------------------------------


def test_a_title_that_nobody_typed_is_in_the_readers_language(people: make.People) -> None:
    number = segment(people.ana, shared=True)
    with begin(people.ana, write=True) as conn:
        keep = {"actor": people.ana, "chart": "cohorts"}
        card_id, board_id, _set = boards.keep(conn, params={"cohorts_segment": f"s{number}"}, **keep)
        boards.keep(conn, params={"cohorts_segment": "stage_lost"}, board_id=board_id, **keep)
        boards.keep(conn, params={}, title="Typed", board_id=board_id, **keep)
        _card, second, _set = boards.keep(conn, params={}, **keep)
    for language, name, titles in (
        ("en", "My board", ("Cohorts by month · My <West>", "Cohorts by month · Stage: Lost", "Typed")),
        ("zh_CN", "我的看板", ("按月划分的同期群 · My <West>", "按月划分的同期群 · 阶段：已流失", "Typed")),
    ):
        app = sound(signed_in(people.ana, "board", language=language, board_id=str(board_id)))
        shown = said(app)
        assert f"\nh1\n{name}\n" in shown
        assert [title for title in titles if title not in shown] == []
        assert any(option.startswith(f"{name} 2") for box in app.selectbox for option in box.options)
        # The form opens with what is kept: to save it as it is gives nobody a title in one language.
        assert app.text_input(key=f"board_title_{card_id}_1").value == ""
        assert app.text_input(key=f"board_title_{card_id}_1").placeholder == titles[0]
        assert app.text_input(key=f"board_name_{board_id}_1").value == name
        with speaking(language):  # else AppTest would look for the names of options in another one
            sound(app.button(key=f"board_save_{board_id}_1").click().run())
    with begin(people.ana) as conn:
        assert {board.name for board in boards.listed(conn, viewer=people.ana)} == {"My board", "My board 2"}
        assert boards.get(conn, viewer=people.ana, board_id=second).called == "My board 2"


def test_a_board_that_was_named_is_called_so_in_every_language(people: make.People) -> None:
    with begin(people.ana, write=True) as conn:
        _card, board_id, _set = boards.keep(conn, actor=people.ana, chart="repeats", params={}, board_name="My board x")
    assert "\nh1\nMy board x\n" in said(sound(signed_in(people.ana, "board", language="zh_CN", board_id=str(board_id))))


def test_an_empty_board_leads_to_each_screen_once(people: make.People) -> None:
    app = sound(signed_in(people.mark, "board", language="zh_CN"))
    labels = [link.label for link in app.main.get("page_link")]
    assert len(labels) == len(set(labels)) > 5
