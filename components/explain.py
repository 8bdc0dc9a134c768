"""What the figures of a screen mean, and a link to show them to somebody else: the two buttons beside its title."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import wording
from db.metrics import Metric
from db.permissions import Viewer
from db.words import _

SHARED = "shared"
_WIDTHS = ("own", "team", "all")


def about(metrics: Iterable[Metric], *, filters: str, fresh: str, rows: str = "") -> DeltaGenerator:
    """A button that tells each metric's formula and source, the filters in words, how fresh, and where the rows are.

    Gives the place in it for links to the rows.
    """
    sources = {
        "basket_sums": _("which categories stand in each order, added up from the lines of the orders"),
        "campaign_members": _("campaign memberships"),
        "campaign_results": _("what members bought, added up from the orders"),
        "cohort_sums": _("what each customer bought by month, added up from the orders"),
        "customer_classes": _("each customer's class at the last month ends, told from the orders"),
        "customer_metrics": _("each customer's totals, added up from the orders"),
        "customers": _("customers"),
        "daily_sales": _("the days' totals, added up from the orders"),
        "order_days": _("the days of each customer's orders"),
        "order_items": _("the lines of the orders"),
        "orders": _("orders"),
        "score_bounds": _("each customer's totals beside everybody's, taken anew every hour"),
    }
    with st.popover(_("Figures"), icon=":material/info:", help=_("What they mean, where they come from, how fresh")):
        st.markdown("**" + _("What is shown") + "**")
        st.caption(filters)
        st.caption(_("How fresh: {text}").format(text=fresh))
        if rows:
            st.caption(rows)
        behind = st.container(gap=None)
        for metric in metrics:
            st.markdown(f"**{_(metric.name)}**  \n{_(metric.formula)}")
            st.caption(_("From: {source}").format(source=sources[metric.source]))
    return behind


def share(viewer: Viewer, **more: str) -> None:
    """A button with the address of what is shown; whoever opens it sees it with their own rights, and is told so.

    `more` are parameters that the link needs beside those in the address bar.
    """
    with st.popover(_("Share"), icon=":material/link:"):
        link(viewer, **more)


def link(viewer: Viewer, **more: str) -> None:
    """The address that `share` offers, to be copied, where something else unfolds it."""
    st.caption(_("Whoever opens this link and may sign in sees the same filters with their own rights."))
    there = urlsplit(st.context.url or "")
    params = {key: value for key, value in st.query_params.items() if key != SHARED} | more
    params[SHARED] = f"{_width(viewer)}.{viewer.user_id}"
    st.code(f"{there.scheme}://{there.netloc}{there.path}?{urlencode(params)}", language=None, wrap_lines=True)


def shared_note(viewer: Viewer) -> str:
    """For a link that somebody else made: that the viewer sees less or other customers; '' where it is the same."""
    width, _dot, maker = st.query_params.get(SHARED, "").partition(".")
    if width not in _WIDTHS or maker == str(viewer.user_id) or _width(viewer) == "all":
        return ""
    if _WIDTHS.index(_width(viewer)) < _WIDTHS.index(width):
        return _("whoever made this link sees more customers than you: your figures are smaller")
    return _("whoever made this link sees other customers than you: your figures differ")


def whose(viewer: Viewer) -> str:
    """Whose customers the viewer sees, in words."""
    return {"own": _("Yours"), "team": _("Yours and your team's"), "all": _("All customers")}[_width(viewer)]


def _width(viewer: Viewer) -> str:
    return "all" if not viewer.scoped else "team" if len(viewer.owner_ids) > 1 else "own"


def context(viewer: Viewer, *parts: str) -> str:
    """The line under a title; the note of a shared link comes first, where nobody overlooks it."""
    note = shared_note(viewer)
    return wording.line(f"**{note}**" if note else "", *parts)
