"""The life of a kept segment: how current its members are, its size by day, who joined and left, where it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import streamlit as st

from components import charts, controls, data, format, places, tables, wording
from db import rules, saved_segments, segment_moves, segment_uses, segments, started_campaigns
from db.permissions import Permission, Viewer
from db.rules import Group
from db.saved_segments import MOST_FROZEN, Segment
from db.segment_moves import COURSES, KEEP_DAYS, RECENT_DAYS, State
from db.segment_uses import BOARD, CLUSTERS, RULE, VIEW, Uses
from db.words import _, ngettext

PAGE = 10
FOLDED = "segment_course_shown"


def draw(one: Segment, *, viewer: Viewer, zone: str, today: date) -> None:
    """Everything below the rule of a kept segment."""
    asked: dict[str, Any] = {"viewer": viewer, "segment_id": one.id, "today": today}
    used = data.read(segment_uses.uses, viewer=viewer, segment_id=one.id)
    with st.container(border=True, key="segment_life"):
        if one.frozen:
            st.markdown("**" + _("A frozen segment") + "**")
            st.caption(
                _("It keeps the customers who were listed on {day}, whatever becomes of them.").format(
                    day=format.instant(one.created_at, zone)
                )
            )
        else:
            _course(data.read(segment_moves.state, **asked), asked, zone)
        _used(used, archived=one.archived_at is not None)
        if viewer.can(Permission.CAMPAIGNS_READ):
            _campaigns(data.read(started_campaigns.of_segment, viewer=viewer, segment_id=one.id))


def _course(state: State, asked: dict[str, Any], zone: str) -> None:
    st.caption(wording.line(currency(state, zone), _since(state, zone)))
    if state.began_at is None:
        return
    # What is folded is not asked for.
    opened = st.expander(_("Members over time · customers"), icon=":material/timeline:", key=FOLDED, on_change="rerun")
    if not opened.open:
        return
    with opened:
        _drawn(asked, zone)


def _drawn(asked: dict[str, Any], zone: str) -> None:
    named = {str(n): _("{n} days").format(n=n) for n in COURSES}
    days = controls.switch(
        "segment_days", _("Period"), list(named), named.__getitem__, default=str(COURSES[0]), hidden=True
    )
    members(data.read(segment_moves.course, **asked, days=int(days)))
    for place, joined in zip(st.columns(2), (True, False), strict=True):
        with place:
            _movers(asked, joined=joined, zone=zone)


def members(rows: Any, *, key: str = "segment_course") -> None:
    """The size by day, as db.segment_moves.course gives it, and who joined and left."""
    charts.course(
        rows["day"].tolist(),
        rows["size"].tolist(),
        rows["joined"].tolist(),
        rows["left"].tolist(),
        names=(_("Members"), _("Joined"), _("Left")),
        key=key,
        alt=_("Members of the segment by day, and who joined and left"),
    )


def currency(state: State, zone: str) -> str:
    """How current the members are, in a sentence."""
    problems = {
        "new": _("The members are being found for the first time; this takes a minute at most."),
        "unreadable": _("The rule cannot be read, so the members are no longer kept current."),
        "refused": _("The rule looks at what is hidden from its owner's role, so no members are kept."),
        "slow": _("The rule takes too long for the members to be kept today; it is tried again tomorrow."),
        "archived": _("Archived, so the members are no longer kept current."),
    }
    if state.problem in problems:
        said = problems[state.problem]
        if state.as_of and state.problem != "refused":
            said += _(" Members as of {time}.").format(time=format.instant(state.as_of, zone))
        return said
    if state.current:
        return _("Members up to date")
    return _("Members as of {time}").format(time=format.instant(state.as_of, zone))


def _since(state: State, zone: str) -> str:
    if state.began_at is None:
        return ""
    said = _("recorded since {time}, for {n} days; of the customers you see now")
    return said.format(time=format.instant(state.began_at, zone), n=KEEP_DAYS)


def _movers(asked: dict[str, Any], *, joined: bool, zone: str) -> None:
    """Who joined, or left, a page at a time."""
    name = _("Who joined in the last {n} days") if joined else _("Who left in the last {n} days")
    st.markdown("**" + name.format(n=RECENT_DAYS) + "**")
    key = "segment_joined" if joined else "segment_left"
    number = controls.page_number(key, asked["segment_id"])
    found = data.read(segment_moves.moves, **asked, joined=joined, offset=(number - 1) * PAGE, limit=PAGE)
    if not found.total:
        st.caption(_("Nobody."))
        return
    causes = {"data": "", "day": _("by the passing of days"), "rule": _("by another rule")}
    for row in tables.each(found.rows):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
            with st.container(width="content"):
                places.link("customer", wording.plain(row.name), id=str(row.id))
            st.caption(wording.line(format.instant(row.at, zone), causes[row.cause]), width="content")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(tables.position((number - 1) * PAGE, len(found.rows), found.total), width="content")
        controls.turner(key, number, -(-found.total // PAGE))


def _used(used: Uses, *, archived: bool) -> None:
    """What uses the segment, each with the way there."""
    if not used.named and not used.hidden:
        if not archived:
            st.caption(_("Used nowhere yet, by what you see."))
        return
    still = _("Used in the rules of, and still counted there:")
    said = {
        RULE: still if archived else _("Used in the rules of:"),
        CLUSTERS: _("Clusters were made of it:"),
        BOARD: _("On the boards:"),
        VIEW: _("In views of the list of customers:"),
    }
    for kind, line in said.items():
        found = [one for one in used.named if one.kind == kind]
        if not found:
            continue
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(line, width="content")
            for one in found:
                with st.container(width="content"):
                    if kind == CLUSTERS:
                        places.link("clusters", wording.plain(one.name))
                    else:
                        screen, parameter = _PLACES[kind]
                        places.link(screen, wording.plain(one.name), **{parameter: str(one.id)})
    if used.hidden:
        n = used.hidden
        unseen = ngettext("Used in {n} place that you do not see.", "Used in {n} places that you do not see.", n)
        st.caption(unseen.format(n=format.number(n)))


_PLACES = {RULE: ("segment", "id"), BOARD: ("board", "board_id"), VIEW: ("customers", "customers_view")}


def _campaigns(found: Mapping[int, str]) -> None:
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(_("Campaigns started from it:"), width="content")
        for number, name in found.items():
            with st.container(width="content"):
                places.link("campaign", wording.plain(wording.campaign(name)), id=str(number))


def freeze(rule: Group, values: dict[str, Any], *, viewer: Viewer, today: date) -> None:
    """Keep who fits a rule now under a name, and open it. Raises Invalid."""
    written = rules.written(rule)
    ids = data.read(segments.who, viewer=viewer, rule=written, today=today, limit=MOST_FROZEN + 1)
    kept(ids, (written,), values, viewer=viewer, screen="segment")


def kept(ids: Sequence[int], of: tuple[str, ...], values: dict[str, Any], *, viewer: Viewer, screen: str) -> None:
    """Keep these customers, found by these rules, under a name, and open the segment. Raises Invalid."""
    number, done, n = data.write(saved_segments.freeze, actor=viewer, ids=ids, of=of, screen=screen, **values)
    said = _("{n} customers frozen.").format(n=format.number(n))
    controls.saved(done, said, leave_to="segment", id=str(number))


def may_freeze(viewer: Viewer) -> bool:
    """Whether this viewer keeps segments and sees customers to keep in them."""
    return viewer.can(Permission.SEGMENTS_EDIT) and viewer.can(Permission.CUSTOMERS_READ)
