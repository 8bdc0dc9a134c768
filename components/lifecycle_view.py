"""The rules of the stages and the bounds of the scores: a draft to try, what it would change, and all versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import customer_inputs, data, format, places, tables, wording
from db import definitions, lifecycle, score_rules
from db.definitions import Effect, InForce, Version
from db.errors import Invalid
from db.fields import SCORES
from db.lifecycle import StageRules
from db.metrics import STAGE_NAMES, Stage
from db.permissions import Viewer
from db.score_rules import ScoreRules
from db.words import _

MOST_FLOWS = 10
"""Flows that are shown, the largest."""


def version_said(viewer: Viewer, kind: str, zone: str) -> str:
    """By which version customers are told apart, and since when."""
    now = data.read(definitions.in_force, viewer=viewer, kind=kind)
    said = _("By version {n} of the rules, in force since {time}.")
    return said.format(n=now.number, time=format.instant(now.since, zone))


def rules_said(viewer: Viewer) -> str:
    """The rules of the stages in force as a list, for the help beside a title."""
    rules = data.read(definitions.in_force, viewer=viewer, kind=lifecycle.KIND).rules
    assert isinstance(rules, StageRules)
    return "\n".join(f"- **{_(STAGE_NAMES[stage])}**: {rule}" for stage, rule in lifecycle.said(rules).items())


def stage_said(viewer: Viewer, stage: str, zone: str) -> str:
    """What the stage of a customer means, and by which version."""
    rules = data.read(definitions.in_force, viewer=viewer, kind=lifecycle.KIND).rules
    assert isinstance(rules, StageRules)
    return f"{lifecycle.said(rules)[Stage(stage)]}\n\n{version_said(viewer, lifecycle.KIND, zone)}"


def way(viewer: Viewer) -> None:
    """The way to the rules of the stages, which names their version."""
    number = data.read(definitions.in_force, viewer=viewer, kind=lifecycle.KIND).number
    places.link("lifecycle", _("Rules, version {n}").format(n=number), icon=":material/rule:")


# --- the draft -------------------------------------------------------------------------------------------------------


def begin_with(kind: str, now: InForce, listed: Sequence[Version]) -> Version:
    """Which version the draft begins with; another one than that in force is how it is looked at and brought back."""
    known = {each.number: each for each in listed if each.rules is not None}
    names = {
        n: _("Version {n} (in force)").format(n=n) if each.in_force else _("Version {n}").format(n=n)
        for n, each in known.items()
    }
    number = st.selectbox(
        _("Begin with"),
        list(known),
        list(known).index(now.number),
        format_func=names.__getitem__,
        key=f"lifecycle_from_{kind}_{now.row_version}",
    )
    return known[number]


def form(kind: str, start: Version, now: InForce) -> tuple[dict[str, Any], dict[str, DeltaGenerator]]:
    """What is entered, and the places under the fields for what is wrong with it."""
    key = f"lifecycle_{kind}_{now.row_version}_{start.number}"
    if isinstance(start.rules, StageRules):
        return _stage_form(key, start.rules)
    assert isinstance(start.rules, ScoreRules)
    return _score_form(key, start.rules)


def _stage_form(key: str, rules: StageRules) -> tuple[dict[str, Any], dict[str, DeltaGenerator]]:
    under: dict[str, DeltaGenerator] = {}
    found: dict[str, Any] = {"risk_tenths": None, "lost_tenths": None}

    def number(name: str, label: str, held: float, **options: Any) -> Any:
        with st.container(gap="xsmall"):
            entered = st.number_input(label, value=held, key=f"{key}_{name}", **options)
            under[name] = st.container(gap=None)
        return entered

    whole = {"min_value": 0, "step": 1}
    with st.container(horizontal=True, vertical_alignment="top"):
        most = {**whole, "max_value": lifecycle.MOST_ORDERS}
        found["repeat_orders"] = number("repeat_orders", _("Repeat buyer from … orders"), rules.repeat_orders, **most)
        found["loyal_orders"] = number("loyal_orders", _("Loyal from … orders"), rules.loyal_orders, **most)
    with st.container(horizontal=True, vertical_alignment="top"):
        most = {**whole, "max_value": lifecycle.MOST_DAYS}
        found["risk_days"] = number("risk_days", _("At risk after … days"), rules.risk_days, **most)
        found["lost_days"] = number("lost_days", _("Lost after … days"), rules.lost_days, **most)
    by_rhythm = st.toggle(
        _("By each customer's own rhythm"),
        rules.by_rhythm,
        key=f"{key}_rhythm",
        help=_("Where the usual interval between purchases is known, a number of these intervals counts, not days."),
    )
    if by_rhythm:
        risk, lost = lifecycle.USUAL_TENTHS
        with st.container(horizontal=True, vertical_alignment="top"):
            times: dict[str, Any] = {
                "min_value": 0.0,
                "max_value": float(lifecycle.MOST_TIMES),
                "step": 0.5,
                "format": "%.1f",
            }
            for name, label, usual in (
                ("risk_tenths", _("At risk after … intervals"), risk),
                ("lost_tenths", _("Lost after … intervals"), lost),
            ):
                entered = number(name, label, (getattr(rules, name) or usual) / 10, **times)
                found[name] = None if entered is None else lifecycle.tenths(round(entered, 3))
    return found, under


def _score_form(key: str, rules: ScoreRules) -> tuple[dict[str, Any], dict[str, DeltaGenerator]]:
    under: dict[str, DeltaGenerator] = {}
    found: dict[str, Any] = {}
    ways = {"fifths": _("Fifths"), "fixed": _("Fixed bounds")}
    labels = {
        "recency": _("Score {n}: at most … days"),
        "frequency": _("Score {n}: from … orders"),
        "monetary": _("Score {n}: revenue from …"),
    }
    for name, title in score_rules.NAMES.items():
        held = getattr(rules, name)
        chosen = st.segmented_control(
            _(title),
            list(ways),
            default="fixed" if held else "fifths",
            required=True,
            format_func=ways.__getitem__,
            key=f"{key}_{name}_way",
        )
        found[name] = None
        if chosen == "fixed":
            step: dict[str, Any] = {"step": 1.0, "format": "%.2f"} if name == "monetary" else {"step": 1}
            start = held or score_rules.USUAL[name]
            scores = (5, 4, 3, 2) if name == "recency" else (2, 3, 4, 5)
            with st.container(horizontal=True, vertical_alignment="bottom"):
                found[name] = [
                    _bound(labels[name].format(n=score), at, f"{key}_{name}_{score}", step, money=name == "monetary")
                    for score, at in zip(scores, start, strict=True)
                ]
        under[name] = st.container(gap=None)
    return found, under


def _bound(label: str, held: Decimal | int, key: str, step: Mapping[str, Any], *, money: bool) -> Any:
    entered: float | None = st.number_input(
        label, value=float(held) if money else int(held), key=key, width=150, **step
    )
    return "" if entered is None else round(entered, 4) if money else entered


def explain(under: Mapping[str, DeltaGenerator], error: Invalid) -> None:
    """What is wrong, under its fields; what concerns none of them by itself."""
    for name, sentence in error.fields.items():
        if name in under:
            customer_inputs.problem(under[name], sentence)
    if not error.fields.keys() & under.keys():
        st.error(wording.sentence(error.message))


# --- what it would change --------------------------------------------------------------------------------------------


def effect(kind: str, found: Effect, draft: Mapping[str, Any], now: InForce) -> None:
    """Customers now and by the draft, and who would move from where to where."""
    same = (lifecycle.parse if kind == lifecycle.KIND else score_rules.parse)(draft) == now.rules
    if same:
        st.caption(_("These are the rules in force: change a number to see who would move."))
    if kind == lifecycle.KIND:
        names = {stage.value: _(STAGE_NAMES[stage]) for stage in Stage}
        said = {stage.value: rule for stage, rule in lifecycle.said(lifecycle.parse(draft)).items()}
        _part(found, kind, _("Stage"), names, said, same=same)
        return
    names = {score: score for score in SCORES} | {"": _("no order yet")}
    words = score_rules.said(score_rules.parse(draft))
    for measure, title in score_rules.NAMES.items():
        st.markdown("**" + _(title) + "** · " + words[measure])
        _part(found, measure, _("Score"), names, {}, same=same)


def _part(
    found: Effect, part: str, head: str, names: Mapping[str, str], said: Mapping[str, str], *, same: bool
) -> None:
    now, then = found.now(part), found.then(part)
    rows = [code for code in names if code or now.get(code) or then.get(code)]
    frame = {
        head: [names[code] for code in rows],
        **({_("Rule"): [said[code] for code in rows]} if said else {}),
        _("Now"): [format.number(now.get(code, 0)) for code in rows],
        _("Draft"): [format.number(then.get(code, 0)) for code in rows],
        _("Change"): [_signed(then.get(code, 0) - now.get(code, 0)) for code in rows],
    }
    with st.container(key=f"kehu_wrapped_{part}"):
        tables.small(pd.DataFrame(frame), right=(_("Now"), _("Draft"), _("Change")))
    flows = found.flows(part)
    if same:
        return
    if not flows:
        st.caption(_("Nobody would move."))
        return
    total = sum(now.values())
    said_moved = _("{n} of {total} customers would move ({share}):").format(
        n=format.number(found.moved(part)), total=format.number(total), share=format.percent(found.moved(part) / total)
    )
    st.caption(said_moved)
    shown = flows[:MOST_FLOWS]
    moves = {
        _("From"): [names.get(a, a) for a, _b, _n in shown],
        _("To"): [names.get(b, b) for _a, b, _n in shown],
        _("Customers"): [format.number(n) for _a, _b, n in shown],
    }
    tables.small(pd.DataFrame(moves), right=(_("Customers"),))
    if len(flows) > MOST_FLOWS:
        st.caption(_("{n} smaller moves are not shown.").format(n=len(flows) - MOST_FLOWS))


def _signed(n: int) -> str:
    return f"+{format.number(n)}" if n > 0 else f"−{format.number(-n)}" if n < 0 else "0"


# --- versions --------------------------------------------------------------------------------------------------------


def versions(listed: Sequence[Version], now: InForce, zone: str) -> None:
    """All versions, the latest first: since when, by whom, why, and what they say."""
    frame = {
        _("Version"): [str(each.number) for each in listed],
        _("State"): [_state(each, now) for each in listed],
        _("In force since"): [format.instant(each.made_at, zone) for each in listed],
        _("By"): [wording.person(each.by) if each.by else _("as delivered") for each in listed],
        _("Why"): [each.reason or "–" for each in listed],
        _("Rules"): [_in_short(each) for each in listed],
    }
    with st.container(key="kehu_wide_versions"):
        tables.small(pd.DataFrame(frame))
    with st.container(gap="small", key="kehu_narrow_versions"):
        for each in listed:
            st.markdown("**" + wording.line(_("Version {n}").format(n=each.number), _state(each, now)) + "**")
            by = wording.person(each.by) if each.by else _("as delivered")
            why = wording.plain(each.reason.replace("\n", " "))
            st.caption(wording.line(format.instant(each.made_at, zone), wording.plain(by), why))
            st.markdown(wording.plain(_in_short(each)))


def _state(each: Version, now: InForce) -> str:
    if each.in_force:
        return _("In force")
    return _("Taken back") if each.number > now.number else _("Replaced")


def _in_short(each: Version) -> str:
    if isinstance(each.rules, StageRules):
        words = lifecycle.said(each.rules)
        shown = (Stage.REPEAT, Stage.LOYAL, Stage.AT_RISK, Stage.LOST)
        return wording.line(*(wording.labelled(_(STAGE_NAMES[stage]), words[stage]) for stage in shown))
    if isinstance(each.rules, ScoreRules):
        said = score_rules.said(each.rules)
        return wording.line(*(wording.labelled(_(name), said[key]) for key, name in score_rules.NAMES.items()))
    return _("not readable any more")
