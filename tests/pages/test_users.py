"""Users: the list and its filters, the card, an invitation, oneself, the rights, who sees a customer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import String, cast, insert, select, text, update
from streamlit.testing.v1 import AppTest

from components import data, user_form
from db import clock, connection, customer, passwords, schema, sessions, users
from db.connection import begin
from db.embedded import Server
from db.permissions import GATE, GRANTS, MEANINGS, SCOPES, Permission, Role, Viewer
from tests import make
from tests.pages.visits import (
    HOSTILE,
    REFUSAL,
    SIGN_IN,
    body,
    click,
    control,
    count,
    database,
    drawn,
    go,
    grid,
    markup_of,
    pick,
    revoke,
    said,
    signed_in,
    sound,
    speaking,
    where,
    words,
)

CLICK = "Click a row to see the user."
NONE = "No user matches. Remove a filter."
LAST = "This is the last active administrator. Make somebody else one first."
MOST_QUERIES = 12


@pytest.fixture(scope="module")
def module_people(server: Server, template: str) -> Iterator[make.People]:
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            conn.exec_driver_sql("SELECT setval('teams_id_seq', 100)")  # the cast's teams brought their own ids
        yield made


@pytest.fixture
def people(module_people: make.People) -> make.People:
    """The cast as it was made, whatever the test before did to it; nobody beside."""
    stamps = {"created_at": clock.now(), "updated_at": clock.now()}
    with connection.begin_owner() as conn:
        for table in ("changes", "change_sets", "customers", "user_links", "app_sessions", "sign_in_attempts"):
            conn.execute(text(f"TRUNCATE {table} CASCADE"))
        cast_ids = [one.user_id for one in module_people.everyone]
        conn.execute(schema.users.delete().where(schema.users.c.id.not_in([0, *cast_ids])))
        conn.execute(update(schema.users).where(schema.users.c.id > 0).values(active=True, locked_until=None))
        for one in module_people.everyone:
            team = {"ann": 1, "bo": 1, "mia": 1, "cho": 2, "max": 2}.get(one.username)
            mine = schema.users.c.id == one.user_id
            conn.execute(update(schema.users).where(mine).values(role=one.role.value, team_id=team, **stamps))
        conn.execute(schema.teams.delete().where(schema.teams.c.id > 2))
    return module_people


def opened(viewer: Viewer, **params: str) -> AppTest:
    return sound(signed_in(viewer, "users", **params))


def names(app: AppTest) -> list[str]:
    return list(grid(app, "users_list")["name"]) if app.dataframe else []


def choose(app: AppTest, name: str) -> AppTest:
    return sound(pick(app, "users_list", names(app).index(name)))


def stored(username: str) -> dict[str, Any]:
    with connection.begin_owner() as conn:
        t = schema.teams.c
        query = (
            select(schema.users, t.name.label("team"))
            .select_from(schema.users.outerjoin(schema.teams, t.id == schema.users.c.team_id))
            .where(schema.users.c.username == username)
        )
        return dict(conn.execute(query).mappings().one())


def alive(app: AppTest) -> bool:
    with begin(GATE) as conn:
        return sessions.check(conn, session_id=app.session_state["kehu_session"]) is not None


def field(app: AppTest, kind: str, ending: str) -> Any:
    """A field of the card's form, whose key goes on with what it was opened with."""
    fields = app.selectbox if kind == "select" else app.text_input if kind == "text" else app.checkbox
    [found] = [one for one in fields if one.key.startswith("users_change_") and one.key.endswith(ending)]
    return found


def set_role(app: AppTest, role: Role) -> None:
    with speaking("en"):
        field(app, "select", "_role").set_value(role)


def save(app: AppTest, user_id: int) -> AppTest:
    return sound(click(app, f"users_save_{user_id}"))


# --- the list --------------------------------------------------------------------------------------------------------


