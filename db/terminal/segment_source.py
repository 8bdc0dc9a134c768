"""Which segment a command is about: a saved one, a ready-made one, or the rule in a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

from sqlalchemy import Connection

from db import rules, saved_segments
from db.cluster_values import SAVED
from db.errors import Invalid, NotFound
from db.permissions import Viewer
from db.terminal.command import number
from db.terminal.segments import rule_of
from db.words import _


@dataclass(frozen=True)
class Source:
    """Its code as the screens have it ("" for a file or for everyone), what it is called, and its rule as JSON."""

    code: str = ""
    name: str = ""
    rule: str = ""


def options(parser: ArgumentParser, *, file: bool = False, required: bool = False) -> None:
    """`--segment`, `--ready`, and with `file` `--rule`, one of which may be given."""
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--segment", metavar="ID", type=number, help=_("the number of a saved segment"))
    which.add_argument("--ready", metavar="CODE", help=_("the code of a ready-made one: segment list --ready --json"))
    if file:
        said = _("a file with a rule as JSON; - reads standard input")
        which.add_argument("--rule", metavar="FILE", help=said)


def read(conn: Connection, asking: Viewer, args: Namespace) -> Source:
    """What the options say. Raises NotFound, and Invalid for a rule that cannot be read."""
    if args.segment is not None:
        one = saved_segments.get(conn, viewer=asking, segment_id=args.segment)
        if one.problem:
            raise Invalid(one.problem)
        return Source(f"{SAVED}{one.id}", one.name, rules.written(one.rule))
    if args.ready is not None:
        found = saved_segments.ready().get(args.ready)
        if found is None:
            raise NotFound(_("There is no ready-made segment “{code}”.").format(code=args.ready))
        return Source(args.ready, found[0], rules.written(found[1]))
    file = getattr(args, "rule", None)
    return Source(rule=rule_of(file)) if file else Source()
