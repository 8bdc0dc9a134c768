"""What can go wrong in a way the user can understand. Anything else is a bug and is logged with an id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KehuError(Exception):
    """Base of the errors whose text is meant for the user: what is wrong, and what to do next."""

    code = 1

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Refused(KehuError):
    """The viewer lacks the permission, or the row is outside the viewer's scope."""

    code = 3


class NotFound(KehuError):
    """No such row, or none that this viewer may know of."""

    code = 4


class Invalid(KehuError):
    """The values cannot be accepted; `fields` says which and why, in the user's language."""

    code = 5

    def __init__(self, message: str, fields: Mapping[str, str] | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.fields = dict(fields or {})


class Conflict(KehuError):
    """Somebody changed the same columns meanwhile; `rows` holds both sides for the user to choose."""

    code = 6

    def __init__(self, message: str, rows: list[dict[str, Any]] | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.rows = rows or []


class Unavailable(KehuError):
    """The database does not answer, or a statement took longer than its limit."""

    code = 7
