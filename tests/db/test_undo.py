"""Undo: everything comes back as it was, never over what came since, and only by those who might have done it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text

from db import changes, connection, customer, customers, schema, users
from db import undo as undoing
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, KehuError, NotFound, Refused
from db.permissions import GATE, NOBODY, WORKER, Permission, Role, Viewer
from db.undo import Undone
from tests import conftest, make

EDIT = Permission.CUSTOMERS_EDIT
State = dict[str, dict[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def database(server: Server, template: str) -> Iterator[str]:
    """One database for the module; every test makes its own customers."""
    name = f"undo_{os.getpid()}"
    conftest._create(server, name, template)
    yield from conftest._served(server, name)


@pytest.fixture(scope="module")
def people(database: str) -> make.People:
    return make.people()


def do(command: Callable[..., Any], actor: Viewer, **values: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **values)


def add(actor: Viewer, **values: str) -> tuple[int, int]:
    return do(customer.add, actor, values={"name": "王小明", "city": "Xi'an", **values})


def save(actor: Viewer, customer_id: int, **values: str) -> int:
    saved = do(
        customer.save, actor, customer_id=customer_id, version=row("customers", customer_id)["version"], values=values
    )
    assert saved.change_set_id
    return saved.change_set_id


def assign(actor: Viewer, customer_id: int, owner_id: int) -> int:
    return do(customer.assign, actor, customer_ids=[customer_id], owner_id=owner_id)


def undo(actor: Viewer, change_set_id: int, **options: Any) -> Undone:
    return do(undoing.undo, actor, change_set_id=change_set_id, source="screen", **options)


def by_hand(actor: Viewer, *steps: tuple[str, str, list[dict[str, Any]]], permission: Permission = EDIT) -> int:
    """One change set of several steps."""
    with begin(actor, write=True) as conn:
        set_id = changes.start(conn, actor=actor, command="test", permission=permission, source="terminal")
        for kind, table, rows in steps:
            getattr(changes, kind)(conn, set_id, table, rows)
    return set_id


def row(table: str, row_id: int) -> dict[str, Any]:
    """What really stands there; {} for nothing."""
    t = schema.metadata.tables[table]
    with connection.begin_owner() as conn:
        found = conn.execute(select(t).where(t.c.id == row_id)).mappings().one_or_none()
    return dict(found) if found else {}


def state(*tables: str) -> State:
    """All rows of the recorded tables, without what undo may leave different."""
    with connection.begin_owner() as conn:
        return {
            name: {
                found["id"]: {c: v for c, v in found.items() if c not in changes.KEPT}
                for found in conn.execute(select(schema.metadata.tables[name])).mappings()
            }
            for name in tables or schema.RECORDED
        }


def versions() -> dict[tuple[str, int], int]:
    with connection.begin_owner() as conn:
        return {
            (name, row_id): version
            for name, t in schema.RECORDED.items()
            for row_id, version in conn.execute(select(t.c.id, t.c.version))
        }


# --- each command ----------------------------------------------------------------------------------------------------


def test_every_command_comes_back_as_it_was_and_undoing_the_undo_does_it_again(people: make.People) -> None:
    ann = people.ann
    customer_id, _added = add(ann, phone="138 0013 8000", email="x@example.com", company="一家公司")
    do(customer.add_note, ann, customer_id=customer_id, body="first\nsecond")
    archived, _added = add(ann)
    do(customer.archive, ann, customer_id=archived)
    with begin(ann) as conn:
        note_id = customer.notes(conn, viewer=ann, customer_id=customer_id)["id"][0].item()

    commands: dict[str, Callable[[], int]] = {
        "save": lambda: save(ann, customer_id, name="Zoë Müller", phone="", city="", region="North"),
        "archive": lambda: do(customer.archive, ann, customer_id=customer_id),
        "restore": lambda: do(customer.archive, ann, customer_id=archived, archived=False),
        "assign": lambda: assign(ann, customer_id, people.bo.user_id),
        "add note": lambda: do(customer.add_note, ann, customer_id=customer_id, body="another"),
        "delete note": lambda: do(customer.delete_note, ann, customer_id=customer_id, note_id=note_id),
        "add": lambda: add(ann, name="欧阳锋", phone="+1 202 555 0143")[1],
    }
    for name, command in commands.items():
        before, started = state(), versions()
        done = command()
        after = state()
        assert before != after, name
        undone = undo(ann, done)
        assert undone.rows == 1, name
        assert undone.conflicts == [], name
        assert state() == before, name
        again = undo(ann, undone.change_set_id)
        assert state() == after, name
        undo(ann, again.change_set_id)
        assert state() == before, name
        now = versions()
        assert all(now[key] >= version for key, version in started.items()), name
        touched = name not in ("add", "add note", "delete note")
        assert any(now[key] == version + 4 for key, version in started.items()) == touched, name


def test_a_deleted_row_comes_back_with_its_id_and_day_and_a_higher_version(
    people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = people.ann
    customer_id, _added = add(ann)
    note = {"customer_id": customer_id, "author_id": people.bo.user_id, "body": "说明", "search_text": " 说 明 "}
    by_hand(ann, ("insert", "notes", [note]))
    with begin(ann) as conn:
        note_id = customer.notes(conn, viewer=ann, customer_id=customer_id)["id"][0].item()
    before = row("notes", note_id)
    monkeypatch.setenv("KEHU_NOW", "2026-11-21T08:00:00+00:00")
    deleted = do(customer.delete_note, ann, customer_id=customer_id, note_id=note_id)
    assert row("notes", note_id) == {}
    undo(ann, deleted)
    after = row("notes", note_id)
    assert after["version"] == before["version"] + 1
    assert after["updated_at"] > before["updated_at"]
    assert {c: v for c, v in after.items() if c not in changes.KEPT} == {
        c: v for c, v in before.items() if c not in changes.KEPT
    }


def test_a_row_changed_or_made_and_changed_in_one_set_comes_back_as_it_was_before_the_set(
    people: make.People,
) -> None:
    ann = people.ann
    customer_id, _added = add(ann, city="first")
    before = state()
    twice = by_hand(
        ann,
        ("update", "customers", [{"id": customer_id, "city": "second"}]),
        ("update", "customers", [{"id": customer_id, "city": "third", "region": "East"}]),
    )
    assert undo(ann, twice).rows == 2
    assert state() == before

    with begin(ann, write=True) as conn:
        [new_id] = changes.next_ids(conn, schema.customers, 1)
    made = by_hand(
        ann,
        ("insert", "customers", [{"id": new_id, "name": "x", "owner_id": ann.user_id}]),
        ("update", "customers", [{"id": new_id, "city": "second"}]),
        ("insert", "notes", [{"customer_id": new_id, "author_id": ann.user_id, "body": "y"}]),
    )
    save(ann, new_id, city="third")
    save(ann, new_id, city="second")
    undo(ann, made)
    assert state() == before


# --- what came since -------------------------------------------------------------------------------------------------


def test_nothing_is_undone_over_a_later_change_unless_the_rest_is_asked_for(people: make.People) -> None:
    ann, mia = people.ann, people.mia
    customer_id, _added = add(ann, city="Xi'an", company="Old")
    done = save(ann, customer_id, city="Wuhan", region="Central", company="New")
    save(mia, customer_id, city="Lhasa", phone="138 0013 8000")
    before = state("customers", "notes")

    with pytest.raises(Conflict, match="1 value was changed since") as caught:
        undo(ann, done)
    conflict = {
        "table": "customers",
        "id": customer_id,
        "customer_id": customer_id,
        "column": "city",
        "before": "Xi'an",
        "after": "Wuhan",
        "now": "Lhasa",
    }
    assert (caught.value.rows, caught.value.details["rest"]) == ([conflict], 1)
    assert state("customers", "notes") == before
    with begin(ann, write=True) as conn, pytest.raises(Conflict):  # the caller goes on and commits
        undoing.undo(conn, actor=ann, change_set_id=done, source="screen")
    with connection.begin_owner() as conn:
        assert conn.scalar(select(func.count()).where(schema.change_sets.c.undoes_id == done)) == 0

    undone = undo(ann, done, leave_conflicts=True)
    assert undone.conflicts == [conflict]
    now = row("customers", customer_id)
    assert (now["city"], now["region"], now["company"]) == ("Lhasa", "", "Old")
    # What is searched by follows from the row as it is now: the new phone with the old company.
    assert {c: now[c] for c in customers.keys(now)} == customers.keys(now)


def test_search_columns_follow_although_others_changed_another_part_of_them(people: make.People) -> None:
    ann = people.ann
    customer_id, _added = add(ann, company="Old")
    done = save(ann, customer_id, company="New")
    save(people.mia, customer_id, phone="138 0013 8000")
    assert undo(ann, done).conflicts == []
    now = row("customers", customer_id)
    assert {c: now[c] for c in customers.keys(now)} == customers.keys(now)


def test_a_value_that_others_changed_and_put_back_is_no_conflict(people: make.People) -> None:
    ann = people.ann
    customer_id, _added = add(ann, city="Xi'an")
    archived = do(customer.archive, ann, customer_id=customer_id)
    undo(people.mia, undo(people.mia, archived).change_set_id)  # restored and archived again: an instant, put back
    done = save(ann, customer_id, city="Wuhan")
    save(people.mia, customer_id, city="Lhasa")
    save(people.mia, customer_id, city="Wuhan")
    undo(ann, done)
    assert row("customers", customer_id)["city"] == "Xi'an"
    created, made = add(ann)
    save(ann, created, city="Lhasa")
    save(ann, created, city="Xi'an")
    undo(ann, made)
    assert row("customers", created) == {}


def test_when_everything_was_changed_since_the_set_stays_as_it_is(people: make.People) -> None:
    ann = people.ann
    customer_id, made = add(ann)
    done = save(ann, customer_id, city="Wuhan")
    later = save(ann, customer_id, city="Lhasa")
    for set_id in (done, made):
        with pytest.raises(Conflict):
            undo(ann, set_id, leave_conflicts=True)
    undo(ann, later)
    undo(ann, done)
    undo(ann, made)
    assert row("customers", customer_id) == {}


def test_a_creation_with_something_added_since_is_a_sentence(people: make.People) -> None:
    ann = people.ann
    customer_id, made = add(ann)
    noted = do(customer.add_note, ann, customer_id=customer_id, body="x")
    with pytest.raises(Conflict, match="added to this since"):
        undo(ann, made)
    undo(ann, noted)
    with connection.begin_owner() as conn:
        make.order(conn, customer_id, date(2026, 11, 1))
    with pytest.raises(Conflict, match="added to this since"):
        undo(ann, made)
    assert row("customers", customer_id)


def test_rows_whose_key_is_taken_or_whose_customer_is_gone_are_sentences(people: make.People) -> None:
    root, ann = people.root, people.ann
    team = {"id": 70, "name": "Seventy"}
    by_hand(root, ("insert", "teams", [team]), permission=Permission.USERS_MANAGE)
    deleted = by_hand(root, ("delete", "teams", [{"id": 70}]), permission=Permission.USERS_MANAGE)
    again = by_hand(root, ("insert", "teams", [team | {"id": 71}]), permission=Permission.USERS_MANAGE)
    with pytest.raises(Conflict, match="same key stands there"):
        undo(root, deleted)
    undo(root, again)
    undo(root, deleted)

    customer_id, made = add(ann)
    noted = do(customer.add_note, ann, customer_id=customer_id, body="x")
    undone = undo(ann, noted)
    undo(ann, made)
    with pytest.raises(Conflict, match="no longer there"):
        undo(ann, undone.change_set_id)
    with pytest.raises(Invalid, match="undone already"):
        undo(ann, noted)


def test_a_row_that_is_gone_is_a_conflict(people: make.People) -> None:
    ann = people.ann
    customer_id, made = add(ann)
    by_hand(people.root, ("delete", "customers", [{"id": customer_id}]))
    with pytest.raises(Conflict) as caught:
        undo(people.root, made)
    assert [(r["column"], r["now"]) for r in caught.value.rows] == [("", None)]


# --- once ------------------------------------------------------------------------------------------------------------


def test_a_second_undo_is_refused_also_at_the_same_moment(people: make.People) -> None:
    ann = people.ann
    customer_id, _added = add(ann)
    done = save(ann, customer_id, city="Wuhan")
    started, outcome = threading.Event(), []

    def second() -> None:
        started.set()
        try:
            undo(people.mia, done)
        except KehuError as error:
            outcome.append(error)

    with begin(ann, write=True) as conn:
        undoing.undo(conn, actor=ann, change_set_id=done, source="screen")
        thread = threading.Thread(target=second)
        thread.start()
        assert started.wait(5)
        _until_blocked()
    thread.join(10)
    assert [type(error) for error in outcome] == [Invalid]
    for who in (ann, people.root):
        with pytest.raises(Invalid, match="undone already"):
            undo(who, done)


def _until_blocked() -> None:
    """Wait until a statement really waits for a lock, so that the race is run and not hoped for."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    pause = threading.Event()
    for _attempt in range(200):
        with connection.begin_owner() as conn:
            if conn.scalar(text(query)):
                return
        pause.wait(0.02)
    pytest.fail("the second undo never waited")


