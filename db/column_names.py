"""The columns that a list of customers can show: their names, and which of them somebody has chosen."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from db.custom_values import PREFIX
from db.errors import Invalid
from db.words import N_, _

COLUMNS = {
    "stage": N_("Stage"),
    "phone": N_("Phone"),
    "email": N_("E-mail"),
    "company": N_("Company"),
    "orders": N_("Orders"),
    "revenue": N_("Revenue"),
    "last_order_on": N_("Last order"),
    "region": N_("Region"),
    "city": N_("City"),
    "owner": N_("Owner"),
    "source": N_("Source"),
    "created_at": N_("Added on"),
    "tags": N_("Tags"),
}
"""Beside the name, which is always the first; and one for each custom field, `custom.` and its key."""
USUAL = ("stage", "phone", "orders", "revenue", "last_order_on", "region", "owner")
"""What is shown until somebody chooses."""
WITHHELD = ("phone", "email", "company")
"""What masked roles are not offered."""
MOST_COLUMNS = 30
_OWN = re.compile(re.escape(PREFIX) + r"[a-z][a-z0-9_]{0,39}")


def checked(columns: Any) -> list[str]:
    """Columns that can be kept, each once, in their order. Raises Invalid. A custom field may be gone."""
    if not isinstance(columns, list | tuple) or not all(isinstance(name, str) for name in columns):
        raise Invalid(_("These columns cannot be read."))
    if len(columns) > MOST_COLUMNS:
        raise Invalid(_("A list has at most {most} columns beside the name.").format(most=MOST_COLUMNS))
    for name in columns:
        if name not in COLUMNS and not _OWN.fullmatch(name):
            raise Invalid(_("There is no column “{name}”.").format(name=name[:60]))
    return list(dict.fromkeys(columns))


def shown(chosen: Sequence[str] | None, offered: Collection[str]) -> tuple[str, ...]:
    """Of the chosen columns (None: nobody has chosen) those that there are for this viewer."""
    return tuple(name for name in (USUAL if chosen is None else chosen) if name in offered)
