"""Who joined and left, sizes by day, frozen segments, sets: by hand, by the wrong people, and after an undo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from db import (
    clock,
    connection,
    customer,
    rules,
    saved_segments,
    schema,
    segment_members,
    segment_moves,
    segment_sets,
    segments,
    tags,
)
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import WORKER, Viewer
from db.undo import undo
from tests import conftest, make
from tests.db.test_segment_members import work
from worker import tasks

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
OSLO = json.dumps({"all": [{"field": "city", "op": "in", "value": ["Oslo"]}]})
PHONE = json.dumps({"all": [{"field": "phone", "op": "in", "value": ["yes"]}]})
EVERYONE = '{"all": []}'


@pytest.fixture
def people(server: Server, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[make.People]:
    monkeypatch.setenv("KEHU_NOW", START.isoformat())
    name = f"moves_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def later(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    monkeypatch.setenv("KEHU_NOW", (START + timedelta(days=days)).isoformat())


def worked() -> None:
    with begin(WORKER, write=True) as conn:
        work(conn)


def keep(viewer: Viewer, rule: str, name: str = "S", **options: Any) -> int:
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=rule, **options)[0]


def freeze(viewer: Viewer, ids: list[int], name: str = "F", **options: Any) -> tuple[int, int, int]:
    with begin(viewer, write=True) as conn:
        return saved_segments.freeze(conn, actor=viewer, name=name, ids=ids, **options)


def add(viewer: Viewer, name: str, city: str = "", **values: str) -> int:
    with begin(viewer, write=True) as conn:
        return customer.add(conn, actor=viewer, values={"name": name, "city": city} | values)[0]


def edit(viewer: Viewer, customer_id: int, version: int, **values: str) -> None:
    with begin(viewer, write=True) as conn:
        customer.save(conn, actor=viewer, customer_id=customer_id, version=version, values=values)


def asked(viewer: Viewer, query: Any, **values: Any) -> Any:
    with begin(viewer) as conn:
        return query(conn, viewer=viewer, **values)


def ids_of(viewer: Viewer, segment_id: int) -> list[int]:
    return asked(viewer, segment_moves.members, segment_id=segment_id).rows["id"].tolist()


def course(viewer: Viewer, segment_id: int) -> list[tuple[int, int, int]]:
    rows = asked(viewer, segment_moves.course, segment_id=segment_id, today=clock.today(), days=30)
    return [tuple(row) for row in rows[["size", "joined", "left"]].itertuples(index=False)]


def moved(viewer: Viewer, segment_id: int, joined: bool, days: int = 7) -> list[tuple[int, str]]:
    found = asked(viewer, segment_moves.moves, segment_id=segment_id, today=clock.today(), joined=joined, days=days)
    assert found.total == len(found.rows)
    return list(zip(found.rows["id"], found.rows["cause"], strict=True))


def test_a_week_of_a_segment_by_hand(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bo, root = people.ann, people.bo, people.root
    a, b = add(ann, "A", "Oslo"), add(bo, "B", "Oslo")
    c = add(ann, "C", "Rome")
    segment = keep(root, OSLO, shared=True)
    assert asked(root, segment_moves.state, segment_id=segment, today=clock.today()).problem == "new"
    assert ids_of(root, segment) == []
    assert course(root, segment) == []
    worked()
    state = asked(root, segment_moves.state, segment_id=segment, today=clock.today())
    assert (state.current, state.problem, state.began_at) == (True, "", START)
    assert ids_of(root, segment) == [a, b]
    assert course(root, segment) == [(2, 0, 0)]
    later(monkeypatch, 1)
    edit(ann, c, 1, city="Oslo")
    state = asked(root, segment_moves.state, segment_id=segment, today=clock.today())
    assert (state.current, state.as_of) == (False, START), "another day, and nothing found anew yet"
    worked()
    later(monkeypatch, 3)
    edit(ann, a, 1, city="Rome")
    edit(bo, b, 1, city="Rome")
    worked()
    later(monkeypatch, 4)
    edit(bo, b, 2, city="Oslo")
    state = asked(root, segment_moves.state, segment_id=segment, today=clock.today())
    worked()
    assert course(root, segment) == [(2, 0, 0), (3, 1, 0), (3, 0, 0), (1, 0, 2), (2, 1, 0)]
    # Bo's customer left and came back: neither joined nor left, seen over the week.
    assert moved(root, segment, True) == [(c, "data")]
    assert moved(root, segment, False) == [(a, "data")]
    assert moved(root, segment, False, days=1) == []
    # Each sees their own.
    assert course(ann, segment) == [(1, 0, 0), (2, 1, 0), (2, 0, 0), (1, 0, 1), (1, 0, 0)]
    assert course(bo, segment) == [(1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 0, 1), (1, 1, 0)]
    assert (ids_of(ann, segment), ids_of(bo, segment), ids_of(people.cho, segment)) == ([c], [b], [])
    assert course(people.ana, segment) == course(root, segment)
    # Another rule: who leaves by it is told apart. Archived: no longer kept.
    with begin(root, write=True) as conn:
        rome = OSLO.replace("Oslo", "Rome")
        saved_segments.save(conn, actor=root, name="S", rule=rome, shared=True, segment_id=segment, version=1)
    worked()
    assert moved(root, segment, True) == [], "one who left and came back by it, one who had come and left"
    assert moved(root, segment, False) == [(b, "rule")]
    with begin(root, write=True) as conn:
        put_away = saved_segments.archive(conn, actor=root, segment_id=segment)
    edit(ann, a, 2, city="Paris")
    worked()
    assert ids_of(root, segment) == [a]
    assert asked(root, segment_moves.state, segment_id=segment, today=clock.today()).problem == "archived"
    with begin(root, write=True) as conn:
        undo(conn, actor=root, change_set_id=put_away, source="screen")
    worked()
    assert ids_of(root, segment) == []


def test_what_figures_do_not_see_reaches_the_segments_too(people: make.People) -> None:
    """A tag, a consent, a custom field: all that is changed through the one door queues the customer."""
    one = add(people.ann, "A")
    worked()
    queue = select(schema.segment_touches.c.customer_id)
    for change in (
        lambda conn: tags.add(conn, actor=people.ann, customer_id=one, tag="vip"),
        lambda conn: customer.add_note(conn, actor=people.ann, customer_id=one, body="x"),
        lambda conn: customer.save(conn, actor=people.ann, customer_id=one, version=1, values={"city": "Oslo"}),
    ):
        with begin(people.ann, write=True) as conn:
            change(conn)
        with connection.begin_owner() as conn:
            assert set(conn.scalars(queue)) == {one}
        worked()
        with connection.begin_owner() as conn:
            assert conn.scalars(queue).all() == []


def test_nobody_learns_from_memberships_what_they_may_not_see(people: make.People) -> None:
    ann, bo, mark, root = people.ann, people.bo, people.mark, people.root
    a = add(ann, "A", "Oslo", phone="+86 138 0000 0000")
    private = keep(bo, EVERYONE, "Private")
    personal = keep(ann, PHONE, "Reachable", shared=True)
    plain = keep(ann, OSLO, "Oslo", shared=True)
    frozen, _set, _n = freeze(ann, [a], "Called", shared=True, personal=True)
    worked()
    m, v, s = schema.segment_members, schema.segment_moves, schema.segment_states
    with connection.begin_owner() as conn:
        for segment_id in (private, personal, plain, frozen):
            values = {"customer_id": a, "segment_id": segment_id, "joined": True, "at": clock.now(), "cause": "data"}
            conn.execute(insert(v).values(**values))

    def seen(viewer: Viewer) -> list[set[int]]:
        with begin(viewer) as conn:
            return [set(conn.scalars(select(t.c.segment_id))) for t in (m, v, s)]

    assert seen(ann) == [{personal, plain, frozen}] * 3
    assert seen(mark) == seen(people.ana) == [{plain}] * 3
    assert seen(root) == [{private, personal, plain, frozen}] * 3
    assert seen(bo) == [set(), set(), {private, personal, plain, frozen}], "none of these customers is Bo's"
    for query, more in ((segment_moves.members, {}), (segment_moves.moves, {"joined": True, "today": clock.today()})):
        assert asked(mark, query, segment_id=personal, **more).total == 0
        with pytest.raises(NotFound):
            asked(ann, query, segment_id=private, **more)
    for table in ("segment_members", "segment_moves", "segment_states"):
        for viewer in (ann, mark, root):
            with begin(viewer, write=True) as conn, pytest.raises(Refused), connection.translated():
                conn.execute(text(f"DELETE FROM public.{table}"))  # noqa: S608  (names from this test)
    # A rule that is not personal any more does not tell what the one before it found.
    with begin(ann, write=True) as conn:
        saved_segments.save(conn, actor=ann, name="R", rule=OSLO, shared=True, segment_id=personal, version=1)
    assert seen(mark)[1] == {plain}
    worked()
    assert seen(mark)[0] == {plain, personal}
    assert seen(mark)[1] == {plain}


def test_a_frozen_segment_keeps_whom_it_was_made_of(people: make.People) -> None:
    ann, bo, root = people.ann, people.bo, people.root
    a, b, c = add(ann, "A", "Oslo"), add(bo, "B", "Oslo"), add(ann, "C", "Rome")
    frozen, made, n = freeze(root, [a, b, 999_999, -5], shared=True, folder=" Spring ", tags=["vip", "VIP", " new "])
    assert n == 2
    one = asked(root, saved_segments.get, segment_id=frozen)
    assert (one.kind, one.folder, one.tags, one.frozen) == ("frozen", "Spring", ("new", "VIP"), True)
    edit(ann, a, 1, city="Rome")
    worked()
    rule = rules.written(one.rule)

    def count(viewer: Viewer, of: str = rule) -> int:
        return asked(viewer, segments.count, rule=of, today=clock.today())

    assert (count(root), count(ann), count(bo), count(people.ana)) == (2, 1, 1, 2)
    assert asked(ann, segments.who, rule=rule, today=clock.today(), limit=9) == (a,)
    # In another rule, live: of the frozen ones those in Oslo.
    both = json.dumps({"all": [json.loads(rule)["all"][0], json.loads(OSLO)["all"][0]]})
    live = keep(ann, both, "Still there", shared=True)
    worked()
    assert count(root, both) == 1
    assert ids_of(root, live) == [b]
    assert [used.id for used in asked(root, saved_segments.used_by, segment_id=frozen)] == [live]
    with begin(root, write=True) as conn, pytest.raises(Invalid, match="keeps its customers"):
        saved_segments.save(conn, actor=root, name="F", rule=OSLO, segment_id=frozen, version=1)
    with begin(root, write=True) as conn, pytest.raises(Conflict, match="the rules of “Still there”"):
        undo(conn, actor=root, change_set_id=made, source="screen")
    with begin(ann, write=True) as conn:
        kept = {"name": "Still there", "rule": OSLO, "shared": True, "segment_id": live, "version": 1}
        saved_segments.save(conn, actor=ann, **kept)
    # Taken back it is nobody's; taken back again it has the same customers.
    with begin(root, write=True) as conn:
        gone = undo(conn, actor=root, change_set_id=made, source="screen").change_set_id
    assert count(ann) == 0
    with begin(root, write=True) as conn:
        undo(conn, actor=root, change_set_id=gone, source="screen")
    assert (count(root), count(ann)) == (2, 1)
    assert c not in asked(root, segments.who, rule=rule, today=clock.today(), limit=9)


def test_who_freezes_lists_no_customer_out_of_sight_and_nothing_twice(people: make.People) -> None:
    ann, bo, ana, mark = people.ann, people.bo, people.ana, people.mark
    a, b = add(ann, "A"), add(bo, "B")
    mine, _set, n = freeze(ann, [a, b])
    assert (n, ids_of(ann, mine), ids_of(people.root, mine)) == (1, [a], [a])
    with pytest.raises(Invalid, match="nobody to keep"):
        freeze(ann, [b], "Theirs")
    with pytest.raises(Invalid, match="nobody to keep"):
        freeze(ann, [], "Nobody")
    with pytest.raises(Invalid, match="of this name already"):
        freeze(ann, [a])
    with pytest.raises(Invalid, match="at most 100,000"):
        freeze(ann, list(range(1, 100_002)), "Many")
    assert freeze(mark, [a, b], "All")[2] == 2
    live = keep(ann, EVERYONE, "Live")
    for viewer, segment_id in ((ann, mine), (bo, mine), (ann, live), (ana, mine)):
        with begin(viewer, write=True) as conn:
            forged = "SELECT public.freeze_members(:id, CAST(:ids AS bigint[]), '2026-1-1', false)"
            assert conn.scalar(text(forged), {"id": segment_id, "ids": [a, b]}) == 0
    # Bo's rule may name Ann's private list; nobody is on it for him, and the worker does not look for him.
    theirs = keep(bo, rules.written(saved_segments.listed(mine)), "Theirs")
    worked()
    assert ids_of(people.root, theirs) == []


@pytest.mark.parametrize("rule", [{"all": [{"field": "retired", "op": "in", "value": ["x"]}]}, [], 5])
def test_a_rule_that_cannot_be_read_is_left_as_it_is_and_the_others_go_on(people: make.People, rule: Any) -> None:
    a = add(people.ann, "A", "Oslo")
    broken, whole = keep(people.ann, OSLO, "Broken"), keep(people.ann, OSLO, "Whole")
    worked()
    g = schema.segments
    with connection.begin_owner() as conn:
        conn.execute(update(g).where(g.c.id == broken).values(rule=rule, version=2))
    edit(people.ann, a, 1, city="Rome")
    worked()
    assert (ids_of(people.ann, broken), ids_of(people.ann, whole)) == ([a], [])
    assert asked(people.ann, segment_moves.state, segment_id=broken, today=clock.today()).problem == "unreadable"
    with connection.begin_owner() as conn:
        conn.execute(update(g).where(g.c.id == broken).values(rule=json.loads(OSLO), version=3))
    worked()
    assert ids_of(people.ann, broken) == []
    assert asked(people.ann, segment_moves.state, segment_id=broken, today=clock.today()).current


def test_the_worker_goes_on_where_a_rule_cannot_be_answered(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = add(people.ann, "A", "Oslo")
    bad, good = keep(people.ann, OSLO, "Bad"), keep(people.ann, OSLO, "Good")
    worked()
    real = segments.fitting

    def failing(found: Any, *rest: Any, **more: Any) -> Any:
        statement = real(found, *rest, **more)
        return statement.where(text("1 / 0 = 1")) if bad in found else statement

    monkeypatch.setattr(segments, "fitting", failing)
    edit(people.ann, a, 1, city="Rome")
    worked()
    assert (ids_of(people.ann, bad), ids_of(people.ann, good)) == ([a], [])
    assert asked(people.ann, segment_moves.state, segment_id=bad, today=clock.today()).problem == "slow"
    monkeypatch.setattr(segments, "fitting", real)
    worked()
    assert ids_of(people.ann, bad) == [a], "not tried again the same day"
    later(monkeypatch, 1)
    worked()
    assert ids_of(people.ann, bad) == []


def test_when_very_many_wait_all_customers_are_asked_instead(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [add(people.ann, f"C{n}") for n in range(6)]
    segment = keep(people.ann, OSLO)
    worked()
    for n in ids[:5]:
        edit(people.ann, n, 1, city="Oslo")
    monkeypatch.setattr(segment_members, "MOST_QUEUED", 2)
    with begin(WORKER, write=True) as conn:
        assert segment_members.refresh(conn, limit=2) == 2
        assert segment_members.refresh(conn, limit=2) == 0
        assert segment_members.due(conn) == (segment,)
    worked()
    assert ids_of(people.ann, segment) == ids[:5]
    assert len(moved(people.ann, segment, True)) == 5


def test_the_job_of_the_worker_does_it_all(people: make.People) -> None:
    a = add(people.ann, "A", "Oslo")
    segment = keep(people.ann, OSLO)
    tasks.drain()
    assert tasks.keep_segments() == 0
    edit(people.ann, a, 1, city="Rome")
    assert tasks.keep_segments() == 0 or ids_of(people.ann, segment) == []
    assert ids_of(people.ann, segment) == []


# --- sets ------------------------------------------------------------------------------------------------------------


def city(*names: str) -> str:
    return json.dumps({"all": [{"field": "city", "op": "in", "value": list(names)}]})


def test_overlaps_and_sets_by_hand(people: make.People) -> None:
    ann, root = people.ann, people.root
    for n, (name, owner) in enumerate((("Oslo", ann), ("Oslo", root), ("Rome", ann), ("Bern", ann), ("", ann))):
        add(owner, f"C{n}", name)
    today = clock.today()
    three = (city("Oslo", "Rome"), city("Rome", "Bern"), city("Rome"))
    found = asked(root, segment_sets.overlap, rules=three, today=today)
    assert (found.sizes, found.everyone) == ((3, 2, 1), 5)
    assert [(r.of, r.customers) for r in found.regions] == [((0,), 2), ((0, 1, 2), 1), ((1,), 1)]
    assert asked(ann, segment_sets.overlap, rules=three, today=today).sizes == (2, 2, 1)
    sizes = {}
    for operation in segment_sets.OPERATIONS:
        groups = [rules.parse_text(rule) for rule in three]
        rule = rules.written(segment_sets.combined(operation, groups))
        sizes[operation] = asked(root, segments.count, rule=rule, today=today)
        ids = asked(root, segment_sets.who, operation=operation, rules=three, today=today, limit=9)
        assert len(ids) == sizes[operation]
    assert sizes == {"union": 4, "intersection": 1, "difference": 2}


def test_sets_of_every_shape_are_what_sets_are(people: make.People) -> None:
    for n in range(9):
        add(people.ann, f"C{n}", ("Oslo", "Rome", "Bern")[n % 3], region=("N", "S")[n % 2])
    today = clock.today()
    of = [json.loads(city("Oslo")), json.loads(city("Rome", "Bern"))]
    region = {"field": "region", "op": "in", "value": ["N"]}
    shapes = [*of, {"any": [*of, region]}, {"none": [*of]}, {"none": [region]}, {"all": []}, {"any": []}, {"none": []}]
    shapes.append({"all": [{"any": [{"none": [region]}]}, region]})

    def who(rule: Any) -> set[int]:
        return set(asked(people.ann, segments.who, rule=json.dumps(rule), today=today, limit=99))

    for one in shapes:
        for other in shapes:
            wanted = {"union": who(one) | who(other), "intersection": who(one) & who(other)}
            wanted["difference"] = who(one) - who(other)
            groups = [rules.parse(each) for each in (one, other)]
            for operation, expected in wanted.items():
                found = segment_sets.combined(operation, groups)
                assert who(rules.data_of(found)) == expected, (operation, one, other)


def test_sets_that_will_not_do(people: make.People) -> None:
    today = clock.today()
    with pytest.raises(Invalid, match="Choose 2 to 5"):
        asked(people.ann, segment_sets.overlap, rules=(EVERYONE,), today=today)
    with pytest.raises(Invalid, match="Choose 2 to 5"):
        asked(people.ann, segment_sets.overlap, rules=(EVERYONE,) * 6, today=today)
    with pytest.raises(Invalid, match="no operation"):
        segment_sets.combined("' OR true", [rules.EVERYONE] * 2)
    with pytest.raises(Refused, match="hidden from your role"):
        asked(people.ana, segment_sets.overlap, rules=(EVERYONE, PHONE), today=today)
