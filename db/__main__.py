"""`python -m db`: Kehu in the terminal. Parses the command line, runs one command, says how it ended.

Exit codes: 0 done, 1 a bug, 2 usage, 3 refused, 4 not found, 5 invalid, 6 conflict, 7 unavailable; 130 interrupted,
141 when the output cannot be written. docs/cli.md describes every command.
"""

from __future__ import annotations

import argparse
import io
import os
import secrets
import sys
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from db import connection, words
from db.embedded import EmbeddedError
from db.errors import KehuError, Unavailable
from db.terminal import (
    admin,
    affinity,
    boards,
    bulk,
    campaign_start,
    campaigns,
    care,
    clusters,
    customers,
    explorer,
    flows,
    history,
    lifecycle,
    segment_sets,
    segment_why,
    segments,
    tasks,
)
from db.terminal.command import Usage
from db.terminal.output import conflict, encoded
from db.words import _

COMMANDS = (
    *admin.COMMANDS,
    *customers.COMMANDS,
    *tasks.COMMANDS,
    *bulk.COMMANDS,
    *care.COMMANDS,
    *segments.COMMANDS,
    *segment_why.COMMANDS,
    *segment_sets.COMMANDS,
    *clusters.COMMANDS,
    *explorer.COMMANDS,
    *affinity.COMMANDS,
    *flows.COMMANDS,
    *lifecycle.COMMANDS,
    *boards.COMMANDS,
    *campaigns.COMMANDS,
    *campaign_start.COMMANDS,
    *history.COMMANDS,
)
LANGUAGES = {"en": "en", "zh": "zh_CN"}
INTERRUPTED, NOT_WRITTEN = 130, 141


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are sentences like all others; options are never abbreviated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise Usage(_("{problem}. See {command} --help.").format(problem=message, command=self.prog))


def parser() -> Parser:
    """The parser of all commands, in the language in use."""
    top = Parser(prog="python -m db", description=_("Kehu in the terminal. docs/cli.md describes every command."))
    _everywhere(top)
    kwargs: dict[str, Any] = {"metavar": "COMMAND", "required": True}
    groups = {"": top.add_subparsers(**kwargs)}
    about = {
        "users": _("the people who use Kehu"),
        "segment": _("customers who fit a rule"),
        "board": _("charts that people keep side by side"),
        "campaign": _("campaigns that are started from a list"),
        "cluster": _("customers who buy alike"),
        "lifecycle": _("the rules by which customers are in a stage and have scores"),
        "tasks": _("what is to be done with customers"),
        "customers": _("what happens with customers"),
        "contacts": _("the people one talks to at a customer"),
        "addresses": _("where a customer is"),
        "consents": _("whether a customer may be called or written to"),
        "tags": _("the words that customers are found by"),
    }
    for command in COMMANDS:
        group, _blank, name = command.name.rpartition(" ")
        if group not in groups:
            groups[group] = groups[""].add_parser(group, help=about[group]).add_subparsers(**kwargs)
        summary = _(command.help)
        added = groups[group].add_parser(name, help=summary, description=summary[:1].upper() + summary[1:])
        _everywhere(added)
        command.options(added)
        added.set_defaults(run=command.run)
    return top


def _everywhere(place: Parser) -> None:
    """Options that may stand before or after the command."""
    place.add_argument(
        "--as",
        metavar="USERNAME",
        dest="viewer",
        default=argparse.SUPPRESS,
        help=_("with the rights of this user (KEHU_USER; by default the first administrator)"),
    )
    place.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help=_("print one JSON document, for programs")
    )
    place.add_argument(
        "--lang", choices=LANGUAGES, default=argparse.SUPPRESS, help=_("language (by default that of LANG)")
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command line; gives the exit code. Never raises."""
    given = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = _run(given)
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(_("The output could not be written: {reason}.").format(reason=error.strerror), file=sys.stderr)
        # What is still in the buffer goes nowhere, without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_WRITTEN
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(given: list[str]) -> int:
    options = given[: given.index("--")] if "--" in given else given
    as_json = "--json" in options
    words.use(_language(options))
    try:
        output = _command(given)
    except KehuError as error:
        return _say(error, as_json)
    except EmbeddedError as error:
        return _say(Unavailable(str(error)), as_json)
    except SystemExit as ended:  # after --help
        return int(ended.code or 0)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _report(error, as_json)
    if as_json:
        print(encoded(output.data))
    elif output.text:
        print(output.text)
    return 0


def _command(given: list[str]) -> Any:
    args = parser().parse_args(given)
    try:
        connection.engine()
    except (ArgumentError, ImportError) as error:
        # Without the address: it holds the password.
        raise Unavailable(
            _("DATABASE_URL is not the address of a PostgreSQL, as postgresql://user:password@host/kehu is.")
        ) from error
    try:
        return args.run(args)
    except SQLAlchemyError as error:
        if _outdated():
            raise Unavailable(
                _("The database has not the schema of this version of Kehu. Run: python -m db migrate")
            ) from error
        raise


def _outdated() -> bool:
    from db import migrate

    with connection.begin_owner() as conn:
        return migrate.current(conn) != migrate.head()


def _language(options: list[str]) -> str:
    before = Parser(add_help=False)
    before.add_argument("--lang", default=None)
    try:
        chosen = before.parse_known_args(options)[0].lang
    except Usage:
        chosen = None
    if chosen:
        return LANGUAGES.get(chosen, words.DEFAULT_LANGUAGE)
    named = next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return words.preferred(named)


def _say(error: KehuError, as_json: bool) -> int:
    """The sentence on standard error, then a line for each field or row that it is about."""
    details = {name: getattr(error, name) for name in ("fields", "rows") if getattr(error, name, None)}
    if as_json:
        _print_error({"code": error.code, "message": error.message, **details})
        return error.code
    print(error.message, file=sys.stderr)
    for name, problem in details.get("fields", {}).items():
        if problem != error.message:
            print(f"  {name}: {problem}", file=sys.stderr)
    for row in details.get("rows", []):
        print(f"  {conflict(row)}", file=sys.stderr)
    return error.code


def _report(error: Exception, as_json: bool) -> int:
    """A bug: its id and kind, and where it is only when asked, since messages may hold customers' values."""
    number = secrets.token_hex(4)
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    kind = " ".join(filter(None, (type(error).__name__, state)))
    message = _("Something went wrong on our side ({kind}, number {id}). KEHU_DEBUG=1 shows where.").format(
        kind=kind, id=number
    )
    if os.environ.get("KEHU_DEBUG") == "1":
        traceback.print_exception(error)
    if as_json:
        _print_error({"code": KehuError.code, "message": message, "id": number})
    else:
        print(message, file=sys.stderr)
    return KehuError.code


def _print_error(error: Mapping[str, Any]) -> None:
    print(encoded({"error": error}), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
