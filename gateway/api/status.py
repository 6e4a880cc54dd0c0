"""Connectivity checks of clients, which are answered without a look at anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.api.application import ApiRequest, JsonResponse
from gateway.api.endpoint import endpoint

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase


@endpoint("HEAD", "POST", for_clients=False)
async def heartbeat(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse({"status": "ok"})


@endpoint("HEAD", "GET", for_clients=False)
async def hello(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse({"status": "ok"})


@endpoint("POST", for_clients=False)
async def event_logging(request: ApiRequest) -> HttpResponseBase:
    """Accept Claude Code's telemetry and drop it unread."""
    return JsonResponse({"status": "ok"})
