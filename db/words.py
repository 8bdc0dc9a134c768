"""gettext for all of Kehu: `_()` marks and translates; the language belongs to the running thread or request."""

from __future__ import annotations

import gettext
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "zh_CN": "中文"}
DEFAULT_LANGUAGE = "en"
LOCALES = Path(__file__).parent.parent / "locales"

_language: ContextVar[str] = ContextVar("kehu_language", default=DEFAULT_LANGUAGE)


@cache
def catalogue(language: str) -> dict[str, tuple[str, ...]]:
    """msgid → its forms (one, or singular and plural) of a language; empty for English, which the source holds."""
    path = LOCALES / language / "LC_MESSAGES" / "kehu.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        messages = read_po(file, locale=language)
    found: dict[str, tuple[str, ...]] = {}
    for message in messages:
        forms = message.string if isinstance(message.string, tuple | list) else (message.string,)
        key = message.id[0] if isinstance(message.id, tuple | list) else message.id
        if key and all(forms):
            found[key] = tuple(str(form) for form in forms)
    return found


def use(language: str | None) -> str:
    """Choose the language of this thread or request; an unknown one falls back to English. Returns the choice."""
    chosen = language if language in LANGUAGES else DEFAULT_LANGUAGE
    _language.set(chosen)
    return chosen


def language() -> str:
    """The language in use: 'en' or 'zh_CN' (also Babel's locale identifier)."""
    return _language.get()


def preferred(accept: str | None) -> str:
    """The language for an Accept-Language header or a browser locale: Chinese when it comes first, else English."""
    first = (accept or "").split(",")[0].strip().lower()
    return "zh_CN" if first.startswith("zh") else DEFAULT_LANGUAGE


def N_(message: str) -> str:
    """Mark a string for translation where it cannot be translated yet."""
    return message


def _(message: str) -> str:
    """The message in the language in use; the English source where there is no translation."""
    forms = catalogue(language()).get(message)
    return forms[0] if forms else message


def ngettext(one: str, many: str, n: int) -> str:
    """The singular or plural message for n; Chinese has one form."""
    forms = catalogue(language()).get(one)
    if forms:
        return forms[0] if len(forms) == 1 or n == 1 else forms[-1]
    return gettext.NullTranslations().ngettext(one, many, n)
