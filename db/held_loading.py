"""What the held columns are filled from: all customers at once, and those that changed since.

PostgreSQL packs each column into bytes by itself: millions of rows come as some thousand values, and the process that
serves screens is not held up by each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import product
from typing import Any

import numpy as np
from psycopg import sql
from sqlalchemy import Connection

from db import held_own, settings
from db.arrays import Numbers
from db.fields import CONTACTS, NOTE
from db.funnel import Step
from db.held_columns import CHOICES, KINDS, NAMED, PAIRS, Columns
from db.held_own import Values
from db.held_pairs import NEVER, Pairs, pairs
from db.schema_around import CHANNELS, CONSENT_STATES

WORK_MEMORY = "256MB"
TOGETHER = 1_000
"""Values of a custom field that come in one row."""
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
        "JOIN unnest(%(category)s::text[]) WITH ORDINALITY AS w (called, key) USING (called) WHERE {of}"
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
    "held_out": sql.SQL(
        "SELECT t.campaign_id AS key, t.customer_id, t.held_on - '1970-01-01' AS day "
        "FROM campaign_held_out AS t WHERE {of}"
    ),
    "step": sql.SQL(
        "SELECT t.campaign_id * {steps} + taken.step AS key, t.customer_id, 0 AS day FROM campaign_results AS t "
        "CROSS JOIN LATERAL (VALUES (0, true), (1, t.orders > 0), (2, t.promoted_orders > 0), "
        "(3, t.promoted_orders > 0 AND t.redemptions > 0)) AS taken (step, reached) WHERE taken.reached AND {of}"
    ),
    "tag": sql.SQL(
        "SELECT w.key, t.customer_id, 0 AS day FROM customer_tags AS t "
        "JOIN unnest(%(tag)s::text[]) WITH ORDINALITY AS w (called, key) ON w.called = t.tag_key WHERE {of}"
    ),
    "contact": sql.SQL(
        "SELECT array_position(%(contacts)s::text[], t.kind) AS key, t.customer_id, "
        "t.happened_on - '1970-01-01' AS day FROM interactions AS t WHERE {of} "
        "UNION ALL SELECT array_position(%(contacts)s::text[], %(note)s), t.customer_id, "
        "(timezone(%(zone)s, t.created_at))::date - '1970-01-01' FROM notes AS t WHERE {of}"
    ),
    "task": sql.SQL(
        "SELECT 0 AS key, t.customer_id, coalesce(t.due_on - '1970-01-01', %(never)s) AS day "
        "FROM tasks AS t WHERE t.done_at IS NULL AND {of}"
    ),
    # The newest of each channel, as db/consents.py has it.
    "consent": sql.SQL(
        "SELECT array_position(%(consents)s::text[], said.channel || ' ' || said.state) AS key, said.customer_id, "
        "0 AS day FROM (SELECT DISTINCT ON (t.customer_id, t.channel) t.* FROM consents AS t WHERE {of} "
        "ORDER BY t.customer_id, t.channel, t.happened_at DESC, t.id DESC) AS said"
    ),
}
CONTACT_KEYS = {kind: i for i, kind in enumerate(CONTACTS, 1)}
CONSENT_KEYS = {said: i for i, said in enumerate(product(CHANNELS, CONSENT_STATES), 1)}
# The names that there are, of all customers and of some.
_NAMES: Mapping[str, sql.SQL] = {
    "category": sql.SQL("SELECT DISTINCT unnest(categories) FROM customer_categories AS t WHERE {of} ORDER BY 1"),
    "tag": sql.SQL("SELECT DISTINCT tag_key FROM customer_tags AS t WHERE {of} ORDER BY 1"),
}
_ALL, _ASKED = sql.SQL("true"), sql.SQL("t.customer_id = ANY(%(ids)s)")


def load(conn: Connection) -> Columns:
    """All customers, in the snapshot of this connection, which must be the worker's."""
    conn.exec_driver_sql(sql.SQL("SET LOCAL work_mem = {}").format(sql.Literal(WORK_MEMORY)).as_string())
    words = {name: ["", *_words(conn, name)] for name in CHOICES}
    values = _all_values(conn, words)
    order = np.argsort(values["id"], kind="stable")
    values = {name: held[order] for name, held in values.items()}
    named = {kind: list(conn.exec_driver_sql(_names_of(kind, _ALL)).scalars()) for kind in NAMED}
    asked = _given(conn) | named
    held = {name: _all_pairs(conn, name, values["id"], asked) for part in PAIRS.values() for name in part}
    columns = Columns(values, words, held, named, _products(conn), ends(conn))
    _put_own(conn, columns, _ALL, {})
    return columns


