"""What the held columns are filled from: all customers at once, and those that changed since.

PostgreSQL packs each column into bytes by itself: millions of rows come as some thousand values, and the process that
serves screens is not held up by each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from db import settings
from db.funnel import Step
from db.held_columns import CHOICES, KINDS, NEVER, PAIRS, Columns, Numbers, Pairs, pairs

WORK_MEMORY = "256MB"
PACKED = 20_000
"""Customers whose values come in one row."""

_PLAIN: Mapping[str, sql.SQL] = {
    "id": sql.SQL("c.id"),
    "owner_id": sql.SQL("c.owner_id"),
    "listed": sql.SQL("(c.archived_at IS NULL)::int"),
    "email": sql.SQL("(c.email <> '')::int"),
    "phone": sql.SQL("(c.phone <> '')::int"),
    "created_on": sql.SQL("(timezone(%(zone)s, c.created_at))::date - '1970-01-01'"),
    "orders": sql.SQL("coalesce(m.orders, 0)"),
    "own_orders": sql.SQL("coalesce(m.orders - m.other_currency_orders, 0)"),
    "cents": sql.SQL("(coalesce(m.revenue, 0) * 100)::bigint"),
    "first_order_on": sql.SQL("coalesce(m.first_order_on - '1970-01-01', %(never)s)"),
    "last_order_on": sql.SQL("coalesce(m.last_order_on - '1970-01-01', %(never)s)"),
    "usual_days": sql.SQL("coalesce(d.usual_days, 0)"),
}
_FROM = sql.SQL(
    "FROM customers AS c LEFT JOIN customer_metrics AS m ON m.customer_id = c.id "
    "LEFT JOIN order_days AS d ON d.customer_id = c.id"
)
# Key, customer and day of each kind of pairs, for all customers or for those of a condition. Steps as db/funnel.py.
_PAIRS: Mapping[str, sql.SQL] = {
    "ordered": sql.SQL(
        "SELECT 0 AS key, t.customer_id, d - '1970-01-01' AS day FROM order_days AS t "
        "CROSS JOIN unnest(t.days) AS d WHERE {of}"
    ),
    "category": sql.SQL(
        "SELECT w.key, t.customer_id, 0 AS day FROM customer_categories AS t CROSS JOIN unnest(t.categories) AS called "
        "JOIN unnest(%(categories)s::text[]) WITH ORDINALITY AS w (called, key) USING (called) WHERE {of}"
    ),
    "product": sql.SQL(
        "SELECT t.product_id AS key, t.customer_id, o.placed_on - '1970-01-01' AS day FROM order_items AS t "
        "JOIN orders AS o ON o.customer_id = t.customer_id AND o.id = t.order_id WHERE {of}"
    ),
    "received": sql.SQL(
        "SELECT t.campaign_id AS key, t.customer_id, t.received_on - '1970-01-01' AS day "
        "FROM campaign_members AS t WHERE {of}"
    ),
    "redeemed": sql.SQL(
        "SELECT t.campaign_id AS key, t.customer_id, coalesce(t.first_redeemed_on - '1970-01-01', %(never)s) AS day "
        "FROM campaign_members AS t WHERE t.redemptions > 0 AND {of}"
    ),
    "step": sql.SQL(
        "SELECT t.campaign_id * {steps} + taken.step AS key, t.customer_id, 0 AS day FROM campaign_results AS t "
        "CROSS JOIN LATERAL (VALUES (0, true), (1, t.orders > 0), (2, t.promoted_orders > 0), "
        "(3, t.promoted_orders > 0 AND t.redemptions > 0)) AS taken (step, reached) WHERE taken.reached AND {of}"
    ),
}
_ALL, _ASKED = sql.SQL("true"), sql.SQL("t.customer_id = ANY(%(ids)s)")


def load(conn: Connection) -> Columns:
    """All customers, in the snapshot of this connection, which must be the worker's."""
    conn.exec_driver_sql(sql.SQL("SET LOCAL work_mem = {}").format(sql.Literal(WORK_MEMORY)).as_string())
    words = {name: ["", *_words(conn, name)] for name in CHOICES}
    values = _all_values(conn, words)
    order = np.argsort(values["id"], kind="stable")
    values = {name: held[order] for name, held in values.items()}
    categories = list(conn.exec_driver_sql(_CATEGORIES).scalars())
    held = {name: _all_pairs(conn, name, values["id"], categories) for name in PAIRS}
    return Columns(values, words, held, categories, _products(conn))


def put(conn: Connection, columns: Columns, ids: Sequence[int]) -> None:
    """Bring these customers up to date, in the snapshot of this connection."""
    given = _given(conn) | {"ids": list(ids)}
    for name in conn.exec_driver_sql(_CATEGORIES_OF, given).scalars():
        columns.category(name)
    given["categories"] = sorted(columns.categories, key=columns.categories.__getitem__)
    rows = conn.exec_driver_sql(_SOME, given).all()
    values = {name: [row[i] for row in rows] for i, name in enumerate(KINDS)}
    new = {}
    for name in PAIRS:
        own = conn.exec_driver_sql(_pairs_of(name, _ASKED).as_string(), given).all()
        found: Numbers = np.asarray([tuple(row) for row in own], dtype=np.int64).reshape(-1, 3)
        key = found[:, 0] - 1 if name == "category" else found[:, 0]
        new[name] = {"key": key, "id": found[:, 1], "day": found[:, 2]}
    columns.put(np.asarray(ids, np.int64), values, new)


