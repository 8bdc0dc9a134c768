"""Addresses that somebody else made: whatever stands in a link is read as text, or said to be no good."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from components.visit import SESSION
from db import clock, connection, derived, schema
from db.embedded import Server
from pages import SCREENS, Screen
from tests import make
from tests.pages.visits import HOSTILE, SIGN_IN, body, database, markup_of, said, signed_in, sound, visitor

ROOT = Path(__file__).parent.parent.parent
# What stands in an address beside the controls that keep themselves there.
READ = re.compile(r"query_params(?:\.get\(|\[)\"(\w+)\"")
KEPT = re.compile(r"(?:controls\.(?:select|order|switch|several|whole_number|page_number|turner)\(\s*|key=)f?\"(\w+)\"")
OF_MODULE = re.compile(r"^KEY = \"(\w+)\"", flags=re.M)
# Filters that a function of their component draws by name.
FILTER = re.compile(r"\b_(?:one|lately)\(\"(\w+)\"")
VALUES = [
    "x" * 10_000,
    "9" * 400,
    "-1",
    "0",
    "1e999",
    "NaN",
    "٣",
    "[]",
    '{"all": []}',
    "2026-13-45",
    "0001-01-01",
    "9999-12-31",
    "true",
    "own",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    *HOSTILE,
]


@pytest.fixture(scope="module")
def people(server: Server, template: str) -> Iterator[make.People]:
    """Ann has a customer, whose number is 1, with an order; campaign 1 has been."""
    with database(server, template) as made:
        with connection.begin_owner() as conn:
            stamps = {"created_at": clock.now(), "updated_at": clock.now()}
            window = {"starts_on": clock.now().date(), "ends_on": clock.now().date()}
            conn.execute(insert(schema.campaigns).values(id=1, name="Campaign 1", kind="A", **window, **stamps))
            one = make.customer(conn, made.ann.user_id, name="张三")
            make.order(conn, one, clock.now().date())
            derived.rebuild(conn)
        yield made


def parameters(screen: Screen) -> list[str]:
    """What this screen may read from an address: by its own source, by that of the components, and the period's."""
    sources = [ROOT / screen.file.removeprefix("../"), *(ROOT / "components").glob("*.py")]
    found = {"shared"}
    for source in sources:
        written = source.read_text(encoding="utf-8")
        key = OF_MODULE.search(written)
        if key:
            written = written.replace("{KEY}", key[1])
        if key and key[1] == screen.path:
            names = FILTER.findall(written)
            found |= {f"{key[1]}_{name}{part}" for name in names for part in ("", "_days")}
            found |= {f"{key[1]}_revenue_{end}" for end in ("from", "to")}
        found |= {name for name in READ.findall(written) if name != "link"}
        found |= {name for name in KEPT.findall(written) if name.startswith(f"{screen.path}_")}
    return sorted(found | {f"{screen.path}_{name}" for name in ("period", "from", "to")})


def test_parameters_are_found() -> None:
    found = {screen.path: set(parameters(screen)) for screen in SCREENS}
    assert {"id", "segment_rule", "segment_ready", "segment_by", "segment_page"} - found["segment"] == {"segment_rule"}
    assert found["customers"] >= {"customers_search", "customers_page", "customers_region", "customers_descending"}
    assert found["customers"] >= {
        "customers_tags",
        "customers_revenue_to",
        "customers_ordered",
        "customers_ordered_days",
    }
    assert {"before", "shared"} <= found["changes"]
    assert {"overview_period", "overview_from", "overview_region"} <= found["overview"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value[:12]))
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.path)
def test_any_value_of_any_parameter_is_text_or_a_sentence(people: make.People, screen: Screen, value: str) -> None:
    params = dict.fromkeys([*parameters(screen), "segment_rule"], value)
    app = sound(signed_in(people.root, screen.path, **params))
    assert value not in HOSTILE or markup_of(app, value) == []
    own = params | {"id": "1", f"{screen.path}_period": "own"}
    app = sound(signed_in(people.root, screen.path, language="zh_CN", **own))
    assert value not in HOSTILE or markup_of(app, value) == []


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value[:12]))
def test_a_link_that_nobody_made_opens_nothing(people: make.People, value: str) -> None:
    app = sound(visitor("customers", link=value).run())
    assert SESSION not in app.session_state
    assert "This link has been used or has expired." in said(app)
    assert value not in HOSTILE or markup_of(app, value) == []
    app = sound(visitor("customers", **dict.fromkeys(("id", "before", "shared", "customers_search"), value)).run())
    assert SIGN_IN in body(app)
