"""The one door for writes of recorded rows: change set, before and after images, version, touched customers.

Every function works in the caller's transaction, under the caller's role. `start` opens a change set; `insert`,
`update` and `delete` are set-based, one round for each group of equal columns. Columns `version` and `updated_at` are
kept here and are in no image of an update. Taking back is in db/undo.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Connection, Date, DateTime, Table
from sqlalchemy import insert as sa_insert
from sqlalchemy.dialects import postgresql

from db import clock, moved, schema
from db.connection import bump
from db.errors import NotFound
from db.permissions import Permission, Viewer
from db.words import _

Row = Mapping[str, Any]

LARGEST_ID = 2**63 - 1
"""Numbers beyond it, from an address for instance, name no row; PostgreSQL would call them an error."""

KEPT = ("version", "updated_at")
"""Columns that this module alone sets."""

# A hand-over, a move to another region or into the archive changes what the roll-ups say of the customer.
ROLLED = {"archived_at", "owner_id", "region"}

SEARCHED = ("search_text", "owner_id", "archived_at")
"""Columns of customers that the table which searches look into has too."""

_DIALECT = postgresql.dialect()


def start(
    conn: Connection,
    *,
    actor: Viewer,
    command: str,
    permission: Permission,
    source: str,
    screen: str = "",
    reason: str = "",
    undoes_id: int | None = None,
    batch_id: int | None = None,
) -> int:
    """Open a change set after checking the permission; gives its id. Raises Refused."""
    actor.require(permission)
    set_id = next_ids(conn, schema.change_sets, 1)[0]
    conn.execute(
        sa_insert(schema.change_sets).values(
            id=set_id,
            actor_id=actor.user_id,
            made_at=clock.now(),
            command=command,
            permission=permission.value,
            source=source,
            screen=screen,
            reason=reason,
            undoes_id=undoes_id,
            batch_id=batch_id,
        )
    )
    return set_id


def insert(conn: Connection, set_id: int, table: str, rows: Sequence[Row]) -> list[int]:
    """Insert rows (dicts of columns, `id` optional) and record their keys; gives the ids in the rows' order."""
    t = recorded(table)
    given = [dict(row) for row in rows]
    missing = [row for row in given if row.get("id") is None]
    for row, new_id in zip(missing, next_ids(conn, t, len(missing)), strict=True):
        row["id"] = new_id
    now = clock.now()
    for row in given:
        row.setdefault("version", 1)
        row.setdefault("created_at", now)
        row["updated_at"] = now
    for columns, group in _by_columns(given):
        _run(
            conn,
            "INSERT INTO {table} ({columns}) SELECT {from_patch} FROM {patch}",
            table=sql.Identifier(t.name),
            columns=_listed(columns),
            from_patch=_listed(columns, "p"),
            patch=_recordset(t, columns),
            rows=group,
        )
        # Its own statement: the history's rights look at the customer, which must stand there by then.
        _run(
            conn,
            "INSERT INTO changes (change_set_id, table_name, customer_id, row_id, action, before, after, "
            "before_personal, after_personal) SELECT %(set_id)s, %(table_name)s, {customer_id}, p.id, 'insert', "
            "'{{}}', '{{}}', '{{}}', '{{}}' FROM {patch}",
            customer_id=_customer_of(t, "p"),
            patch=_recordset(t, keys(t)),
            rows=[{k: row[k] for k in keys(t)} for row in group],
            set_id=set_id,
            table_name=t.name,
        )
    _touch(conn, t, given)
    _review(conn, t, given)
    _keep_searched(conn, t, given, SEARCHED)
    _tell(conn, t, given)
    bump(conn, schema.moved(t))
    return [int(row["id"]) for row in given]


