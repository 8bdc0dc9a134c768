"""What the tests of the command line share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from db import connection, derived, words
from db.__main__ import main
from db.connection import begin
from db.embedded import Server
from db.permissions import NOBODY, WORKER
from tests import conftest, make
from tests.db.terminal.calling import EMAIL, PHONE, Result, Run, Shop
from tests.engine import serving

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings of the machine; the language is given back."""
    for name in ("KEHU_USER", "KEHU_URL", "KEHU_PORT", "KEHU_DEBUG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("COLUMNS", "200")
    yield
    words.use(None)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """One command line in this process."""

    def command(*argv: object) -> Result:
        capsys.readouterr()
        code = main([str(a) for a in argv])
        return Result(code, *capsys.readouterr())

    return command


@dataclass(frozen=True)
class Made:
    """A database to copy, and what is in it."""

    name: str
    people: make.People
    shop: Shop


@pytest.fixture(scope="session")
def made(server: Server, template: str) -> Made:
    """The shop is made once; each test that asks for it gets a copy of its own."""
    name = f"shop_{os.getpid()}"
    conftest._create(server, name, template)
    with serving(server.url(name)):
        people = make.people()
        return Made(name, people, _shop(people))


@pytest.fixture
def clone(request: pytest.FixtureRequest, server: Server, template: str) -> Iterator[str]:
    name = f"terminal_{os.getpid()}_{next(_numbers)}"
    like = request.getfixturevalue("made").name if "shop" in request.fixturenames else template
    conftest._create(server, name, like)
    yield from conftest._served(server, name)


@pytest.fixture
def people(request: pytest.FixtureRequest, clone: str) -> make.People:
    if "shop" in request.fixturenames:
        found: Made = request.getfixturevalue("made")
        return found.people
    return make.people()


@pytest.fixture
def shop(clone: str, made: Made) -> Shop:
    return made.shop


def _shop(people: make.People) -> Shop:
    with connection.begin_owner() as conn:
        ann = make.customer(conn, people.ann.user_id, name="张三", phone=PHONE, email=EMAIL, region="North")
        bo = make.customer(conn, people.bo.user_id, name="Bob", region="South")
        cho = make.customer(conn, people.cho.user_id, name="Charlie")
        nobody = make.customer(conn, NOBODY, name="Dora")
        make.order(conn, ann, date(2026, 9, 1), "0.10")
        make.order(conn, ann, date(2026, 11, 2), "20.10")
        make.order(conn, ann, date(2026, 11, 5), "7.00", currency="EUR")
        make.order(conn, bo, date(2026, 11, 3), "1234567890.55")
        make.order(conn, cho, date(2026, 11, 4), "3.00")
    with begin(WORKER, write=True) as conn:
        derived.rebuild(conn)
    return Shop(ann, bo, cho, nobody)


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    """A file with the rule that everybody fits."""
    file = tmp_path / "rule.json"
    file.write_text('{"all": []}')
    return file
