"""Where a segment is used: named for those who may see it, and going on while the segment is archived."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from db import boards, clock, clusters, saved_segments, saved_views, segment_uses, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, NotFound, Refused
from db.permissions import Viewer
from db.undo import undo
from tests import conftest, make
from tests.db.entry_points import MODEL

OSLO = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"uses_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def keep(viewer: Viewer, name: str, rule: Any = OSLO, **values: Any) -> tuple[int, int]:
    written = rule if isinstance(rule, str) else json.dumps(rule)
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=written, **values)


def cluster(viewer: Viewer, name: str, of: str) -> int:
    with begin(viewer, write=True) as conn:
        return clusters.save(conn, actor=viewer, name=name, model=MODEL | {"of": of})[0]


def used(viewer: Viewer, segment_id: int) -> list[tuple[str, str]]:
    with begin(viewer) as conn:
        return [(use.kind, use.name) for use in segment_uses.uses(conn, viewer=viewer, segment_id=segment_id).named]


def archive(viewer: Viewer, segment_id: int) -> int:
    with begin(viewer, write=True) as conn:
        return saved_segments.archive(conn, actor=viewer, segment_id=segment_id)


def naming(segment_id: int, op: str = "in") -> dict[str, Any]:
    return {"all": [{"any": [{"field": "segment", "op": op, "value": [segment_id]}]}]}


def test_uses_are_named_for_those_who_see_them(people: make.People) -> None:
    ann, bo = people.ann, people.bo
    base, _set = keep(ann, "Base", shared=True)
    assert used(ann, base) == []
    keep(ann, "Zoe's", naming(base))
    keep(bo, "Bo's alone", naming(base, "not in"))
    keep(bo, "Bo's shared", naming(base), shared=True)
    cluster(ann, "Habits", f"s{base}")
    cluster(ann, "Of everyone", "")
    cluster(ann, "Of another", f"s{base}9")
    shared = [("rule", "Bo's shared"), ("clusters", "Habits")]
    assert used(ann, base) == [("rule", "Zoe's"), *shared]
    assert used(bo, base) == [("rule", "Bo's alone"), *shared]
    assert used(people.ana, base) == shared
    assert sorted(used(people.root, base)) == sorted([("rule", "Zoe's"), ("rule", "Bo's alone"), *shared])


def test_an_archived_segment_goes_on_where_it_is_used(people: make.People) -> None:
    ann = people.ann
    with begin(ann, write=True) as conn:
        one = make.customer(conn, ann.user_id, name="A", city="Oslo")
    base, made = keep(ann, "Base")
    naming_it, _set = keep(ann, "Names it", naming(base))
    with begin(ann, write=True) as conn:
        frozen, _set, _n = saved_segments.freeze(conn, actor=ann, name="List", ids=[one])
    of_list = {"all": [{"field": "listed", "op": "any of", "value": [frozen]}]}
    keep(ann, "Asks the list", of_list)
    number = cluster(ann, "Habits", f"s{base}")

    def count(rule: Any) -> int:
        with begin(ann) as conn:
            return segments.count(conn, viewer=ann, rule=json.dumps(rule), today=clock.today())

    before = count(naming(base)), count(of_list)
    assert before == (1, 1)
    archive(ann, base)
    archive(ann, frozen)
    assert (count(naming(base)), count(of_list)) == before
    assert used(ann, base) == [("rule", "Names it"), ("clusters", "Habits")]
    assert used(ann, frozen) == [("rule", "Asks the list")]
    within = [naming(base)["all"][0], {"field": f"cluster.{number}", "op": "in", "value": ["1", "2"]}]
    assert count({"all": within}) == 0, "nobody has an order; the rule is counted all the same"
    archive(ann, naming_it)
    assert used(ann, base) == [("clusters", "Habits")]
    with begin(ann, write=True) as conn:
        undo(conn, actor=ann, change_set_id=archive_of(ann, base), source="screen")
    with begin(ann) as conn:
        assert saved_segments.get(conn, viewer=ann, segment_id=base).archived_at is None
    assert made


def archive_of(viewer: Viewer, segment_id: int) -> int:
    """The latest change of a segment."""
    with begin(viewer) as conn:
        return int(saved_segments.history(conn, viewer=viewer, segment_id=segment_id)[0]["change_set_id"])


def take_back(viewer: Viewer, set_id: int) -> None:
    with begin(viewer, write=True) as conn:
        undo(conn, actor=viewer, change_set_id=set_id, source="screen")


def test_the_making_of_a_used_segment_is_not_undone(people: make.People) -> None:
    ann, bo = people.ann, people.bo
    base, made = keep(ann, "Base <b>", shared=True)
    own, own_made = keep(ann, "Names it", naming(base))
    _bos, bos_made = keep(bo, "Bo's alone", naming(base))
    with begin(ann, write=True) as conn:
        _card, _board, board_made = boards.keep(
            conn, actor=ann, chart="segment_spread", params={"id": str(base)}, title="T", board_name="Mine"
        )
        _card, _board, other_made = boards.keep(
            conn, actor=ann, chart="cohorts", params={"cohorts_segment": f"s{base}"}, title="T", board_name="Other"
        )
        _card, _board, _set = boards.keep(
            conn, actor=ann, chart="cohorts", params={"cohorts_segment": f"s{base}9"}, title="T", board_name="Third"
        )
    cluster(ann, "Habits", f"s{base}")
    with pytest.raises(Conflict) as refused:
        take_back(ann, made)
    said = refused.value.message
    assert not refused.value.rows
    for part in ("“Base <b>”", "the rules of “Names it”; clusters “Habits”; the boards “Mine”, “Other”; 1 place"):
        assert part in said
    assert "Bo's" not in said
    assert "Third" not in said
    archive(ann, own)
    with pytest.raises(Conflict, match="Names it"):
        take_back(ann, made)
    with pytest.raises(Conflict, match="Bo's alone"):
        take_back(people.root, made)
    with pytest.raises((NotFound, Refused)):
        take_back(bo, made)
    take_back(ann, archive_of(ann, own))
    for viewer, set_id in ((ann, own_made), (bo, bos_made), (ann, board_made), (ann, other_made)):
        take_back(viewer, set_id)
    with begin(ann, write=True) as conn:
        clusters.archive(conn, actor=ann, clusters_id=clusters.kept(conn, viewer=ann)[0].id)
    take_back(ann, made)
    with begin(ann) as conn, pytest.raises(NotFound):
        saved_segments.get(conn, viewer=ann, segment_id=base)


def test_the_making_of_a_used_list_is_not_undone(people: make.People) -> None:
    ann = people.ann
    with begin(ann, write=True) as conn:
        one = make.customer(conn, ann.user_id, name="A", city="Oslo")
        frozen, made, _n = saved_segments.freeze(conn, actor=ann, name="List", ids=[one])
    for n in range(5):
        keep(ann, f"Asks {n}", {"all": [{"field": "listed", "op": "any of", "value": [frozen]}]})
    with pytest.raises(Conflict, match="the rules of “Asks 0”, “Asks 1”, “Asks 2” and 2 more"):
        take_back(ann, made)


def test_only_its_owner_asks_where_a_segment_is_used(people: make.People) -> None:
    base, _made = keep(people.ann, "Base", shared=True)
    keep(people.bo, "Bo's alone", naming(base))
    for viewer, n in ((people.ann, 1), (people.bo, 0), (people.root, 1)):
        with begin(viewer) as conn:
            assert len(conn.execute(select(func.uses_of_segment(base).table_valued("kind", "id"))).all()) == n


def view(viewer: Viewer, name: str, segment_id: int, visibility: str = "private") -> tuple[int, int]:
    with begin(viewer, write=True) as conn:
        params = {"segment": f"s{segment_id}"}
        return saved_views.add(conn, actor=viewer, name=name, params=params, visibility=visibility)


def board(viewer: Viewer, name: str, params: dict[str, str], chart: str = "cohorts") -> tuple[int, int]:
    """The board's number, and the change set that made it."""
    with begin(viewer, write=True) as conn:
        found = boards.keep(conn, actor=viewer, chart=chart, params=params, title="T", board_name=name)
        return found[1], found[2]


