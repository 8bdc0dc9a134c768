"""Every screen × every role: it opens or refuses, in both languages, on an empty database and on one with rows.

The list is pages.SCREENS: a new screen fails here until it has a text of its own in SHOWN and a page in the manual.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import insert
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Dataframe, Widget

from components import data
from components import visit as visits
from db import clock, connection, custom_fields, customer, derived, schema
from db.embedded import Server
from db.permissions import Permission, Role, Viewer
from db.words import LANGUAGES
from pages import BY_PATH, SCREENS, SECTIONS, Screen
from tests import make
from tests.pages.visits import (
    REFUSAL,
    SIGN_IN,
    body,
    database,
    signed_in,
    sound,
    translated,
    visitor,
    words,
)

ROOT = Path(__file__).parent.parent.parent
MOST_QUERIES = 13
MORE_QUERIES = {"segment": 21, "overview": 15, "customer": 15}
"""A rule is asked for what it names, what each part does, how current its members are, and where it is used; stages are
told with the version of their rules, and without sums yet counted one by one."""
MOST_LINES = 120

# What only this screen says: with rows, and where there is nothing to show.
SHOWN = {
    "overview": (
        "Lifecycle · customers today",
        "No orders yet among the customers you see. They appear here with the first ones.",
    ),
    "today": (
        "Quiet customers",
        "The customers you talk to or change appear here.",
    ),
    "segments": ("Click a row to see the rule.", "Click a row to see the rule."),
    "segment": ("Against everyone · share of customers by", "Against everyone · share of customers by"),
    "clusters": ("Told apart by", "Told apart by"),
    "cohorts": (
        "Click a cell to see the customers.",
        "No first purchase in these months yet. Cohorts appear with the first month that the data hold whole.",
    ),
    "repeats": (
        "Who ordered once in these months and never again",
        "Who ordered once in these months and never again",
    ),
    "affinity": (
        "Lift of pairs · how many times as often in one order as by chance · 95% interval",
        "No order of these months holds two categories yet. Pairs appear with the first one that does.",
    ),
    "flows": (
        "Rows: before. Columns: after. Grey: stayed. Click a cell to see who they are.",
        "No month end is known yet. Flows appear with the first one, within an hour; the worker tells them.",
    ),
    "lifecycle": (
        "To bring one back, begin a draft with it. An undo puts the version before into force again.",
        "To bring one back, begin a draft with it. An undo puts the version before into force again.",
    ),
    "board": (
        "A board keeps charts of segments, clusters and all screens of the explorer, always as of now.",
        "A board keeps charts of segments, clusters and all screens of the explorer, always as of now.",
    ),
    "customers": ("Descending", "No customers yet."),
    "customer": ("About the customer", "No customer is chosen. Open one from the list."),
    "said": (
        "A word from a note, a call, a mail, a task or a file's name",
        "A word from a note, a call, a mail, a task or a file's name",
    ),
    "campaigns": (
        "Click a row to see the campaign.",
        "No campaign yet. They appear here as soon as the first ones are loaded.",
    ),
    "campaign": ("Compare with another campaign", "Choose a campaign from the list."),
    "funnel": (
        "The people behind a bar",
        "No campaign yet, hence no funnel. Both appear as soon as the first campaigns are loaded.",
    ),
    "changes": (
        "Click a row to see what was changed.",
        "No changes yet. Whatever people edit appears here and can be undone.",
    ),
    "users": (
        "Who may sign in, with which rights, and who sees which customer",
        "Who may sign in, with which rights, and who sees which customer",
    ),
    "fields": ("Click a row to see the field.", "No fields of your own yet. Add the first one with the button above."),
    "account": ("Where you are signed in", "Where you are signed in"),
}
# Parts of a screen that open only with a parameter.
LINKS = {
    "customer": [
        {"customer_tab": tab} for tab in ("tasks", "purchases", "campaigns", "notes", "details", "files", "history")
    ],
    "said": [{"said_words": "monday"}],
    "today": [{"today_whose": "team"}, {"today_due": "done"}],
    "users": [{"users_part": "rights"}, {"users_part": "sight", "users_customer": "wang"}],
}

ROLES = {Role.SALES: "ann", Role.MANAGER: "mia", Role.ANALYST: "ana", Role.MARKETER: "mark", Role.ADMIN: "root"}

each_screen = pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.path)
each_role = pytest.mark.parametrize("role", ROLES, ids=str)


class Place:
    """One database: its people, and the customer in it, if there is one."""

    def __init__(self, people: make.People, customer_id: int | None) -> None:
        self.people = people
        self.params = {"id": str(customer_id)} if customer_id else {}

    def viewer(self, role: Role) -> Viewer:
        found: Viewer = getattr(self.people, ROLES[role])
        return found

    def own_text(self, screen: Screen) -> str:
        return SHOWN[screen.path][0 if self.params else 1]


@pytest.fixture(scope="module", params=["empty", "rows"])
def place(request: pytest.FixtureRequest, server: Server, template: str) -> Iterator[Place]:
    with database(server, template) as people, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEHU_NO_CACHE", "1")
        yield Place(people, _rows(people) if request.param == "rows" else None)


def _rows(people: make.People) -> int:
    with connection.begin(people.ann, write=True) as conn:
        values = {"name": "王小明", "phone": "138 0013 8000", "email": "ming@example.com", "region": "North"}
        customer_id, _ = customer.add(conn, actor=people.ann, values=values)
        customer.add_note(conn, actor=people.ann, customer_id=customer_id, body="Calls back on Monday.")
    with connection.begin(people.root, write=True) as conn:
        custom_fields.add(conn, actor=people.root, values={"name": "Loyalty card", "type": "text"})
    with connection.begin_owner() as conn:
        make.customer(conn, people.bo.user_id, name="Otto Normal", region="East")
        stamps = {"created_at": clock.now(), "updated_at": clock.now()}
        window = {"starts_on": date(2026, 11, 1), "ends_on": date(2026, 11, 12)}
        conn.execute(insert(schema.campaigns).values(id=customer_id, name="Campaign 9", kind="A", **window, **stamps))
        member = {"customer_id": customer_id, "campaign_id": customer_id, "received_on": window["starts_on"]}
        conn.execute(insert(schema.campaign_members).values(**member, redemptions=1))
        kept = {"name": "Kept", "rule": {"all": []}, "owner_id": people.ann.user_id, "visibility": "shared"}
        conn.execute(insert(schema.segments).values(id=customer_id, **kept, **stamps))
        for day in (date(2026, 9, 1), date(2026, 11, 10)):
            order_id = make.order(conn, customer_id, day, "12.50")
        for name in ("Tea", "Milk"):
            goods = insert(schema.products).values(sku=name, name=name, category=name).returning(schema.products.c.id)
            line = {"customer_id": customer_id, "order_id": order_id, "product_id": conn.scalar(goods)}
            conn.execute(insert(schema.order_items).values(**line, quantity=1, amount=1))
        derived.rebuild(conn)
    return customer_id


# --- what a role is shown --------------------------------------------------------------------------------------------


@each_role
@each_screen
def test_screen_opens_or_refuses(place: Place, screen: Screen, role: Role) -> None:
    viewer = place.viewer(role)
    app = signed_in(viewer, screen.path, **place.params)
    for language in LANGUAGES:
        if language != "en":
            app.session_state[visits.LANGUAGE] = language
            app.run()
        said = body(sound(app))
        if viewer.can(screen.permission):
            assert [s.path for s in SCREENS if translated(place.own_text(s), language) in said] == [screen.path]
            assert translated(REFUSAL, language) not in said
        else:
            assert said == translated(REFUSAL, language)
        assert data.queries() <= MORE_QUERIES.get(screen.path, MOST_QUERIES)
        assert stray_keys(app, screen) == []
        assert [link.label for link in app.sidebar.page_link] == [
            translated(s.title, language)
            for section in SECTIONS
            for s in SCREENS
            if s.section == section and s.listed and viewer.can(s.permission)
        ]


@each_role
@pytest.mark.parametrize("place", ["rows"], indirect=True)
@pytest.mark.parametrize(("path", "params"), [(path, params) for path in LINKS for params in LINKS[path]], ids=str)
def test_parts_of_a_screen(place: Place, path: str, params: dict[str, str], role: Role) -> None:
    screen = BY_PATH[path]
    viewer = place.viewer(role)
    app = sound(signed_in(viewer, path, language="zh_CN", **place.params, **params))
    if not viewer.can(screen.permission):
        assert body(app) == translated(REFUSAL, "zh_CN")
        return
    assert translated(place.own_text(screen), "zh_CN") in body(app)
    assert data.queries() <= MORE_QUERIES.get(screen.path, MOST_QUERIES)
    assert stray_keys(app, screen) == []


def stray_keys(app: AppTest, screen: Screen) -> list[str]:
    """Widgets whose key does not begin with the path: session state and the URL are one for all screens."""
    widgets = [node for node in app.main if isinstance(node, Widget | Dataframe)]
    return [str(w) for w in widgets if not (w.key or "").startswith((f"{screen.path}_", "kehu_"))]


@each_screen
def test_without_a_session_there_is_only_the_sign_in(place: Place, screen: Screen) -> None:
    app = visitor(screen.path, **place.params)
    for language in LANGUAGES:
        app.session_state[visits.LANGUAGE] = language
        sound(app.run())
        assert translated(SIGN_IN, language) in body(app)
        for text in (translated(place.own_text(screen), language), translated(REFUSAL, language), "王小明"):
            assert text not in words(app)
        assert len(app.sidebar) == 0


# --- what stands in the files ----------------------------------------------------------------------------------------


def test_every_screen_has_its_texts_here() -> None:
    assert [screen.path for screen in SCREENS] == list(SHOWN)
    assert LINKS.keys() <= SHOWN.keys()
    assert set(ROLES) == set(Role) - {Role.GATE, Role.WORKER}


def test_every_file_is_a_screen() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pages").rglob("*.py")}
    assert files == {"pages/__init__.py", *(screen.file for screen in SCREENS)}


def test_paths_and_sections() -> None:
    paths = [screen.path for screen in SCREENS]
    assert len(set(paths)) == len(paths)
    # Keys of one screen must not be taken for another's.
    assert not [(a, b) for a in paths for b in paths if a != b and b.startswith(f"{a}_")]
    assert {screen.section for screen in SCREENS} == set(SECTIONS)


@each_screen
def test_permission_is_asked_first(screen: Screen) -> None:
    source = (ROOT / screen.file).read_text("utf-8")
    statements = ast.parse(source).body
    assert isinstance(statements[0], ast.Expr), "the docstring"
    first = next(s for s in statements[1:] if not isinstance(s, ast.Import | ast.ImportFrom))
    assert ast.unparse(first) == f"viewer = page.require(Permission.{Permission(screen.permission).name})"
    assert len(source.splitlines()) <= MOST_LINES


@each_screen
@pytest.mark.parametrize("language", ["en", "zh"])
def test_manual_has_a_page(screen: Screen, language: str) -> None:
    page = ROOT / "docs" / language / f"{screen.path}.md"
    assert page.exists()
    assert page.read_text("utf-8").startswith("# ")
