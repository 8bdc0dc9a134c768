"""What the list of customers is narrowed by: the search, the filters folded beside it, and each in words under it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import controls, data, format, own_filters, wording
from db import custom_fields, customers, segment_filter, tags
from db.cluster_values import SAVED
from db.custom_values import Field
from db.customer_filters import BEFORE, MOST_DAYS, MOST_FILTER_TAGS, MOST_REVENUE, NEVER, RECENCY, WITHIN, Filters
from db.permissions import Viewer
from db.segment_filter import Named
from db.words import _, ngettext

KEY = "customers"
WIDTH = 230
GAP = 14
MOST_LOOKED_UP = 50
"""Tags of an address that are looked for; more than a filter holds, since some may be no tags."""
_OPEN = f"{KEY}_filters"


@dataclass(frozen=True)
class Choices:
    """What there is to choose from, by its code in the URL, in words; `own` custom fields, and those withheld."""

    owners: Mapping[str, str]
    teams: Mapping[str, str]
    regions: Mapping[str, str]
    sources: Mapping[str, str]
    stages: Mapping[str, str]
    tags: Mapping[str, str]
    currency: str
    own: Mapping[str, Field]
    withheld: Mapping[str, Field]
    segments: Mapping[str, Named]


def choices(
    viewer: Viewer,
    *,
    stages: Mapping[str, str],
    currency: str,
    named: Iterable[str] = (),
    segments_named: Iterable[str] = (),
) -> Choices:
    """What this viewer can narrow the list by; of tags and segments all while the filters are open, else those that
    the filters hold or others have `named`, since to look for all of them takes the database long."""
    whose = data.read(customers.whose, viewer=viewer)
    asked = tuple(dict.fromkeys([*_tags_held(), *named]))
    used = data.read(tags.standing, viewer=viewer, keys=asked) if asked else {}
    if opened():
        used = data.read(tags.offered, viewer=viewer) | used
    occurring = data.read(customers.occurring, viewer=viewer)
    fields_of_all = data.read(custom_fields.in_use, viewer=viewer)
    withheld = {key: field for key, field in fields_of_all.items() if field.personal and viewer.masked}
    return Choices(
        owners={str(i): wording.person(name) for i, name in whose["owner"].items()},
        teams={str(i): name for i, name in whose["team"].items()},
        regions={r: wording.translated(r) for r in occurring["region"]},
        sources={s: wording.translated(s) for s in occurring["source"]},
        stages=stages,
        tags=used,
        currency=currency,
        own={key: field for key, field in fields_of_all.items() if key not in withheld},
        withheld=withheld,
        segments=_segments(viewer, segments_named),
    )


def _segments(viewer: Viewer, others: Iterable[str]) -> dict[str, Named]:
    """Code → segment, of all on the list while the filters are open, and of those that are asked for."""
    asked = tuple(dict.fromkeys(code for code in (_segment_held(), *others) if code))
    found = data.read(segment_filter.offered, viewer=viewer) if opened() else {}
    return found | (data.read(segment_filter.named, viewer=viewer, codes=asked) if asked else {})


def _segment_held() -> str:
    """The code of a segment that the filter holds or the address says, whether there is such a one or not."""
    return str(controls.held(f"{KEY}_segment") or "")


def opened() -> bool:
    """Whether the filters are unfolded."""
    return bool(st.session_state.get(_OPEN))


def _tags_held() -> list[str]:
    """The tags that the filter holds or the address says, whether there are such or not; at most MOST_LOOKED_UP."""
    chosen = controls.held(f"{KEY}_tags") or ()
    listed = chosen.split(",") if isinstance(chosen, str) else chosen if isinstance(chosen, list) else []
    return [str(tag) for tag in dict.fromkeys(listed) if tag][:MOST_LOOKED_UP]


@dataclass(frozen=True)
class Asked:
    """What the list is asked, with room at both ends of the row of controls and below it."""

    filters: Filters
    sort: str
    descending: bool
    first: DeltaGenerator
    last: DeltaGenerator
    below: DeltaGenerator


def search(place: DeltaGenerator, *, masked: bool) -> str:
    """The box to search in; gives what is typed. It stands in the URL, as the filters do."""
    words: str | None = place.text_input(
        _("Search"),
        key=f"{KEY}_search",
        type="search",
        live="200ms",
        bind="query-params",
        max_chars=200,
        icon=":material/search:",
        placeholder=wording.searched(masked=masked),
        help=_("Names and contacts are hidden from your role; search by number or tag.") if masked else None,
        label_visibility="visible" if masked else "collapsed",  # only with it there is a place for the help
    )
    return words or ""


def searched() -> str:
    """What the box holds, or is about to hold, before it is drawn."""
    held = st.session_state.get(f"{KEY}_search", st.query_params.get(f"{KEY}_search"))
    return held if isinstance(held, str) else ""


def draw(known: Choices, *, words: str, sorts: Mapping[str, str]) -> Asked:
    """The filters and the order, beside the words of the search; gives all of them. Every value stands in the URL."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="kehu_filters"):
        first = st.container(width="content")
        n = _count(known)
        label = _("Filters ({n})").format(n=n) if n else _("Filters")
        if _OPEN in st.session_state:  # with another number in its name it is another one, which would be folded
            st.session_state[_OPEN] = opened()
        with st.popover(label, icon=":material/filter_list:", key=_OPEN, on_change="rerun"):
            filters = _within(words, known)
        sort, descending = _order(sorts)
        last = st.container(width="content")
    below = st.container()
    own_filters.remarks(known.own, known.withheld)
    if (one := known.segments.get(filters.segment)) and one.archived:
        said = _("The segment “{name}” is archived. The list shows who fits its rule all the same.")
        st.caption(wording.sentence(said.format(name=wording.plain(one.name))))
    _chips(filters, known)
    return Asked(filters, sort, descending, first, last, below)


