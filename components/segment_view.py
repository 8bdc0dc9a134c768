"""A segment as people read it: how many fit, how they differ from everyone, what each condition does, its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import (
    charts,
    controls,
    customer_list,
    format,
    history_lines,
    places,
    segment_source,
    tables,
    undo_bar,
    wording,
)
from db.fields import FIELDS
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Viewer
from db.words import _

MOST_BARS = 12


def brief() -> DeltaGenerator:
    """On a phone, where the answer is far below the builder: a place for the count that stays above it in sight."""
    return st.container(key="kehu_narrow_count")


def answer(found: Any, sentence: str, *, scoped: bool, brief: DeltaGenerator) -> DeltaGenerator:
    """The rule in words, the count and the share, both also in the place of `brief`; gives a place for a warning below.

    `found` is as db.segments.explore gives it; `scoped`: whether the viewer sees only some of the customers.
    """
    share = found.customers / found.everyone if found.everyone else None
    told = _("{share} of your {n} customers") if scoped else _("{share} of {n} customers")
    told = told.format(share=format.percent(share), n=format.number(found.everyone))
    with brief:
        st.markdown(wording.line(f"**{format.number(found.customers)}**", told if found.everyone else ""))
    with st.container(border=True, key="segment_answer"):
        st.markdown(wording.plain(sentence))
        with st.container(gap=None):
            st.metric(
                _("Customers who fit"),
                format.number(found.customers),
                help=_("Counted exactly, now, among the customers you may see that are not archived."),
            )
            st.markdown(told if found.everyone else _("There is nobody to count yet."))
        return st.container(gap="small")


def number(written: str) -> int:
    """A segment's number as an address has it; 0 for what is none."""
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 19 else 0


def spread(
    found: Any, dimensions: Sequence[str], *, more: Mapping[str, Callable[[], pd.DataFrame]], stages: str = ""
) -> None:
    """How the segment differs from everyone by one dimension at a time; `more` are read when they are chosen.

    `stages` says by which rules stages are told.
    """
    names = dimensions_of((*dimensions, *more))
    with st.container(border=True):
        st.markdown("**" + _("Against everyone · share of customers by") + "**")
        by = controls.switch("segment_by", _("Cut by"), list(names), names.__getitem__, default="stage", hidden=True)
        asked = by in more and found.customers
        bars(found, by, more[by]() if asked else found.spread[found.spread["dimension"] == by])
        if by == "stage" and stages and found.customers:
            st.caption(stages)


def bars(found: Any, by: str, rows: pd.DataFrame, *, key: str = "segment_spread") -> None:
    """The segment against everyone by one dimension; `rows` have value, customers, everyone."""
    if not found.customers:
        st.caption(_("Nobody fits, so there is nothing to compare."))
        return
    shown = rows.head(MOST_BARS)
    shares = [n / found.customers for n in shown["customers"]]
    charts.compared(
        [value_name(by, value) for value in shown["value"]],
        shares,
        [n / found.everyone for n in shown["everyone"]],
        [f"{format.percent(share)} · {format.number(n)}" for share, n in zip(shares, shown["customers"], strict=True)],
        of_whom=_("This segment"),
        others_of_whom=_("Everyone"),
        key=key,
        alt=_("Share of customers, this segment and everyone"),
    )
    if len(rows) > len(shown):
        st.caption(_("The first {n} of {total}.").format(n=len(shown), total=len(rows)))


def dimensions_of(keys: Sequence[str]) -> dict[str, str]:
    """What customers are cut by → what it is called."""
    return {key: _(FIELDS[key].name) for key in keys}


def value_name(dimension: str, value: str) -> str:
    """A value that customers are cut by, in words."""
    if dimension == "stage":
        return _(STAGE_NAMES[Stage(value)])
    return wording.translated(value) if value else _("not known")


