"""What a view of the customer list keeps of its address: the search, the filters and the order, as texts by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from db import text
from db.customer_filters import Filters
from db.errors import Invalid
from db.words import _

SEARCH = "search"
NAMES = (
    SEARCH,
    "owner",
    "team",
    "stage",
    "region",
    "source",
    "tags",
    "segment",
    "revenue_from",
    "revenue_to",
    "ordered",
    "ordered_days",
    "contacted",
    "contacted_days",
    "archived",
    "sort",
    "descending",
)
OF_FIELD = "f_"
"""Before the key of a custom field."""
MOST_BYTES = 10_000
"""Of all parameters of a view together."""
_OWN = re.compile(re.escape(OF_FIELD) + r"[a-z][a-z0-9_]{0,39}")
_DAYS = {f.name: str(f.default) for f in fields(Filters) if f.name.endswith("_days")}


def params_of(filters: Filters, sort: str, descending: bool) -> dict[str, str]:
    """The parameters of a list; what is as it always is stands in none."""
    said: dict[str, Any] = {
        SEARCH: filters.search,
        "owner": filters.owner_id,
        "team": filters.team_id,
        "stage": filters.stage,
        "region": filters.region,
        "source": filters.source,
        "tags": ",".join(filters.tags),
        "segment": filters.segment,
        "revenue_from": filters.revenue_from,
        "revenue_to": filters.revenue_to,
        "ordered": filters.ordered,
        "contacted": filters.contacted,
        "archived": "yes" if filters.archived else "",
        "sort": "" if sort == "name" else sort,
        "descending": "true" if descending else "",
    }
    said |= {OF_FIELD + key: written for key, written in filters.own}
    for name, usual in _DAYS.items():
        if getattr(filters, name.removesuffix("_days")) in ("within", "before"):
            said[name] = getattr(filters, name) if str(getattr(filters, name)) != usual else ""
    return {name: str(value) for name, value in said.items() if value not in ("", None)}


def checked(params: Any) -> dict[str, str]:
    """Parameters that can be kept, their texts cleaned, without empty ones. Raises Invalid.

    Whether a region or an owner is there is not asked: it may be gone tomorrow, and the reader may not see it.
    """
    if not isinstance(params, Mapping) or len(params) > 200:
        raise Invalid(_("These filters are not known."))
    for name, value in params.items():
        if not isinstance(name, str) or not isinstance(value, str) or not (name in NAMES or _OWN.fullmatch(name)):
            raise Invalid(_("These filters are not known."))
    if len(json.dumps(dict(params)).encode()) > MOST_BYTES * 6:  # as \u escapes: longer than that in any case
        raise Invalid(_too_long())
    kept = {name: text.clean(value) for name, value in params.items()}
    if len(json.dumps(kept, ensure_ascii=False).encode(errors="replace")) > MOST_BYTES:
        raise Invalid(_too_long())
    return {name: value for name, value in kept.items() if value}


def _too_long() -> str:
    return _("These filters are too long to be kept ({most} characters at most). Shorten the search.").format(
        most=f"{MOST_BYTES:,}"
    )
