"""A board as people see it: its cards, each with a chart that loads by itself, and what its owner does with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from components import board_drawings, controls, data, page, places, view_words, wording
from db import board_charts, boards
from db.board_charts import CHARTS
from db.boards import Board, Card
from db.errors import Conflict
from db.permissions import Viewer
from db.words import _


def notes(board: Board, viewer: Viewer) -> list[str]:
    """What the line under the title says of a board."""
    by = "" if board.owner_id == viewer.user_id else _("by {name}").format(name=wording.plain(board.owner))
    n = _("{n} of at most {most} charts").format(n=len(board.cards), most=boards.MOST_CARDS)
    return [by, view_words.reach()[board.visibility], n, _("each as of now, of the customers you see")]


def cards(board: Board, viewer: Viewer) -> None:
    """All cards in their order, two in a row, or one that takes a whole row; on a phone one under the other."""
    half: list[Card] = []
    for card in board.cards:
        if card.wide:
            _row(half, board, viewer)
            half = []
            _card(card, board, viewer)
        else:
            half.append(card)
            if len(half) == 2:
                _row(half, board, viewer)
                half = []
    _row(half, board, viewer)


def _row(half: Sequence[Card], board: Board, viewer: Viewer) -> None:
    if half:
        for card, place in zip(half, st.columns(2), strict=False):
            with place:
                _card(card, board, viewer)


def _card(card: Card, board: Board, viewer: Viewer) -> None:
    with st.container(border=True, height="stretch", key=f"board_card_{card.id}"):
        with st.container(
            horizontal=True,
            horizontal_alignment="distribute",
            vertical_alignment="center",
            gap="small",
            key=f"board_head_{card.id}",
        ):
            st.markdown(f"**{wording.plain(card.called)}**", width="stretch")
            if card.chart in CHARTS:
                with st.container(width="content"):
                    places.link(CHARTS[card.chart].screen, _("Open"), icon=":material/open_in_full:", **card.params)
            if board.mine:
                _menu(card, board, viewer)
        if card.problem:
            st.info(_(board_charts.PROBLEMS[card.problem]), icon=":material/info:")
            return
        _chart(card, viewer)


def _chart(card: Card, viewer: Viewer) -> None:
    """The chart alone, in a run of its own: the board does not wait for it, nor does it fall with it."""

    def card_chart() -> None:
        asked = board_drawings.Asked(
            viewer=viewer,
            today=page.today(),
            currency=page.settings().currency,
            key=f"board_chart_{card.id}",
            chart=card.chart,
            params=card.params,
            wide=card.wide,
        )
        board_drawings.draw(asked)

    page.apart(card_chart, part=f"card{card.id}_")()


# --- what its owner does with a card ---------------------------------------------------------------------------------


def _menu(card: Card, board: Board, viewer: Viewer) -> None:
    seen = _seen(f"board_seen_card_{card.id}", card, f"board_send_{card.id}")
    of = f"{card.id}_{seen.version}"
    at = [each.id for each in board.cards].index(card.id)
    with st.popover(_("Change card"), icon=":material/more_horiz:", type="tertiary", key=f"board_menu_{of}"):
        with st.form(f"board_form_{of}", border=False):
            given = {
                "title": st.text_input(
                    _("Title"),
                    seen.title,
                    max_chars=boards.MOST_TITLE,
                    key=f"board_title_{of}",
                    placeholder=seen.called,
                ),
                "wide": st.toggle(_("A whole row"), seen.wide, key=f"board_wide_{of}"),
            }
            sent = st.form_submit_button(_("Save"), type="primary", key=f"board_send_{of}")
        if sent:
            opened = {"title": seen.title, "wide": seen.wide}
            _save(boards.change_card, viewer, _("Card changed."), seen.version, opened, given, card_id=card.id)
        moves = {
            False: (at > 0, _("Move earlier"), "upward"),
            True: (at + 1 < len(board.cards), _("Move later"), "downward"),
        }
        with st.container(horizontal=True, gap="small"):
            for down, (possible, label, icon) in moves.items():
                key = f"board_{icon}_{card.id}"
                if st.button(label, icon=f":material/arrow_{icon}:", key=key, disabled=not possible):
                    _do(boards.move, viewer, _("Card moved."), card_id=card.id, down=down)
            if st.button(_("Remove"), icon=":material/delete:", key=f"board_remove_{card.id}"):
                said = _("“{title}” removed.").format(title=wording.plain(card.called))
                _do(boards.remove, viewer, said, card_id=card.id)


def _seen(key: str, now: Any, sent: str) -> Any:
    """The row as the form was drawn with, in the run in which the form is sent; else the row as it is now."""
    before = st.session_state.get(key)
    if before is None or not st.session_state.get(f"{sent}_{before.version}"):
        before = st.session_state[key] = now
    return before


def _do(command: Callable[..., int | None], viewer: Viewer, said: str, **values: Any) -> None:
    with page.guard():
        _done(data.write(command, actor=viewer, screen="board", **values), said)


def _done(set_id: int | None, said: str) -> None:
    if set_id is None:
        st.rerun()
    controls.saved(set_id, said)


def _save(
    command: Callable[..., int | None],
    viewer: Viewer,
    said: str,
    version: int,
    opened: Mapping[str, Any],
    given: Mapping[str, Any],
    **which: int,
) -> None:
    """What was changed in a form; where somebody else changed the same meanwhile, both sides are told."""
    changed = {column: value for column, value in given.items() if value != opened[column]}
    with page.guard():
        try:
            more: dict[str, Any] = {"version": version, "opened": opened, "values": changed, "screen": "board"}
            _done(data.write(command, actor=viewer, **more, **which), said)
        except Conflict as error:
            page.say(error)
            for row in error.rows:
                sides = {side: _told(row[side]) for side in ("mine", "theirs")}
                st.caption(_("Yours: {mine} · theirs: {theirs}").format(**sides))


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return wording.plain(view_words.reach().get(value, str(value)))


# --- the boards ------------------------------------------------------------------------------------------------------


def manage(board: Board, viewer: Viewer) -> None:
    """Name, who sees it, and deleting it."""
    seen = _seen(f"board_seen_{board.id}", board, f"board_save_{board.id}")
    of = f"{board.id}_{seen.version}"
    with st.popover(_("Name and sharing"), icon=":material/edit:", key=f"board_details_{of}"):
        with st.form(f"board_details_form_{of}", border=False):
            given = {
                "name": st.text_input(
                    _("Name") + " *", seen.called, max_chars=boards.MOST_NAME, key=f"board_name_{of}"
                ),
                "visibility": _reach(viewer, seen.visibility, f"board_reach_{of}"),
            }
            sent = st.form_submit_button(_("Save"), type="primary", key=f"board_save_{of}")
        if sent:
            opened = {"name": seen.name, "visibility": seen.visibility}
            if given["name"] == seen.called:  # nobody named it, and nobody does now
                given["name"] = seen.name
            _save(boards.save, viewer, _("Board changed."), seen.version, opened, given, board_id=board.id)
        if st.button(_("Delete board"), icon=":material/delete:", key=f"board_delete_{board.id}"):
            said = _("Board “{name}” deleted.").format(name=wording.plain(board.called))
            _do(boards.archive, viewer, said, board_id=board.id)


def begin(viewer: Viewer) -> None:
    """A new, empty board, and those deleted lately, each to be had back."""
    opened = st.popover(_("New board"), icon=":material/add:", key="board_new", on_change="rerun")
    if not opened.open:
        return
    with opened:
        with st.form("board_new_form", border=False, clear_on_submit=True):
            name = st.text_input(_("Name") + " *", max_chars=boards.MOST_NAME, key="board_new_name")
            visibility = _reach(viewer, "private", "board_new_reach")
            sent = st.form_submit_button(_("Begin board"), type="primary", key="board_new_send")
        if sent:
            with page.guard():
                made = {"name": name, "visibility": visibility, "screen": "board"}
                number, set_id = data.write(boards.add, actor=viewer, **made)
                said = _("Board “{name}” begun.").format(name=wording.plain(name))
                controls.saved(set_id, said, leave_to="board", board_id=str(number))
        gone = data.read(boards.aside, viewer=viewer).deleted
        if gone:
            st.caption(_("Your last {n} deleted boards; a click restores one.").format(n=boards.MOST_DELETED))
        for each in gone:
            key, icon = f"board_restore_{each.id}", ":material/restore_from_trash:"
            if st.button(wording.plain(each.called), icon=icon, type="tertiary", key=key, help=_("Restore")):
                said = _("Board “{name}” restored.").format(name=wording.plain(each.called))
                _do(boards.archive, viewer, said, board_id=each.id, archived=False)


def _reach(viewer: Viewer, visibility: str, key: str) -> str:
    reach = view_words.reach()
    if visibility != "team" and not data.read(boards.aside, viewer=viewer).has_team:
        del reach["team"]
    found: str = st.selectbox(
        _("Who sees it"),
        list(reach),
        list(reach).index(visibility),
        format_func=reach.__getitem__,
        key=key,
        help=_("Everybody sees their own customers on it. Only you and administrators change it."),
    )
    return found


def empty(*, mine: bool) -> None:
    """What would be here, and the ways to get it there."""
    if not mine:
        st.info(_("Nothing is kept on this board yet."))
        return
    said = _("A board keeps charts of segments, clusters and all screens of the explorer, always as of now.")
    how = _("Open one of these screens, choose what it shows, and press “Keep on my board”.")
    st.info(wording.run_on(said, how))
    with st.container(horizontal=True, gap="small", key="board_ways"):
        # A segment of its own is reached by the list of them.
        for screen in dict.fromkeys(chart.screen for chart in CHARTS.values() if chart.screen != "segment"):
            with st.container(width="content"):
                places.to(screen)
