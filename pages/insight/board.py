"""Boards: charts that were kept from the explorer, side by side, each as of now and with the viewer's own rights."""

from __future__ import annotations

import streamlit as st

from components import board_view as view
from components import controls, data, explain, page, wording
from db import boards
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.VIEWS_EDIT)

settings = page.settings()
found = {str(board.id): board for board in data.read(boards.listed, viewer=viewer)}
asked = st.query_params.get("board_id")
top = st.container()
if not found:
    with top, page.heading(_("My board"), wording.demo(settings.demo_days)):
        view.begin(viewer)
    view.empty(mine=True)
    st.stop()


def named(code: str) -> str:
    """A board's name, with its owner where it is somebody else's."""
    each = found[code]
    return each.called if each.owner_id == viewer.user_id else f"{each.called} · {wording.person(each.owner)}"


chosen = next(iter(found))
if len(found) > 1:
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters_board"):
        chosen = controls.order("board_id", _("Board"), list(found), named)
board = data.read(boards.get, viewer=viewer, board_id=int(chosen))
lost = _("the board of this link is not there any more, or is not shared with you")
notes = [f"**{lost}**" if asked is not None and asked not in found else "", *view.notes(board, viewer)]
with top, page.heading(wording.plain(board.called), explain.context(viewer, *notes, wording.demo(settings.demo_days))):
    if board.mine:
        view.manage(board, viewer)
    view.begin(viewer)
    explain.share(viewer, board_id=chosen)
if not board.cards:
    view.empty(mine=board.mine)
view.cards(board, viewer)
