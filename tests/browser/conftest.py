"""A real server process over a database of its own, and one browser; every test opens a fresh browser context."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from sqlalchemy import Connection, create_engine, update
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from db import connection, passwords, schema
from db.embedded import Server
from tests import make
from tests.engine import copying, serving

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "long enough for tests"
CHROMIUM = os.environ.get("KEHU_CHROMIUM", "/usr/bin/chromium")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_numbers = itertools.count(1)

expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)


class Site:
    """Kehu as a process: `streamlit run app.py` on a free port."""

    def __init__(self, url: str, folder: Path, environment: dict[str, str]) -> None:
        self.database_url = url
        self.log = folder / "server.log"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._out: IO[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._out = self.log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)],
            cwd=ROOT,
            env=os.environ | self._environment | {"DATABASE_URL": self.database_url},
            stdout=self._out,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.address}/healthz").status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError("The server did not start:\n" + self.log.read_text())

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._out:
            self._out.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """A transaction past all rights, beside the server's own connections."""
        engine = create_engine(self.database_url, poolclass=NullPool)
        with engine.begin() as conn:
            yield conn
        engine.dispose()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("no chromium here: set KEHU_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The cast of tests/make.py, each with PASSWORD; Ann has one customer. KEHU_NOW holds for the server too."""
    name = f"site_{os.getpid()}_{next(_numbers)}"
    home = make_url(server.url("kehu")).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(home, autocommit=True) as conn:
        conn.execute(copying(name, template))
    url = server.url(name)
    with pytest.MonkeyPatch.context() as patch, serving(url):
        patch.setattr(passwords, "BCRYPT_COST", 4)
        people = make.people()
        known = passwords.hashed(PASSWORD)
        with connection.begin_owner() as conn:
            conn.execute(update(schema.users).where(schema.users.c.id > 0).values(password_hash=known, language="en"))
            make.customer(conn, people.ann.user_id, name="Wang Xiaoming")
    made = Site(url, tmp_path_factory.mktemp("site"), {})
    made.start()
    yield made
    made.stop()


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes fresh browsers (no cookies), closed at the end. Words are English unless a locale is given."""
    made: list[BrowserContext] = []

    def make_one(**options: object) -> BrowserContext:
        made.append(chromium.new_context(**{"locale": "en-US", "viewport": {"width": 1440, "height": 900}, **options}))
        return made[-1]

    yield make_one
    for context in made:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    return new_context().new_page()


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Fill the sign-in form that is shown."""
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def click_first_row(page: Page, shows: Locator) -> None:
    """Until what it shows is there: the grid is a canvas, with no row to point at but a place under the header.

    A click that comes while the grid moves or is drawn anew hits nothing; one who looks would click again.
    """
    expect(page.get_by_test_id("glide-cell-1-0")).to_be_attached()
    for _try in range(4):
        page.get_by_test_id("stDataFrame").last.click(position={"x": 60, "y": 54})
        with suppress(AssertionError):
            expect(shows).to_be_visible(timeout=8_000)
            return
    expect(shows).to_be_visible()
