"""Commands over who is in segments: members, moves, overlap, freeze."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from db import clock, rules, saved_segments, segment_moves, segment_sets, segments, settings
from db.connection import begin
from db.errors import Invalid
from db.metrics import N_
from db.permissions import Permission
from db.segment_moves import KEEP_DAYS, MOST_LISTED, RECENT_DAYS, People
from db.segment_sets import MOST_SETS, OPERATIONS, UNION
from db.terminal import output as out
from db.terminal.command import SOURCE, Command, number, viewer_of
from db.terminal.output import Output
from db.words import _


def _today(conn: Connection) -> date:
    return clock.today(settings.get(conn).time_zone)


def _one(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the segment's number"))


def _several(parser: ArgumentParser, least: str) -> None:
    parser.add_argument("ids", metavar="ID", type=number, nargs=least, help=_("the numbers of the segments"))


def _paged(parser: ArgumentParser) -> None:
    said = _("how many to leave out at the beginning")
    parser.add_argument("--offset", metavar="N", type=int, default=0, help=said)
    parser.add_argument("--limit", metavar="N", type=int, default=50, help=_("how many to list, at most 500"))


def _members_options(parser: ArgumentParser) -> None:
    _one(parser)
    _paged(parser)


def _members(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        state = segment_moves.state(conn, viewer=viewer, segment_id=args.id, today=_today(conn))
        page: dict[str, Any] = {"offset": args.offset, "limit": min(args.limit, MOST_LISTED)}
        found = segment_moves.members(conn, viewer=viewer, segment_id=args.id, **page)
        zone = settings.get(conn).time_zone
    data = {
        "as_of": state.as_of,
        "current": state.current,
        "problem": state.problem,
        "total": found.total,
        "rows": [{"id": row["id"], "name": row["name"], "since": row["at"]} for row in found.rows.to_dict("records")],
    }
    return Output(data, _listed(found, _("Since"), zone))


def _listed(found: People, when: str, zone: str) -> str:
    if found.rows.empty:
        return _("Nobody.")
    return out.table(
        {
            _("Number"): [str(i) for i in found.rows["id"]],
            _("Name"): found.rows["name"].tolist(),
            when: [out.instant(at, zone) for at in found.rows["at"]],
        },
        right=(_("Number"),),
    )


def _moves_options(parser: ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--left", action="store_true", help=_("who left, instead of who joined"))
    said = _("within how many days, at most {n}").format(n=KEEP_DAYS)
    parser.add_argument("--days", metavar="N", type=int, default=RECENT_DAYS, help=said)
    _paged(parser)


def _moves(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        asked: dict[str, Any] = {"viewer": viewer, "segment_id": args.id, "today": _today(conn), "days": args.days}
        page = {"offset": args.offset, "limit": min(args.limit, MOST_LISTED)}
        found = segment_moves.moves(conn, **asked, joined=not args.left, **page)
        sizes = segment_moves.course(conn, **asked)
        zone = settings.get(conn).time_zone
    data = {
        "total": found.total,
        "rows": found.rows.to_dict("records"),
        "sizes": sizes.to_dict("records"),
    }
    return Output(data, _listed(found, _("Left") if args.left else _("Joined"), zone))


def _rules(conn: Connection, args: Namespace) -> tuple[list[str], tuple[str, ...]]:
    """The names and the rules of the segments, none of which may be unreadable."""
    viewer = viewer_of(args)
    found = [saved_segments.get(conn, viewer=viewer, segment_id=i) for i in args.ids]
    for one in found:
        if one.problem:
            raise Invalid(one.problem)
    return [one.name for one in found], tuple(rules.written(one.rule) for one in found)


def _overlap_options(parser: ArgumentParser) -> None:
    _several(parser, "+")


def _overlap(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        names, written = _rules(conn, args)
        found = segment_sets.overlap(conn, viewer=viewer, rules=written, today=_today(conn))
    data = {
        "everyone": found.everyone,
        "segments": [
            {"id": i, "name": name, "customers": n} for i, name, n in zip(args.ids, names, found.sizes, strict=True)
        ],
        "regions": [{"of": [args.ids[i] for i in r.of], "customers": r.customers} for r in found.regions],
    }
    if not found.regions:
        return Output(data, _("Nobody is in any of them."))
    said = [" + ".join(names[i] for i in region.of) for region in found.regions]
    shown = {_("In exactly"): said, _("Customers"): [out.number(r.customers) for r in found.regions]}
    return Output(data, out.table(shown, right=(_("Customers"),)))


def _freeze_options(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=_("what to call it"))
    _several(parser, "+")
    said = _("how several segments are combined (by default union)")
    parser.add_argument("--as-set", choices=OPERATIONS, default=UNION, help=said)
    parser.add_argument("--description", metavar="TEXT", default="", help=_("what it is for"))
    parser.add_argument("--shared", action="store_true", help=_("let everybody see it; only you change it"))


def _freeze(args: Namespace) -> Output:
    viewer = viewer_of(args)
    most = saved_segments.MOST_FROZEN + 1
    if len(args.ids) > MOST_SETS:
        raise Invalid(_("Choose at most {n} segments.").format(n=MOST_SETS))
    with begin(viewer) as conn:
        _names, written = _rules(conn, args)
        asked: dict[str, Any] = {"viewer": viewer, "today": _today(conn), "limit": most}
        if len(written) == 1:
            ids = segments.who(conn, rule=written[0], **asked)
        else:
            ids = segment_sets.who(conn, operation=args.as_set, rules=written, **asked)
    with begin(viewer, write=True) as conn:
        segment_id, set_id, n = saved_segments.freeze(
            conn,
            actor=viewer,
            name=args.name,
            ids=ids,
            of=written,
            description=args.description,
            shared=args.shared,
            source=SOURCE,
        )
    told = _("Segment {id} keeps {n} customers. To take it back: {commands}")
    return Output(
        {"id": segment_id, "customers": n, "change_set_id": set_id},
        told.format(id=segment_id, n=out.number(n), commands=f"python -m db undo {set_id}"),
    )


_READ = (Permission.SEGMENTS_READ, Permission.CUSTOMERS_READ)

COMMANDS = (
    Command("segment members", N_("who is in a segment, as the worker keeps it"), _READ, _members_options, _members),
    Command("segment moves", N_("who joined a segment, or left it"), _READ, _moves_options, _moves),
    Command("segment overlap", N_("how up to five segments overlap"), _READ[:1], _overlap_options, _overlap),
    Command(
        "segment freeze",
        N_("keep the customers who fit now"),
        (*_READ, Permission.SEGMENTS_EDIT),
        _freeze_options,
        _freeze,
    ),
)