def unseen(viewer: Viewer, segment_id: int) -> int:
    with begin(viewer) as conn:
        return segment_uses.uses(conn, viewer=viewer, segment_id=segment_id).hidden


def test_boards_and_views_are_named_for_those_who_see_them_and_else_numbered(people: make.People) -> None:
    ann, bo, ana = people.ann, people.bo, people.ana
    base, _set = keep(ann, "Base", shared=True)
    pair = f"s{base},stage_loyal"
    board(bo, "Bo's board", {"cohorts_segment": f"s{base}"})
    shown, _set = board(ana, "Ana's board", {"segments_sets": pair}, "segments_overlap")
    board(ann, "Another", {"cohorts_segment": f"s{base}9", "cohorts_against": f"s9{base}"})
    gone, _set = board(ann, "Gone", {"id": str(base)}, "segment_spread")
    view(bo, "Bo's view", base)
    view(bo, "Team's view", base, "team")
    view(ann, "Ann's <i>", base)
    view(ann, "Of another", base * 10 + 1)
    with begin(ana, write=True) as conn:
        boards.save(conn, actor=ana, board_id=shown, version=1, values={"visibility": "shared"})
    with begin(ann, write=True) as conn:
        boards.archive(conn, actor=ann, board_id=gone)
    assert used(ann, base) == [("board", "Ana's board"), ("view", "Ann's <i>"), ("view", "Team's view")]
    assert unseen(ann, base) == 2, "Bo's board and his view"
    assert used(bo, base) == [
        ("board", "Ana's board"),
        ("board", "Bo's board"),
        ("view", "Bo's view"),
        ("view", "Team's view"),
    ]
    assert used(people.cho, base) == used(ana, base) == used(people.mark, base) == [("board", "Ana's board")]
    for viewer in (bo, people.cho, ana, people.mark):
        assert unseen(viewer, base) == 0, "how many there are is told to nobody but the owner"
    assert unseen(people.root, base) == 0
    assert len(used(people.root, base)) == 5
    mine, _set = keep(ana, "Ana's", shared=True)
    view(bo, "Of Ana's", mine)
    assert (used(ana, mine), unseen(ana, mine)) == ([], 1)


