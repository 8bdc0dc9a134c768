"""The command line on users, and what it shows and refuses to whom."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from sqlalchemy import select

from db import connection, passwords, schema, sessions, viewers
from db.__main__ import COMMANDS
from db.connection import begin
from db.errors import Invalid, NotFound, Refused
from db.permissions import GATE, Permission
from db.terminal.command import Usage
from tests import make
from tests.db.terminal.calling import EMAIL, PHONE, Run, Shop

# --- users -----------------------------------------------------------------------------------------------------------


def test_the_first_administrator_comes_out_of_an_empty_database(run: Run, clone: str) -> None:
    none = run("search", "x")
    assert none.code == NotFound.code
    assert "users add" in none.err
    assert run("users", "add", "li", "--role", "sales").code == NotFound.code
    added = run("users", "add", "Root", "--role", "admin", "--json").document
    assert (added["user"]["username"], added["user"]["role"], added["user"]["name"]) == ("root", "admin", "root")
    base, token = added["link"].split("/?link=")
    assert base == "http://localhost:8501"
    with begin(GATE, write=True) as conn:
        assert passwords.redeem_link(conn, token=token, password="long enough to be good") == added["user"]["id"]
    assert run("users", "add", "li", "--role", "sales", "--team", "Coast", "--json").document["user"]["team"] == "Coast"
    again = run("users", "add", "LI", "--role", "admin", "--json")
    assert (again.code, list(again.error["fields"])) == (Invalid.code, ["username"])


def test_users_are_listed_changed_locked_out_and_signed_out(run: Run, people: make.People) -> None:
    def session() -> int:
        with begin(GATE, write=True) as conn:
            return sessions.start(conn, user_id=people.ann.user_id).session_id

    def alive(session_id: int) -> bool:
        with begin(GATE) as conn:
            return sessions.check(conn, session_id=session_id) is not None

    with connection.begin_owner() as conn:
        conn.exec_driver_sql("SELECT setval('teams_id_seq', 100)")  # the cast's teams brought their own ids
    everyone = run("users", "list", "--json").document
    assert [u["username"] for u in everyone["users"]] == ["ana", "ann", "bo", "cho", "mark", "max", "mia", "root"]
    first = session()
    assert run("users", "signout", "ann", "--json").document["change_set_id"] is None
    assert not alive(first)
    second = session()
    gone = run("users", "deactivate", "ann", "--json").document
    assert gone["user"]["active"] is False
    refused = run("search", "x", "--as", "ann")
    assert refused.code == Refused.code
    assert run("users", "link", "ann").code == NotFound.code
    assert run("users", "deactivate", "ann").code == Invalid.code
    assert run("users", "activate", "ann").code == 0
    assert not alive(second), "an old session must not live again"
    moved = run("users", "role", "ann", "manager", "--team", "New team", "--json").document
    assert (moved["user"]["role"], moved["user"]["team"]) == ("manager", "New team")
    assert run("undo", moved["change_set_id"]).code == 0
    assert run("users", "role", "ann", "analyst", "--team", "", "--json").document["user"]["team"] == ""


def test_a_locked_user_is_told_and_let_in_again(run: Run, people: make.People) -> None:
    with begin(GATE, write=True) as conn:
        for _try in range(passwords.TRIES + 1):
            passwords.attempt(conn, username="ann")
    assert "locked" in next(line for line in run("users", "list").out.splitlines() if line.startswith("ann "))
    assert run("users", "unlock", "ann", "--json").document["user"]["locked_until"] is None
    with begin(GATE) as conn:
        assert passwords.lock_of(conn, username="ann") is None
    assert run("users", "unlock", "eve").code == NotFound.code


def test_the_last_administrator_stays_one(run: Run, people: make.People) -> None:
    assert run("users", "role", "root", "sales").code == Invalid.code
    assert run("users", "deactivate", "root").code == Invalid.code
    assert run("users", "role", "ann", "admin").code == 0
    assert run("users", "role", "root", "sales", "--as", "root").code == 0
    assert run("users", "list", "--as", "root").code == Refused.code


@pytest.mark.parametrize(
    ("argv", "field"),
    [
        (["", "--role", "sales"], "username"),
        (["-", "--role", "sales"], "username"),
        (["a b", "--role", "sales"], "username"),
        (["a\nb", "--role", "sales"], "username"),
        (["x" * 65, "--role", "sales"], "username"),
        (["ok", "--role", "sales", "--email", "nope"], "email"),
        (["ok", "--role", "sales", "--name", "n" * 201], "name"),
        (["ok", "--role", "sales", "--team", "t" * 201], "team"),
    ],
)
def test_users_that_cannot_be(run: Run, people: make.People, argv: list[str], field: str) -> None:
    failed = run("users", "add", *argv, "--json")
    assert (failed.code, list(failed.error["fields"])) == (Invalid.code, [field])


def test_links_begin_where_people_reach_kehu(run: Run, people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*argv: str) -> str:
        return str(run("users", "link", "ann", "--json", *argv).document["link"]).split("?")[0]

    monkeypatch.setenv("KEHU_PORT", "8600")
    assert link() == "http://localhost:8600/"
    monkeypatch.setenv("KEHU_URL", "https://kehu.example.com/")
    assert link() == "https://kehu.example.com/"
    assert link("--url", "https://other.example.com/crm") == "https://other.example.com/crm/"
    assert run("users", "link", "ann", "--url", "javascript:alert(1)").code == Usage.code


# --- rights ----------------------------------------------------------------------------------------------------------


def test_a_name_has_the_scope_that_its_session_has(people: make.People) -> None:
    for viewer in people.everyone:
        with begin(GATE, write=True) as conn:
            session_id = sessions.start(conn, user_id=viewer.user_id).session_id
            session = sessions.check(conn, session_id=session_id)
            assert session
            assert viewers.viewer_of(conn, username=viewer.username.upper()) == session.viewer == viewer


def test_nobody_sees_through_the_terminal_what_the_screens_withhold(run: Run, shop: Shop, people: make.People) -> None:
    mine = {
        "ann": {shop.ann},
        "bo": {shop.bo},
        "cho": {shop.cho},
        "mia": {shop.ann, shop.bo, shop.nobody},
        "max": {shop.cho, shop.nobody},
    }
    everybody = {shop.ann, shop.bo, shop.cho, shop.nobody}
    for viewer in people.everyone:
        who = ("--as", viewer.username, "--json")
        seen = mine.get(viewer.username, everybody)
        assert {row["id"] for row in run("search", "", *who).document["rows"]} == seen
        assert run("overview", *who).document["customers"] == len(seen)
        assert {i for i in everybody if run("customer", i, *who).code == 0} == seen
        if viewer.masked:
            whole = run("customer", shop.ann, *who).out + run("search", "", *who).out
            whole += run("changes", "--customer", shop.ann, *who).out
            assert PHONE not in whole
            assert EMAIL not in whole
            assert "张三" not in whole
            assert f'"name": "#{shop.ann}"' in whole
            assert run("search", "张三", *who).document["total"] == 0
            assert run("search", "13800138000", *who).document["total"] == 0


CALLS: dict[str, tuple[Permission, ...]] = {
    "search x": (Permission.CUSTOMERS_READ,),
    "customer {bo}": (Permission.CUSTOMERS_READ,),
    "customer {bo} --set city=Rome": (Permission.CUSTOMERS_EDIT,),
    "customer {bo} --note hello": (Permission.CUSTOMERS_EDIT,),
    "customer {bo} --assign bo": (Permission.CUSTOMERS_ASSIGN,),
    "tasks list": (Permission.TASKS_READ,),
    "tasks list --of bo": (Permission.TASKS_READ,),
    "tasks add {bo} x --for bo": (Permission.TASKS_EDIT,),
    "tasks done {bo} 1": (Permission.TASKS_EDIT,),
    "tasks reopen {bo} 1": (Permission.TASKS_EDIT,),
    "tasks postpone {bo} 1 2026-12-01": (Permission.TASKS_EDIT,),
    "tasks delete {bo} 1": (Permission.TASKS_EDIT,),
    "customers timeline {bo}": (Permission.CUSTOMERS_READ,),
    "customers log {bo} --body x": (Permission.CUSTOMERS_EDIT,),
    "customers bulk archive --ids {bo}": (Permission.CUSTOMERS_EDIT,),
    "customers bulk tag x --ids {bo} --dry-run": (Permission.CUSTOMERS_EDIT,),
    "customers bulk assign bo --ids {bo}": (Permission.CUSTOMERS_ASSIGN,),
    "contacts list {bo}": (Permission.CUSTOMERS_READ,),
    "contacts add {bo} --name x": (Permission.CUSTOMERS_EDIT,),
    "contacts change {bo} 1 --name x": (Permission.CUSTOMERS_EDIT,),
    "contacts remove {bo} 1": (Permission.CUSTOMERS_EDIT,),
    "addresses list {bo}": (Permission.CUSTOMERS_READ,),
    "addresses add {bo} --street x --kind home": (Permission.CUSTOMERS_EDIT,),
    "addresses change {bo} 1 --street x": (Permission.CUSTOMERS_EDIT,),
    "addresses remove {bo} 1": (Permission.CUSTOMERS_EDIT,),
    "consents list {bo}": (Permission.CUSTOMERS_READ,),
    "consents record {bo} mail given --how x": (Permission.CUSTOMERS_EDIT,),
    "tags list": (Permission.CUSTOMERS_READ,),
    "tags add {bo} x": (Permission.CUSTOMERS_EDIT,),
    "tags remove {bo} x": (Permission.CUSTOMERS_EDIT,),
    "overview": (Permission.OVERVIEW_READ,),
    "segment count {rule}": (Permission.SEGMENTS_READ,),
    "segment list": (Permission.SEGMENTS_READ,),
    "segment list --ready": (Permission.SEGMENTS_READ,),
    "segment show 1": (Permission.SEGMENTS_READ,),
    "segment members 1": (Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ),
    "segment moves 1": (Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ),
    "segment overlap 1 1": (Permission.SEGMENTS_READ,),
    "segment freeze Kept 1": (Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ, Permission.SEGMENTS_EDIT),
    "segment why {bo} --ready champions": (Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ),
    "cluster list": (Permission.SEGMENTS_READ,),
    "cluster find --by orders": (Permission.SEGMENTS_READ,),
    "cluster find --keep x": (Permission.SEGMENTS_READ, Permission.SEGMENTS_EDIT),
    "cluster archive 1": (Permission.SEGMENTS_EDIT,),
    "segment save Big {rule}": (Permission.SEGMENTS_EDIT,),
    "said x": (Permission.PERSONAL_READ,),
    "campaigns": (Permission.CAMPAIGNS_READ,),
    "funnel 1": (Permission.CAMPAIGNS_READ,),
    "campaign start Autumn --rule {rule} --channel phone": (
        Permission.CAMPAIGNS_EDIT,
        Permission.SEGMENTS_READ,
        Permission.CUSTOMERS_READ,
    ),
    "campaign show 1": (Permission.CAMPAIGNS_READ,),
    "cohorts": (Permission.SEGMENTS_READ,),
    "repeats --step 2": (Permission.SEGMENTS_READ,),
    "affinity": (Permission.SEGMENTS_READ,),
    "flows": (Permission.SEGMENTS_READ,),
    "lifecycle show": (Permission.OVERVIEW_READ,),
    "lifecycle versions stages": (Permission.OVERVIEW_READ,),
    "board list": (Permission.VIEWS_EDIT,),
    "board show 1": (Permission.VIEWS_EDIT,),
    "changes": (Permission.CHANGES_READ,),
    "changes 1": (Permission.CHANGES_READ,),
    "changes --customer {bo}": (Permission.CUSTOMERS_READ,),
    "undo 1": (Permission.CHANGES_UNDO,),
    "users list": (Permission.USERS_MANAGE,),
    "users add new --role sales": (Permission.USERS_MANAGE,),
    "users link ann": (Permission.USERS_MANAGE,),
    "users role ann analyst": (Permission.USERS_MANAGE,),
    "users deactivate ann": (Permission.USERS_MANAGE,),
    "users activate ann": (Permission.USERS_MANAGE,),
    "users signout ann": (Permission.USERS_MANAGE,),
    "users unlock ann": (Permission.USERS_MANAGE,),
    "demo": (Permission.DEMO_LOAD,),
    "bench-data --customers 10": (Permission.DEMO_LOAD,),
}


def test_every_command_names_its_permissions_and_refuses_without(
    run: Run, shop: Shop, people: make.People, rule: Path
) -> None:
    named: dict[str, set[Permission]] = {c.name: set() for c in COMMANDS}
    for call, permissions in CALLS.items():
        named[next(name for name in named if f"{call} ".startswith(f"{name} "))] |= set(permissions)
    assert named == {c.name: set(c.permissions) for c in COMMANDS}
    assert [c.name for c in COMMANDS if not c.permissions] == ["migrate"], "only migrate runs as the owner"
    for call, permissions in CALLS.items():
        for viewer in (people.bo, people.mia, people.ana, people.mark):
            if not all(viewer.can(p) for p in permissions):
                done = run(*shlex.split(call.format(bo=shop.bo, rule=rule)), "--as", viewer.username)
                assert (done.code, done.out) == (Refused.code, ""), f"{call} as {viewer.username}"
    with connection.begin_owner() as conn:
        assert conn.execute(select(schema.change_sets)).all() == []


def test_an_undo_needs_the_right_to_the_command_and_its_rows(run: Run, shop: Shop) -> None:
    made = run("customer", shop.ann, "--set", "city=Rome", "--as", "ann", "--json").document["change_set_ids"][0]
    for name in ("bo", "cho", "max", "ana", "mark"):
        assert run("undo", made, "--as", name).code in (Refused.code, NotFound.code), name
    assert run("undo", made, "--as", "mia").code == 0
    added = run("users", "add", "new", "--role", "sales", "--json").document["change_set_id"]
    assert run("undo", added, "--as", "mia").code in (Refused.code, NotFound.code)


def test_who_asks_is_told_by_option_environment_and_rank(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEHU_USER", "bo")
    assert run("search", "", "--json").document["total"] == 1
    assert run("--as", "mia", "search", "", "--json").document["total"] == 3
    assert run("search", "", "--json", "--as", "mia").document["total"] == 3
    monkeypatch.delenv("KEHU_USER")
    assert run("search", "", "--json").document["total"] == 4
    unknown = run("search", "x", "--as", "eve", "--json")
    assert unknown.error["code"] == NotFound.code
    assert run("search", "x", "--as", "-").code == NotFound.code, "nobody is no user"
