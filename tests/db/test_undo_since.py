"""Everything since a change is taken back at once: newest first, all or nothing, and only what the actor may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from db import bulk_actions, changes, connection, customer, interactions, schema, tags, undo, undo_since
from db.bulk_actions import Action, Chosen
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused
from db.permissions import Permission, Viewer
from db.undo_since import Plan, Undone, Why
from tests import conftest, make
from tests.db.test_undo import add as add_customer
from tests.db.test_undo import assign, do, row, save, state


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    name = f"undo_since_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        yield make.people()


def add(actor: Viewer, **values: str) -> int:
    return add_customer(actor, **values)[0]


def note(actor: Viewer, customer_id: int, body: str = "first\nsecond") -> int:
    return do(customer.add_note, actor, customer_id=customer_id, body=body)


def preview(actor: Viewer, customer_id: int, set_id: int) -> Plan:
    return do(undo_since.preview, actor, customer_id=customer_id, change_set_id=set_id)


def since(actor: Viewer, customer_id: int, set_id: int, **options: Any) -> Undone:
    return do(undo_since.undo_since, actor, customer_id=customer_id, change_set_id=set_id, source="screen", **options)


def these(actor: Viewer, customer_id: int, ids: Any) -> Undone:
    return do(undo_since.undo_these, actor, customer_id=customer_id, change_set_ids=ids, source="screen")


def planned(plan: Plan) -> list[int]:
    return [step.change_set_id for step in plan.steps]


def left(found: Plan | Undone) -> dict[int, Why | None]:
    return {step.change_set_id: step.why for step in found.left}


def values(plan: Plan) -> dict[str, tuple[Any, Any]]:
    return {line["column"]: (line["before"], line["after"]) for line in plan.lines}


def bulk(actor: Viewer, action: Action, *ids: int) -> int:
    done = do(bulk_actions.run, actor, today=make.clock.today("UTC"), chosen=Chosen(ids=ids), action=action)
    return int(done.change_set_id)


def test_everything_since_a_change_comes_back_and_can_be_done_again(people: make.People) -> None:
    ann = people.ann
    customer_id = add(ann, city="Rome")
    save(ann, customer_id, city="Paris")
    before = state()
    first = save(ann, customer_id, city="Oslo", company="一家公司")
    second = note(people.mia, customer_id)
    third = do(tags.add, ann, customer_id=customer_id, tag="vip")
    fourth = do(interactions.log, ann, customer_id=customer_id, kind="call", outcome="call_back")
    fifth = save(ann, customer_id, city="Bonn")
    after = state()

    plan = preview(ann, customer_id, first)
    assert state() == after, "a preview changes nothing"
    assert planned(plan) == list(plan.shown) == [fifth, fourth, third, second, first]
    assert [step.actor for step in plan.steps] == ["Ann", "Ann", "Ann", "Mia", "Ann"]
    assert values(plan) == {"city": ("Bonn", "Paris"), "company": ("一家公司", "")}
    assert (plan.left, plan.conflicts) == ((), ())

    done = since(ann, customer_id, first, shown=plan.shown)
    assert state() == before
    assert (done.rows, done.left, done.conflicts, done.out_of_sight) == (5, (), (), False)
    with connection.begin_owner() as conn:
        made = select(schema.change_sets).where(schema.change_sets.c.id.in_(done.change_set_ids))
        sets = list(conn.execute(made.order_by(schema.change_sets.c.id)).mappings())
    assert [one["undoes_id"] for one in sets] == [fifth, fourth, third, second, first]
    assert {one["actor_id"] for one in sets} == {ann.user_id}

    again = these(ann, customer_id, done.change_set_ids)
    assert state() == after
    these(ann, customer_id, again.change_set_ids)
    assert state() == before


def test_what_was_put_back_meanwhile_needs_nothing(people: make.People) -> None:
    ann = people.ann
    customer_id = add(ann, city="A")
    early = save(ann, customer_id, city="B")
    first = save(ann, customer_id, company="C")
    undone = do(undo.undo, ann, change_set_id=first, source="screen").change_set_id
    back = do(undo.undo, ann, change_set_id=early, source="screen").change_set_id
    assert planned(preview(ann, customer_id, first)) == [back], "the first and its undo are no change together"
    assert values(preview(ann, customer_id, first)) == {"city": ("A", "B")}
    again = do(undo.undo, ann, change_set_id=undone, source="screen").change_set_id
    assert planned(preview(ann, customer_id, first)) == [again, back]
    since(ann, customer_id, first)
    assert (row("customers", customer_id)["city"], row("customers", customer_id)["company"]) == ("B", "")
    with pytest.raises(Invalid, match="nothing that you can take back"):
        since(ann, customer_id, first)
    assert preview(ann, customer_id, first).steps == ()


def test_a_new_customer_stays_and_loads_stay(people: make.People) -> None:
    customer_id, created = add_customer(people.ann)
    with begin(people.ann, write=True) as conn:
        loaded = changes.start(conn, actor=people.ann, command="x", permission=Permission.CUSTOMERS_EDIT, source="demo")
        changes.update(conn, loaded, "customers", [{"id": customer_id, "city": "Loaded"}])
    plan = preview(people.ann, customer_id, created)
    assert planned(plan) == []
    assert left(plan) == {loaded: Why.LOADED, created: Why.CREATED}
    with pytest.raises(Invalid):
        since(people.ann, customer_id, created)
    saved = save(people.ann, customer_id, company="x")
    done = since(people.ann, customer_id, created)
    assert left(done) == {loaded: Why.LOADED, created: Why.CREATED}
    assert (row("customers", customer_id)["city"], row("customers", customer_id)["company"]) == ("Loaded", "")
    assert saved not in left(done)


def test_what_touched_others_too_is_left_and_stands_in_the_way(people: make.People) -> None:
    mia = people.mia
    one, other = add(people.ann, city="A"), add(people.bo)
    first = save(people.ann, one, city="B")
    with begin(mia, write=True) as conn:
        many = changes.start(conn, actor=mia, command="x", permission=Permission.CUSTOMERS_EDIT, source="screen")
        changes.update(conn, many, "customers", [{"id": i, "city": "C"} for i in (one, other)])
    last = note(people.ann, one)
    before = state()
    for actor in (mia, people.ann):  # Ann does not see the other customer, and learns no more than that
        plan = preview(actor, one, first)
        assert planned(plan) == [last]
        assert left(plan) == {many: Why.MANY, first: Why.STUCK}
        assert [(c["column"], c["after"], c["now"]) for c in plan.conflicts] == [("city", "B", "C")]
        assert values(plan) == {}
        with pytest.raises(Conflict) as refused:
            since(actor, one, first)
        assert f"Change {first} cannot be taken back" in refused.value.message
        assert [(c["column"], c["now"]) for c in refused.value.rows] == [("city", "C")]
        assert state() == before, "nothing is half done"
    done = since(people.ann, one, first, leave_conflicts=True, shown=plan.shown)
    assert (len(done.change_set_ids), done.rows) == (1, 1)
    assert left(done) == {many: Why.MANY, first: Why.STUCK}
    assert row("customers", one)["city"] == row("customers", other)["city"] == "C"


def test_a_part_of_a_change_is_taken_back_where_the_rest_stays(people: make.People) -> None:
    one, other = add(people.ann, city="A"), add(people.ann)
    first = save(people.ann, one, city="B", company="Z")
    bulk(people.ann, Action("archive"), one, other)
    with begin(people.ann, write=True) as conn:
        many = changes.start(conn, actor=people.ann, command="x", permission=Permission.CUSTOMERS_EDIT, source="api")
        changes.update(conn, many, "customers", [{"id": i, "city": "C"} for i in (one, other)])
    plan = preview(people.ann, one, first)
    assert planned(plan) == [first]
    assert values(plan) == {"company": ("Z", "")}
    done = since(people.ann, one, first, leave_conflicts=True)
    assert done.rows == 1
    assert [c["column"] for c in done.conflicts] == ["city"]
    assert (row("customers", one)["city"], row("customers", one)["company"]) == ("C", "")


def test_nothing_is_done_where_all_of_it_was_changed_since(people: make.People) -> None:
    one, other = add(people.ann, city="A"), add(people.ann)
    first = save(people.ann, one, city="B")
    with begin(people.ann, write=True) as conn:
        many = changes.start(conn, actor=people.ann, command="x", permission=Permission.CUSTOMERS_EDIT, source="api")
        changes.update(conn, many, "customers", [{"id": i, "city": "C"} for i in (one, other)])
    before = state()
    with pytest.raises(Conflict, match="Nothing was undone"):
        since(people.ann, one, first, leave_conflicts=True)
    assert state() == before


def test_a_colleague_who_saves_meanwhile_is_not_taken_back_unseen(people: make.People) -> None:
    customer_id = add(people.ann)
    first = save(people.ann, customer_id, city="A")
    plan = preview(people.ann, customer_id, first)
    theirs = save(people.mia, customer_id, city="B")
    before = state()
    for leave in (False, True):
        with pytest.raises(Conflict, match="changed meanwhile"):
            since(people.ann, customer_id, first, shown=plan.shown, leave_conflicts=leave)
    assert state() == before
    assert planned(preview(people.ann, customer_id, first)) == [theirs, first]


@pytest.mark.parametrize("who", ["bo", "mia", "root"])
def test_a_hand_over_in_between_goes_back_too(people: make.People, who: str) -> None:
    actor: Viewer = getattr(people, who)
    customer_id = add(people.ann, city="A")
    before = state("customers", "notes")
    first = save(people.ann, customer_id, city="B")
    note(people.ann, customer_id)
    handed = assign(people.ann, customer_id, people.cho.user_id)
    assign(people.max, customer_id, people.bo.user_id)
    save(people.bo, customer_id, company="C")
    after = state("customers", "notes")
    plan = preview(actor, customer_id, first)
    assert len(plan.steps) == 5
    assert values(plan)["owner_id"] == (people.bo.user_id, people.ann.user_id)
    assert handed in planned(plan)
    done = since(actor, customer_id, first, shown=plan.shown)
    assert state("customers", "notes") == before
    assert done.out_of_sight == (who == "bo")
    with pytest.raises(NotFound):  # the giver before has no more sight than before
        since(people.cho, customer_id, first)
    these(actor, customer_id, done.change_set_ids)
    assert state("customers", "notes") == after


def test_sight_is_not_left_wider(people: make.People) -> None:
    customer_id, other = add(people.ann), add(people.ann)
    handed = assign(people.ann, customer_id, people.bo.user_id)
    with begin(people.bo, write=True) as conn:
        for command in (undo_since.preview, undo_since.undo_since):
            more = {} if command is undo_since.preview else {"source": "screen"}
            command(conn, actor=people.bo, customer_id=customer_id, change_set_id=handed, **more)  # type: ignore[operator]
            c = schema.customers.c.id
            assert conn.scalar(select(c).where(c == other)) is None


def test_nobody_reaches_through_the_undo_what_is_not_theirs(people: make.People) -> None:
    """Whoever handed one customer over does not come to another of its new owner."""
    given_away, target = add(people.ann), add(people.cho)
    handed = assign(people.ann, given_away, people.cho.user_id)
    theirs = save(people.cho, target, city="X")
    before = state()
    for customer_id, ids in (
        (target, [theirs]),
        (target, [handed, theirs]),
        (given_away, [handed, theirs]),
        (given_away, [theirs]),
        (10**9, [handed]),
        (2**70, [handed, 2**70]),
    ):
        with pytest.raises((NotFound, Invalid, Refused)):
            these(people.ann, customer_id, ids)
    for actor in (people.ann, people.bo, people.mia):
        for command in (preview, since):
            with pytest.raises(NotFound, match="There is no customer"):
                command(actor, target, theirs)
    with pytest.raises(Invalid):
        these(people.ann, given_away, [])
    assert state() == before
    mine = save(people.max, target, city="Y")
    with pytest.raises(NotFound):  # seen, but another's change
        these(people.cho, target, [mine])


@pytest.mark.parametrize("who", ["ana", "mark"])
def test_masked_roles_take_nothing_back(people: make.People, who: str) -> None:
    customer_id = add(people.ann)
    first = save(people.ann, customer_id, city="A")
    for command in (preview, since):
        with pytest.raises(Refused):
            command(getattr(people, who), customer_id, first)
    with pytest.raises(Refused):
        these(getattr(people, who), customer_id, [first])


def test_the_right_to_each_command_is_needed(people: make.People) -> None:
    customer_id = add(people.ann)
    first = save(people.ann, customer_id, city="A")
    with begin(people.root, write=True) as conn:
        fields = Permission.FIELDS_EDIT
        admins = changes.start(conn, actor=people.root, command="x", permission=fields, source="screen")
        changes.update(conn, admins, "customers", [{"id": customer_id, "company": "Root"}])
    plan = preview(people.ann, customer_id, first)
    assert (planned(plan), left(plan)) == ([first], {admins: Why.RIGHT})
    since(people.ann, customer_id, first)
    assert row("customers", customer_id)["company"] == "Root"
    assert planned(preview(people.root, customer_id, admins))[-1] == admins


def test_numbers_that_name_nothing(people: make.People) -> None:
    customer_id, created = add_customer(people.ann)
    elsewhere = save(people.ann, add(people.ann), city="A")
    for set_id in (0, -1, elsewhere, created + 10**6, 2**70):
        with pytest.raises(NotFound, match="There is no change"):
            preview(people.ann, customer_id, set_id)


def test_too_many_are_refused(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo_since, "MOST_SETS", 2)
    customer_id = add(people.ann)
    first, second, _third = (save(people.ann, customer_id, city=city) for city in "ABC")
    with pytest.raises(Invalid, match="At most 2 changes"):
        preview(people.ann, customer_id, first)
    assert len(preview(people.ann, customer_id, second).steps) == 2


def test_a_preview_moves_no_generation(people: make.People) -> None:
    customer_id = add(people.ann)
    first = save(people.ann, customer_id, city="A")

    def generations() -> list[Any]:
        with connection.begin_owner() as conn:
            return list(conn.execute(select(schema.generations).order_by(schema.generations.c.area)))

    before = generations()
    preview(people.ann, customer_id, first)
    assert generations() == before
    since(people.ann, customer_id, first)
    assert generations() != before


def test_hostile_values_come_back(people: make.People) -> None:
    hostile = "'; drop table customers; -- <script>*x*</script>"
    customer_id = add(people.ann, company=hostile)
    first = save(people.ann, customer_id, company="x")
    note(people.ann, customer_id, hostile)
    assert values(preview(people.ann, customer_id, first)) == {"company": ("x", hostile)}
    since(people.ann, customer_id, first)
    assert row("customers", customer_id)["company"] == hostile
