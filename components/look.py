"""The few rules of style that the theme's settings cannot say."""

from __future__ import annotations

from typing import Any

import streamlit as st

from db.words import _
from pages import SCREENS

_CSS = """
<style>
  [data-testid="stMainBlockContainer"] { padding: 2.6rem 2.5rem 4rem; max-width: 1600px; }
  [data-testid="stSidebarHeader"] { height: 2.2rem; padding-bottom: 0; }
  /* Who one is stands at the sidebar's foot. */
  [data-testid="stSidebarUserContent"] { min-height: calc(100dvh - 5rem); padding-bottom: 1rem; display: flex; }
  [data-testid="stSidebarUserContent"] > div { flex: 1; display: flex; }
  .st-key-kehu_errand, .st-key-kehu_fold, .st-key-kehu_themed, .st-key-kehu_named {
    position: absolute; width: 0; height: 0;
  }
  /* Nor do they leave a gap, which would move the screen when they go. */
  [data-testid="stLayoutWrapper"]:has(> :is(.st-key-kehu_errand, .st-key-kehu_fold, .st-key-kehu_named)) {
    position: absolute; width: 0 !important; overflow: hidden;
  }
  /* The theme's grey of small print is too pale for many eyes (WCAG 2, 4.5 : 1). */
  body [data-testid="stCaptionContainer"] { opacity: 0.72; }
  [data-testid="stButtonGroup"] [data-selected="true"] p { color: color-mix(in srgb, currentColor 90%, CanvasText); }
  body button[kind^="primary"]:not(:hover, :disabled), [data-testid="stMultiSelect"] [data-tag] {
    background-color: light-dark(#2563EB, #336CD9);
  }
  [class*="st-key-kehu_section"] > :first-child { margin-bottom: 0.2rem; }
  /* They speak English only: how many characters are left, and that Enter submits. */
  [data-testid="InputInstructions"] { display: none; }
  /* To copy: who looks for it does not hover. */
  body [data-testid="stCode"] :is(div:has(button), button) { visibility: visible; opacity: 1; }
  /* All as tall as a button, so that what stands in a row stands on one line. */
  [data-testid="stSelectbox"] [role="group"] { min-height: 2.5rem; }
  /* Its buttons speak English only, and the whole table is one click away as an export of ours. */
  [data-testid="stElementToolbar"] { display: none; }
  [data-testid="stButtonGroup"] button { min-height: 2.5rem; }
  /* Latin and Chinese figures stand on one line. */
  [data-testid="stMetricValue"] { line-height: 1.5; }
  /* Who says what beside a channel stands in one column with it, also where it folds. */
  [data-testid="stLayoutWrapper"]:has(> [class*="st-key-customer_consent_line"]) { min-width: 0; flex: 1 1 0; }
  /* A long address is read whole. */
  [data-testid="stLinkButton"] p { white-space: normal; overflow-wrap: anywhere; }
  /* A hit may be a part of a word. */
  [class*="st-key-said_"] .stMarkdownColoredBackground { padding-left: 0; padding-right: 0; }
  .st-key-kehu_open_customer a {
    border: 1px solid light-dark(#E3E8EF, #2A3442); border-radius: 0.5rem; padding: 0.3rem 0.7rem;
  }
  [data-testid="stPageLink"] a { min-height: 36px; }
  /* Another one on the same screen is a way like any other, not where one is. */
  [data-testid="stMain"] [data-testid="stPageLink"] a:not(:hover) { background-color: transparent; }
  [data-testid="stMain"] [data-testid="stPageLink"] a :is(span, p) { font-weight: 400; }
  [data-testid="stMarkdownContainer"] table { width: 100%; font-size: 0.95em; }
  [data-testid="stMarkdownContainer"] :is(th, td) { border-left: none !important; border-right: none !important; }
  [data-testid="stMarkdownContainer"] th { font-weight: 500; opacity: 0.75; }
  /* The entries of a menu, some of which unfold, stand on one line. */
  :is(.st-key-segment_export, .st-key-segment_archive, .st-key-segment_restore) :is(button, button > div) {
    justify-content: flex-start;
  }
  [data-testid="stPopoverBody"]:has([class*="st-key-segment_freeze_"]) { width: 24rem; max-width: 94vw; }
  .st-key-segment_answer [data-testid="stMetricValue"] { font-size: 2.2rem; }
  :is([class*="st-key-segment_value"], [class*="st-key-kehu_filters_"]) [data-testid^="stNumberInputStep"] {
    display: none;
  }
  :is([class*="st-key-segment_head"], [class*="st-key-board_head"]) {
    flex-wrap: nowrap !important; align-items: flex-start !important;
  }
  [class*="st-key-board_head"] > :first-child { min-width: 0; flex: 1 1 0 !important; padding-top: 0.4rem; }
  [class*="st-key-board_head"] > :not(:first-child) { flex: none !important; }
  [class*="st-key-segment_head"] > [data-testid="stLayoutWrapper"] { min-width: 0; flex: 1 1 0 !important; }
  [data-testid="stLayoutWrapper"]:has(> [class*="st-key-segment_ends"]) { flex: none !important; margin-left: auto; }
  [class*="st-key-segment_ends"] { flex-wrap: nowrap !important; }
  [class*="st-key-segment_card"] { padding: 0.6rem !important; }
  /* A cross says it to the eye, the word to a screen reader; the menu beside it likewise. */
  :is([class*="st-key-segment_remove"], [class*="st-key-segment_menu"], [class*="st-key-board_menu"])
    [data-testid="stMarkdownContainer"] {
    position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  }
  /* Three dots say that a menu opens; its arrow would touch the cross. */
  :is([class*="st-key-segment_menu"], [class*="st-key-board_menu"]) button div[aria-hidden] { display: none; }
  /* Many small things one under the other: what happened with a customer. */
  .st-key-kehu_events [data-testid="stVerticalBlock"] { padding-top: 0.5rem; padding-bottom: 0.5rem; }
  /* Names of columns that hold a mark each need no more room than the mark. */
  [class*="st-key-kehu_wide"] .sankey .node-label {
    fill: currentColor !important; text-shadow: none !important;
    /* Bands pass below the names. */
    paint-order: stroke; stroke: light-dark(#FFFFFF, #0F141B); stroke-width: 4px; stroke-linejoin: round;
  }
  .st-key-kehu_matrix :is(th, td):not(:first-child) { text-align: center !important; }
  /* Chinese may fold after any sign: headings and names of classes keep theirs together. */
  [class*="st-key-kehu_wrapped"] th { min-width: 2.2em; }
  [data-testid="stMarkdownContainer"] td:first-child { min-width: 5.2em; }
  .st-key-kehu_wide_versions :is(th, td:nth-child(-n + 4)) { white-space: nowrap; }
  .st-key-kehu_wide_versions td:nth-child(5) { min-width: 8em; }
  @media (min-width: 641px) {
    /* What stands in for it on a phone. */
    [data-testid="stLayoutWrapper"]:has(> [class*="st-key-kehu_narrow"]) { display: none !important; }
    /* A long line under the title folds; the actions stay beside it. */
    .st-key-kehu_heading { flex-wrap: nowrap !important; }
    .st-key-kehu_heading > :first-child { min-width: 0; flex: 0 1 auto; }
    .st-key-kehu_heading > :last-child { flex: none; }
  }
  @media (max-width: 640px) {
    /* A condition: its field, then comparison and value in one line, then what belongs to the value in lines. */
    [class*="st-key-segment_field"], [class*="st-key-segment_value"]:has([data-testid="stMultiSelect"]) {
      flex: 1 1 100% !important; width: 100% !important;
    }
    [class*="st-key-segment_op"] { flex: 1 1 58% !important; min-width: 0; }
    [class*="st-key-segment_value"]:not(:has([data-testid="stMultiSelect"])) { flex: 1 1 26% !important; min-width: 0; }
    [class*="st-key-segment_value"][class*="_span_"] { flex-basis: 55% !important; }
    /* The menu and the cross lie in the corner: what stands below the field has the whole width. */
    [class*="st-key-segment_head"] { position: relative; }
    [data-testid="stLayoutWrapper"]:has(> [class*="st-key-segment_ends"]) { position: absolute; top: 0; right: 0; }
    [class*="st-key-segment_head"] :is([class*="st-key-segment_field"], [class*="st-key-segment_match"]) {
      max-width: calc(100% - 4.9rem);
    }
    [class*="st-key-segment_match"] button { padding-left: 0.4rem; padding-right: 0.4rem; }
    [class*="st-key-segment_card"] [class*="st-key-segment_card"] [class*="st-key-segment_match"] button {
      padding-left: 0.25rem; padding-right: 0.25rem;
    }
    [class*="st-key-segment_ends"] button { padding-left: 0.2rem; padding-right: 0.2rem; }
    [data-testid="stMainBlockContainer"] { padding: 4.3rem 1rem 4rem; }
    [data-testid="stMarkdownContainer"] table { display: block; overflow-x: auto; white-space: nowrap; }
    /* Sentences fold instead; and the names above the marks stand upright. */
    :is(.st-key-kehu_matrix, [class*="st-key-kehu_wrapped"]) table {
      display: table !important; white-space: normal !important;
    }
    :is(.st-key-kehu_matrix, [class*="st-key-kehu_wrapped"]) :is(th, td) { padding: 0.35rem 0.4rem !important; }
    .st-key-kehu_matrix th:not(:first-child) { writing-mode: vertical-rl; vertical-align: bottom; }
    /* A name and its number stand together; lines fold between them. */
    [class*="st-key-kehu_narrow"] li { word-break: keep-all; }
    .st-key-kehu_actions { justify-content: flex-start !important; }
    /* Filters stand in pairs, and what was chosen from a list above it: below, nobody would look. */
    [class*="st-key-kehu_filters"] > [data-testid="stElementContainer"] { flex: 0 1 calc(50% - 0.5rem) !important; }
    [class*="st-key-kehu_filters"] > [data-testid="stElementContainer"]:has([data-testid="stButtonGroup"]),
    [class*="st-key-kehu_filters"] > [data-testid="stElementContainer"]:has([data-testid="stMultiSelect"]),
    [class*="st-key-kehu_filters"] > [class*="affinity_pair"],
    .st-key-kehu_filters_segments > [data-testid="stElementContainer"]:has([data-testid="stTextInput"]) {
      flex-basis: 100% !important;
    }
    /* The count stays in sight while the rule below it is changed. */
    [data-testid="stLayoutWrapper"]:has(> .st-key-kehu_narrow_count) { position: sticky; top: 3.6rem; z-index: 9; }
    .st-key-kehu_narrow_count {
      background: light-dark(#F5F7FA, #171E28); border: 1px solid light-dark(#E3E8EF, #2A3442); border-radius: 0.5rem;
      padding: 0.4rem 0.7rem;
    }
    .st-key-kehu_narrow_count strong { font-size: 1.3rem; }
    /* What no phone is wide enough for; a table beside it says the same. */
    [data-testid="stLayoutWrapper"]:has(> [class*="st-key-kehu_wide"]) { display: none !important; }
    [data-testid="stMain"] { overflow-anchor: none; }
    /* At the top it would lie on the offer to undo. */
    [data-testid="stToastContainer"] { top: auto !important; bottom: 1rem !important; }
    [data-testid="stColumn"]:has([class*="st-key-kehu_beside"]) { order: -1; }
  }
  /* A finger is 40 px wide, and a phone enlarges the whole page for any field in smaller letters than 16 px. */
  @media (pointer: coarse), (max-width: 640px) {
    body button[data-testid^="stBaseButton"], body [data-testid="stPageLink"] a { min-height: 40px; }
    body :is([data-testid="stPopoverButton"], [data-testid^="stPagination"]) { min-height: 40px; }
    body :is([data-testid="stMenuButton"], [data-testid="stButtonGroup"]) button { min-height: 40px; }
    body [data-testid="stSelectbox"] [role="group"] { min-height: 40px; }
    body [data-testid^="stPagination"] { min-width: 34px; }
    body [data-testid="stExpandSidebarButton"], [class*="st-key-segment_remove"] button {
      min-width: 40px; min-height: 40px;
    }
    body [data-testid="stDateInput"] [role="group"] { font-size: 16px; }
    body input, body textarea { font-size: 16px !important; min-height: 40px !important; }
  }
</style>
"""

