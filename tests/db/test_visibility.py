"""Who can see a customer: proved by beginning as every user and looking whether the row is there."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from db import clock, connection, customer, schema, users, viewers, visibility
from db.connection import begin
from db.errors import NotFound, Refused
from db.permissions import GATE, NOBODY, WORKER, Permission, Role, Viewer
from db.visibility import Reason
from tests import make

TODAY = date(2026, 11, 20)


def of(viewer: Viewer, customer_id: int, **limits: int) -> visibility.Seen:
    with begin(viewer) as conn:
        return visibility.of_customer(conn, viewer=viewer, customer_id=customer_id, **limits)


def done(actor: Viewer, command: Any, **params: Any) -> Any:
    with begin(actor, write=True) as conn:
        return command(conn, actor=actor, **params)


def customers_of(owners: list[int]) -> list[int]:
    with connection.begin_owner() as conn:
        return [make.customer(conn, owner_id, name=f"Of {owner_id}") for owner_id in owners]


def reality(customer_id: int) -> dict[str, bool]:
    """User name → whether they may edit, of those whose own transaction shows the row."""
    with connection.begin_owner() as conn:
        every = conn.execute(select(schema.users.c.username, schema.users.c.active).where(schema.users.c.id > 0)).all()
    seen: dict[str, bool] = {}
    for username, active in every:
        try:
            with begin(GATE) as conn:
                viewer = viewers.viewer_of(conn, username=username)
        except Refused:
            assert not active
            continue
        with begin(viewer) as conn:
            there = select(schema.customers.c.id).where(schema.customers.c.id == customer_id)
            if conn.scalar(there) is None:
                continue
        seen[username] = edits(viewer, customer_id)
    return seen


def edits(viewer: Viewer, customer_id: int) -> bool:
    """Whether a save goes through; nothing of it is kept."""

    class Leave(Exception):
        pass

    try:
        with begin(viewer, write=True) as conn:
            version = conn.scalar(select(schema.customers.c.version).where(schema.customers.c.id == customer_id))
            values = {"city": "Elsewhere"}
            customer.save(conn, actor=viewer, customer_id=customer_id, version=version or 1, values=values)
            raise Leave
    except Leave:
        return True
    except Refused:
        return False


def told(people: make.People, customer_id: int) -> dict[str, bool]:
    return {one.username: one.may_edit for one in of(people.root, customer_id).by}


def test_what_is_told_is_what_everybody_sees(people: make.People) -> None:
    """For owners of each kind; again after a hand-over, a move to another team, a new role, a deactivation."""
    owners = (people.ann, people.bo, people.cho, people.mia, people.ana)
    every = customers_of([*(one.user_id for one in owners), NOBODY])

    def prove(after: str) -> None:
        for customer_id in every:
            assert told(people, customer_id) == reality(customer_id), f"customer {customer_id} after {after}"

    prove("nothing")
    done(people.mia, customer.assign, customer_ids=[every[0]], owner_id=people.cho.user_id)
    prove("a hand-over")
    done(people.root, users.change, user_id=people.bo.user_id, role=Role.SALES, team="Team 2")
    prove("a move to another team")
    done(people.root, users.change, user_id=people.max.user_id, role=Role.MANAGER, team="")
    prove("a manager without a team")
    done(people.root, users.change, user_id=people.cho.user_id, role=Role.ANALYST)
    prove("another role")
    done(people.root, users.set_active, user_id=people.bo.user_id, active=False)
    prove("a deactivation")
    done(people.root, users.set_active, user_id=people.mia.user_id, active=False)
    prove("the manager's deactivation")
    done(people.root, customer.archive, customer_id=every[-1])
    prove("an archiving")


def test_reasons_and_their_order(people: make.People) -> None:
    of_ann, of_mia, of_nobody = customers_of([people.ann.user_id, people.mia.user_id, NOBODY])
    masked = [("ana", Reason.MASKED), ("mark", Reason.MASKED)]

    def reasons(customer_id: int) -> list[tuple[str, Reason]]:
        return [(one.username, one.reason) for one in of(people.root, customer_id).by]

    assert reasons(of_ann) == [("ann", Reason.OWNER), ("mia", Reason.TEAM), ("root", Reason.ADMIN), *masked]
    assert reasons(of_mia) == [("mia", Reason.OWNER), ("root", Reason.ADMIN), *masked]
    managers = [("max", Reason.UNOWNED), ("mia", Reason.UNOWNED)]
    assert reasons(of_nobody) == [*managers, ("root", Reason.ADMIN), *masked]
    found = of(people.root, of_ann)
    assert (found.name, found.owner, found.team, found.total, found.active) == (
        f"Of {people.ann.user_id}",
        "Ann",
        "Team 1",
        5,
        8,
    )
    assert set(visibility.REASONS) == set(Reason)


def test_the_list_is_cut_and_says_how_many_there_are(people: make.People) -> None:
    [customer_id] = customers_of([NOBODY])
    now = clock.now()
    with connection.begin_owner() as conn:
        person = {"role": "analyst", "created_at": now, "updated_at": now}
        conn.execute(
            insert(schema.users), [{"username": f"more{n}", "name": f"More {n}", **person} for n in range(250)]
        )
    found = of(people.root, customer_id)
    assert (len(found.by), found.total, found.active) == (visibility.MOST_SEEING, 255, 258)
    assert of(people.root, customer_id, limit=1).by == found.by[:1]


def test_only_administrators_may_ask(people: make.People) -> None:
    [customer_id] = customers_of([people.ann.user_id])
    for viewer in (*people.everyone, GATE):
        if viewer.can(Permission.USERS_MANAGE):
            continue
        with pytest.raises(Refused), begin(viewer) as conn:
            visibility.of_customer(conn, viewer=viewer, customer_id=customer_id)
        with pytest.raises(Refused), begin(viewer) as conn:
            visibility.candidates(conn, viewer=viewer, today=TODAY, words="of")
    assert of(WORKER, customer_id).total == 5, "Kehu's own processes are no users"


@pytest.mark.parametrize("customer_id", [0, -1, 10**9, 2**63 - 1, 2**63, 10**30])
def test_a_customer_who_is_not_there(people: make.People, customer_id: int) -> None:
    with pytest.raises(NotFound):
        of(people.root, customer_id)


def test_candidates_by_number_and_words(people: make.People) -> None:
    with connection.begin_owner() as conn:
        wang = make.customer(conn, people.ann.user_id, name="王小明", phone="+86 138 0013 8000")
        away = make.customer(conn, people.cho.user_id, name="Archived", archived_at=clock.now())
        for n in range(30):
            make.customer(conn, people.bo.user_id, name=f"Many {n:02}")
        # Its number is the household of another one too.
        conn.execute(insert(schema.customer_keys).values(kind="household", value=str(away), customer_id=wang))

    def found(words: str) -> dict[int, str]:
        with begin(people.root) as conn:
            return visibility.candidates(conn, viewer=people.root, today=TODAY, words=words)

    assert found("wangx") == found("8000") == {wang: "王小明"}
    assert next(iter(found(f"#{wang}"))) == wang
    assert list(found(f" {away} "))[:2] == [away, wang], "the one of this number comes first"
    assert len(found("many")) == visibility.MOST_FOUND
    for nothing in ("", "zzzz", "9" * 18, "9" * 500, "\0", "%", "'; drop table customers; --", "１２３４５６７"):
        assert found(nothing) == {}, nothing


def test_a_deactivated_owner_sees_nothing_but_the_manager_does(people: make.People) -> None:
    [customer_id] = customers_of([people.ann.user_id])
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
    found = of(people.root, customer_id)
    assert (found.owner, found.owner_active) == ("Ann", False)
    assert [one.username for one in found.by] == ["mia", "root", "ana", "mark"]
