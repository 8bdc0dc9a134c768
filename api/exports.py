"""`GET /exports/{token}`: the file that a screen has offered, to the browser of the user it was offered to.

A cell of text that a spreadsheet would take for a formula — it begins with = + - @, their full-width forms, a tab or a
line break — gets an apostrophe in front. Left as they are: numbers ("-12.50"), and phone numbers of digits and blanks
("+86 138 0013 8000"), because neither can call anything and both are of no use with an apostrophe.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import time
from collections.abc import Iterator
from datetime import date, datetime
from itertools import chain
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from api.auth import COOKIE
from db import exports, offers, sessions, words
from db.connection import begin
from db.errors import KehuError, Unavailable
from db.offers import Offer
from db.permissions import GATE
from db.sessions import Session
from db.words import _

TIMEOUT_MS = 120_000
CHUNK = 64_000  # characters

log = logging.getLogger("kehu.exports")

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_HARMLESS = re.compile(r"[+-]?\d+([.,]\d+)?|\+\d[\d ]*")


def download(request: Request) -> Response:
    """200 with the file; 401 without a session, 404 for an address that is not (or no longer) this user's."""
    words.use(words.preferred(request.headers.get("accept-language")))
    try:
        with begin(GATE) as conn:
            session = sessions.check(conn, token=request.cookies.get(COOKIE))
            if session is None:
                return PlainTextResponse(_("Sign in first, then export again."), status_code=401)
            words.use(session.language or words.language())
            offer = offers.take(conn, viewer=session.viewer, token=request.path_params["token"])
        if offer is None:
            return PlainTextResponse(_("This address is no longer good. Go back and export again."), status_code=404)
        body = _file(session, offer, words.language())
        first = next(body)  # opens the transaction and checks everything; from here on closing the body ends it
    except Unavailable as error:
        return PlainTextResponse(error.message, status_code=503)
    except KehuError as error:
        return PlainTextResponse(error.message, status_code=403)
    name = f"kehu-{offer.kind}-{session.today.isoformat()}.csv"
    return StreamingResponse(
        chain([first], body),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _file(session: Session, offer: Offer, language: str) -> Iterator[bytes]:
    began, total = time.perf_counter(), 0
    words.use(language)
    with begin(session.viewer, timeout_ms=TIMEOUT_MS) as conn:
        rows = exports.rows(conn, viewer=session.viewer, kind=offer.kind, params=offer.params, today=session.today)
        columns = exports.get(offer.kind).columns(conn, session.viewer, session.settings, offer.params)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(cell(name, session.settings.time_zone) for name in columns.values())
        yield b"\xef\xbb\xbf" + _take(text)  # without the mark Excel takes UTF-8 for something else
        words.use(language)  # every step may run in another thread
        for row in rows:
            writer.writerow(cell(row.get(name), session.settings.time_zone) for name in columns)
            total += 1
            if text.tell() > CHUNK:
                yield _take(text)
                words.use(language)
        yield _take(text)
    with begin(GATE, write=True) as conn:
        offers.note(conn, offer_id=offer.id, rows=total)
    log.info(
        "export",
        extra={
            "user": session.viewer.user_id,
            "kind": offer.kind,
            "export": offer.id,
            "rows": total,
            "ms": round((time.perf_counter() - began) * 1000, 1),
        },
    )


def _take(text: io.StringIO) -> bytes:
    found = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return found


def cell(value: Any, zone: str) -> str:
    """A value as a spreadsheet may safely open it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return exports.local(value, zone)
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return str(value)
    if value.startswith(_FORMULA) and not _HARMLESS.fullmatch(value):
        return "'" + value
    return value
