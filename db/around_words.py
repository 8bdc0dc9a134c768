"""What kinds of addresses, channels and consents are called, and what contacts, addresses and files may hold."""

from __future__ import annotations

from db.words import N_

MOST_CONTACTS = 200
MOST_ADDRESSES = 50
CONTACT_LIMITS = {"name": 200, "job_title": 100, "phone": 40, "email": 254, "wechat": 100, "note": 1_000}
ADDRESS_LIMITS = {
    "recipient": 200,
    "phone": 40,
    "street": 500,
    "city": 100,
    "region": 100,
    "postcode": 20,
    "country": 100,
}
"""Most characters of each field; longer values are refused, not cut."""
MOST_SOURCE = 500

ADDRESS_NAMES = {
    "home": N_("Home address"),
    "office": N_("Office"),
    "delivery": N_("Delivery address"),
    "billing": N_("Billing address"),
    "other": N_("Other address"),
}
CHANNEL_NAMES = {
    "phone": N_("Calls"),
    "sms": N_("Text messages"),
    "wechat": N_("WeChat messages"),
    "mail": N_("E-mails"),
    "post": N_("Letters"),
}
CLOSED_NAMES = {
    "phone": N_("no calls"),
    "sms": N_("no text messages"),
    "wechat": N_("no WeChat"),
    "mail": N_("no e-mails"),
    "post": N_("no letters"),
}
"""What a refused or withdrawn channel means for whoever wants to reach the customer."""
STATE_NAMES = {"given": N_("given"), "refused": N_("refused"), "withdrawn": N_("withdrawn")}
NOT_ASKED = N_("not asked")
CLOSED = ("refused", "withdrawn")
