"""Pictures of every screen, and what can be said of a screen's look without an eye.

`python -m tests.shots` starts Kehu over DATABASE_URL (which holds the demo) or else over the embedded database, signs
in by the demo's cards (as the manager, and as the administrator for what a manager may not open) and writes
`.data/shots/<screen>-<width>-<theme>-<language>.png` at a desktop's and a phone's width, light and dark, in both
languages. It fails where something is cut, runs off the side, lacks a glyph, is left in English among Chinese, or where
a screen has failed. `--only overview customer`, `--width 390` and so on narrow it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from db import embedded
from db.permissions import Role, Viewer
from pages import BY_PATH, SCREENS
from tests import strings
from tests.browser.conftest import CHROMIUM, QUIET, Site

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".data" / "shots"
WIDTHS = {1440: 900, 390: 844}
THEMES = ("light", "dark")
LOCALES = {"en": "en-US", "zh": "zh-CN"}
TALLEST = 4_000


@dataclass(frozen=True)
class View:
    """One picture: a screen with its parameters, what to do there before it is taken, and what to clear away after."""

    name: str
    path: str
    query: str = ""
    act: Callable[[Page], None] | None = None
    after: Callable[[Page], None] | None = None
    only_width: int | None = None

    @property
    def role(self) -> Role:
        """Who may open it."""
        may = Viewer(0, "", Role.MANAGER).can(BY_PATH[self.path].permission)
        return Role.MANAGER if may else Role.ADMIN


def _menu(page: Page) -> None:
    page.get_by_test_id("stExpandSidebarButton").click()


def _find_clusters(page: Page) -> None:
    page.locator(".st-key-clusters_find button").click()
    page.get_by_test_id("stPlotlyChart").first.wait_for(timeout=60_000)


def _first_row(page: Page) -> None:
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 60, box["y"] + 54)


def _filters(page: Page) -> None:
    page.locator(".st-key-customers_filters button").first.click()
    page.locator("[class*=st-key-customers_tags]").wait_for()


def _tick(page: Page, rows: int = 3) -> None:
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box is not None
    for row in range(rows):
        page.mouse.click(box["x"] + 16, box["y"] + 54 + 36 * row)
        page.wait_for_timeout(400)


def _actions(page: Page) -> None:
    _tick(page)
    page.locator("[class*=st-key-customers_bulk_] [data-testid=stPopoverButton]").first.click()


def _ask(page: Page) -> None:
    page.locator("[class*=st-key-customers_bulk_] [data-testid=stPopoverButton]").first.click()
    page.locator(".st-key-customers_bulk_archive button").click()
    page.locator(".st-key-customers_bulk_go").wait_for()


def _tags(page: Page) -> None:
    page.locator(".st-key-customer_tags [data-testid=stPopoverButton]").first.click()


def _log_a_call(page: Page) -> None:
    page.locator("[class*=st-key-customer_talk_] button").first.click()
    page.locator("[class*=st-key-customer_talk_save]").wait_for()


def _next_task(page: Page) -> None:
    page.locator("[class*=st-key-customer_task_] button").first.click()
    page.locator("[class*=st-key-customer_task_save]").wait_for()


def _more(page: Page) -> None:
    """What one can do with a task."""
    page.locator("[class*=st-key-today_task_more] button").first.click()


def _edit_task(page: Page) -> None:
    _more(page)
    page.get_by_role("menuitem").nth(1).click()
    page.locator("[class*=st-key-today_task_edit]").first.wait_for()


def _add_contact(page: Page) -> None:
    page.locator(".st-key-customer_contact_add button").click()
    page.locator(".st-key-customer_row_save").wait_for()


def _record_consent(page: Page) -> None:
    page.locator("[class*=st-key-customer_consent_] button").first.click()
    page.locator("[class*=st-key-customer_consent_save]").wait_for()


def _edit(page: Page) -> None:
    page.locator(".st-key-customer_edit button").click()


def _wrong_phone(page: Page) -> None:
    """A form with two mistakes in it, said as one leaves the fields; nothing is saved."""
    _edit(page)
    phone = page.locator("[class*=st-key-customer_form_field_phone] input")
    phone.fill("12")
    phone.press("Tab")
    page.locator("[class*=st-key-customer_form_field_email] input").fill("li.na@")
    page.locator("[class*=st-key-customer_form_field_email] input").press("Tab")
    page.get_by_test_id("stMarkdownContainer").filter(has_text="@example").wait_for()


def _cancel(page: Page) -> None:
    page.locator("[class*=st-key-customer_form_cancel] button").click()


def _views(page: Page) -> None:
    page.locator("[class*=st-key-kehu_views] [data-testid=stPopoverButton]").first.click()
    page.locator(".st-key-customers_view_add summary").click()


def _columns(page: Page) -> None:
    page.locator(".st-key-customers_columns [data-testid=stPopoverButton]").click()


def _new_customer(page: Page) -> None:
    page.locator(".st-key-customers_add button").click()
    page.locator("[class*=st-key-customers_new_save]").wait_for()


def _add_field(page: Page) -> None:
    page.locator(".st-key-fields_add button").click()
    page.locator(".st-key-fields_new_save").wait_for()


def _invite(page: Page) -> None:
    page.locator(".st-key-users_invite button").click()


# Beside the screen as it opens: parts of it that one has to ask for. They are taken at a desktop's width in light and
# at a phone's in dark.
PARTS_IN = {1440: "light", 390: "dark"}
_NESTED = {
    "all": [
        {"field": "orders", "op": ">", "value": 20},
        {
            "any": [
                {"field": "revenue", "op": ">", "value": 5000},
                {
                    "none": [
                        {"field": "last_order_on", "op": "in the last", "value": 60},
                        {"field": "stage", "op": "in", "value": ["lost"]},
                    ]
                },
            ]
        },
    ]
}
_RULE = {
    "all": [
        {"field": "orders", "op": ">", "value": 100},
        {"field": "last_order_on", "op": "in the last", "value": 30},
        {
            "any": [
                {"field": "region", "op": "in", "value": ["North", "East"]},
                {"field": "bought_category", "op": "any of", "value": {"of": ["BEEF", "SOUP"], "last_days": 90}},
                {"field": "funnel", "op": "reached", "value": {"campaign": 18, "step": "redeemed"}},
            ]
        },
    ]
}
_CHIPS = "customers_region=East&customers_ordered=within&customers_revenue_from=100&customers_contacted=never"
MORE = {
    "today": (
        View("today-team", "today", "today_whose=team"),
        View("today-more", "today", "today_whose=team", act=_more),
        View("today-edit", "today", "today_whose=team", act=_edit_task),
    ),
    "segments": (View("segments-one", "segments", act=_first_row),),
    "segment": (
        View("segment-rule", "segment", "segment_rule=" + quote(json.dumps(_RULE))),
        View("segment-why", "segment", "segment_who=1&segment_rule=" + quote(json.dumps(_NESTED))),
        View("segment-ready", "segment", "segment_ready=champions&segment_by=region"),
    ),
    "clusters": (View("clusters-found", "clusters", act=_find_clusters),),
    "overview": (
        View("overview-all", "overview", "overview_period=all"),
        View("overview-own", "overview", "overview_period=own"),
        View("overview-menu", "overview", act=_menu, only_width=390),
    ),
    "customers": (
        View("customers-one", "customers", act=_first_row),
        View("customers-search", "customers", "customers_search=wang"),
        View("customers-similar", "customers", "customers_search=andersn"),
        View("customers-none", "customers", "customers_search=zzzz"),
        View("customers-views", "customers", _CHIPS, act=_views),
        View("customers-columns", "customers", act=_columns),
        View("customers-new", "customers", act=_new_customer),
        View("customers-chips", "customers", _CHIPS),
        View("customers-filters", "customers", _CHIPS, act=_filters),
        View("customers-segment", "customers", "customers_segment=decile_10", act=_filters),
        View("customers-segment-gone", "customers", "customers_segment=s99"),
        View("customers-actions", "customers", act=_actions),
        View("customers-ask", "customers", _CHIPS, act=_ask),
    ),
    "customer": (
        *(
            View(f"customer-{tab}", "customer", f"customer_tab={tab}")
            for tab in ("tasks", "purchases", "campaigns", "notes", "details", "files")
        ),
        View("customer-contact", "customer", "customer_tab=details", act=_add_contact),
        View("customer-consent", "customer", "customer_tab=details", act=_record_consent),
        View("customer-history", "customer", "customer_tab=history"),
        View("customer-edit", "customer", act=_edit),
        View("customer-wrong", "customer", act=_wrong_phone, after=_cancel),
        View("customer-talk", "customer", act=_log_a_call),
        View("customer-task", "customer", act=_next_task),
        View("customer-tags", "customer", act=_tags),
    ),
    "said": (View("said-found", "said", "said_words=delivery"), View("said-none", "said", "said_words=zzzz")),
    "changes": (View("changes-one", "changes", act=_first_row),),
    "fields": (View("fields-add", "fields", act=_add_field), View("fields-one", "fields", act=_first_row)),
    "users": (
        View("users-one", "users", act=_first_row),
        View("users-invite", "users", act=_invite),
        View("users-rights", "users", "users_part=rights"),
        View("users-sight", "users", "users_part=sight&users_customer={id}"),
    ),
}
VIEWS = tuple(
    view for screen in SCREENS for view in (View(screen.path, screen.path), *MORE.get(screen.path, ()))
)  # a new screen is pictured as it opens

# What only a browser knows: sizes, glyphs and the texts that can be seen.
_LOOK = r"""
() => {
  const wrong = [], texts = []
  const seen = (e) => {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e)
    return box.width > 1 && box.height > 1 && box.right > 0 && style.visibility !== "hidden" && style.opacity !== "0"
  }
  const short = (e) => (e.innerText || e.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60)

  const wide = document.documentElement.scrollWidth
  if (wide > innerWidth) wrong.push(`the page scrolls sideways: ${wide} in ${innerWidth}`)
  const main = document.querySelector('[data-testid="stMain"]')
  if (main && main.scrollWidth > main.clientWidth)
    wrong.push(`the main part scrolls sideways: ${main.scrollWidth} in ${main.clientWidth}`)
  for (const e of document.querySelectorAll('[data-testid="stTable"], [data-testid="stMarkdownContainer"]'))
    if (seen(e) && e.getBoundingClientRect().right > innerWidth + 1) wrong.push(`runs off the side: ${short(e)}`)

  for (const e of document.querySelectorAll('[data-testid="stMetricValue"], [data-testid="stMetricDelta"]')) {
    const range = document.createRange()
    range.selectNodeContents(e)
    const card = e.closest('[data-testid="stMetric"]').getBoundingClientRect()
    const inner = [e, ...e.querySelectorAll("*")].some((x) => x.scrollWidth > x.clientWidth + 1 && x.clientWidth > 0
      && getComputedStyle(x).display !== "inline")
    if (range.getBoundingClientRect().right > card.right || inner) wrong.push(`a figure is cut: ${short(e)}`)
  }

  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), e = walk.currentNode.parentElement
    if (!text || e.closest("script, style, noscript, canvas, title") || !seen(e)) continue
    if (getComputedStyle(e).fontFamily.includes("Material Symbols")) continue
    texts.push({ text, data: !!e.closest("td, .ytick, .bartext") })
    const style = getComputedStyle(e)
    if (/hidden|clip/.test(style.overflowX) && e.scrollWidth > e.clientWidth + 1 && !e.closest("svg"))
      wrong.push(`a text is cut: ${short(e)}`)
  }
  for (const e of document.querySelectorAll("canvas [role='columnheader']"))
    if (e.textContent.trim()) texts.push({ text: e.textContent.trim(), data: false })
  for (const e of document.querySelectorAll(":placeholder-shown"))
    if (seen(e) && e.placeholder.trim()) texts.push({ text: e.placeholder, data: false })

  // A character that no font has is drawn as the box that an unassigned one is drawn as, or not at all.
  const canvas = document.createElement("canvas")
  canvas.width = canvas.height = 48
  const pen = canvas.getContext("2d", { willReadFrequently: true })
  pen.textBaseline = "top"
  const font = getComputedStyle(document.querySelector('[data-testid="stApp"]') || document.body).fontFamily
  const drawn = (character) => {
    pen.clearRect(0, 0, 48, 48)
    pen.font = `32px ${font}`
    pen.fillText(character, 4, 4)
    return pen.getImageData(0, 0, 48, 48).data.join()
  }
  const blank = drawn(" "), boxes = new Set(["\u{10fffd}", "\u0378", "\u{e0fff}"].map(drawn))
  const characters = new Set(texts.map((t) => t.text).join(""))
  for (const c of characters)
    if (!/[\s\u200b-\u200f\u2060\ufe0f\ufeff]/u.test(c) && (drawn(c) === blank || boxes.has(drawn(c))))
      wrong.push(`no font has ${c} (${c.codePointAt(0).toString(16)})`)
  for (const e of document.querySelectorAll('[data-testid="stIconMaterial"]'))
    if (seen(e) && e.getBoundingClientRect().width > 60) wrong.push(`an icon is drawn as its name: ${short(e)}`)

  for (const e of document.querySelectorAll('[data-testid="stException"], [data-testid="stAlertContentError"]'))
    wrong.push(`an error is shown: ${short(e)}`)
  return { wrong, texts }
}
"""

# Latin words that belong into Chinese: names of products and formats, codes, examples.
LATIN = {
    *(
        "kehu",
        "rfm",  # the model, in Chinese too
        "ctrl",
        "enter",
        "english",
        "usd",
        "us",
        "cny",
        "csv",
        "json",
        "id",
        "name",
        "example",
        "com",
        "org",
        "net",
        "http",
        "localhost",
    ),
    *("yyyy", "mm", "dd", "hh"),  # how a day and a time are typed
    *("the", "complete", "journey"),  # the name of the demo's data
    *("chrome", "firefox", "safari", "edge", "opera", "mac", "windows", "linux", "android", "iphone", "ipad"),
}
# Streamlit's own sentences, which no setting translates: nothing may be drawn in a way that shows one.
BUILT_IN = re.compile(
    r"Press Enter|Press Ctrl|Press ⌘|Choose an option|Choose options|No results|No options|Add rows|Browse files"
    r"|Drag and drop|Upload|Select all|Clear|empty|Loading|Search…|This app has encountered|Traceback|Connecting"
)


def problems(page: Page, language: str, *, names: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with the look of a page that has settled; `names` are words of the data, in lower case."""
    found = page.evaluate(_LOOK)
    wrong: list[str] = found["wrong"]
    for shown in found["texts"]:
        if BUILT_IN.search(shown["text"]) and shown["text"] not in strings.extracted():
            wrong.append(f"a text of Streamlit's own: {shown['text']}")
        if re.search(
            r"Traceback|\bnan\b|\bNaN\b|\bNone\b|\bNaT\b|undefined|\{\w+\}", shown["text"].removeprefix("None of ")
        ):
            wrong.append(f"a bug shows through: {shown['text'][:80]}")
        if language == "zh":
            wrong += _left_in_english(shown["text"], shown["data"], names)
    return wrong


