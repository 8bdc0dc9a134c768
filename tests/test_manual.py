"""The manual says what the code does: every screen, every limit, every figure, every right, every setting."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import timedelta
from pathlib import Path

import pytest

from analytics import clusters as fitted
from analytics import reasons
from api import health
from components import (
    affinity_view,
    customer_parts,
    customer_talks,
    explorer_view,
    lifecycle_view,
    period,
    segment_effects,
    segment_source,
)
from db import (
    affinity,
    around_words,
    attachments,
    baskets,
    boards,
    bulk_actions,
    campaign_start,
    campaigns,
    cluster_figures,
    cluster_values,
    clusters,
    cohorts,
    column_names,
    custom_fields,
    custom_filters,
    custom_values,
    customer,
    customer_filters,
    customers,
    definitions,
    drafts,
    duplicates,
    event_words,
    flows,
    full_text,
    history,
    lifecycle,
    metrics,
    migrate,
    needles,
    nested,
    offers,
    overview,
    passwords,
    past_classes,
    ready_segments,
    repeats,
    rhythm,
    rule_readings,
    rules,
    saved_segments,
    saved_views,
    score_rules,
    search,
    segment_moves,
    segment_reasons,
    segment_sets,
    sessions,
    tags,
    task_words,
    tasks,
    today,
    undo,
    undo_since,
    users,
    visibility,
)
from db.fields import FIELDS, OPERATORS
from db.permissions import MEANINGS, Permission
from db.rights import ROLES
from db.words import LANGUAGES, catalogue
from pages import BY_PATH, SCREENS
from tests import manual, manual_segments, strings

DOCS = strings.ROOT / "docs"
PAGES = ("signin", *(screen.path for screen in SCREENS))
MOST_WORDS = 700
MORE_WORDS = {"campaign": 800, "customer": 1_400, "customers": 1_350, "segment": 1_300}
"""The screens with the most parts."""


def of_page(path: str, name: str) -> int:
    """A constant of a screen's script, which cannot be imported without being run."""
    tree = ast.parse((strings.ROOT / BY_PATH[path].file).read_text("utf-8"))
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Constant(value=int(value))) if found == name:
                return value
    raise AssertionError(f"{path} has no constant {name}")


def limit_of(query: object) -> int:
    """How many rows a query gives when its screen does not say."""
    found: int = inspect.signature(query).parameters["limit"].default  # type: ignore[arg-type]
    return found


def minutes(time: timedelta) -> int:
    return int(time.total_seconds()) // 60


