"""Commands over segments: count, list, show, save."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from db import clock, custom_fields, rule_words, rules, saved_segments, segment_uses, segments, settings, text
from db.connection import begin
from db.errors import Invalid
from db.metrics import N_
from db.permissions import Permission, Viewer
from db.rules import Group
from db.saved_segments import MOST_SAVED
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, number, viewer_of
from db.terminal.output import Output
from db.words import _, ngettext


def rule_of(file: str) -> str:
    """The JSON in a file, or on standard input for "-", read no further than a rule may be long."""
    most = rules.MOST_CHARACTERS + 1
    try:
        # Standard input by its number: sys.stdin would decode it as the locale says.
        with open(0 if file == "-" else file, encoding="utf-8-sig", closefd=file != "-") as opened:
            return opened.read(most)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else _("it is not UTF-8 text")
        raise Invalid(_("{file} cannot be read: {reason}.").format(file=file, reason=reason)) from error


def _file_option(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=_("a file with the rule as JSON; - reads standard input"))


def _today(conn: Connection) -> date:
    return clock.today(settings.get(conn).time_zone)


def _count(args: Namespace) -> Output:
    rule = rule_of(args.file)
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        today = _today(conn)
        n = segments.count(conn, viewer=viewer, rule=rule, today=today)
        known = custom_fields.countable(conn, viewer=viewer, rules=(rule,))
        said = _sentence(conn, viewer, rules.parse_text(rule, known))
    return Output({"count": n, "sentence": said}, f"{out.number(n)}\n{said}")


def _sentence(conn: Connection, viewer: Viewer, rule: Group) -> str:
    known = segments.names(conn, viewer=viewer, rule=rules.written(rule))
    return rule_words.sentence(rule, segments.called(known))


def _list_options(parser: ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--ready", action="store_true", help=_("those that everybody has, each with its count"))
    which.add_argument("--archived", action="store_true", help=_("those that were taken off the list"))
    parser.add_argument("--search", metavar="WORDS", default="", help=_("whose name has these words, or their pinyin"))
    parser.add_argument("--folder", metavar="NAME", default="", help=_("in this folder"))
    parser.add_argument("--tag", metavar="TAG", default="", help=_("with this tag"))


def _list(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        if args.ready:
            return _listed_ready(conn, viewer, args.search)
        every = saved_segments.saved(conn, viewer=viewer, archived=args.archived, limit=MOST_SAVED + 1)
        found = saved_segments.narrowed(every[:MOST_SAVED], words=args.search, folder=args.folder, tag=args.tag)
        rows: list[dict[str, Any]] = [
            {
                "id": s.id,
                "name": s.name,
                "owner": s.owner,
                "shared": s.shared,
                "folder": s.folder,
                "tags": list(s.tags),
                "kind": s.kind,
                "rule": rules.data_of(s.rule),
                "sentence": _sentence(conn, viewer, s.rule),
            }
            for s in found
        ]
    data = {"rows": rows, "more": len(every) > MOST_SAVED}
    if every and not rows:
        return Output(data, _("No segment fits these words, this folder and this tag."))
    if not rows:
        saving = _("No segment yet. Save one: python -m db segment save NAME FILE")
        return Output(data, _("No segment was taken off the list.") if args.archived else saving)
    listed = out.table(
        {
            _("Number"): [str(row["id"]) for row in rows],
            _("Name"): [row["name"] for row in rows],
            _("Owner"): [row["owner"] for row in rows],
            _("Shared"): [_("yes") if row["shared"] else _("no") for row in rows],
            _("Folder"): [row["folder"] for row in rows],
            _("Rule"): [row["sentence"] for row in rows],
        },
        right=(_("Number"),),
    )
    cut = "\n\n" + _("The first {n} are shown.").format(n=out.number(MOST_SAVED)) if data["more"] else ""
    return Output(data, listed + cut)


def _listed_ready(conn: Connection, viewer: Viewer, words: str) -> Output:
    today = _today(conn)
    ready = {code: each for code, each in saved_segments.ready().items() if text.reads_as(each[0], words)}
    written = tuple(rules.written(rule) for _name, rule in ready.values())
    counted = segments.counts(conn, viewer=viewer, rules=written, today=today)
    rows: list[dict[str, Any]] = [
        {"code": code, "name": name, "rule": rules.data_of(rule), "count": n}
        for (code, (name, rule)), n in zip(ready.items(), counted, strict=True)
    ]
    listed = out.table(
        {
            _("Name"): [row["name"] for row in rows],
            _("Customers"): [out.number(row["count"]) for row in rows],
        },
        right=(_("Customers"),),
    )
    return Output({"rows": rows, "more": False}, listed)


def _show_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the segment's number"))


def _show(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        one = saved_segments.get(conn, viewer=viewer, segment_id=args.id)
        n = segments.count(conn, viewer=viewer, rule=rules.written(one.rule), today=_today(conn))
        said = _sentence(conn, viewer, one.rule)
        used = segment_uses.uses(conn, viewer=viewer, segment_id=one.id)
    data = {
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "owner": one.owner,
        "shared": one.shared,
        "archived_at": one.archived_at,
        "version": one.version,
        "kind": one.kind,
        "folder": one.folder,
        "tags": list(one.tags),
        "used_by": [{"kind": use.kind, "id": use.id, "name": use.name} for use in used.named],
        "used_unseen": used.hidden,
        "rule": rules.data_of(one.rule),
        "sentence": said,
        "count": n,
    }
    shown = out.fields(
        {
            _("Name"): one.name,
            _("Description"): one.description,
            _("Owner"): one.owner,
            _("Shared"): _("yes") if one.shared else _("no"),
            _("Folder"): one.folder,
            _("Tags"): _(", ").join(one.tags),
            _("Used by"): _used(used),
            _("Rule"): said,
            _("Customers"): out.number(n),
        }
    )
    return Output(data, shown)


def _used(used: segment_uses.Uses) -> str:
    unseen = ngettext("{n} place that you do not see", "{n} places that you do not see", used.hidden)
    parts = [use.name for use in used.named] + ([unseen.format(n=out.number(used.hidden))] if used.hidden else [])
    return _(", ").join(parts)


def _save_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=_("what to call it"))
    _file_option(parser)
    parser.add_argument("--description", metavar="TEXT", default="", help=_("what it is for"))
    parser.add_argument("--shared", action="store_true", help=_("let everybody see it; only you change it"))


def _save(args: Namespace) -> Output:
    rule = rule_of(args.file)
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        segment_id, set_id = saved_segments.save(
            conn,
            actor=viewer,
            name=args.name,
            rule=rule,
            description=args.description,
            shared=args.shared,
            source=SOURCE,
        )
    told = _("Segment {id} is saved. To take it back: {commands}")
    return Output(
        {"id": segment_id, "change_set_id": set_id},
        told.format(id=segment_id, commands=f"python -m db undo {set_id}"),
    )


_READ = (Permission.SEGMENTS_READ,)

COMMANDS = (
    Command("segment count", N_("how many customers fit a rule"), _READ, _file_option, _count),
    Command("segment list", N_("the segments you may see"), _READ, _list_options, _list),
    Command("segment show", N_("one segment, its rule in words and its count"), _READ, _show_options, _show),
    Command("segment save", N_("keep a rule under a name"), (Permission.SEGMENTS_EDIT,), _save_options, _save),
)
