"""Passwords: rules, verification, lockout that tells nothing about names, changing, one-time links."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, select, update

from db import passwords, schema, sessions
from db.connection import begin
from db.errors import Invalid, NotFound, Refused
from db.permissions import GATE
from tests import make
from tests.engine import forget

START = datetime.fromisoformat("2026-11-20T15:00:00+00:00")
GOOD = "正确的马电池订书钉"  # 27 bytes in 9 characters: one short
LONG = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passwords, "BCRYPT_COST", 4)
    passwords.nobodys_hash.cache_clear()
    yield
    passwords.nobodys_hash.cache_clear()


def at(monkeypatch: pytest.MonkeyPatch, after: timedelta) -> None:
    monkeypatch.setenv("KEHU_NOW", (START + after).isoformat())


@pytest.fixture
def gate(people: make.People) -> Iterator[Connection]:
    with begin(GATE, write=True) as conn:
        conn.execute(
            update(schema.users).where(schema.users.c.username == "ann").values(password_hash=passwords.hashed(LONG))
        )
        yield conn


def try_(gate: Connection, username: str, password: str) -> bool:
    return passwords.verify(passwords.attempt(gate, username=username), password)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "123456789",
        "x" * 73,
        "汉字" * 13,
        "aaaaaaaaaaaa",
        "abababababab",
        "with\nnewline",
        "nul\0nul nul",
        GOOD,
    ],
)
def test_rules_refuse_with_a_sentence(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check_rules(password)
    assert refused.value.fields["password"] == refused.value.message
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize("password", [LONG, GOOD + "啊", "  blanks count  ", "x1y2" * 18, "Ünïcödé-pass"])
def test_rules_accept(password: str) -> None:
    assert passwords.hashed(password).startswith("$2b$04$")


def test_sign_in(gate: Connection) -> None:
    assert try_(gate, "ann", LONG)
    assert try_(gate, "  ANN ", LONG), "names are folded"
    assert not try_(gate, "ann", LONG + " "), "passwords are taken as typed"
    assert not try_(gate, "ann", "")
    assert not try_(gate, "ann", "汉" * 40), "more than bcrypt takes is wrong, not an error"
    assert not try_(gate, "bo", LONG), "bo has no password"
    assert not try_(gate, "nobody-of-this-name", LONG)
    assert not try_(gate, "-", ""), "the owner of what nobody owns cannot sign in"


def test_full_width_and_decomposed_passwords_are_the_same(gate: Connection) -> None:
    gate.execute(
        update(schema.users)
        .where(schema.users.c.username == "ann")
        .values(password_hash=passwords.hashed("Müller-１２３４"))
    )
    assert try_(gate, "ann", "Mu\u0308ller-1234")


def test_deactivated_is_like_unknown(gate: Connection, people: make.People, owner: Connection) -> None:
    gate.commit()
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(active=False))
    with begin(GATE, write=True) as again:
        attempt = passwords.attempt(again, username="ann")
    assert (attempt.user_id, attempt.password_hash) == (None, None)


@pytest.mark.parametrize("name", ["ann", "bo", "nobody-of-this-name"])
def test_five_wrong_ones_lock_known_and_unknown_names_alike(
    gate: Connection, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for n in range(passwords.TRIES):
        attempt = passwords.attempt(gate, username=name)
        assert attempt.locked_until is None, n
        assert not passwords.verify(attempt, "wrong")
    assert passwords.lock_of(gate, username=name) == START + passwords.LOCK
    at(monkeypatch, timedelta(minutes=10))
    assert passwords.attempt(gate, username=name.upper()).locked_until == START + passwords.LOCK
    assert not try_(gate, name, LONG), "the right one does not help while it is locked"
    at(monkeypatch, passwords.LOCK)
    assert passwords.lock_of(gate, username=name) is None
    assert try_(gate, name, LONG) is (name == "ann")


def test_the_fifth_may_be_right_and_success_forgives(gate: Connection) -> None:
    for _ in range(passwords.TRIES - 1):
        assert not try_(gate, "ann", "wrong")
    assert try_(gate, "ann", LONG)
    passwords.forgive(gate, username="ann")
    assert passwords.lock_of(gate, username="ann") is None
    assert not try_(gate, "ann", "wrong")
    assert try_(gate, "ann", LONG)


def test_slow_mistakes_do_not_lock(gate: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(12):
        at(monkeypatch, (passwords.LOCK + timedelta(seconds=1)) * n)
        assert not try_(gate, "ann", "wrong")
    assert try_(gate, "ann", LONG)


def test_lock_survives_a_restart_and_parallel_guesses_all_count(people: make.People) -> None:
    with begin(GATE, write=True) as gate:
        users = schema.users
        gate.execute(update(users).where(users.c.username == "ann").values(password_hash=passwords.hashed(LONG)))

    def guess(n: int) -> bool:
        with begin(GATE, write=True) as conn:
            return passwords.attempt(conn, username="ann").locked_until is None

    with ThreadPoolExecutor(8) as pool:
        looked_at = sum(pool.map(guess, range(24)))
    assert looked_at == passwords.TRIES
    forget()
    with begin(GATE, write=True) as conn:
        assert not try_(conn, "ann", LONG)


def test_unknown_names_take_as_long_as_known_ones(gate: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "BCRYPT_COST", 8)
    passwords.nobodys_hash.cache_clear()
    gate.execute(
        update(schema.users).where(schema.users.c.username == "ann").values(password_hash=passwords.hashed(LONG))
    )
    passwords.nobodys_hash()

    def fastest(name: str, password: str) -> float:
        attempt = passwords.attempt(gate, username=name)
        times = []
        for _ in range(5):
            began = time.process_time()
            passwords.verify(attempt, password)
            times.append(time.process_time() - began)
        return min(times)

    known = fastest("ann", "wrong-password")
    for name, password in (("who-is-this", "wrong-password"), ("ann", "汉" * 60), ("bo", "wrong-password")):
        assert fastest(name, password) == pytest.approx(known, rel=0.5)


def test_old_attempts_are_cleared_away(gate: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(20):
        passwords.attempt(gate, username=f"guess{n}")
    at(monkeypatch, passwords.ATTEMPTS_KEPT + timedelta(seconds=1))
    passwords.forgive(gate, username="ann")
    assert gate.execute(select(schema.sign_in_attempts)).all() == []


def test_names_are_not_stored_of_unknown_people(gate: Connection) -> None:
    passwords.attempt(gate, username="my-password-in-the-wrong-field")
    assert "my-password" not in str(gate.execute(select(schema.sign_in_attempts)).all())


def test_change_keeps_this_session_and_ends_the_others(gate: Connection, people: make.People) -> None:
    here = sessions.start(gate, user_id=people.ann.user_id).session_id
    there = sessions.start(gate, user_id=people.ann.user_id).session_id
    wrong = passwords.change(gate, actor=people.ann, session_id=here, old="wrong", new="another long one")
    assert wrong == passwords.Verdict(False)
    assert sessions.check(gate, session_id=there)
    right = passwords.change(gate, actor=people.ann, session_id=here, old=LONG, new="another long one")
    assert right.ok
    assert sessions.check(gate, session_id=here)
    assert sessions.check(gate, session_id=there) is None
    assert try_(gate, "ann", "another long one")
    assert not try_(gate, "ann", LONG)


def test_change_cannot_keep_somebody_elses_session(gate: Connection, people: make.People) -> None:
    here = sessions.start(gate, user_id=people.ann.user_id).session_id
    bos = sessions.start(gate, user_id=people.bo.user_id).session_id
    assert passwords.change(gate, actor=people.ann, session_id=bos, old=LONG, new="another long one").ok
    assert sessions.check(gate, session_id=here) is None
    found = sessions.check(gate, session_id=bos)
    assert found is not None
    assert found.viewer == people.bo


def test_guessing_the_old_password_locks(gate: Connection, people: make.People) -> None:
    here = sessions.start(gate, user_id=people.ann.user_id).session_id
    for _ in range(passwords.TRIES):
        verdict = passwords.change(gate, actor=people.ann, session_id=here, old="wrong", new="another long one")
    assert verdict.locked_until == START + passwords.LOCK
    assert not passwords.change(gate, actor=people.ann, session_id=here, old=LONG, new="another long one").ok


@pytest.mark.parametrize("new", ["short", LONG])
def test_change_refuses_bad_new_ones(gate: Connection, people: make.People, new: str) -> None:
    here = sessions.start(gate, user_id=people.ann.user_id).session_id
    with pytest.raises(Invalid):
        passwords.change(gate, actor=people.ann, session_id=here, old=LONG, new=new)
    assert try_(gate, "ann", LONG)


def test_link_works_once(gate: Connection, people: make.People) -> None:
    session_id = sessions.start(gate, user_id=people.bo.user_id).session_id
    token = passwords.create_link(gate, actor=people.root, user_id=people.bo.user_id)
    assert token not in str(gate.execute(select(schema.user_links)).all())
    person = passwords.link_owner(gate, token=token)
    assert person is not None
    assert person.username == "bo"
    with pytest.raises(Invalid):
        passwords.redeem_link(gate, token=token, password="short")
    assert passwords.redeem_link(gate, token=token, password=LONG) == people.bo.user_id
    assert try_(gate, "bo", LONG)
    assert sessions.check(gate, session_id=session_id) is None
    assert passwords.link_owner(gate, token=token) is None
    with pytest.raises(NotFound):
        passwords.redeem_link(gate, token=token, password=LONG)


def test_link_expires_is_replaced_and_lifts_a_lock(
    gate: Connection, people: make.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = passwords.create_link(gate, actor=people.root, user_id=people.bo.user_id)
    second = passwords.create_link(gate, actor=people.root, user_id=people.bo.user_id)
    assert passwords.link_owner(gate, token=first) is None
    for _ in range(passwords.TRIES):
        try_(gate, "bo", "wrong")
    passwords.redeem_link(gate, token=second, password=LONG)
    assert try_(gate, "bo", LONG)
    third = passwords.create_link(gate, actor=people.root, user_id=people.bo.user_id)
    at(monkeypatch, passwords.LINK_LIFE)
    assert passwords.link_owner(gate, token=third) is None
    with pytest.raises(NotFound):
        passwords.redeem_link(gate, token=third, password=LONG)


def test_who_may_make_links(gate: Connection, people: make.People) -> None:
    for viewer in people.everyone:
        if viewer is not people.root:
            with pytest.raises(Refused):
                passwords.create_link(gate, actor=viewer, user_id=people.bo.user_id)
    with pytest.raises(NotFound):
        passwords.create_link(gate, actor=people.root, user_id=10**9)
    with pytest.raises(NotFound):
        passwords.create_link(gate, actor=people.root, user_id=0)


def test_no_link_outlives_what_it_was_made_for(gate: Connection, people: make.People) -> None:
    """A letter that was read by somebody else opens nothing after a password change or a sign-out everywhere."""
    here = sessions.start(gate, user_id=people.ann.user_id).session_id
    for end in (
        lambda: passwords.change(gate, actor=people.ann, session_id=here, old=LONG, new="another long one"),
        lambda: sessions.end_all(gate, actor=people.ann),
        lambda: sessions.end_all(gate, actor=people.root, user_id=people.ann.user_id),
    ):
        mine = passwords.create_link(gate, actor=people.root, user_id=people.ann.user_id)
        bos = passwords.create_link(gate, actor=people.root, user_id=people.bo.user_id)
        end()
        assert passwords.link_owner(gate, token=mine) is None
        with pytest.raises(NotFound):
            passwords.redeem_link(gate, token=mine, password="a third long one")
        assert passwords.link_owner(gate, token=bos), "of another user"
