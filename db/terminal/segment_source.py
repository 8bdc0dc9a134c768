"""Which segment a command is about: a saved one, a ready-made one, or the rule in a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

from sqlalchemy import Connection

from db import rules, saved_segments, text
from db.board_charts import EVERYONE, number_of
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

    @property
    def called(self) -> str:
        """Its name, for people."""
        return self.name or (_("The rule in the file") if self.rule else _("Everyone"))


def options(parser: ArgumentParser, *, file: bool = False, required: bool = False) -> None:
    """`--segment`, `--ready`, and with `file` `--rule`, one of which may be given."""
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--segment", metavar="ID", type=number, help=_("the number of a saved segment"))
    which.add_argument("--ready", metavar="CODE", help=_("the code of a ready-made one: segment list --ready --json"))
    if file:
        said = _("a file with a rule as JSON; - reads standard input")
        which.add_argument("--rule", metavar="FILE", help=said)


def against_option(parser: ArgumentParser) -> None:
    """`--against`: a second group beside the one that `options` name."""
    said = _("and another group beside it: everyone, s12 for the saved segment 12, or the code of a ready-made one")
    parser.add_argument("--against", metavar="CODE", help=said)


def code(args: Namespace) -> str:
    """What the options say as one code, "" for nothing; whether there is such a segment is not asked."""
    return f"{SAVED}{args.segment}" if args.segment is not None else args.ready or ""


def groups(conn: Connection, asking: Viewer, args: Namespace) -> list[Source]:
    """The one that the options name, and the other one of `--against` if it is given. Raises NotFound and Invalid."""
    found = [read(conn, asking, args)]
    if args.against is not None:
        found.append(_of_code(conn, asking, args.against))
    return found


def _of_code(conn: Connection, asking: Viewer, code: str) -> Source:
    if code == EVERYONE:
        return Source()
    saved = number_of(code)
    return _ready(code) if saved is None else _saved(conn, asking, saved)


def read(conn: Connection, asking: Viewer, args: Namespace) -> Source:
    """What the options say. Raises NotFound, and Invalid for a rule that cannot be read."""
    if args.segment is not None:
        return _saved(conn, asking, args.segment)
    if args.ready is not None:
        return _ready(args.ready)
    file = getattr(args, "rule", None)
    return Source(rule=rule_of(file)) if file else Source()


def _saved(conn: Connection, asking: Viewer, segment_id: int) -> Source:
    one = saved_segments.get(conn, viewer=asking, segment_id=segment_id)
    if one.problem:
        raise Invalid(one.problem)
    return Source(f"{SAVED}{one.id}", one.name, rules.written(one.rule))


def _ready(code: str) -> Source:
    found = saved_segments.ready().get(code)
    if found is None:
        raise NotFound(_("There is no ready-made segment “{code}”.").format(code=text.clean(code)))
    return Source(code, found[0], rules.written(found[1]))
