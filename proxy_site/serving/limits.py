"""Limits that a server must keep before the application sees a request, and the responses when they are
exceeded.

The application keeps all others (gateway/bodies/arrival.py, proxy_headers.py).
"""

from __future__ import annotations

import orjson

from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.errors import GatewayError, InvalidRequest, RequestTimedOut
from gateway.telemetry.request_ids import accepted_or_new

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 500
"""The most headers of one request; with the request line they have at most MAX_HEADER_BYTES."""
MANY_PIECES, SMALL_PIECE_BYTES = 2_000, 64
"""A body of more pieces than this, on average smaller than that, costs more to parse than to read."""
LINGER_SECONDS = 5.0
"""How long the rest of a body is read and dropped after the answer."""
IDLE_SECONDS = 60
"""How long a connection may be open without a request."""
LARGEST_WEBSOCKET_MESSAGE = 4 * 1024
"""The limit of a message from a page, in bytes; messages to it may be larger."""
UNREADABLE = "This is not a readable HTTP/1.1 request, or its headers are too large, or its chunks too small."


def unreadable_response() -> bytes:
    return raw_error_response(b"400 Bad Request", InvalidRequest(UNREADABLE))


def slow_headers_response(seconds: float) -> bytes:
    return raw_error_response(
        b"408 Request Timeout", RequestTimedOut(f"The headers took longer than {seconds:g} s.")
    )


def raw_error_response(status: bytes, error: GatewayError) -> bytes:
    """Return a whole HTTP/1.1 response with a new request id, after which the connection must be closed."""
    request_id = accepted_or_new("")
    body = orjson.dumps(ANTHROPIC.error_body(error, request_id))
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n" % status
    head += b"request-id: %s\r\n" % request_id.encode("ascii")
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def is_cut_too_small(pieces: int, piece_bytes: int) -> bool:
    """Return whether a body that has come in so many pieces must be refused."""
    return pieces > MANY_PIECES and piece_bytes < pieces * SMALL_PIECE_BYTES
