"""Health checks, answered from memory: no query, no lock, no call to a provider.

`/healthz` and `/readyz` are for load balancers and containers, which ask under any host name and without a
key; they get no names of accounts. An exhausted pool and an absent database are not a reason to be unready:
all replicas would leave at once, and clients would get a proxy's 503 instead of the time of the next try.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from accounts.status.pool_status import pool_status
from gateway.api.application import ApiRequest, ApiResponse, JsonResponse
from gateway.api.endpoint import endpoint
from gateway.api.operator_access import is_operator_at_health, may_be_operator
from gateway.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from accounts.status.pool_status import AccountStatus, PoolStatus
    from gateway.service import Gateway

DATABASE_SECONDS = 0.8
UNCACHED = {"cache-control": "no-store"}


@endpoint("GET", "HEAD", for_clients=False, any_host=True)
async def alive(request: ApiRequest) -> ApiResponse:
    """Answer 200 while the event loop runs, also during the drain."""
    return JsonResponse({"status": "ok"}, headers=UNCACHED)


@endpoint("GET", "HEAD", for_clients=False, any_host=True)
async def ready(request: ApiRequest) -> ApiResponse:
    """Answer 200 while this process can answer requests, 503 before its start is complete and from the drain
    on. With `?model=NAME`, answer 200 while an account would answer that model, 404 for an unknown name."""
    gateway = request.gateway
    if reason := _not_serving(gateway):
        return _unready(reason)
    if "model" in request.GET:
        return _ready_for(gateway, request.GET["model"])
    now = pool_status(gateway.accounts)
    body = {"status": "ok", "degraded": _shortcomings(gateway, now), **_facts(gateway, now)}
    return JsonResponse(body, headers=UNCACHED)


@endpoint("GET", "HEAD", for_clients=False)
async def health(request: ApiRequest) -> ApiResponse:
    """Answer the state of the gateway, always with status 200. Only the operator gets the names of
    accounts."""
    started = time.monotonic()
    gateway = request.gateway
    knows_names = await _knows_names(request)
    now = pool_status(gateway.accounts)
    shortcomings = [*filter(None, [_not_serving(gateway)]), *_shortcomings(gateway, now)]
    accounts = [
        {"email": one.name if knows_names else f"account {number}", **_as_other_tools(one), **one.as_json()}
        for number, one in enumerate(now.accounts, 1)
    ]
    body = {
        "status": "degraded" if shortcomings else "ok",
        "degraded": shortcomings,
        "timestamp": datetime.now(UTC),
        "latencyMs": round((time.monotonic() - started) * 1000),
        **_facts(gateway, now),
        "accounts": accounts,
    }
    return JsonResponse(body, headers=UNCACHED)


def _not_serving(gateway: Gateway) -> str:
    """Return why requests should go to another server; "" when they should not."""
    if gateway.is_draining:
        return "The gateway is shutting down."
    return "" if gateway.started_at else "The gateway has not started yet."


def _ready_for(gateway: Gateway, name: str) -> JsonResponse:
    """Answer whether a model can be used. Raises InvalidRequest without a name, NotFound for an unknown
    one."""
    if not name.strip():
        raise InvalidRequest("model: must be the name of a model, as in /readyz?model=claude-sonnet-4-6.")
    one = gateway.readiness.of(name)
    if one.problem:
        return _unready(one.problem, one.retry_after_seconds, model=one.model_id)
    return JsonResponse({"status": "ok", "model": one.model_id}, headers=UNCACHED)


def _unready(reason: str, retry_after_seconds: float | None = None, **more: Any) -> JsonResponse:
    error = Unavailable(reason, retry_after_seconds=retry_after_seconds)
    body = {"status": "unavailable", **more, "reason": error.message}
    return JsonResponse(body, error.status, {**UNCACHED, **error.as_headers()})


def _shortcomings(gateway: Gateway, now: PoolStatus) -> list[str]:
    """Return what does not work although the process runs, as sentences without names of accounts."""
    found = [gateway.accounts.database.problem, gateway.readiness.account_problem()]
    if gateway.ledger.is_behind:
        found.append(f"The ledger cannot be written; {gateway.ledger.waiting} rows wait in memory.")
    if now.limited:  # looking at each model costs a millisecond
        found += [one.problem for one in gateway.readiness.exhausted()]
    return list(dict.fromkeys(filter(None, found)))


def _facts(gateway: Gateway, now: PoolStatus) -> dict[str, Any]:
    return {
        "version": settings.VERSION,
        "startedAt": gateway.started_at,
        "database": gateway.accounts.database.problem or "ok",
        "summary": now.sentence,
        "counts": {
            "total": now.total,
            "available": now.available,
            "rateLimited": now.limited,
            "unusable": now.unusable,
        },
        "requests": {"inFlight": len(gateway.recorder.in_flight), "waiting": now.waiting},
        "ledger": {"unwritten": gateway.ledger.waiting},
    }


def _as_other_tools(account: AccountStatus) -> dict[str, Any]:
    """Return the account in the form that monitors of antigravity-claude-proxy read. Times are
    milliseconds."""
    limits, now = account.limits, time.time()
    longest = max((cooldown.until for cooldown in limits.values()), default=now)
    return {
        "status": "rate-limited" if limits else "ok",
        "rateLimitCooldownRemaining": round(max(0.0, longest - now) * 1000),
        "modelRateLimits": {
            key: {"isRateLimited": True, "resetTime": round(cooldown.until * 1000)}
            for key, cooldown in limits.items()
        },
        "models": {
            key: {"remaining": f"{fraction:.0%}", "remainingFraction": fraction}
            for key, fraction in account.remaining.items()
        },
    }


async def _knows_names(request: ApiRequest) -> bool:
    """Return True when the operator asks. False also when the database has not answered within
    DATABASE_SECONDS."""
    if request.gateway.accounts.database.problem or not may_be_operator(request):
        return False
    with suppress(DatabaseError, TimeoutError):
        async with asyncio.timeout(DATABASE_SECONDS):
            return await database_sync_to_async(is_operator_at_health)(request)
    return False
