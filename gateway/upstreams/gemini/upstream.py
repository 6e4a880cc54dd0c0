"""The Gemini API, used with a key: Google's generateContent without Cloud Code's envelope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings

from accounts import live_settings
from accounts.google.gemini_errors import gemini_error_in_stream, parse_gemini_error
from gateway.upstreams.base import ModelCall, Upstream, WireRequest
from gateway.upstreams.json_pieces import object_in_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import UpstreamError
    from accounts.kinds.access import Access
    from gateway.routing.upstream_model import UpstreamModel

METHOD = "streamGenerateContent?alt=sse"
HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
"""The categories that have a threshold at the Gemini API."""


class GeminiApi(Upstream):
    """The upstream of kind "gemini". `Access.secret` is the key. It is sent in a header, since URLs end up in
    logs."""

    def addresses_of(self, model: UpstreamModel, access: Access) -> list[str]:
        return [settings.GEMINI_API_URL]

    def prepare(self, call: ModelCall) -> WireRequest:
        path = f"/v1beta/models/{quote(call.model.sent_id, safe='')}:{METHOD}"
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "x-goog-api-key": call.access.secret,
        }
        return WireRequest(path, headers, object_in_pieces({**call.request, **_safety_settings()}))

    def classify(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        return parse_gemini_error(status, body, headers, datetime.now(UTC))

    def classify_in_stream(self, body: dict[str, Any]) -> UpstreamError:
        return gemini_error_in_stream(body, datetime.now(UTC))


def _safety_settings() -> dict[str, Any]:
    """Return the operator's threshold for all categories; nothing when there is none."""
    threshold = live_settings.current["GEMINI_SAFETY_THRESHOLD"]
    if not threshold:
        return {}
    return {
        "safetySettings": [{"category": f"HARM_CATEGORY_{harm}", "threshold": threshold} for harm in HARMS]
    }