def _left_in_english(shown: str, is_data: bool, names: frozenset[str]) -> list[str]:
    if any(pattern.fullmatch(shown) for pattern in _english()):
        return [f"not in Chinese: {shown}"]
    if is_data:
        return []
    rest = re.sub(r"\S+@\S+|https?://\S+|`[^`]+`", "", shown)
    left = [word for word in re.findall(r"[^\W\d_]{2,}", rest) if re.match(r"[A-Za-zÀ-ɏ]", word)]
    left = [word for word in left if word.lower() not in LATIN and word.lower() not in names]
    return [f"English words: {' '.join(left)} (in “{shown[:60]}”)"] if left else []


@cache
def _english() -> tuple[re.Pattern[str], ...]:
    """Every message in English whose Chinese is another, as a pattern of what it may look like."""
    patterns = []
    for message in strings.read("zh_CN"):
        for form in [message.id] if isinstance(message.id, str) else message.id:
            if re.search(r"[A-Za-z]{2,}", re.sub(r"\{[^}]*\}", "", form)) and message.string != form:
                pieces = re.split(r"\{[^}]*\}", form)
                patterns.append(re.compile(".+?".join(map(re.escape, pieces))))
    return tuple(patterns)


def settle(page: Page) -> None:
    """Wait until the screen is drawn: the script has ended, nothing is stale, charts and fonts are there."""
    page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
    )
    page.wait_for_function(
        """() => document.querySelector('[data-testid="stMainBlockContainer"] [data-testid="stElementContainer"]')
          && !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]')
          && [...document.querySelectorAll('[data-testid="stPlotlyChart"]')].every((c) => c.querySelector(".main-svg"))
          && document.fonts.status === "loaded" """
    )
    page.wait_for_timeout(500)


