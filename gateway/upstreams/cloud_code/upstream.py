"""Google's Cloud Code: its request envelope, the base URLs of each header mode, its errors."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from django.core.signals import setting_changed
from django.dispatch import receiver

from accounts.google.endpoints import base_urls, headers
from accounts.google.errors import error_in_stream, parse_error
from gateway.telemetry.random_ids import random_uuid
from gateway.upstreams.base import ModelCall, Upstream, WireRequest
from gateway.upstreams.connections import KeptHeaders
from gateway.upstreams.json_pieces import has_encoded_members, object_in_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.failures import UpstreamError
    from accounts.google.endpoints import HeaderMode
    from accounts.kinds.access import Access
    from gateway.routing.upstream_model import UpstreamModel

PATH = "/v1internal:streamGenerateContent?alt=sse"
KEPT_HEADERS = 64
"""How many sets of headers are kept: those of the accounts used last, with two models each."""


class CloudCode(Upstream):
    """The upstream of kind "google". `Access.details` has the account's "project_id"."""

    def addresses_of(self, model: UpstreamModel, access: Access) -> list[str]:
        return [*base_urls(model.header_mode)]

    def prepare(self, call: ModelCall) -> WireRequest:
        return WireRequest(PATH, _headers(call), _body(call))

    def classify(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        return parse_error(status, body, headers, datetime.now(UTC))

    def classify_in_stream(self, body: dict[str, Any]) -> UpstreamError:
        return error_in_stream(body, datetime.now(UTC))


def _body(call: ModelCall) -> list[bytes]:
    envelope = _envelope(call)
    if not has_encoded_members(call.request):
        return [orjson.dumps(envelope)]
    request = object_in_pieces(envelope.pop("request"))
    return [orjson.dumps(envelope).removesuffix(b"}"), b',"request":', *request, b"}"]


def _envelope(call: ModelCall) -> dict[str, Any]:
    """Build the envelope. A web search has neither request id nor session id, as in the only public source,
    another client of this API (router-for-me/CLIProxyAPI)."""
    envelope = {
        "project": call.access.details["project_id"],
        "model": call.model.sent_id,
        "userAgent": "antigravity",
        "requestType": call.request_type,
    }
    if call.request_type == "web_search":
        return {**envelope, "request": call.request}
    request = {**call.request, "sessionId": call.session_id}
    return {**envelope, "requestId": f"agent-{random_uuid()}", "request": request}


def _headers(call: ModelCall) -> KeptHeaders:
    """Return the headers, which are the same for all calls with the same token."""
    thinks = call.model.family == "claude" and call.model.thinks
    return _kept_headers(call.model.header_mode, call.access.secret, thinks)


@lru_cache(maxsize=KEPT_HEADERS)
def _kept_headers(mode: HeaderMode, secret: str, thinks: bool) -> KeptHeaders:
    call_headers = {**headers(mode), "Authorization": f"Bearer {secret}", "Accept": "text/event-stream"}
    if thinks:
        call_headers["anthropic-beta"] = "interleaved-thinking-2025-05-14"
    return KeptHeaders(call_headers)


@receiver(setting_changed)
def forget_settings(**_: object) -> None:
    """Forget the headers, because a setting has changed."""
    _kept_headers.cache_clear()
