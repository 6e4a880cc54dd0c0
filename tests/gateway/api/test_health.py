"""Health checks, as load balancers, containers and monitors ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from accounts.models import Account
from gateway.api import health
from gateway.api.application import Api, ApiRequest
from gateway.service import Gateway
from tests.gateway.conftest import a_body, a_client, body_limits, in_database, started_gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http.response import HttpResponseBase
    from pytest_django.fixtures import Settings

    from proxy_site.emulator.server import EmulatorServer

CLAUDE = "claude-sonnet-4-6"
GEMINI = "gemini-3-flash"
PROBES = ("/healthz", "/readyz", f"/readyz?model={CLAUDE}")


async def exhaust(client: httpx.AsyncClient, google: EmulatorServer, model: str = CLAUDE) -> None:
    google.state.fault("quota_exhausted", model=model, times=None)
    assert (await client.post("/v1/messages", json=a_body(model=model))).status_code == 429


async def test_probes_need_no_key_and_no_host_name(gateway: Gateway, settings: Settings) -> None:
    settings.AUTH_TOKEN = "a long and secret key"
    transport = httpx.ASGITransport(Api(gateway, body_limits()), client=("10.1.2.3", 4711))  # type: ignore[arg-type]

    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.7:8672") as prober:
        asked = [await prober.request(method, path) for path in PROBES for method in ("GET", "HEAD")]
        others = [await prober.request(method, path) for path in PROBES for method in ("POST", "PUT")]

    assert [response.status_code for response in asked] == [200] * 6
    assert {response.headers["cache-control"] for response in asked} == {"no-store"}
    assert "@" not in "".join(response.text for response in asked)
    assert {(response.status_code, response.headers["allow"]) for response in others} == {(405, "GET, HEAD")}


async def test_a_gateway_is_ready_once_it_has_started(
    client: httpx.AsyncClient, transactional_db: None
) -> None:
    async with a_client(Gateway()) as before:
        alive, ready = [await before.get(path) for path in ("/healthz", "/readyz")]
    now = await client.get("/readyz")

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.json()["reason"] == "The gateway has not started yet."
    assert (now.status_code, now.json()["status"], now.json()["degraded"]) == (200, "ok", [])


async def test_a_gateway_that_drains_is_alive_and_not_ready(
    client: httpx.AsyncClient, gateway: Gateway
) -> None:
    gateway.is_draining = True

    alive, ready, for_model = [await client.get(path) for path in PROBES]
    whole = (await client.get("/health")).json()

    assert [alive.status_code, ready.status_code, for_model.status_code] == [200, 503, 503]
    assert ready.json() == {"status": "unavailable", "reason": "The gateway is shutting down."}
    assert (whole["status"], whole["degraded"]) == ("degraded", ["The gateway is shutting down."])


async def test_an_exhausted_pool_is_ready_and_degraded(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    await exhaust(client, google)

    ready = await client.get("/readyz")
    whole = (await client.get("/health")).json()

    assert ready.status_code == 200
    assert f"Each of the 3 accounts that have {CLAUDE} is at its limit. Next try in " in ready.text
    assert whole["status"] == "degraded"
    assert whole["degraded"] == ready.json()["degraded"]
    assert "@" not in ready.text


async def test_a_model_at_its_limit_is_not_ready_until_its_time(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    await exhaust(client, google)

    limited = await client.get("/readyz", params={"model": CLAUDE})
    under_alias = await client.get("/readyz", params={"model": "claude-sonnet-4-6[1m]"})
    other = await client.get("/readyz", params={"model": GEMINI})
    refused = await client.post("/v1/messages", json=a_body(model=CLAUDE))

    assert (limited.status_code, under_alias.status_code, other.status_code) == (503, 503, 200)
    assert limited.json()["model"] == CLAUDE
    assert limited.json()["reason"].startswith(f"Each of the 3 accounts that have {CLAUDE} is at its limit.")
    assert abs(int(limited.headers["retry-after"]) - int(refused.headers["retry-after"])) <= 1


async def test_a_model_with_one_account_left_is_ready(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("quota_exhausted", account="ada@example.com", times=None)
    await client.post("/v1/messages", json=a_body())

    assert (await client.get("/readyz", params={"model": CLAUDE})).status_code == 200


async def test_a_fallback_that_can_answer_makes_a_model_ready(
    client: httpx.AsyncClient, google: EmulatorServer, live_setting: Callable[[str, Any], None]
) -> None:
    await exhaust(client, google)
    live_setting("FALLBACK", True)

    response = await client.get("/readyz", params={"model": CLAUDE})

    assert response.status_code == 200
    assert response.json()["model"] != CLAUDE


async def test_a_model_without_capacity_is_not_ready(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("capacity_exhausted", times=None)
    await client.post("/v1/messages", json=a_body())

    response = await client.get("/readyz", params={"model": CLAUDE})

    assert response.status_code == 503
    assert response.json()["reason"].startswith(f"{CLAUDE} has no capacity at the moment")
    assert 1 <= int(response.headers["retry-after"]) <= 60


async def test_an_unknown_model_is_refused_with_a_sentence(client: httpx.AsyncClient) -> None:
    names = {"no-such-model": 404, "x" * 50_000: 404, "\x1b[31m\u202e\0": 404, "": 400, "  ": 400}

    for name, status in names.items():
        response = await client.get("/readyz", params={"model": name})

        assert response.status_code == status
        assert response.json()["error"]["message"].startswith("model: ")
        assert len(response.content) < 500
        assert "\\u001b" not in response.text


async def test_without_accounts_the_process_stays_ready(google: EmulatorServer) -> None:
    await in_database(Account.objects.all().delete)()

    async with started_gateway() as gateway, a_client(gateway) as client:
        ready, for_model = [await client.get(path) for path in PROBES[1:]]

    assert (ready.status_code, ready.json()["degraded"]) == (200, ["There is no account yet."])
    assert (for_model.status_code, for_model.json()["reason"]) == (503, "There is no account yet.")
    assert "retry-after" not in for_model.headers


async def test_models_are_not_ready_while_no_list_could_be_read(google: EmulatorServer) -> None:
    google.state.fault("unavailable", method="fetchAvailableModels", times=None)

    async with started_gateway() as gateway, a_client(gateway) as client:
        ready, for_model = [await client.get(path) for path in PROBES[1:]]

    assert (ready.status_code, for_model.status_code) == (200, 503)
    assert "which models it offers" in for_model.json()["reason"]
    assert for_model.headers["retry-after"] == "5"


async def test_an_absent_database_is_told_and_no_reason_to_leave(
    client: httpx.AsyncClient, gateway: Gateway
) -> None:
    gateway.accounts.database.problem = "The database file proxy.sqlite3 was removed."

    ready, for_model = [await client.get(path) for path in PROBES[1:]]

    assert (ready.status_code, for_model.status_code) == (200, 200)
    assert ready.json()["degraded"] == ["The database file proxy.sqlite3 was removed."]


async def test_a_ledger_that_cannot_be_written_is_told(client: httpx.AsyncClient, gateway: Gateway) -> None:
    gateway.ledger._outage.note(OSError("disk full"), 3)

    ready = await client.get("/readyz")

    assert ready.status_code == 200
    assert "The ledger cannot be written; " in ready.json()["degraded"][0]


async def test_health_checks_wait_for_nothing(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    """A query would raise in the event loop; a thread, a lock or a call would suspend the coroutine."""
    await exhaust(client, google)
    views = {"/healthz": health.alive, "/readyz": health.ready, "/health": health.health}

    for path in (*PROBES, "/health"):
        request = _request(path, gateway)
        response = _without_waiting(views[request.path_info](request))

        assert response.status_code == (503 if "model" in path else 200)


def _without_waiting(view: Any) -> HttpResponseBase:
    with pytest.raises(StopIteration) as end:
        view.send(None)
    response: HttpResponseBase = end.value.value
    return response


def _request(path: str, gateway: Gateway) -> ApiRequest:
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": query.encode(), "scheme": "http",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8672),
    }  # fmt: skip
    return ApiRequest(scope, gateway)


async def test_health_has_what_monitors_of_other_tools_read(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    await exhaust(client, google)

    body = (await client.get("/health")).json()
    account = body["accounts"][0]
    [(key, limit)] = account["modelRateLimits"].items()

    assert body["summary"] == "3 total, 0 available, 3 rate-limited, 0 unusable"
    assert body["latencyMs"] < 1000
    assert (account["status"], key.partition(":")[0], limit["isRateLimited"]) == (
        "rate-limited",
        CLAUDE,
        True,
    )
    assert account["rateLimitCooldownRemaining"] > 0
    assert account["models"][f"{GEMINI}-preview:cli"]["remaining"].endswith("%")
