"""What the screens of the explorer share: whose figures, against whose, and the people behind a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import controls, customer_list, data, page, places, segment_choices, tables, wording
from db import board_charts, customers, rules, saved_segments, segments
from db.cluster_values import SAVED
from db.errors import NotFound
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Permission, Viewer
from db.words import _

PAGE = 20
MOST_DIGITS = 18
_EVERYONE = board_charts.EVERYONE
SPANS = ("6", "12", "24", "36")
"""Months of first purchases to choose from; the second is usual."""


def spans() -> dict[str, str]:
    """The months to choose from, in words."""
    return {"6": _("6 months"), "12": _("12 months"), "24": _("24 months"), "36": _("36 months")}


@dataclass(frozen=True)
class Whose:
    """A group of customers: what it is called, and its rule as JSON; '' is everyone."""

    name: str
    rule: str = ""


def choose(screen: str, viewer: Viewer) -> tuple[Whose, Whose | None, str]:
    """Two choices that stand in the address: a segment or everyone, and another one beside it or none.

    Gives both, and a note on a segment of the address that the viewer does not have.
    """
    found = known(viewer)
    keys = (f"{screen}_segment", f"{screen}_against")
    missing = any(st.query_params.get(key, _EVERYONE) not in found for key in keys)
    codes = [code for code in found if code != _EVERYONE]
    of = controls.select(keys[0], _("Of"), codes, _("Everyone"), lambda code: found[code].name)
    others = [code for code in found if code != (of or _EVERYONE)]
    against = controls.select(keys[1], _("Against"), others, _("nobody else"), lambda code: found[code].name)
    if of:
        with st.container(width="content", key=f"{screen}_whose"):
            places.link("segment", _("Open segment"), icon=":material/pie_chart:", **address(of))
    note = _("the link's segment is not one of yours; everyone is shown") if missing else ""
    return found[of or _EVERYONE], found.get(against), note


def address(code: str) -> dict[str, str]:
    """The parameter by which the segment screen opens a segment of this code."""
    number = board_charts.number_of(code)
    return {"segment_ready": code} if number is None else {"id": str(number)}


def links(one: saved_segments.Segment | None, code: str) -> None:
    """The ways from a saved or a ready-made segment to the screens that show what its customers buy, where they can."""
    code = f"s{one.id}" if one else code
    if not code or (one and (one.archived_at is not None or one.problem)):
        return
    with st.container(horizontal=True, gap="small", key="kehu_explore"):
        for path in board_charts.taking_segments():
            with st.container(width="content"):
                places.to(path, **{f"{path}_segment": code})


def one(key: str, label: str, viewer: Viewer) -> tuple[str, Whose]:
    """One segment or everyone, standing in the address: its code ('' for everyone), name and rule."""
    found = _usable(viewer)
    code = controls.select(key, label, list(found), _("Everyone"), lambda code: found[code].name)
    return code, found.get(code, Whose(_("Everyone")))


def called(code: str, viewer: Viewer) -> Whose | None:
    """The segment of a code, an archived one too; None where the viewer does not have it."""
    found = _usable(viewer).get(code)
    number = code.removeprefix(SAVED)
    if found or number == code or not number.isdecimal() or len(number) > MOST_DIGITS:
        return found
    try:
        one = data.read(saved_segments.get, viewer=viewer, segment_id=int(number))
    except NotFound:
        return None
    return None if one.problem or segment_choices.hidden(one.rule, viewer) else Whose(one.name, rules.written(one.rule))


def known(viewer: Viewer) -> Mapping[str, Whose]:
    """Code → everyone, and the saved and ready-made segments that this viewer may count by."""
    return {_EVERYONE: Whose(_("Everyone")), **_usable(viewer)}


def _usable(viewer: Viewer) -> Mapping[str, Whose]:
    """Code → saved and ready-made segments that this viewer may count by."""
    kept = data.read(saved_segments.saved, viewer=viewer)
    usable = [one for one in kept if not one.problem and not segment_choices.hidden(one.rule, viewer)]
    saved = {f"s{one.id}": Whose(one.name, rules.written(one.rule)) for one in usable}
    ready = {code: Whose(name, rules.written(rule)) for code, (name, rule) in saved_segments.ready().items()}
    return saved | ready


def named(whose: Whose, against: Whose | None) -> str:
    """Of whom, and against whom, for the line under the title."""
    name = wording.plain(whose.name)
    return _("{name} against {other}").format(name=name, other=wording.plain(against.name)) if against else name


def side(screen: str, of: Whose, against: Whose | None) -> Whose:
    """Which of two groups the table and the list of people are of."""
    if against is None:
        return of
    both = {"of": of, "against": against}
    key = f"{screen}_side"
    return both[controls.switch(key, _("Whose table"), list(both), lambda code: both[code].name, default="of")]


def people(screen: str, rule: str, *, viewer: Viewer) -> None:
    """The customers who fit a rule (JSON), a page at a time; and the way to the rule as a segment."""
    if not viewer.can(Permission.CUSTOMERS_READ):
        return
    today, number = page.today(), controls.page_number(f"{screen}_page", rule)
    found = data.read(segments.preview, viewer=viewer, rule=rule, today=today, offset=(number - 1) * PAGE, limit=PAGE)
    below = listed(screen, found, number, viewer=viewer)
    if below is not None:
        with below:
            places.link("segment", _("Make it a segment"), icon=":material/pie_chart:", segment_rule=rule)


def listed(screen: str, found: customers.Page, number: int, *, viewer: Viewer) -> DeltaGenerator | None:
    """A page of customers, one of whom may be looked at; gives the place below for what can be done with all,
    None without anybody."""
    if found.rows.empty:
        st.caption(_("Nobody."))
        return None
    picked = customer_list.pick(
        found.rows,
        stages={s.value: _(STAGE_NAMES[s]) for s in Stage},
        currency=page.settings().currency,
        hidden=viewer.masked,
        key=f"{screen}_people",
        most=PAGE,
    )
    if picked.row is not None:
        row = found.rows.iloc[picked.row]
        with picked.beside:
            st.markdown(f"**{wording.plain(row['name'])}**")
            places.link("customer", _("Open"), icon=":material/open_in_full:", id=str(row["id"]))
    with picked.below:
        below = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    with below:
        st.caption(tables.position((number - 1) * PAGE, len(found.rows), found.total), width="content")
        controls.turner(f"{screen}_page", number, -(-found.total // PAGE))
    return below
