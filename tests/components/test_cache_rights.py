"""What one person is shown never comes from what another one was shown before: every query, by pairs of like rights."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from components import data
from db import clock, connection, customer, saved_segments, schema
from db.connection import begin
from db.embedded import Server
from db.errors import KehuError
from db.permissions import Role, Viewer
from tests import conftest, make
from tests.components.test_data import session_of
from tests.db.entry_points import RULES, _said, entry_points
from tests.db.planted import Planted, plant

# The rows of files are read by no screen; what runs as the gate is never cached.
FILES = ("customers.export", "exports.rows", "segments.export")
QUERIES = sorted(
    name
    for name, rule in RULES.items()
    if "viewer" in inspect.signature(entry_points()[name]).parameters and not rule.gate and name not in FILES
)


@pytest.fixture(scope="module")
def pairs(server: Server, template: str) -> Iterator[tuple[list[tuple[Viewer, Viewer]], Planted]]:
    """Two of each kind with the same rows; each has a private segment and, where they may, a change of their own."""
    name = f"cache_{os.getpid()}"
    conftest._create(server, name, template)
    for _url in conftest._served(server, name):
        people = make.people()
        planted = plant(people)
        found = []
        for one in (people.mia, people.ana, people.mark, people.root):
            with connection.begin_owner() as conn:
                row = {"username": f"{one.username}2", "name": f"{one.username} two", "role": one.role.value}
                if one.role is Role.MANAGER:
                    row["team_id"] = 1
                stamps = {"created_at": clock.now(), "updated_at": clock.now()}
                made = conn.scalar(insert(schema.users).values(**row, **stamps).returning(schema.users.c.id))
            found.append((one, Viewer(made, row["username"], one.role, one.owner_ids)))
        team = tuple(sorted({*people.mia.owner_ids, found[0][1].user_id}))
        found[0] = (replace(found[0][0], owner_ids=team), replace(found[0][1], owner_ids=team))
        for viewer in (v for pair in found for v in pair):
            with begin(viewer, write=True) as conn:
                rule = '{"all": []}' if viewer.username.endswith("2") else '{"any": []}'
                saved_segments.save(conn, actor=viewer, name="Of mine", rule=rule)
                if viewer.role in (Role.MANAGER, Role.ADMIN):
                    customer.add_note(conn, actor=viewer, customer_id=planted["bo"].customer, body="x")
        yield found, planted["bo"]


def asked(viewer: Viewer, name: str, values: dict[str, Any], *, cached: bool) -> str:
    query = entry_points()[name]
    try:
        if not cached:
            with begin(viewer) as conn:
                return _said(query(conn, viewer=viewer, **values))
        with data.run("test"), data.snapshot(session_of(viewer)):
            return _said(data.read(query, viewer=viewer, **values))
    except KehuError as error:
        return error.message


@pytest.mark.parametrize("name", QUERIES)
def test_nobody_is_shown_what_another_one_was_shown(
    pairs: tuple[list[tuple[Viewer, Viewer]], Planted], name: str
) -> None:
    couples, ids = pairs
    values = {k: v(ids) if callable(v) else v for k, v in RULES[name].values.items()}
    asked_for = [values | {"segment_id": n} for n in range(1, 9)] if "segment_id" in values else [values]
    for one in asked_for:
        for viewer in (viewer for pair in couples for viewer in pair):
            assert asked(viewer, name, one, cached=True) == asked(viewer, name, one, cached=False)


@pytest.mark.parametrize("name", [name for name in QUERIES if RULES[name].values.keys() & {"rule", "rules"}])
def test_what_names_somebodys_own_list_is_kept_for_nobody_else(
    pairs: tuple[list[tuple[Viewer, Viewer]], Planted], name: str
) -> None:
    """A private frozen list holds the planted customer: its owner is told of it, a colleague of the role is not."""
    couples, ids = pairs
    for one, other in couples[1:]:
        with begin(one, write=True) as conn:
            number, *_more = saved_segments.freeze(conn, actor=one, name=f"{name} {one.user_id}", ids=(ids.customer,))
        rule = json.dumps({"all": [{"field": "listed", "op": "any of", "value": [number]}]})
        values = {k: v(ids) if callable(v) else v for k, v in RULES[name].values.items()}
        values |= {"rule": rule} if "rule" in values else {"rules": (rule, '{"any": []}')}
        for viewer in (one, other):
            assert asked(viewer, name, values, cached=True) == asked(viewer, name, values, cached=False)
