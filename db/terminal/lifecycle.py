"""Commands over the rules of the stages and the scores: those in force, and all versions."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from db import definitions, lifecycle, score_rules, settings
from db.connection import begin
from db.definitions import Rules
from db.lifecycle import StageRules
from db.metrics import N_, STAGE_NAMES
from db.permissions import Permission
from db.schema_definitions import KINDS
from db.terminal import output as out
from db.terminal.command import Command, no_options, viewer_of
from db.terminal.output import Output
from db.words import _


def _said(rules: Rules) -> dict[str, str]:
    """Stage or measure → its rule in words."""
    if isinstance(rules, StageRules):
        return {stage.value: words for stage, words in lifecycle.said(rules).items()}
    return score_rules.said(rules)


def _names(kind: str) -> dict[str, str]:
    if kind == lifecycle.KIND:
        return {stage.value: _(name) for stage, name in STAGE_NAMES.items()}
    return {measure: _(name) for measure, name in score_rules.NAMES.items()}


def _show(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        found = {kind: definitions.in_force(conn, viewer=viewer, kind=kind) for kind in KINDS}
    data = {
        kind: {
            "number": one.number,
            "since": one.since,
            "rules": one.rules.stored(),
            "said": [{"of": name, "rule": words} for name, words in _said(one.rules).items()],
        }
        for kind, one in found.items()
    }
    told = []
    titles = {"stages": _("Stages"), "scores": _("Scores")}
    for kind, one in found.items():
        since = _("By version {n} of the rules, in force since {time}.")
        names = _names(kind)
        told.append(out.line(titles[kind], since.format(n=one.number, time=out.instant(one.since, zone))))
        told.append(out.fields({names[name]: words for name, words in _said(one.rules).items()}))
    return Output(data, "\n\n".join(told))


def _versions_options(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, help=_("the rules of the stages, or the bounds of the scores"))


def _versions(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        zone = settings.get(conn).time_zone
        found = definitions.versions(conn, viewer=viewer, kind=args.kind)
    rows: list[dict[str, Any]] = [
        {
            "number": one.number,
            "in_force": one.in_force,
            "made_at": one.made_at,
            "by": one.by,
            "reason": one.reason,
            "rules": None if one.rules is None else one.rules.stored(),
        }
        for one in found
    ]
    listed = out.table(
        {
            _("Version"): [str(one.number) for one in found],
            _("In force"): [_("yes") if one.in_force else "" for one in found],
            _("Saved"): [out.instant(one.made_at, zone) for one in found],
            _("By"): [one.by or _("as delivered") for one in found],
            _("Why"): [one.reason for one in found],
        },
        right=(_("Version"),),
    )
    return Output({"kind": args.kind, "rows": rows}, listed)


_READ = (Permission.OVERVIEW_READ,)

COMMANDS = (
    Command("lifecycle show", N_("the rules of the stages and scores in force"), _READ, no_options, _show),
    Command("lifecycle versions", N_("all versions of these rules"), _READ, _versions_options, _versions),
)
