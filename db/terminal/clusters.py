"""Commands over clusters of customers: find, list, archive."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from analytics.clusters import FEWEST, MOST, find
from db import clock, cluster_figures, clusters, settings
from db.cluster_values import FEATURES, METHODS, read
from db.connection import begin
from db.errors import Invalid
from db.metrics import N_
from db.permissions import Permission
from db.terminal import output as out
from db.terminal import segment_source
from db.terminal.command import SOURCE, Command, no_options, number, viewer_of
from db.terminal.output import Output
from db.words import _

USUAL = ("recency", "orders", "basket")


def _find_options(parser: ArgumentParser) -> None:
    said = _("what they are told apart by: {known}").format(known=", ".join(FEATURES))
    parser.add_argument("--by", metavar="FIGURE", nargs="+", choices=tuple(FEATURES), default=USUAL, help=said)
    parser.add_argument("--method", choices=tuple(METHODS), default=next(iter(METHODS)), help=_("how they are found"))
    some = _("how many clusters, {fewest} to {most}; without it as many as fit best")
    numbers = range(FEWEST, MOST + 1)
    parser.add_argument(
        "--clusters", metavar="N", type=int, choices=numbers, help=some.format(fewest=FEWEST, most=MOST)
    )
    parser.add_argument("--keep", metavar="NAME", help=_("keep them under this name, as a field of rules"))
    segment_source.options(parser)


def _find(args: Namespace) -> Output:
    viewer = viewer_of(args)
    if args.keep is not None:
        viewer.require(Permission.SEGMENTS_EDIT)
    features = tuple(key for key in FEATURES if key in args.by)
    with begin(viewer) as conn:
        source = segment_source.read(conn, viewer, args)
        asked: dict[str, Any] = {"viewer": viewer, "rule": source.rule}
        asked["today"] = clock.today(settings.get(conn).time_zone)
        rows, total = cluster_figures.sample(conn, features=features, **asked)
        found = find(rows, method=args.method, clusters=args.clusters)
        data: dict[str, Any] = {
            "of": source.code,
            "features": features,
            "method": args.method,
            "total": total,
            "stable": found.stable if found else None,
            "trials": [asdict(trial) for trial in found.trials] if found else [],
            "clusters": [],
            "id": None,
            "change_set_id": None,
        }
        if found is None:
            problem = _("There are too few customers with orders, or they are too much alike, to find clusters.")
            if args.keep is not None:
                raise Invalid(problem)
            return Output(data, problem)
        made: dict[str, Any] = {name: getattr(found, name) for name in ("method", "features", "centers", "scales")}
        made |= {name: getattr(found, name) for name in ("constants", "linear", "squares", "differences")}
        made |= {"of": source.code}
        model = read(made)
        means = cluster_figures.profile(conn, model=made, **asked).set_index("cluster")
    for cluster in model.numbers:
        figures = means.loc[cluster].to_dict() if cluster in means.index else {}
        each = {key: None if out.unknown(value) else round(value, 2) for key, value in figures.items()}
        customers = int(each.pop("customers", 0) or 0)
        data["clusters"].append({"cluster": cluster, "name": model.called(cluster), "customers": customers, **each})
    lines = [_table(data["clusters"])]
    if not found.stable:
        lines.append(_("None is stable: another sample would give other clusters. Take them as a hint."))
    if args.keep is not None:
        with begin(viewer, write=True) as conn:
            kept, set_id = clusters.save(conn, actor=viewer, name=args.keep, model=made, source=SOURCE)
        data |= {"id": kept, "change_set_id": set_id}
        told = _("Clusters {id} are kept; rules ask for them as {field}. To take it back: {commands}")
        lines.append(told.format(id=kept, field=f"cluster.{kept}", commands=f"python -m db undo {set_id}"))
    return Output(data, "\n\n".join(lines))


def _table(found: list[dict[str, Any]]) -> str:
    columns = {_("Cluster"): [each["name"] for each in found]}
    columns[_("Customers")] = [out.number(each["customers"]) for each in found]
    for key, name in FEATURES.items():
        columns[_(name)] = ["–" if each.get(key) is None else f"{each[key]:,.1f}" for each in found]
    return out.table(columns, right=tuple(columns)[1:])


def _list(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer) as conn:
        found = clusters.kept(conn, viewer=viewer)
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "name": one.name,
            "owner": one.owner,
            "made_at": one.made_at,
            "of": one.of,
            "features": list(one.features),
            "clusters": {n: one.called(n) for n in one.numbers},
        }
        for one in found
    ]
    if not rows:
        return Output({"rows": rows}, _("No clusters are kept yet. Keep some: python -m db cluster find --keep NAME"))
    listed = out.table(
        {
            _("Number"): [str(row["id"]) for row in rows],
            _("Name"): [row["name"] for row in rows],
            _("Owner"): [row["owner"] for row in rows],
            _("Clusters"): ["; ".join(row["clusters"].values()) for row in rows],
        },
        right=(_("Number"),),
    )
    return Output({"rows": rows}, listed)


def _archive_options(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=number, help=_("the number of the clusters"))


def _archive(args: Namespace) -> Output:
    viewer = viewer_of(args)
    with begin(viewer, write=True) as conn:
        set_id = clusters.archive(conn, actor=viewer, clusters_id=args.id, source=SOURCE)
    told = _("Taken off the list. To take it back: {commands}").format(commands=f"python -m db undo {set_id}")
    return Output({"id": args.id, "change_set_id": set_id}, told)


_READ = (Permission.SEGMENTS_READ,)

COMMANDS = (
    Command(
        "cluster find",
        N_("customers who buy alike, of everyone or of a segment"),
        (*_READ, Permission.SEGMENTS_EDIT),
        _find_options,
        _find,
    ),
    Command("cluster list", N_("the clusters that are kept"), _READ, no_options, _list),
    Command(
        "cluster archive",
        N_("take clusters off the list"),
        (Permission.SEGMENTS_EDIT,),
        _archive_options,
        _archive,
    ),
)
