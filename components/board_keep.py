"""The button “Keep on my board”: a chart of the screen, as the address says it, becomes a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from components import controls, data, explorer_view, page, places, wording
from db import board_charts, boards
from db.board_charts import CHARTS
from db.permissions import Permission, Viewer
from db.words import _

NEW = "new"


def button(
    viewer: Viewer,
    screen: str,
    *,
    charts: Sequence[str] = (),
    params: Mapping[str, str] | None = None,
    of: str = "",
    named: str = "",
    problem: str = "",
) -> None:
    """Offer what this screen shows: all of its charts or `charts`, told by the address or by `params`.

    `of` tells one of several such buttons from the others, `named` is what its chart is about. `problem` is why nothing
    can be kept now, in a sentence.
    """
    if not viewer.can(Permission.VIEWS_EDIT):
        return
    key = f"{screen}_keep{of}"
    kept_on = st.session_state.pop(f"{key}_done", None)
    if kept_on:  # it folds, and the next chart is offered the same board
        st.session_state[key] = False
        st.session_state[f"{key}_title"] = ""
        st.session_state[controls.key_of(f"{key}_board")] = kept_on
    # Of what is folded nothing is asked; and what a fragment put into the address is known once it opens.
    opened = st.popover(
        _("Keep on my board"), icon=":material/dashboard_customize:", key=key, on_change="rerun", type="secondary"
    )
    if not opened.open:
        return
    with opened:
        given = problem or _form(viewer, key, list(charts or board_charts.of_screen(screen)))
        if isinstance(given, str):
            st.caption(given)
        elif given:
            chart = CHARTS[given["chart"]]
            told = st.query_params if params is None else params
            shown = {name: told[name] for name in (*chart.params, *chart.segments) if name in told}
            with page.guard():
                _keep(viewer, given | {"params": shown, "named": named}, screen, key)
        places.link("board", _("Boards"), icon=":material/dashboard:")


def _form(viewer: Viewer, key: str, charts: Sequence[str]) -> dict[str, Any] | None:
    """Which chart, its title and the board; gives them when they are sent."""
    mine = {str(board.id): board for board in data.read(boards.listed, viewer=viewer) if board.mine}
    own = [code for code, board in mine.items() if board.owner_id == viewer.user_id]
    with st.form(f"{key}_form", border=False):
        chart = charts[0]
        if len(charts) > 1:
            chart = st.selectbox(
                _("Chart"), charts, format_func=lambda code: _(CHARTS[code].name), key=controls.key_of(f"{key}_chart")
            )
        title = st.text_input(
            _("Title"),
            key=f"{key}_title",
            max_chars=boards.MOST_TITLE,
            placeholder=_("Without one: the chart and the segment"),
        )
        board = st.selectbox(
            _("Board"),
            [*own, NEW],
            format_func=lambda code: mine[code].called if code in mine else _("A new board"),
            key=controls.key_of(f"{key}_board"),
        )
        sent = st.form_submit_button(_("Keep"), type="primary", key=f"{key}_send")
    return {"chart": chart, "title": title, "board": board} if sent else None


def _keep(viewer: Viewer, given: dict[str, Any], screen: str, key: str) -> None:
    chart = CHARTS[given["chart"]]
    title = given["title"].strip()
    where: dict[str, Any] = {"board_id": int(given["board"])} if given["board"] != NEW else {}
    card = {"chart": given["chart"], "params": given["params"], "title": title}
    _card, board, set_id = data.write(boards.keep, actor=viewer, **card, **where, screen=screen)
    st.session_state[f"{key}_done"] = str(board)
    title = title or boards.default_title(given["chart"], _about(viewer, chart, given["params"], given["named"]))
    controls.saved(set_id, _("“{title}” is kept on your board.").format(title=wording.plain(title)))


def _about(viewer: Viewer, chart: board_charts.Chart, params: Mapping[str, str], named: str) -> list[str]:
    known = explorer_view.known(viewer)
    return [named] if named else [known[code].name for code in board_charts.codes(chart, params) if code in known]
