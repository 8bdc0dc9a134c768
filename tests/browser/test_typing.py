"""What a keystroke in the search box costs: the part of the screen that shows hits, and not the controls around it.

Over the browser's own protocol, as the crowd of the bench speaks it: every answer is that of a real server.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from benchmarks.visitor import LIST, Act, Visitor
from db import connection, saved_views, schema, sessions
from db.connection import begin
from db.permissions import GATE, Role, Viewer
from tests.browser.conftest import Site
from tests.engine import serving


def _runs(site: Site) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in site.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if "queries" in line]


def _visit(site: Site, *, view: bool) -> tuple[list[Act], list[dict[str, object]]]:
    """Ann opens her list, types twice and opens it again; a view of hers is open, or none."""
    with serving(site.database_url):
        with connection.begin_owner() as conn:
            ann = conn.scalar(select(schema.users.c.id).where(schema.users.c.username == "ann"))
        viewer = Viewer(ann, "ann", Role.SALES, (ann,))
        params = {}
        if view:
            with begin(viewer, write=True) as conn:
                made = {"name": "Mine", "params": {"sort": "newest"}, "visibility": "private", "columns": None}
                view_id, _set_id = saved_views.add(conn, actor=viewer, **made, screen="customers")
            params = {"customers_view": str(view_id)}
        with begin(GATE, write=True) as conn:
            started = sessions.start(conn, user_id=ann)
            cookie = sessions.redeem(conn, ticket=started.ticket)
        connection.engine().dispose()
    assert cookie

    async def acts() -> list[Act]:
        async with Visitor(site.address, cookie.token, viewer, (), ()) as visitor:
            first = await visitor.open(LIST, params)
            return [first, await visitor.search("wangx"), await visitor.search(""), await visitor.open(LIST, {})]

    before = len(_runs(site))
    with ThreadPoolExecutor(1) as thread:  # in this one the browser's own event loop may be running
        found = thread.submit(lambda: asyncio.run(acts())).result()
    return found, _runs(site)[before:]


def test_typing_runs_the_hits_alone(site: Site) -> None:
    acts, runs = _visit(site, view=False)
    assert [act.errors for act in acts] == [()] * 4
    assert [run["screen"] for run in runs] == ["overview", "customers", "customers/typing", "customers/typing", LIST]
    assert all(run["queries"] <= 8 for run in runs[2:4]), runs


def test_with_an_open_view_the_controls_look_at_what_is_typed(site: Site) -> None:
    acts, runs = _visit(site, view=True)
    assert [act.errors for act in acts] == [()] * 4
    assert [run["screen"] for run in runs][1:4] == ["customers", "customers/listing", "customers/listing"]