# Streamlit folds its own navigation on a phone after a tap; ours has to be folded by hand. Its choice of theme stands
# in a menu that we hide, and in the browser's storage under each path: it is read when the page loads.
_SCRIPT = """
export default function (component) {
  const { screen, theme, paths } = component.data
  if (theme) {
    for (const path of paths) localStorage.setItem(`stActiveTheme-${path}-v2`, JSON.stringify(theme))
    location.reload()
    return
  }
  const before = window.kehuScreen
  window.kehuScreen = screen
  if (before === undefined || before === screen || window.innerWidth > 768) return
  const sidebar = document.querySelector('[data-testid="stSidebar"]')
  if (!sidebar || sidebar.getBoundingClientRect().right < 50) return
  sidebar.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()
}
"""
_hand = st.components.v2.component("kehu_hand", js=_SCRIPT)


def apply(screen: str) -> None:
    """Write the rules into the page, and fold the phone's menu once it has led to another screen."""
    st.html(_CSS)
    _reach({"screen": screen})


def theme_switch() -> None:
    """A button for the other theme: this browser keeps it, and opens the page again in it."""
    dark = st.context.theme.type == "dark"
    if st.button(
        _("Light") if dark else _("Dark"),
        key="kehu_theme",
        icon=":material/light_mode:" if dark else ":material/dark_mode:",
        type="tertiary",
        help=_("The page loads again; save first what you have typed."),
    ):
        paths = ["/", *(f"/{screen.path}" for screen in SCREENS)]
        _reach({"theme": "Light" if dark else "Dark", "paths": paths}, key="kehu_themed")


def _reach(data: dict[str, Any], key: str = "kehu_fold") -> None:
    with st.container(key=key):
        _hand(key=f"{key}_hand", data=data, height=1)
