"""Every public function of db/ that acts for somebody: how to call it, and the permission that it needs."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import Any

import pandas as pd
from sqlalchemy import Connection

import db
from db import (
    connection,
)
from db.bulk_actions import Action, Chosen
from db.customer_filters import Filters
from db.errors import KehuError
from db.past_classes import kept_days
from db.permissions import Permission, Role, Viewer
from tests.db.planted import TODAY, P, Planted


@dataclasses.dataclass(frozen=True)
class Rule:
    """How to call a function, and the permission it needs (None: it asks for none of its own).

    Values that are functions are applied to the planted ids. What runs as the gate keeps people apart by the viewer's
    id and not by the database's rights.
    """

    permission: Permission | None
    values: Mapping[str, Any]
    gate: bool = False

    @property
    def asks(self) -> bool:
        """Whether it is asked about a row by its id."""
        return any(callable(value) for value in self.values.values())


MODEL: Mapping[str, Any] = {
    "method": "kmeans",
    "features": ["orders"],
    "centers": [1.0],
    "scales": [1.0],
    "constants": [0.0, -1.0],
    "linear": [[0.0], [2.0]],
    "squares": [[0.0], [0.0]],
    "differences": [[-1.0], [1.0]],
}


def _rule(permission: Permission | None, **values: Any) -> Rule:
    return Rule(permission, values)


def _gate_rule(permission: Permission | None, **values: Any) -> Rule:
    return Rule(permission, values, gate=True)


def _customer(ids: Planted) -> int:
    return ids.customer


def _session(ids: Planted) -> int:
    return ids.session


def _task(ids: Planted) -> int:
    return ids.task


def _bulk(ids: Planted) -> Chosen:
    return Chosen(ids=(ids.customer,))


RULES: dict[str, Rule] = {
    "addresses.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, values={"kind": "home", "street": "x"}),
    "addresses.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, address_id=lambda ids: ids.address),
    "addresses.places": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "addresses.save": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, address_id=lambda ids: ids.address, version=1, values={"city": "x"}
    ),
    "attachments.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, name="x.txt", content=b"x"),
    "attachments.content": _rule(P.PERSONAL_READ, customer_id=_customer, attachment_id=lambda ids: ids.file),
    "attachments.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, attachment_id=lambda ids: ids.file),
    "attachments.discard_removed": _rule(P.METRICS_REFRESH),
    "attachments.files": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "bulk_actions.preview": _rule(P.CUSTOMERS_EDIT, today=TODAY, chosen=_bulk, action=Action("archive")),
    "bulk_actions.run": _rule(P.CUSTOMERS_EDIT, today=TODAY, chosen=_bulk, action=Action("archive")),
    "campaign_start.reach": _rule(
        P.CAMPAIGNS_EDIT, rule='{"all": []}', channel="phone", percent=10, unasked=True, today=TODAY
    ),
    "campaign_start.start": _rule(
        P.CAMPAIGNS_EDIT,
        ids=lambda ids: [ids.customer],
        name="x",
        kind="x",
        channel="phone",
        unasked=True,
        starts_on=TODAY,
        ends_on=TODAY,
        today=TODAY,
    ),
    "campaigns.get": _rule(P.CAMPAIGNS_READ, campaign_id=1, today=TODAY),
    "campaigns.league": _rule(P.CAMPAIGNS_READ, today=TODAY),
    "campaigns.names": _rule(P.CAMPAIGNS_READ),
    "boards.add": _rule(P.VIEWS_EDIT, name="x"),
    "boards.archive": _rule(P.VIEWS_EDIT, board_id=lambda ids: ids.board),
    "boards.aside": _rule(P.VIEWS_EDIT),
    "boards.change_card": _rule(P.VIEWS_EDIT, card_id=lambda ids: ids.card, version=1, values={"title": "x"}),
    "boards.get": _rule(P.VIEWS_EDIT, board_id=lambda ids: ids.board),
    "boards.keep": _rule(P.VIEWS_EDIT, board_id=lambda ids: ids.board, chart="repeats", params={}, title="x"),
    "boards.listed": _rule(P.VIEWS_EDIT),
    "boards.move": _rule(P.VIEWS_EDIT, card_id=lambda ids: ids.card, down=True),
    "boards.remove": _rule(P.VIEWS_EDIT, card_id=lambda ids: ids.card),
    "boards.save": _rule(P.VIEWS_EDIT, board_id=lambda ids: ids.board, version=1, values={"name": "x"}),
    "campaigns.products": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "campaigns.redemptions_by_day": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "campaigns.waiting_since": _rule(P.CAMPAIGNS_READ),
    "changes.start": Rule(P.CUSTOMERS_EDIT, {"command": "t", "permission": P.CUSTOMERS_EDIT, "source": "screen"}),
    "consents.current": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "consents.history": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "consents.record": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, channel="sms", state="given", how="x"),
    "contacts.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, values={"name": "x", "main": True}),
    "contacts.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, contact_id=lambda ids: ids.contact),
    "contacts.people": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "contacts.save": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, contact_id=lambda ids: ids.contact, version=1, values={"name": "x"}
    ),
    "definitions.effect": _rule(P.OVERVIEW_READ, kind="stages", rules={"loyal_orders": 9}, today=TODAY),
    "definitions.in_force": _rule(P.OVERVIEW_READ, kind="stages"),
    "definitions.save": _rule(
        P.DEFINITIONS_EDIT, kind="stages", rules={"loyal_orders": 9}, reason="why", row_version=1
    ),
    "definitions.versions": _rule(P.OVERVIEW_READ, kind="stages"),
    "custom_fields.add": _rule(P.FIELDS_EDIT, values={"name": "x", "type": "text"}),
    "custom_fields.archive": _rule(P.FIELDS_EDIT, field_id=1),
    "custom_fields.countable": _rule(P.CUSTOMERS_READ),
    "custom_fields.every": _rule(P.CUSTOMERS_READ),
    "custom_fields.in_use": _rule(P.CUSTOMERS_READ),
    "custom_fields.reorder": _rule(P.FIELDS_EDIT, field_ids=[]),
    "custom_fields.save": _rule(P.FIELDS_EDIT, field_id=1, version=1, values={"name": "x"}),
    "customer.add": _rule(P.CUSTOMERS_EDIT, values={"name": "x"}),
    "customer.add_note": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, body="x"),
    "customer.archive": _rule(P.CUSTOMERS_EDIT, customer_id=_customer),
    "customer.assign": _rule(P.CUSTOMERS_ASSIGN, customer_ids=lambda ids: [ids.customer], owner_id=1),
    "customer.assignees": _rule(P.CUSTOMERS_ASSIGN),
    "customer.campaigns": _rule(P.CAMPAIGNS_READ, customer_id=_customer),
    "customer.delete_note": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, note_id=lambda ids: ids.note),
    "customer.get": _rule(P.CUSTOMERS_READ, customer_id=_customer, today=TODAY),
    "customer.monthly": _rule(P.CUSTOMERS_READ, customer_id=_customer, currency="USD"),
    "customer.notes": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "customer.order_lines": _rule(P.CUSTOMERS_READ, customer_id=_customer, order_id=lambda ids: ids.order),
    "customer.purchases": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "customer.save": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, version=3, values={"name": "x"}),
    "customer.top_categories": _rule(P.CUSTOMERS_READ, customer_id=_customer, currency="USD"),
    "customers.export": _rule(P.CUSTOMERS_EXPORT, today=TODAY, filters=Filters()),
    "customers.owners": _rule(P.USERS_READ),
    "customers.page": _rule(P.CUSTOMERS_READ, today=TODAY),
    "customers.occurring": _rule(P.CUSTOMERS_READ),
    "customers.regions": _rule(P.CUSTOMERS_READ),
    "customers.sources": _rule(P.CUSTOMERS_READ),
    "customers.teams": _rule(P.USERS_READ),
    "customers.matching": _rule(P.CUSTOMERS_READ, today=TODAY, filters=Filters()),
    "customers.whose": _rule(P.USERS_READ),
    "customers.search": _rule(P.CUSTOMERS_READ, today=TODAY, words=lambda ids: str(ids.customer)),
    "drafts.discard": _rule(P.CUSTOMERS_EDIT, form=lambda ids: f"customer:{ids.customer}"),
    "drafts.discard_old": _rule(P.METRICS_REFRESH),
    "drafts.get": _rule(P.CUSTOMERS_EDIT, form=lambda ids: f"customer:{ids.customer}"),
    "drafts.keep": _rule(P.CUSTOMERS_EDIT, form=lambda ids: f"customer:{ids.customer}", values={"name": "x"}),
    "duplicates.find": _rule(P.CUSTOMERS_EDIT, phone="138 0000 1111", email="zekretbo@example.com", name="张bo"),
    "exports.check": _rule(P.CUSTOMERS_EXPORT, kind="customers", params={}, today=TODAY),
    "exports.rows": _rule(P.CUSTOMERS_EXPORT, kind="customers", params={}, today=TODAY),
    "full_text.find": _rule(P.PERSONAL_READ, words="zekret"),
    "affinity.affinity": _rule(P.SEGMENTS_READ, today=TODAY),
    "cohorts.cohorts": _rule(P.SEGMENTS_READ, today=TODAY),
    "repeats.intervals": _rule(P.SEGMENTS_READ, today=TODAY),
    "repeats.waits": _rule(P.SEGMENTS_READ, today=TODAY),
    "flows.days": _rule(P.SEGMENTS_READ),
    "flows.flows": _rule(P.SEGMENTS_READ, today=TODAY, by="stage", days=kept_days(TODAY)[-2:]),
    "flows.people": _rule(P.SEGMENTS_READ, today=TODAY, by="stage", way=dict.fromkeys(kept_days(TODAY)[-3:-1], "")),
    "flows.who": _rule(
        P.SEGMENTS_READ, today=TODAY, by="stage", way=dict.fromkeys(kept_days(TODAY)[-3:-1], ""), limit=9
    ),
    "funnel.people": _rule(P.CAMPAIGNS_READ, campaign_id=1, step="received"),
    "funnel.steps": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "history.details": _rule(P.CHANGES_READ, change_set_id=lambda ids: ids.saved),
    "history.of_customer": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "history.sets": _rule(P.CHANGES_READ),
    "interactions.delete": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, interaction_id=lambda ids: ids.call),
    "interactions.log": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, kind="call", body="x"),
    "interests.interests": _rule(P.CUSTOMERS_READ, customer_id=_customer, currency="USD"),
    "offers.make": _gate_rule(P.CUSTOMERS_EXPORT, kind="customers", params={}),
    "offers.take": _gate_rule(None, token="zekrettoken"),
    "overview.overview": _rule(P.OVERVIEW_READ, today=TODAY, currency="USD"),
    "overview.span": _rule(P.OVERVIEW_READ),
    "passwords.change": _gate_rule(P.ACCOUNT_EDIT, session_id=_session, old="x", new="Correct horse 9"),
    "passwords.create_link": _gate_rule(P.USERS_MANAGE, user_id=2),
    "passwords.unlock": _gate_rule(P.USERS_MANAGE, user_id=2),
    "customer_columns.beside": _rule(P.CUSTOMERS_READ, customer_ids=lambda ids: [ids.customer]),
    "preferences.choose": _rule(P.VIEWS_EDIT, key="customers.columns", value=["tags"]),
    "preferences.get": _rule(P.VIEWS_EDIT, key="customers.columns"),
    "saved_views.add": _rule(P.VIEWS_EDIT, name="x", params={}),
    "saved_views.archive": _rule(P.VIEWS_EDIT, view_id=lambda ids: ids.view),
    "saved_views.aside": _rule(P.VIEWS_EDIT),
    "saved_views.get": _rule(P.VIEWS_EDIT, view_id=lambda ids: ids.view),
    "saved_views.listed": _rule(P.VIEWS_EDIT),
    "saved_views.save": _rule(P.VIEWS_EDIT, view_id=lambda ids: ids.view, version=1, values={"name": "x"}),
    "saved_segments.archive": _rule(P.SEGMENTS_EDIT, segment_id=1),
    "saved_segments.get": _rule(P.SEGMENTS_READ, segment_id=1),
    "saved_segments.history": _rule(P.SEGMENTS_READ, segment_id=1),
    "saved_segments.save": _rule(P.SEGMENTS_EDIT, name="x", rule='{"all": []}'),
    "saved_segments.saved": _rule(P.SEGMENTS_READ),
    "search.find": _rule(P.CUSTOMERS_READ, words=lambda ids: str(ids.customer)),
    "saved_segments.freeze": _rule(P.SEGMENTS_EDIT, name="x", ids=lambda ids: (ids.customer,)),
    "saved_segments.used_by": _rule(P.SEGMENTS_READ, segment_id=1),
    "frozen_lists.chosen": _rule(P.SEGMENTS_EDIT, today=TODAY),
    "segment_filter.named": _rule(P.SEGMENTS_READ, codes=("s1", "stage_loyal")),
    "segment_filter.offered": _rule(P.SEGMENTS_READ),
    "segment_filter.resolved": _rule(P.SEGMENTS_READ, today=TODAY, filters=Filters(segment="entered")),
    "segment_filter.tells_personal": _rule(P.SEGMENTS_READ, code="stage_loyal"),
    "segment_uses.uses": _rule(P.SEGMENTS_READ, segment_id=1),
    "segment_moves.course": _rule(P.SEGMENTS_READ, segment_id=9_000_001, today=TODAY),
    "segment_moves.members": _rule(P.SEGMENTS_READ, segment_id=9_000_001),
    "segment_moves.moves": _rule(P.SEGMENTS_READ, segment_id=9_000_001, today=TODAY, joined=True),
    "segment_moves.state": _rule(P.SEGMENTS_READ, segment_id=9_000_001, today=TODAY),
    "segment_sets.overlap": _rule(P.SEGMENTS_READ, rules=('{"all": []}', '{"any": []}'), today=TODAY),
    "segment_sets.who": _rule(
        P.SEGMENTS_READ, operation="union", rules=('{"all": []}', '{"any": []}'), today=TODAY, limit=9
    ),
    "segments.who": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY, limit=9),
    "cluster_figures.profile": _rule(P.SEGMENTS_READ, model=MODEL, today=TODAY),
    "cluster_figures.sample": _rule(P.SEGMENTS_READ, features=("orders",), today=TODAY),
    "clusters.archive": _rule(P.SEGMENTS_EDIT, clusters_id=1),
    "clusters.countable": _rule(P.SEGMENTS_READ),
    "clusters.kept": _rule(P.SEGMENTS_READ),
    "clusters.save": _rule(P.SEGMENTS_EDIT, name="x", model=MODEL),
    "segment_reasons.kept": _rule(P.SEGMENTS_READ, customer_id=_customer, today=TODAY),
    "segment_reasons.weigh": _rule(P.SEGMENTS_READ, rule='{"all": []}', customer_id=_customer, today=TODAY),
    "segment_spread.spread": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY, by="city"),
    "segments.choices": _rule(P.SEGMENTS_READ, fields=("region",)),
    "segments.count": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY),
    "segments.counts": _rule(P.SEGMENTS_READ, rules=('{"all": []}',), today=TODAY),
    "segments.explore": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY),
    "segments.export": _rule(P.CUSTOMERS_EXPORT, rule='{"all": []}', today=TODAY),
    "segments.names": _rule(P.SEGMENTS_READ, rule='{"all": []}'),
    "segments.preview": _rule(P.SEGMENTS_READ, rule='{"all": []}', today=TODAY),
    "segments.products": _rule(P.SEGMENTS_READ, words="a"),
    "sessions.end": _gate_rule(P.ACCOUNT_EDIT, session_id=_session),
    "sessions.end_all": _gate_rule(P.ACCOUNT_EDIT),
    "sessions.mine": _gate_rule(P.ACCOUNT_EDIT),
    "sessions.set_language": _gate_rule(P.ACCOUNT_EDIT, language="en"),
    "started_campaigns.export": _rule(P.CUSTOMERS_EXPORT, campaign_id=1, today=TODAY),
    "started_campaigns.get": _rule(P.CAMPAIGNS_READ, campaign_id=1),
    "started_campaigns.of_segment": _rule(P.CAMPAIGNS_READ, segment_id=1),
    "tags.add": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, tag="x"),
    "tags.in_use": _rule(P.CUSTOMERS_READ),
    "tags.offered": _rule(P.CUSTOMERS_READ),
    "tags.of_customer": _rule(P.CUSTOMERS_READ, customer_id=_customer),
    "tags.remove": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, tag_id=lambda ids: ids.tag),
    "tags.standing": _rule(P.CUSTOMERS_READ, keys=("x",)),
    "tasks.add": _rule(P.TASKS_EDIT, customer_id=_customer, title="x"),
    "tasks.assignees": _rule(P.TASKS_READ, customer_id=_customer),
    "tasks.delete": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task),
    "tasks.finish": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task),
    "tasks.mine": _rule(P.TASKS_READ, today=TODAY),
    "tasks.of_customer": _rule(P.TASKS_READ, customer_id=_customer, today=TODAY),
    "tasks.postpone": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task, due_on=date(2026, 12, 1)),
    "tasks.reopen": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task),
    "tasks.save": _rule(P.TASKS_EDIT, customer_id=_customer, task_id=_task, version=1, values={"title": "x"}),
    "tasks.team": _rule(P.TASKS_READ, today=TODAY),
    "today.quiet": _rule(P.TASKS_READ, today=TODAY, zone="UTC"),
    "today.recent": _rule(P.TASKS_READ),
    "undo_since.preview": _rule(P.CUSTOMERS_EDIT, customer_id=_customer, change_set_id=lambda ids: ids.saved),
    "undo_since.undo_since": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, change_set_id=lambda ids: ids.saved, source="screen"
    ),
    "undo_since.undo_these": _rule(
        P.CUSTOMERS_EDIT, customer_id=_customer, change_set_ids=lambda ids: [ids.saved], source="screen"
    ),
    "undo.undo": _rule(P.CHANGES_UNDO, change_set_id=lambda ids: ids.saved, source="screen"),
    "timeline.timeline": _rule(P.CUSTOMERS_READ, customer_id=_customer, zone="UTC"),
    "users.add": _rule(P.USERS_MANAGE, username="new", role=Role.SALES),
    "users.change": _rule(P.USERS_MANAGE, user_id=2, role=Role.SALES),
    "users.everyone": _rule(P.USERS_MANAGE),
    "users.get": _rule(P.USERS_MANAGE, username="bo"),
    "users.named": _rule(P.USERS_READ, username="bo"),
    "users.owned": _rule(P.USERS_MANAGE, user_id=2),
    "users.set_active": _rule(P.USERS_MANAGE, user_id=2, active=False),
    "users.teams": _rule(P.USERS_MANAGE),
    "visibility.candidates": _rule(P.USERS_MANAGE, today=TODAY, words=lambda ids: str(ids.customer)),
    "visibility.of_customer": _rule(P.USERS_MANAGE, customer_id=_customer),
}

ABSENT = Planted(*[10**9] * len(dataclasses.fields(Planted)))


@cache
def entry_points() -> dict[str, Callable[..., Any]]:
    """Module.function → every public function of db/ that acts for somebody."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.walk_packages(db.__path__, "db."):
        if module.name.startswith(("db.migrations", "db.__main__")):
            continue
        loaded = importlib.import_module(module.name)
        for name, f in inspect.getmembers(loaded, inspect.isfunction):
            acts = {"viewer", "actor"} & inspect.signature(f).parameters.keys()
            if acts and f.__module__ == module.name and not name.startswith("_"):
                found[f"{module.name.removeprefix('db.')}.{name}"] = f
    return found


