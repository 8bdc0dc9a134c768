"""The fields that an administrator adds to customers: listed, added, changed, ordered, archived; never deleted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from db import changes, clock, cluster_values, clusters, fields, schema, text
from db.custom_values import PREFIX, Field
from db.errors import Conflict, Invalid, NotFound
from db.permissions import Permission, Viewer
from db.schema_fields import FIELD_TYPES
from db.words import _

MOST_FIELDS = 100
"""Fields that are in use at once; archived ones do not count."""
MOST_CHOICES = 200
MOST_CHOICE = 100
"""Characters of one choice."""
MOST_NAME = 60
MOST_HELP = 300
MOST_KEY = 40
FIXED = ("key", "type", "personal")
"""What is decided once: values that stand in customers are read by it."""
EDITED = ("name", "name_zh", "choices", "required", "help")
UNIQUE_VIOLATION = "23505"
_KEY = re.compile(r"[a-z][a-z0-9_]*")

_F = schema.custom_fields.c
_TABLE = schema.custom_fields.name


def every(conn: Connection, *, viewer: Viewer) -> tuple[Field, ...]:
    """All fields in their order, archived ones last; those are still needed to read what history says of them."""
    viewer.require(Permission.CUSTOMERS_READ)
    return _all(conn)


def in_use(conn: Connection, *, viewer: Viewer) -> dict[str, Field]:
    """Key → field, in their order, of those that forms have."""
    return {f.key: f for f in every(conn, viewer=viewer) if not f.archived}


def countable(conn: Connection, *, viewer: Viewer, rules: Sequence[str] = (PREFIX,)) -> Mapping[str, fields.Field]:
    """Key → field of all that rules are made of; custom ones and clusters only where one of these rules may ask so.

    Archived ones are among them: a rule that asks for one can say so.
    """
    known = dict(fields.FIELDS)
    unclear = any("\\u" in rule for rule in rules)
    if unclear or any(PREFIX in rule for rule in rules):
        known |= {field.key: field for field in map(fields.of_custom, every(conn, viewer=viewer))}
    asked = unclear or PREFIX in rules or any(cluster_values.PREFIX in rule for rule in rules)
    if asked and viewer.can(Permission.SEGMENTS_READ):
        known |= clusters.countable(conn, viewer=viewer)
    return known


def add(
    conn: Connection, *, actor: Viewer, values: Mapping[str, Any], source: str = "screen", screen: str = ""
) -> tuple[int, int]:
    """Add a field at the end; gives (field id, change set id). Without `key` one is made of the name.

    A key is given once, also when the field that had it is gone. Raises Invalid by field, Refused.
    """
    actor.require(Permission.FIELDS_EDIT)
    there = _all(conn)
    row = _checked(values, there)
    key = text.clean(str(values.get("key") or "")) or key_of(row["name"])
    problems = _key_problem(conn, key, there)
    if values.get("type") not in FIELD_TYPES:
        problems["type"] = _("Choose one of the list.")
    elif bool(row["choices"]) != (values["type"] in ("choice", "choices")):
        problems["choices"] = _no_choices() if not row["choices"] else _("Only lists have choices.")
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    _require_room(there)
    row |= {"key": key, "type": values["type"], "personal": bool(values.get("personal"))}
    row["position"] = max((f.position for f in there), default=0) + 1
    set_id = _start(conn, actor, "field.add", source, screen)
    try:
        with conn.begin_nested():
            [field_id] = changes.insert(conn, set_id, "custom_fields", [row])
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise Invalid(_("Some fields need another look."), fields={"key": _taken(key)}) from error
    return field_id, set_id


def save(
    conn: Connection,
    *,
    actor: Viewer,
    field_id: int,
    version: int,
    values: Mapping[str, Any],
    source: str = "screen",
    screen: str = "",
) -> int | None:
    """Change name, choices, help or whether it is required; gives the change set id, None when nothing differs.

    Values that stand in customers stay and are shown, also those that are no longer in the list.
    Raises Invalid by field, Conflict when somebody changed the field since `version`, NotFound, Refused.
    """
    actor.require(Permission.FIELDS_EDIT)
    now = _locked(conn, field_id)
    if now.version != version:
        raise Conflict(_("Somebody has just changed this field. Look at it and save again."))
    for name in FIXED:
        if name in values and values[name] != getattr(now, name):
            raise Invalid(
                _("Key, type and who may see it cannot be changed: values are kept by them. Add another field."),
                fields={name: _("This is decided once.")},
            )
    row = _checked(values, [f for f in _all(conn) if f.id != field_id])
    if bool(row["choices"]) != (now.type in ("choice", "choices")):
        problem = _no_choices() if not row["choices"] else _("Only lists have choices.")
        raise Invalid(_("Some fields need another look."), fields={"choices": problem})
    before = {name: list(now.choices) if name == "choices" else getattr(now, name) for name in EDITED}
    patch = {name: value for name, value in row.items() if value != before[name]}
    if not patch:
        return None
    set_id = _start(conn, actor, "field.save", source, screen)
    changes.update(conn, set_id, "custom_fields", [{"id": field_id, **patch}])
    return set_id


def archive(
    conn: Connection, *, actor: Viewer, field_id: int, archived: bool = True, source: str = "screen", screen: str = ""
) -> int:
    """Take a field out of the forms, or put it back; gives the change set id. Its values stay in the customers.

    Raises Invalid when it stands there already or there is no room, NotFound, Refused.
    """
    actor.require(Permission.FIELDS_EDIT)
    now = _locked(conn, field_id)
    if now.archived == archived:
        raise Invalid(_("This field is archived already.") if archived else _("This field is not archived."))
    if not archived:
        _require_room(_all(conn))
    set_id = _start(conn, actor, "field.archive" if archived else "field.restore", source, screen)
    when = clock.now() if archived else None
    changes.update(conn, set_id, "custom_fields", [{"id": field_id, "archived_at": when}])
    return set_id


def reorder(
    conn: Connection, *, actor: Viewer, field_ids: Sequence[int], source: str = "screen", screen: str = ""
) -> int:
    """Put the fields in use into this order; gives the change set id. Raises Invalid unless they are all there once."""
    actor.require(Permission.FIELDS_EDIT)
    there = {f.id: f for f in _all(conn) if not f.archived}
    if len(field_ids) != len(there) or set(field_ids) != set(there):
        raise Invalid(_("Somebody has just changed the fields. Look at them and order them again."))
    moved = [{"id": i, "position": n} for n, i in enumerate(field_ids, 1) if there[i].position != n]
    if not moved:
        raise Invalid(_("They stand in this order already."))
    set_id = _start(conn, actor, "field.order", source, screen)
    changes.update(conn, set_id, "custom_fields", moved)
    return set_id


def key_of(name: str) -> str:
    """A key for a field of this name: pinyin or plain letters; '' where the name has none."""
    plain = text.pinyin(name) or text.match_key(name)
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_0123456789")[:MOST_KEY].strip("_")


def _all(conn: Connection) -> tuple[Field, ...]:
    kept: dict[str, tuple[Field, ...]] | None = conn.info.get("kehu_kept")
    if kept is not None and _TABLE in kept:
        return kept[_TABLE]
    rows = conn.execute(select(schema.custom_fields).order_by(_F.archived_at.is_not(None), _F.position, _F.id))
    found = tuple(_field(row) for row in rows.mappings())
    if kept is not None:
        kept[_TABLE] = found
    return found


def _field(row: Any) -> Field:
    named = {name: row[name] for name in Field.__annotations__ if name in row}
    return Field(**named | {"choices": tuple(row["choices"]), "archived": row["archived_at"] is not None})


def _locked(conn: Connection, field_id: int) -> Field:
    query = select(schema.custom_fields).where(_F.id == field_id).with_for_update()
    found = conn.execute(query).mappings().first() if field_id <= changes.LARGEST_ID else None
    if found is None:
        raise NotFound(_("There is no field {id}.").format(id=field_id))
    return _field(found)


def _checked(values: Mapping[str, Any], others: Sequence[Field]) -> dict[str, Any]:
    """What may be changed of a field, as it is stored."""
    row: dict[str, Any] = {c: text.clean(str(values.get(c) or "")) for c in ("name", "name_zh", "help")}
    problems: dict[str, str] = {}
    for c, most in (("name", MOST_NAME), ("name_zh", MOST_NAME), ("help", MOST_HELP)):
        if len(row[c]) > most:
            problems[c] = _("{n} characters are too many; at most {most}.").format(n=f"{len(row[c]):,}", most=most)
    if not row["name"]:
        problems["name"] = _("This must not be empty.")
    names = {text.match_key(n) for f in others if not f.archived for n in (f.name, f.name_zh) if n}
    for c in ("name", "name_zh"):
        if row[c] and text.match_key(row[c]) in names:
            problems[c] = _("There is a field of this name already.")
    row["required"] = bool(values.get("required"))
    given = (text.clean(str(each)) for each in values.get("choices") or ())
    row["choices"] = list(dict.fromkeys(filter(None, given)))
    if len(row["choices"]) > MOST_CHOICES:
        problems["choices"] = _("{n} choices are too many; at most {most}.").format(
            n=f"{len(row['choices']):,}", most=MOST_CHOICES
        )
    elif any(len(each) > MOST_CHOICE for each in row["choices"]):
        problems["choices"] = _("A choice has at most {most} characters.").format(most=MOST_CHOICE)
    if problems:
        raise Invalid(_("Some fields need another look."), fields=problems)
    return row


def _key_problem(conn: Connection, key: str, there: Sequence[Field]) -> dict[str, str]:
    if len(key) > MOST_KEY or not _KEY.fullmatch(key):
        return {
            "key": _("Small letters, digits and _, at most {most}, a letter first. Example: loyalty_card").format(
                most=MOST_KEY
            )
        }
    h = schema.changes.c
    gone = select(h.id).where(h.table_name == "custom_fields", h.action == "delete", h.before["key"].astext == key)
    if any(f.key == key for f in there) or conn.scalar(gone.limit(1)) is not None:
        return {"key": _taken(key)}
    return {}


def _taken(key: str) -> str:
    return _("The key {key} was given already. A key is never used twice.").format(key=key)


def _no_choices() -> str:
    return _("A list needs at least one choice.")


def _require_room(there: Sequence[Field]) -> None:
    if sum(not f.archived for f in there) >= MOST_FIELDS:
        raise Invalid(_("{most} fields are in use, which is the most. Archive one first.").format(most=MOST_FIELDS))


def _start(conn: Connection, actor: Viewer, command: str, source: str, screen: str) -> int:
    return changes.start(
        conn, actor=actor, command=command, permission=Permission.FIELDS_EDIT, source=source, screen=screen
    )
