"""Commands over boards: list, show."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any
from urllib.parse import urlencode

from db import board_charts, boards
from db.board_charts import CHARTS
from db.boards import Board, Card
from db.connection import begin
from db.metrics import N_
from db.permissions import Permission
from db.terminal import output as out
from db.terminal.command import Command, no_options, number, viewer_of
from db.terminal.output import Output
from db.words import _


def _of(board: Board) -> dict[str, Any]:
    names = ("id", "name", "owner", "visibility", "version")
    return {name: getattr(board, name) for name in names} | {"name": board.called} | {"charts": board.size}


def _list(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        found = boards.listed(conn, viewer=viewer)
    rows = [_of(board) for board in found]
    if not rows:
        return Output({"rows": rows}, _("No board yet. Charts are kept on the screens, with “Keep on my board”."))
    seen = {"private": _("Only me"), "team": _("My team"), "shared": _("Everybody")}
    listed = out.table(
        {
            _("Number"): [str(row["id"]) for row in rows],
            _("Name"): [row["name"] for row in rows],
            _("Owner"): [row["owner"] for row in rows],
            _("Who sees it"): [seen[row["visibility"]] for row in rows],
            _("Charts"): [str(row["charts"]) for row in rows],
        },
        right=(_("Number"), _("Charts")),
    )
    return Output({"rows": rows}, listed)


def _show_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the board's number"))


def _show(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        board = boards.get(conn, viewer=viewer, board_id=args.id)
    rows = [_card(card) for card in board.cards]
    if not rows:
        return Output(_of(board) | {"cards": rows}, _("Nothing is kept on this board yet."))
    listed = out.table(
        {
            _("Title"): [card.called for card in board.cards],
            _("Chart"): [_(CHARTS[card.chart].name) if card.chart in CHARTS else card.chart for card in board.cards],
            _("Of"): [_(", ").join(card.about) or _("Everyone") for card in board.cards],
            _("Address"): [row["address"] or "–" for row in rows],
            _("Problem"): [_(board_charts.PROBLEMS[card.problem]) if card.problem else "" for card in board.cards],
        }
    )
    return Output(_of(board) | {"cards": rows}, f"{board.called}\n\n{listed}")


def _card(card: Card) -> dict[str, Any]:
    chart = CHARTS.get(card.chart)
    query = f"?{urlencode(card.params)}" if card.params else ""
    return {
        "id": card.id,
        "chart": card.chart,
        "title": card.called,
        "params": dict(card.params),
        "wide": card.wide,
        "about": list(card.about),
        "problem": card.problem,
        "address": f"/{chart.screen}{query}" if chart else "",
    }


_READ = (Permission.VIEWS_EDIT,)

COMMANDS = (
    Command("board list", N_("the boards you may see"), _READ, no_options, _list),
    Command(
        "board show", N_("one board: its charts, of whom they are, and where they open"), _READ, _show_options, _show
    ),
)