NOT_QUERIES = {
    "connection.begin",  # makes the transaction that all this is about
    "connection.widen",  # changes it, for commands that have checked
    "custom_filters.resolved",  # a part of queries that have asked for the permission
    "customers.piece",  # a part of queries that have asked for the permission
    "customers.rows_of",
    "held.ask",  # from memory, by the viewer's owners, after the query has asked for the permission: test_held.py
    "segments.combinations",  # of rules that segment_sets.overlap has checked
    "remembering.ask",  # held.ask with what of a rule is looked up in tables
    "segments.remembered",  # held.ask for a rule that it has checked: test_held.py, test_repeats.py
    "nested.expanded",  # a part of queries that have asked for the permission
    "demo.write",  # only the worker may insert a batch; its own tests load it
}


def called(conn: Connection, name: str, viewer: Viewer, ids: Planted) -> str:
    """What the viewer is given or told, as text without the ids that were asked for."""
    rule, f = RULES[name], entry_points()[name]
    values = {k: v(ids) if callable(v) else v for k, v in rule.values.items()}
    as_whom = "viewer" if "viewer" in inspect.signature(f).parameters else "actor"
    undone = conn.begin_nested()
    try:
        with connection.translated():
            said = _said(f(conn, **{as_whom: viewer}, **values))
    except KehuError as error:
        said = f"{type(error).__name__}: {error.message} {error.details} {getattr(error, 'rows', '')}"
    undone.rollback()
    asked = "|".join(str(n) for n in set(dataclasses.astuple(ids)))
    return re.sub(rf"\b({asked})\b", "#", said) if rule.asks else said


def _said(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return value.to_json(orient="records", date_format="iso", default_handler=str, force_ascii=False)
    if isinstance(value, tuple | list):
        return str([_said(v) for v in value])
    if isinstance(value, Iterator):
        return _said(list(value))
    if dataclasses.is_dataclass(value):
        return str({f.name: _said(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return str(value)
