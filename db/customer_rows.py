"""Rows that a form edits below a customer, contact people and addresses: checked, one main, stale saves told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import Connection, Select, Table, and_, func, select

from db import changes, schema, text
from db.customer import Saved, canonical_phone
from db.errors import Conflict, Invalid, NotFound
from db.permissions import Permission, Viewer
from db.words import _

Values = Mapping[str, str | bool]
Start = Callable[[], int]
"""Opens the change set of a command, once it is certain that there is something to write."""


def _no_keys(row: Mapping[str, Any]) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Form:
    """What a form edits: the table, its texts with their most characters, its choices, and what must be filled in.

    `keys` computes the derived columns from a row. A customer has at most `most` rows, one of which may be `main`.
    """

    table: Table
    limits: Mapping[str, int]
    most: int
    required: tuple[str, ...]
    multiline: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Callable[[Mapping[str, Any]], dict[str, str]] = _no_keys

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that the form holds."""
        return (*self.choices, *self.limits, "main")


def starter(conn: Connection, who: Viewer, command: str, source: str, screen: str) -> Start:
    """What opens the change set of a command that edits a customer."""
    return lambda: changes.start(
        conn, actor=who, command=command, permission=Permission.CUSTOMERS_EDIT, source=source, screen=screen
    )


def require_customer(conn: Connection, customer_id: int) -> None:
    """Locked until the commit: it is there when the row stands, and nobody makes another row main meanwhile."""
    c = schema.customers.c
    found = None
    if customer_id <= changes.LARGEST_ID:
        found = conn.scalar(select(c.id).where(c.id == customer_id).with_for_update())
    if found is None:
        raise NotFound(_("There is no customer {id} that you may see.").format(id=customer_id))


def listed(conn: Connection, query: Select[Any]) -> pd.DataFrame:
    """The rows of a query as a frame."""
    rows = conn.execute(query)
    return pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))


def add(conn: Connection, form: Form, customer_id: int, values: Values, start: Start) -> tuple[int, int]:
    """Insert a row; gives (its id, change set id). Raises Invalid, NotFound."""
    t = form.table
    require_customer(conn, customer_id)
    row = _checked(form, values, required=form.required)
    have = conn.scalar(select(func.count()).select_from(t).where(t.c.customer_id == customer_id)) or 0
    if have >= form.most:
        raise Invalid(_("{n} are the most that a customer can have. Delete one first.").format(n=form.most))
    set_id = start()
    if row.get("main"):
        _no_other_main(conn, form, set_id, customer_id, 0)
    [row_id] = changes.insert(conn, set_id, t.name, [row | form.keys(row) | {"customer_id": customer_id}])
    return row_id, set_id


def save(
    conn: Connection, form: Form, customer_id: int, row_id: int, version: int, values: Values, start: Start
) -> Saved:
    """Save a form that was opened at `version`: merged with what others saved meanwhile, or Conflict with both sides.

    `values` may hold the whole form: a field that stands as it was when the form was opened is not the editor's.
    Raises Invalid (by field), NotFound, Conflict (rows of column, mine, theirs; details version).
    """
    given = _cleaned(form, values)
    require_customer(conn, customer_id)
    now = _locked(conn, form, customer_id, row_id)
    opened = now | _changed_since(conn, form, customer_id, row_id, int(now["version"]) - version)
    typed = {c: v for c, v in given.items() if v != opened[c]}
    fine = _checked(form, typed, required=tuple(c for c in form.required if c in typed))
    patch = {c: v for c, v in fine.items() if v not in (opened[c], now[c])}
    theirs = sorted(c for c in form.fields if now[c] != opened[c])
    clash = [c for c in theirs if c in patch]
    if clash:
        raise Conflict(
            _("Somebody saved this while you were editing. Choose which values to keep."),
            rows=[{"column": c, "mine": patch[c], "theirs": now[c]} for c in clash],
            version=now["version"],
        )
    if not patch:
        return Saved(None, [], theirs)
    set_id = start()
    if patch.get("main"):
        _no_other_main(conn, form, set_id, customer_id, row_id)
    derived = {c: v for c, v in form.keys({**now, **patch}).items() if now[c] != v}
    changes.update(conn, set_id, form.table.name, [{"customer_id": customer_id, "id": row_id, **patch, **derived}])
    return Saved(set_id, sorted(patch), theirs)


