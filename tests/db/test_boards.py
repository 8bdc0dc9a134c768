"""Boards: who sees and changes them, the order of cards, two editors, undo, hostile values, segments that are gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from db import board_charts, boards, connection, saved_segments, schema
from db.boards import MOST_BOARDS, MOST_CARDS, Board, Card
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import GATE, WORKER, Viewer
from db.undo import undo
from tests import conftest, make

HOSTILE = "'; DROP TABLE boards; -- <img src=x>"
WEST = '{"all":[{"field":"region","op":"in","value":["West"]}]}'


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"boards_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture(autouse=True)
def empty(people: make.People) -> Iterator[None]:
    yield
    with connection.begin_owner() as conn:
        for table in (schema.board_cards, schema.boards, schema.segments):
            conn.execute(delete(table))


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def take_back(actor: Viewer, set_id: int, **more: Any) -> int:
    return int(do(undo, actor, change_set_id=set_id, source="screen", **more).change_set_id)


def begun(actor: Viewer, name: str = "B", **values: Any) -> int:
    return int(do(boards.add, actor, name=name, **values)[0])


def kept(actor: Viewer, board_id: int, title: str = "C", **values: Any) -> int:
    values = {"chart": "repeats", "params": {}} | values
    return int(do(boards.keep, actor, board_id=board_id, title=title, **values)[0])


def get(viewer: Viewer, board_id: int) -> Board:
    with begin(viewer) as conn:
        return boards.get(conn, viewer=viewer, board_id=board_id)


def card(viewer: Viewer, board_id: int, card_id: int) -> Card:
    return next(one for one in get(viewer, board_id).cards if one.id == card_id)


def titles(viewer: Viewer, board_id: int) -> list[str]:
    return [one.title for one in get(viewer, board_id).cards]


def listed(viewer: Viewer) -> list[str]:
    with begin(viewer) as conn:
        return [board.name for board in boards.listed(conn, viewer=viewer)]


def deleted(viewer: Viewer) -> list[str]:
    with begin(viewer) as conn:
        return [board.name for board in boards.aside(conn, viewer=viewer).deleted]


# --- keeping, and taking back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ann", "ana", "mark", "root"])
def test_a_chart_is_kept_on_a_new_board_and_every_step_is_undone(people: make.People, who: str) -> None:
    actor = getattr(people, who)
    params = {"cohorts_span": "24", "cohorts_segment": "stage_at_risk", "cohorts_unit": ""}
    card_id, board_id, made = do(
        boards.keep, actor, chart="cohorts", params=params, title="  First ", board_name="My board"
    )
    board = get(actor, board_id)
    assert (board.name, board.visibility, board.mine, board.size) == ("My board", "private", True, 1)
    [found] = board.cards
    assert (found.title, found.chart, found.wide) == ("First", "cohorts", False)
    assert found.params == {"cohorts_span": "24", "cohorts_segment": "stage_at_risk"}
    assert (found.about, found.problem) == (("Stage: At risk",), "")
    renamed = do(boards.change_card, actor, card_id=card_id, version=1, values={"title": "Two", "wide": True})
    assert (card(actor, board_id, card_id).title, card(actor, board_id, card_id).wide) == ("Two", True)
    removed = do(boards.remove, actor, card_id=card_id)
    assert get(actor, board_id).cards == ()
    again = take_back(actor, removed)
    assert (card(actor, board_id, card_id).title, card(actor, board_id, card_id).params) == ("Two", found.params)
    take_back(actor, again)
    assert get(actor, board_id).cards == ()
    with pytest.raises(Invalid, match="undone already"):
        take_back(actor, removed)
    with pytest.raises(Conflict):
        take_back(actor, renamed)
    other, _board, set_id = do(boards.keep, actor, chart="repeats", params={}, title="x", board_id=board_id)
    take_back(actor, set_id)
    assert get(actor, board_id).cards == ()
    assert other != card_id
    with pytest.raises(Conflict):
        take_back(actor, made)  # its card is gone


def test_keeping_on_a_new_board_is_taken_back_with_the_board(people: make.People) -> None:
    _card, board_id, made = do(boards.keep, people.ana, chart="repeats", params={}, title="x", board_name="B")
    take_back(people.ana, made)
    assert listed(people.ana) == []
    with pytest.raises(NotFound):
        get(people.ana, board_id)


def test_a_board_is_renamed_shared_deleted_and_restored(people: make.People) -> None:
    board_id, made = do(boards.add, people.ana, name="B")
    assert get(people.ana, board_id).cards == ()
    shared = do(boards.save, people.ana, board_id=board_id, version=1, values={"name": "C", "visibility": "shared"})
    assert listed(people.bo) == ["C"]
    assert do(boards.save, people.ana, board_id=board_id, version=2, values={"name": "C"}) is None
    gone = do(boards.archive, people.ana, board_id=board_id)
    assert (listed(people.ana), listed(people.bo), deleted(people.ana), deleted(people.bo)) == ([], [], ["C"], [])
    with pytest.raises(Invalid, match="deleted already"):
        do(boards.archive, people.ana, board_id=board_id)
    with pytest.raises(Invalid, match="Restore it"):
        kept(people.ana, board_id)
    take_back(people.ana, gone)
    take_back(people.ana, shared)
    assert (listed(people.ana), listed(people.bo)) == (["B"], [])
    kept(people.ana, board_id)
    with pytest.raises(Conflict, match="added to this since"):
        take_back(people.ana, made)


def test_cards_change_places_and_back(people: make.People) -> None:
    board_id = begun(people.ana)
    a, b, c = (kept(people.ana, board_id, title) for title in "abc")
    assert do(boards.move, people.ana, card_id=a, down=False) is None
    assert do(boards.move, people.ana, card_id=c, down=True) is None
    moved = do(boards.move, people.ana, card_id=a, down=True)
    assert titles(people.ana, board_id) == ["b", "a", "c"]
    do(boards.move, people.ana, card_id=c, down=False)
    assert titles(people.ana, board_id) == ["b", "c", "a"]
    do(boards.move, people.ana, card_id=c, down=True)
    take_back(people.ana, moved)
    assert titles(people.ana, board_id) == ["a", "b", "c"]
    removed = do(boards.remove, people.ana, card_id=b)
    do(boards.move, people.ana, card_id=c, down=False)
    take_back(people.ana, removed)
    assert sorted(titles(people.ana, board_id)) == ["a", "b", "c"]
    do(boards.move, people.ana, card_id=b, down=True)
    assert len(set(titles(people.ana, board_id))) == 3


# --- who may -------------------------------------------------------------------------------------------------------


def test_a_private_board_is_nobody_elses(people: make.People) -> None:
    board_id = begun(people.ana)
    card_id = kept(people.ana, board_id)
    for other in (people.ann, people.mia, people.mark):
        assert listed(other) == []
        for command, values in (
            (boards.archive, {"board_id": board_id}),
            (boards.save, {"board_id": board_id, "version": 1, "values": {"name": "x"}}),
            (boards.keep, {"board_id": board_id, "chart": "repeats", "params": {}, "title": "x"}),
            (boards.change_card, {"card_id": card_id, "version": 1, "values": {"title": "x"}}),
            (boards.move, {"card_id": card_id, "down": True}),
            (boards.remove, {"card_id": card_id}),
        ):
            with pytest.raises(NotFound):
                do(command, other, **values)
        with pytest.raises(NotFound):
            get(other, board_id)
        with begin(other) as conn:
            assert conn.scalars(select(schema.board_cards.c.title)).all() == []
    assert get(people.root, board_id).mine, "administrators see and mend all boards"
    for viewer in (WORKER, GATE):
        with pytest.raises(Refused):
            get(viewer, board_id)


def test_who_sees_a_shared_board_changes_nothing_of_it(people: make.People) -> None:
    board_id = begun(people.ana, visibility="shared")
    card_id = kept(people.ana, board_id, "hers")
    for other in (people.ann, people.mia, people.mark):
        board = get(other, board_id)
        assert (board.mine, titles(other, board_id)) == (False, ["hers"])
        for command, values in (
            (boards.archive, {"board_id": board_id}),
            (boards.keep, {"board_id": board_id, "chart": "repeats", "params": {}, "title": "x"}),
            (boards.change_card, {"card_id": card_id, "version": 1, "values": {"title": "x"}}),
            (boards.move, {"card_id": card_id, "down": True}),
            (boards.remove, {"card_id": card_id}),
        ):
            with pytest.raises(Refused, match="Only its owner"):
                do(command, other, **values)
        with begin(other, write=True) as conn:
            assert conn.execute(update(schema.board_cards).values(title="x")).rowcount == 0
            assert conn.execute(delete(schema.board_cards)).rowcount == 0
        # Past the commands: a card in somebody else's board, under one's own name and under hers.
        for owner in (other.user_id, people.ana.user_id):
            row = {"board_id": board_id, "owner_id": owner, "position": 1, "chart": "x"}
            stamped = (
                "INSERT INTO board_cards (board_id, owner_id, position, chart, created_at, updated_at) "
                "VALUES (:board_id, :owner_id, :position, :chart, '2026-1-1', '2026-1-1')"
            )
            with pytest.raises((DBAPIError, Refused)), begin(other, write=True) as conn:
                conn.execute(text(stamped), row)
    do(boards.save, people.ana, board_id=board_id, version=1, values={"visibility": "private"})
    with begin(people.ann) as conn:
        assert conn.scalars(select(schema.board_cards.c.title)).all() == []
    assert titles(people.ana, board_id) == ["hers"]


def test_a_teams_board_is_the_teams(people: make.People) -> None:
    board_id = begun(people.ann, visibility="team")
    kept(people.ann, board_id)
    assert (listed(people.mia), listed(people.cho)) == (["B"], [])
    with begin(people.cho) as conn:
        assert conn.scalars(select(schema.board_cards.c.title)).all() == []
    with pytest.raises(Invalid, match="no team"):
        begun(people.ana, visibility="team")


def test_an_administrator_adds_to_anothers_board_as_its_owners(people: make.People) -> None:
    board_id = begun(people.ana)
    card_id = kept(people.root, board_id, "by root")
    assert titles(people.ana, board_id) == ["by root"]
    do(boards.remove, people.ana, card_id=card_id)


# --- what a card is about ------------------------------------------------------------------------------------------


def test_a_card_says_when_its_segment_is_gone_private_or_archived(people: make.People) -> None:
    segment, _set = do(saved_segments.save, people.ana, name="West", rule=WEST, shared=True)
    board_id = begun(people.ana, visibility="shared")
    card_id = kept(people.ana, board_id, chart="cohorts", params={"cohorts_segment": f"s{segment}"})
    for viewer in (people.ana, people.ann):
        assert card(viewer, board_id, card_id).about == ("West",)
    do(saved_segments.save, people.ana, segment_id=segment, version=1, name="West", rule=WEST, shared=False)
    assert card(people.ana, board_id, card_id).problem == ""
    found = card(people.ann, board_id, card_id)
    assert (found.about, found.problem) == ((), "segment gone")
    do(saved_segments.archive, people.ana, segment_id=segment)
    assert card(people.ana, board_id, card_id).problem == "segment archived"
    never = kept(people.ana, board_id, chart="segment_size", params={"id": "999999999999999999"})
    assert card(people.ana, board_id, never).problem == "segment gone"
    no_clusters = kept(people.ana, board_id, chart="clusters", params={"clusters_kept": "5"})
    assert card(people.ana, board_id, no_clusters).problem == "clusters gone"
    with connection.begin_owner() as conn:
        conn.execute(update(schema.board_cards).where(schema.board_cards.c.id == never).values(chart="of tomorrow"))
    assert card(people.ana, board_id, never).problem == "chart"
    assert {c.problem for c in get(people.ana, board_id).cards} <= board_charts.PROBLEMS.keys()


def test_segments_are_named_by_codes() -> None:
    chart = board_charts.CHARTS["segments_overlap"]
    assert board_charts.codes(chart, {"segments_sets": "s3,lost,s3"}) == ("s3", "lost")
    assert board_charts.codes(board_charts.CHARTS["segment_size"], {"id": "7"}) == ("s7",)
    cohorts = {"cohorts_segment": "everyone", "cohorts_against": "s4"}
    assert board_charts.codes(board_charts.CHARTS["cohorts"], cohorts) == ("s4",)
    assert [board_charts.number_of(code) for code in ("s12", "lost", "s", "s٣", "12")] == [12, None, None, None, None]
    assert board_charts.taking_segments() == ("cohorts", "repeats", "affinity", "flows")


# --- two editors, limits, hostile values -----------------------------------------------------------------------------


def test_two_editors_keep_what_is_disjoint_and_see_what_is_not(people: make.People) -> None:
    board_id = begun(people.ana)
    card_id = kept(people.ana, board_id, "old")
    opened = {"title": "old", "wide": False}
    do(boards.change_card, people.root, card_id=card_id, version=1, values={"wide": True})
    mine = {"card_id": card_id, "version": 1, "values": {"title": "mine"}}
    do(boards.change_card, people.ana, **mine, opened=opened)
    found = card(people.ana, board_id, card_id)
    assert (found.title, found.wide) == ("mine", True)
    with pytest.raises(Conflict) as caught:
        do(boards.change_card, people.root, card_id=card_id, version=1, values={"title": "x"}, opened=opened)
    assert caught.value.rows == [{"column": "title", "mine": "x", "theirs": "mine"}]
    do(boards.save, people.root, board_id=board_id, version=1, values={"name": "R"})
    with pytest.raises(Conflict):
        do(boards.save, people.ana, board_id=board_id, version=1, values={"name": "A"}, opened={"name": "B"})
    removed = do(boards.remove, people.root, card_id=card_id)
    with pytest.raises(NotFound, match="not there any more"):
        do(boards.change_card, people.ana, **mine)
    assert removed


def test_limits_are_told(people: make.People) -> None:
    board_id = begun(people.ana)
    for n in range(MOST_CARDS):
        kept(people.ana, board_id, str(n))
    with pytest.raises(Invalid, match=f"{MOST_CARDS} charts"):
        kept(people.ana, board_id)
    with pytest.raises(Invalid, match="of this name already"):
        begun(people.ana, "b")
    for n in range(1, MOST_BOARDS):
        begun(people.ana, f"B{n}")
    with pytest.raises(Invalid, match=f"{MOST_BOARDS} boards"):
        begun(people.ana, "one more")
    with pytest.raises(Invalid, match=f"{MOST_BOARDS} boards"):
        do(boards.keep, people.ana, chart="repeats", params={}, title="x", board_name="one more")


@pytest.mark.parametrize(
    ("chart", "params"),
    [
        ("nothing", {}),
        (None, {}),
        ("cohorts", {"segment_rule": WEST}),
        ("cohorts", {"cohorts_span": "x" * 201}),
        ("cohorts", {"cohorts_span": 12}),
        ("cohorts", [("cohorts_span", "12")]),
        ("segment_size", {}),
        ("segment_size", {"id": ""}),
        ("segments_overlap", {"segments_sets": "s1"}),
    ],
)
def test_what_is_no_chart_is_not_kept(people: make.People, chart: Any, params: Any) -> None:
    board_id = begun(people.ana)
    with pytest.raises(Invalid):
        kept(people.ana, board_id, chart=chart, params=params)


def test_hostile_texts_are_texts(people: make.People) -> None:
    board_id = begun(people.ana, HOSTILE)
    card_id = kept(people.ana, board_id, HOSTILE, params={"repeats_segment": HOSTILE})
    found = card(people.ana, board_id, card_id)
    assert (found.title, found.params["repeats_segment"], found.problem) == (HOSTILE, HOSTILE, "segment gone")
    for bad in ("x" * 121, None, 5):
        with pytest.raises(Invalid) as caught:
            kept(people.ana, board_id, bad)  # type: ignore[arg-type]
        assert "title" in caught.value.fields
    for bad in ("", "x" * 61, None):
        with pytest.raises(Invalid):
            begun(people.ana, bad)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        begun(people.ana, "y", visibility="everybody")
    with pytest.raises(Invalid):
        do(boards.save, people.ana, board_id=board_id, version=1, values={"owner_id": 1})
    with pytest.raises(Invalid):
        do(boards.change_card, people.ana, card_id=card_id, version=1, values={"params": {}})
    for number in (0, -1, 2**63, 10**30):
        with pytest.raises(NotFound):
            get(people.ana, number)
        with pytest.raises(NotFound):
            do(boards.remove, people.ana, card_id=number)
