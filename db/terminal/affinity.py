"""The command that says which categories are bought together."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from analytics import affinity as arithmetic
from analytics.affinity import Pair
from db import affinity, clock, settings, text
from db.affinity import Affinity
from db.connection import begin
from db.errors import NotFound
from db.metrics import N_
from db.permissions import Permission
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import Command, up_to, viewer_of
from db.terminal.explorer import DIGITS, beside
from db.terminal.output import Output
from db.terminal.segment_source import Source
from db.words import _

LEAST = 10
"""Orders with both that a pair is in at least, as on the screen."""
MOST_LISTED = 500


def _percent(said: str) -> float:
    """The kind of shares in percent."""
    try:
        found = float(said)
    except ValueError:
        found = -1
    if not 0 <= found <= 100:
        raise ArgumentTypeError(_("“{text}” is not a number from 0 to 100").format(text=text.clean(said)))
    return found


def _options(parser: ArgumentParser) -> None:
    months = _("of the orders of the last N calendar months, this one included: 12 by default, {most} at most")
    parser.add_argument(
        "--months",
        metavar="N",
        type=up_to(affinity.MOST_MONTHS),
        default=12,
        help=months.format(most=affinity.MOST_MONTHS),
    )
    least = _("pairs in at least this share of the orders, 1 by default; and in at least {n} orders").format(n=LEAST)
    parser.add_argument("--least", metavar="PERCENT", type=_percent, default=1.0, help=least)
    parser.add_argument("--category", metavar="NAME", help=_("only pairs with this category"))
    sorted_by = _("what comes first: the lower end of lift's interval, lift, orders with both, confidence")
    parser.add_argument("--by", choices=tuple(arithmetic.ORDERS), default="sure", help=sorted_by)
    limit = _("how many to list: 20 by default, at most {most}").format(most=MOST_LISTED)
    parser.add_argument("--limit", metavar="N", type=up_to(MOST_LISTED), default=20, help=limit)
    segment_source.options(parser, file=True)
    segment_source.against_option(parser)


def _affinity(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        asked: dict[str, Any] = {"viewer": viewer, "months": args.months}
        asked["today"] = clock.today(settings.get(conn).time_zone)
        found = [
            (each, affinity.affinity(conn, rule=each.rule, **asked))
            for each in segment_source.groups(conn, viewer, args)
        ]
    _of, first = found[0]
    category = _category(first, args.category) if args.category is not None else ""
    pairs, *others = [arithmetic.pairs(shown.rows, shown.orders) for _each, shown in found]
    asked_for = [pair for pair in pairs if category in ("", pair.first, pair.second)]
    kept = arithmetic.ranked(arithmetic.kept(asked_for, support=args.least / 100, together=LEAST), args.by)
    listed = kept[: args.limit]
    known = {(pair.first, pair.second): pair for pair in (others[0] if others else [])}
    same = [known.get((pair.first, pair.second)) for pair in listed]
    data = [_document(*found[0], listed, len(kept))]
    if others:
        data.append(_document(*found[1], [pair for pair in same if pair], sum(pair is not None for pair in same)))
    told = [
        out.line(out.days(first.start, first.end), *(each.called for each, _shown in found)),
        _table(listed, same if others else None) if listed else _("No pair is in so many orders."),
        _(
            "{n} of {total} pairs in at least {share} of {orders} orders with a category, and in at least {least}."
        ).format(
            n=out.number(len(listed)),
            total=out.number(len(kept)),
            share=out.percent(args.least / 100),
            orders=out.number(first.orders),
            least=LEAST,
        ),
    ]
    return Output(beside(data), "\n\n".join(told))


def _category(found: Affinity, asked: str) -> str:
    """The category of this name, in whichever case. Raises NotFound."""
    same = [name for name in found.categories if name.casefold() == asked.strip().casefold()]
    if not same:
        said = _("No order of these months has the category “{name}”.")
        raise NotFound(said.format(name=text.clean(asked)))
    return same[0]


def _document(of: Source, found: Affinity, pairs: list[Pair], total: int) -> dict[str, Any]:
    return {
        "of": of.code,
        "start": found.start,
        "end": found.end,
        "orders": found.orders,
        "others": found.others,
        "total": total,
        "rows": [_row(pair) for pair in pairs],
    }


def _row(pair: Pair) -> dict[str, Any]:
    rates: dict[str, Any] = {}
    for name in ("support", "forward", "backward", "lift"):
        rates[name] = round(getattr(pair, name), DIGITS)
        rates[f"{name}_interval"] = [round(end, DIGITS) for end in getattr(pair, f"{name}_interval")]
    counts = {"together": pair.together, "first_orders": pair.first_orders, "second_orders": pair.second_orders}
    return {"first": pair.first, "second": pair.second, **counts, **rates}


def _table(pairs: list[Pair], others: list[Pair | None] | None) -> str:
    columns = {
        _("First"): [pair.first.title() for pair in pairs],
        _("Second"): [pair.second.title() for pair in pairs],
        _("Orders with both"): [out.number(pair.together) for pair in pairs],
        _("Support"): [out.percent(pair.support) for pair in pairs],
        _("First → second"): [out.percent(pair.forward) for pair in pairs],
        _("Second → first"): [out.percent(pair.backward) for pair in pairs],
        _("Lift (95% interval)"): [_lift(pair) for pair in pairs],
    }
    if others is not None:
        columns[_("Against")] = [_lift(pair) if pair else "–" for pair in others]
    return out.table(columns, right=list(columns)[2:])


def _lift(pair: Pair) -> str:
    low, high = pair.lift_interval
    return f"{pair.lift:.2f} ({low:.2f}–{high:.2f})"


COMMANDS = (
    Command("affinity", N_("which categories are bought together"), (Permission.SEGMENTS_READ,), _options, _affinity),
)