def update(conn: Connection, set_id: int, table: str, patches: Sequence[Row]) -> int:
    """Apply patches: each holds the key (`id`, and `customer_id` where the table has one) and the columns to set.

    The before-images are read FOR UPDATE in the same statement: without the lock two editors record a false image.
    They pass through the write's RETURNING: a join with what was written is quadratic, since no plan knows its size.
    Rows that hold the values already are left alone. Gives the number of rows changed. Raises NotFound when a row is
    not there or not visible.
    """
    t = recorded(table)
    _possible(t, patches)
    total = 0
    for columns, group in _by_columns([dict(p) for p in patches]):
        changed = [c for c in columns if c not in keys(t)]
        if not changed:
            continue
        found, done = _run(
            conn,
            "WITH before AS (SELECT {t_keys}, {t_old}, {p_new} FROM {table} AS t JOIN {patch} ON {same_row} "
            "ORDER BY {t_keys} FOR UPDATE OF t), "
            "written AS (UPDATE {table} AS t SET {assigned}, version = t.version + 1, updated_at = %(now)s "
            "FROM before AS b WHERE {same_before} AND ({b_old}) IS DISTINCT FROM ({b_new}) "
            "RETURNING {b_keys}, {b_old}, {b_new}), "
            "images AS (SELECT {b_keys}, {images} FROM written AS b), "
            "history AS (INSERT INTO changes (change_set_id, table_name, customer_id, row_id, action, before, after, "
            "before_personal, after_personal) SELECT %(set_id)s, %(table_name)s, {customer_id}, b.id, 'update', "
            "{only_changed} FROM images AS b RETURNING 1) "
            "SELECT (SELECT count(*) FROM before), (SELECT count(*) FROM history)",
            table=sql.Identifier(t.name),
            patch=_recordset(t, columns),
            t_keys=_listed(keys(t), "t"),
            b_keys=_listed(keys(t), "b"),
            t_old=_listed(changed, "t"),
            p_new=_listed(changed, "p", as_prefix="new "),
            b_old=_listed(changed, "b"),
            b_new=_listed(["new " + c for c in changed], "b"),
            same_row=_same(t, "t", "p"),
            same_before=_same(t, "t", "b"),
            assigned=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(c), sql.Identifier("b", "new " + c)) for c in changed
            ),
            images=sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(_image(t, changed, personal=personal, prefix=prefix), sql.Identifier(name))
                for name, personal, prefix in _IMAGES
            ),
            # A row that is written differs: with one column there is nothing to tell apart.
            only_changed=sql.SQL(", ").join(
                sql.Identifier("b", image) if len(changed) == 1 else _only_changed(image, other)
                for image, other in _PAIRS
            ),
            customer_id=_customer_of(t, "b"),
            rows=group,
            set_id=set_id,
            table_name=t.name,
            now=clock.now(),
        )
        _all_found(t, found, len(group))
        total += done
        if t is schema.customers and ROLLED & set(changed):
            _touch(conn, t, group)
        else:
            _review(conn, t, group, customers=True)
        _keep_searched(conn, t, group, changed)
        _tell(conn, t, group, changed)
        bump(conn, schema.moved(t, changed))
    return total


def delete(conn: Connection, set_id: int, table: str, rows: Sequence[Row]) -> int:
    """Delete rows by key and record them whole; gives their number. Raises NotFound when one is not there."""
    t = recorded(table)
    wanted = [{k: row[k] for k in keys(t)} for row in rows]
    if not wanted:
        return 0
    _possible(t, wanted)
    columns = readable(t)
    found, done = _run(
        conn,
        "WITH before AS (SELECT {t_columns} FROM {table} AS t JOIN {patch} ON {same_row} "
        "ORDER BY {t_keys} FOR UPDATE OF t), "
        "written AS (DELETE FROM {table} AS t USING before AS b WHERE {same_before} RETURNING {b_columns}), "
        "history AS (INSERT INTO changes (change_set_id, table_name, customer_id, row_id, action, before, after, "
        "before_personal, after_personal) SELECT %(set_id)s, %(table_name)s, {customer_id}, b.id, 'delete', "
        "{image}, '{{}}', {personal}, '{{}}' FROM written AS b RETURNING 1) "
        "SELECT (SELECT count(*) FROM before), (SELECT count(*) FROM history)",
        table=sql.Identifier(t.name),
        patch=_recordset(t, keys(t)),
        t_columns=_listed(columns, "t"),
        b_columns=_listed(columns, "b"),
        t_keys=_listed(keys(t), "t"),
        same_row=_same(t, "t", "p"),
        same_before=_same(t, "t", "b"),
        image=_image(t, columns, personal=False),
        personal=_image(t, columns, personal=True),
        customer_id=_customer_of(t, "b"),
        rows=wanted,
        set_id=set_id,
        table_name=t.name,
    )
    _all_found(t, found, len(wanted))
    _touch(conn, t, wanted)
    _review(conn, t, wanted)
    _keep_searched(conn, t, wanted, SEARCHED)
    _tell(conn, t, wanted)
    bump(conn, schema.moved(t))
    return int(done)


