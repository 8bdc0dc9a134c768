"""The files of a customer: a field that takes one, and a list to open or delete them."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from components import controls, data, format, tables, wording
from db import attachments
from db.errors import Invalid
from db.file_types import MEDIA_TYPES
from db.permissions import Permission, Viewer
from db.words import _

KEY = "customer_file"
ICONS = {
    "application/pdf": ":material/picture_as_pdf:",
    "image": ":material/image:",
    "text": ":material/description:",
}


# What a screen reader calls the field and its button is English, or nothing, since our words stand there by style.
_SCRIPT = """
export default function (component) {
  const { name } = component.data
  const put = () => {
    for (const part of document.querySelectorAll('[data-testid="stFileUploaderDropzone"] :is(input, button)')) {
      part.setAttribute('aria-label', name)
    }
  }
  window.kehuNaming?.disconnect()
  window.kehuNaming = new MutationObserver(put)
  window.kehuNaming.observe(document.body, { childList: true, subtree: true })
  put()
  return () => window.kehuNaming.disconnect()
}
"""
_naming = st.components.v2.component("kehu_naming", js=_SCRIPT)


def draw(customer_id: int, viewer: Viewer, *, zone: str) -> None:
    """The tab: what may be uploaded, by whom it may, and all files."""
    rows = data.read(attachments.files, viewer=viewer, customer_id=customer_id)
    may_write = viewer.can(Permission.CUSTOMERS_EDIT)
    if may_write:
        _upload(customer_id, viewer, full=len(rows) >= attachments.MOST_FILES)
    if rows.empty:
        st.info(_("No files yet."))
    for row in tables.each(rows):
        if _file(row, customer_id, viewer, zone=zone, may_write=may_write):
            done = data.write(
                attachments.delete, actor=viewer, customer_id=customer_id, attachment_id=int(row.id), screen="customer"
            )
            controls.saved(done, _("File deleted."))


def _upload(customer_id: int, viewer: Viewer, *, full: bool) -> None:
    """The field for a file; it is kept as soon as it has arrived, and why it was not is said below."""
    turn = st.session_state.get(f"{KEY}_turn", 0)  # an empty field after each file
    _in_the_users_words()
    sent = st.file_uploader(
        _("Add a file"),
        key=f"{KEY}_upload_{customer_id}_{turn}",
        max_upload_size=attachments.MOST_MEGABYTES,
        disabled=full,
    )
    limits = _("At most {mb} MB a file and {files} files a customer: {kinds}.").format(
        mb=attachments.MOST_MEGABYTES, files=attachments.MOST_FILES, kinds=", ".join(MEDIA_TYPES)
    )
    kept = _("A deleted file can be brought back for {n} days, by Undo.").format(n=attachments.KEPT_DELETED.days)
    st.caption(f"{limits}  \n{kept}")
    refused = st.session_state.pop(f"{KEY}_refused", None)
    if refused:
        st.error(wording.sentence(refused))
    if sent is None:
        return
    name, content = sent.name, sent.getvalue()
    _forget(sent)
    st.session_state[f"{KEY}_turn"] = turn + 1
    try:
        done = data.write(
            attachments.add, actor=viewer, customer_id=customer_id, name=name, content=content, screen="customer"
        )
    except Invalid as error:
        st.session_state[f"{KEY}_refused"] = f"{attachments.file_name(name)}: {error.message}"
        st.rerun()
    controls.saved(done, _("File added."))


def _forget(sent: Any) -> None:
    """Take the bytes out of the server's memory, where Streamlit would keep them as long as the tab is open."""
    context = get_script_run_ctx()
    if context is not None:
        manager: Any = context.uploaded_file_mgr
        manager.remove_file(context.session_id, sent.file_id)


def _file(row: Any, customer_id: int, viewer: Viewer, *, zone: str, may_write: bool) -> bool:
    """One file; True when it is to be deleted."""
    readable = viewer.can(Permission.PERSONAL_READ)
    kind = row.media_type
    icon = ICONS.get(kind) or ICONS.get(kind.partition("/")[0], ":material/draft:")
    with (
        st.container(border=True, key=f"{KEY}_card_{row.id}"),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"),
    ):
        with st.container(gap=None, width="content"):
            st.markdown(f"{icon} **{wording.plain(row.name) if readable else _('hidden from your role')}**")
            size = format.size(int(row.bytes))
            who = wording.plain(wording.person(row.author))
            st.caption(wording.line(size, format.instant(row.created_at, zone), who))
        with st.container(horizontal=True, gap="small", width="content"):
            if readable:
                address = f"/files/{customer_id}/{row.id}"
                st.link_button(_("Download"), address, icon=":material/download:", key=f"{KEY}_open_{row.id}")
            if not may_write:
                return False
            return st.button(_("Delete"), icon=":material/delete:", key=f"{KEY}_delete_{row.id}", type="tertiary")


def _in_the_users_words() -> None:
    """Streamlit's own words in the field are English and name a limit twice: ours stand in their place.

    Nor is the field told which kinds there are: what is wrong with a file we say ourselves.
    """
    choose = _("Choose a file")
    failed = _("The file is larger than {most} MB, or the connection broke off. Choose another one.").format(
        most=attachments.MOST_MEGABYTES
    )
    field = "[data-testid=stFileUploaderDropzone]"
    st.html(
        "<style>[data-testid=stFileUploaderDropzoneInstructions],[data-testid=stTooltipErrorContent]{display:none}"
        f"{field} button p{{font-size:0;visibility:hidden}}"
        f'{field} button p::after{{content:"{choose}";font-size:0.875rem;visibility:visible}}'
        f'{field}:has([aria-invalid=true])::after{{content:"{failed}";color:light-dark(#B42318,#FDA29B)}}</style>'
    )
    with st.container(key="kehu_named"):
        _naming(key="kehu_named_hand", data={"name": choose}, height=1)