def test_views_hold_the_making_of_a_segment(people: make.People) -> None:
    ann, bo = people.ann, people.bo
    base, made = keep(ann, "Base", shared=True)
    view_id, view_made = view(ann, "Mine", base)
    _bos, bos_made = view(bo, "Bo's", base)
    with pytest.raises(Conflict, match="the views “Mine” of the list of customers; 1 place that you do not see"):
        take_back(ann, made)
    with begin(ann, write=True) as conn:
        saved_views.archive(conn, actor=ann, view_id=view_id)
    with pytest.raises(Conflict, match="1 place that you do not see") as refused:
        take_back(ann, made)
    assert "Bo's" not in refused.value.message
    take_back(bo, bos_made)
    take_back(ann, made)
    assert view_made


def made_of(number: int) -> dict[str, Any]:
    return {"all": [{"none": [{"field": f"cluster.{number}", "op": "in", "value": ["1"]}]}]}


def test_the_making_of_used_clusters_is_not_undone(people: make.People) -> None:
    ann, bo = people.ann, people.bo
    with begin(ann, write=True) as conn:
        number, made = clusters.save(conn, actor=ann, name="Habits <b>", model=MODEL)
        other, _set = clusters.save(conn, actor=ann, name="Others", model=MODEL)
    own, _set = keep(ann, "Asks", made_of(number))
    _bos, bos_made = keep(bo, "Bo's alone", made_of(number))
    keep(bo, "Asks others", made_of(other))
    kept = {"clusters_kept": str(number), "clusters_by": "x"}
    _board, board_made = board(ann, "Mine", kept, "clusters")
    board(ann, "Third", {"clusters_kept": f"{number}9"}, "clusters")
    where = "The clusters “Habits <b>” are used, so making them cannot be undone: the rules of “Asks”; the boards "
    with pytest.raises(Conflict) as refused:
        take_back(ann, made)
    assert where + "“Mine”; 1 place that you do not see." in refused.value.message
    assert not refused.value.rows
    archive(ann, own)
    with pytest.raises(Conflict, match="Asks"):
        take_back(ann, made)
    with pytest.raises(Conflict, match="Bo's alone"):
        take_back(people.root, made)
    with pytest.raises((NotFound, Refused)):
        take_back(bo, made)
    take_back(ann, archive_of(ann, own))
    with begin(ann, write=True) as conn:
        saved_segments.save(conn, actor=ann, segment_id=own, version=3, name="Asks", rule=OSLO)
    take_back(bo, bos_made)
    take_back(ann, board_made)
    take_back(ann, made)
    with begin(ann) as conn:
        assert [one.name for one in clusters.kept(conn, viewer=ann)] == ["Others"]
        for viewer, n in ((ann, 1), (bo, 0)):
            with begin(viewer) as asked:
                found = asked.execute(select(func.uses_of_clusters(other).table_valued("kind", "id"))).all()
                assert len(found) == n, "only their owner is told"