def whole(page: Page, width: int) -> None:
    """Make the window as tall as what it shows: Streamlit scrolls inside."""
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    tall = page.evaluate("document.querySelector('[data-testid=\"stMain\"]')?.scrollHeight ?? 0")
    if tall > WIDTHS[width]:
        page.set_viewport_size({"width": width, "height": min(tall, TALLEST)})
        page.wait_for_timeout(400)


# --- the whole set ---------------------------------------------------------------------------------------------------


@contextmanager
def demo_url() -> Iterator[str]:
    """The database with the demo: DATABASE_URL, or the embedded one, which is made and filled when it is new."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    server = embedded.default()
    ours = not server.running()
    server.start()
    try:
        for command in ("migrate", "demo"):
            once = ["--if-empty"] if command == "demo" else []
            subprocess.run([sys.executable, "-m", "db", command, *once], cwd=ROOT, check=True)
        yield server.url()
    finally:
        if ours:
            server.stop()


def somebody(url: str) -> tuple[int, frozenset[str]]:
    """A customer of the demo's manager with much to show, and the words of the data's names."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        customer_id = conn.scalar(
            text(
                "SELECT c.id FROM customers c JOIN users o ON o.id = c.owner_id JOIN customer_metrics m "
                "ON m.customer_id = c.id JOIN users u ON u.team_id = o.team_id AND u.role = 'manager' AND u.demo "
                "WHERE c.age_band <> '' AND c.phone <> '' AND c.email <> '' ORDER BY u.id, m.revenue DESC, c.id LIMIT 1"
            )
        )
        said = conn.scalars(
            text(
                "SELECT name FROM customers UNION SELECT city FROM customers UNION SELECT company FROM customers "
                "UNION SELECT household_kind FROM customers UNION SELECT category FROM products "
                "UNION SELECT name FROM users UNION SELECT username FROM users UNION SELECT name FROM teams "
                "UNION SELECT title FROM tasks UNION SELECT body FROM tasks UNION SELECT body FROM notes "
                "UNION SELECT subject FROM interactions UNION SELECT body FROM interactions UNION SELECT tag FROM "
                "customer_tags UNION SELECT source FROM consents UNION SELECT name FROM attachments UNION SELECT name "
                "FROM saved_views UNION SELECT key FROM custom_fields UNION SELECT name FROM custom_fields UNION "
                "SELECT concat_ws(' ', name, job_title, email, wechat, note) FROM contacts UNION SELECT concat_ws(' ', "
                "recipient, street, city, region, country) FROM addresses"
            )
        )
        names = frozenset(word.lower() for line in said for word in re.findall(r"[^\W\d_]+", line or ""))
    engine.dispose()
    if customer_id is None:
        raise SystemExit("Kehu: this database does not hold the demo. Load it: python -m db demo")
    return int(customer_id), names


