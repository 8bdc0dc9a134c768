"""The parts of the manual that are printed from the code: metrics, stages, rights, segment rules.

`python -m tests.manual` writes them anew between their marks (`<!-- metrics -->` … `<!-- end -->`); the rest of a page
is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.signin import role_name
from db import words
from db.lifecycle import DEFAULT, said
from db.metrics import CAMPAIGN_METRICS, METRICS, STAGE_NAMES
from db.permissions import GRANTS, MEANINGS, Permission, Role
from db.words import _
from tests import manual_segments

DOCS = Path(__file__).parent.parent / "docs"
FOLDERS = {"en": "en", "zh_CN": "zh"}
REFERENCE = DOCS / "segments.md"
PROCESSES = (Role.GATE, Role.WORKER)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Texts are in this language within."""
    before = words.language()
    words.use(language)
    yield
    words.use(before)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "") -> str:
    """A markdown table; `align` has one of l and c for each column."""
    marks = [":-:" if mark == "c" else "---" for mark in align.ljust(len(head), "l")]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, marks, *rows))


def metrics() -> str:
    """Each metric with its formula, as the screens say it."""
    head = [_("Figure"), "公式" if words.language() == "zh_CN" else "Formula"]
    return table(head, [[_(metric.name), _(metric.formula)] for metric in METRICS.values()])


def campaign_metrics() -> str:
    """Each metric of a campaign with its formula."""
    head = [_("Figure"), "公式" if words.language() == "zh_CN" else "Formula"]
    return table(head, [[_(metric.name), _(metric.formula)] for metric in CAMPAIGN_METRICS.values()])


def stages() -> str:
    """Each stage of the lifecycle with its rule, as delivered."""
    return table([_("Stage"), _("Rule")], [[_(STAGE_NAMES[stage]), rule] for stage, rule in said(DEFAULT).items()])


def matrix() -> str:
    """Role × permission, people only."""
    chinese = words.language() == "zh_CN"
    people = [role for role in Role if role not in PROCESSES]
    held = [permission for permission in Permission if any(permission in GRANTS[role] for role in people)]
    rows = [
        [f"`{permission}`", _(MEANINGS[permission]), *("✓" if permission in GRANTS[r] else "" for r in people)]
        for permission in held
    ]
    head = ["权限" if chinese else "Permission", "可以做什么" if chinese else "allows to", *map(role_name, people)]
    return table(head, rows, "ll" + "c" * len(people))


def processes() -> str:
    """What Kehu's own processes may do."""
    chinese = words.language() == "zh_CN"
    rows = [
        [f"`{role}`", f"`{permission}`", _(MEANINGS[permission])]
        for role in PROCESSES
        for permission in Permission
        if permission in GRANTS[role]
    ]
    head = ["进程", "权限", "可以做什么"] if chinese else ["Process", "Permission", "allows to"]
    return table(head, rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "metrics": metrics,
    "campaign_metrics": campaign_metrics,
    "stages": stages,
    "matrix": matrix,
    "processes": processes,
    "fields": manual_segments.fields,
    "operators": manual_segments.operators,
    "limits": manual_segments.limits,
}
_BLOCK = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def printed(page: str, language: str) -> str:
    """The page with its blocks as they should be."""
    with speaking(language):
        return _BLOCK.sub(lambda found: f"<!-- {found[1]} -->\n\n{BLOCKS[found[1]]()}\n\n<!-- end -->", page)


def pages(language: str) -> list[Path]:
    """The manual's pages in this language."""
    return sorted((DOCS / FOLDERS[language]).glob("*.md"))


def main() -> int:
    """Write every block of every page anew."""
    written = [("en", REFERENCE)] + [(language, path) for language in FOLDERS for path in pages(language)]
    for language, path in written:
        before = path.read_text("utf-8")
        after = printed(before, language)
        if after != before:
            path.write_text(after, "utf-8")
            print(f"{path.relative_to(DOCS.parent)}: written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
