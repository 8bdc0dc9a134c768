"""Numbers, money, days and instants as the user's language writes them. Unknown values are words, never zeros."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeGuard
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_interval, format_skeleton
from babel.numbers import format_compact_currency, format_compact_decimal, format_currency, format_decimal

from db.words import _, language, ngettext

Value = Decimal | int | float | None
CARD = 8
"""Characters that the narrowest card of a figure has room for."""
_LOCALES: Mapping[str, Locale] = {name: Locale.parse(name) for name in ("en", "zh_CN")}
"""Read once: of a name, Babel reads it anew for each number."""


def _locale() -> Locale:
    return _LOCALES[language()]


def known(value: Value) -> TypeGuard[Decimal | int | float]:
    """False for None and NaN."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def unknown(value: Value) -> bool:
    """True for None and NaN."""
    return not known(value)


def number(value: Value) -> str:
    """155848 → '155,848'."""
    return format_decimal(value, locale=_locale()) if known(value) else _("not known")


def money(value: Value, currency: str) -> str:
    """4596039.58 → '$4,596,039.58', in Chinese 'US$4,596,039.58'."""
    return format_currency(value, currency, locale=_locale()) if known(value) else _("not known")


def percent(value: Value) -> str:
    """A share: 0.4567 → '45.7%'."""
    return format_decimal(value, "0.0%", locale=_locale()) if known(value) else _("not known")


def short(value: Value, unit: str, currency: str) -> str:
    """As a card shows a count, money or rate: '$4.6M', in Chinese 'US$459.6万'; small numbers in full."""
    if not known(value):
        return _("not known")
    if unit == "rate":
        return percent(value)
    if unit == "count":
        return number(value) if abs(float(value)) < 100_000 else compact(value)
    if abs(float(value)) < 10_000:
        return money(value, currency)
    said: str = format_compact_currency(value, currency, locale=_locale(), fraction_digits=1)
    if len(said) <= CARD:
        return said
    return format_compact_currency(value, currency, locale=_locale(), fraction_digits=0)


def compact(value: Decimal | float) -> str:
    """A large number in short: 60000 → '60K', in Chinese '6万'."""
    return format_compact_decimal(value, locale=_locale(), fraction_digits=1)


def exact(value: Value, unit: str, currency: str) -> str:
    """The same in full."""
    if unit == "rate":
        return percent(value)
    return money(value, currency) if unit == "money" else number(value)


def day(value: date | None) -> str:
    """'Nov 3, 2026', in Chinese '2026年11月3日'; a dash for no day."""
    return format_date(value, "medium", locale=_locale()) if value else "–"


def full_day(value: date) -> str:
    """'Friday, November 20, 2026', in Chinese '2026年11月20日星期五'."""
    return format_date(value, "full", locale=_locale())


def short_day(value: date, bucket: str = "day") -> str:
    """A mark on a time axis: 'Nov 3' for days and weeks, 'Nov 2026' for months."""
    return format_skeleton("yMMM" if bucket == "month" else "MMMd", value, locale=_locale())


def days(start: date, end: date) -> str:
    """'Oct 14 – Nov 10, 2026', in Chinese '2026年10月14日至11月10日': what both days share is said once."""
    return str(format_interval(start, end, "yMMMd", locale=_locale())).replace("\u2009", " ")


def instant(value: datetime | None, zone: str) -> str:
    """A moment in the company's time zone, to the minute; a dash for none."""
    if value is None:
        return "–"
    return format_datetime(value.astimezone(ZoneInfo(zone)), "yyyy-MM-dd HH:mm", locale=_locale())


def size(bytes_: int) -> str:
    """The size of a file: '812 B', '34 KB', '2.4 MB'."""
    for unit, of in (("MB", 1024 * 1024), ("KB", 1024)):
        if bytes_ >= of:
            return f"{format_decimal(bytes_ / of, '0.#' if unit == 'MB' else '0', locale=_locale())} {unit}"
    return f"{bytes_} B"


def ago(value: date, today: date) -> str:
    """'today', 'yesterday', '12 days ago'."""
    n = (today - value).days
    if n == 0:
        return _("today")
    return _("yesterday") if n == 1 else ngettext("{n} day ago", "{n} days ago", n).format(n=number(n))


def lasting(duration: timedelta) -> str:
    """A short span of time in words: '40 seconds', '3 minutes', '2 hours'."""
    seconds = max(1, int(duration.total_seconds()))
    if seconds < 120:
        return ngettext("{n} second", "{n} seconds", seconds).format(n=seconds)
    if seconds < 7_200:
        return ngettext("{n} minute", "{n} minutes", seconds // 60).format(n=seconds // 60)
    return ngettext("{n} hour", "{n} hours", seconds // 3600).format(n=seconds // 3600)
