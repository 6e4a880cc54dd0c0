"""Health checks and connectivity checks of clients and monitors."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from accounts.status.pool_status import pool_status
from gateway.api.application import ApiRequest, JsonResponse
from gateway.api.endpoint import endpoint
from gateway.api.operator_access import is_operator_at_health, may_be_operator

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase


DATABASE_SECONDS = 0.8


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


@endpoint("GET", "HEAD", for_clients=False)
async def health(request: ApiRequest) -> HttpResponseBase:
    """The state of the gateway, from memory. Public, but accounts have their names for the operator only."""
    gateway = request.gateway
    now = pool_status(gateway.accounts)
    knows_names = await _knows_names(request)
    return JsonResponse(
        {
            "status": "degraded" if gateway.accounts.database.problem else "ok",
            "version": settings.VERSION,
            "database": gateway.accounts.database.problem or "ok",
            "timestamp": datetime.now(UTC),
            "summary": now.sentence,
            "counts": {
                "total": now.total,
                "available": now.available,
                "rateLimited": now.limited,
                "unusable": now.unusable,
            },
            "requests": {"inFlight": len(gateway.recorder.in_flight), "waiting": now.waiting},
            "ledger": {"unwritten": gateway.ledger.waiting},
            "accounts": [
                {"email": one.email if knows_names else f"account {number}", **one.as_json()}
                for number, one in enumerate(now.accounts, 1)
            ],
        }
    )


async def _knows_names(request: ApiRequest) -> bool:
    """True when the operator asks. False when the database has not answered within DATABASE_SECONDS."""
    if request.gateway.accounts.database.problem or not may_be_operator(request):
        return False
    with suppress(DatabaseError, TimeoutError):
        async with asyncio.timeout(DATABASE_SECONDS):
            return await database_sync_to_async(is_operator_at_health)(request)
    return False
