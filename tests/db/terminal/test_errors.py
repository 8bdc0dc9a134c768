"""The command line and what cannot be: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import re
import shlex

import pytest

from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Unavailable
from db.terminal import customers as terminal_customers
from db.terminal import history as terminal_history
from db.terminal.command import Usage
from tests import make
from tests.db.terminal.calling import Result, Run, Shop, database
from tests.engine import forget

# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "nonsense",
        "search",
        "search a b",
        "search a --limit 0",
        "search a --limit 501",
        "search a --limit -1",
        "search a --lim 1",
        "search a --limit ٣",
        "customer x",
        "customer 0",
        "customer 99999999999999999999",
        "customer 1 --set phone",
        "customer 1 --set city=a --set city=b",
        "overview --from yesterday",
        "overview --from 2026-02-30",
        "changes --limit 201",
        "changes 1 --customer 1",
        "undo",
        "tasks",
        "tasks add 1",
        "tasks add 1 x --due tomorrow",
        "tasks add 1 x --time 25:00",
        "tasks add 1 x --kind visit",
        "tasks done 1",
        "tasks done 1 x",
        "tasks postpone 1 1 never",
        "tasks list --all --of ann",
        "customers",
        "customers log x",
        "customers timeline 1 --part deals",
        "users",
        "users add x",
        "users add x --role gate",
        "users role ann worker",
        "segment",
        "segment count",
        "segment show x",
        "segment list --ready --archived",
        "segment save NAME",
        "migrate --as ann",
        "search a --lang fr",
    ],
)
def test_what_cannot_be_understood_is_one_sentence(run: Run, clone: str, argv: str) -> None:
    said = run(*shlex.split(argv))
    assert (said.code, said.out, said.err.count("\n")) == (Usage.code, "", 1)
    assert run(*shlex.split(argv), "--json").error["code"] == Usage.code


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE customers; --",
        "%",
        "_",
        "\\",
        "\x1b[31mred",
        "\u202eabc",
        "a" * 5_000,
        "\udcff",
        "👩‍👧",
        "(",
    ],
)
def test_hostile_text_is_only_text(run: Run, shop: Shop, text: str) -> None:
    found = run("search", "--json", "--", text)
    assert found.error["code"] == Invalid.code if text == "\udcff" else found.document["rows"] == []
    kept = run("customer", shop.bo, f"--note={text}x", f"--set=city={text[:50]}", "--json", "--as", "bo")
    assert kept.code == 0, kept.err
    for argv in (["customer", shop.bo], ["changes", "--customer", shop.bo], ["search", "bob"]):
        shown = run(*argv, "--as", "bo")
        assert shown.code == 0
        assert "\x1b" not in shown.out
        assert "\u202e" not in shown.out
    for argv in (["--as", text, "search", "x"], ["users", "link", f"{text}y"], ["overview", "--region", f"{text}z"]):
        failed = run(*argv)
        assert (failed.out, failed.code in (NotFound.code, Invalid.code, Usage.code)) == ("", True)
        assert "Traceback" not in failed.err


def test_values_that_cannot_be_saved_are_named(run: Run, shop: Shop) -> None:
    failed = run("customer", shop.ann, "--set", "phone=x", "--set", "email=y", "--json")
    assert (failed.code, sorted(failed.error["fields"])) == (Invalid.code, ["email", "phone"])
    assert run("customer", shop.ann, "--set", "owner_id=1").code == Invalid.code
    assert run("customer", shop.ann, "--set", "name=").code == Invalid.code
    assert run("customer", shop.ann, "--note", " ").code == Invalid.code
    assert run("customer", shop.ann, "--assign", "root").code == Invalid.code
    assert run("overview", "--from", "2026-11-02", "--to", "2026-11-01").code == Invalid.code
    for day in ("0001-01-01", "9999-12-31"):
        for side in ("--from", "--to"):
            assert run("overview", side, day).code in (0, Invalid.code), f"{side} {day}"


def test_a_bug_is_a_number_without_a_traceback(run: Run, people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("secret of a customer")

    monkeypatch.setattr(terminal_customers.customers, "page", broken)
    said = run("search", "x")
    assert (said.code, said.out) == (1, "")
    assert re.search(r"RuntimeError, number [0-9a-f]{8}", said.err)
    assert "secret" not in said.err
    assert set(run("search", "x", "--json").error) == {"code", "message", "id"}
    monkeypatch.setenv("KEHU_DEBUG", "1")
    assert "Traceback" in run("search", "x").err


def test_ctrl_c_is_quiet(run: Run, people: make.People, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal_history.undo, "undo", interrupted)
    assert run("undo", "1") == Result(130, "", "")


@pytest.mark.parametrize(
    "address",
    ["postgresql://kehu:secret@127.0.0.1:1/kehu", "nonsense secret", "mysql://kehu:secret@localhost/kehu"],
)
def test_a_database_that_is_not_there_is_a_sentence_without_its_password(
    run: Run, clone: str, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", address)
        forget()
        said = run("overview", "--json")
    forget()
    assert (said.code, said.error["code"]) == (7, 7)
    assert "secret" not in said.err


def test_a_database_without_the_schema_says_what_to_do(run: Run, server: Server) -> None:
    with database(server, "empty", "template0"):
        said = run("overview")
        assert said.code == Unavailable.code
        assert "migrate" in said.err
        assert run("migrate", "--json").document["before"] is None
        assert run("migrate", "--json").document["before"] is not None
        assert run("overview").code == NotFound.code


def test_bench_data_is_loaded_into_an_empty_database_and_says_what_it_made(run: Run, clone: str) -> None:
    ahead = run("bench-data", "--customers", "200", "--until", "2026-11-20", "--dry-run", "--json").document
    assert (ahead["loaded"], ahead["counts"]["customers"], ahead["seconds"]) == (False, 200, 0.0)
    done = run("bench-data", "--customers", "200", "--until", "2026-11-20", "--json")
    assert "100%" in done.err
    assert done.document["loaded"] is True
    assert done.document["counts"]["customers"] == 200
    assert (done.document["first_day"], done.document["last_day"]) == ("2024-11-21", "2026-11-20")
    for other in ("demo", "bench-data --customers 10"):
        again = run(*other.split(), "--json")
        assert (again.code, again.out) == (Conflict.code, "")
    for wrong in ("0", "-1", "x", "10000001"):
        assert run("bench-data", "--customers", wrong).code == 2
    listed = run("search", "", "--as", "bench.manager1", "--json").document
    assert 0 < listed["total"] < 200


def test_the_demo_is_only_loaded_into_an_empty_database(run: Run, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    own = run("demo", "--json")
    assert own.error["code"] == Conflict.code
    assert run("demo", "--if-empty") == Result(0, "", "")
    # Kehu's own server, that is.
    with monkeypatch.context() as patch:
        patch.delenv("DATABASE_URL")
        assert run("demo", "--if-empty") == Result(0, "", "")
        assert run("demo", "--if-empty", "--json").document["loaded"] is False