def _given(conn: Connection) -> dict[str, Any]:
    return {"zone": settings.get(conn).time_zone, "never": NEVER}


def _words(conn: Connection, name: str) -> list[str]:
    query = sql.SQL("SELECT DISTINCT {} FROM customers").format(sql.Identifier(name)).as_string()
    return sorted(word for word in conn.exec_driver_sql(query).scalars() if word)


_CATEGORIES = "SELECT DISTINCT unnest(categories) FROM customer_categories ORDER BY 1"
_CATEGORIES_OF = "SELECT DISTINCT unnest(categories) FROM customer_categories WHERE customer_id = ANY(%(ids)s)"
_SOME = (
    sql.SQL("SELECT {} {} WHERE c.id = ANY(%(ids)s)")
    .format(
        sql.SQL(", ").join(_PLAIN[name] if name in _PLAIN else sql.Identifier("c", name) for name in KINDS),
        _FROM,
    )
    .as_string()
)


def _all_values(conn: Connection, words: Mapping[str, Sequence[str]]) -> dict[str, Numbers]:
    """Each column as an array, rows in no order but the same in all of them."""
    packing = [sql.SQL("string_agg(int8send(({})::bigint), '')").format(value) for value in _PLAIN.values()]
    coding = [
        sql.SQL("string_agg(int4send({}.code::integer - 1), '')").format(sql.Identifier(f"of {name}"))
        for name in CHOICES
    ]
    joining = [
        sql.SQL("JOIN unnest({known}::text[]) WITH ORDINALITY AS {of} (word, code) ON {of}.word = c.{name}").format(
            known=sql.Placeholder(name), of=sql.Identifier(f"of {name}"), name=sql.Identifier(name)
        )
        for name in CHOICES
    ]
    query = sql.SQL("SELECT {} {} {} GROUP BY c.id / {}").format(
        sql.SQL(", ").join([*packing, *coding]), _FROM, sql.SQL(" ").join(joining), sql.Literal(PACKED)
    )
    names = [*_PLAIN, *CHOICES]
    parts: dict[str, list[Numbers]] = {name: [] for name in names}
    given = _given(conn) | {name: list(known) for name, known in words.items()}
    for row in _streamed(conn, query, given):
        for name, packed in zip(names, row, strict=True):
            kind = ">i8" if name in _PLAIN else ">i4"
            parts[name].append(np.frombuffer(packed, kind).astype(KINDS[name]))
    return {name: np.concatenate(found or [np.empty(0, KINDS[name])]) for name, found in parts.items()}


def _all_pairs(conn: Connection, name: str, ids: Numbers, categories: Sequence[str]) -> Pairs:
    # Of a key that most customers have, a day at a time: a value has an end at a gigabyte.
    query = sql.SQL(
        "SELECT key, string_agg(int8send(customer_id), ''), string_agg(int4send(day), '') FROM ({}) AS p GROUP BY {}"
    ).format(_pairs_of(name, _ALL), sql.SQL("key, day") if name == "ordered" else sql.SQL("key"))
    found: dict[int, list[tuple[Numbers, Numbers]]] = {}
    for key, customers, days in _streamed(conn, query, _given(conn) | {"categories": list(categories)}):
        rows = np.searchsorted(ids, np.frombuffer(customers, ">i8")).astype(np.int32)
        found.setdefault(key - 1 if name == "category" else key, []).append(
            (rows, np.frombuffer(days, ">i4").astype(np.int32))
        )
    joined = ((key, [np.concatenate(each) for each in zip(*parts, strict=True)]) for key, parts in found.items())
    return pairs([(key, rows, days) for key, (rows, days) in joined])


def _pairs_of(name: str, of: sql.SQL) -> sql.Composed:
    return _PAIRS[name].format(of=of, steps=sql.Literal(len(Step)))


def _streamed(conn: Connection, query: sql.Composed, given: Mapping[str, Any]) -> Iterable[Any]:
    """Rows one after the other, values as they are sent: together they may be larger than the columns."""
    cursor = conn.connection.cursor("held", scrollable=False, withhold=False)
    return _closing(cursor, query, given)


def _closing(cursor: Any, query: sql.Composed, given: Mapping[str, Any]) -> Iterator[Any]:
    with cursor:
        cursor.itersize = 50
        cursor.execute(query, given, binary=True)
        yield from cursor


def _products(conn: Connection) -> dict[str, tuple[int, ...]]:
    """Category → its products."""
    rows = conn.exec_driver_sql("SELECT category, array_agg(id) FROM products GROUP BY category").all()
    return {category: tuple(ids) for category, ids in rows}
