"""What tasks are called and what they may hold, by their codes: for screens, queries and manual."""

from __future__ import annotations

from datetime import date

from db.text import MAX_TEXT
from db.words import N_

MOST_TITLE = 200
MOST_BODY = MAX_TEXT
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 12, 31)
SOON_DAYS = 7
"""How far ahead "the next days" reach, from tomorrow on."""
LATELY_DAYS = 14
"""How long a finished task stands on the lists."""
TASK_KIND_NAMES = {
    "call": N_("Phone call"),
    "mail": N_("Write an e-mail"),
    "meeting": N_("Meet"),
    "todo": N_("To do"),
}
PRIORITY_NAMES = {"high": N_("High"), "normal": N_("Normal"), "low": N_("Low")}
BUCKETS = {
    "overdue": N_("Overdue"),
    "today": N_("Due today"),
    "soon": N_("Next 7 days"),
    "later": N_("Later"),
    "no_day": N_("Without a day"),
    "done": N_("Done lately"),
}
"""The parts of a list of tasks, by their day; the last holds what was finished."""