def delete(conn: Connection, form: Form, customer_id: int, row_id: int, start: Start) -> int:
    """Delete a row (undo brings it back with its id); gives the change set id. Raises NotFound."""
    set_id = start()
    changes.delete(conn, set_id, form.table.name, [{"customer_id": customer_id, "id": row_id}])
    return set_id


def canonical_email(value: str) -> str:
    """The address in its normal form. Raises ValueError for what is none."""
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error


def _no_other_main(conn: Connection, form: Form, set_id: int, customer_id: int, row_id: int) -> None:
    c = form.table.c
    others = conn.scalars(select(c.id).where(c.customer_id == customer_id, c.main, c.id != row_id)).all()
    patches = [{"customer_id": customer_id, "id": other, "main": False} for other in others]
    changes.update(conn, set_id, form.table.name, patches)


def _cleaned(form: Form, values: Values) -> dict[str, Any]:
    unknown = set(values) - set(form.fields)
    if unknown:
        raise Invalid(_("Unknown field: {name}.").format(name=", ".join(sorted(unknown))))
    return {c: bool(v) if c == "main" else text.clean(str(v), multiline=c in form.multiline) for c, v in values.items()}


def _checked(form: Form, values: Values, *, required: tuple[str, ...]) -> dict[str, Any]:
    """The values as they are stored. Raises Invalid with a sentence for each field that cannot be accepted."""
    row = _cleaned(form, values)
    problems: dict[str, str] = {}
    for c, most in form.limits.items():
        if len(row.get(c, "")) > most:
            problems[c] = _("{n} characters are too many; at most {most}.").format(n=f"{len(row[c]):,}", most=most)
    for c, known in form.choices.items():
        if (c in row or c in required) and row.get(c) not in known:
            problems[c] = _("There is no “{value}” here. Possible: {known}.").format(
                value=row.get(c, ""), known=", ".join(known)
            )
    problems |= {c: _("This must not be empty.") for c in required if not row.get(c) and c not in problems}
    for c, canonical, problem in (
        ("email", canonical_email, _("This is not an e-mail address. Example: name@example.com")),
        ("phone", canonical_phone, _("This is not a phone number. Example: 138 0013 8000 or +1 202 555 0143")),
    ):
        if row.get(c) and c not in problems:
            try:
                row[c] = canonical(row[c])
            except ValueError:
                problems[c] = problem
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    return row


def _locked(conn: Connection, form: Form, customer_id: int, row_id: int) -> dict[str, Any]:
    """The row as it is now, locked until the commit."""
    t = form.table
    query = select(t).where(t.c.customer_id == customer_id, t.c.id == row_id).with_for_update()
    found = conn.execute(query).mappings().first() if row_id <= changes.LARGEST_ID else None
    if found is None:
        raise NotFound(_("This is no longer there: somebody may have deleted it. Reload the page."))
    return dict(found)


def _changed_since(conn: Connection, form: Form, customer_id: int, row_id: int, versions: int) -> dict[str, Any]:
    """What the columns held `versions` versions ago, of those that were changed since.

    An update raises the version by one, and so does the undo of a deletion, which is recorded as an insertion.
    """
    if versions < 0:
        raise Invalid(_("The form is newer than what is saved. Reload the page."))
    h = schema.changes.c
    last = conn.execute(
        select(h.before, h.before_personal)
        .where(
            and_(h.customer_id == customer_id, h.table_name == form.table.name, h.row_id == row_id),
            h.action.in_(("insert", "update")),
        )
        .order_by(h.id.desc())
        .limit(versions)
    )
    found: dict[str, Any] = {}
    for before, personal in last:
        found |= before | personal  # newest first: the earliest value stays
    return {c: v for c, v in found.items() if c in form.fields}