def take(browser: Browser, site: Site, views: Sequence[View], width: int, theme: str, language: str) -> list[str]:
    """For each role one browser: the sign-in, then its views, each as a file; gives what was wrong, one line each."""
    wrong: list[str] = []
    for role in dict.fromkeys((Role.MANAGER, *(view.role for view in views))):
        mine = [view for view in views if view.role is role]
        wrong += _take_as(role, browser, site, mine, width, theme, language)
    return wrong


def _take_as(
    role: Role, browser: Browser, site: Site, views: Sequence[View], width: int, theme: str, language: str
) -> list[str]:
    wrong: list[str] = []
    customer_id, names = somebody(site.database_url)
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        locale=LOCALES[language],
        color_scheme=theme,  # type: ignore[arg-type]
        has_touch=width < 600,
    )
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"a script failed: {error}"))

    def keep(name: str) -> None:
        settle(page)
        whole(page, width)
        label = f"{name}-{width}-{theme}-{language}"
        page.screenshot(path=FOLDER / f"{label}.png", animations="disabled")
        wrong.extend(f"{label}: {problem}" for problem in dict.fromkeys(problems(page, language, names=names)))

    page.goto(site.address)
    page.wait_for_selector(f".st-key-kehu_demo_{role} button")
    keep("signin")
    page.locator(f".st-key-kehu_demo_{role} button").click()
    page.wait_for_selector(f".st-key-kehu_demo_{role}", state="detached")
    settle(page)
    for view in views:
        if view.only_width not in (None, width) or (view.name != view.path and theme != PARTS_IN[width]):
            continue
        asked = f"id={customer_id}" if view.path == "customer" else ""
        query = "&".join(filter(None, (asked, view.query.format(id=customer_id))))
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        page.evaluate("localStorage.clear()")  # it remembers an opened menu
        path = "" if view.path == SCREENS[0].path else view.path  # Streamlit's first page answers at "/" alone
        page.goto(f"{site.address}/{path}?{query}")
        try:
            settle(page)
            if view.act:
                view.act(page)
                page.wait_for_timeout(300)
            keep(view.name)
            if view.after:
                view.after(page)
                settle(page)
        except PlaywrightError as error:
            wrong.append(f"{view.name}-{width}-{theme}-{language}: {str(error).splitlines()[0]}")
    context.close()
    return wrong


