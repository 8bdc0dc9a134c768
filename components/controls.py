"""Controls that several screens share: choices and numbers kept in the URL, and what follows a save.

Streamlit's own `bind="query-params"` writes the *label* of an option into the URL, which is another one in another
language; a link must open the same for both, so choices here keep their code there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import streamlit as st

from components import places, undo_bar
from db.words import language

FEW_PAGES = 5


def select(
    key: str, label: str, options: Sequence[str], everything: str, named: Callable[[str], str], *, width: int = 180
) -> str:
    """A filter: '' stands for all and is called `everything`; an unknown code in the URL counts as all."""
    codes = ["", *options]
    chosen: str | None = st.selectbox(
        label,
        codes,
        format_func=lambda code: named(code) if code else everything,
        key=_adopted(key, codes),
        width=width,
    )
    return _publish(key, chosen or "", "")


def order(key: str, label: str, options: Sequence[str], named: Callable[[str], str], *, width: int = 150) -> str:
    """A choice of which there is always one; the first is the default."""
    chosen: str = st.selectbox(label, options, format_func=named, key=_adopted(key, options), width=width)
    return _publish(key, chosen, options[0])


def switch(
    key: str, label: str, options: Sequence[str], named: Callable[[str], str], *, default: str, hidden: bool = False
) -> str:
    """A row of buttons of which one is pressed."""
    adopted = _adopted(key, options)
    chosen: str | None = st.segmented_control(
        label,
        options,
        default=None if adopted in st.session_state else default,
        required=True,
        format_func=named,
        key=adopted,
        wrap=True,
        label_visibility="collapsed" if hidden else "visible",
    )
    return _publish(key, chosen or default, default)


def several(
    key: str, label: str, options: Sequence[str], named: Callable[[str], str], *, most: int, placeholder: str
) -> tuple[str, ...]:
    """A filter of several values, none of which has a comma; unknown ones in the URL count as not there."""
    adopted = key_of(key)
    written = _new(key, adopted)
    if written is not None:
        st.session_state[adopted] = [code for code in dict.fromkeys(written.split(",")) if code in options][:most]
    elif adopted in st.session_state:  # what was chosen and is no longer offered
        st.session_state[adopted] = [code for code in st.session_state[adopted] if code in options]
    chosen: list[str] = st.multiselect(
        label, options, format_func=named, key=adopted, max_selections=most, placeholder=placeholder
    )
    _publish(key, ",".join(chosen), "")
    return tuple(chosen)


def forget(key: str) -> None:
    """Take a filter that cannot be chosen any more out of the URL."""
    _publish(key, "", "")


def whole_number(
    key: str, label: str, *, most: int, default: int | None = None, placeholder: str = "", width: int = 180
) -> int | None:
    """A number from 0 to `most`, or none; what is none in the URL counts as the default."""
    adopted = key_of(key)
    written = _new(key, adopted)
    if written is not None:
        number = whole(written, most)
        st.session_state[adopted] = default if number is None else number
    found: int | None = st.number_input(
        label,
        0,
        most,
        None if adopted in st.session_state else default,
        step=1,
        key=adopted,
        placeholder=placeholder,
        width=width,
    )
    shown = default if found is None else found
    _publish(key, "" if shown is None else str(shown), "" if default is None else str(default))
    return shown


def whole(held: object, most: int) -> int | None:
    """A number from 0 to `most`, as a control holds it or an address says it; None for anything else."""
    written = str(held)
    legible = written.isascii() and written.isdecimal() and len(written) <= len(str(most))
    return int(written) if legible and int(written) <= most else None


def key_of(key: str) -> str:
    """The key of a control that stands in the URL as `key`: the browser holds the names of options, so in another
    language it is another control."""
    return f"{key}_{language()}"


def held(key: str) -> object:
    """What a control is about to show, before it is drawn: its value, or what the URL says."""
    adopted = key_of(key)
    written = st.query_params.get(key)
    if adopted in st.session_state and written == st.session_state.get(f"{key}_in_url"):
        return st.session_state[adopted]
    return written


def _new(key: str, adopted: str) -> str | None:
    """What the URL says where the control has not heard it yet: it is new, or the address was changed by hand."""
    written = st.query_params.get(key)
    if adopted in st.session_state and written == st.session_state.get(f"{key}_in_url"):
        return None
    st.session_state[f"{key}_in_url"] = written
    return written


def page_number(key: str, about: Hashable) -> int:
    """The page of a list that `turner` will show as chosen; asking `about` something else begins at the first."""
    before = st.session_state.get(f"{key}_about", about)
    st.session_state[f"{key}_about"] = about
    if before != about:
        return 1
    turned: int | None = st.session_state.get(_turner_key(key))
    written = st.query_params.get(key, "")
    legible = written.isascii() and written.isdecimal() and len(written) < 8
    return max(1, turned or (int(written) if legible else 1))


def turner(key: str, number: int, pages: int) -> None:
    """The pages of a list, `number` being the one that is shown; nothing where there is only one."""
    if pages > 1:
        # Left to itself a row of few pages shows only the one that is open.
        width: int | Literal["content"] = 46 * (pages + 2) if pages <= FEW_PAGES else "content"
        number = st.pagination(pages, default=number, key=_turner_key(key), width=width)
    _publish(key, str(number), "1")


def _turner_key(key: str) -> str:
    """Another question has another control: one that was set by us would be complained of in the log."""
    return f"{key}_{zlib.crc32(repr(st.session_state[f'{key}_about']).encode()):08x}"


def _adopted(key: str, codes: Sequence[str]) -> str:
    """The control's own key, its code taken from the URL when it is new or the address was changed by hand."""
    adopted = key_of(key)
    written = _new(key, adopted)
    if written in codes:
        st.session_state[adopted] = written
    return adopted


def _publish(key: str, code: str, default: str) -> str:
    """Keep the URL in step with the choice; the default stays out of it."""
    wanted = None if code == default else code
    if st.query_params.get(key) != wanted:
        if wanted is None:
            del st.query_params[key]
        else:
            st.query_params[key] = wanted
    st.session_state[f"{key}_in_url"] = wanted
    return code


def saved(change_set_id: int, text: str, *, leave_to: str | None = None, **params: str) -> None:
    """After a command: offer its undo, and draw the screen (or another one, with these parameters) anew."""
    undo_bar.offer(change_set_id, text)
    st.toast(text, icon=":material/check_circle:")  # the offer may be out of sight on a long page
    if leave_to:
        places.go(leave_to, **params)
    st.rerun()
