"""A signed-in user without a browser: speaks Streamlit's own protocol over its WebSocket, so each act is a real rerun.

What the browser does with an answer is left out, which would measure browsers and not the server.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from components.visit import COOKIE
from db.permissions import Viewer
from pages import SCREENS

SEARCH = "customers_search"
"""Key of the search box, which is its name in the address too."""
PATIENCE = 60.0
EARLY = ForwardMsg.FINISHED_EARLY_FOR_RERUN
LIST, LOOKUP, SAVE = "customers", "search", "save"
ROUND = (
    (LIST, {}),
    (LOOKUP, {}),
    ("customer", {}),
    (LIST, {}),
    (LOOKUP, {}),
    (LOOKUP, {}),
    ("customer", {}),
    (SAVE, {}),
    ("today", {}),
    ("overview", {}),
    ("segments", {}),
    ("segment", {"segment_ready": "quiet"}),
)
"""What a user does one after the other, as far as the role goes: screens with the parameters of their address."""


@dataclass(frozen=True)
class Act:
    """What was done, the time from sending it to the end of its run in ms, and the errors that the screen showed."""

    what: str
    ms: float
    errors: tuple[str, ...]


@dataclass
class Box:
    """The search box as the server sent it: where its value goes, the fragment it runs, its debounce."""

    widget: str
    fragment: str
    debounce_ms: int


@dataclass
class Visitor:
    """One tab of one user. `words` are what they search, `customers` those they open."""

    address: str
    token: str
    viewer: Viewer
    words: Sequence[str]
    customers: Sequence[int]
    seed: int = 0
    box: Box | None = None
    _params: dict[str, str] = field(default_factory=dict)
    _pages: dict[str, str] = field(default_factory=dict)
    _socket: ClientConnection | None = None

    async def __aenter__(self) -> Visitor:
        self._socket = await connect(
            self.address.replace("http", "ws", 1) + "/_stcore/stream",
            additional_headers={"Cookie": f"{COOKIE}={self.token}"},
            subprotocols=["streamlit"],  # type: ignore[list-item]
            compression=None,
            max_size=None,
            proxy=None,
        )
        await self._run("arrive", {})
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._socket:
            await self._socket.close()

    async def open(self, path: str, params: dict[str, str]) -> Act:
        """Another screen, as a click in the sidebar opens it."""
        self.box, self._params = None, params
        return await self._run(path, params, page=self._pages[path])

    async def search(self, words: str) -> Act:
        """What the browser sends when the typing pauses: the box's value, for the fragment alone."""
        assert self.box, "the list is not open"
        params = self._params | ({SEARCH: words} if words else {})
        return await self._run(LOOKUP, params, page=self._pages[LIST], box=(self.box, words))

    async def stay(self, every: float, report: Callable[[Act], None], save: Callable[[Viewer], None]) -> None:
        """Do something `every` so many seconds, the first at a moment of one's own; until cancelled."""
        rng = random.Random(self.seed)
        mine = [(what, params) for what, params in ROUND if self._may(what)]
        turn = rng.randrange(len(mine))
        due = time.monotonic() + rng.uniform(0, every)
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + every, time.monotonic())
            what, params = mine[turn % len(mine)]
            turn += 1
            if what == SAVE:
                await asyncio.to_thread(save, self.viewer)
            elif what == LOOKUP:
                if not self.box:
                    report(await self.open(LIST, {}))
                report(await self.search(rng.choice(self.words)))
            elif what == "customer":
                report(await self.open(what, {"id": str(rng.choice(self.customers))}))
            else:
                report(await self.open(what, dict(params)))

    def _may(self, what: str) -> bool:
        if what == SAVE:
            return not self.viewer.masked
        if what == "customer" and not self.customers:
            return False
        path = LIST if what == LOOKUP else what
        return any(s.path == path and self.viewer.can(s.permission) for s in SCREENS)

    async def _run(
        self, what: str, params: dict[str, str], *, page: str = "", box: tuple[Box, str] | None = None
    ) -> Act:
        sent = BackMsg()
        state = sent.rerun_script
        state.query_string, state.page_script_hash = urlencode(params), page
        state.context_info.timezone, state.context_info.locale = "UTC", "en-US"
        state.context_info.url = self.address
        if box:
            state.fragment_id = box[0].fragment
            state.widget_states.widgets.add(id=box[0].widget, string_value=box[1])
        assert self._socket
        began = time.perf_counter()
        await self._socket.send(sent.SerializeToString())
        errors: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while True:
                message = ForwardMsg.FromString(await self._socket.recv(decode=False))
                kind = message.WhichOneof("type")
                if kind == "navigation":
                    for known in message.navigation.app_pages:
                        path = SCREENS[0].path if known.is_default else known.url_pathname
                        self._pages[path] = known.page_script_hash
                elif kind == "delta":
                    self._look(message, errors)
                elif kind == "page_not_found":
                    errors.append("page not found")
                elif kind == "script_finished" and message.script_finished != EARLY:
                    break
        return Act(what, (time.perf_counter() - began) * 1000, tuple(errors))

    def _look(self, message: ForwardMsg, errors: list[str]) -> None:
        """Note the search box, and what no screen should show."""
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "text_input" and element.text_input.query_param_key == SEARCH:
            box = element.text_input
            self.box = Box(box.id, message.delta.fragment_id, box.live_debounce_ms)
        elif kind == "exception":
            errors.append(f"{element.exception.type}: {element.exception.message}"[:200])
        elif kind == "alert" and (element.alert.format == Alert.ERROR or "cloud_off" in element.alert.icon):
            errors.append(element.alert.body[:200])
        elif kind == "text_input" and element.text_input.type == element.text_input.PASSWORD:
            errors.append("the sign-in form: the session is not known")
