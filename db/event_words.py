"""What the timeline's events are called, by their codes, and what a talk may hold: for screens, queries and manual."""

from __future__ import annotations

from db.text import MAX_TEXT
from db.words import N_

MOST_SUBJECT = 200
MOST_BODY = MAX_TEXT
MOST_MINUTES = 24 * 60
KIND_NAMES = {"call": N_("Call"), "mail": N_("Mail"), "meeting": N_("Meeting"), "message": N_("Message")}
DIRECTION_NAMES = {"out": N_("from us"), "in": N_("from the customer")}
GOT_THROUGH = "reached"
OUTCOMES = {
    GOT_THROUGH: N_("Got through"),
    "no_answer": N_("No answer"),
    "call_back": N_("Will call back"),
    "interested": N_("Interested"),
    "not_interested": N_("Not interested"),
}
"""How a conversation went; '' is not said."""
PARTS = {
    "orders": N_("Orders"),
    "talks": N_("Calls, mails, meetings"),
    "notes": N_("Notes"),
    "tasks": N_("Finished tasks"),
    "campaigns": N_("Campaigns"),
    "changes": N_("Changes"),
}
"""The parts of the timeline that can be looked at by themselves."""
WRITTEN = ("talks", "notes", "tasks")
"""What people put into words, which some roles do not see."""
