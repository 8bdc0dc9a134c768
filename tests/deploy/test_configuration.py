"""What is written for tools is what the tools know: Streamlit's options, the pins, the targets of make."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from streamlit import config

ROOT = Path(__file__).parents[2]


def options(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from options(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_streamlit_knows_every_option() -> None:
    written = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    # The template that Streamlit checks against is private; the public lookup answers for unknown names too.
    known = config._config_options_template
    assert [name for name in options(written) if name not in known] == []


def test_streamlit_takes_the_values() -> None:
    expected = {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": False,
        "runner.postScriptGC": False,
        "server.address": "127.0.0.1",
        "server.enableAgentApi": False,
        "server.fileWatcherType": "none",
    }
    assert {name: config.get_option(name) for name in expected} == expected


def requirements(name: str) -> list[Requirement]:
    lines = (line.partition(" #")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_pins_are_exact_and_installed(name: str) -> None:
    found = requirements(name)
    assert [str(r) for r in found if not re.fullmatch(r"==[^,*]+", str(r.specifier))] == []
    assert len({canonicalize_name(r.name) for r in found}) == len(found)
    other = {r.name: metadata.version(r.name) for r in found if not r.specifier.contains(metadata.version(r.name))}
    assert other == {}


def test_pins_are_complete() -> None:
    """Every package that a pinned one asks for is pinned too, so that an installation next year is the same."""
    pinned = {
        canonicalize_name(r.name) for file in ("requirements.txt", "requirements-dev.txt") for r in requirements(file)
    }
    asked = {
        canonicalize_name(wanted.name)
        for name in pinned
        for wanted in map(Requirement, metadata.requires(name) or [])
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""})
    }
    assert asked - pinned == set()


def test_direct_packages_say_why() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        direct = (ROOT / name).read_text(encoding="utf-8").partition("# transitive")[0].splitlines()
        silent = [line for line in direct if "==" in line and " # " not in line and "stubs" not in line]
        assert [line for line in silent if not line.startswith("types-")] == []


def test_make_explains_itself() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("run", "setup", "stop", "test", "lint", "cli", "shots", "bench"):
        assert re.search(rf"^  make {target} +\S", done.stdout, re.MULTILINE), target
