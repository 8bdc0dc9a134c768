"""One segment: its rule as cards or JSON, the exact answer at once, who they are, and keeping it under a name."""

from __future__ import annotations

import streamlit as st

from components import (
    controls,
    customer_list,
    data,
    explain,
    page,
    places,
    rule_builder,
    segment_actions,
    segment_choices,
    segment_source,
    segment_view,
    tables,
    wording,
)
from components.segment_source import PARAMETER, Source
from db import campaigns, rules, saved_segments, segments
from db.errors import Invalid, NotFound
from db.metrics import SEGMENT_METRICS, STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)

PAGE = 20
settings, today = page.settings(), page.today()
stages = {s.value: _(STAGE_NAMES[s]) for s in Stage}
asked, code = st.query_params.get("id", ""), st.query_params.get("segment_ready", "")
one, ready, notes = None, saved_segments.ready().get(code), []
places.link("segments", _("Segments"), icon=":material/arrow_back:")
if asked:
    legible = asked.isascii() and asked.isdecimal() and len(asked) < 19
    try:
        one = data.read(saved_segments.get, viewer=viewer, segment_id=int(asked) if legible else 0)
    except NotFound:
        if PARAMETER not in st.query_params:
            raise
        notes.append(_("The link's segment is not shared with you; its rule is"))
if one:
    source = Source(f"id {one.id} {one.version}", one.rule)
    notes += [
        wording.plain(one.description.replace("\n", " ")),
        _("{name}'s").format(name=wording.plain(one.owner)),
        _("colleagues may see it") if one.shared else _("private"),
        _("archived") if one.archived_at else "",
    ]
else:
    source = Source(f"ready {code}", ready[1]) if ready else Source("new", rules.EVERYONE)
    notes += [_("ready-made")] if ready else []
fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
title = wording.plain(one.name) if one else ready[0] if ready else _("New segment")
with page.heading(title, explain.context(viewer, *notes, fresh, wording.demo(settings.demo_days))):
    below = _("The customers who fit are listed below.")
    explain.about(SEGMENT_METRICS.values(), filters=_("The rule, in words beside it"), fresh=fresh, rows=below)


def keep(what: str, values: dict) -> None:
    """Save the rule, under the present name or a new one."""
    form = values.pop("form", "")
    of = {"segment_id": one.id, "version": one.version} if one and what == "save" else {}
    try:
        number, done = data.write(
            saved_segments.save, actor=viewer, rule=rules.written(rule_now()), screen="segment", **values, **of
        )
    except Invalid as error:
        segment_actions.refused(form, error)
    controls.saved(done, _("Segment saved."), leave_to="segment", id=str(number))


def rule_now() -> rules.Group:
    """The rule as it stands."""
    return segment_source.settle(source)


@page.fragment
def work() -> None:
    """The builder, the answer beside it, the people below."""
    problem = segment_source.adopt(source)
    if problem:
        st.error(problem)
    draft = segment_source.draft()
    left, right = st.columns([7, 5])
    places_of_effects = {}
    choices = segment_choices.Choices(viewer, fields=segment_source.fields(), rule=segment_source.rule())
    with left:
        if draft:
            fields = segment_choices.visible(viewer)
            with st.container(border=True):
                places_of_effects = rule_builder.draw(
                    draft, fields=fields, choices=choices, numbers=segment_source.number
                )
        else:
            st.info(_("This rule is nested deeper than the cards show: change it as JSON."))
        rule = rule_now()
        segment_actions.editing(rule, key=segment_source.fingerprint(rule))
    with right:
        act = segment_actions.bar(rule, saved=one, changed=rule != source.rule, viewer=viewer)
        found = data.read(segments.explore, viewer=viewer, rule=rules.written(rule), today=today)
        segment_view.answer(found, segment_choices.sentence(rule, choices))
        segment_view.spread(found, segments.DIMENSIONS)
    if draft:
        segment_view.effects(places_of_effects, [part.id for part in draft.counted()], found.effects)
    if act and act[0] == "archive":
        done = data.write(saved_segments.archive, actor=viewer, segment_id=one.id, archived=act[1], screen="segment")
        controls.saved(done, _("Archived.") if act[1] else _("Put back on the list."))
    elif act:
        with page.guard():
            keep(*act)
    people(rule, found.customers)


def people(rule: rules.Group, total: int) -> None:
    """Who fits, by revenue, a page at a time."""
    number = controls.page_number("segment_page", rules.written(rule))
    number = min(number, max(1, -(-total // PAGE)))
    rows = data.read(
        segments.preview,
        viewer=viewer,
        rule=rules.written(rule),
        today=today,
        offset=(number - 1) * PAGE,
        limit=PAGE,
        total=total,
    ).rows
    st.markdown("**" + _("Who they are · by revenue") + "**")
    if rows.empty:
        st.caption(_("Nobody fits. The numbers under the conditions tell which one leaves nobody."))
        return
    picked = customer_list.pick(
        rows, stages=stages, currency=settings.currency, hidden=viewer.masked, key="segment_people"
    )
    if picked.row is not None:
        row = rows.iloc[picked.row]
        with picked.beside:
            st.markdown(f"**{wording.plain(row['name'])}**")
            places.link("customer", _("Open"), icon=":material/open_in_full:", id=str(row["id"]))
    with picked.below, st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(tables.position((number - 1) * PAGE, len(rows), total), width="content")
        controls.turner("segment_page", number, -(-total // PAGE))


work()
if one:
    with st.expander(_("History"), icon=":material/history:"):
        made = data.read(saved_segments.history, viewer=viewer, segment_id=one.id)
        segment_view.history(made, viewer=viewer, zone=settings.time_zone)
