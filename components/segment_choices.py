"""What the values in a segment's rule are called and which there are to choose from, for the viewer's own customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components import data, wording
from db import campaigns, custom_fields, customers, rule_words, rules, saved_segments, segments
from db.errors import Invalid
from db.fields import FIELDS, Field, Kind
from db.permissions import Viewer
from db.rules import Group


class Choices:
    """Reads each list when it is first asked for; `fields` and `rule` say what a screen is sure to ask for."""

    def __init__(self, viewer: Viewer, *, fields: Iterable[str], rule: Group) -> None:
        self._viewer = viewer
        self._known = known_fields(viewer)
        self._found: dict[str, dict[Any, str]] = {}
        known = data.read(segments.names, viewer=viewer, rule=rules.written(rule))
        self._called = segments.called(known)
        self._products = {key: name.title() for (field, key), name in known.items() if field == "bought_product"}
        self._read(sorted({key for key in fields if self._listed(key)}))

    def options(self, key: str) -> list[Any]:
        """The values to choose from, in their order; campaigns for everything that is about campaigns."""
        field = self._known[key]
        if field.clusters:
            return list(field.choices)
        return list(field.own.choices) if field.own else list(self._named(key))

    def named(self, key: str, value: Any) -> str:
        """What people call a value of a field."""
        field = self._known[key]
        if field.own or field.clusters:
            return field.clusters.called(value) if field.clusters else str(value)
        if FIELDS[key].kind in (Kind.CAMPAIGN, Kind.STEP) and isinstance(value, int):
            return wording.campaign(self._named(key).get(value) or self._called("received", value))
        if key == "bought_product":
            return self._products.get(value, f"#{value}")
        if key == "bought_category":
            return str(value).title()
        if key not in ("owner", "segment"):
            return wording.translated(self._called(key, value))
        name = self._named(key).get(value) or self._called(key, value)
        return wording.person(name) if key == "owner" else name

    def search(self, words: str) -> list[int]:
        """The products that these words find."""
        found = data.read(segments.products, viewer=self._viewer, words=words)
        self._products = found | self._products
        return list(found)

    def _named(self, key: str) -> dict[Any, str]:
        if FIELDS[key].kind in (Kind.CAMPAIGN, Kind.STEP):
            key = "received"
        if key not in self._found:
            if key == "listed":
                kept = data.read(saved_segments.saved, viewer=self._viewer)
                self._found[key] = {one.id: one.name for one in kept if one.frozen}
            elif key == "received":
                self._found[key] = data.read(campaigns.names, viewer=self._viewer)
            elif key == "owner":
                owners = data.read(customers.owners, viewer=self._viewer)
                self._found[key] = {number: name for number, name in owners.items() if number}
            elif key == "segment":
                kept = data.read(saved_segments.saved, viewer=self._viewer)
                self._found[key] = {one.id: one.name for one in kept}
            else:
                self._read([key])
        return self._found[key]

    def _read(self, keys: list[str]) -> None:
        if keys:
            found = data.read(segments.choices, viewer=self._viewer, fields=tuple(keys))
            self._found |= {key: dict.fromkeys(values, "") for key, values in found.items()}

    @staticmethod
    def _listed(key: str) -> bool:
        field = FIELDS.get(key)
        return field is not None and not field.ids and field.kind in segments.LISTED


def known_fields(viewer: Viewer) -> Mapping[str, Field]:
    """Key → field of all that a rule may speak of, archived custom ones too."""
    return data.read(custom_fields.countable, viewer=viewer)


def visible(viewer: Viewer) -> list[str]:
    """The fields this viewer may count by, in their order."""
    return [
        key
        for key, field in known_fields(viewer).items()
        if not (field.personal and viewer.masked)
        and not (field.own and field.own.archived)
        and not (field.clusters and field.clusters.archived)
    ]


def hidden(rule: Group, viewer: Viewer) -> bool:
    """Whether the rule looks at what this viewer may not count by."""
    return viewer.masked and any(c.field.personal for c in rules.conditions(rule))


def sentence(rule: Group, choices: Choices) -> str:
    """The rule in words."""
    return rule_words.sentence(rule, choices.named)


def told(written: str, viewer: Viewer) -> str:
    """The rule of a JSON text in words, for a history; the text itself where it is no rule any more."""
    rule, _problem = parsed(written, viewer)
    return sentence(rule, Choices(viewer, fields=(), rule=rule)) if rule else written


def parsed(written: str, viewer: Viewer) -> tuple[Group | None, str]:
    """The rule of a JSON text, or None and what is wrong with it."""
    try:
        return rules.parse_text(written, known_fields(viewer)), ""
    except Invalid as error:
        return None, error.message