def test_list_tells_what_is_known(people: make.People) -> None:
    with begin(GATE, write=True) as conn:
        for _try in range(passwords.TRIES + 1):
            passwords.attempt(conn, username="ann")
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.username == "bo").values(active=False))
        conn.execute(update(schema.users).where(schema.users.c.username == "cho").values(seen_at=clock.now()))
    app = opened(people.root)
    rows = grid(app, "users_list").set_index("username")
    assert list(rows["name"]) == ["Ana", "Ann", "Bo", "Cho", "Mark", "Max", "Mia", "Root"]
    assert list(rows.loc["ann"]) == ["Ann", "Sales", "Team 1", "Locked", "never", "2026-11-20 15:15"]
    assert list(rows.loc["bo"])[3] == "Deactivated"
    assert list(rows.loc["cho"])[4] == "2026-11-20 15:00"
    assert list(rows.loc["ana"]) == ["Ana", "Analyst", "–", "May sign in", "never", "–"]
    assert "1–8 of 8" in body(app)
    assert data.queries() <= MOST_QUERIES


def test_instants_are_the_companys(people: make.People) -> None:
    with connection.begin_owner() as conn:
        row = {"key": "time_zone", "value": "Asia/Shanghai", "created_at": clock.now(), "updated_at": clock.now()}
        conn.execute(insert(schema.settings).values(**row))
    try:
        rows = grid(opened(people.root), "users_list").set_index("username")
        assert rows.loc["root", "seen_at"] == "2026-11-20 23:00"
    finally:
        with connection.begin_owner() as conn:
            conn.execute(schema.settings.delete().where(schema.settings.c.key == "time_zone"))


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"users_role": "sales"}, ["Ann", "Bo", "Cho"]),
        ({"users_team": "Team 2"}, ["Cho", "Max"]),
        ({"users_team": "Team 1", "users_role": "manager"}, ["Mia"]),
        ({"users_state": "active", "users_search": "ma"}, ["Mark", "Max"]),
        ({"users_state": "deactivated"}, []),
        ({"users_search": "team 2"}, ["Cho", "Max"]),
    ],
    ids=str,
)
def test_a_link_opens_its_filters(people: make.People, params: dict[str, str], found: list[str]) -> None:
    app = opened(people.root, **params)
    assert names(app) == found
    assert (NONE in body(app)) == (not found)
    assert dict(app.query_params) == params


@pytest.mark.parametrize(
    "params",
    [
        {"users_role": "gate", "users_team": "x" * 5_000, "users_state": "<script>"},
        {"users_role": "", "users_part": "nonsense", "users_search": "\u202e"},
        {"users_part": "\0", "users_team": "'; drop table users; --"},
    ],
    ids=lambda value: str(value)[:40],
)
def test_nonsense_in_the_link_shows_everybody(people: make.People, params: dict[str, str]) -> None:
    assert len(names(opened(people.root, **params))) == 8


def test_a_choice_stays_while_visits_go_on(people: make.People) -> None:
    app = choose(opened(people.root), "Ann")
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.username == "bo").values(seen_at=clock.now()))
    sound(app.run())
    assert drawn(app, "users_deactivate")
    assert grid(app, "users_list").set_index("name").loc["Bo", "seen_at"] != "never"


# --- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ann", "mia", "ana", "mark"])
@pytest.mark.parametrize("part", ["people", "rights", "sight"])
def test_nobody_else_sees_anything_of_it(people: make.People, who: str, part: str) -> None:
    app = opened(getattr(people, who), users_part=part, users_customer="1", users_search="root")
    assert body(app) == REFUSAL
    assert "root" not in words(app).lower().replace("{", "")
    for key in ("users_invite", "users_search", "users_customer"):
        assert not drawn(app, key)


def test_a_role_that_was_taken_away_does_nothing_any_more(people: make.People) -> None:
    """The screen stands open at somebody who has just been made a salesperson."""
    app = choose(opened(people.root), "Ann")
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.username == "root").values(role="sales"))
    assert body(sound(click(app, "users_deactivate"))) == REFUSAL
    assert stored("ann")["active"]


def test_gone_session_shows_the_sign_in_and_changes_nothing(people: make.People) -> None:
    app = choose(opened(people.root), "Ann")
    revoke(app)
    sound(click(app, "users_deactivate"))
    assert SIGN_IN in body(app)
    assert not app.dataframe
    assert stored("ann")["active"]


# --- the card --------------------------------------------------------------------------------------------------------