def put(conn: Connection, columns: Columns, part: str, ids: Sequence[int]) -> None:
    """Bring this part of these customers up to date, in the snapshot of this connection."""
    given = _given(conn) | {"ids": list(ids)}
    values = None
    if not part:
        rows = conn.exec_driver_sql(_SOME, given).all()
        values = {name: [row[i] for row in rows] for i, name in enumerate(KINDS)}
    new = {}
    for name in PAIRS[part]:
        if name in NAMED:
            for called in conn.exec_driver_sql(_names_of(name, _ASKED), given).scalars():
                columns.number(name, called)
            given[name] = list(columns.named[name])  # in the order of their numbers
        own = conn.exec_driver_sql(_pairs_of(name, _ASKED).as_string(), given).all()
        found: Numbers = np.asarray([tuple(row) for row in own], dtype=np.int64).reshape(-1, 3)
        new[name] = {"key": _numbered(name, found[:, 0]), "id": found[:, 1], "day": found[:, 2]}
    columns.put(np.asarray(ids, np.int64), values, new)
    if part == "own":
        columns.clear_own(np.asarray(ids, np.int64))
        _put_own(conn, columns, _ASKED, given)


def lower(conn: Connection, words: Iterable[str]) -> dict[str, str]:
    """Words in the small letters of the server."""
    query = "SELECT word, lower(word) FROM unnest(%(words)s::text[]) AS word"
    return {word: lowered for word, lowered in conn.exec_driver_sql(query, {"words": list(words)})}


def _put_own(conn: Connection, columns: Columns, of: sql.SQL, given: Mapping[str, Any]) -> None:
    """Each value of a custom field once, with all who have it, some hundred values at a time."""
    limits = {"most_words": held_own.MOST_WORDS, "most_characters": held_own.MOST_CHARACTERS, "together": TOGETHER}
    for column in conn.exec_driver_sql(_OWN_IN_USE).scalars():
        query = _OWN.format(column=sql.Identifier(column), of=of)
        with _streamed(conn, query, {**given, **limits}) as rows:
            for key, words, lowered, listed, counts, ids in rows:
                values = None
                if words is not None:
                    numbers = (np.frombuffer(packed, ">i8").astype(np.int64) for packed in (counts, ids))
                    values = Values(words, lowered, listed, *numbers)
                columns.put_own(column, key, values)


# Where there is no field yet, all customers need not be looked through.
_OWN_IN_USE = "SELECT DISTINCT CASE WHEN personal THEN 'custom_personal' ELSE 'custom' END FROM custom_fields"
# What is no object was written past the forms, and holds nothing.
_OWN = sql.SQL(
    "WITH each AS MATERIALIZED (SELECT v.key, v.value #>> '{{}}' AS word, jsonb_typeof(v.value) = 'array' AS listed, "
    "count(*) AS n, string_agg(int8send(t.customer_id), '') AS ids "
    "FROM (SELECT id AS customer_id, {column} AS held FROM customers WHERE {column} <> '{{}}') AS t "
    "CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(t.held) = 'object' THEN t.held ELSE '{{}}' END) AS v "
    "WHERE v.value <> 'null' AND {of} GROUP BY 1, 2, 3), "
    "many AS (SELECT key FROM each GROUP BY key "
    "HAVING count(*) > %(most_words)s OR sum(length(word)) > %(most_characters)s) "
    "SELECT key, NULL::text[], NULL::text[], NULL::boolean[], NULL::bytea, NULL::bytea FROM many UNION ALL "
    "SELECT key, array_agg(word), array_agg(lower(word)), array_agg(listed), string_agg(int8send(n), ''), "
    "string_agg(ids, '') FROM (SELECT *, row_number() OVER (PARTITION BY key) / %(together)s AS piece FROM each "
    "WHERE key NOT IN (SELECT key FROM many)) AS p GROUP BY key, piece"
)


