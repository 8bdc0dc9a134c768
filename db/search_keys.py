"""The stored columns that searches look at, brought up to date when what they hold is made in another way."""

from __future__ import annotations

import json

from psycopg import sql
from sqlalchemy import Connection, select, tuple_

from db import customers, schema, written

VERSION = 3
"""Raised with every change of what `customers.keys` gives; stands in the database as a comment on the search text."""
WRITTEN_VERSION = 1
"""The same of what `written.keys` gives, for each of its tables."""
STEP = 5_000

_ALL_TEXTS = """
INSERT INTO public.customer_texts (customer_id, owner_id, listed, search_text)
SELECT id, owner_id, archived_at IS NULL, search_text FROM public.customers
"""
_WRONG_TEXTS = """
SELECT coalesce(c.id, t.customer_id) FROM public.customers AS c
FULL JOIN public.customer_texts AS t ON t.customer_id = c.id
WHERE coalesce(c.id, t.customer_id) %% %(one_in)s::bigint = %(turn)s::bigint
    AND (c.owner_id, c.archived_at IS NULL, c.search_text) IS DISTINCT FROM (t.owner_id, t.listed, t.search_text)
"""
_STANDING = """
SELECT col_description(attrelid, attnum) FROM pg_attribute
WHERE attrelid = %(of)s::regclass AND attname = 'search_text'
"""
# A plain query, for which PostgreSQL uses all processors. The pattern is for each word once.
_OTHER_WORDS = r"""
SELECT f.word AS new, s.word AS old
FROM (
    SELECT word FROM (
        SELECT DISTINCT word FROM public.customers AS c CROSS JOIN LATERAL string_to_table(c.search_text, ' ') AS word
        WHERE word >= 'a' AND word < '{' AND length(word) BETWEEN 4 AND 24
        OFFSET 0
    ) AS long
    WHERE word ~ '^[a-z]{4,24}$'
) AS f
FULL JOIN public.search_words AS s ON s.word = f.word
WHERE s.word IS NULL OR f.word IS NULL
"""
_LEARN = """
INSERT INTO public.search_words (word, variants)
SELECT word, public.word_variants(word) FROM unnest(%(words)s::text[]) AS word
ON CONFLICT DO NOTHING
"""
_FORGET = "DELETE FROM public.search_words WHERE word = ANY(%(words)s::text[])"
# A sample of 1,000 pages. Of a trigram with a Chinese character there is only a hash; one with a blank is no part.
_PARTS = """
INSERT INTO public.search_parts (part, customers)
SELECT part, count(*) FROM (
    SELECT search_text FROM public.customer_texts TABLESAMPLE SYSTEM (
        least(100, 100 * 1000.0 * current_setting('block_size')::integer
            / greatest(pg_relation_size('public.customer_texts'), 1))
    ) REPEATABLE (1)
) AS s CROSS JOIN LATERAL unnest(public.show_trgm(s.search_text)) AS part
WHERE part ~ '^[a-z0-9]{3}$'
GROUP BY part
ON CONFLICT DO NOTHING
"""


def bring_up(conn: Connection) -> int:
    """Make keys that are of an older version anew; gives the number of rows that changed.

    On the owner's connection, in steps of STEP rows. Derived columns have no history.
    """
    return _customers(conn) + sum(_written(conn, table) for table in written.OF)


def _customers(conn: Connection) -> int:
    mark = f"keys {VERSION}"
    if _standing(conn, "customers") == mark:
        return 0
    c, last, changed = schema.customers.c, 0, 0
    made = list(customers.keys({}))
    query = select(c.id, c.name, c.company, c.email, c.phone, *(c[k] for k in made)).order_by(c.id).limit(STEP)
    while rows := conn.execute(query.where(c.id > last)).mappings().all():
        last = rows[-1]["id"]
        new = [{"id": row["id"], **customers.keys(dict(row))} for row in rows]
        differing = [one for one, row in zip(new, rows, strict=True) if any(one[k] != row[k] for k in made)]
        if differing:
            conn.exec_driver_sql(_update("customers", made), {"rows": json.dumps(differing)})
            changed += len(differing)
    rebuild_texts(conn)
    conn.exec_driver_sql("DELETE FROM public.search_words")  # what is left of a word may be told otherwise, too
    rebuild_words(conn)
    count_parts(conn)
    _mark(conn, "customers", mark)
    return changed


