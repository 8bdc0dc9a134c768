"""A campaign that was started from a list: where it comes from, the list, and what it brought about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from components import campaign_start, exports, format, places, tables, wording
from db.around_words import CHANNEL_NAMES
from db.permissions import Permission, Viewer
from db.words import _

Interval = tuple[float, float]
Difference = Callable[[int, int, int, int], tuple[float, float, float]]


def draw(
    found: Any, campaign_id: int, *, viewer: Viewer, rate: Callable[[int, int], Interval], difference: Difference
) -> None:
    """Everything about the start, as db.started_campaigns.get gives it; `rate` and `difference` give intervals."""
    with st.container(border=True, key="campaign_started"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**" + _("Started from a list") + "**", width="content")
            if viewer.can(Permission.CUSTOMERS_EXPORT):
                exports.button("campaign", {"campaign": campaign_id}, viewer=viewer, key="campaign_export")
        st.caption(wording.line(_(CHANNEL_NAMES[found.channel]), _("by {name}").format(name=wording.plain(found.by))))
        if found.segment_id is not None:
            places.link("segment", wording.plain(found.segment), icon=":material/groups:", id=str(found.segment_id))
        if found.reach is not None:
            said = _("Of {n} customers:").format(n=format.number(found.reach.chosen))
            reasons = campaign_start.left_out(found.reach, found.channel)
            kept = _("{n} received it").format(n=format.number(found.reach.received))
            st.caption(wording.run_on(said, wording.line(kept, *reasons)))
        if found.percent:
            _effect(found, rate, difference)
        else:
            st.caption(_("Nobody was held out, so what it brought about cannot be told from what would have happened."))


def _effect(found: Any, rate: Callable[[int, int], Interval], difference: Difference) -> None:
    """Buyers among both, and how far apart the rates are."""
    arms = {_("Received it"): found.received, _("Held out"): found.held_out}
    shown = {
        "": list(arms),
        _("Customers"): [format.number(arm.customers) for arm in arms.values()],
        _("Bought in the window"): [format.number(arm.buyers) for arm in arms.values()],
        _("Share (95% interval)"): [
            tables.rate(arm.buyers, arm.customers, rate(arm.buyers, arm.customers)) for arm in arms.values()
        ],
    }
    tables.small(pd.DataFrame(shown), right=list(shown)[1:])
    if not (found.received.customers and found.held_out.customers):
        st.caption(_("You see customers of one of the two groups only, so they cannot be compared."))
        return
    both = (found.received.buyers, found.received.customers, found.held_out.buyers, found.held_out.customers)
    apart, low, high = (100 * value for value in difference(*both))
    said = _("Difference: {n} percentage points (95% interval {low} to {high})").format(
        n=_signed(apart), low=_signed(low), high=_signed(high)
    )
    if not (found.received.buyers or found.held_out.buyers):
        st.caption(_("Nobody in either group has bought yet, so there is nothing to compare."))
        return
    st.markdown(f"**{said}**")
    if low > 0:
        st.caption(_("More bought than would have bought without it; chance alone is an unlikely reason."))
    elif high < 0:
        st.caption(_("Fewer bought than would have bought without it; chance alone is an unlikely reason."))
    else:
        st.caption(_("The interval includes zero: the difference may be chance."))


def _signed(n: float) -> str:
    """A number with its sign, a minus as wide as a plus."""
    return f"{n:+.1f}".replace("-", "−")
