"""Anthropic's messages as a dialect. The relay works with its form, so only errors are converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.dialects.anthropic.messages import OLDEST_VERSION, MessagesParser
from gateway.dialects.anthropic.sse import PING, encode_event, encode_events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.errors import GatewayError


class AnthropicDialect:
    ping = PING

    def parser(self, headers: Mapping[str, str], *, only_counts: bool = False) -> MessagesParser:
        """Return the parser; `only_counts` for a body of count_tokens. Repeated headers are joined by
        commas."""
        return MessagesParser(only_counts, _version(headers), _betas(headers))

    def event_encoder(self) -> Callable[[list[StreamEvent]], bytes]:
        return encode_events

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        return encode_event(self.error_body(error, request_id))

    def message_body(self, message: dict[str, Any]) -> dict[str, Any]:
        return message

    def error_body(self, error: GatewayError, request_id: str) -> dict[str, Any]:
        """Return Anthropic's error envelope, which is also the data of an error event."""
        body: dict[str, Any] = {"type": error.error_type, "message": error.message}
        if error.details:
            body["details"] = error.details
        return {"type": "error", "error": body, "request_id": error.request_id or request_id}


ANTHROPIC = AnthropicDialect()


def _version(headers: Mapping[str, str]) -> str:
    """Return the value of anthropic-version; without the header, which Anthropic requires, the oldest
    version."""
    return headers.get("anthropic-version", "").partition(",")[0].strip() or OLDEST_VERSION


def _betas(headers: Mapping[str, str]) -> frozenset[str]:
    return frozenset(beta.strip() for beta in headers.get("anthropic-beta", "").split(","))
