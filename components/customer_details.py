"""The tab of a customer's details: profile, consents, contact people, addresses; side by side or stacked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import streamlit as st

from components import consent_view, custom_fields_view, customer_figures, profile, reach
from db.permissions import Viewer
from db.words import _


def draw(customer: Any, viewer: Viewer, consents: Mapping[str, Any], *, zone: str, today: date, currency: str) -> None:
    """Everything known of the customer but what happened."""
    left, right = st.columns(2, gap="medium")
    with left:
        with st.container(border=True):
            st.markdown(f"**{_('Profile')}**")
            profile.fields(customer, hidden=viewer.masked)
            custom_fields_view.details(customer.custom_values, viewer=viewer)
            customer_figures.interests(customer, viewer=viewer, currency=currency)
        consent_view.card(customer.id, viewer, consents, zone=zone, today=today)
    # On a phone whom to call comes first.
    with right, st.container(key="kehu_beside_details"):
        reach.people(customer.id, viewer, zone=zone)
        reach.places(customer.id, viewer, zone=zone)
    customer_figures.seen_by(customer, viewer)
