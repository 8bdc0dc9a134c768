"""Customers."""
from __future__ import annotations
from collections.abc import Mapping
from typing import Any
from db import text


def keys(row: Mapping[str, Any]) -> dict[str, str]:
    """The derived columns that lists sort and searches match by, from name, company, e-mail and phone."""
    name = text.clean(row.get("name"))
    phone = text.digits(row.get("phone"))
    parts = (name, row.get("company"), row.get("email"), phone)
    return {
        "sort_key": text.sort_key(name),
        "name_key": text.match_key(name),
        "pinyin_key": text.pinyin(name),
        "initials_key": text.initials(name),
        "email_key": text.match_key(row.get("email")),
        "phone_key": phone,
        "phone_reversed": phone[::-1],
        "search_text": " ".join(filter(None, (text.spaced(p) for p in parts))),
    }
