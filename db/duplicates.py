"""Who has the same phone, e-mail or name already: asked while a customer is typed, before anything is saved."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from db import text
from db.customer import canonical_phone
from db.permissions import Permission, Viewer

MOST_COUNTED = 100
"""So many are counted of each kind; beyond it "more than"."""
MOST_SHOWN = 5
KINDS = ("phone", "email", "name")
FEWEST_DIGITS = 5
"""A shorter phone number is one that is still being typed."""


@dataclass(frozen=True)
class Alike:
    """Customers that share one value: `shown` are (id, name, archived) of those the viewer sees, at most MOST_SHOWN.

    Of those out of sight only their number and their owners' names are told ('' for nobody).
    """

    total: int
    more: bool
    shown: tuple[tuple[int, str, bool], ...]
    seen: int
    owners: tuple[str, ...]


def find(
    conn: Connection,
    *,
    viewer: Viewer,
    phone: str = "",
    email: str = "",
    name: str = "",
    company: str = "",
    but_id: int = 0,
) -> dict[str, Alike]:
    """'phone', 'email', 'name' (with the same company) → who has it, for those kinds that somebody has.

    `but_id` is the customer being edited. Archived customers count.
    """
    viewer.require(Permission.CUSTOMERS_EDIT)
    asked = (_phone_key(phone), text.match_key(email), text.match_key(name), text.clean(company))
    if not any(asked[:3]):
        return {}
    alike = func.customers_alike(*asked, but_id, MOST_COUNTED + 1).table_valued(
        "alike", "id", "name", "archived", "owner"
    )
    found: dict[str, list[tuple[int | None, str, bool, str]]] = {}
    for kind, *row in conn.execute(select(alike)):
        found.setdefault(kind, []).append((row[0], row[1], row[2], row[3]))
    return {kind: _alike(found[kind]) for kind in KINDS if kind in found}


def _alike(rows: list[tuple[int | None, str, bool, str]]) -> Alike:
    seen = sorted((archived, i, name) for i, name, archived, _owner in rows if i is not None)
    hidden = {owner for i, _name, _archived, owner in rows if i is None}
    return Alike(
        total=min(len(rows), MOST_COUNTED),
        more=len(rows) > MOST_COUNTED,
        shown=tuple((i, name, archived) for archived, i, name in seen[:MOST_SHOWN]),
        seen=len(seen),
        owners=tuple(sorted(hidden)),
    )


def _phone_key(phone: str) -> str:
    """The digits as they are stored: a number typed without its country code is found too."""
    try:
        digits = text.digits(canonical_phone(text.clean(phone)))
    except ValueError:
        digits = text.digits(phone)
    return digits if len(digits) >= FEWEST_DIGITS else ""