def _order(sorts: Mapping[str, str]) -> tuple[str, bool]:
    """What the list is sorted by, and whether downwards; folded, with both on the button."""
    by = controls.held(f"{KEY}_sort")
    down = str(st.session_state.get(f"{KEY}_descending", st.query_params.get(f"{KEY}_descending"))).lower() == "true"
    label = sorts.get(str(by), next(iter(sorts.values())))
    icon = ":material/arrow_downward:" if down else ":material/arrow_upward:"
    with st.popover(label, icon=icon, key=f"{KEY}_order", help=_("What the list is sorted by")):
        sort = controls.order(f"{KEY}_sort", _("Sort by"), list(sorts), sorts.__getitem__)
        descending = st.toggle(_("Descending"), key=f"{KEY}_descending", bind="query-params")
    return sort, descending


def _count(known: Choices) -> int:
    """How many filters there are about to be: the name of what they are folded in is drawn before them."""
    codes: dict[str, Iterable[str]] = {
        "owner": known.owners,
        "team": known.teams if len(known.teams) > 1 else (),
        "stage": known.stages,
        "region": known.regions,
        "source": known.sources,
        "archived": ("yes",),
        "ordered": RECENCY,
        "contacted": RECENCY,
    }
    n = sum(str(controls.held(f"{KEY}_{name}")) in offered for name, offered in codes.items())
    n += bool(_segment_held())
    n += min(len({tag for tag in _tags_held() if tag in known.tags}), MOST_FILTER_TAGS)
    bounds = (controls.held(f"{KEY}_revenue_{end}") for end in ("from", "to"))
    n += len(own_filters.adopt(known.own, known.withheld))
    return n + any(controls.whole(bound, MOST_REVENUE) is not None for bound in bounds)