def _numbered(name: str, key: Any) -> Any:
    """PostgreSQL counts names from 1."""
    return key - 1 if name in NAMED else key


def _names_of(kind: str, of: sql.SQL) -> str:
    return _NAMES[kind].format(of=of).as_string()


def _given(conn: Connection) -> dict[str, Any]:
    said = [" ".join(said) for said in CONSENT_KEYS]
    contacts = {"contacts": list(CONTACT_KEYS), "note": NOTE, "consents": said}
    return {"zone": settings.get(conn).time_zone, "never": NEVER, **contacts}


def _words(conn: Connection, name: str) -> list[str]:
    query = sql.SQL("SELECT DISTINCT {} FROM customers").format(sql.Identifier(name)).as_string()
    return sorted(word for word in conn.exec_driver_sql(query).scalars() if word)


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
    with _streamed(conn, query, given) as rows:
        for row in rows:
            for name, packed in zip(names, row, strict=True):
                kind = ">i8" if name in _PLAIN else ">i4"
                parts[name].append(np.frombuffer(packed, kind).astype(KINDS[name]))
    return {name: np.concatenate(found or [np.empty(0, KINDS[name])]) for name, found in parts.items()}


def _all_pairs(conn: Connection, name: str, ids: Numbers, given: Mapping[str, Any]) -> Pairs:
    # In pieces of customers, in no order: sorted by key, millions of rows would be written to disk and read again.
    query = sql.SQL(
        "SELECT string_agg(int8send(key::bigint), ''), string_agg(int8send(customer_id), ''), "
        "string_agg(int4send(day), '') FROM ({}) AS p GROUP BY customer_id / {}"
    ).format(_pairs_of(name, _ALL), sql.Literal(PACKED))
    parts: list[tuple[Numbers, Numbers, Numbers]] = [(np.empty(0, np.int64), *(np.empty(0, np.int32),) * 2)]
    with _streamed(conn, query, given) as rows:
        for packed in rows:
            key, customer, day = (
                np.frombuffer(each, kind) for each, kind in zip(packed, (">i8", ">i8", ">i4"), strict=True)
            )
            row = np.searchsorted(ids, customer).astype(np.int32)
            parts.append((_numbered(name, key.astype(np.int64)), row, day.astype(np.int32)))
    keys, at, days = (np.concatenate(each) for each in zip(*parts, strict=True))
    return pairs(keys, at, days, len(ids))


def _pairs_of(name: str, of: sql.SQL) -> sql.Composed:
    return _PAIRS[name].format(of=of, steps=sql.Literal(len(Step)))


@contextmanager
def _streamed(conn: Connection, query: sql.Composed, given: Mapping[str, Any]) -> Iterator[Iterator[Any]]:
    """Rows one after the other, values as they are sent: together they may be larger than the columns.

    Not by a cursor of PostgreSQL, whose statements are never worked at by several processes. Whoever fails among them
    closes them: as long as they are open, psycopg holds the connection, and its transaction could not be ended.
    """
    cursor: Any = conn.connection.cursor()
    with cursor, closing(cursor.stream(query, given, binary=True)) as rows:
        yield rows


def ends(conn: Connection) -> dict[int, int]:
    """Campaign → its last day."""
    return {row.id: row.day for row in conn.exec_driver_sql("SELECT id, ends_on - '1970-01-01' AS day FROM campaigns")}


def _products(conn: Connection) -> dict[str, tuple[int, ...]]:
    """Category → its products."""
    rows = conn.exec_driver_sql("SELECT category, array_agg(id) FROM products GROUP BY category").all()
    return {category: tuple(ids) for category, ids in rows}
