"""One search box in a real browser: from the last key to the frame in which the hits stand on the screen.

Times are taken inside the page, so that neither this process nor the way to the browser is measured. The grid paints on
a canvas: what it paints is overheard.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tables
from components.visit import COOKIE
from db import customers, words
from db.connection import begin
from db.customer_filters import Filters
from db.errors import Unavailable
from db.sessions import Session
from db.words import _

if TYPE_CHECKING:  # needed for this bench alone, and not to run Kehu
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("KEHU_CHROMIUM", "/usr/bin/chromium")
BETWEEN_KEYS = 60
"""ms; typing faster than the debounce sends only the last state of the box."""
PATIENCE = 30_000
BETWEEN = 300
"""ms of rest between two searches, so that one does not wait for what another left to do."""

# `said`: captions and notices, `drawn`: texts on a canvas; each with the time of the frame it first stood in since the
# last key.
LISTEN = """
(() => {
  const bench = (window.kehuBench = { last: 0, said: new Map(), drawn: new Map() })
  addEventListener("input", (event) => {
    if (event.target.type !== "search") return
    bench.said.clear()
    bench.drawn.clear()
    bench.last = performance.now()
  }, true)
  const fill = CanvasRenderingContext2D.prototype.fillText
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    if (!bench.drawn.has(text)) bench.drawn.set(text, performance.now())
    return fill.call(this, text, ...rest)
  }
  const look = () => {
    for (const each of document.querySelectorAll('[data-testid="stCaptionContainer"], [data-testid="stAlert"]')) {
      const text = each.innerText.trim()
      if (!bench.said.has(text)) bench.said.set(text, performance.now())
    }
  }
  let waiting = false
  new MutationObserver(() => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => { waiting = false; look() })
  }).observe(document, { childList: true, characterData: true, subtree: true })
})()
"""
SHOWN = """
([place, first]) => {
  const { last, said, drawn } = window.kehuBench
  if (!said.has(place)) return null
  if (!first) return Math.max(1, said.get(place) - last)
  for (const [text, at] of drawn)
    if (text === first || (text.length > 7 && first.startsWith(text))) return Math.max(at, said.get(place)) - last
  return null
}
"""


@dataclass(frozen=True)
class Query:
    """What is typed, what the list says of the number of hits then, and the first name in it ('' without any)."""

    typed: str
    place: str
    first: str


@dataclass(frozen=True)
class Shown:
    """ms from the last key to the hits; None when they were not shown, with what was shown instead."""

    query: Query
    ms: float | None
    instead: str = ""


class Missing(Exception):
    """What this bench needs is not here; says what to do."""


def everybody(session: Session) -> str:
    """What the list says of the number of customers without a search."""
    words.use(session.language)
    with begin(session.viewer) as conn:
        return _place(customers.page(conn, viewer=session.viewer, today=session.today))


def expected(session: Session, typed: Sequence[str]) -> Iterator[Query]:
    """The queries with what the list must show, asked of the database beforehand; without those that change nothing."""
    viewer = session.viewer
    every = everybody(session)
    for query in typed:
        try:
            with begin(viewer) as conn:
                found = customers.page(conn, viewer=viewer, today=session.today, filters=Filters(search=query))
        except Unavailable:
            continue
        place = _place(found)
        if place != every and not found.left_out:
            yield Query(query, place, "" if found.rows.empty else str(found.rows.iloc[0]["name"]))


def _place(found: customers.Page) -> str:
    if not found.total:
        return _("No customer matches. Remove a filter or try another spelling.")
    return tables.position(0, len(found.rows), found.total, more=found.more)


def require() -> None:
    """Raises Missing where there is no browser to drive."""
    if importlib.util.find_spec("playwright") is None:
        raise Missing("This bench drives a browser: `pip install -r requirements-dev.txt` brings playwright.")
    if not Path(CHROMIUM).exists():
        raise Missing(f"There is no Chromium at {CHROMIUM}: install one, or name it in KEHU_CHROMIUM.")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Desk:
    """The customer list in a tab of its own, with a search box to type into."""

    def __init__(self, browser: Browser, address: str, token: str, session: Session) -> None:
        self.errors: list[str] = []
        self._everybody = everybody(session)
        context = browser.new_context(
            locale="zh-CN" if words.language() == "zh_CN" else "en-US", viewport={"width": 1440, "height": 900}
        )
        context.add_cookies([{"name": COOKIE, "value": token, "url": address}])
        context.add_init_script(LISTEN)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)[:200]))
        self.page.goto(f"{address}/customers")
        self.box = self.page.get_by_role("searchbox")
        self.box.wait_for(timeout=PATIENCE)
        self._settled()

    def ask(self, query: Query) -> Shown:
        """Type it key by key, and wait until its hits stand there; the box is emptied before."""
        if self.box.input_value():
            self.box.fill("")
            self._settled()
        self.page.wait_for_timeout(BETWEEN)
        self.box.press_sequentially(query.typed, delay=BETWEEN_KEYS)
        wanted = [query.place, query.first]
        try:
            found: Any = self.page.wait_for_function(SHOWN, arg=wanted, timeout=PATIENCE, polling=50).json_value()
        except Exception as error:
            if type(error).__name__ != "TimeoutError":
                raise
            return Shown(query, None, self._said())
        wrong = self.page.locator('[data-testid="stException"]').count()
        return Shown(query, None if wrong else float(found), self._said() if wrong else "")

    def _settled(self) -> None:
        """Until the whole list is there."""
        self.page.wait_for_function(SHOWN, arg=[self._everybody, ""], timeout=PATIENCE, polling=50)

    def _said(self) -> str:
        said = self.page.locator('[data-testid="stCaptionContainer"], [data-testid="stAlert"]').all_inner_texts()
        return " | ".join(said)[-300:]
