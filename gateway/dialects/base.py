"""The interface of a dialect, which is a wire format of clients. It parses requests, and encodes messages,
stream events, errors and pings.

Inside the gateway requests, messages and events of every dialect have Anthropic's form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import field

from accounts.values.concealed import Concealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.errors import GatewayError


class ClientRequest(Concealed):
    """A request in Anthropic's format as the client sent it: the decoded body, headers by names in lower
    case, and the query without its question mark."""

    body: bytes | bytearray
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


class RequestParser(Protocol):
    """Parses bodies under the headers of one request. It is pickled when a worker process parses the body."""

    def parse(self, value: object) -> MessagesRequest:
        """Check the JSON value of a body. Raises InvalidRequest."""

    def parse_plain(self, value: object) -> MessagesRequest | None:
        """Return what `parse` returns, but quickly and only for a small body in a usual form; else None."""


class Dialect(Protocol):
    ping: bytes
    """The bytes that keep a stream open while it has no event to send."""

    def parser(self, headers: Mapping[str, str]) -> RequestParser: ...

    def event_encoder(self) -> Callable[[list[StreamEvent]], bytes]:
        """Return the encoder of one stream. It is called with events that arrived together, in order."""

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        """Encode the error event that ends a stream."""

    def message_body(self, message: dict[str, Any]) -> dict[str, Any]:
        """Convert a whole message to the JSON value of a response."""

    def error_body(self, error: GatewayError, request_id: str) -> dict[str, Any]:
        """Convert an error to the JSON value of a response, whose status is the error's."""