def unkept(one: Any, *, ready: bool) -> str:
    """Why a board cannot keep what is shown of a segment, in a sentence; '' where it can."""
    if segment_source.PARAMETER in st.query_params or not (one or ready):
        return _("A board keeps what is shown of saved and ready-made segments. Save the segment first.")
    if one and (one.problem or one.archived_at):
        return _("This segment cannot be read or is archived, so a board would show nothing of it.")
    return ""


def unreadable(problem: str, one: Any) -> None:
    """Why a rule cannot be read; of a saved segment also what is kept, to be changed and used."""
    st.error(wording.sentence(problem))
    if segment_source.PARAMETER in st.query_params:
        st.caption(_("The rule of this address cannot be read, so what is shown here is without it."))
    if one is not None and one.written:
        st.caption(_("This is the rule as it is kept. Change a copy of it under “As JSON”."))
        st.code(one.written, language="json", height=min(300, 40 + 24 * one.written.count("\n")))


def notes(one: Any, *, ready: bool) -> list[str]:
    """What the line under the title says of a saved segment, or of a ready-made one."""
    if one is None:
        return [_("ready-made")] if ready else []
    return [
        wording.plain(one.description.replace("\n", " ")),
        _("by {name}").format(name=wording.plain(one.owner)),
        _("colleagues may see it") if one.shared else _("private"),
        _("in the folder {name}").format(name=wording.plain(one.folder)) if one.folder else "",
        *(f"#{wording.plain(tag)}" for tag in one.tags),
        _("archived") if one.archived_at else "",
    ]


def outdated(source: Any, *, take: Callable[[Any], None]) -> None:
    """Somebody saved the segment while this rule was being changed: both are there to choose from."""
    with st.container(border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(_("Somebody changed this segment meanwhile. Save your rule as another one, or take theirs."))
        st.button(_("Take theirs"), key="segment_take", on_click=take, args=(source,))


def people(
    rows: pd.DataFrame, total: int, *, number: int, page_size: int, stages: Mapping[str, str], **options: Any
) -> None:
    """Who fits, a page at a time; one may be clicked and opened. `options` are those of the list of customers."""
    st.markdown("**" + _("Who they are · by revenue") + "**")
    if rows.empty:
        st.caption(_("Nobody fits. The numbers beside the conditions tell which one leaves nobody."))
        return
    picked = customer_list.pick(rows, stages=stages, key="segment_people", most=page_size, **options)
    if picked.row is not None:
        row = rows.iloc[picked.row]
        with picked.beside:
            st.markdown(f"**{wording.plain(row['name'])}**")
            places.link("customer", _("Open"), icon=":material/open_in_full:", id=str(row["id"]))
    with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(tables.position((number - 1) * page_size, len(rows), total), width="content")
        if picked.row is None:
            st.caption(_("Click a row to see the customer."), width="content")
        controls.turner("segment_page", number, -(-total // page_size))


def history(rows: Sequence[Mapping[str, Any]], *, viewer: Viewer, zone: str) -> None:
    """The changes of a saved segment, each with its undo where it is the viewer's own."""
    asked: int | None = None
    folded = st.expander(_("History"), icon=":material/history:")
    for row in rows:
        with folded, st.container(border=True, gap="small"):
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown("**" + history_lines.title(row["command"], row["undoes_id"]) + "**", width="content")
                number = int(row["change_set_id"])
                if row["undone_by"] is not None:
                    st.caption(_("undone"), width="content")
                elif row["mine"] and st.button(_("Undo"), icon=":material/undo:", key=f"segment_undo_{number}"):
                    asked = number
            who = wording.plain(wording.actor(row["actor"]))
            st.caption(f"{who} · {format.instant(row['made_at'], zone)} · #{number}")
            history_lines.draw(_lines(row), viewer=viewer, people={})
    if asked:
        undo_bar.take_back(asked, viewer=viewer, screen="segment")


def _lines(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    before, after = row["before"] or {}, row["after"] or {}
    if not row["before"]:
        return []
    return [{"column": c, "before": before.get(c), "after": after.get(c)} for c in after]
