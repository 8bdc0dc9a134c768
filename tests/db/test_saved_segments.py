"""Segments kept under a name: who may see, change and take them back, by the commands and past them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from db import clock, connection, customer, rules, saved_segments, schema, segments
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import WORKER, Role, Viewer
from db.saved_segments import Segment
from db.undo import undo
from tests import make
from tests.db.segment_data import BIG, EVERYONE, TODAY, Data, counted, filled


@pytest.fixture(scope="module")
def data(server: Server, template: str) -> Iterator[Data]:
    with filled(server, template) as made:
        yield made


@pytest.fixture
def kept(data: Data) -> Iterator[make.People]:
    """The people; what they keep is gone afterwards."""
    yield data.people
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE segments, changes, change_sets CASCADE"))


def keep(viewer: Viewer, name: str = "Big", rule: str = BIG, **options: Any) -> tuple[int, int]:
    with begin(viewer, write=True) as conn:
        return saved_segments.save(conn, actor=viewer, name=name, rule=rule, **options)


def get(viewer: Viewer, segment_id: int) -> Segment:
    with begin(viewer) as conn:
        return saved_segments.get(conn, viewer=viewer, segment_id=segment_id)


def names_of(viewer: Viewer, **options: Any) -> list[str]:
    with begin(viewer) as conn:
        return [s.name for s in saved_segments.saved(conn, viewer=viewer, **options)]


def take_back(viewer: Viewer, set_id: int) -> int:
    with begin(viewer, write=True) as conn:
        return undo(conn, actor=viewer, change_set_id=set_id, source="screen").change_set_id


def stories(viewer: Viewer, segment_id: int) -> list[str]:
    with begin(viewer) as conn:
        return [row["command"] for row in saved_segments.history(conn, viewer=viewer, segment_id=segment_id)]


def test_each_role_keeps_changes_archives_and_takes_back_its_own(kept: make.People) -> None:
    for viewer in (kept.ann, kept.mia, kept.ana, kept.mark, kept.root):
        segment_id, added = keep(viewer, description="  for\u202e Monday ")
        one = get(viewer, segment_id)
        assert (one.name, one.description, one.shared, one.mine, one.version) == ("Big", "for Monday", False, True, 1)
        assert rules.written(one.rule) == BIG
        _same, edited = keep(viewer, "Everyone", EVERYONE, segment_id=segment_id, version=1, shared=True)
        assert (get(viewer, segment_id).name, get(viewer, segment_id).shared) == ("Everyone", True)
        with begin(viewer, write=True) as conn:
            archived = saved_segments.archive(conn, actor=viewer, segment_id=segment_id)
        assert "Everyone" not in names_of(viewer)
        assert "Everyone" in names_of(viewer, archived=True)
        assert stories(viewer, segment_id) == ["segment.archive", "segment.save", "segment.add"]
        take_back(viewer, archived)
        take_back(viewer, edited)
        one = get(viewer, segment_id)
        assert (one.name, one.shared, rules.written(one.rule)) == ("Big", False, BIG)
        gone = take_back(viewer, added)
        with pytest.raises(NotFound):
            get(viewer, segment_id)
        take_back(viewer, gone)
        assert get(viewer, segment_id).name == "Big"
        assert counted(viewer, rules.written(get(viewer, segment_id).rule)) >= 0


def test_a_private_segment_is_its_owners_alone(kept: make.People) -> None:
    for owner, others in ((kept.ann, (kept.bo, kept.mia, kept.ana)), (kept.ana, (kept.mark, kept.ann, kept.mia))):
        segment_id, set_id = keep(owner, f"Private of {owner.username}")
        for other in others:
            with pytest.raises(NotFound):
                get(other, segment_id)
            assert f"Private of {owner.username}" not in names_of(other)
            assert stories(other, segment_id) == []
            with pytest.raises(NotFound):
                keep(other, segment_id=segment_id)
            with begin(other, write=True) as conn, pytest.raises(NotFound):
                saved_segments.archive(conn, actor=other, segment_id=segment_id)
            with pytest.raises((NotFound, Refused)):
                take_back(other, set_id)
        assert get(kept.root, segment_id).mine, "an administrator sees and changes all"


def test_a_shared_segment_is_seen_by_all_and_changed_by_its_owner(kept: make.People) -> None:
    segment_id, set_id = keep(kept.ana, "Ours", shared=True)
    for other in (kept.ann, kept.mia, kept.mark):
        assert (get(other, segment_id).owner, get(other, segment_id).mine) == ("Ana", False)
        assert stories(other, segment_id) == ["segment.add"]
        with pytest.raises(Refused, match="Only its owner changes a segment"):
            keep(other, segment_id=segment_id)
        with begin(other, write=True) as conn, pytest.raises(Refused):
            saved_segments.archive(conn, actor=other, segment_id=segment_id)
        with pytest.raises((NotFound, Refused)):
            take_back(other, set_id)
    keep(kept.root, "Ours, mended", segment_id=segment_id, version=1, shared=True)
    assert get(kept.ana, segment_id).name == "Ours, mended"
    assert stories(kept.ana, segment_id) == ["segment.save", "segment.add"]


def test_the_database_refuses_what_the_commands_would(kept: make.People) -> None:
    mine, _set = keep(kept.ana, "Mine", shared=True)
    for other in (kept.ann, kept.mark):
        for statement in (
            "UPDATE segments SET name = 'x'",
            "DELETE FROM segments",
            "UPDATE segments SET owner_id = nullif(current_setting('kehu.user_id'), '')::bigint",
        ):
            with begin(other, write=True) as conn:
                assert conn.exec_driver_sql(statement).rowcount == 0, statement
        with begin(other, write=True) as conn, pytest.raises(DBAPIError, match="row-level security"):
            forged = {"name": "forged", "rule": {}, "created_at": clock.now(), "updated_at": clock.now()}
            conn.execute(insert(schema.segments).values(owner_id=kept.ana.user_id, **forged))
    with begin(kept.mark, write=True) as conn:  # the writing role of masked people sees no customer at all
        for name in ("customers", "orders", "notes", "campaign_members", "customer_metrics", "users", "exports"):
            with pytest.raises(DBAPIError, match="permission denied"), conn.begin_nested():
                conn.execute(text(f"SELECT * FROM public.{name}"))  # noqa: S608  (names from this test)
        assert conn.scalar(text("SELECT count(*) FROM changes")) == 0
        assert conn.scalar(text("SELECT count(*) FROM change_sets")) == 0
    with connection.begin_owner() as conn:
        assert conn.scalar(select(schema.segments.c.name).where(schema.segments.c.id == mine)) == "Mine"


def test_two_editors_at_once(kept: make.People) -> None:
    segment_id, _set = keep(kept.ann)
    keep(kept.ann, "First", segment_id=segment_id, version=1)
    with pytest.raises(Conflict, match="changed meanwhile"):
        keep(kept.ann, "Second", segment_id=segment_id, version=1)
    assert get(kept.ann, segment_id).name == "First"


@pytest.mark.parametrize(
    ("name", "problem"), [("", "needs a name"), ("\u202e \0", "needs a name"), ("x" * 121, "at most 120 characters")]
)
def test_names_that_will_not_do(kept: make.People, name: str, problem: str) -> None:
    with pytest.raises(Invalid) as caught:
        keep(kept.ann, name)
    assert problem in caught.value.fields["name"]


def test_a_name_is_taken_once_by_each_and_free_again_after_archiving(kept: make.People) -> None:
    segment_id, _set = keep(kept.ann, "Mine")
    keep(kept.bo, "Mine")
    with pytest.raises(Invalid, match="of this name already"):
        keep(kept.ann, "MINE")
    with begin(kept.ann, write=True) as conn:
        saved_segments.archive(conn, actor=kept.ann, segment_id=segment_id)
    keep(kept.ann, "Mine")
    with begin(kept.ann, write=True) as conn, pytest.raises(Invalid, match="of this name already"):
        saved_segments.archive(conn, actor=kept.ann, segment_id=segment_id, archived=False)
    with pytest.raises(Invalid) as caught:
        keep(kept.ann, "Long", description="x" * 1_001)
    assert "at most 1,000 characters" in caught.value.fields["description"]


def test_nor_by_the_segment_of_somebody_who_may(kept: make.People) -> None:
    """They see that it exists and what it says, and cannot count, list, copy or take it over."""
    both = json.dumps({"all": [{"field": f, "op": "in", "value": ["yes"]} for f in ("phone", "email")]})
    segment_id, _set = keep(kept.ann, "Reachable", both, shared=True)
    mine, _set = keep(kept.mark, "Mine")
    for viewer in (kept.ana, kept.mark):
        borrowed = rules.written(get(viewer, segment_id).rule)
        for query in (segments.count, segments.explore, segments.preview):
            with begin(viewer) as conn, pytest.raises(Refused, match="cannot count by: Has a phone, Has an e-mail"):
                query(conn, viewer=viewer, rule=borrowed, today=TODAY)
        with begin(viewer) as conn:
            assert segments.counts(conn, viewer=viewer, rules=(borrowed,), today=TODAY) == (None,)
        with pytest.raises(Refused):
            keep(viewer, "Copy", borrowed)
    with pytest.raises(Refused):
        keep(kept.mark, "Mine", borrowed, segment_id=mine, version=1)
    # An administrator changes Mark's own: it is still refused to him, and the undo of it is not his.
    _same, changed = keep(kept.root, "Mine", both, segment_id=mine, version=1)
    with pytest.raises(Refused):
        counted(kept.mark, rules.written(get(kept.mark, mine).rule))
    with pytest.raises((NotFound, Refused)):
        take_back(kept.mark, changed)


# --- past the commands -----------------------------------------------------------------------------------------------


def author(viewer: Viewer, statement: str, **values: Any) -> Any:
    """What the database answers the writing role of masked people, as if the commands had let it through."""
    with begin(viewer, write=True) as conn:
        result = conn.execute(text(statement), values)
        return result.scalars().all() if result.returns_rows else result.rowcount


SET = (
    "INSERT INTO change_sets (actor_id, made_at, command, permission, source, undoes_id, batch_id) "
    "VALUES (:actor, '2026-01-01', 'segment.save', :permission, 'screen', :undoes, :batch)"
)
LINE = (
    "INSERT INTO changes (change_set_id, customer_id, table_name, row_id, action, before, after, before_personal, "
    "after_personal) VALUES (:set, :customer, :table, :row, 'update', '{}', '{}', '{}', '{}')"
)


def test_whoever_sees_masked_rows_forges_no_history(kept: make.People) -> None:
    theirs, their_set = keep(kept.ana, "Ana's", shared=True)
    mine, my_set = keep(kept.mark, "Mark's")
    me = kept.mark.user_id
    own = {"actor": me, "permission": "segments:edit", "undoes": None, "batch": None}
    for forged in ({"actor": kept.ana.user_id}, {"permission": "customers:edit"}, {"undoes": their_set}):
        with pytest.raises(Refused):
            author(kept.mark, SET, **own | forged)
    line = {"set": my_set, "customer": None, "table": "segments", "row": mine}
    for forged in ({"set": their_set}, {"row": theirs}, {"table": "users"}, {"table": "customers", "customer": 1}):
        with pytest.raises(Refused):
            author(kept.mark, LINE, **line | forged)
    for statement in (
        "UPDATE generations SET n = 1",
        "UPDATE generations SET n = n + 1",
        "SELECT n FROM generations",
        "UPDATE change_sets SET reason = 'x'",
        "DELETE FROM changes",
        "INSERT INTO generations VALUES ('x', 1)",
    ):
        with pytest.raises(Refused):
            author(kept.mark, statement)
    assert take_back(kept.ana, their_set), "nobody has marked it as undone"


def test_counters_only_rise_and_nobody_sets_them(kept: make.People) -> None:
    numbered = text("SELECT area, n FROM generations ORDER BY area")
    with connection.begin_owner() as conn:
        before = {area: n for area, n in conn.execute(numbered)}
    for viewer in (kept.ann, kept.mia, kept.mark, kept.root, WORKER):
        with pytest.raises(Refused), begin(viewer, write=True) as conn:
            conn.execute(text("UPDATE generations SET n = 1"))
        with begin(viewer, write=True) as conn:
            conn.execute(text("SELECT public.move_generations(ARRAY['segments', 'none', 'segments'])"))
    with connection.begin_owner() as conn:
        after = {area: n for area, n in conn.execute(numbered)}
    assert after == before | {"segments": before["segments"] + 5}


def test_a_salesperson_who_became_a_marketer_finds_no_name_in_what_they_took_back(kept: make.People) -> None:
    with begin(kept.ann, write=True) as conn:
        _gone, made = customer.add(conn, actor=kept.ann, values={"name": "Zekret", "phone": "+86 138 0000 0000"})
        removed = undo(conn, actor=kept.ann, change_set_id=made, source="screen").change_set_id
    with begin(kept.ann, write=True) as conn:
        assert len(conn.execute(text("SELECT * FROM change_set_gone(:id)"), {"id": removed}).all()) == 1
    now = Viewer(kept.ann.user_id, "ann", Role.MARKETER)
    assert author(now, "SELECT before_personal::text FROM change_set_gone(:id)", id=removed) == []
    with pytest.raises(Refused):
        take_back(now, removed)
    # Nor how many rows there are in what others changed.
    assert author(kept.mark, "SELECT change_set_rows(:id)", id=removed) == [0]


def test_what_a_segment_was_before_it_was_shared_is_its_owners(kept: make.People) -> None:
    segment_id, _set = keep(kept.ann, "Zekret: to lay off", BIG, description="zekret")
    keep(kept.ann, "Zekret 2", EVERYONE, segment_id=segment_id, version=1)
    keep(kept.ann, "Big buyers", BIG, segment_id=segment_id, version=2, shared=True)
    keep(kept.ann, "Best buyers", BIG, segment_id=segment_id, version=3, shared=True)

    def told(viewer: Viewer) -> list[Any]:
        with begin(viewer) as conn:
            rows = saved_segments.history(conn, viewer=viewer, segment_id=segment_id)
        return [(row["command"], row["before"].get("name"), row["after"].get("name")) for row in rows]

    whole = [
        ("segment.save", "Big buyers", "Best buyers"),
        ("segment.save", "Zekret 2", "Big buyers"),
        ("segment.save", "Zekret: to lay off", "Zekret 2"),
        ("segment.add", None, None),
    ]
    assert told(kept.ann) == told(kept.root) == whole
    for other in (kept.bo, kept.mia, kept.ana, kept.mark):
        assert told(other) == [whole[0], *((command, None, None) for command, _was, _is in whole[1:])]
    _same, private = keep(kept.ann, "Zekret 3", BIG, segment_id=segment_id, version=4)
    assert told(kept.bo) == []
    take_back(kept.ann, private)
    assert "Zekret" not in str(told(kept.bo))
    assert [command for command, *_names in told(kept.bo)] == ["segment.save"] * 5 + ["segment.add"]


def test_what_came_since_may_stand_in_the_way_of_an_undo(kept: make.People) -> None:
    """The name was taken meanwhile: a sentence, nothing done, and the undo works once the name is free."""
    for viewer in (kept.ann, kept.mark, kept.root):
        segment_id, _set = keep(viewer, "Taken")
        with begin(viewer, write=True) as conn:
            archived = saved_segments.archive(conn, actor=viewer, segment_id=segment_id)
        other, _set = keep(viewer, "TAKEN")
        _same, renamed = keep(viewer, "Free", segment_id=other, version=1)
        newest, removal = keep(viewer, "Taken")
        for stuck in (archived, renamed):
            with pytest.raises(Conflict, match="same key stands there again; rename or remove it first"):
                take_back(viewer, stuck)
        assert (get(viewer, segment_id).archived_at is None, get(viewer, other).name) == (False, "Free")
        take_back(viewer, removal)
        with pytest.raises(NotFound):
            get(viewer, newest)
        take_back(viewer, archived)
        assert get(viewer, segment_id).archived_at is None


UNREADABLE = (
    {"all": [{"field": "retired", "op": "in", "value": ["x"]}]},
    {"all": [{"field": "orders", "op": "~", "value": 1}]},
    {"every": []},
    {},
    [],
    5,
    "x",
    {"all": [{"all": [{"all": [{"all": [{"all": [{"all": []}]}]}]}]}]},
    {"all": [{"field": "[x](http://evil.example)", "op": "=", "value": 1}]},
)


@pytest.mark.parametrize("rule", UNREADABLE, ids=str)
def test_a_rule_that_cannot_be_read_is_a_sentence_on_that_segment_alone(kept: make.People, rule: Any) -> None:
    segment_id, _added = keep(kept.ann, "Broken", shared=True)
    keep(kept.ann, "Whole", shared=True)
    with connection.begin_owner() as conn:
        conn.execute(update(schema.segments).where(schema.segments.c.id == segment_id).values(rule=rule))
    for viewer in kept.everyone:
        assert names_of(viewer) == ["Broken", "Whole"]
        one = get(viewer, segment_id)
        assert one.problem.startswith("The rule of this segment cannot be read. "), one.problem
        assert counted(viewer, rules.written(one.rule)) == 0
        assert len(stories(viewer, segment_id)) == 1
    # Its owner archives it, writes it anew, or takes the writing back, all the same.
    _same, mended = keep(kept.ann, "Broken", BIG, segment_id=segment_id, version=1, shared=True)
    assert (get(kept.bo, segment_id).problem, get(kept.bo, segment_id).rule) == ("", rules.parse_text(BIG))
    take_back(kept.ann, mended)
    assert get(kept.ann, segment_id).problem
    with begin(kept.ann, write=True) as conn:
        saved_segments.archive(conn, actor=kept.ann, segment_id=segment_id)
    assert names_of(kept.bo) == ["Whole"]
