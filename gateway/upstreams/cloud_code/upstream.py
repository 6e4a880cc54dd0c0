"""Google Cloud Code: one model call, sent to one of the base URLs.

It is handed a token and a request; it knows no accounts.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from accounts.failures import FailureKind, UpstreamError
from accounts.google.endpoints import HeaderMode, base_urls, headers
from accounts.google.errors import error_in_stream, parse_error
from gateway.upstreams.transport import Response, Transport, TransportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.google_api.content import RequestType

logger = logging.getLogger(__name__)

FAILURES_TO_AVOID = 5
AVOIDED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ModelCall:
    """Everything the wire needs. `request` is the translated request, whose members may be JSON already;
    `session_id` names the conversation, which lets Google find its prompt cache again and is not sent with a
    web search."""

    access_token: str = field(repr=False)
    project_id: str
    model_id: str
    mode: HeaderMode
    interleaved_thinking: bool
    session_id: str
    request: dict[str, Any]
    request_type: RequestType = "agent"


class EndpointHealth:
    """A base URL that fails again and again is tried last for a while; it is never left out altogether,
    because with all of them failing any may be the first to come back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures: dict[str, int] = {}
        self._avoided_until: dict[str, float] = {}

    def in_order(self, bases: list[str]) -> list[str]:
        if not self._avoided_until:
            return bases
        now = self._now()
        return sorted(bases, key=lambda base: self._avoided_until.get(base, 0.0) > now)

    def succeeded(self, base: str) -> None:
        if self._failures:
            self._failures.pop(base, None)
            self._avoided_until.pop(base, None)

    def failed(self, base: str) -> None:
        self._failures[base] = self._failures.get(base, 0) + 1
        if self._failures[base] >= FAILURES_TO_AVOID:
            self._avoided_until[base] = self._now() + AVOIDED_SECONDS
            logger.warning("%s has failed %d times in a row: tried last for now", base, self._failures[base])


class CloudCode:
    def __init__(self, transport: Transport, first_byte_seconds: float) -> None:
        self._transport = transport
        self._first_byte_seconds = first_byte_seconds
        self._endpoints = EndpointHealth()

    def bases(self, mode: HeaderMode) -> list[str]:
        """The base URLs in the order to ask them."""
        return self._endpoints.in_order(base_urls(mode))

    async def stream_generate_content(self, call: ModelCall, base: str) -> Response:
        """The open stream. Raises UpstreamError or TransportFailed."""
        try:
            response = await self._post(base, _headers(call), _body(call))
        except (UpstreamError, TransportFailed) as error:
            self._note(base, failed=_is_broken(error))
            raise
        self._note(base, failed=False)
        return response

    def _note(self, base: str, *, failed: bool) -> None:
        if failed:
            self._endpoints.failed(base)
        else:
            self._endpoints.succeeded(base)

    async def _post(self, base: str, call_headers: Mapping[str, str], body: list[bytes]) -> Response:
        response = await self._transport.post(
            f"{base}/v1internal:streamGenerateContent?alt=sse",
            headers=call_headers,
            body=body,
            first_byte_seconds=self._first_byte_seconds,
        )
        if response.status == 200:
            return response
        try:
            raw = await response.read_error_body(self._first_byte_seconds)
        finally:
            response.abort()
        raise parse_error(response.status, raw, response.headers, datetime.now(UTC))


def read_error_in_stream(body: dict[str, Any]) -> UpstreamError:
    """From Google's error object in a stream."""
    return error_in_stream(body, datetime.now(UTC))


def _is_broken(error: UpstreamError | TransportFailed) -> bool:
    return not isinstance(error, UpstreamError) or error.kind is FailureKind.SERVER_ERROR


def _body(call: ModelCall) -> list[bytes]:
    """JSON in pieces. Members that are JSON already are those of a large request: putting them together would
    hold up the event loop."""
    envelope = _envelope(call)
    if not any(isinstance(member, bytes) for member in call.request.values()):
        return [orjson.dumps(envelope)]
    request = envelope.pop("request")
    pieces = [orjson.dumps(envelope).removesuffix(b"}")]
    before = b',"request":{'
    for name, member in request.items():
        pieces.append(b"%s%s:" % (before, orjson.dumps(name)))
        pieces.append(member if isinstance(member, bytes) else orjson.dumps(member))
        before = b","
    return [*pieces, b"}}"]


def _envelope(call: ModelCall) -> dict[str, Any]:
    """A web search names neither itself nor its conversation; so does another client of this API
    (router-for-me/CLIProxyAPI), our only source for it."""
    envelope = {
        "project": call.project_id,
        "model": call.model_id,
        "userAgent": "antigravity",
        "requestType": call.request_type,
    }
    if call.request_type == "web_search":
        return {**envelope, "request": call.request}
    request = {**call.request, "sessionId": call.session_id}
    return {**envelope, "requestId": f"agent-{uuid.uuid4()}", "request": request}


def _headers(call: ModelCall) -> dict[str, str]:
    call_headers = {
        **headers(call.mode),
        "Authorization": f"Bearer {call.access_token}",
        "Accept": "text/event-stream",
    }
    if call.interleaved_thinking:
        call_headers["anthropic-beta"] = "interleaved-thinking-2025-05-14"
    return call_headers
