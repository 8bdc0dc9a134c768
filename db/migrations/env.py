"""Alembic's entry: the caller's connection and transaction, nothing of its own."""

from __future__ import annotations

from alembic import context

from db.schema import metadata


def include(obj: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Leave partitions and the job library's schema alone when a revision is generated."""
    return not (kind == "table" and reflected and compare_to is None)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_object=include,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
