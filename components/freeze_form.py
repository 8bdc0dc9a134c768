"""The dialog that keeps customers of the list as a frozen segment: how many, under which name; then its screen."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from components import controls, data, format, page, segment_actions, wording
from db import frozen_lists, saved_segments
from db.customer_filters import Filters
from db.errors import Invalid
from db.permissions import Viewer
from db.saved_segments import MOST_FROZEN
from db.words import _, ngettext

KEY = "customers_freeze"


def ask(viewer: Viewer, picked: Sequence[int], total: int, filters: Filters, said: str) -> None:
    """In a dialog: whom it keeps (the picked ones, else all `total` that the filters, `said` in words, find)."""
    n = len(picked) or total
    told = ngettext("{n} customer is kept.", "{n} customers are kept.", n)
    st.markdown(f"**{told.format(n=format.number(n))}**")
    if said and not picked:
        st.caption(wording.sentence(_("All that the filters find: {filters}").format(filters=said)))
    most = _("A frozen segment keeps them whatever becomes of them; at most {most} customers. You can undo it.")
    st.caption(most.format(most=f"{MOST_FROZEN:,}"))
    if n > MOST_FROZEN:
        st.warning(_("These are too many for a frozen segment. Narrow the filters, or save a rule as a segment."))
        return
    values = segment_actions.form(KEY, send=_("Freeze"))
    if not values:
        return
    values.pop("form")
    asked = {"ids": tuple(picked), "filters": filters, "today": page.today()}
    try:
        chosen = data.read(frozen_lists.chosen, viewer=viewer, **asked)
        values |= {"ids": chosen.ids, "personal": chosen.personal, "screen": "customers"}
        number, done, kept = data.write(saved_segments.freeze, actor=viewer, **values)
    except Invalid as error:
        for sentence in error.fields.values() or [error.message]:
            st.error(wording.sentence(sentence))
        return
    frozen = _("{n} customers frozen.").format(n=format.number(kept))
    controls.saved(done, frozen, leave_to="segment", id=str(number))
