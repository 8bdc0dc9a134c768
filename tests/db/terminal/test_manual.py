"""docs/cli.md says what is so: commands, options, exit codes, keys of documents, and its examples."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import make_url

from db import boards, clock, clusters, connection, schema
from db.__main__ import COMMANDS, parser
from db.connection import begin
from db.embedded import Server
from db.errors import Conflict, Invalid, NotFound, Refused, Unavailable
from db.terminal.command import Usage
from tests import make
from tests.db.entry_points import MODEL
from tests.db.terminal.calling import MANUAL, Run, Shop, database

# --- the manual ------------------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """Heading → its text, examples left out."""
    text = re.sub(r"```.*?```", "", MANUAL.read_text(), flags=re.S)
    return {part.partition("\n")[0]: part for part in re.split(r"^#{2,3} ", text, flags=re.M)[1:]}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Command → its parser, found by walking the whole one."""

    def walk(place: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        below = [a for a in place._actions if isinstance(a, argparse._SubParsersAction)]
        if not below:
            yield name, place
        for action in below:
            for part, found in action.choices.items():
                yield from walk(found, f"{name} {part}".strip())

    return dict(walk(parser(), ""))


def options(place: argparse.ArgumentParser) -> set[str]:
    return {o for a in place._actions for o in a.option_strings if o.startswith("--")}


def test_every_command_and_option_stands_in_the_manual_and_the_other_way_round() -> None:
    found, written = parsers(), sections()
    assert found.keys() == {c.name for c in COMMANDS}
    assert found.keys() <= written.keys()
    everywhere = {"--as", "--json", "--lang", "--help"}
    assert set(re.findall(r"^\| `(--[a-z]+)", written["Options of every command"], flags=re.M)) == everywhere
    headings = re.findall(r"^### (.*)$", MANUAL.read_text(), flags=re.M)
    assert set(headings) == found.keys()
    for name, place in found.items():
        listed = set(re.findall(r"^\| `(--[a-z-]+)", written[name], flags=re.M))
        assert listed == options(place) - everywhere, name
        told = re.search(r"^Permissions?: (.*)$", written[name], flags=re.M)
        assert told
        permissions = {p.value for c in COMMANDS if c.name == name for p in c.permissions}
        assert set(re.findall(r"`(\w+:\w+)`", told[1])) == permissions, name
        assert all(a.help for a in place._actions), name
        assert f"python -m db {name}" in MANUAL.read_text(), f"{name} has no example"


def test_the_manual_names_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", sections()["Exit codes"], flags=re.M)}
    errors = {e.code for e in (Usage, Refused, NotFound, Invalid, Conflict, Unavailable)}
    assert listed == {0, 1, 130, 141} | errors


def test_the_manual_names_every_key_of_every_document(run: Run, shop: Shop, people: make.People, rule: Path) -> None:
    made = run("customer", shop.ann, "--set", "city=Rome", "--json").document["change_set_ids"][0]
    kept = run("segment", "save", "Everyone", rule, "--json").document["id"]
    run("tasks", "add", shop.ann, "x")
    with begin(people.root, write=True) as conn:
        made_of, _set = clusters.save(conn, actor=people.root, name="Habits", model=MODEL)
    with connection.begin_owner() as conn:
        task = conn.scalar(select(schema.tasks.c.id))
    with connection.begin_owner() as conn:
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        window = {"starts_on": date(2026, 11, 1), "ends_on": date(2026, 11, 12)}
        one = insert(schema.campaigns).values(name="Spring", **window, **stamps).returning(schema.campaigns.c.id)
        campaign_id = conn.scalar(one)
    shown = {"chart": "segment_spread", "params": {"id": str(kept)}, "title": "Everyone", "board_name": "Monday"}
    with begin(people.root, write=True) as conn:
        _card, board, _set = boards.keep(conn, actor=people.root, **shown)
    calls = {
        "search": ["search", "zhang"],
        "said": ["said", "x"],
        "customer": ["customer", shop.ann],
        "tasks list": ["tasks", "list"],
        "tasks add": ["tasks", "add", shop.ann, "Call back"],
        "tasks postpone": ["tasks", "postpone", shop.ann, task, "2026-12-01"],
        "tasks done": ["tasks", "done", shop.ann, task],
        "tasks reopen": ["tasks", "reopen", shop.ann, task],
        "tasks delete": ["tasks", "delete", shop.ann, task],
        "customers timeline": ["customers", "timeline", shop.ann],
        "customers log": ["customers", "log", shop.ann, "--outcome", "no_answer"],
        "customers bulk": ["customers", "bulk", "tag", "VIP", "--ids", shop.ann],
        "contacts add": ["contacts", "add", shop.ann, "--name", "Li", "--phone", "138 0013 8000"],
        "contacts list": ["contacts", "list", shop.ann],
        "contacts change": ["contacts", "change", shop.ann, 1, "--main"],
        "contacts remove": ["contacts", "remove", shop.ann, 1],
        "addresses add": ["addresses", "add", shop.ann, "--kind", "home", "--street", "Long Street 1"],
        "addresses list": ["addresses", "list", shop.ann],
        "addresses change": ["addresses", "change", shop.ann, 1, "--city", "Rome"],
        "addresses remove": ["addresses", "remove", shop.ann, 1],
        "consents record": ["consents", "record", shop.ann, "mail", "given", "--how", "a form"],
        "consents list": ["consents", "list", shop.ann],
        "tags add": ["tags", "add", shop.ann, "wine"],
        "tags list": ["tags", "list"],
        "tags remove": ["tags", "remove", shop.ann, "wine"],
        "overview": ["overview"],
        "segment count": ["segment", "count", rule],
        "segment list": ["segment", "list"],
        "segment show": ["segment", "show", kept],
        "segment save": ["segment", "save", "All", rule],
        "segment why": ["segment", "why", shop.ann, "--ready", "champions"],
        "cluster find": ["cluster", "find"],
        "cluster list": ["cluster", "list"],
        "cluster archive": ["cluster", "archive", made_of],
        "segment members": ["segment", "members", kept],
        "segment moves": ["segment", "moves", kept],
        "segment overlap": ["segment", "overlap", kept, kept],
        "segment freeze": ["segment", "freeze", "Frozen", kept],
        "campaigns": ["campaigns"],
        "funnel": ["funnel", campaign_id],
        "campaign start": ["campaign", "start", "Autumn", "--segment", kept, "--channel", "phone", "--unasked"],
        "campaign show": ["campaign", "show", campaign_id + 1],
        "cohorts": ["cohorts"],
        "repeats": ["repeats", "--against", "stage_lost"],
        "affinity": ["affinity", "--against", "stage_lost"],
        "flows": ["flows", "--against", f"s{kept}"],
        "lifecycle show": ["lifecycle", "show"],
        "lifecycle versions": ["lifecycle", "versions", "stages"],
        "board list": ["board", "list"],
        "board show": ["board", "show", board],
        "changes": ["changes"],
        "undo": ["undo", made],
        "users list": ["users", "list"],
        "users add": ["users", "add", "new", "--role", "sales"],
        "users link": ["users", "link", "new"],
        "users role": ["users", "role", "new", "manager"],
        "users deactivate": ["users", "deactivate", "new"],
        "users activate": ["users", "activate", "new"],
        "users signout": ["users", "signout", "new"],
        "users unlock": ["users", "unlock", "new"],
        "migrate": ["migrate"],
        "demo": ["demo", "--if-empty"],
        "bench-data": ["bench-data", "--customers", "1000", "--dry-run"],
    }
    assert calls.keys() == {c.name for c in COMMANDS}
    written = sections()
    for name, argv in calls.items():
        document = run(*argv, "--json").document
        listed = re.search(r"^\| JSON key.*?(?=^$)", written[name] + "\n\n", flags=re.M | re.S)
        assert listed, name
        keys = [k for row in listed[0].splitlines()[2:] for k in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(keys) == sorted(document), name
        for inner in nested(document):
            assert f"`{inner}`" in written[name] + written["Users"], f"{name}: {inner}"
    more = {"changes": [["changes", made], ["changes", "--customer", shop.ann]]}
    more["segment list"] = [["segment", "list", "--ready"]]
    for name, calls_of in more.items():
        for argv in calls_of:
            for inner in nested(run(*argv, "--json").document):
                assert f"`{inner}`" in written[name], f"{name}: {inner}"


def nested(value: Any) -> set[str]:
    """Every key of a document, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(nested, value.values()))
    return set().union(*map(nested, value)) if isinstance(value, list) else set()


@pytest.mark.slow
def test_the_examples_of_the_manual_are_real(run: Run, server: Server, demo_url: str) -> None:
    """Every example, from top to bottom, on a copy of the demo. KEHU_WRITE_EXAMPLES=1 writes them anew."""

    def example(line: str) -> str:
        done = run(*shlex.split(line)[4:])
        said = re.sub(r"link=[\w-]{43}", "link=…", done.out + done.err)
        return f"{line}\n" + re.sub(r"\d{4}_\d\d_\d\d_\w+", "…", said)

    def block(found: re.Match[str]) -> str:
        return "```console\n" + "".join(map(example, re.findall(r"^\$ .*$", found[0], flags=re.M))) + "```"

    with database(server, "manual", str(make_url(demo_url).database)):
        written = re.sub(r"```console\n.*?```", block, MANUAL.read_text(), flags=re.S)
    if os.environ.get("KEHU_WRITE_EXAMPLES"):
        MANUAL.write_text(written)
    assert written == MANUAL.read_text()
