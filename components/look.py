"""The few rules of style that the theme's settings cannot say."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
  [data-testid="stMainBlockContainer"] { padding: 2.6rem 2.5rem 4rem; max-width: 1600px; }
  [data-testid="stSidebarHeader"] { height: 2.2rem; padding-bottom: 0; }
  /* Who one is stands at the sidebar's foot. */
  [data-testid="stSidebarUserContent"] { min-height: calc(100dvh - 5rem); padding-bottom: 1rem; display: flex; }
  [data-testid="stSidebarUserContent"] > div { flex: 1; display: flex; }
  .st-key-kehu_errand, .st-key-kehu_fold { position: absolute; width: 0; height: 0; }
  /* Its buttons speak English only, and the whole table is one click away as an export of ours. */
  [data-testid="stElementToolbar"] { display: none; }
  [data-testid="stButtonGroup"] button { min-height: 40px; }
  [data-testid="stPageLink"] a { min-height: 36px; }
  [data-testid="stMarkdownContainer"] table { width: 100%; font-size: 0.95em; }
  [data-testid="stMarkdownContainer"] :is(th, td) { border-left: none !important; border-right: none !important; }
  [data-testid="stMarkdownContainer"] th { font-weight: 500; opacity: 0.75; }
  @media (max-width: 640px) {
    [data-testid="stMainBlockContainer"] { padding: 3.6rem 1rem 4rem; }
    [data-testid="stMarkdownContainer"] table { display: block; overflow-x: auto; white-space: nowrap; }
  }
  /* A finger is 40 px wide, and a phone enlarges the whole page for any field in smaller letters than 16 px. */
  @media (pointer: coarse), (max-width: 640px) {
    .stApp button[data-testid^="stBaseButton"], .stApp [data-testid="stPageLink"] a { min-height: 40px; }
    .stApp input, .stApp textarea { font-size: 16px !important; min-height: 40px; }
  }
</style>
"""

# Streamlit folds its own navigation on a phone after a tap; ours has to be folded by hand.
_FOLD = """
export default function (component) {
  const before = window.kehuScreen
  window.kehuScreen = component.data.screen
  if (before === undefined || before === window.kehuScreen || window.innerWidth > 768) return
  const sidebar = document.querySelector('[data-testid="stSidebar"]')
  if (!sidebar || sidebar.getBoundingClientRect().right < 50) return
  sidebar.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()
}
"""
_folder = st.components.v2.component("kehu_folder", js=_FOLD)


def apply(screen: str) -> None:
    """Write the rules into the page, and fold the phone's menu once it has led to another screen."""
    st.html(_CSS)
    with st.container(key="kehu_fold"):
        _folder(key="kehu_folder", data={"screen": screen}, height=1)
