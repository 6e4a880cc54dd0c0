"""Requests for messages that the gateway makes itself, without HTTP: a test message, the demo's traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gateway.api.application import ApiRequest
from gateway.api.serve import SESSION_HEADER

if TYPE_CHECKING:
    from gateway.api.authentication import Client
    from gateway.service import Gateway


def own_request(
    gateway: Gateway, client: Client, body: dict[str, Any], *, session_id: str = ""
) -> ApiRequest:
    """Build a request for gateway.api.serve, as if `client` had posted the body to /v1/messages."""
    headers = {"content-type": "application/json", SESSION_HEADER: session_id}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value],
    }
    request = ApiRequest(scope, gateway)
    request.client, request.raw_body = client, orjson.dumps(body)
    return request
