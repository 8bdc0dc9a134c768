"""The first screen's own name: Streamlit serves the default screen at "/" only, and people type what they see."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse


async def home(request: Request) -> RedirectResponse:
    """To "/", with the parameters of the link."""
    query = request.url.query
    return RedirectResponse(f"/?{query}" if query else "/", status_code=307)
