"""Anthropic's endpoint that counts the tokens of a request, used at every server that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.values.outside import parse_object, whole_number
from gateway.upstreams.transport import TransportFailed

if TYPE_CHECKING:
    from gateway.upstreams.base import WireRequest
    from gateway.upstreams.transport import Transport

PATH = "/v1/messages/count_tokens"
COUNT_SECONDS = 10.0
MOST_TOKENS = 2**31
NOT_THERE = {404, 405, 501}


class CannotCount(Exception):
    """Raised when the server does not have the endpoint."""


async def counted(transport: Transport, url: str, request: WireRequest) -> int | None:
    """Have the server count the tokens; None when it fails this time. Raises CannotCount."""
    try:
        response = await transport.post(
            url, headers=request.headers, body=request.body, first_byte_seconds=COUNT_SECONDS
        )
        body = await response.read_error_body(COUNT_SECONDS)
    except TransportFailed:
        return None
    response.abort()
    if response.status in NOT_THERE:
        raise CannotCount
    found = parse_object(body).get("input_tokens") if response.status == 200 else None
    return whole_number(found, 0, MOST_TOKENS)
