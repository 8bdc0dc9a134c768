"""`/healthz`: whether this process answers and reaches its database."""

from __future__ import annotations

from sqlalchemy import text
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from db.connection import begin
from db.errors import Unavailable
from db.permissions import GATE

TIMEOUT_MS = 3_000


async def health(request: Request) -> JSONResponse:
    """200 when the database answers, else 503; no detail, because anybody may ask."""
    ok = await run_in_threadpool(_database_answers)
    return JSONResponse({"status": "ok" if ok else "database away"}, status_code=200 if ok else 503)


def _database_answers() -> bool:
    try:
        with begin(GATE, timeout_ms=TIMEOUT_MS) as conn:
            return bool(conn.scalar(text("SELECT 1")))
    except Unavailable:
        return False
