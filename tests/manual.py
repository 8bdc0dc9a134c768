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
from db.metrics import CAMPAIGN_METRICS, METRICS, STAGE_NAMES, STAGE_RULES
from db.permissions import GRANTS, Permission, Role
from db.words import _
from tests import manual_segments

DOCS = Path(__file__).parent.parent / "docs"
FOLDERS = {"en": "en", "zh_CN": "zh"}
REFERENCE = DOCS / "segments.md"
PROCESSES = (Role.GATE, Role.WORKER)

P = Permission
# What each permission allows, for people; English and Chinese.
MEANING: dict[Permission, tuple[str, str]] = {
    P.ACCOUNT_EDIT: (
        "change one's own password and language, end one's own sessions",
        "修改自己的密码和语言，结束自己的登录",
    ),
    P.CAMPAIGNS_READ: ("see campaigns and whom they reached", "查看营销活动及其触达的客户"),
    P.CHANGES_READ: ("see who changed what, as a list of all changes", "查看全部变更：谁在何时改了什么"),
    P.CHANGES_UNDO: ("take changes back (with the right to the original command)", "撤销变更（还须具备原操作的权限）"),
    P.CUSTOMERS_ASSIGN: ("hand customers over to another owner", "把客户移交给其他负责人"),
    P.CUSTOMERS_EDIT: ("add, edit and archive customers, write notes", "新建、编辑、归档客户，撰写备注"),
    P.CUSTOMERS_EXPORT: ("export the list of customers", "导出客户列表"),
    P.CUSTOMERS_READ: ("see customers, their figures and purchases", "查看客户及其指标和购买记录"),
    P.DEMO_LOAD: ("load the demo data into an empty database", "把演示数据加载到空数据库"),
    P.METRICS_REFRESH: ("add up the derived figures", "汇总派生指标"),
    P.OVERVIEW_READ: ("see the overview", "查看概览"),
    P.PERSONAL_READ: ("see names, companies, contacts, addresses and notes", "查看姓名、公司、联系方式、地址和备注"),
    P.SEGMENTS_EDIT: (
        "keep rules as segments, for oneself or shared; change one's own",
        "把规则保存为分群（仅自己可见或共享），修改自己的分群",
    ),
    P.SEGMENTS_READ: (
        "count and compare customers by rules, see one's own and shared segments",
        "按规则统计和比较客户，查看自己的和共享的分群",
    ),
    P.SESSIONS_CHECK: ("check sign-ins and sessions", "校验登录"),
    P.USERS_MANAGE: (
        "add users, give roles and teams, issue links, sign users out",
        "管理用户：新增、角色、团队、链接、强制退出",
    ),
    P.USERS_READ: ("see who owns which customer", "查看客户的负责人是谁"),
}


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
    """Each stage of the lifecycle with its rule."""
    return table([_("Stage"), _("Rule")], [[_(STAGE_NAMES[stage]), _(STAGE_RULES[stage])] for stage in STAGE_NAMES])


def matrix() -> str:
    """Role × permission, people only."""
    chinese = words.language() == "zh_CN"
    people = [role for role in Role if role not in PROCESSES]
    held = [permission for permission in Permission if any(permission in GRANTS[role] for role in people)]
    rows = [
        [f"`{permission}`", MEANING[permission][chinese], *("✓" if permission in GRANTS[r] else "" for r in people)]
        for permission in held
    ]
    head = ["权限" if chinese else "Permission", "可以做什么" if chinese else "allows to", *map(role_name, people)]
    return table(head, rows, "ll" + "c" * len(people))


def processes() -> str:
    """What Kehu's own processes may do."""
    chinese = words.language() == "zh_CN"
    rows = [
        [f"`{role}`", f"`{permission}`", MEANING[permission][chinese]]
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
