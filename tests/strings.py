"""The message catalogues and the sources they come from.

`python -m tests.strings` brings every catalogue up to date: messages that are new come in empty, those that are gone
go, translations stay. The output is sorted and carries neither dates nor line numbers: a change shows as itself.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from db.words import DEFAULT_LANGUAGE, LANGUAGES, LOCALES

ROOT = Path(__file__).parent.parent
FOLDERS = ("analytics", "api", "components", "db", "deploy", "pages", "worker")
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
WIDTH = 110
_DROPPED = tuple(
    f'"{name}'
    for name in (
        "Generated-By",
        "Language-Team",
        "Last-Translator",
        "PO-Revision-Date",
        "POT-Creation-Date",
        "Project-Id-Version",
        "Report-Msgid-Bugs-To",
    )
)


def sources() -> Iterator[Path]:
    """Every file whose messages are translated."""
    yield ROOT / "app.py"
    for folder in FOLDERS:
        yield from sorted(path for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts)


def marked(
    file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Any, options: Any
) -> Iterator[tuple[int, str, str | tuple[str, ...], list[str]]]:
    """Babel's extraction method for our sources: its own overlooks marks inside f-strings before Python 3.12."""
    for node in ast.walk(ast.parse(file.read())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in keywords:
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if texts:
                yield node.lineno, node.func.id, tuple(texts) if len(texts) > 1 else texts[0], []


def extracted() -> dict[str, str | tuple[str, str]]:
    """msgid → the message as the sources hold it: a text, or singular and plural."""
    found: dict[str, str | tuple[str, str]] = {}
    for path in sources():
        for _line, message, _comments, _context in extract_from_file(marked, path, keywords=KEYWORDS):
            if isinstance(message, tuple):
                found[message[0]] = (message[0], message[1])
            elif message:
                found.setdefault(message, message)
    return found


def catalogue_file(language: str) -> Path:
    """Where a language's catalogue lies."""
    return LOCALES / language / "LC_MESSAGES" / "kehu.po"


def read(language: str) -> Catalog:
    """The catalogue as it stands; empty when there is none."""
    path = catalogue_file(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str) -> str:
    """The text of the catalogue with just the messages of the sources."""
    known = read(language)
    made = Catalog(locale=language, header_comment=f"# Kehu in {LANGUAGES[language]}.", fuzzy=False)
    for msgid, message in extracted().items():
        before = known.get(msgid)
        plural = isinstance(message, tuple)
        same_kind = before is not None and before.pluralizable == plural
        empty = ("",) * made.num_plurals if plural else ""
        made.add(message, before.string if same_kind else empty)
    out = io.BytesIO()
    write_po(out, made, width=WIDTH, no_location=True, sort_output=True)
    kept = [line for line in out.getvalue().decode().splitlines() if not line.startswith(_DROPPED)]
    return "\n".join(kept).rstrip("\n") + "\n"


def main() -> int:
    """Write the catalogues; the status is 1 while something is not translated."""
    missing = 0
    for language in LANGUAGES:
        if language == DEFAULT_LANGUAGE:
            continue
        text = updated(language)
        path = catalogue_file(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        empty = [m for m in read(language) if m.id and not all([m.string] if isinstance(m.string, str) else m.string)]
        for message in empty:
            print(f"{language}: {message.id}")
        missing += len(empty)
    print(f"{missing} to translate" if missing else "Everything is translated.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
