"""The six stages of the lifecycle by rules that have versions; fixed bounds of scores. The SQL beside is frozen.

The stages "new" and "active" are no more. Both had an order in the last 30 days; now such customers are told apart by
how many orders they have. What people kept is carried over so that it finds the same customers: in rules of segments
"new" is a first order in the last 31 days (today is one of them), and "active" a last order in these days without a
first one. Where a rule is nested too deeply for that, "new" is the first purchase, and "active" repeat and loyal. A
kept view has one stage: "new" becomes the first purchase, and "active" an order within 30 days, new customers too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alembic import op

revision = "2026_11_26_lifecycle"
down_revision = "2026_11_26_parts"

_MOST_DEPTH = 5
_FIRST = {"field": "first_order_on", "op": "in the last", "value": 31}
_LAST = {"field": "last_order_on", "op": "in the last", "value": 31}
_ACTIVE = {"all": [_LAST, {"none": [_FIRST]}]}
_NEAREST = {"new": ["first"], "active": ["repeat", "loyal"]}


def upgrade() -> None:
    written = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    conn = op.get_bind()
    conn.exec_driver_sql(written, execution_options={"no_parameters": True})
    for row in conn.exec_driver_sql("SELECT id, rule FROM segments WHERE rule::text LIKE '%%\"stage\"%%'").all():
        rule = carried(row.rule)
        if rule != row.rule:
            said = {"id": row.id, "rule": json.dumps(rule)}
            conn.exec_driver_sql(
                "UPDATE segments SET rule = %(rule)s::jsonb, version = version + 1 WHERE id = %(id)s", said
            )
    conn.exec_driver_sql(
        "UPDATE saved_views SET version = version + 1, params = CASE params ->> 'stage' WHEN 'new' "
        'THEN params || \'{"stage": "first"}\' ELSE \'{"ordered": "within", "ordered_days": "30"}\'::jsonb '
        "|| (params - 'stage') END WHERE params ->> 'stage' IN ('new', 'active')"
    )


def carried(rule: Any, depth: int = 1) -> Any:
    """A rule, or a part of one at this depth, that finds whom it found before."""
    if not isinstance(rule, dict):
        return rule
    if "field" not in rule:
        return {
            match: [carried(each, depth + 1) for each in parts] if isinstance(parts, list) else parts
            for match, parts in rule.items()
        }
    wanted = rule.get("value")
    if rule["field"] != "stage" or not isinstance(wanted, list) or not {"new", "active"} & set(map(str, wanted)):
        return rule
    kept = [stage for stage in wanted if stage not in _NEAREST]
    both = "new" in wanted and "active" in wanted
    parts: list[Any] = [_LAST] if both else [_FIRST] if "new" in wanted else [_ACTIVE]
    if kept:
        parts.append({**rule, "op": "in", "value": kept})
    if depth + (1 if both or "new" in wanted else 3) > _MOST_DEPTH:
        near = [each for stage in wanted for each in _NEAREST.get(stage, [stage])]
        return {**rule, "value": near}
    if rule.get("op") == "not in":
        return {"none": parts}
    return parts[0] if len(parts) == 1 else {"any": parts}
