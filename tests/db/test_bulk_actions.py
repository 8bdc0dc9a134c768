"""Many customers at once: what a preview says is what is done, for one's own alone, given up and taken back as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select

from db import bulk_actions, clock, connection, customer, customers, schema, search, tags
from db.bulk_actions import Action, Chosen, Preview
from db.connection import begin
from db.customer_filters import EVERYBODY, Filters
from db.embedded import Server
from db.errors import Conflict, Invalid, Refused
from db.permissions import NOBODY, Viewer
from db.undo import undo
from tests import conftest, make

TODAY = date(2026, 11, 20)
ARCHIVE, RESTORE = Action("archive"), Action("restore")


@pytest.fixture
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"bulk_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


@pytest.fixture
def ids(people: make.People) -> dict[str, int]:
    """Ann's A, B (East), C and the archived Z; Bo's D; Cho's E; nobody's F."""
    ann = people.ann.user_id
    rows: list[tuple[str, int, dict[str, Any]]] = [
        ("A", ann, {"region": "East"}),
        ("B", ann, {"region": "East"}),
        ("C", ann, {}),
        ("D", people.bo.user_id, {"region": "East"}),
        ("E", people.cho.user_id, {"region": "East"}),
        ("F", NOBODY, {"region": "East"}),
        ("Z", ann, {"region": "East", "archived_at": clock.now()}),
    ]
    with connection.begin_owner() as conn:
        return {n: make.customer(conn, owner, name=n, **more) for n, owner, more in rows}


def run(actor: Viewer, chosen: Chosen, action: Action, **more: Any) -> bulk_actions.Done:
    with begin(actor, write=True) as conn:
        return bulk_actions.run(conn, actor=actor, today=TODAY, chosen=chosen, action=action, **more)


def previewed(viewer: Viewer, chosen: Chosen, action: Action) -> Preview:
    with begin(viewer) as conn:
        return bulk_actions.preview(conn, viewer=viewer, today=TODAY, chosen=chosen, action=action)


def back(actor: Viewer, set_id: int) -> int:
    with begin(actor, write=True) as conn:
        return undo(conn, actor=actor, change_set_id=set_id, source="screen").change_set_id


def of(ids: dict[str, int], *names: str) -> Chosen:
    return Chosen(ids=tuple(ids[n] for n in names))


def everything() -> dict[str, Any]:
    """All customers and tags as they stand, without what only rises."""
    c, t = schema.customers.c, schema.customer_tags.c
    with connection.begin_owner() as conn:
        rows = conn.execute(select(c.name, c.owner_id, c.archived_at.is_not(None)).order_by(c.name)).all()
        tagged = conn.execute(select(t.id, t.customer_id, t.tag, t.tag_key, t.created_at).order_by(t.id)).all()
    return {"customers": [tuple(r) for r in rows], "tags": [tuple(r) for r in tagged]}


def sets() -> int:
    with connection.begin_owner() as conn:
        return make.count(conn, "change_sets")


def listed(viewer: Viewer, **filters: Any) -> str:
    with begin(viewer) as conn:
        rows = customers.page(conn, viewer=viewer, today=TODAY, filters=Filters(**filters)).rows
    return "".join(rows["name"])


EAST = Chosen(filters=Filters(region="East"))
Case = tuple[str, Action, Callable[[dict[str, int]], Chosen], str]


@pytest.mark.parametrize(
    ("action", "names", "said"),
    [
        (Action("archive"), "ABZ", Preview(3, 2, ("A", "B"), 1, 0, 0, 0)),
        (Action("restore"), "ABZ", Preview(3, 1, ("Z",), 2, 0, 0, 0)),
        (Action("tag", tag="new"), "ABZ", Preview(3, 2, ("A", "B"), 1, 0, 0, 0)),
        (Action("tag", tag="STANDS"), "AB", Preview(2, 1, ("B",), 0, 0, 1, 0)),
        (Action("untag", tag="stands"), "ABZ", Preview(3, 1, ("A",), 1, 0, 1, 0)),
        (Action("tag", tag="new"), "AC", Preview(2, 1, ("A",), 0, 1, 0, 0)),
        (Action("tag", tag="n7"), "AC", Preview(2, 1, ("A",), 0, 0, 1, 0)),
        (Action("archive"), "ADEF", Preview(4, 1, ("A",), 0, 0, 0, 3)),
    ],
    ids=str,
)
def test_the_preview_is_what_is_done_and_one_undo_takes_it_back(
    people: make.People, ids: dict[str, int], action: Action, names: str, said: Preview
) -> None:
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    with connection.begin_owner() as conn:  # A has one tag, C as many as there can be
        given = [tags.row(ids["A"], "Stands"), *(tags.row(ids["C"], f"N{n}") for n in range(tags.MOST_TAGS))]
        conn.execute(insert(schema.customer_tags), [row | stamps for row in given])
    before = everything()
    chosen = of(ids, *names)
    assert previewed(people.ann, chosen, action) == said
    done = run(people.ann, chosen, action, expected=said.changing)
    assert done.changed == said.changing
    assert sets() == 1
    after = everything()
    assert after != before
    assert previewed(people.ann, chosen, action).changing == 0
    with pytest.raises(Invalid, match="None of these customers would change"):
        run(people.ann, chosen, action)
    assert sets() == 1
    undone = back(people.ann, done.change_set_id)
    assert everything() == before
    back(people.ann, undone)
    assert {k: [r[:4] for r in v] for k, v in everything().items()} == {k: [r[:4] for r in v] for k, v in after.items()}


def test_a_hand_over_leads_out_of_sight_and_back(people: make.People, ids: dict[str, int]) -> None:
    before = everything()
    to_cho = Action("assign", owner_id=people.cho.user_id)
    assert previewed(people.ann, EAST, to_cho) == Preview(2, 2, ("A", "B"), 0, 0, 0, 0)
    done = run(people.ann, EAST, to_cho)
    assert done.changed == 2
    assert listed(people.ann) == "C"
    assert listed(people.cho) == "ABE"
    back(people.ann, done.change_set_id)
    assert everything() == before


def test_hand_overs_in_steps_keep_to_the_actors_scope(
    people: make.People, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "BATCH", 1)
    told: list[tuple[int, int]] = []
    chosen = of(ids, "A", "B", "C", "D", "E", "Z")
    to_cho = Action("assign", owner_id=people.cho.user_id)
    done = run(people.ann, chosen, to_cho, progress=lambda n, of_all: told.append((n, of_all)))
    assert (done.changed, told) == (3, [(1, 3), (2, 3), (3, 3)])
    with connection.begin_owner() as conn:
        c = schema.customers.c
        owners = dict(conn.execute(select(c.name, c.owner_id)).all())  # type: ignore[arg-type]
    assert owners["D"] == people.bo.user_id
    assert owners["Z"] == people.ann.user_id
    back(people.ann, done.change_set_id)
    assert listed(people.ann) == "ABC"


@pytest.mark.parametrize(
    "action", [ARCHIVE, Action("tag", tag="x"), Action("untag", tag="theirs"), RESTORE], ids=lambda a: a.kind
)
def test_others_customers_are_out_of_reach(people: make.People, ids: dict[str, int], action: Action) -> None:
    with begin(people.cho, write=True) as conn:
        tags.add(conn, actor=people.cho, customer_id=ids["E"], tag="theirs")
    if action == RESTORE:
        with begin(people.cho, write=True) as conn:
            customer.archive(conn, actor=people.cho, customer_id=ids["E"])
    before, made = everything(), sets()
    for chosen in (of(ids, "D", "E", "F"), Chosen(ids=(10**12, 10**30, -1, 0)), Chosen()):
        found = previewed(people.ann, chosen, action)
        assert (found.changing, found.names, found.archived, found.standing) == (0, (), 0, 0)
        with pytest.raises(Invalid, match="None of these"):
            run(people.ann, chosen, action)
    with pytest.raises(Invalid, match="None of these"):
        run(people.ann, of(ids, "D", "E", "F"), Action("assign", owner_id=people.ann.user_id))
    assert (everything(), sets()) == (before, made)


def test_the_whole_result_is_ones_own(people: make.People, ids: dict[str, int]) -> None:
    assert previewed(people.ann, EAST, ARCHIVE).total == 2
    assert previewed(people.mia, EAST, ARCHIVE).names == ("A", "B", "D", "F")
    assert run(people.ann, EAST, ARCHIVE).changed == 2
    assert listed(people.root) == "CDEF"
    everyone = Chosen(filters=EVERYBODY)
    assert run(people.max, everyone, ARCHIVE).changed == 2, "Cho's and nobody's"
    assert listed(people.root) == "CD"
    put_back = Chosen(filters=Filters(archived=True))
    assert run(people.ann, put_back, RESTORE).changed == 3
    assert listed(people.root) == "ABCDZ"


def test_masked_roles_and_processes_are_refused(people: make.People, ids: dict[str, int]) -> None:
    for viewer in (people.ana, people.mark):
        for action in (ARCHIVE, Action("assign", owner_id=1), Action("tag", tag="x")):
            with pytest.raises(Refused):
                previewed(viewer, EAST, action)
            with pytest.raises(Refused):
                run(viewer, EAST, action)
    assert sets() == 0


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Action("delete"), "There is no action “delete”"),
        (Action("assign"), "Choose a person"),
        (Action("assign", owner_id=10**12), "active salesperson or manager"),
        (Action("assign", owner_id=NOBODY), "Only a manager"),
        (Action("tag"), "tag first"),
        (Action("tag", tag="x" * 10_000), "10,000 characters"),
        (Action("untag", tag="a,b"), "no comma"),
    ],
    ids=str,
)
def test_what_cannot_be_done_says_why(people: make.People, ids: dict[str, int], action: Action, said: str) -> None:
    for call in (previewed, run):
        with pytest.raises(Invalid) as caught:
            call(people.ann, EAST, action)
        assert said in " ".join((caught.value.message, *caught.value.fields.values()))


def test_progress_is_told_and_giving_up_takes_everything_back(
    people: make.People, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class GivenUp(BaseException):
        """As the screen's own signals are."""

    def give_up(done: int, _total: int) -> None:
        if done == 2:
            raise GivenUp

    monkeypatch.setattr(bulk_actions, "BATCH", 1)
    before = everything()
    for action in (ARCHIVE, Action("tag", tag="x"), Action("assign", owner_id=people.cho.user_id)):
        with pytest.raises(GivenUp):
            run(people.ann, of(ids, "A", "B", "C"), action, progress=give_up)
        assert everything() == before
        assert sets() == 0


