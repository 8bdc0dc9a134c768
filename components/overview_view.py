"""Parts of the overview: the way to the customers behind its figures, and the campaigns that run."""

from __future__ import annotations

from datetime import date

import pandas as pd
import streamlit as st

from components import format, places, segment_source, tables, wording
from db.words import _


def behind(start: date, end: date, region: str) -> None:
    """Links to the customers behind the figures of a period, and of a region where one is chosen."""
    days = [start.isoformat(), end.isoformat()]
    ordered = segment_source.within(region, "ordered", "within", {"from": days[0], "to": days[1]})
    first = segment_source.within(region, "first_order_on", "between", days)
    where = {"customers_region": region} if region else {}
    places.link("customers", _("All customers"), icon=":material/groups:", **where)
    places.link("segment", _("Who ordered in the period"), icon=":material/pie_chart:", segment_rule=ordered)
    places.link("segment", _("Who ordered first in it"), icon=":material/pie_chart:", segment_rule=first)


def running(rows: pd.DataFrame, rates: list[str], *, on: date) -> None:
    """The campaigns that run on a day, as db.overview gives them, with the rate of each."""
    with st.container(border=True):
        st.markdown("**" + _("Running campaigns · on {day}").format(day=format.day(on)) + "**")
        if rows.empty:
            st.caption(_("No campaign ran on that day."))
            return
        cells = {
            _("Campaign"): [wording.campaign(name) for name in rows["campaign"]],
            _("Days"): [format.days(*both) for both in zip(rows["starts_on"], rows["ends_on"], strict=True)],
            _("Reached"): [format.number(n) for n in rows["reached"]],
            _("Redeemers"): [format.number(n) for n in rows["redeemers"]],
            _("Rate (95% interval)"): rates,
        }
        with st.container(key="kehu_wrapped_campaigns"):
            tables.small(pd.DataFrame(cells), right=list(cells)[2:])
        places.link("campaigns", _("All campaigns"), icon=":material/campaign:")
