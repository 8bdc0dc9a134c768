"""What can be done with many customers of the list at once: how many, which actions, a preview first, then the undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from components import controls, customer_tags, data, format, freeze_form, page, wording
from db import bulk_actions, customer, tags
from db.bulk_actions import ARCHIVE, ASSIGN, MOST_CHANGED, MOST_NAMES, RESTORE, TAG, UNTAG, Action, Chosen, Preview
from db.customer_filters import Filters
from db.errors import Invalid
from db.permissions import Permission, Viewer
from db.words import _, ngettext

KEY, OF_RULE = "customers_bulk", "segment_bulk"
FREEZE = "freeze"


def draw(viewer: Viewer, *, picked: Sequence[int], total: int, more: bool, filters: Filters, said: str) -> None:
    """The actions for the rows that are ticked, or without any for all that the filters find (`said` in words)."""
    kinds = _kinds(viewer, filters) | _keeping(viewer, filters)
    if not kinds:
        return
    n = len(picked)
    if not n and more:
        return  # a search that stops counting: nobody would know who is meant
    label = _label(n, total, keeps=list(kinds) == [FREEZE]).format(n=format.number(n or total))
    # Closed once something was chosen in it: it would lie on the dialog.
    turn = st.session_state.get(f"{KEY}_turn", 0)
    with st.popover(label, icon=":material/checklist:", key=f"{KEY}_{turn}"):
        for kind, (name, icon) in kinds.items():
            st.button(name, icon=icon, type="tertiary", key=f"{KEY}_{kind}", on_click=_asked, args=(kind, turn))
        st.caption(_("Tick rows to choose some of them; without a tick it is about all that the filters find."))
    asked = st.session_state.pop(f"{KEY}_asked", None)
    if asked == FREEZE and asked in kinds:
        page.dialog(kinds[asked][0])(freeze_form.ask)(viewer, picked, total, filters, said)
    elif asked in kinds:
        chosen = Chosen(ids=tuple(picked)) if n else Chosen(filters=filters)
        page.dialog(kinds[asked][0])(_ask)(viewer, asked, chosen, said if not n else "")


def may_tick(viewer: Viewer) -> bool:
    """Whether there is something that this viewer may do with customers who are ticked."""
    return viewer.can(Permission.CUSTOMERS_EDIT) or bool(_keeping(viewer, Filters()))


def _keeping(viewer: Viewer, filters: Filters) -> dict[str, tuple[str, str]]:
    """Keeping them as a frozen segment: who is archived is in none."""
    may = viewer.can(Permission.SEGMENTS_EDIT) and viewer.can(Permission.CUSTOMERS_READ)
    return {FREEZE: (_("Keep as a frozen segment"), ":material/ac_unit:")} if may and not filters.archived else {}


def _label(n: int, total: int, *, keeps: bool) -> str:
    """What the bar is called; `keeps`: nothing else can be done with them."""
    if keeps and n:
        return ngettext("Keep {n} chosen", "Keep {n} chosen", n)
    if n:
        return ngettext("Change {n} chosen", "Change {n} chosen", n)
    if keeps:
        return ngettext("Keep all {n} found", "Keep all {n} found", total)
    return ngettext("Change all {n} found", "Change all {n} found", total)


def of_rule(viewer: Viewer, *, rule: str, total: int) -> None:
    """The actions for all who fit a rule (JSON), `total` of them."""
    kinds = _kinds(viewer, Filters())
    if not kinds or not total:
        return
    turn = st.session_state.get(f"{KEY}_turn", 0)
    label = ngettext("Change {n} who fits", "Change all {n} who fit", total).format(n=format.number(total))
    with st.popover(label, icon=":material/checklist:", key=f"{OF_RULE}_{turn}"):
        for kind, (name, icon) in kinds.items():
            st.button(name, icon=icon, type="tertiary", key=f"{OF_RULE}_{kind}", on_click=_asked, args=(kind, turn))
        st.caption(_("Who fits when you confirm is changed; who is to be changed is shown before."))
    asked = st.session_state.pop(f"{KEY}_asked", None)
    if asked in kinds:
        page.dialog(kinds[asked][0])(_ask)(viewer, asked, Chosen(rule=rule), "")


def _asked(kind: str, turn: int) -> None:
    """Before the next run: it opens the dialog."""
    st.session_state[f"{KEY}_asked"] = kind
    st.session_state[f"{KEY}_turn"] = turn + 1


def _kinds(viewer: Viewer, filters: Filters) -> dict[str, tuple[str, str]]:
    """The actions that this viewer has here: name and icon."""
    edit, assign = viewer.can(Permission.CUSTOMERS_EDIT), viewer.can(Permission.CUSTOMERS_ASSIGN)
    if filters.archived:
        return {RESTORE: (_("Put back on the lists"), ":material/unarchive:")} if edit else {}
    return ({ASSIGN: (_("Hand over"), ":material/swap_horiz:")} if assign else {}) | (
        {
            TAG: (_("Add a tag"), ":material/new_label:"),
            UNTAG: (_("Remove a tag"), ":material/label_off:"),
            ARCHIVE: (_("Archive"), ":material/archive:"),
        }
        if edit
        else {}
    )


def _ask(viewer: Viewer, kind: str, chosen: Chosen, said: str) -> None:
    """In a dialog: who would change, the choice it takes, and the button that does it."""
    action, people = _action(viewer, kind)
    if said:
        st.caption(wording.sentence(_("All that the filters find: {filters}").format(filters=said)))
    if action is None:
        _limits()
        return
    try:
        found = data.read(bulk_actions.preview, viewer=viewer, today=page.today(), chosen=chosen, action=action)
    except Invalid as error:
        page.say(error)
        return
    _foretell(found, kind)
    _limits()
    if not found.changing:
        return
    n = found.changing
    with st.container(horizontal=True, gap="small"):
        go = st.button(_does(kind, n), type="primary", key=f"{KEY}_go")
        place = st.empty()
    if go:
        _do(viewer, chosen, action, found, people, place)


def _action(viewer: Viewer, kind: str) -> tuple[Action | None, Mapping[int, str]]:
    """The action with what has to be chosen for it; None before that."""
    if kind == ASSIGN:
        people = data.read(customer.assignees, viewer=viewer)
        owner_id = st.selectbox(
            _("New owner"),
            list(people),
            index=None,
            format_func=lambda i: wording.person(people[i]),
            placeholder=_("Choose a person"),
            key=f"{KEY}_owner",
        )
        return (None if owner_id is None else Action(kind, owner_id=owner_id)), people
    if kind in (TAG, UNTAG):
        used = data.read(tags.in_use, viewer=viewer)
        counts = dict(zip(used["tag"], used["customers"].astype(int), strict=True))
        word = st.selectbox(
            _("Tag"),
            list(counts),
            index=None,
            format_func=lambda tag: customer_tags.named(tag, counts.get(tag, 0)),
            placeholder=_("Choose one or type a new one") if kind == TAG else _("Choose a tag"),
            accept_new_options=kind == TAG,
            key=f"{KEY}_{kind}_tag",
        )
        return (None if word is None else Action(kind, tag=word)), {}
    return Action(kind), {}


def _foretell(found: Preview, kind: str) -> None:
    """How many would change and who, and how many would not and why."""
    n = found.changing
    heading = ngettext("{n} customer will change.", "{n} customers will change.", n) if n else _("Nobody would change.")
    st.markdown(f"**{heading.format(n=format.number(n))}**")
    if found.names:
        names = wording.listed(wording.plain(name) for name in found.names)
        st.markdown(names + (" …" if n > MOST_NAMES else ""))
    left = (
        (
            found.archived,
            ngettext("{n} is on the lists already.", "{n} are on the lists already.", found.archived)
            if kind == RESTORE
            else ngettext(
                "{n} is archived and stays as it is.", "{n} are archived and stay as they are.", found.archived
            ),
        ),
        (found.standing, _standing(kind, found.standing)),
        (
            found.full,
            ngettext(
                "{n} has {most} tags already, the most there can be.",
                "{n} have {most} tags already, the most there can be.",
                found.full,
            ),
        ),
        (found.unseen, ngettext("{n} is not among yours any more.", "{n} are not among yours any more.", found.unseen)),
    )
    for count, sentence in left:
        if count:
            st.caption(sentence.format(n=format.number(count), most=tags.MOST_TAGS))


def _standing(kind: str, n: int) -> str:
    if kind == ASSIGN:
        return ngettext("{n} belongs to this person already.", "{n} belong to this person already.", n)
    if kind == UNTAG:
        return ngettext("{n} does not have this tag.", "{n} do not have this tag.", n)
    return ngettext("{n} has this tag already.", "{n} have this tag already.", n)


def _limits() -> None:
    st.caption(
        _("One change, which you can undo as a whole; at most {most} customers at once.").format(
            most=f"{MOST_CHANGED:,}"
        )
    )


def _does(kind: str, n: int) -> str:
    """What the button says it does."""
    sentences = {
        ASSIGN: ngettext("Hand over {n} customer", "Hand over {n} customers", n),
        TAG: ngettext("Tag {n} customer", "Tag {n} customers", n),
        UNTAG: ngettext("Remove the tag from {n} customer", "Remove the tag from {n} customers", n),
        ARCHIVE: ngettext("Archive {n} customer", "Archive {n} customers", n),
        RESTORE: ngettext("Put back {n} customer", "Put back {n} customers", n),
    }
    return sentences[kind].format(n=format.number(n))


def _done(kind: str, n: int, action: Action, people: Mapping[int, str]) -> str:
    sentences = {
        ASSIGN: ngettext("{n} customer handed over to {name}.", "{n} customers handed over to {name}.", n),
        TAG: ngettext("{n} customer tagged “{name}”.", "{n} customers tagged “{name}”.", n),
        UNTAG: ngettext("Tag “{name}” removed from {n} customer.", "Tag “{name}” removed from {n} customers.", n),
        ARCHIVE: ngettext("{n} customer archived.", "{n} customers archived.", n),
        RESTORE: ngettext("{n} customer put back on the lists.", "{n} customers put back on the lists.", n),
    }
    name = wording.person(people.get(action.owner_id, "")) if action.owner_id is not None else action.tag
    return sentences[kind].format(n=format.number(n), name=wording.plain(name))


def _do(
    viewer: Viewer,
    chosen: Chosen,
    action: Action,
    found: Preview,
    people: Mapping[int, str],
    place: DeltaGenerator,
) -> None:
    """Do it, saying how far it is. The button to give up starts this dialog anew: then the bar raises, and all of it
    is taken back with the transaction."""
    place.button(_("Stop"), key=f"{KEY}_stop")
    bar = st.progress(0.0, text=_("Working … Nothing is kept before the end."))

    def progress(done: int, total: int) -> None:
        text = _("{n} of {total} done; nothing is kept before the end.")
        bar.progress(done / total, text=text.format(n=format.number(done), total=format.number(total)))

    result = data.write(
        bulk_actions.run,
        actor=viewer,
        today=page.today(),
        chosen=chosen,
        action=action,
        expected=found.changing,
        progress=progress,
        screen="customers",
    )
    controls.saved(result.change_set_id, _done(action.kind, result.changed, action, people))
