"""One segment: its rule as cards or JSON, the exact answer at once, who they are, and keeping it under a name."""

from __future__ import annotations

from functools import partial

import streamlit as st

from analytics.reasons import reason
from components import (
    board_keep,
    bulk_bar,
    controls,
    data,
    explain,
    explorer_view,
    lifecycle_view,
    page,
    places,
    rule_builder,
    segment_actions,
    segment_choices,
    segment_effects,
    segment_life,
    segment_why,
    wording,
)
from components import segment_source as source
from components import segment_view as view
from db import campaigns, rules, saved_segments, segment_spread, segments
from db.errors import Conflict, Invalid, NotFound
from db.metrics import SEGMENT_METRICS, STAGE_NAMES, Stage
from db.permissions import Permission
from db.words import _

viewer = page.require(Permission.SEGMENTS_READ)
PAGE = 20
settings, today = page.settings(), page.today()
asked, code = st.query_params.get("id", ""), st.query_params.get("segment_ready", "")
one, ready, notes = None, saved_segments.ready().get(code), []
places.link("segments", _("Segments"), icon=":material/arrow_back:")
if asked:
    try:
        one = data.read(saved_segments.get, viewer=viewer, segment_id=view.number(asked))
    except NotFound:
        if source.PARAMETER not in st.query_params:
            raise
        notes = [_("the link's segment is not shared with you; its rule is")]
begun = source.source(one, code, ready[1] if ready else None)
fresh = wording.freshness(data.read(campaigns.waiting_since, viewer=viewer))
notes += (*view.notes(one, ready=bool(ready)), fresh, wording.demo(settings.demo_days))
title = wording.plain(one.name) if one else ready[0] if ready else _("New segment")
with page.heading(title, explain.context(viewer, *notes)):
    board_keep.button(viewer, "segment", problem=view.unkept(one, ready=bool(ready)))
    told = {"filters": _("The rule, in words beside it"), "rows": _("The customers who fit are listed below.")}
    explain.about(SEGMENT_METRICS.values(), **told, fresh=fresh)


@page.fragment
def work() -> None:
    """The builder, the answer beside it, the people below."""
    problem = source.adopt(begun, viewer) or (one.problem if one else "")
    if problem:
        view.unreadable(problem, one)
    if source.outdated(begun):
        view.outdated(begun, take=source.take)
    draft = source.draft()
    choices = segment_choices.Choices(viewer, fields=source.fields(), rule=source.rule())
    left, right = st.columns([7, 5])
    with left:
        brief = view.brief()
        seen = {"fields": segment_choices.visible(viewer), "choices": choices, "numbers": source.number}
        effects = rule_builder.draw(draft, **seen)
        rule = source.settle()
        segment_actions.editing(rule, key=source.fingerprint(rule), viewer=viewer)
    question = {"viewer": viewer, "rule": rules.written(rule), "today": today}
    with right:
        act = segment_actions.bar(rule, saved=one, begun=begun, viewer=viewer)
        said = st.container()  # what goes wrong stands by the buttons
        found = data.read(segments.explore, **question)
        warning = view.answer(found, segment_choices.sentence(rule, choices), scoped=viewer.scoped, brief=brief)
        more = {by: partial(data.read, segment_spread.spread, **question, by=by) for by in segment_spread.MORE}
        stages = lifecycle_view.version_said(viewer, "stages", settings.time_zone)
        view.spread(found, segments.DIMENSIONS, more=more, stages=stages)
        segment_why.card(question, choices, reason=reason, currency=settings.currency)
    if act:
        with said, page.guard():
            carry_out(*act, rule=rule)
    bulk_bar.of_rule(viewer, rule=question["rule"], total=found.customers)
    number = min(controls.page_number("segment_page", question["rule"]), max(1, -(-found.customers // PAGE)))
    rows = data.read(segments.preview, **question, offset=(number - 1) * PAGE, limit=PAGE, total=found.customers).rows
    shown = {"number": number, "page_size": PAGE, "currency": settings.currency, "hidden": viewer.masked}
    view.people(rows, found.customers, stages={s.value: _(STAGE_NAMES[s]) for s in Stage}, **shown)
    # Last: it counts many rules, and nothing above waits for it.
    segment_effects.draw(draft, effects, warning, question=question, found=found, choices=choices)


def carry_out(what: str, values: dict, *, rule: rules.Group) -> None:
    """Archive or put back the segment, save it, keep the rule as another one, or who fits now."""
    if what == "archive":
        done = data.write(saved_segments.archive, actor=viewer, segment_id=one.id, screen="segment", **values)
        controls.saved(done, _("Archived.") if values["archived"] else _("Put back on the list."))
    form = values.pop("form", "")
    of = {"segment_id": one.id, "version": source.version()} if what == "save" else {}
    try:
        if what == "freeze":
            segment_life.freeze(rule, values, viewer=viewer, today=today)
        values |= {"rule": rules.written(rule), "screen": "segment"}
        number, done = data.write(saved_segments.save, actor=viewer, **values, **of)
    except (Conflict, Invalid) as error:
        segment_actions.refused(form, error)
    controls.saved(done, _("Segment saved."), leave_to="segment", id=str(number))


work()
explorer_view.links(one, code if ready else "")
if one:
    segment_life.draw(one, viewer=viewer, zone=settings.time_zone, today=today)
    made = data.read(saved_segments.history, viewer=viewer, segment_id=one.id)
    view.history(made, viewer=viewer, zone=settings.time_zone)
