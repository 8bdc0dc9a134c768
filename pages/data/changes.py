"""Who changed what and when, newest first, with the images of a change and its undo."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from components import data, exports, format, history_lines, page, places, tables, undo_bar, wording
from db import customer, customers, history
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.CHANGES_READ)

PAGE = 50

zone = page.settings().time_zone
actions = page.heading(_("Changes"), wording.line(_("Newest first"), _("{n} on a page").format(n=PAGE)))

before = st.query_params.get("before", "")
before_id = int(before) if before.isascii() and before.isdecimal() and len(before) <= 18 else None
found = data.read(history.sets, viewer=viewer, before_id=before_id, limit=PAGE + 1)
sets, more = found.head(PAGE), len(found) > PAGE
if sets.empty:
    st.info(_("No changes yet. Whatever people edit appears here and can be undone."))
    if before_id is not None:
        places.link("changes", _("Newest"), icon=":material/first_page:")
    st.stop()

shown = pd.DataFrame(
    {
        "number": sets["id"],
        "when": [format.instant(at, zone) for at in sets["made_at"]],
        "who": [wording.actor(name) for name in sets["actor"]],
        "what": [history_lines.title(c, u) for c, u in zip(sets["command"], sets["undoes_id"], strict=True)],
        "rows": sets["rows"],
        "where": [history_lines.source(s) for s in sets["source"]],
        "state": [_("undone") if pd.notna(u) else "" for u in sets["undone_by"]],
    }
)
picked = tables.pick_row(
    shown,
    {
        "number": st.column_config.NumberColumn(_("Number"), format="#%d", width="small"),
        "when": st.column_config.TextColumn(_("When")),
        "who": st.column_config.TextColumn(_("Who")),
        "what": st.column_config.TextColumn(_("What")),
        "rows": st.column_config.NumberColumn(_("Rows"), format="localized", width="small"),
        "where": st.column_config.TextColumn(_("Where")),
        "state": st.column_config.TextColumn(_("State"), width="small"),
    },
    key="changes_list",
    widths=(5, 3),
)
with picked.below, st.container(horizontal=True, vertical_alignment="center"):
    if picked.row is None:
        st.caption(_("Click a row to see what was changed."), width="content")
    if before_id is not None:
        places.link("changes", _("Newest"), icon=":material/first_page:")
    if more:
        places.link("changes", _("Older"), icon=":material/chevron_right:", before=str(sets["id"].min()))
    exports.button("changes", {}, viewer=viewer, key="changes_export")
if picked.row is None:
    st.stop()
with picked.beside:
    chosen = sets.iloc[picked.row]
    set_id = int(chosen["id"])
    with st.container(border=True):
        st.markdown(f"**#{set_id} · {shown.iloc[picked.row]['what']}**")
        if pd.notna(chosen["customer_id"]):
            places.link("customer", _("Open the customer"), icon=":material/person:", id=str(chosen["customer_id"]))
        details = data.read(history.details, viewer=viewer, change_set_id=set_id)
        people = data.read(customers.owners, viewer=viewer)
        if viewer.can(Permission.CUSTOMERS_ASSIGN):
            people |= data.read(customer.assignees, viewer=viewer)
        lines = [line for line in details.to_dict("records") if line["column"]]
        history_lines.draw(lines, viewer=viewer, people=people)
        if not lines:
            st.caption(_("{n} rows were added; what they hold stands in them.").format(n=format.number(chosen["rows"])))
        elif len(details) >= history.MOST_ROWS:
            st.caption(_("The first {n} rows are shown.").format(n=history.MOST_ROWS))
        undoable = pd.isna(chosen["undone_by"]) and viewer.can(Permission(chosen["permission"]))
        if undoable:
            loaded = chosen["source"] == "demo"
            with st.popover(_("Undo"), icon=":material/undo:") if loaded else st.container():
                if loaded:
                    st.caption(_("A load that is taken back is not kept: it comes back only by loading it again."))
                if st.button(_("Undo"), icon=":material/undo:", key=f"changes_undo_{set_id}"):
                    undo_bar.take_back(set_id, viewer=viewer, screen="changes", people=people)
