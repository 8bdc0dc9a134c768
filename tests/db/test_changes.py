"""The one door: images, versions, counts, rights, races."""

from __future__ import annotations

import threading
from datetime import date

import pytest
from sqlalchemy import Connection, select, text

from db import changes, connection, customer, customers, interactions, schema
from db.connection import begin
from db.errors import NotFound, Refused
from db.permissions import NOBODY, Permission, Viewer
from tests import make

EDIT = Permission.CUSTOMERS_EDIT


def opened(conn: Connection, actor: Viewer) -> int:
    return changes.start(conn, actor=actor, command="test", permission=EDIT, source="screen")


def made(actor: Viewer, **values: object) -> int:
    row = {"name": "张三", "owner_id": actor.user_id, **values}
    with begin(actor, write=True) as conn:
        return changes.insert(conn, opened(conn, actor), "customers", [row | customers.keys(row)])[0]


def history(owner: Connection) -> list[dict[str, object]]:
    rows = owner.execute(select(schema.changes).order_by(schema.changes.c.id)).mappings()
    found = [dict(row) for row in rows]
    owner.rollback()
    return found


def test_an_insert_records_its_key_an_update_its_columns_a_delete_the_row(
    people: make.People, owner: Connection
) -> None:
    ann = people.ann
    customer_id = made(ann)
    with begin(ann, write=True) as conn:
        set_id = opened(conn, ann)
        key = {"customer_id": customer_id}
        note = changes.insert(conn, set_id, "notes", [key | {"author_id": ann.user_id, "body": "hello"}])[0]
        assert changes.update(conn, set_id, "customers", [{"id": customer_id, "phone": "12", "region": "North"}]) == 1
        assert changes.delete(conn, set_id, "notes", [key | {"id": note}]) == 1
    insert, note_in, update, delete = history(owner)
    assert (insert["action"], insert["row_id"], insert["before"], insert["after"]) == ("insert", customer_id, {}, {})
    assert note_in["customer_id"] == customer_id
    assert (update["before"], update["after"]) == ({"region": ""}, {"region": "North"})
    assert (update["before_personal"], update["after_personal"]) == ({"phone": ""}, {"phone": "12"})
    assert delete["before_personal"] == {"body": "hello", "search_text": ""}
    assert delete["before"]["version"] == 1  # type: ignore[index]


def test_only_columns_that_really_change_are_recorded_and_a_no_op_leaves_the_version(
    people: make.People, owner: Connection
) -> None:
    customer_id = made(people.ann, region="North")
    with begin(people.ann, write=True) as conn:
        set_id = opened(conn, people.ann)
        patch = {"id": customer_id, "region": "North", "city": "Xi'an"}
        assert changes.update(conn, set_id, "customers", [patch]) == 1
        assert changes.update(conn, set_id, "customers", [patch]) == 0
    assert history(owner)[-1]["after"] == {"city": "Xi'an"}
    assert owner.scalar(select(schema.customers.c.version)) == 2


def test_values_survive_the_way_through_json_exactly(people: make.People, owner: Connection) -> None:
    with begin(people.root, write=True) as conn:
        set_id = changes.start(
            conn, actor=people.root, command="t", permission=Permission.USERS_MANAGE, source="terminal"
        )
        row = {"name": "春节 \"'\\ \U0001f600", "kind": "A", "starts_on": date(2026, 2, 1), "ends_on": date(2026, 2, 2)}
        changes.insert(conn, set_id, "campaigns", [row])
    stored = owner.execute(select(schema.campaigns)).mappings().one()
    assert {k: stored[k] for k in row} == row


def test_another_persons_customer_cannot_be_changed_and_nothing_is_half_done(
    people: make.People, owner: Connection
) -> None:
    mine, theirs = made(people.ann), made(people.bo)
    with pytest.raises(NotFound), begin(people.ann, write=True) as conn:
        changes.update(
            conn, opened(conn, people.ann), "customers", [{"id": mine, "city": "A"}, {"id": theirs, "city": "A"}]
        )
    assert owner.scalars(select(schema.customers.c.city)).all() == ["", ""]
    assert [h["action"] for h in history(owner)] == ["insert", "insert"]


@pytest.mark.parametrize("number", [10**9, 2**63, 10**30, 0, -(10**30)])
def test_a_row_that_cannot_be_is_a_row_that_is_not_there(people: make.People, number: int) -> None:
    mine = made(people.ann)
    for key in ({"customer_id": mine, "id": number}, {"customer_id": number, "id": 1}):
        with pytest.raises(NotFound), begin(people.ann, write=True) as conn:
            changes.delete(conn, opened(conn, people.ann), "notes", [key])
        with pytest.raises(NotFound), begin(people.ann, write=True) as conn:
            changes.update(conn, opened(conn, people.ann), "notes", [{**key, "body": "x"}])
        with pytest.raises(NotFound), begin(people.ann, write=True) as conn:
            interactions.delete(conn, actor=people.ann, customer_id=key["customer_id"], interaction_id=key["id"])
        with pytest.raises(NotFound), begin(people.ann, write=True) as conn:
            customer.delete_note(conn, actor=people.ann, customer_id=key["customer_id"], note_id=key["id"])