def test_too_many_rows_are_refused_with_a_sentence(people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    done = by_hand(people.ann, ("insert", "customers", [{"name": n, "owner_id": people.ann.user_id} for n in "ab"]))
    monkeypatch.setattr(undoing, "MOST_ROWS", 1)
    with pytest.raises(Invalid, match="at most 1"):
        undo(people.ann, done)


# --- who -------------------------------------------------------------------------------------------------------------


def test_undo_needs_the_permission_of_the_original(people: make.People) -> None:
    customer_id, _added = add(people.ann)
    done = by_hand(
        people.root,
        ("update", "customers", [{"id": customer_id, "city": "Wuhan"}]),
        permission=Permission.USERS_MANAGE,
    )
    for who in (people.ann, people.mia):
        with pytest.raises(Refused, match="users:manage"):
            undo(who, done)
    undo(people.root, done)


def test_others_cannot_tell_a_change_that_is_not_theirs_from_none(people: make.People) -> None:
    customer_id, made = add(people.ann)
    done = save(people.ann, customer_id, city="Wuhan")
    for who in (people.bo, people.cho, people.max, people.ana, people.mark):
        messages = set()
        for set_id in (done, made, 10**12, 10**30):
            with pytest.raises(NotFound) as caught:
                undo(who, set_id)
            messages.add(caught.value.message.replace(str(set_id), "#"))
        assert len(messages) == 1
    for viewer in (WORKER, GATE):
        with pytest.raises(Refused, match="changes:undo"):
            undo(viewer, done)
    undo(people.mia, done)


def test_a_set_with_rows_out_of_sight_is_refused_to_both_sides(people: make.People) -> None:
    mine, theirs = add(people.ann)[0], add(people.cho)[0]
    patches = [{"id": mine, "city": "Wuhan"}, {"id": theirs, "city": "Lhasa"}]
    done = by_hand(people.root, ("update", "customers", patches))
    for who in (people.ann, people.mia, people.cho):
        with pytest.raises(Refused, match="1 rows that you may not see") as caught:
            undo(who, done, leave_conflicts=True)
        assert "Lhasa" not in str(caught.value.details) + caught.value.message
    undo(people.root, done)
    assert (row("customers", mine)["city"], row("customers", theirs)["city"]) == ("Xi'an", "Xi'an")


def test_no_undo_leaves_nobody_as_administrator(people: make.People) -> None:
    root, bo = people.root, people.bo
    manage = Permission.USERS_MANAGE
    made = by_hand(root, ("update", "users", [{"id": bo.user_id, "role": "admin"}]), permission=manage)
    as_admin = Viewer(bo.user_id, "bo", Role.ADMIN)
    demoted = by_hand(as_admin, ("update", "users", [{"id": root.user_id, "role": "sales"}]), permission=manage)
    with pytest.raises(Invalid, match="nobody as an active administrator"):
        undo(as_admin, made)
    undo(as_admin, demoted)
    undo(root, made)
    assert (row("users", root.user_id)["role"], row("users", bo.user_id)["role"]) == ("admin", "sales")


# --- hand-over -------------------------------------------------------------------------------------------------------


def owner_of(customer_id: int) -> int:
    return int(row("customers", customer_id)["owner_id"])


def test_a_hand_over_is_taken_back_by_the_giver_or_the_receiver_and_nobody_else(people: make.People) -> None:
    ann, cho, mia, max_ = people.ann, people.cho, people.mia, people.max
    for undoer in (ann, cho, max_):
        customer_id, _added = add(ann)
        given = assign(ann, customer_id, cho.user_id)
        for stranger in (people.bo, mia):
            with pytest.raises(NotFound):
                undo(stranger, given)
        undone = undo(undoer, given)
        assert owner_of(customer_id) == ann.user_id
        undo(undoer if undoer is not max_ else ann, undone.change_set_id)
        assert owner_of(customer_id) == cho.user_id


def test_a_manager_takes_back_what_was_given_to_another_team_and_a_bulk_of_it(people: make.People) -> None:
    mia = people.mia
    ids = [add(people.ann)[0], add(people.bo)[0], do(customer.add, people.root, values={"name": "free"})[0]]
    given = do(customer.assign, mia, customer_ids=ids, owner_id=people.cho.user_id, reason="reorganised")
    assert {owner_of(i) for i in ids} == {people.cho.user_id}
    with begin(mia, write=True) as conn:
        undoing.undo(conn, actor=mia, change_set_id=given, source="screen")
        listed = conn.scalars(select(schema.customers.c.owner_id)).all()
        assert set(listed) <= set(mia.owner_ids)
    assert [owner_of(i) for i in ids] == [people.ann.user_id, people.bo.user_id, NOBODY]


def test_customers_that_several_hold_by_now_come_back_together(people: make.People) -> None:
    """One change set that gave two customers to two colleagues: both are out of sight of the giver."""
    ann = people.ann
    ids = [add(ann)[0], add(ann)[0]]
    with begin(ann, write=True) as conn:
        set_id = changes.start(conn, actor=ann, command="t", permission=Permission.CUSTOMERS_ASSIGN, source="terminal")
        for customer_id, to in zip(ids, (people.bo, people.cho), strict=True):
            connection.widen(conn, ann, to.user_id)
            changes.update(conn, set_id, "customers", [{"id": customer_id, "owner_id": to.user_id}])
    assert undo(ann, set_id).rows == 2
    assert [owner_of(i) for i in ids] == [ann.user_id] * 2


def test_the_giver_sees_nothing_more_after_giving_and_after_taking_back(people: make.People) -> None:
    ann, cho = people.ann, people.cho
    hidden = add(cho, name="Hidden")[0]
    mine = add(ann)[0]
    with begin(ann, write=True) as conn:
        given = customer.assign(conn, actor=ann, customer_ids=[mine], owner_id=cho.user_id)
        seen = select(schema.customers.c.id).where(schema.customers.c.id.in_([hidden, mine]))
        assert conn.scalars(seen).all() == []
    with begin(ann, write=True) as conn:
        undoing.undo(conn, actor=ann, change_set_id=given, source="screen")
        assert conn.scalars(seen).all() == [mine]


def test_what_was_passed_on_is_no_longer_the_givers_to_take(people: make.People) -> None:
    ann, bo, cho = people.ann, people.bo, people.cho
    customer_id, made = add(ann)
    saved = save(ann, customer_id, city="Wuhan")
    given = assign(ann, customer_id, bo.user_id)
    passed = assign(bo, customer_id, cho.user_id)
    save(cho, customer_id, city="Secret")
    for set_id in (given, saved, made):  # each is Ann's own, and none lets her look at the customer of Cho's
        with pytest.raises(Refused, match="1 rows that you may not see") as caught:
            undo(ann, set_id, leave_conflicts=True)
        assert "Secret" not in repr(caught.value.__dict__)
    undo(bo, passed)
    undo(ann, given)
    assert owner_of(customer_id) == ann.user_id


def test_the_functions_behind_undo_tell_only_of_ones_own_sets(people: make.People) -> None:
    ann, mia, cho = people.ann, people.mia, people.cho
    customer_id, made = add(ann)
    given = assign(mia, customer_id, cho.user_id)
    with pytest.raises(NotFound):
        undo(ann, given)
    removed, _made = add(cho)
    gone = undo(cho, _made).change_set_id
    with begin(ann) as conn:
        assert conn.scalar(select(func.change_set_owners(given))) == []
        assert conn.scalar(select(func.change_set_owners(made))) == []  # hers, but no hand-over
        assert conn.execute(text("SELECT * FROM change_set_gone(:id)"), {"id": gone}).all() == []
    with begin(cho) as conn:
        found = conn.execute(text("SELECT row_id FROM change_set_gone(:id)"), {"id": gone}).scalars().all()
        assert found == [removed]


# --- loads -----------------------------------------------------------------------------------------------------------


def test_a_load_is_taken_back_by_its_batch_and_queues_what_it_changes(people: make.People) -> None:
    customer_id, _added = add(people.ann)
    with begin(WORKER, write=True) as conn:
        stamp = {"source": "test", "counts": {}, "loaded_at": func.now()}
        batch_id = conn.scalar(insert(schema.batches).values(**stamp).returning(schema.batches.c.id))
        product_id = conn.scalar(insert(schema.products).values(sku="s").returning(schema.products.c.id))
        campaign = {"name": "c", "starts_on": date(2026, 1, 1), "ends_on": date(2026, 2, 1)}
        stamps = {"created_at": func.now(), "updated_at": func.now()}
        campaign_id = conn.scalar(
            insert(schema.campaigns).values(**campaign, **stamps).returning(schema.campaigns.c.id)
        )
        kept_order = make.order(conn, customer_id, date(2026, 1, 5))
        order_id = make.order(conn, customer_id, date(2026, 1, 6))
        conn.execute(schema.orders.update().where(schema.orders.c.id == order_id).values(batch_id=batch_id))
        line = {"customer_id": customer_id, "order_id": order_id, "product_id": product_id}
        conn.execute(insert(schema.order_items).values(**line, quantity=1, amount=10))
        member = {"customer_id": customer_id, "campaign_id": campaign_id, "batch_id": batch_id}
        conn.execute(insert(schema.campaign_members).values(**member, received_on=date(2026, 1, 1)))
        conn.execute(insert(schema.campaign_events).values(**member, kind="r", occurred_on=date(2026, 1, 2)))
        conn.execute(schema.touched_customers.delete())
        loaded = changes.start(
            conn, actor=WORKER, command="load", permission=Permission.DEMO_LOAD, source="demo", batch_id=batch_id
        )
    with pytest.raises((NotFound, Refused)):
        undo(people.mia, loaded)
    undone = undo(people.root, loaded)
    assert undone.rows == 4
    with connection.begin_owner() as conn:
        assert conn.scalars(select(schema.orders.c.id).where(schema.orders.c.customer_id == customer_id)).all() == [
            kept_order
        ]
        assert conn.scalars(select(schema.touched_customers.c.customer_id)).all() == [customer_id]
    with pytest.raises(Invalid, match="Load it again"):
        undo(people.root, undone.change_set_id)


# --- any sequence ----------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(["", "北京", "Zoë", "x"])
_COMMANDS = st.one_of(
    st.tuples(st.just("add"), _WORDS),
    st.tuples(st.just("save"), st.fixed_dictionaries({}, optional={"name": _WORDS, "city": _WORDS, "company": _WORDS})),
    st.tuples(st.just("assign"), st.sampled_from(["ann", "bo", "cho", "mia", "nobody"])),
    st.tuples(st.just("archive"), st.booleans()),
    st.tuples(st.just("add_note"), _WORDS),
    st.tuples(st.just("delete_note"), st.integers(0, 2)),
    st.tuples(st.just("undo"), st.integers(0, 8)),
)
_STEPS = st.lists(
    st.tuples(st.sampled_from(["ann", "bo", "cho", "mia", "max", "root", "root"]), st.integers(0, 4), _COMMANDS),
    min_size=1,
    max_size=9,
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=_STEPS)
def test_any_sequence_of_commands_by_anybody_undone_newest_first_leaves_all_as_it_was(
    people: make.People, steps: list[tuple[str, int, tuple[str, Any]]]
) -> None:
    """Also with undo and redo in the midst of it; and after each step back all is as it was before that step."""
    _clean(people)
    history = _History(people)
    start, started = state(), versions()
    states = []
    for who, which, (kind, value) in steps:
        before = state("customers", "notes")
        if history.run(getattr(people, who), which, kind, value):
            states.append(before)
    while states:
        history.step_back()
        assert state("customers", "notes") == states.pop()
    assert state() == start
    now = versions()
    assert all(now[key] >= version for key, version in started.items())


class _History:
    """Change sets in their order, and for each the one that has to be undone to take it back.

    That is another one where an undo of it was itself undone: it is the last of these that did it again.
    """

    def __init__(self, people: make.People) -> None:
        self.people = people
        self.sets: list[int] = []
        self.undoes: dict[int, int] = {}
        self.live: dict[int, int] = {}

    def run(self, actor: Viewer, which: int, kind: str, value: Any) -> bool:
        """True when the command made a change set; False when it was refused or had nothing to do."""
        ids = sorted(state("customers")["customers"])
        try:
            set_id = getattr(self, f"_{kind}")(actor, ids[which % len(ids)], value)
        except KehuError:
            return False
        if set_id is None:
            return False
        self.sets.append(set_id)
        self.live[set_id] = set_id
        return True

    def _add(self, actor: Viewer, _customer_id: int, name: str) -> int:
        return int(do(customer.add, actor, values={"name": name})[1])

    def _undo(self, actor: Viewer, _customer_id: int, which: int) -> int:
        target = self.sets[which % len(self.sets)] if self.sets else 0
        set_id = undo(actor, target).change_set_id
        self.undoes[set_id] = target
        return set_id

    def _save(self, actor: Viewer, customer_id: int, values: dict[str, str]) -> int | None:
        version = row("customers", customer_id)["version"]
        found: customer.Saved = do(customer.save, actor, customer_id=customer_id, version=version, values=values)
        return found.change_set_id

    def _assign(self, actor: Viewer, customer_id: int, to: str) -> int:
        return assign(actor, customer_id, NOBODY if to == "nobody" else getattr(self.people, to).user_id)

    def _archive(self, actor: Viewer, customer_id: int, archived: bool) -> int:
        return int(do(customer.archive, actor, customer_id=customer_id, archived=archived))

    def _add_note(self, actor: Viewer, customer_id: int, body: str) -> int:
        return int(do(customer.add_note, actor, customer_id=customer_id, body=body))

    def _delete_note(self, actor: Viewer, customer_id: int, which: int) -> int:
        notes = [note["id"] for note in state("notes")["notes"].values() if note["customer_id"] == customer_id]
        note_id = notes[which % len(notes)] if notes else 0
        return int(do(customer.delete_note, actor, customer_id=customer_id, note_id=note_id))

    def step_back(self) -> None:
        last = self.sets.pop()
        undone = undo(self.people.root, self.live[last])
        assert undone.conflicts == []
        if last in self.undoes:
            self.live[self.undoes[last]] = undone.change_set_id


def _clean(people: make.People) -> None:
    """Four customers: Ann's, Bo's with a note, Cho's, nobody's; no history."""
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE customers, notes, changes, change_sets, touched_customers, orders CASCADE"))
        ids = [
            make.customer(conn, owner_id, name=name)
            for owner_id, name in (
                (people.ann.user_id, "a"),
                (people.bo.user_id, "王"),
                (people.cho.user_id, "c"),
                (0, "d"),
            )
        ]
        note = {"customer_id": ids[1], "author_id": people.bo.user_id, "body": "n", "search_text": " n "}
        conn.execute(insert(schema.notes).values(**note, created_at=func.now(), updated_at=func.now()))


def test_an_owner_who_is_gone_since_is_a_sentence(people: make.People) -> None:
    user_id, added = do(users.add, people.root, username="short.stay", role=Role.SALES)
    customer_id, _made = add(people.root)
    assign(people.root, customer_id, user_id)
    moved = assign(people.root, customer_id, people.bo.user_id)
    undone = undo(people.root, added).change_set_id
    with pytest.raises(Conflict, match="no longer there; bring that back first"):
        undo(people.root, moved)
    assert row("customers", customer_id)["owner_id"] == people.bo.user_id
    undo(people.root, undone)
    undo(people.root, moved)
    assert row("customers", customer_id)["owner_id"] == user_id


@pytest.mark.parametrize("table", undoing.KEYS)
def test_derived_columns_are_computed_from_their_sources_alone(table: str) -> None:
    """Undo computes them anew only where one of these changes."""
    columns = [c.name for c in schema.metadata.tables[table].c]
    compute, sources = undoing.KEYS[table], undoing.SOURCES[table]
    assert compute(dict.fromkeys(columns, "Zoë 9")) == compute(dict.fromkeys(sources, "Zoë 9")) != compute({})