# --- what undo shares ------------------------------------------------------------------------------------------------


def recorded(table: str) -> Table:
    """The table of this name; only recorded ones pass here."""
    return schema.RECORDED[table]


def keys(t: Table) -> list[str]:
    """The columns that name a row."""
    return ["customer_id", "id"] if "customer_id" in t.columns else ["id"]


def readable(t: Table) -> list[str]:
    """Columns that may stand in an image: sign-in secrets never do."""
    hidden = schema.USER_SIGN_IN_COLUMNS if t is schema.users else ()
    return [c.name for c in t.columns if c.name not in hidden]


def next_ids(conn: Connection, t: Table, n: int) -> list[int]:
    """n fresh ids of the table."""
    if n == 0:
        return []
    query = "SELECT nextval(%(sequence)s::regclass) FROM generate_series(1, %(n)s)"
    return list(conn.exec_driver_sql(query, {"sequence": f"public.{t.name}_id_seq", "n": n}).scalars())


def to_json(value: Any) -> Any:
    """A column's value as jsonb keeps it: exact for numeric and timestamps."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in history")


def from_json(t: Table, column: str, value: Any) -> Any:
    """A value of an image as the column holds it, so that it can be compared: instants are instants, not texts."""
    if isinstance(value, str) and isinstance(t.c[column].type, DateTime):
        return datetime.fromisoformat(value)
    if isinstance(value, str) and isinstance(t.c[column].type, Date):
        return date.fromisoformat(value)
    return value


def _touch(conn: Connection, t: Table, rows: Sequence[Row]) -> None:
    """Queue customers whose derived rows are out of date, and wake the worker, in this transaction."""
    if t is not schema.customers or not rows:
        return
    _run(
        conn,
        "INSERT INTO touched_customers (customer_id, touched_at) SELECT p.id, %(now)s FROM {patch}",
        patch=_recordset(t, keys(t)),
        rows=[{"id": row["id"]} for row in rows],
        now=clock.now(),
    )
    conn.exec_driver_sql("SELECT public.defer_refresh()")


def _review(conn: Connection, t: Table, rows: Sequence[Row], *, customers: bool = False) -> None:
    """Queue customers whom rules of segments may find otherwise now. Those that `_touch` queues come there by it."""
    if not rows or not (customers if t is schema.customers else "customer_id" in t.columns):
        return
    key = "id" if t is schema.customers else "customer_id"
    conn.exec_driver_sql(
        "INSERT INTO segment_touches (customer_id, touched_at) SELECT DISTINCT i, %(now)s::timestamptz "
        "FROM unnest(%(ids)s::bigint[]) AS i",
        {"ids": [row[key] for row in rows], "now": clock.now()},
    )
    conn.exec_driver_sql("SELECT public.defer_refresh()")


def _keep_searched(conn: Connection, t: Table, rows: Sequence[Row], changed: Sequence[str]) -> None:
    """Let searches find these customers by what they hold now, and know their words where a finger slips."""
    if t is not schema.customers or not rows:
        return
    given = {"ids": [row["id"] for row in rows]}
    if set(SEARCHED) & set(changed):
        conn.exec_driver_sql("SELECT public.keep_texts(%(ids)s::bigint[])", given)
    if "search_text" in changed:
        conn.exec_driver_sql("SELECT public.learn_words(%(ids)s::bigint[])", given)


def _tell(conn: Connection, t: Table, rows: Sequence[Row], changed: Iterable[str] | None = None) -> None:
    """Processes that hold customers in memory hear of it; `changed` are the columns, None where rows come or go."""
    owner = "id" if t is schema.customers else "customer_id"
    for part, seen in moved.SEEN.get(t.name, {}).items():
        if changed is None or seen & set(changed):
            moved.tell(conn, [row[owner] for row in rows], part)


def _possible(t: Table, rows: Sequence[Row]) -> None:
    """A key that no row can have is one that is not there; PostgreSQL would stop at its size."""
    _all_found(t, sum(all(abs(row[k]) <= LARGEST_ID for k in keys(t)) for row in rows), len(rows))


def _all_found(t: Table, found: int, wanted: int) -> None:
    if found != wanted:
        raise NotFound(
            _("{n} of {total} rows are not there or not yours. Nothing was saved; reload the page.").format(
                n=wanted - found, total=wanted
            ),
            table=t.name,
        )


def _by_columns(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row)), []).append(row)
    for columns, group in groups.items():
        yield list(columns), group


def _run(conn: Connection, template: LiteralString, *, rows: list[dict[str, Any]], **parts: Any) -> Any:
    """One statement: identifiers quoted by psycopg, values bound. Gives the first row, None without one."""
    pieces = {k: v for k, v in parts.items() if isinstance(v, sql.Composable)}
    values = {k: v for k, v in parts.items() if k not in pieces}
    statement = sql.SQL(template).format(**pieces).as_string()
    result = conn.exec_driver_sql(statement, {**values, "rows": json.dumps(rows, default=to_json)})
    return result.one() if result.returns_rows else None


def _recordset(t: Table, columns: Sequence[str]) -> sql.Composed:
    """The bound rows as a typed table `p`."""
    typed = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(t.c[c].type.compile(_DIALECT))) for c in columns
    )
    return sql.SQL("jsonb_to_recordset(%(rows)s::jsonb) AS p({})").format(typed)


def _listed(columns: Iterable[str], table: str | None = None, *, as_prefix: str = "") -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier(*_q(table, c)), sql.Identifier(as_prefix + c))
        if as_prefix
        else sql.Identifier(*_q(table, c))
        for c in columns
    )


def _q(table: str | None, column: str) -> tuple[str, ...]:
    return (table, column) if table else (column,)


def _same(t: Table, left: str, right: str) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, k), sql.Identifier(right, k)) for k in keys(t)
    )


def _customer_of(t: Table, alias: str) -> sql.Composable:
    """Whose history this row belongs to: NULL for rows that concern no customer."""
    if t is schema.customers:
        return sql.Identifier(alias, "id")
    return sql.Identifier(alias, "customer_id") if "customer_id" in t.columns else sql.SQL("NULL::bigint")


_IMAGES = (
    ("before", False, ""),
    ("after", False, "new "),
    ("before_personal", True, ""),
    ("after_personal", True, "new "),
)
_PAIRS = (
    ("before", "after"),
    ("after", "before"),
    ("before_personal", "after_personal"),
    ("after_personal", "before_personal"),
)


def _image(t: Table, columns: Iterable[str], *, personal: bool, prefix: str = "") -> sql.Composed:
    """jsonb of the columns of `b`; the personal ones or the others."""
    parts: list[sql.Composable] = []
    for c in columns:
        if bool(t.c[c].info.get("personal")) is personal and c not in keys(t):
            parts += [sql.Literal(c), sql.Identifier("b", prefix + c)]
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(parts))


def _only_changed(image: str, other: str) -> sql.Composed:
    """The keys of one image whose value differs in the other."""
    return sql.SQL(
        "(SELECT coalesce(jsonb_object_agg(e.key, e.value), '{{}}') FROM jsonb_each({a}) AS e "
        "WHERE e.value IS DISTINCT FROM {b} -> e.key)"
    ).format(a=sql.Identifier("b", image), b=sql.Identifier("b", other))