def test_a_note_on_another_persons_customer_is_refused_by_the_database(people: make.People) -> None:
    theirs = made(people.bo)
    with pytest.raises(Refused), begin(people.ann, write=True) as conn:
        note = {"customer_id": theirs, "author_id": people.ann.user_id, "body": "x"}
        changes.insert(conn, opened(conn, people.ann), "notes", [note])


def test_a_salesperson_cannot_give_a_customer_to_somebody_without_the_command(people: make.People) -> None:
    mine = made(people.ann)
    with pytest.raises(Refused), begin(people.ann, write=True) as conn:
        changes.update(conn, opened(conn, people.ann), "customers", [{"id": mine, "owner_id": people.bo.user_id}])


@pytest.mark.parametrize("who", ["ann", "root"])
def test_nobody_can_write_history_in_anothers_name(people: make.People, who: str) -> None:
    actor: Viewer = getattr(people, who)
    forged = Viewer(people.bo.user_id, "bo", actor.role, actor.owner_ids)
    with pytest.raises(Refused), begin(actor, write=True) as conn:
        opened(conn, forged)


@pytest.mark.parametrize("who", ["ann", "mia", "root", "ana", "mark"])
@pytest.mark.parametrize("table", ["changes", "change_sets"])
@pytest.mark.parametrize("statement", ["UPDATE public.{} SET id = id", "DELETE FROM public.{}", "TRUNCATE public.{}"])
def test_history_is_append_only(people: make.People, who: str, table: str, statement: str) -> None:
    with pytest.raises(Refused), begin(getattr(people, who), write=True) as conn:
        conn.exec_driver_sql(statement.format(table))


def test_two_editors_at_once_each_record_the_true_image(people: make.People, owner: Connection) -> None:
    """Ann's statement waits for Mia's commit and must then record what Mia wrote, not what stood there before."""
    customer_id = made(people.ann, city="first")
    waiting = threading.Event()
    result: list[int] = []

    def second() -> None:
        with begin(people.ann, write=True) as conn:
            set_id = opened(conn, people.ann)
            waiting.set()
            result.append(changes.update(conn, set_id, "customers", [{"id": customer_id, "city": "third"}]))

    with begin(people.mia, write=True) as conn:
        changes.update(conn, opened(conn, people.mia), "customers", [{"id": customer_id, "city": "second"}])
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        _until_blocked(owner)
    thread.join(10)
    assert result == [1]
    cities = [(h["before"], h["after"]) for h in history(owner) if h["action"] == "update"]
    assert cities == [
        ({"city": "first"}, {"city": "second"}),
        ({"city": "second"}, {"city": "third"}),
    ]
    assert owner.scalar(select(schema.customers.c.version)) == 3


def _until_blocked(owner: Connection) -> None:
    """Wait until a statement really waits for a lock, so that the race is run and not hoped for."""
    pause = threading.Event()
    for _attempt in range(200):
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        blocked = owner.scalar(text(query))
        owner.rollback()
        if blocked:
            return
        pause.wait(0.02)
    pytest.fail("the second editor never waited")


def test_generations_move_with_the_commit_and_not_with_a_rollback(people: make.People, owner: Connection) -> None:
    def generation() -> int:
        n = owner.scalar(select(schema.generations.c.n).where(schema.generations.c.area == "customers"))
        owner.rollback()
        assert n
        return int(n)

    start = generation()
    made(people.ann)
    assert generation() == start + 1
    with pytest.raises(ZeroDivisionError), begin(people.ann, write=True) as conn:
        changes.insert(conn, opened(conn, people.ann), "customers", [{"name": "x", "owner_id": people.ann.user_id}])
        raise ZeroDivisionError
    assert generation() == start + 1


def test_new_and_moved_customers_are_queued_for_the_rollups(people: make.People, owner: Connection) -> None:
    customer_id = made(people.ann)
    with begin(people.ann, write=True) as conn:
        changes.update(conn, opened(conn, people.ann), "customers", [{"id": customer_id, "city": "Wuhan"}])
        changes.update(conn, opened(conn, people.ann), "customers", [{"id": customer_id, "region": "East"}])
    assert owner.scalars(select(schema.touched_customers.c.customer_id)).all() == [customer_id] * 2
    # A town concerns no sum, but rules of segments may ask for it.
    assert owner.scalars(select(schema.segment_touches.c.customer_id)).all() == [customer_id]
    assert owner.scalar(text("SELECT count(*) FROM jobs.procrastinate_jobs WHERE task_name = 'refresh_metrics'")) == 3


def test_reads_cannot_write(people: make.People) -> None:
    with pytest.raises(Exception, match="read-only"), begin(people.root) as conn:
        conn.exec_driver_sql("DELETE FROM customers")


def test_a_role_without_the_permission_cannot_open_a_change_set(people: make.People) -> None:
    with pytest.raises(Refused, match="customers:edit"), begin(people.ana, write=True) as conn:
        opened(conn, people.ana)


def test_the_settings_of_one_transaction_do_not_leak_into_the_next(people: make.People, owner: Connection) -> None:
    made(people.bo)
    with begin(people.bo) as conn:
        assert make.count(conn, "customers") == 1
    with connection.engine().connect() as conn:
        assert conn.scalar(text("SELECT coalesce(current_setting('kehu.owner_ids', true), '')")) == ""
    with begin(people.ann) as conn:
        assert make.count(conn, "customers") == 0
    assert NOBODY not in people.ann.owner_ids
