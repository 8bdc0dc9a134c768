"""Every text a user reads is marked, translated and written as Chinese is; every widget has a name.

When the first test fails, `python -m tests.strings` brings the catalogue up to date and lists what to translate.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from db.words import DEFAULT_LANGUAGE, LANGUAGES
from tests import strings

TRANSLATED = [language for language in LANGUAGES if language != DEFAULT_LANGUAGE]
HAN = r"[\u3400-\u4dbf\u4e00-\u9fff]"
# The same in both languages.
SAME = {"Kehu", "CSV", "ID", ", "}
# What only order and punctuation tell apart.
PATTERNS = {
    *("({parts})", "{condition} {period}", "{name}: {before} → {after}", "{field}: {problem}", "{field}: {value}"),
    "{label}: {value}",
    *("({values})", "; ", "{values} nor {last}", "“{value}”"),
}
# Names that stand in every language as they are.
NAMES = ("客户 Kehu", "Kehu")
# Patterns for machines: a date's, and what browsers call a system.
CODES = {"yyyy-MM-dd HH:mm", "Mac OS X"}

SCREENS = [path for folder in ("pages", "components") for path in sorted((strings.ROOT / folder).rglob("*.py"))]
WIDGETS = {
    *("button", "checkbox", "date_input", "download_button", "file_uploader", "form_submit_button", "link_button"),
    *("menu_button", "metric", "multiselect", "number_input", "page_link", "pills", "popover", "radio"),
    *("segmented_control", "select_slider", "selectbox", "slider", "text_area", "text_input", "time_input", "toggle"),
}
TEXTS = {
    *("badge", "caption", "error", "expander", "header", "info", "markdown", "status", "subheader", "success", "text"),
    *("title", "toast", "warning", "write", "dialog", "spinner"),
}
COLUMNS = {
    *("CheckboxColumn", "DateColumn", "DatetimeColumn", "LinkColumn", "ListColumn", "NumberColumn", "ProgressColumn"),
    *("SelectboxColumn", "TextColumn"),
}
DRAWING = WIDGETS | TEXTS | COLUMNS | {"set_page_config", "Page", "plotly_chart"}
# Our own functions that draw what they are given: the places of their texts.
OURS = {
    "cards.figure": (0,),
    "controls.saved": (1,),
    "controls.select": (1, 3),
    "page.dialog": (0,),
    "page.heading": (0, 1),
    "places.link": (1,),
}
SHOWN_ARGUMENTS = {"label", "help", "placeholder", "title", "page_title", "body", "caption", "alt", "text", "message"}
MARKS = {"_", "N_", "ngettext"}
ERRORS = {"Refused", "NotFound", "Invalid", "Conflict", "Unavailable"}


def ids(message: Message) -> tuple[str, ...]:
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


@cache
def messages(language: str) -> list[Message]:
    return [message for message in strings.read(language) if message.id]


# --- the catalogue ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", TRANSLATED)
def test_catalogue_is_what_the_tool_writes(language: str) -> None:
    assert strings.catalogue_file(language).read_text("utf-8") == strings.updated(language), "python -m tests.strings"


@pytest.mark.parametrize("language", TRANSLATED)
def test_everything_is_translated_and_nothing_else(language: str) -> None:
    known = {ids(message)[0]: message for message in messages(language)}
    assert sorted(known.keys() ^ strings.extracted().keys()) == []
    assert not [m for m, message in known.items() if not all(forms(message)) or message.fuzzy]
    apart = SAME | PATTERNS
    assert not [m for m, message in known.items() if m not in apart and not re.search(HAN, "".join(forms(message)))]


@pytest.mark.parametrize("language", TRANSLATED)
def test_placeholders_and_markup_are_the_same_in_both_languages(language: str) -> None:
    wrong = []
    for message in messages(language):
        for form in forms(message):
            for pattern in (r"\{[^{}]*\}", r"\*\*", r"`[^`]+`", r":material/\w+:"):
                # The plural names what a single thing may leave out.
                if sorted(re.findall(pattern, form)) != sorted(re.findall(pattern, ids(message)[-1])):
                    wrong.append(form)
    assert wrong == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_plurals_have_the_forms_of_the_language(language: str) -> None:
    count = strings.read(language).num_plurals
    assert not [m.id for m in messages(language) if len(forms(m)) != (count if m.pluralizable else 1)]


def test_chinese_is_written_with_its_own_punctuation_and_spaces() -> None:
    wrong = []
    for form in chain.from_iterable(map(forms, messages("zh_CN"))):
        for rule, pattern in {
            "half-width punctuation beside Chinese": rf"{HAN}[,;:!?]|[,;:!?]{HAN}|{HAN}\.(?![\w])|[()]{HAN}|{HAN}[()]",
            "straight quotes": rf"{HAN}[\"']|[\"']{HAN}",
            "exclamation mark": r"[!！]",
            "no space between Chinese and Latin or digits": rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}",
            "space beside full-width punctuation": r" [，。；：？（）、“”]|[，。；：？（）、”] (?!·)",
            "three dots": r"\.\.\.",
            "another word for 客户": r"顾客|客人",
        }.items():
            if re.search(pattern, form):
                wrong.append(f"{rule}: {form}")
    assert wrong == []


def test_english_is_written_without_exclamation_marks() -> None:
    assert not [message for message in strings.extracted() if "!" in message]


# --- the sources -----------------------------------------------------------------------------------------------------


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Each call and the last part of what is called: 'button' of left.button(…). Logging is not drawing."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                if not (isinstance(node.func.value, ast.Name) and node.func.value.id in ("log", "logging", "words")):
                    yield node.func.attr, node
            elif isinstance(node.func, ast.Name):
                yield node.func.id, node


def bare(node: ast.expr | None) -> Iterator[str]:
    """The literal pieces of a text that no mark encloses, as far as they can be read from the expression alone."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield from chain.from_iterable(map(bare, parts))
        case ast.FormattedValue(value=inner):
            yield from bare(inner)
        case ast.BinOp(left=left, right=right):
            yield from chain(bare(left), bare(right))
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            yield from chain.from_iterable(map(bare, parts))
        case ast.IfExp(body=body, orelse=orelse):
            yield from chain(bare(body), bare(orelse))
        case ast.Call(func=ast.Attribute(value=base, attr="format" | "join"), args=arguments):
            yield from chain(bare(base), *map(bare, arguments))
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            yield from bare(element)