def test_card_tells_and_role_and_team_are_saved_and_taken_back(people: make.People) -> None:
    with begin(people.ann, write=True) as conn:
        customer.add(conn, actor=people.ann, values={"name": "Wang"})
    app = choose(opened(people.root), "Ann")
    assert [s.value for s in app.main.subheader] == ["Ann"]
    [link] = app.main.page_link
    assert (link.label, link.proto.query_string) == ("1 customer", f"customers_owner={people.ann.user_id}")
    assert data.queries() <= MOST_QUERIES
    set_role(app, Role.MANAGER)
    field(app, "select", "_team").set_value("Team 2")
    save(app, people.ann.user_id)
    assert (stored("ann")["role"], stored("ann")["team"]) == ("manager", "Team 2")
    assert "Ann: role and team are saved." in body(app)
    assert drawn(app, "users_deactivate"), "the card stays"
    sound(click(app, "kehu_undo_button"))
    assert (stored("ann")["role"], stored("ann")["team"]) == ("sales", "Team 1")
    assert field(app, "select", "_team").value == "Team 1", "the form shows what is there now"


def test_a_new_team_is_made_and_none_is_a_choice(people: make.People) -> None:
    app = choose(opened(people.root), "Ann")
    field(app, "text", "_team_new").set_value(" 北方 ")
    save(app, people.ann.user_id)
    assert stored("ann")["team"] == "北方"
    assert control(app, "users_team").options == ["All teams", "北方", "Team 1", "Team 2"]
    sound(click(app, "kehu_undo_button"))
    assert stored("ann")["team"] == "Team 1"
    assert control(app, "users_team").options == ["All teams", "Team 1", "Team 2"], "the team goes with it"
    field(app, "select", "_team").set_value("")
    save(app, people.ann.user_id)
    assert stored("ann")["team"] is None


def test_nothing_to_save_saves_nothing(people: make.People) -> None:
    app = save(choose(opened(people.root), "Ann"), people.ann.user_id)
    assert "Nothing had changed, so nothing was saved." in body(app)
    assert count("change_sets", "changes") == (0, 0)


def test_two_administrators_with_one_user(people: make.People) -> None:
    app = choose(opened(people.root), "Ann")
    with begin(people.root, write=True) as conn:
        users.change(conn, actor=people.root, user_id=people.ann.user_id, role=Role.SALES, team="Team 2")
    set_role(app, Role.MANAGER)
    save(app, people.ann.user_id)
    assert "Somebody else has just changed this user." in body(app)
    assert (stored("ann")["role"], stored("ann")["team"]) == ("sales", "Team 2")
    assert field(app, "select", "_team").value == "Team 2"
    set_role(app, Role.MANAGER)
    save(app, people.ann.user_id)
    assert (stored("ann")["role"], stored("ann")["team"]) == ("manager", "Team 2")
    assert "Somebody else has just changed this user." not in body(app)


def test_deactivated_is_out_everywhere_and_comes_back(people: make.People) -> None:
    hers, idle = (sound(signed_in(people.ann, "customers")) for _ in range(2))
    app = sound(click(choose(opened(people.root), "Ann"), "users_deactivate"))
    assert not stored("ann")["active"]
    assert not alive(idle)
    assert SIGN_IN in body(sound(hers.run()))
    assert "Ann is signed out and can no longer sign in." in body(app)
    assert grid(app, "users_list").set_index("name").loc["Ann", "state"] == "Deactivated"
    assert not drawn(app, "users_make_link")
    sound(click(app, "users_activate"))
    assert stored("ann")["active"]
    assert not alive(idle), "an old session does not live again"
    sound(click(app, "kehu_undo_button"))
    assert not stored("ann")["active"]


def test_undo_of_a_deactivation_revives_no_session(people: make.People) -> None:
    hers = sound(signed_in(people.ann, "customers"))
    app = sound(click(choose(opened(people.root), "Ann"), "users_deactivate"))
    sound(click(app, "kehu_undo_button"))
    assert stored("ann")["active"]
    assert not alive(hers)


def test_signed_out_everywhere_but_not_oneself(people: make.People) -> None:
    hers = [sound(signed_in(people.ann, "customers")) for _ in range(2)]
    app = sound(click(choose(opened(people.root), "Ann"), "users_sign_out"))
    assert [alive(one) for one in (*hers, app)] == [False, False, True]
    assert "Ann is signed out everywhere." in words(app)


