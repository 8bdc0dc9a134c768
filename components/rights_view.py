"""Roles and rights as the code has them, and who sees one customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from components import format, places, tables, wording
from components.signin import role_name
from db.permissions import GRANTS, MEANINGS, SCOPES, Permission, Role
from db.words import _, ngettext

ROLES: Sequence[Role] = tuple(SCOPES)
"""The roles that people can have."""


def matrix() -> None:
    """Whose customers each role sees, and what it may do."""
    with st.container(border=True, key="kehu_wrapped_scopes"):
        st.markdown("**" + _("Whose customers · by role") + "**")
        scopes = {_("Role"): [role_name(r) for r in ROLES], _("sees"): [_(SCOPES[r]) for r in ROLES]}
        tables.small(pd.DataFrame(scopes))
    with st.container(border=True, key="kehu_matrix"):
        st.markdown("**" + _("What they may do · by role") + "**")
        held = [p for p in Permission if any(p in GRANTS[r] for r in ROLES)]
        rows = {_("May"): [_(MEANINGS[p]) for p in held]}
        rows |= {role_name(r): ["✓" if p in GRANTS[r] else "" for p in held] for r in ROLES}
        tables.small(pd.DataFrame(rows))
    st.caption(
        _("The database itself enforces these rights: they hold on screens, in exports and in the terminal alike.")
    )


def sight(found: Any, reasons: Mapping[str, str]) -> None:
    """Who sees a customer, and why; `reasons` in words."""
    with st.container(border=True, key="kehu_wrapped_sight"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(wording.plain(found.name or f"#{found.customer_id}"), anchor=False, width="content")
            st.badge(f"#{found.customer_id}", color="gray")
            if found.archived_at:
                st.badge(_("Archived"), color="red")
        owner = wording.plain(wording.person(found.owner))
        parts = [_("Owner: {name}").format(name=owner), wording.plain(found.team)]
        if found.owner and not found.owner_active:
            parts.append(_("deactivated"))
        st.caption(wording.line(*parts))
        places.link("customer", _("Open the customer"), icon=":material/person:", id=str(found.customer_id))
        said = ngettext(
            "{n} of {total} active users sees this customer.",
            "{n} of {total} active users see this customer.",
            found.total,
        )
        st.markdown("**" + said.format(n=format.number(found.total), total=format.number(found.active)) + "**")
        if not found.by:
            return
        tables.small(
            pd.DataFrame(
                {
                    _("Full name"): [one.name for one in found.by],
                    _("Role"): [role_name(one.role) for one in found.by],
                    _("Why"): [reasons[one.reason] for one in found.by],
                    _("May edit"): [_("yes") if one.may_edit else _("no") for one in found.by],
                }
            )
        )
        if found.total > len(found.by):
            st.caption(_("The first {n} of {total}.").format(n=len(found.by), total=format.number(found.total)))
