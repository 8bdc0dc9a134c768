"""Every visit: what each role may open, refusals, language, errors in words, undo, checked fragments."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update
from streamlit.testing.v1 import AppTest

import pages
from components import data, undo_bar, visit
from db import changes, connection, schema, sessions
from db.connection import begin
from db.permissions import GATE, Permission, Viewer
from pages import SCREENS, Screen
from tests import make

ROOT = Path(__file__).parent.parent.parent
SHELL = str(ROOT / "components" / "shell.py")
ERRORS = "Something went wrong on our side."


def tab(viewer: Viewer) -> AppTest:
    """A browser tab in which this user is signed in."""
    with begin(GATE, write=True) as conn:
        started = sessions.start(conn, user_id=viewer.user_id)
    at = AppTest.from_file(SHELL, default_timeout=60)
    at.session_state[visit.SESSION] = started.session_id
    return at


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Screens of this test alone: `home`, and `trial`, whose script the test writes."""
    home = tmp_path / "home.py"
    home.write_text("import streamlit as st\nst.title('Home')\n")

    class Here(Screen):
        @property
        def file(self) -> str:
            return str(tmp_path / f"{self.path}.py")

    made = tuple(
        Here("insight", path, path.title(), ":material/home:", permission, "Help.")
        for path, permission in (("home", Permission.ACCOUNT_EDIT), ("trial", Permission.CHANGES_READ))
    )
    from components import places

    for module in (pages, places):
        monkeypatch.setattr(module, "SCREENS", made)
    monkeypatch.setattr(places, "place", _place(made))
    yield tmp_path
    Path(tmp_path / "trial.py").unlink(missing_ok=True)


def _place(made: tuple[Screen, ...]) -> object:
    import streamlit as st

    return lambda screen: st.Page(screen.file, title=screen.title, url_path=screen.path, default=screen is made[0])


def trial(screens: Path, viewer: Viewer, script: str) -> AppTest:
    """Open the trial screen with this script."""
    (screens / "trial.py").write_text("import streamlit as st\nfrom components import data, page\n" + script)
    return tab(viewer).run().switch_page(str(screens / "trial.py")).run()


def texts(at: AppTest) -> list[str]:
    assert not at.exception
    return [e.value for kind in (at.markdown, at.error, at.warning, at.info, at.title, at.text) for e in kind]


def links(at: AppTest) -> list[str]:
    """What the sidebar offers to open."""
    return [e.proto.label for e in at.sidebar.get("page_link")]


def test_the_sidebar_offers_what_the_role_may_open(people: make.People) -> None:
    for viewer in people.everyone:
        at = tab(viewer).run().switch_page("../pages/personal/account.py").run()
        assert links(at) == [s.title for s in _in_sections() if s.listed and viewer.can(s.permission)]
        assert f"**{viewer.username.title()}**" in " ".join(texts(at))


def _in_sections() -> list[Screen]:
    return [s for section in pages.SECTIONS for s in SCREENS if s.section == section]


def test_a_screen_reached_past_the_shell_shows_nothing(people: make.People) -> None:
    for screen in SCREENS:
        at = AppTest.from_file(str(ROOT / screen.file), default_timeout=60).run()
        assert not at.exception
        assert not at.main.children
        assert not at.sidebar.children


def test_language_of_the_user_and_the_switch(people: make.People, owner: Connection) -> None:
    with owner.begin():
        owner.execute(update(schema.users).where(schema.users.c.username == "ann").values(language="zh_CN"))
    at = tab(people.ann).run().switch_page("../pages/personal/account.py").run()
    assert at.button(key="kehu_other_language").label == "English"
    at.button(key="kehu_other_language").click().run()
    assert at.button(key="kehu_other_language").label == "中文"
    owner.rollback()
    assert owner.scalar(select(schema.users.c.language).where(schema.users.c.username == "ann")) == "en"


def test_a_bug_is_a_sentence_with_a_number_that_the_log_has(
    people: make.People, screens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kehu")
    at = trial(screens, people.root, "raise ValueError('Wang Xiaoming 13800138000')\n")
    [said] = [e.value for e in at.error]
    assert said.startswith(ERRORS)
    assert "Xiaoming" not in said
    [record] = [r for r in caplog.records if r.name == "kehu.errors"]
    assert record.__dict__["error"] in said
    assert record.__dict__["kind"] == ["ValueError"]
    assert any("trial.py:3" in place for place in record.__dict__["where"])
    assert "Xiaoming" not in str(record.__dict__)
    assert "Xiaoming" not in caplog.text


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("Refused('Not yours.')", "warning"),
        ("NotFound('Not there.')", "warning"),
        ("Conflict('Somebody was first.')", "warning"),
        ("Unavailable('The database does not answer.')", "warning"),
        ("Invalid('Look again.')", "error"),
    ],
)
def test_errors_for_the_user_are_shown_in_their_words(
    people: make.People, screens: Path, raised: str, kind: str
) -> None:
    at = trial(screens, people.root, f"from db.errors import *\nst.text('before')\nraise {raised}\n")
    assert [e.value for e in at.get(kind)] == [raised.split("'")[1]]
    assert "before" in texts(at)
    assert ("Try again" in [b.label for b in at.button]) is raised.startswith("Unavailable")