def test_a_lock_is_taken_off(people: make.People) -> None:
    with begin(GATE, write=True) as conn:
        for _try in range(passwords.TRIES + 1):
            passwords.attempt(conn, username="ann")
    app = choose(opened(people.root), "Ann")
    assert "Locked after too many wrong passwords, until 2026-11-20 15:15." in said(app)
    sound(click(app, "users_unlock"))
    assert "Ann may try again at once." in words(app)
    assert not drawn(app, "users_unlock")
    assert grid(app, "users_list").set_index("name").loc["Ann", "state"] == "May sign in"
    with begin(GATE) as conn:
        assert passwords.lock_of(conn, username="ann") is None


# --- oneself, and the last one ---------------------------------------------------------------------------------------


def test_the_last_administrator_stays(people: make.People) -> None:
    app = choose(opened(people.root), "Root")
    assert (
        "This is your own account: you are out at once, and only another administrator can let you in again."
        in body(app)
    )
    sound(click(app, "users_deactivate"))
    assert LAST in body(app)
    assert alive(app)
    set_role(app, Role.SALES)
    field(app, "check", "_sure").set_value(True)
    save(app, people.root.user_id)
    assert LAST in body(app)
    assert (stored("root")["role"], stored("root")["active"]) == ("admin", True)
    assert count("change_sets") == (0,)


def second_admin() -> None:
    with connection.begin_owner() as conn:
        conn.execute(update(schema.users).where(schema.users.c.username == "mia").values(role="admin"))


def test_giving_up_the_own_role_is_asked_about_and_works(people: make.People) -> None:
    second_admin()
    app = choose(opened(people.root), "Root")
    set_role(app, Role.MANAGER)
    save(app, people.root.user_id)
    assert "Tick this first: only another administrator can give the role back to you." in said(app)
    assert stored("root")["role"] == "admin"
    field(app, "check", "_sure").set_value(True)
    save(app, people.root.user_id)
    assert stored("root")["role"] == "manager"
    assert where(app) == "account"
    assert not drawn(app, "kehu_undo_button"), "who may not undo it is offered nothing"
    assert body(sound(go(app, "users"))) == REFUSAL


def test_signing_oneself_out_leads_out(people: make.People) -> None:
    app = sound(click(choose(opened(people.root), "Root"), "users_sign_out"))
    assert SIGN_IN in body(app)
    assert stored("root")["active"]


def test_changing_the_own_team_needs_no_asking(people: make.People) -> None:
    app = choose(opened(people.root), "Root")
    field(app, "select", "_team").set_value("Team 1")
    save(app, people.root.user_id)
    assert (stored("root")["role"], stored("root")["team"]) == ("admin", "Team 1")


def test_deactivating_oneself_leads_out(people: make.People) -> None:
    second_admin()
    elsewhere = opened(people.root)
    app = sound(click(choose(opened(people.root), "Root"), "users_deactivate"))
    assert SIGN_IN in body(app)
    assert not stored("root")["active"]
    assert not alive(elsewhere)


# --- invitations and links -------------------------------------------------------------------------------------------


def invite(app: AppTest, *, role: Role = Role.SALES, team: str = "", **typed: str) -> AppTest:
    """Fill the form and send it. AppTest forgets an open dialog in the next run: press both buttons."""
    if not drawn(app, "users_new_save"):
        click(app, "users_invite")
    for name, value in typed.items():
        app.text_input(key=f"users_new_{name}").set_value(value)
    with speaking("en"):
        app.selectbox(key="users_new_role").set_value(role)
        app.selectbox(key="users_new_team").set_value(team)
    app.button(key="users_invite").click()
    app.button(key="users_new_save").click()
    return sound(app.run())


def token_of(app: AppTest) -> str:
    [code] = app.main.code
    return str(code.value).partition("/?link=")[2]


def everything_stored() -> str:
    """Every row of every table as text, past all rights."""
    with connection.begin_owner() as conn:
        tables = schema.metadata.sorted_tables
        return "\n".join(
            str(row) for t in tables for row in conn.execute(select(*(cast(c, String) for c in t.columns))).all()
        )