PASSWORD = (passwords.MIN_LENGTH, passwords.MAX_BYTES, passwords.TRIES, minutes(passwords.LOCK))
SESSION = (minutes(sessions.IDLE) // 60, sessions.LIFE.days)
LIMITS: dict[str, tuple[int, ...]] = {
    "signin": (*PASSWORD, *SESSION, passwords.LINK_LIFE.days),
    "overview": (
        overview.MOST_DAYS,
        metrics.NOT_KNOWN_DAYS,
        lifecycle.DEFAULT.risk_days,
        lifecycle.DEFAULT.lost_days,
        *(days // 7 for days in period.PRESETS.values()),
    ),
    "board": (boards.MOST_CARDS, boards.MOST_BOARDS, boards.MOST_NAME, boards.MOST_TITLE, boards.MOST_DELETED),
    "affinity": (
        *(affinity_view.DRAWN, affinity_view.LISTED, affinity.MOST_MONTHS, explorer_view.PAGE),
        *(baskets.MOST_CATEGORIES, affinity_view.LEAST),
    ),
    "cohorts": (cohorts.MOST_MONTHS, metrics.NOT_KNOWN_DAYS, explorer_view.PAGE),
    "lifecycle": (
        *(lifecycle.DEFAULT.risk_days, lifecycle.DEFAULT.lost_days, rhythm.LEAST_DAYS, lifecycle_view.MOST_FLOWS),
        *(definitions.MOST_REASON, definitions.MOST_VERSIONS, lifecycle.MOST_ORDERS, lifecycle.MOST_DAYS),
        *(int(lifecycle.MOST_TIMES), score_rules.MOST_ORDERS, *score_rules.USUAL["recency"]),
    ),
    "repeats": (
        *(repeats.MOST_STEPS, repeats.MOST_MONTHS, metrics.NOT_KNOWN_DAYS, explorer_view.PAGE),
        of_page("repeats", "LEAST"),
    ),
    "flows": (flows.MOST_DAYS, past_classes.MONTH_ENDS, metrics.NOT_KNOWN_DAYS, explorer_view.PAGE),
    "today": (
        of_page("today", "PAGE"),
        task_words.MOST_TITLE,
        task_words.MOST_BODY,
        task_words.SOON_DAYS,
        task_words.LATELY_DAYS,
        task_words.FIRST_DAY.year,
        task_words.LAST_DAY.year,
        today.QUIET_DAYS,
        today.MOST_QUIET,
        today.MOST_LOOKED_AT,
        today.MOST_RECENT,
    ),
    "customers": (
        customers.PAGE,
        search.ENOUGH_HITS,
        search.LEAST_SIMILAR,
        search.MOST_SIMILAR,
        needles.MOST_NEEDLE,
        needles.MOST_WORDS,
        search.MOST_HITS,
        customers.MOST_EXPORTED,
        minutes(offers.LIFE),
        customer_filters.MOST_FILTER_TAGS,
        customer_filters.MOST_DAYS,
        *(custom_filters.MOST_FILTERS, custom_filters.MOST_WORDS, custom_filters.MOST_CHOSEN),
        bulk_actions.MOST_CHANGED,
        bulk_actions.MOST_NAMES,
        saved_views.MOST_NAME,
        saved_views.MOST_VIEWS,
        saved_views.MOST_DELETED,
        column_names.MOST_COLUMNS,
    ),
    "said": (
        *(needles.MOST_NEEDLE, needles.MOST_WORDS, full_text.PAGE, full_text.MOST_HITS),
        *(full_text.BEFORE, full_text.AFTER, full_text.SEARCH_MS // 1_000),
    ),
    "customer": (
        tags.MOST_TAG,
        tags.MOST_TAGS,
        *customer.LIMITS.values(),
        customer.MOST_NOTE,
        customer_talks.PAGE,
        task_words.MOST_TITLE,
        tasks.MOST_ROWS,
        *around_words.CONTACT_LIMITS.values(),
        *around_words.ADDRESS_LIMITS.values(),
        around_words.MOST_CONTACTS,
        around_words.MOST_ADDRESSES,
        around_words.MOST_SOURCE,
        attachments.MOST_MEGABYTES,
        attachments.MOST_FILES,
        attachments.KEPT_DELETED.days,
        event_words.MOST_SUBJECT,
        event_words.MOST_BODY,
        event_words.MOST_MINUTES,
        customer_parts.ORDERS,
        customer_parts.LINES,
        drafts.MOST_DRAFTS,
        drafts.LIFE.days,
        duplicates.MOST_COUNTED,
        limit_of(customer.notes),
        limit_of(customer.campaigns),
        limit_of(history.of_customer),
        rhythm.LEAST_DAYS,
        segment_reasons.MOST_SEGMENTS,
        undo_since.MOST_SETS,
    ),
    "campaigns": (campaigns.MOST_CAMPAIGNS, of_page("campaigns", "MOST_DRAWN")),
    "campaign": (
        campaigns.MOST_PRODUCTS,
        *(campaign_start.MOST_DAYS, campaign_start.MOST_HELD, campaign_start.MOST_KIND),
        *(campaign_start.MOST_MEMBERS, campaign_start.MOST_NAME),
    ),
    "funnel": (of_page("funnel", "PAGE"),),
    "segments": (
        of_page("segments", "PAGE"),
        saved_segments.MOST_SAVED,
        ready_segments.AHEAD_DAYS,
        segment_sets.MOST_SETS,
    ),
    "clusters": (
        cluster_figures.MOST_FITTED,
        clusters.MOST_NAME,
        clusters.MOST_KEPT,
        cluster_values.FEWEST,
        cluster_values.MOST,
        fitted.SEARCHED,
        fitted.BOOTSTRAPS,
        fitted.DRAWN,
    ),
    "segment": (
        of_page("segment", "PAGE"),
        rules.MOST_DEPTH,
        rules.MOST_CONDITIONS,
        rules.MOST_VALUES,
        rules.MOST_ANNIVERSARY,
        nested.MOST_NESTED,
        nested.MOST_EXPANDED,
        reasons.MOST_REPEATED,
        round(rule_readings.NOTABLE * 100),
        segment_effects.MOST_PARTS,
        segment_source.MOST_STEPS,
        saved_segments.MOST_NAME,
        saved_segments.MOST_DESCRIPTION,
        saved_segments.MOST_FOLDER,
        saved_segments.MOST_TAGS,
        saved_segments.MOST_TAG,
        saved_segments.MOST_FROZEN,
        segment_moves.KEEP_DAYS,
        segment_moves.RECENT_DAYS,
        customers.MOST_EXPORTED,
    ),
    "changes": (of_page("changes", "PAGE"), history.MOST_ROWS, undo.MOST_ROWS, minutes(offers.LIFE)),
    "fields": (
        *(custom_fields.MOST_FIELDS, custom_fields.MOST_CHOICES, custom_fields.MOST_CHOICE, custom_fields.MOST_NAME),
        *(custom_fields.MOST_HELP, custom_fields.MOST_KEY),
        *(custom_values.MOST_TEXT, custom_values.MOST_DIGITS, custom_values.MOST_DECIMALS),
    ),
    "users": (
        users.MOST_USERS,
        users.MOST_NAME,
        passwords.LINK_LIFE.days,
        passwords.TRIES,
        minutes(passwords.LOCK),
        visibility.MOST_SEEING,
    ),
    "account": (*PASSWORD, *SESSION, sessions.MOST_DEVICES),
    "operations": (
        *SESSION,
        passwords.TRIES,
        minutes(passwords.LOCK),
        passwords.LINK_LIFE.days,
        migrate.LOCK_TIMEOUT_MS // 1_000,
        migrate.STATEMENT_TIMEOUT_MS // 60_000,
    ),
}


def pages_of(path: str) -> list[Path]:
    if path == "operations":
        return [DOCS / "operations.md"]
    return [DOCS / folder / f"{path}.md" for folder in manual.FOLDERS.values()]


def said(language: str, message: str) -> str:
    forms = catalogue(language).get(message)
    return forms[0] if forms else message


def test_every_screen_has_its_page_in_both_languages_and_no_page_is_left_over() -> None:
    assert set(manual.FOLDERS) == set(LANGUAGES)
    for folder in manual.FOLDERS.values():
        assert {p.stem for p in (DOCS / folder).glob("*.md")} == {*PAGES, "rights"}
    for language, folder in manual.FOLDERS.items():
        for screen in SCREENS:
            first = (DOCS / folder / f"{screen.path}.md").read_text("utf-8").splitlines()[0]
            assert first == f"# {said(language, screen.title)}"


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_short(path: str) -> None:
    for page in pages_of(path):
        words = re.findall(r"[\u4e00-\u9fff]{2}|[A-Za-z]+", page.read_text("utf-8"))
        assert len(words) <= MORE_WORDS.get(path, MOST_WORDS), page.name


@pytest.mark.parametrize("path", LIMITS)
def test_limits_are_those_of_the_code(path: str) -> None:
    for page in pages_of(path):
        numbers = {int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\d|\d", page.read_text("utf-8"))}
        assert set(LIMITS[path]) - numbers == set(), page


@pytest.mark.parametrize("language", manual.FOLDERS)
def test_printed_parts_are_what_the_code_prints(language: str) -> None:
    for page in manual.pages(language):
        text = page.read_text("utf-8")
        assert text == manual.printed(text, language), f"{page.name}: python -m tests.manual"


def test_the_reference_of_segments_is_what_the_code_reads() -> None:
    text = manual.REFERENCE.read_text("utf-8")
    assert text == manual.printed(text, "en"), "python -m tests.manual"
    assert re.findall(r"<!-- (\w+) -->", text) == ["fields", "end", "operators", "end", "limits", "end"]
    assert manual_segments.SOURCES.keys() == FIELDS.keys()
    ops = {op for ops in OPERATORS.values() for op in ops}
    assert manual_segments.MEANS.keys() == ops
    for f in FIELDS.values():
        marked = f"| `{f.key}` | {f.name} †" in text
        assert marked == f.personal, f.key


def test_every_rule_in_the_reference_can_be_read() -> None:
    examples = list(manual_segments.blocks_of_json(manual.REFERENCE.read_text("utf-8")))
    examples += [path.read_text("utf-8") for path in sorted((DOCS / "examples").glob("*.json"))]
    known = manual_segments.known()
    read = [rules.parse_text(example, known) for example in examples]
    found = {(c.field.kind, c.op) for rule in read for c in rules.conditions(rule)}
    assert found == {(kind, op) for kind, ops in OPERATORS.items() for op in ops}
    assert all(rules.parse(rules.data_of(rule), known) == rule for rule in read)


@pytest.mark.parametrize("language", manual.FOLDERS)
def test_figures_stages_and_rights_are_printed(language: str) -> None:
    folder = DOCS / manual.FOLDERS[language]
    assert set(re.findall(r"<!-- (\w+) -->", (folder / "overview.md").read_text("utf-8"))) == {
        "metrics",
        "stages",
        "end",
    }
    assert set(re.findall(r"<!-- (\w+) -->", (folder / "rights.md").read_text("utf-8"))) == {
        "matrix",
        "processes",
        "end",
    }
    assert re.findall(r"<!-- (\w+) -->", (folder / "campaigns.md").read_text("utf-8")) == ["campaign_metrics", "end"]
    for page, every in (("overview", metrics.METRICS), ("campaigns", metrics.CAMPAIGN_METRICS)):
        for metric in every.values():
            row = f"| {said(language, metric.name)} | {said(language, metric.formula)} |"
            assert row in (folder / f"{page}.md").read_text("utf-8")


def test_every_permission_has_its_words() -> None:
    assert set(MEANINGS) == set(Permission)


@pytest.mark.parametrize("path", [*PAGES, "rights"])
def test_what_pages_call_by_name_is_called_so_on_the_screen(path: str) -> None:
    """Words in bold are names of buttons, fields and tabs, or what the page itself begins a paragraph with."""
    for language, folder in manual.FOLDERS.items():
        known = {said(language, message).rstrip("。.") for message in strings.extracted()}
        for name in re.findall(r"\*\*([^*]+)\*\*", (DOCS / folder / f"{path}.md").read_text("utf-8")):
            if name.rstrip("。.") not in known:
                assert name.rstrip("。.") in ITS_OWN[language], f"{folder}/{path}.md: {name}"


ITS_OWN = {
    "en": {
        "All cohorts together",
        "Your first password",
        "How long you stay signed in",
        "In the demo",
        "Not known",
        "Lifecycle",
        "Running campaigns",
        "Filters",
        "Analysts and marketers",
        "Many at once",
    },
    "zh_CN": {
        "全部同期群合计",
        "首个密码",
        "登录能保持多久",
        "演示环境",
        "“未知”不等于零",
        "生命周期",
        "进行中的营销活动",
        "筛选",
        "分析师和营销",
        "批量操作",
    },
}


@pytest.mark.parametrize("language", manual.FOLDERS)
def test_refusals_are_quoted_as_they_are_worded(language: str) -> None:
    """The first column of "when it is refused": sentences of messages, with … for what changes."""

    def gist(sentence: str) -> str:
        return re.sub(r"…+|\{\w+\}|\d[\d,]*", "…", sentence).replace(" ", "").rstrip(".。")

    messages = [gist(said(language, message)) for message in strings.extracted()]
    wrong = []
    for page in manual.pages(language):
        refused = page.read_text("utf-8").partition("|---|---|\n")[2]
        for quoted in re.findall(r"^\| ([^|]+) \|", refused, re.MULTILINE):
            for sentence in re.split(r"(?<=[.。]) ?", quoted.strip()):
                if not any(gist(sentence) in message for message in messages):
                    wrong.append(f"{page.stem}: {sentence}")
    assert wrong == []


def test_chinese_pages_are_written_as_the_catalogue_is() -> None:
    han = r"[\u4e00-\u9fff]"
    wrong = []
    for page in sorted((DOCS / "zh").glob("*.md")):
        text = re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", " ", page.read_text("utf-8"))
        for pattern in (
            rf"{han}[,;:!?]|[,;:!?]{han}|[()]{han}|{han}[()]",
            rf"{han}[A-Za-z0-9]|[A-Za-z0-9]{han}",
            r"[!！]",
        ):
            wrong += [f"{page.name}: {found}" for found in re.findall(rf".{{0,8}}(?:{pattern}).{{0,8}}", text)]
    assert wrong == []


def test_links_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    places = [*strings.sources(), *(strings.ROOT / "tests").rglob("*.py"), strings.ROOT / "Makefile"]
    # Not in this file, where a name would prove nothing.
    read = set().union(
        *(re.findall(r"\bKEHU_[A-Z_]+\b", p.read_text("utf-8")) for p in places if p != Path(__file__).resolve())
    )
    table = set(re.findall(r"^\| `(KEHU_[A-Z_]+)` \|", (DOCS / "operations.md").read_text("utf-8"), re.MULTILINE))
    assert table == read


def test_operations_names_the_roles_that_migrations_make() -> None:
    text = (DOCS / "operations.md").read_text("utf-8")
    assert [role for role in ROLES if f"`{role}`" not in text] == []
    assert "within three seconds" in text
    assert health.TIMEOUT_MS == 3_000
