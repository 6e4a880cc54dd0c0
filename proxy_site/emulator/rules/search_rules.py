"""Checks of web searches: a request type of its own, with one tool, for a few models.

The only source is the code of another client of this API (router-for-me/CLIProxyAPI). What it never sends is
refused here; Google may accept more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.google_errors import Json, invalid_argument, search_not_supported

if TYPE_CHECKING:
    from proxy_site.emulator.models import Model


def asks_to_search(request: Json) -> bool:
    return any("googleSearch" in tool for tool in request.get("tools") or [])


def check_search(envelope: Json, model: Model) -> None:
    request = envelope["request"]
    is_search = envelope.get("requestType") == "web_search"
    if asks_to_search(request) and not is_search:
        raise invalid_argument("Google Search is a tool of web_search requests only.", "request_type")
    if not is_search:
        return
    if "requestId" in envelope:
        raise invalid_argument("A web_search request has no request_id.", "request_id")
    if "sessionId" in request:
        raise invalid_argument("A web_search request has no session_id.", "request.session_id")
    if [set(tool) for tool in request.get("tools") or []] != [{"googleSearch"}]:
        raise invalid_argument("A web_search request has Google Search as its only tool.", "request.tools")
    if not model.searches_web:
        raise search_not_supported()