def _written(conn: Connection, table: str) -> int:
    mark = f"keys {WRITTEN_VERSION}"
    if _standing(conn, table) == mark:
        return 0
    t, made = schema.metadata.tables[table], written.keys(table)
    key, changed = tuple_(t.c.customer_id, t.c.id), 0
    query = select(t.c.customer_id, t.c.id, t.c.search_text, *(t.c[name] for name in written.OF[table]))
    after = query.order_by(t.c.customer_id, t.c.id).limit(STEP)
    rows = conn.execute(after).mappings().all()
    while rows:
        new = [{"id": row["id"], **made(dict(row))} for row in rows]
        differing = [one for one, row in zip(new, rows, strict=True) if one["search_text"] != row["search_text"]]
        if differing:
            conn.exec_driver_sql(_update(table, ["search_text"]), {"rows": json.dumps(differing)})
            changed += len(differing)
        rows = conn.execute(after.where(key > (rows[-1]["customer_id"], rows[-1]["id"]))).mappings().all()
    _mark(conn, table, mark)
    return changed


def _standing(conn: Connection, table: str) -> str | None:
    mark: str | None = conn.exec_driver_sql(_STANDING, {"of": f"public.{table}"}).scalar()
    return mark


def _mark(conn: Connection, table: str, mark: str) -> None:
    marking = sql.SQL("COMMENT ON COLUMN public.{}.search_text IS {}").format(sql.Identifier(table), sql.Literal(mark))
    conn.exec_driver_sql(marking.as_string())


def _update(table: str, columns: list[str]) -> str:
    statement = sql.SQL(
        "UPDATE public.{table} AS c SET {assigned} FROM jsonb_to_recordset(%(rows)s::jsonb) AS p(id bigint, {typed}) "
        "WHERE c.id = p.id"
    )
    assigned = (sql.SQL("{} = p.{}").format(sql.Identifier(c), sql.Identifier(c)) for c in columns)
    typed = (sql.SQL("{} text").format(sql.Identifier(c)) for c in columns)
    return statement.format(
        table=sql.Identifier(table), assigned=sql.SQL(", ").join(assigned), typed=sql.SQL(", ").join(typed)
    ).as_string()


def copy_texts(conn: Connection) -> None:
    """Fill what searches look into, as long as it is empty."""
    conn.exec_driver_sql(_ALL_TEXTS)


def rebuild_texts(conn: Connection) -> None:
    """Bring what searches look into up to date for all customers; what stands right is left alone."""
    conn.exec_driver_sql("SELECT public.keep_texts(%(ids)s::bigint[])", {"ids": wrong_texts(conn)})


def wrong_texts(conn: Connection, *, one_in: int = 1, turn: int = 0) -> list[int]:
    """Customers whose copy of the search text, of the owner or of being listed is not what the customer says."""
    return list(conn.exec_driver_sql(_WRONG_TEXTS, {"one_in": one_in, "turn": turn}).scalars())


def rebuild_words(conn: Connection) -> None:
    """Make the words that searches forgive a slip in those of all customers: ones that nobody has any more go."""
    rows = conn.exec_driver_sql(_OTHER_WORDS).all()
    conn.exec_driver_sql(_FORGET, {"words": [row.old for row in rows if row.old is not None]})
    conn.exec_driver_sql(_LEARN, {"words": [row.new for row in rows if row.new is not None]})


def count_parts(conn: Connection) -> None:
    """Count anew how frequent each part of a word is, in a sample of customers: searches look up the rare ones.

    An older count makes them slower, never wrong.
    """
    conn.exec_driver_sql("DELETE FROM public.search_parts")
    conn.exec_driver_sql(_PARTS)
