"""`GET /files/{customer}/{file}`: a customer's file, to the browser of somebody who is signed in and sees the customer.

It always goes to the disk and is never shown in our own name: whatever is inside, no page of ours runs it.
"""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.auth import COOKIE
from db import attachments, sessions, words
from db.connection import begin
from db.errors import KehuError, NotFound, Unavailable
from db.permissions import GATE
from db.words import _

log = logging.getLogger("kehu.files")

MOST_DIGITS = 18


def download(request: Request) -> Response:
    """200 with the file; 401 without a session, 403 without the right, 404 for what is absent or somebody else's."""
    began = time.perf_counter()
    words.use(words.preferred(request.headers.get("accept-language")))
    try:
        with begin(GATE) as conn:
            session = sessions.check(conn, token=request.cookies.get(COOKIE))
        if session is None:
            return PlainTextResponse(_("Sign in first, then open the file again."), status_code=401)
        words.use(session.language or words.language())
        customer_id, attachment_id = (_number(request.path_params[name]) for name in ("customer", "file"))
        with begin(session.viewer) as conn:
            found = attachments.content(
                conn, viewer=session.viewer, customer_id=customer_id, attachment_id=attachment_id
            )
    except Unavailable as error:
        return PlainTextResponse(error.message, status_code=503)
    except NotFound as error:
        return PlainTextResponse(error.message, status_code=404)
    except KehuError as error:
        return PlainTextResponse(error.message, status_code=403)
    log.info(
        "file",
        extra={
            "user": session.viewer.user_id,
            "customer": customer_id,
            "file": attachment_id,
            "bytes": len(found.content),
            "ms": round((time.perf_counter() - began) * 1000, 1),
        },
    )
    headers = {"Content-Disposition": disposition(found.name)}
    return Response(found.content, media_type=_typed(found.media_type), headers=headers)


def disposition(name: str) -> str:
    """The header that names the file: for all browsers in UTF-8 (RFC 6266), beside it what ASCII holds of the name."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _number(written: str) -> int:
    """An id of the address. Raises NotFound for what is none."""
    if not (written.isascii() and written.isdecimal()) or len(written) > MOST_DIGITS:
        raise NotFound(_("There is no such file that you may see."))
    return int(written)


def _typed(media_type: str) -> str:
    """Texts are in the sender's encoding, which nobody knows: the browser is told none."""
    return "application/octet-stream" if media_type.startswith("text/") else media_type
