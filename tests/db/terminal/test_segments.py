"""The command line on segments: rules as files and on standard input, and the rights of the screens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from db.errors import Invalid, NotFound, Refused
from tests import make
from tests.db.terminal.calling import ROOT, Run, Shop

HOSTILE_RULES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"DROP TABLE customers",
    "no UTF-8": b'{"all": ["\xff\xfe"]}',
    "NUL": b'{"all": [\0]}',
    "NUL in a value": b'{"field": "region", "op": "in", "value": ["\\u0000"]}',
    "half a surrogate": b'{"field": "region", "op": "in", "value": ["\\ud800"]}',
    "half a surrogate as a field": b'{"field": "\\ud800", "op": "in"}',
    "NaN": b'{"field": "orders", "op": ">", "value": NaN}',
    "endless": b'{"field": "orders", "op": ">", "value": 1e99999999999999999999}',
    "deep": b"[" * 9_000 + b"]" * 9_000,
    "just not too deep": b'{"field": ' + b"[" * 960 + b"]" * 960 + b"}",
    "long": b'{"all": ["' + b"x" * 10**6 + b'"]}',
    "twice": b'{"all": [], "all": []}',
    "terminal": b'{"field": "\\u001b[31mred\\u202e", "op": "in"}',
}


@pytest.mark.parametrize("hostile", HOSTILE_RULES)
def test_a_hostile_rule_is_a_sentence(run: Run, people: make.People, tmp_path: Path, hostile: str) -> None:
    file = tmp_path / "rule.json"
    file.write_bytes(HOSTILE_RULES[hostile])
    for argv in (["segment", "count", file], ["segment", "save", "x", file]):
        for lang in ("en", "zh"):
            said = run(*argv, "--as", "ann", "--lang", lang)
            assert (said.code, said.out) == (Invalid.code, "")
            assert len(said.err) < 1_000
            assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", said.err)
            assert run(*argv, "--as", "ann", "--json", "--lang", lang).error["code"] == Invalid.code


def test_a_rule_that_cannot_be_read_is_a_sentence(run: Run, people: make.People, tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "none.json", "x" * 5_000, "\udcff"):
        said = run("segment", "count", file, "--as", "ann")
        assert (said.code, said.out) == (Invalid.code, ""), file
        assert "cannot be read" in said.err


# Once started, one process is asked each: a start costs seconds, and what the locale decides is decided by then.
ASKED = """
import json, os, sys
from db.__main__ import main
for typed in json.loads(sys.argv[1]):
    reading, writing = os.pipe()
    os.write(writing, bytes.fromhex(typed))
    os.close(writing)
    os.dup2(reading, 0)
    print(main(["segment", "count", "-", "--as", "ann", "--json"]), flush=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    "settings",
    [{"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}],
    ids=lambda settings: settings["LC_ALL"],
)
def test_a_rule_comes_by_standard_input_too(shop: Shop, settings: dict[str, str]) -> None:
    all_typed = (
        b'\xef\xbb\xbf{"all": [{"field": "orders", "op": ">=", "value": 3}]}',
        b'{"field": "region", "op": "in", "value": ["\xff"]}',
        b"",
    )
    command = [sys.executable, "-c", ASKED, json.dumps([typed.hex() for typed in all_typed])]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, check=True)
    assert b"Traceback" not in done.stderr, done.stderr
    counted = {"count": 1, "sentence": "Orders ≥ 3"}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [counted, 0, Invalid.code, Invalid.code]


def test_segments_in_the_terminal_have_the_rights_of_the_screens(
    run: Run, shop: Shop, people: make.People, rule: Path, tmp_path: Path
) -> None:
    mine = {"ann": 1, "bo": 1, "cho": 1, "mia": 3, "max": 2}
    personal = tmp_path / "phone.json"
    personal.write_text('{"any": [{"none": [{"field": "phone", "op": "in", "value": "yes"}]}]}')
    secret = run("segment", "save", "Secret", rule, "--as", "ann", "--json").document["id"]
    shared = run("segment", "save", "Phone", personal, "--shared", "--as", "ann", "--json").document
    for viewer in people.everyone:
        who = ("--as", viewer.username, "--json")
        everyone = mine.get(viewer.username, 4)
        assert run("segment", "count", rule, *who).document["count"] == everyone
        prospects = run("segment", "list", "--ready", *who).document["rows"][0]
        assert prospects["code"] == "stage_prospect"
        assert prospects["count"] == (0 if everyone == 1 else 1), "Dora, whom nobody has"
        assert (run("segment", "show", secret, *who).code == 0) == (viewer in (people.ann, people.root))
        names = {row["name"] for row in run("segment", "list", *who).document["rows"]} - {"Copy"}
        assert names == ({"Secret", "Phone"} if viewer in (people.ann, people.root) else {"Phone"})
        for argv in (["count", personal], ["show", shared["id"]], ["save", "Copy", personal]):
            said = run("segment", *argv, *who)
            assert (said.code == Refused.code) == viewer.masked, (viewer.username, argv)
            if viewer.masked:
                assert "Has a phone" in said.error["message"]
        if viewer not in (people.ann, people.root):
            assert run("undo", shared["change_set_id"], *who).code in (NotFound.code, Refused.code)
    assert run("undo", shared["change_set_id"], "--as", "ann").code == 0
    assert run("segment", "show", shared["id"], "--as", "ann").code == NotFound.code
    assert run("segment", "list", "--archived", "--as", "ann").out == "No segment was taken off the list.\n"
