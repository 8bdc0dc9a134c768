"""What the statements of rights are written with: quoted names, the settings of a session, functions for some roles."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

MY_OWNERS = sql.SQL("string_to_array(nullif(current_setting('kehu.owner_ids', true), ''), ',')::bigint[]")
ME = sql.SQL("nullif(current_setting('kehu.user_id', true), '')::bigint")


def do(template: str, **parts: sql.Composable | str) -> str:
    """A statement with its names quoted."""
    named = {k: v if isinstance(v, sql.Composable) else sql.Identifier(v) for k, v in parts.items()}
    return sql.SQL(template).format(**named).as_string()


def definer(head: str, body: str, roles: str, *, path: str = "public", **parts: sql.Composable | str) -> Iterator[str]:
    """A function with the rights of the schema's owner, for these roles alone. `head` ends with what it returns."""
    yield do(
        "CREATE OR REPLACE FUNCTION public." + head + " SECURITY DEFINER SET search_path = {path}, pg_temp "
        "AS $f$ " + body + " $f$",
        path=path,
        **parts,
    )
    arguments = head[head.index("(") + 1 : head.index(")")]
    types = ", ".join(argument.split(" ", 1)[1] for argument in arguments.split(", ") if argument)
    signature = do("public." + head[: head.index("(")] + "({types})", types=sql.SQL(types), **parts)
    yield f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC"
    yield f"GRANT EXECUTE ON FUNCTION {signature} TO {roles}"