def main(arguments: list[str]) -> int:
    """The status is 1 when something is wrong; the pictures are there in any case."""
    parser = argparse.ArgumentParser(prog="python -m tests.shots", description="Pictures of every screen.")
    parser.add_argument("--only", nargs="+", metavar="SCREEN", help="of these screens", default=None)
    parser.add_argument("--width", type=int, choices=WIDTHS, nargs="+", default=list(WIDTHS))
    parser.add_argument("--theme", choices=THEMES, nargs="+", default=list(THEMES))
    parser.add_argument("--language", choices=LOCALES, nargs="+", default=list(LOCALES))
    args = parser.parse_args(arguments)
    views = [view for view in VIEWS if args.only is None or view.path in args.only or view.name in args.only]
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    with demo_url() as url, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Site(url, Path(folder), {"KEHU_DEMO_CARDS": "1"})
        site.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            for width, theme, language in itertools.product(args.width, args.theme, args.language):
                wrong += take(browser, site, views, width, theme, language)
                print(f"{width} px, {theme}, {language}: done", flush=True)
        finally:
            browser.close()
            site.stop()
        failures = [line for line in site.log.read_text("utf-8").splitlines() if '"event": "error"' in line]
    print(f"Pictures in {FOLDER.relative_to(ROOT)}")
    for line in (*wrong, *failures):
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
