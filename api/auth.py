"""The session cookie: exchanged for a one-time ticket, cleared at sign-out. Only our own pages may ask."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from db import clock, sessions
from db.connection import begin
from db.errors import Unavailable
from db.permissions import GATE, Permission
from db.sessions import Cookie

COOKIE = "kehu_session"
MOST_BYTES = 1_000


async def session(request: Request) -> Response:
    """POST {"ticket"} → 204 with the cookie, 401 for a ticket that is not good. DELETE → 204, the session ended."""
    if not same_origin(request):
        return Response(status_code=403)
    try:
        if request.method == "DELETE":
            await run_in_threadpool(_end, request.cookies.get(COOKIE))
            response = Response(status_code=204)
            response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=secure(request))
            return response
        ticket = await _ticket(request)
        if ticket is None:
            return Response(status_code=400)
        cookie = await run_in_threadpool(_redeem, ticket, request.cookies.get(COOKIE))
    except Unavailable:
        return Response(status_code=503)
    if cookie is None:
        return Response(status_code=401)
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        cookie.token,
        max_age=int((cookie.expires_at - clock.now()).total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=secure(request),
    )
    return response


def same_origin(request: Request) -> bool:
    """Whether our own page asks. Browsers name the site of each request, and scripts cannot change what they say."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host")


def secure(request: Request) -> bool:
    """Whether the browser speaks TLS: to us, or to a proxy that uvicorn trusts (FORWARDED_ALLOW_IPS)."""
    return request.url.scheme == "https"


def may_edit(token: str | None) -> bool:
    """Whether this is the token of a live session of somebody who edits customers. Raises Unavailable."""
    with begin(GATE) as conn:
        found = sessions.check(conn, token=token)
    return found is not None and found.viewer.can(Permission.CUSTOMERS_EDIT)


async def _ticket(request: Request) -> str | None:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            return None
    try:
        ticket = json.loads(body)["ticket"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return ticket if isinstance(ticket, str) and ticket.isascii() else None


def _redeem(ticket: str, replaces: str | None) -> Cookie | None:
    with begin(GATE, write=True) as conn:
        return sessions.redeem(conn, ticket=ticket, replaces=replaces)


def _end(token: str | None) -> None:
    if token:
        with begin(GATE, write=True) as conn:
            sessions.revoke(conn, token=token)
