"""Connectivity checks of clients, which are answered without a look at anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.adding.loops import PROBE_HEADER, answer_to_probe
from gateway.api.application import ApiRequest, JsonResponse
from gateway.api.endpoint import endpoint

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase


@endpoint("HEAD", "POST", for_clients=False)
async def heartbeat(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse({"status": "ok"})


@endpoint("HEAD", "GET", for_clients=False)
async def hello(request: ApiRequest) -> HttpResponseBase:
    """Also shows a gateway that asks itself, through whatever address, that it does."""
    number = request.headers.get(PROBE_HEADER)
    headers = {} if number is None else {PROBE_HEADER: answer_to_probe(number)}
    return JsonResponse({"status": "ok"}, headers=headers)


@endpoint("POST", for_clients=False)
async def event_logging(request: ApiRequest) -> HttpResponseBase:
    """Accept Claude Code's telemetry and drop it unread."""
    return JsonResponse({"status": "ok"})
