"""The stored columns that searches look at, brought up to date when what they hold is made in another way."""

from __future__ import annotations

import json

from psycopg import sql
from sqlalchemy import Connection, select

from db import customers, schema

VERSION = 3
"""Raised with every change of what `customers.keys` gives; stands in the database as a comment on the search text."""
STEP = 5_000

_STANDING = """
SELECT col_description('public.customers'::regclass, attnum) FROM pg_attribute
WHERE attrelid = 'public.customers'::regclass AND attname = 'search_text'
"""
_ALL_WORDS = """
INSERT INTO public.search_words (word, variants)
SELECT w.word, public.word_variants(w.word)
FROM (
    SELECT DISTINCT word FROM public.customers AS c CROSS JOIN LATERAL string_to_table(c.search_text, ' ') AS word
    WHERE word ~ '^[a-z]{4,24}$'
) AS w
"""


def bring_up(conn: Connection) -> int:
    """Make the keys of every customer anew if they are of an older version; gives the number of those that changed.

    On the owner's connection, in steps of STEP customers. Derived columns have no history.
    """
    mark = f"keys {VERSION}"
    if conn.exec_driver_sql(_STANDING).scalar() == mark:
        return 0
    c, last, changed = schema.customers.c, 0, 0
    made = list(customers.keys({}))
    query = select(c.id, c.name, c.company, c.email, c.phone, *(c[k] for k in made)).order_by(c.id).limit(STEP)
    while rows := conn.execute(query.where(c.id > last)).mappings().all():
        last = rows[-1]["id"]
        new = [{"id": row["id"], **customers.keys(dict(row))} for row in rows]
        differing = [one for one, row in zip(new, rows, strict=True) if any(one[k] != row[k] for k in made)]
        if differing:
            conn.exec_driver_sql(_update(made), {"rows": json.dumps(differing)})
            changed += len(differing)
    rebuild_words(conn)
    marking = sql.SQL("COMMENT ON COLUMN public.customers.search_text IS {}").format(sql.Literal(mark))
    conn.exec_driver_sql(marking.as_string())
    return changed


def _update(columns: list[str]) -> str:
    statement = sql.SQL(
        "UPDATE public.customers AS c SET {assigned} FROM jsonb_to_recordset(%(rows)s::jsonb) AS p(id bigint, {typed}) "
        "WHERE c.id = p.id"
    )
    assigned = (sql.SQL("{} = p.{}").format(sql.Identifier(c), sql.Identifier(c)) for c in columns)
    typed = (sql.SQL("{} text").format(sql.Identifier(c)) for c in columns)
    return statement.format(assigned=sql.SQL(", ").join(assigned), typed=sql.SQL(", ").join(typed)).as_string()


def rebuild_words(conn: Connection) -> None:
    """Make the words that searches forgive a slip in anew, from all customers: those that nobody has any more go."""
    conn.exec_driver_sql("DELETE FROM public.search_words")
    conn.exec_driver_sql(_ALL_WORDS)
