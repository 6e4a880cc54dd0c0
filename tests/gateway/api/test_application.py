"""Requests that are not messages: models, counts, health, and everything that is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from accounts.adding.loops import PROBE_HEADER, answer_to_probe
from gateway.api.application import Api
from gateway.routing.release_dates import released_at
from gateway.telemetry import noise
from proxy_site.version import version
from tests.gateway.conftest import BODY_LIMIT_BYTES, a_body, body_limits

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer


def client_from(gateway: Gateway, address: str, host: str = "127.0.0.1:8672") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Api(gateway, body_limits()), client=(address, 5000))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


async def test_the_models_are_those_the_accounts_may_use(client: httpx.AsyncClient) -> None:
    page = (await client.get("/v1/models?limit=1000")).json()

    ids = [model["id"] for model in page["data"]]
    assert "claude-sonnet-4-6" in ids
    assert not any(model_id.startswith("tab_") for model_id in ids)
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[0], ids[-1], False)
    assert page["data"][0]["type"] == "model"
    assert page["data"][0]["object"] == "model"


async def test_the_models_come_in_pages(client: httpx.AsyncClient) -> None:
    everything = [m["id"] for m in (await client.get("/v1/models?limit=1000")).json()["data"]]

    first = (await client.get("/v1/models?limit=2")).json()
    second = (await client.get(f"/v1/models?limit=2&after_id={first['last_id']}")).json()
    back = (await client.get(f"/v1/models?limit=2&before_id={second['first_id']}")).json()

    assert [m["id"] for m in first["data"] + second["data"]] == everything[:4]
    assert [m["id"] for m in back["data"]] == everything[:2]
    assert (first["has_more"], back["has_more"]) == (True, False)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "9" * 5000, "1.5", "²"])
async def test_a_page_size_out_of_range_is_refused(limit: str, client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/models", params={"limit": limit})

    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("limit: ")


async def test_one_model_is_found_by_its_id_and_by_a_name_that_stands_for_it(
    client: httpx.AsyncClient,
) -> None:
    by_id = (await client.get("/v1/models/claude-sonnet-4-6")).json()
    by_name = (await client.get("/v1/models/claude-sonnet-5-5")).json()

    assert by_id["display_name"] == by_name["display_name"] == "Claude Sonnet 4.6"
    assert by_name["id"] == "claude-sonnet-5-5"


@pytest.mark.parametrize(
    ("name", "display_name"),
    [
        ("anthropic/claude-sonnet-4.5", "Claude Sonnet 4.5"),
        ("anthropic%2Fclaude-sonnet-4.5", "Claude Sonnet 4.5"),
        ("claude-opus-4-5", "Claude Opus 4.5 (Thinking)"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5"),
        ("models/gemini-2.5-pro", "Gemini 2.5 Pro"),
        ("claude-code/gemini-2.5-pro", "Gemini 2.5 Pro"),
        ("Gemini-3-Flash", "Gemini 3 Flash"),
    ],
)
async def test_one_model_is_found_under_every_spelling(
    name: str, display_name: str, client: httpx.AsyncClient
) -> None:
    found = (await client.get(f"/v1/models/{name}")).json()

    assert (found["id"], found["display_name"]) == (name.replace("%2F", "/"), display_name)


async def test_a_model_says_when_it_came_out_and_who_answers(client: httpx.AsyncClient) -> None:
    by_id = {m["id"]: m for m in (await client.get("/v1/models?limit=1000")).json()["data"]}

    flash = by_id["gemini-3-flash"]
    assert flash["created_at"] == "2025-12-17T00:00:00Z"
    assert flash["created"] == 1_765_929_600
    assert flash["description"] == "answered by gemini-3-flash, context of 1,048,576 tokens"
    assert flash["max_input_tokens"] == 1_048_576
    assert by_id["claude-opus-4-5-thinking"]["created_at"] == "2025-11-24T00:00:00Z"


@pytest.mark.parametrize("name", ["gemini-9-pro", "my-own-model", "gemini-2.5-flash-preview-tts"])
def test_a_model_without_a_known_date_has_the_epoch(name: str) -> None:
    assert released_at(name).isoformat() == "1970-01-01T00:00:00+00:00"


async def test_claude_codes_picker_gets_names_it_shows(client: httpx.AsyncClient) -> None:
    headers = {"User-Agent": "claude-code/2.1.332"}

    page = (await client.get("/v1/models?limit=1000", headers=headers)).json()

    by_id = {model["id"]: model for model in page["data"]}
    assert all("claude" in model_id for model_id in by_id)
    alias = by_id["claude-code/gemini-2.5-pro"]
    assert alias["display_name"] == "Gemini 2.5 Pro"
    assert alias["description"] == "answered by gemini-2.5-pro, context of 1,048,576 tokens"
    assert "claude-sonnet-4-6" in by_id


async def test_an_alias_of_the_picker_is_answered_by_its_model(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages", json=a_body(model="claude-code/gemini-2.5-pro"))

    assert response.headers["x-upstream-model"] == "gemini-2.5-pro"
    assert response.json()["model"] == "claude-code/gemini-2.5-pro"


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(
    client: httpx.AsyncClient,
) -> None:
    response = await client.get("/v1/models/no/such model")

    assert response.status_code == 404
    assert "claude-sonnet-4-6" in response.json()["error"]["message"]


async def test_tokens_are_counted_without_asking_google(client: httpx.AsyncClient) -> None:
    body = {key: value for key, value in a_body().items() if key != "max_tokens"}

    response = await client.post("/v1/messages/count_tokens?beta=true", json=body)

    assert response.json()["input_tokens"] >= 1


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("version", "status"),
    [
        (None, 200),
        ("2023-06-01", 200),
        ("2023-06-01, 2023-06-01", 200),
        ("2026-10-21", 400),
        ("2026-10-21,2023-06-01", 400),
        ("2031-01-01", 400),
    ],
)
async def test_a_request_is_judged_by_the_version_it_names(
    version: str | None, status: int, path: str, client: httpx.AsyncClient
) -> None:
    headers = {"anthropic-version": version} if version else {}

    response = await client.post(path, json=a_body(temperature=1), headers=headers)

    assert response.status_code == status


async def test_interleaved_thinking_is_told_by_the_beta_header(client: httpx.AsyncClient) -> None:
    body = a_body(
        max_tokens=4_096,
        thinking={"type": "enabled", "budget_tokens": 10_000},
        tools=[{"name": "get_weather", "input_schema": {"type": "object"}}],
    )
    betas = [("anthropic-beta", "a,b"), ("anthropic-beta", "c, interleaved-thinking-2025-05-14")]

    assert (await client.post("/v1/messages", json=body)).status_code == 400
    assert (await client.post("/v1/messages", json=body, headers=betas)).status_code == 200


async def test_health_says_how_many_accounts_and_names_none(client: httpx.AsyncClient) -> None:
    response = await client.get("/health")

    body = response.json()
    assert (body["status"], body["summary"]) == ("ok", "3 total, 3 available, 0 rate-limited, 0 unusable")
    assert body["version"] == version()
    assert body["counts"] == {"total": 3, "available": 3, "rateLimited": 0, "unusable": 0}
    assert "@" not in response.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/"), ("POST", "/"), ("HEAD", "/api/hello"), ("POST", "/api/event_logging/batch")],
)
async def test_what_claude_code_asks_beside_is_answered_without_a_key(
    method: str, path: str, client: httpx.AsyncClient, settings: Settings
) -> None:
    settings.AUTH_TOKEN = "secret"

    response = await client.request(method, path, content=b"anything", headers={"content-type": "text/plain"})

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("number", "answer"),
    [("abc", answer_to_probe("abc")), ("a" * 101, ""), (None, None)],
    ids=["signed", "too long", "none"],  # the answer differs by process
)
async def test_a_gateway_that_asks_itself_is_told(
    number: str | None, answer: str | None, client: httpx.AsyncClient
) -> None:
    response = await client.head("/api/hello", headers={} if number is None else {PROBE_HEADER: number})

    assert response.headers.get(PROBE_HEADER) == answer


# Who may call


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"x-api-key": "wrong"}, 401),
        ({"x-api-key": "sécret".encode()}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer  secret "}, 200),
        ({"x-api-key": "secret"}, 200),
        ({"authorization": "Bearer wrong", "x-api-key": "secret"}, 200),
    ],
)
async def test_the_key_is_checked(
    headers: Any, status: int, client: httpx.AsyncClient, settings: Settings
) -> None:
    settings.AUTH_TOKEN = "secret"

    response = await client.get("/v1/models", headers=headers)

    assert response.status_code == status
    if status == 401:
        assert response.json()["error"]["type"] == "authentication_error"
        assert response.headers["x-should-retry"] == "false"


async def test_a_refused_client_is_in_the_log_once_a_minute(
    client: httpx.AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUTH_TOKEN = "secret"
    noise.unauthenticated.forget()

    for _ in range(3):
        await client.get("/v1/models", headers={"x-api-key": "canary"})

    lines = [one for one in caplog.records if "was refused" in one.getMessage()]
    assert [(one.levelname, one.getMessage()) for one in lines] == [
        ("WARNING", "A client at 127.0.0.1 was refused: 401 The API key is not the gateway's AUTH_TOKEN.")
    ]
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8672", 200),
        ("127.0.0.9", "localhost", 200),
        ("::1", "[::1]:8672", 200),
        ("192.168.1.5", "127.0.0.1", 403),
        ("127.0.0.1", "gateway.lan", 403),
    ],
)
async def test_without_a_key_only_this_machine_is_served(
    address: str, host: str, status: int, gateway: Gateway, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", "gateway.lan"]

    async with client_from(gateway, address, host) as client:
        response = await client.get("/v1/models")

    assert response.status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}, 200),
        ({"sec-fetch-site": "none"}, 200),
    ],
)
async def test_without_a_key_pages_of_other_sites_are_not_served(
    headers: dict[str, str], status: int, client: httpx.AsyncClient
) -> None:
    response = await client.post("/v1/messages", json=a_body(), headers=headers)

    assert response.status_code == status


async def test_a_name_is_quoted_without_what_a_terminal_would_obey(client: httpx.AsyncClient) -> None:
    error = (await client.get("/v1/models/a%1B%5D0%3Btitle%07%E2%80%AE")).json()["error"]

    assert error["message"].startswith(r"model: a\x1b]0;title\x07\u202e is not known here")


async def test_an_answer_that_has_begun_is_followed_by_no_second_one_at_the_shutdown(
    gateway: Gateway,
) -> None:
    began: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        """To a reader whose buffer is full."""
        began.append(message["type"])
        await asyncio.Event().wait()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"} if not began else await asyncio.Event().wait()  # type: ignore[return-value]

    scope = {
        "type": "http", "method": "GET", "path": "/health", "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8672),
    }  # fmt: skip
    answering = asyncio.create_task(Api(gateway, body_limits())(scope, receive, send))
    while not began:
        await asyncio.sleep(0.01)

    gateway.is_stopping = True
    answering.cancel()
    _, unfinished = await asyncio.wait({answering}, timeout=1)

    assert not unfinished
    assert began == ["http.response.start"]


async def test_a_query_of_too_many_fields_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/models?" + "a=1&" * 5000)

    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_host_that_is_not_ours_is_refused(gateway: Gateway) -> None:
    async with client_from(gateway, "127.0.0.1", "evil.example") as client:
        response = await client.get("/health")

    assert response.status_code == 400
    assert "ALLOWED_HOSTS" in response.json()["error"]["message"]


# What is refused


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/messages/batches", "/v1/files", "/nothing", "/v1//"])
async def test_an_unknown_path_gets_the_envelope(path: str, client: httpx.AsyncClient) -> None:
    response = await client.post(path, json={})

    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/v1/messages", "/v1/messages"),
        ("/api/v1/v1/messages?beta=true", "/v1/messages"),
        ("//v1/messages", "/v1/messages"),
        ("/v1//messages", "/v1/messages"),
        ("/v1/messages/", "/v1/messages"),
        ("/V1/Messages", "/v1/messages"),
        ("/messages", "/v1/messages"),
        ("/anthropic/v1/messages", "/v1/messages"),
        ("/anthropic/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/v1/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/anthropic/v1/models/claude-sonnet-4-6", "/v1/models/claude-sonnet-4-6"),
    ],
)
async def test_a_wrong_base_url_is_told_the_right_one(
    method: str, path: str, meant: str, client: httpx.AsyncClient
) -> None:
    response = await client.request(method, httpx.URL(f"http://127.0.0.1:8672{path}"), json={})

    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (404, "not_found_error")
    assert f"but {meant} is." in error["message"]
    assert "such as http://127.0.0.1:8672;" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/messages", "POST"),
        ("DELETE", "/v1/messages/count_tokens", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/health", "GET, HEAD"),
    ],
)
async def test_a_method_that_does_not_fit_names_those_that_do(
    method: str, path: str, allow: str, client: httpx.AsyncClient
) -> None:
    response = await client.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == allow
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_a_body_that_says_it_is_not_json_is_refused(
    content_type: str, client: httpx.AsyncClient
) -> None:
    response = await client.post("/v1/messages", content=b"{}", headers={"content-type": content_type})

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "content-type: must be application/json."


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\uDE00 cut", "\ufffd cut"),
        (r"whole \ud83d\ude00", "whole \U0001f600"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"no escape \\ud83d, \ud83d", "no escape \\ud83d, \ufffd"),
    ],
)
async def test_half_an_emoji_in_an_escape_is_replaced(
    sent: str, understood: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    body = orjson.dumps(a_body(messages=[{"role": "user", "content": "TEXT"}])).replace(
        b"TEXT", sent.encode()
    )

    response = await client.post("/v1/messages", content=body, headers={"content-type": "application/json"})

    request = google.state.log.generations()[0].envelope["request"]
    assert response.status_code == 200
    assert request["contents"][0]["parts"] == [{"text": understood}]


async def test_a_body_over_the_limit_is_refused_however_it_comes(client: httpx.AsyncClient) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    declared = await client.post("/v1/messages", content=b" " * (BODY_LIMIT_BYTES + 1))
    chunked = await client.post("/v1/messages", content=pieces())

    for response in (declared, chunked):
        assert response.status_code == 413
        assert response.json()["error"]["type"] == "request_too_large"
        assert response.headers["request-id"] == response.json()["request_id"]


async def test_every_answer_carries_a_request_id(client: httpx.AsyncClient) -> None:
    ours = await client.get("/health")
    theirs = await client.get("/health", headers={"x-request-id": "abc-123"})
    hostile = await client.get("/nothing", headers={"x-request-id": "a b\tc<script>"})

    assert ours.headers["request-id"].startswith("req_")
    assert theirs.headers["request-id"] == "abc-123"
    assert hostile.headers["request-id"] == hostile.json()["request_id"] != "a b\tc<script>"
