"""The export button: offers a file to this user and has the browser fetch it through our own route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import streamlit as st

from components import data, page
from db import exports, offers
from db.permissions import Viewer
from db.words import _

_SCRIPT = """
const done = new Set()
export default function (component) {
  const file = component.data
  if (!file || done.has(file.address)) return
  done.add(file.address)
  const link = document.createElement("a")
  link.href = file.address
  link.download = ""
  link.click()
}
"""
_fetcher = st.components.v2.component("kehu_fetcher", js=_SCRIPT)


def button(kind: str, params: Mapping[str, Any], *, viewer: Viewer, key: str, wide: bool = False) -> None:
    """A button that exports what the screen shows; `params` are the kind's (db/exports.py). `wide`: as its place is."""
    width: Literal["stretch", "content"] = "stretch" if wide else "content"
    if not st.button(_("Export"), icon=":material/download:", key=key, width=width):
        return
    with page.guard():
        data.read(exports.check, viewer=viewer, kind=kind, params=params, today=page.today())
        token = data.write(offers.make, actor=viewer, kind=kind, params=params)
        _fetcher(key=f"{key}_fetcher", data={"address": f"/exports/{token}"}, height=1)
        st.toast(_("The file is on its way."), icon=":material/download:")