WITH_BUTTON = """
from db.permissions import Permission
viewer = page.require(Permission.CHANGES_READ)
@page.fragment
def part():
    st.button("Press", key="trial_press")
    st.text(f"part for {viewer.username}")
part()
st.text("whole")
"""


def test_a_fragment_is_drawn_within_a_whole_run(people: make.People, screens: Path) -> None:
    at = trial(screens, people.mia, WITH_BUTTON)
    assert texts(at)[-2:] == ["part for mia", "whole"]
    at.button(key="trial_press").click().run()
    assert texts(at)[-2:] == ["part for mia", "whole"]


RUNS_ALONE = """
import streamlit as st
from components import data, page

def part():
    run = data.current()
    st.text(f"{run.screen} as {run.session.viewer.username}")

if "passed" in st.session_state:
    st.text("a whole run was asked for")
    st.stop()
st.session_state["passed"] = True
page._checked(part)()
"""


@pytest.mark.parametrize(
    ("session", "viewer", "shown"),
    [
        ("ann", "ann", "customers/part as ann"),
        ("ann", "mia", "a whole run was asked for"),
        (None, "ann", "a whole run was asked for"),
    ],
)
def test_a_fragment_that_runs_alone_checks_first(
    people: make.People, session: str | None, viewer: str, shown: str
) -> None:
    """AppTest always runs whole scripts: here the function runs outside the shell, as in its own rerun."""
    at = AppTest.from_string(RUNS_ALONE, default_timeout=30)
    with begin(GATE, write=True) as conn:
        started = sessions.start(conn, user_id=people.ann.user_id)
    if session:
        at.session_state[visit.SESSION] = started.session_id
    at.session_state[visit.VIEWER] = getattr(people, viewer)
    at.session_state[visit.SCREEN] = "customers"
    at.run()
    assert [t.value for t in at.text] == [shown]
    assert data.current() is None


def test_callbacks_cannot_reach_the_database(people: make.People, screens: Path) -> None:
    at = trial(
        screens,
        people.root,
        "from db import customers\n"
        "from db.permissions import Permission\n"
        "viewer = page.require(Permission.CHANGES_READ)\n"
        "def press():\n"
        "    try:\n"
        "        data.read(customers.owners, viewer=viewer)\n"
        "    except RuntimeError:\n"
        "        st.session_state['trial_refused'] = True\n"
        "st.button('Press', key='trial_press', on_click=press)\n",
    )
    at.button(key="trial_press").click().run()
    assert at.session_state["trial_refused"] is True


def _change(viewer: Viewer, name: str) -> int:
    with begin(viewer, write=True) as conn:
        set_id = changes.start(
            conn, actor=viewer, command="customer.save", permission=Permission.CUSTOMERS_EDIT, source="screen"
        )
        customer_id = conn.scalar(select(schema.customers.c.id))
        changes.update(conn, set_id, "customers", [{"id": customer_id, "name": name}])
    return set_id


def test_undo_is_offered_once_and_takes_back(people: make.People, owner: Connection) -> None:
    with connection.begin_owner() as conn:
        make.customer(conn, people.ann.user_id, name="Before")
    set_id = _change(people.ann, "After")
    at = tab(people.ann)
    at.session_state[undo_bar.OFFER] = {"id": set_id, "text": "Saved: Name.", "screen": None}
    at.run().switch_page("../pages/personal/account.py").run()
    assert undo_bar.OFFER not in at.session_state, "an offer is for one screen"

    at.session_state[undo_bar.OFFER] = {"id": set_id, "text": "Saved: Name.", "screen": None}
    at.run()
    assert any("Saved: Name." in text for text in texts(at))
    at.button(key="kehu_undo_button").click().run()
    assert owner.scalar(select(schema.customers.c.name)) == "Before"
    assert not any("Saved: Name." in text for text in texts(at))
    at.button(key="kehu_undo_button").click().run()  # the undo of the undo
    assert owner.scalar(select(schema.customers.c.name)) == "After"
    at.button(key="kehu_undo_hide").click().run()
    assert undo_bar.OFFER not in at.session_state


def test_a_whole_visit_asks_the_session_once(people: make.People, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kehu.runs")
    at = tab(people.root).run().switch_page("../pages/personal/account.py").run()
    caplog.clear()
    at.run()
    [record] = [r for r in caplog.records if r.name == "kehu.runs"]
    assert record.__dict__["queries"] == 2, "the session with all that a run needs, and the list of sessions"
    assert record.__dict__["user"] == people.root.user_id
    assert record.__dict__["screen"] == "account"
