"""Connectivity checks of clients, which are answered without any check."""

from __future__ import annotations

from accounts.adding.loops import PROBE_HEADER, answer_to_probe
from gateway.api.application import ApiRequest, ApiResponse, JsonResponse
from gateway.api.endpoint import endpoint


@endpoint("HEAD", "POST", for_clients=False)
async def heartbeat(request: ApiRequest) -> ApiResponse:
    return JsonResponse({"status": "ok"})


@endpoint("HEAD", "GET", for_clients=False)
async def hello(request: ApiRequest) -> ApiResponse:
    """Answer a connectivity check. The answer to PROBE_HEADER lets a gateway recognise itself, whatever the
    address."""
    number = request.headers.get(PROBE_HEADER)
    headers = {} if number is None else {PROBE_HEADER: answer_to_probe(number)}
    return JsonResponse({"status": "ok"}, headers=headers)


@endpoint("POST", for_clients=False)
async def event_logging(request: ApiRequest) -> ApiResponse:
    """Accept Claude Code's telemetry and drop it unread."""
    return JsonResponse({"status": "ok"})
