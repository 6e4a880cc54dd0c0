"""What a wire format of clients brings: reading requests, and writing messages, stream events and errors.

Between the two ends every dialect has Anthropic's form: a MessagesRequest, a message, stream events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.errors import GatewayError


class RequestParser(Protocol):
    """Made from the headers of one request. Pickled, where a worker process reads the body."""

    def parse(self, value: object) -> MessagesRequest:
        """Check the JSON value of a body. Raises InvalidRequest."""


class Dialect(Protocol):
    ping: bytes
    """Sent through a stream while it has nothing else."""

    def parser(self, headers: Mapping[str, str]) -> RequestParser: ...

    def event_encoder(self) -> Callable[[list[StreamEvent]], bytes]:
        """A function for one stream: events that arrived together, in the order of the stream, to bytes."""

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        """The end of a stream that has failed."""

    def message_body(self, message: dict[str, Any]) -> dict[str, Any]:
        """A whole answer, as the JSON value of a response."""

    def error_body(self, error: GatewayError, request_id: str) -> dict[str, Any]:
        """The JSON value of a response with the error's status."""