def test_an_invitation_gives_a_link_that_opens_once(people: make.People, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = invite(
        opened(people.root),
        username=" Zoë.Li ",
        name="李佐伊",
        email="Zoe@Example.com",
        role=Role.MANAGER,
        team="Team 1",
    )
    row = stored("zoë.li")
    assert (row["name"], row["email"], row["role"], row["team"]) == ("李佐伊", "Zoe@example.com", "manager", "Team 1")
    token = token_of(app)
    assert len(token) >= 40
    told = said(app)
    assert "**李佐伊** chooses a password at this link:" in told
    assert "It works once, for 7 days, until 2026-11-27 15:00." in told
    assert "李佐伊" in names(app)
    assert token not in everything_stored(), "neither the history nor any other table holds it"
    assert not [record for record in caplog.records if token in json.dumps(record.__dict__, default=str)]
    kept = app.session_state[user_form.LINK]
    assert not isinstance(kept, str | tuple | list | dict), "no value that is kept as something typed"
    with begin(GATE, write=True) as conn:
        assert passwords.redeem_link(conn, token=token, password="chosen by myself") == row["id"]
    sound(click(app, "users_link_done"))
    assert not app.main.code
    assert token not in words(app)


def test_a_new_link_ends_the_earlier_ones(people: make.People) -> None:
    app = sound(click(choose(opened(people.root), "Ann"), "users_make_link"))
    first = token_of(app)
    sound(click(app, "users_make_link"))
    second = token_of(app)
    assert first != second
    with begin(GATE) as conn:
        assert passwords.link_owner(conn, token=first) is None
        owner = passwords.link_owner(conn, token=second)
    assert owner is not None
    assert owner.user_id == people.ann.user_id
    assert stored("ann")["password_hash"] is None


def test_a_refused_invitation_says_why_under_each_field(people: make.People) -> None:
    before = count("users", "change_sets", "user_links")
    app = invite(opened(people.root), username="two words", email="nobody", name="x" * 201, team_new="y" * 201)
    told = words(app).replace("\\", "").replace("\u2060", "")
    for sentence in (
        "Letters, digits and . @ + - _ make a user name, 64 at most and no blanks.",
        "This is not an e-mail address. Example: name@example.com",
        "201 characters are too many; at most 200.",
    ):
        assert f":red[:material/error: {sentence}]" in told
    assert told.count("201 characters are too many") == 2
    assert app.text_input(key="users_new_email").value == "nobody"
    invite(app, username="ann", email="", name="", team_new="")
    assert "There is a user named ann already." in words(app).replace("\\", "")
    assert count("users", "change_sets", "user_links") == before
    invite(app, username="new.one")
    assert stored("new.one")["name"] == "new.one"


@pytest.mark.parametrize("typed", HOSTILE, ids=repr)
def test_whatever_is_typed_is_only_text(people: make.People, typed: str) -> None:
    app = invite(opened(people.root), username=typed, name=typed, email=typed, team_new=typed)
    assert count("users") == (9,)
    kept = HOSTILE[typed]
    app = invite(app, username="hostile", name=typed, email="", team_new=typed)
    assert (stored("hostile")["name"], stored("hostile")["team"]) == (kept, kept)
    assert kept in said(app)
    assert markup_of(app, kept) == []
    choose(app, kept)
    assert markup_of(app, kept) == []
    field(app, "text", "_team_new").set_value(f"{typed}2")
    app = save(app, stored("hostile")["id"])
    assert markup_of(app, kept) == []
    sound(click(app, "users_deactivate"))
    assert markup_of(app, kept) == []
    app.text_input(key="users_search").set_value(typed)
    sound(app.run())
    assert NONE in body(app) or names(app) == [kept]


# --- roles and rights ------------------------------------------------------------------------------------------------


def test_matrix_is_the_code(people: make.People) -> None:
    told = said(opened(people.root, users_part="rights"))
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in told.splitlines() if line.startswith("| ")}
    assert rows["May"].strip("| ").split(" | ")[1:] == ["Sales", "Manager", "Analyst", "Marketer", "Administrator"]
    for permission in Permission:
        held = [permission in GRANTS[role] for role in SCOPES]
        if any(held):
            cells = [cell.strip() for cell in rows[MEANINGS[permission]].removesuffix("|").split("|")[2:]]
            assert [cell == "✓" for cell in cells] == held, permission
        else:
            assert MEANINGS[permission] not in rows, "what only Kehu's own processes may do"
    assert set(SCOPES) == set(Role) - {Role.GATE, Role.WORKER}
    for scope in SCOPES.values():
        assert scope in told


