"""Middleware around everything the server answers: known hosts only, closed doors, security headers."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import auth
from db.errors import Unavailable

CLOSED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/upload_file")
"""Streamlit's counters and agent API, and its door for files: they would answer, and keep what is sent, without a
session."""
UPLOADS = "/_stcore/upload_file/"
"""What lies behind that door is open to our own pages in the browser of somebody who may edit customers. Streamlit
keeps a file in memory (at most `server.maxUploadSize`) until the screen has taken it, and forgets it with the tab."""

# Why each relaxation: Streamlit's page has one inline script and its components load theirs from blob: addresses;
# emotion and plotly write style elements; charts and icons are data: images; the grid's and plotly's workers are blob:.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' {inline} blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
NOT_STORED = ("/auth/", "/exports/", "/files/")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def allowed_hosts() -> list[str]:
    """The names under which Kehu answers: this machine's, and those of KEHU_HOSTS (a comma between)."""
    more = os.environ.get("KEHU_HOSTS", "")
    return ["localhost", "127.0.0.1", "::1", *(name.strip() for name in more.split(",") if name.strip())]


def is_allowed(host: str | None, allowed: list[str]) -> bool:
    """Whether a Host header names one of these; "*.example.com" allows what is below it, "*" everything."""
    try:
        name = (urlsplit(f"//{host or ''}").hostname or "").rstrip(".")
    except ValueError:
        return False
    for pattern in (a.lower().rstrip(".") for a in allowed):
        if name and (pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))):
            return True
    return False


def inline_hash(page: Path) -> str:
    """The CSP source of the one script inside Streamlit's page, as it is installed."""
    script = re.search(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL)
    digest = hashlib.sha256((script.group(1) if script else "").encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


class Guard:
    """ASGI middleware; touches the start of a response only, so that streams pass through it."""

    def __init__(self, app: ASGIApp, *, page: Path) -> None:
        self.app = app
        self.allowed = allowed_hosts()
        self.headers = HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY.format(inline=inline_hash(page))}

    async def _takes_file(self, scope: Scope) -> bool:
        """Whether this is a file for a screen, from somebody who may upload one. Nothing of the body is read here."""
        if scope["type"] != "http" or scope["method"] not in ("PUT", "DELETE") or not scope["path"].startswith(UPLOADS):
            return False
        request = Request(scope)
        if not auth.same_origin(request):
            return False
        try:
            return await run_in_threadpool(auth.may_edit, request.cookies.get(auth.COOKIE))
        except Unavailable:
            return False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    found.setdefault(name, value)
                if path.startswith(NOT_STORED):
                    found["Cache-Control"] = "no-store"
            await send(message)

        host = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"host"), None)
        known = is_allowed(host, self.allowed)
        closed = any(path == door or path.startswith(door + "/") for door in CLOSED)
        if known and (not closed or await self._takes_file(scope)):
            await self.app(scope, receive, guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif known:
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, guarded)
        else:
            text = "Kehu does not answer to this name. An administrator can add it to KEHU_HOSTS."
            await PlainTextResponse(text, status_code=400)(scope, receive, guarded)