def words_in(text: str) -> str:
    """What of a literal a user would have to read: no icons, colours, markup or names."""
    rest = re.sub(r":[a-z-]+(/\w+)?:|:[a-z-]+\[", "", text)
    for name in NAMES:
        rest = rest.replace(name, "")
    return rest if re.search(r"[^\W\d_]", rest) else ""


def shown(path: Path, name: str, call: ast.Call) -> list[ast.expr]:
    """The arguments of a drawing call that a user reads; none for other calls."""
    given = [k.value for k in call.keywords if k.arg in SHOWN_ARGUMENTS]
    places = OURS.get(ast.unparse(call.func))
    if places:
        return [*(call.args[i] for i in places if i < len(call.args)), *given]
    if name not in DRAWING or is_ours(path, call):
        return []
    return [*(call.args[:1] if name not in ("set_page_config", "Page", "plotly_chart") else []), *given]


def is_ours(path: Path, call: ast.Call) -> bool:
    """True for a function of our own that has a widget's name, such as exports.button."""
    match call.func:
        case ast.Attribute(value=ast.Name(id=module)):
            return module != "st" and (strings.ROOT / "components" / f"{module}.py").exists()
        case ast.Name():
            return True
    return False


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(strings.ROOT)}:{getattr(node, 'lineno', 0)}"


def test_no_drawn_text_is_bare() -> None:
    found = [
        f"{where(path, call)}: {text!r}"
        for path in SCREENS
        for name, call in calls(path)
        for argument in shown(path, name, call)
        for text in bare(argument)
        if words_in(text)
    ]
    assert found == []


def test_no_sentence_is_bare() -> None:
    """Two words in a row are a text: marked, or else a docstring, a message of a bug, a log line or a program's own."""
    found = []
    for path in SCREENS:
        apart = set(chain.from_iterable(map(ast.walk, _not_for_users(path))))
        for node in ast.walk(tree(path)):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if node not in apart and text not in CODES and re.search(r"[^\W\d_]{2,} [^\W\d_]{2,}", words_in(text)):
                found.append(f"{where(path, node)}: {text!r}")
    assert found == []


def _not_for_users(path: Path) -> Iterator[ast.AST]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Assert():
                yield node
            case ast.Call(func=ast.Name(id=mark)) if mark in MARKS | {"RuntimeError", "ValueError", "TypeVar"}:
                yield node
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "re"))):
                yield node
            case ast.Call(func=ast.Attribute(attr="component")) | ast.Compare():
                yield node
            case ast.Assign(targets=[ast.Name(id=constant)]) if constant.lstrip("_").isupper():
                # Scripts and tables of codes; keys of the data's values, whose names are marked.
                yield from (n for n in ast.walk(node.value) if isinstance(n, ast.Constant))


def test_every_widget_has_a_label() -> None:
    found = []
    for path in SCREENS:
        for name, call in calls(path):
            if name not in WIDGETS | COLUMNS or is_ours(path, call):
                continue
            label = next((k.value for k in call.keywords if k.arg == "label"), call.args[0] if call.args else None)
            starred = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
            if not starred and (label is None or (isinstance(label, ast.Constant) and not label.value)):
                found.append(f"{where(path, call)}: {name}")
    assert found == []


def test_errors_speak_the_users_language() -> None:
    found = [
        f"{where(path, call)}: {text!r}"
        for path in strings.sources()
        for name, call in calls(path)
        if name in ERRORS and call.args
        for text in bare(call.args[0])
        if words_in(text)
    ]
    assert found == []


def test_marks_enclose_literals() -> None:
    """`_(f"…")` and `_("…".format(…))` would never be found in a catalogue."""
    found = [
        where(path, call)
        for path in strings.sources()
        for name, call in calls(path)
        if name in MARKS
        for argument in call.args[:1]
        if isinstance(argument, ast.JoinedStr | ast.BinOp | ast.Call)
    ]
    assert found == []
