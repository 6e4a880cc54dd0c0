"""Anthropic's messages as a dialect. The relay works with its form, so only errors are converted."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway.dialects.anthropic.messages import OLDEST_VERSION, MessagesParser
from gateway.dialects.anthropic.sse import PING, encode_event, encode_events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.errors import GatewayError


KEPT_PARSERS = 64
"""The number of parsers that are kept, one for each pair of version and beta headers. A client sends the same
pair with each request."""


class AnthropicDialect:
    ping = PING

    def parser(self, headers: Mapping[str, str], *, only_counts: bool = False) -> MessagesParser:
        """Return the parser; `only_counts` for a body of count_tokens. Repeated headers are joined by
        commas."""
        return _parser(only_counts, headers.get("anthropic-version", ""), headers.get("anthropic-beta", ""))

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


@lru_cache(maxsize=KEPT_PARSERS)
def _parser(only_counts: bool, versions: str, betas: str) -> MessagesParser:
    """Return the parser for the values of the two headers. A request without a version, which Anthropic would
    refuse, gets the oldest one."""
    version = versions.partition(",")[0].strip() or OLDEST_VERSION
    return MessagesParser(only_counts, version, frozenset(beta.strip() for beta in betas.split(",")))
