"""What the policies of kept rules ask, with the rights of the schema's owner; db/rights.py applies it."""

from __future__ import annotations

from collections.abc import Iterator

from db.rights_sql import definer


def asks_personal() -> Iterator[str]:
    """Whether a rule asks for a custom field that is personal, or is gone, so that nobody knows."""
    yield from definer(
        "asks_personal(of_rule jsonb) RETURNS boolean LANGUAGE sql STABLE",
        "SELECT EXISTS (SELECT FROM jsonb_path_query(of_rule, '$.**.field') AS k (v) WHERE starts_with(k.v #>> '{{}}', "
        "'custom.') AND NOT EXISTS (SELECT FROM custom_fields AS f WHERE NOT f.personal "
        "AND 'custom.' || f.key = k.v #>> '{{}}'))",
        "kehu_scoped, kehu_views, kehu_masked, kehu_author, kehu_admin",
    )
