"""Where a segment is used: named for those who may see it, and going on while the segment is archived."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from db import boards, clock, clusters, saved_segments, segment_uses, segments
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
        return [(use.kind, use.name) for use in segment_uses.uses(conn, viewer=viewer, segment_id=segment_id)]


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