# --- who sees a customer ---------------------------------------------------------------------------------------------


@pytest.fixture
def wang(people: make.People) -> int:
    with connection.begin_owner() as conn:
        conn.execute(text("TRUNCATE customers CASCADE"))
        return make.customer(conn, people.ann.user_id, name="王小明", phone="+86 138 0013 8000")


def reasons(app: AppTest) -> list[list[str]]:
    lines = [line for line in said(app).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("typed", ["wangx", "小明", "8000", "number"])
def test_found_by_words_or_number(people: make.People, wang: int, typed: str) -> None:
    app = opened(people.root, users_part="sight", users_customer=str(wang) if typed == "number" else typed)
    assert [s.value for s in app.main.subheader] == ["王小明"]
    assert "Owner: Ann · Team 1" in said(app)
    assert "5 of 8 active users see this customer." in said(app)
    assert reasons(app) == [
        ["Ann", "Sales", "owns the customer", "yes"],
        ["Mia", "Manager", "manages the owner's team", "yes"],
        ["Root", "Administrator", "sees everything, as an administrator", "yes"],
        ["Ana", "Analyst", "sees all customers, without names and contacts", "no"],
        ["Mark", "Marketer", "sees all customers, without names and contacts", "no"],
    ]
    assert data.queries() <= MOST_QUERIES


def test_the_customers_page_leads_there_for_administrators_alone(people: make.People, wang: int) -> None:
    for viewer, there in ((people.root, True), (people.mia, False), (people.ana, False)):
        links = sound(signed_in(viewer, "customer", id=str(wang))).main.page_link
        found = [link.proto.query_string for link in links if link.page == "users"]
        assert found == ([f"users_part=sight&users_customer={wang}"] if there else [])


def test_of_several_one_is_chosen(people: make.People, wang: int) -> None:
    with connection.begin_owner() as conn:
        other = make.customer(conn, name="王小红", archived_at=None)
    app = opened(people.root, users_part="sight", users_customer="王")
    which = app.selectbox(key="users_which")
    assert sorted(which.options) == sorted([f"王小明 · #{wang}", f"王小红 · #{other}"])
    which.set_value(other)
    app = sound(app.run())
    assert "Owner: Nobody" in said(app)
    assert ["Max", "Manager", "nobody owns the customer, and managers see those", "yes"] in reasons(app)


def test_archived_and_deactivated_are_said(people: make.People, wang: int) -> None:
    with connection.begin_owner() as conn:
        conn.execute(update(schema.customers).values(archived_at=clock.now()))
        conn.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
    app = opened(people.root, users_part="sight", users_customer=f"#{wang}")
    assert "Archived" in said(app)
    assert "Owner: Ann · Team 1 · deactivated" in said(app)
    assert "4 of 7 active users see this customer." in said(app)


@pytest.mark.parametrize("typed", [*HOSTILE, "zzzz", "9" * 18, "9" * 300, "%", "\\"], ids=lambda t: repr(t)[:30])
def test_whatever_is_typed_as_a_customer(people: make.People, wang: int, typed: str) -> None:
    app = opened(people.root, users_part="sight")
    app.text_input(key="users_customer").set_value(typed)
    sound(app.run())
    assert "No customer matches. Try another spelling." in body(app)
    assert not app.main.subheader


def test_a_hostile_customer_is_only_text(people: make.People, wang: int) -> None:
    for typed in HOSTILE.values():
        with connection.begin_owner() as conn:
            customer_id = make.customer(conn, people.ann.user_id, name=typed)
        app = opened(people.root, users_part="sight", users_customer=str(customer_id))
        assert typed in said(app)
        assert markup_of(app, typed) == []