def test_more_than_the_preview_said_is_asked_again(people: make.People, ids: dict[str, int]) -> None:
    said = previewed(people.ann, EAST, ARCHIVE).changing
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="G", region="East")
    with pytest.raises(Conflict, match="Meanwhile 3 customers would change, not 2"):
        run(people.ann, EAST, ARCHIVE, expected=said)
    assert listed(people.ann) == "ABCG"


def test_too_many_are_refused_before_anything_is_done(
    people: make.People, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "MOST_CHANGED", 2)
    for chosen in (Chosen(filters=EVERYBODY), of(ids, "A", "B", "C")):
        for call in (previewed, run):
            with pytest.raises(Invalid, match="more than 2 customers"):
                call(people.ann, chosen, ARCHIVE)
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="A again")
    monkeypatch.setattr(search, "MOST_HITS", 1)
    with pytest.raises(Invalid, match="Narrow it, or use filters"):
        previewed(people.root, Chosen(filters=Filters(search="a")), ARCHIVE)


def test_a_tag_in_another_case_is_the_tag_that_stands(people: make.People, ids: dict[str, int]) -> None:
    run(people.ann, of(ids, "A"), Action("tag", tag="VIP"))
    assert run(people.ann, of(ids, "A", "B", "C"), Action("tag", tag="vip")).changed == 2
    assert {row[2] for row in everything()["tags"]} == {"VIP"}
    assert run(people.ann, Chosen(filters=Filters(tags=("vip",))), Action("untag", tag="ViP")).changed == 3
    assert everything()["tags"] == []


def test_what_was_changed_since_stands_in_the_way_of_the_undo(people: make.People, ids: dict[str, int]) -> None:
    done = run(people.mia, of(ids, "A", "B"), Action("assign", owner_id=people.bo.user_id))
    with begin(people.mia, write=True) as conn:
        customer.assign(conn, actor=people.mia, customer_ids=[ids["B"]], owner_id=NOBODY)
    with pytest.raises(Conflict) as caught:
        back(people.mia, done.change_set_id)
    assert caught.value.details["rest"] == 1
    assert listed(people.bo) == "AD"