def _within(words: str, known: Choices) -> Filters:
    """The controls of all filters."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="small", width=2 * WIDTH + 30, key="kehu_filters_lists"
    ):
        owner = _one("owner", _("Owner"), known.owners, _("All owners"))
        team = _one("team", _("Team"), known.teams, _("All teams")) if len(known.teams) > 1 else ""
        stage = _one("stage", _("Stage"), known.stages, _("All stages"))
        region = _one("region", _("Region"), known.regions, _("All regions"))
        source = _one("source", _("Source"), known.sources, _("All sources")) if known.sources else ""
        held = _segment_held()
        kept = {code: each.name for code, each in known.segments.items() if code == held or not each.archived}
        # One that is not there stays, too: without it the list would be everybody's.
        kept |= {held: segment_name(held, known)} if held else {}
        segment = _one("segment", _("Segment"), kept, _("All customers"))
        lists = {"yes": _("Only the archived ones")}
        archived = _one("archived", _("Archive"), lists, _("Not archived"))
    with st.container(width=2 * WIDTH + GAP):
        chosen = controls.several(
            f"{KEY}_tags",
            _("Tags, all of them"),
            list(known.tags),
            known.tags.__getitem__,
            most=MOST_FILTER_TAGS,
            placeholder=_("Choose tags") if known.tags or not opened() else _("No customer has a tag yet"),
        )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="kehu_filters_revenue"):
        low, high = (
            controls.whole_number(f"{KEY}_revenue_{end}", label, most=MOST_REVENUE, placeholder="–", width=WIDTH)
            for end, label in (
                ("from", _("Revenue from ({currency})").format(currency=known.currency)),
                ("to", _("Revenue up to ({currency})").format(currency=known.currency)),
            )
        )
    ordered, ordered_days = _lately("ordered", _("Last order"), _("Never ordered"))
    contacted, contacted_days = _lately("contacted", _("Last contact"), _("Never contacted"))
    own = own_filters.draw(known.own, known.withheld)
    return Filters(
        search=words,
        owner_id=int(owner) if owner else None,
        region=region,
        stage=stage,
        team_id=int(team) if team else None,
        source=source,
        tags=chosen,
        revenue_from=low,
        revenue_to=high,
        ordered=ordered,
        ordered_days=ordered_days,
        contacted=contacted,
        contacted_days=contacted_days,
        archived=bool(archived),
        own=own,
        segment=segment,
    )


def segment_name(code: str, known: Choices) -> str:
    """What a segment is called; one that is out of sight, or gone, by its number."""
    one = known.segments.get(code)
    if one:
        return _("{name} (archived)").format(name=one.name) if one.archived else one.name
    return _("no. {n}, which you do not see").format(n=code.removeprefix(SAVED)[:20])


def _one(name: str, label: str, named: Mapping[str, str], everything: str) -> str:
    return controls.select(f"{KEY}_{name}", label, list(named), everything, named.__getitem__, width=WIDTH)


def _lately(name: str, label: str, never: str) -> tuple[str, int]:
    """How long ago: one of the modes ('' for whenever) and its days."""
    default = _DEFAULT[f"{name}_days"]
    modes = {WITHIN: _("In the last … days"), BEFORE: _("Not for … days"), NEVER: never}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key=f"kehu_filters_{name}"):
        mode = controls.select(f"{KEY}_{name}", label, list(modes), _("Whenever"), modes.__getitem__, width=WIDTH)
        if mode not in (WITHIN, BEFORE):
            return mode, default
        days = controls.whole_number(
            f"{KEY}_{name}_days", _("Number of days"), most=MOST_DAYS, default=default, width=WIDTH
        )
    return mode, default if days is None else days


_DEFAULT = {f.name: f.default for f in fields(Filters) if isinstance(f.default, int)}
USUAL_DAYS = {name: _DEFAULT[f"{name}_days"] for name in ("ordered", "contacted")}
"""Days of a filter, where nobody says how many."""


@dataclass(frozen=True)
class Said:
    """One filter in words, and what its controls hold without it."""

    words: str
    without: Mapping[str, Any]


def told(filters: Filters, known: Choices) -> list[Said]:
    """Each filter in words, in the order of the controls; the search is not among them."""
    found: list[Said] = []

    def say(words: str, **without: Any) -> None:
        found.append(Said(words, {controls.key_of(f"{KEY}_{name}"): held for name, held in without.items()}))

    named = (
        ("owner", _("Owner: {name}"), known.owners, "" if filters.owner_id is None else str(filters.owner_id)),
        ("team", _("Team: {name}"), known.teams, "" if filters.team_id is None else str(filters.team_id)),
        ("stage", _("Stage: {name}"), known.stages, filters.stage),
        ("region", _("Region: {name}"), known.regions, filters.region),
        ("source", _("Source: {name}"), known.sources, filters.source),
    )
    for name, sentence, names, code in named:
        if code:
            say(sentence.format(name=names.get(code, code)), **{name: ""})
    if filters.segment:
        say(_("Segment: {name}").format(name=segment_name(filters.segment, known)), segment="")
    if filters.archived:
        say(_("Only the archived ones"), archived="")
    for tag in filters.tags:
        rest = [other for other in filters.tags if other != tag]
        say(_("Tag: {name}").format(name=known.tags.get(tag, tag)), tags=rest)
    low, high = (
        None if n is None else format.money(n, known.currency) for n in (filters.revenue_from, filters.revenue_to)
    )
    if low is not None and high is not None:
        say(_("Revenue from {low} to {high}").format(low=low, high=high), revenue_from=None, revenue_to=None)
    elif low is not None:
        say(_("Revenue from {low}").format(low=low), revenue_from=None)
    elif high is not None:
        say(_("Revenue up to {high}").format(high=high), revenue_to=None)
    if filters.ordered:
        say(_ordered(filters.ordered, filters.ordered_days), ordered="")
    if filters.contacted:
        say(_contacted(filters.contacted, filters.contacted_days), contacted="")
    for key, written in filters.own:
        others = {other: asked for other, asked in filters.own if other != key}
        say(own_filters.said(known.own[key], written), own=others)
    return found


def sentence(filters: Filters, known: Choices) -> str:
    """The search and the filters in one line."""
    searched = [_("Search: {words}").format(words=filters.search)] if filters.search else []
    return wording.line(*searched, *(one.words for one in told(filters, known))) or _("no filter, everybody")


def _ordered(mode: str, n: int) -> str:
    if mode == NEVER:
        return _("Never ordered")
    if mode == WITHIN:
        return ngettext("Ordered in the last day", "Ordered in the last {n} days", n).format(n=format.number(n))
    return ngettext("No order in the last day", "No order in the last {n} days", n).format(n=format.number(n))


def _contacted(mode: str, n: int) -> str:
    if mode == NEVER:
        return _("Never contacted")
    if mode == WITHIN:
        return ngettext("Contact in the last day", "Contact in the last {n} days", n).format(n=format.number(n))
    return ngettext("No contact in the last day", "No contact in the last {n} days", n).format(n=format.number(n))


def _chips(filters: Filters, known: Choices) -> None:
    """Each filter in words as a button that takes it away."""
    said = told(filters, known)
    if not said:
        return
    with st.container(horizontal=True, gap="small", key=f"{KEY}_chips"):
        for number, one in enumerate(said):
            st.button(
                wording.plain(one.words),
                icon=":material/close:",
                key=f"{KEY}_chip_{number}",
                help=_("Remove this filter"),
                on_click=hold,
                args=([one.without],),
            )
        if len(said) > 1:
            without = [_together(said)]
            st.button(_("Remove all"), type="tertiary", key=f"{KEY}_chips_all", on_click=hold, args=(without,))


def _together(said: Sequence[Said]) -> dict[str, Any]:
    """What all controls hold without any filter; of the tags and the custom fields none is left."""
    held: dict[str, Any] = {}
    for one in said:
        held |= one.without
    return {key: type(value)() if isinstance(value, list | dict) else value for key, value in held.items()}


def hold(without: Sequence[Mapping[str, Any]]) -> None:
    """Before the next run: the controls hold this."""
    for held in without:
        for key, value in held.items():
            st.session_state[key] = value
