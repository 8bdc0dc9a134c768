"""What a command of the terminal is, who it runs as, and the kinds of values that options take."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from db import schema, viewers
from db.connection import begin
from db.errors import KehuError, NotFound
from db.permissions import GATE, Permission, Role, Viewer
from db.terminal.output import Output
from db.words import _

SOURCE = "terminal"
MOST_ID_DIGITS = 18


class Usage(KehuError):
    """The command line cannot be understood."""

    code = 2


@dataclass(frozen=True)
class Command:
    """One command. `permissions` are those that it may need; the query functions behind it check them.

    Without any it runs as the owner of the schema.
    """

    name: str
    help: str
    permissions: tuple[Permission, ...]
    options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Output]


def asked(args: Namespace) -> str:
    """The user name that `--as` or KEHU_USER gives, '' without one."""
    return str(getattr(args, "viewer", None) or os.environ.get("KEHU_USER", ""))


def viewer_of(args: Namespace) -> Viewer:
    """Who asks: `--as`, KEHU_USER, or the first administrator, since whoever has the shell has the data."""
    name = asked(args)
    with begin(GATE) as conn:
        viewer = viewers.viewer_of(conn, username=name) if name else viewers.first_admin(conn)
    if viewer is None:
        raise NotFound(_("There is no active administrator yet. Add one: python -m db users add NAME --role admin"))
    return viewer


# --- options ---------------------------------------------------------------------------------------------------------


def no_options(parser: ArgumentParser) -> None:
    """For commands that take none."""


def up_to(most: int) -> Callable[[str], int]:
    """The kind of whole numbers from 1 to `most`."""

    def parsed(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > MOST_ID_DIGITS or not 1 <= int(text) <= most:
            raise ArgumentTypeError(_("“{text}” is not a number from 1 to {most}").format(text=text, most=most))
        return int(text)

    return parsed


number = up_to(10**MOST_ID_DIGITS - 1)
"""The kind of row numbers."""


def day(text: str) -> date:
    """The kind of days, in the form of ISO 8601."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(_("“{text}” is not a day; 2026-11-20 is one").format(text=text)) from error


def role(text: str) -> Role:
    """The kind of roles that a person can have."""
    if text not in schema.ROLES:
        raise ArgumentTypeError(_("a role is one of {roles}").format(roles=roles()))
    return Role(text)


def roles() -> str:
    """The roles, for a sentence."""
    return ", ".join(schema.ROLES)
