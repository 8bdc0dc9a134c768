"""Names and values in the user's language, and texts of users made safe to stand in markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from components import format
from db import clock
from db.words import _, language, ngettext


def N_(message: str) -> str:
    """Mark a string for translation where it cannot be translated yet."""
    return message


# Values that come with the data and mean the same in every company; others are shown as they are.
VALUES = {
    "North": N_("North"),
    "Northeast": N_("Northeast"),
    "East": N_("East"),
    "Southeast": N_("Southeast"),
    "South": N_("South"),
    "Southwest": N_("Southwest"),
    "West": N_("West"),
    "Northwest": N_("Northwest"),
    "store": N_("Store"),
    "web": N_("Website"),
    "referral": N_("Referral"),
    "mail": N_("Direct mail"),
    "event": N_("Event"),
    "screen": N_("Entered by hand"),
    "terminal": N_("Terminal"),
    "Homeowner": N_("Homeowner"),
    "Probable Homeowner": N_("Probably homeowner"),
    "Renter": N_("Renter"),
    "Probable Renter": N_("Probably renter"),
    "Married": N_("Married"),
    "Unmarried": N_("Unmarried"),
    "1 Adult No Kids": N_("1 adult, no children"),
    "2 Adults No Kids": N_("2 adults, no children"),
    "1 Adult Kids": N_("1 adult with children"),
    "2 Adults Kids": N_("2 adults with children"),
    "Under 15K": N_("under 15K"),
}

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~$:.&])")
# Streamlit makes icons, arrows, dashes and links even of what is escaped: such signs are kept apart.
_TOGETHER = re.compile(
    r"(?<=:)(?=material/|streamlit:|//)|(?<=-)(?=[->])|(?<=<)(?=[-=])|(?<=[>~])(?==)|(?<=www)(?=\.)", re.IGNORECASE
)
# An e-mail address becomes a link by itself.
_ADDRESS = re.compile(r"(?<=\w)(?=@\w)")
_INLINE = re.compile(r"([\\`*_{}\[\]<>#|~$:&])")
_JOINER = "\u2060"  # no width; text.clean() takes it out of what is copied back into a form
_CLOSE = re.compile(r"(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])")
_CAMPAIGN = re.compile(r"Campaign (\d+)")


def plain(text: str) -> str:
    """A user's text for a place that reads markdown: shown as it is, never as markup."""
    return _MARKDOWN.sub(r"\\\1", _TOGETHER.sub(_JOINER, text))


def sentence(text: str) -> str:
    """A sentence of ours that may quote what somebody typed or put into a link: shown as it is, never as markup.

    What is markup at the beginning of a line alone, or beside brackets, needs no sign within a sentence.
    """
    return _INLINE.sub(r"\\\1", _TOGETHER.sub(_JOINER, _ADDRESS.sub(_JOINER, text)))


def run_on(*sentences: str) -> str:
    """Sentences one after the other; in Chinese as its type is set: no blank after a full stop, one beside Latin."""
    text = " ".join(filter(None, sentences))
    return _CLOSE.sub(" ", text.replace("。 ", "。").replace("： ", "：")) if language() == "zh_CN" else text


def labelled(label: str, value: str) -> str:
    """'Mine: Rome', in Chinese with its own colon."""
    return _("{label}: {value}").format(label=label, value=value)


def translated(value: str) -> str:
    """A value of the data in the user's language where it is a known one."""
    return _(VALUES[value]) if value in VALUES else value


def person(name: str) -> str:
    """A user's name; the owner of what nobody owns is "Nobody"."""
    return name or _("Nobody")


def actor(name: str) -> str:
    """Who did something: a user, or Kehu itself."""
    return name or "Kehu"


def listed(names: Iterable[str]) -> str:
    """'Phone, e-mail', in Chinese with its own comma."""
    return _(", ").join(names)


def campaign(name: str) -> str:
    """'Campaign 18' in the user's language; other names as they are."""
    found = _CAMPAIGN.fullmatch(name)
    return _("Campaign {n}").format(n=found[1]) if found else name


def freshness(waiting_since: datetime | None) -> str:
    """How current the derived figures are: up to date, or how long the oldest change has been waiting."""
    if waiting_since is None:
        return _("up to date")
    return _("changes of the last {time} are still being added up").format(
        time=format.lasting(clock.now() - waiting_since)
    )


def demo(shift_days: int | None) -> str:
    """What the demo data is, in a sentence; '' for a company's own data."""
    if shift_days is None:
        return ""
    return _("Demo: “The Complete Journey” of 2017, moved by {days} days; names and contacts are made up").format(
        days=format.number(shift_days)
    )


def searched(*, masked: bool) -> str:
    """What the words of a search are looked for in, wherever customers are searched."""
    if masked:
        return _("Number or tag")
    return _("Name, company, pinyin, phone, e-mail, number, contact or tag")


def left_out(orders: int) -> str:
    """What the revenue does not hold: orders in other currencies are counted, never converted."""
    return ngettext(
        "{n} order in another currency is not in the revenue.",
        "{n} orders in other currencies are not in the revenue.",
        orders,
    ).format(n=format.number(orders))


def line(*parts: str) -> str:
    """The line of context under a title: its parts, without the empty ones."""
    return " · ".join(part for part in parts if part)
