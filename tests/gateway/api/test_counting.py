"""Counting tokens, and prompts that are too long: asked over HTTP, with Google's emulator behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from gateway.api.application import Api
from gateway.models import ModelRoute, TokenRatio
from proxy_site.emulator.google_errors import TOO_LONG
from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizer
from tests.gateway.conftest import a_body, body_limits, in_database, started_gateway
from tests.vocabularies import real_tokenizers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

CLAUDE, GEMINI, GPT = "claude-sonnet-4-6", "gemini-3-flash", "gpt-oss-120b-medium"
RUSSIAN = "Шлюз читает каждый запрос один раз и решает, какая учётная запись может на него ответить. "
LARGE = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
"""aiohttp's advice for bodies of more than a megabyte; a server does not see it."""
SHAPES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client_of(gateway) as client:
        yield client


def a_client_of(gateway: Gateway) -> httpx.AsyncClient:
    """For bodies as long as a server takes by default."""
    transport = httpx.ASGITransport(Api(gateway, body_limits(32 * 1024 * 1024)))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8672", timeout=60)


def saying(text: str, **changes: Any) -> dict[str, Any]:
    return a_body(messages=[{"role": "user", "content": text}], **changes)


async def count(client: httpx.AsyncClient, body: dict[str, Any]) -> int:
    response = await client.post("/v1/messages/count_tokens?beta=true", json=body)
    assert response.status_code == 200, response.text
    return int(response.json()["input_tokens"])


# --- the estimate refuses nothing ---


@pytest.mark.slow
@LARGE
@pytest.mark.needs("node")
@pytest.mark.parametrize(("model", "characters"), [(CLAUDE, 306_900), (GEMINI, 1_488_000)])
async def test_a_long_history_in_russian_is_answered(
    model: str,
    characters: int,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    pytestconfig: pytest.Config,
) -> None:
    google.state.tokenizers = real_tokenizers(pytestconfig.cache.mkdir("vocabularies"))
    body = saying((RUSSIAN * (characters // len(RUSSIAN) + 1))[:characters], model=model)

    counted = await count(client, body)
    response = await client.post("/v1/messages", json=body)

    assert response.status_code == 200
    usage = response.json()["usage"]
    assert counted == pytest.approx(usage["input_tokens"] + usage["cache_read_input_tokens"], rel=0.3)


@LARGE
async def test_google_is_asked_even_when_the_estimate_is_far_too_long(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.tokenizers = {**TOKENIZERS, "claude": Tokenizer("claude", count_text=lambda text: 1)}
    body = saying("word " * 300_000)

    assert await count(client, body) > 250_000
    assert (await client.post("/v1/messages", json=body)).status_code == 200


# --- Google refuses, in Anthropic's words ---


@SHAPES
@pytest.mark.parametrize(("model", "maximum"), [(CLAUDE, 200_000), (GEMINI, 1_048_576), (GPT, 131_072)])
async def test_a_prompt_that_google_finds_too_long_is_told_with_the_numbers(
    model: str, maximum: int, stream: bool, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.tokenizers = {
        family: Tokenizer(tokenizer.family, count_text=lambda text: 2_000_000)
        for family, tokenizer in TOKENIZERS.items()
    }

    response = await client.post("/v1/messages", json=a_body(model=model, stream=stream))

    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["message"] == f"prompt is too long: 2000004 tokens > {maximum} maximum"
    assert len(google.state.log.generations()) == 1


@SHAPES
@pytest.mark.parametrize("in_stream", [False, True], ids=["with its status", "within a 200"])
@pytest.mark.parametrize("wording", TOO_LONG)
async def test_every_wording_makes_the_client_compact(
    wording: str, in_stream: bool, stream: bool, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault(
        "prompt_too_long", wording=wording, tokens=210_000, maximum=200_000, in_stream=in_stream
    )

    response = await client.post("/v1/messages", json=a_body(stream=stream))

    told = 200_001 if "{tokens}" not in TOO_LONG[wording] else 210_000
    assert response.status_code == 400
    assert response.json()["error"] == {
        "type": "invalid_request_error",
        "message": f"prompt is too long: {told} tokens > 200000 maximum",
    }


@LARGE
async def test_a_500_for_a_prompt_that_is_clearly_too_long_is_told_as_such(
    client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("internal", times=None)

    response = await client.post("/v1/messages", json=saying("word " * 300_000))

    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("prompt is too long: ")
    assert response.json()["error"]["message"].endswith(" tokens > 200000 maximum")


# --- count_tokens ---


@pytest.mark.parametrize("model", ["no-such-model", "gpt-5"])
async def test_a_model_that_nobody_has_is_not_counted_for(model: str, client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/messages/count_tokens", json=a_body(model=model))

    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (404, "not_found_error")
    assert error["message"].startswith(f"model: {model} is not known here. There is: ")


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5[1m]", "claude-haiku-4-5", "claude-sonnet-4-6-20260101", GEMINI]
)
async def test_a_name_that_stands_for_a_model_is_counted_for(model: str, client: httpx.AsyncClient) -> None:
    assert await count(client, a_body(model=model)) > 0


async def test_a_name_with_a_route_is_counted_for(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await in_database(ModelRoute.objects.create)(client_name="mine", upstream_model=GEMINI)
    async with asyncio.timeout(5):
        while not gateway.routes.by_name:
            await asyncio.sleep(0.05)

    assert await count(client, a_body(model="mine")) > 0


@pytest.mark.django_db(transaction=True)
async def test_without_an_account_any_name_is_counted_for() -> None:
    async with started_gateway() as gateway, a_client_of(gateway) as client:
        assert await count(client, a_body(model="anything")) > 0


async def test_concurrent_counts_make_no_call(client: httpx.AsyncClient, google: EmulatorServer) -> None:
    received = google.state.log.received

    counts = await asyncio.gather(*[count(client, a_body()) for _ in range(25)])

    assert len(set(counts)) == 1
    assert google.state.log.received == received


async def test_what_is_nested_too_deeply_is_a_bad_request(client: httpx.AsyncClient) -> None:
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    tool = b'{"name":"t","input_schema":' + deep + b"}"
    body = b'{"model":"%s","messages":[{"role":"user","content":"hi"}],"tools":[%s]}' % (
        CLAUDE.encode(),
        tool,
    )

    response = await client.post("/v1/messages/count_tokens", content=body)

    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


# --- the running ratio ---


async def test_counts_follow_what_google_has_counted(
    client: httpx.AsyncClient, gateway: Gateway, google: EmulatorServer
) -> None:
    google.state.tokenizers = {**TOKENIZERS, "claude": Tokenizer("claude", factor=1.5)}
    body = saying("The gateway reads each request once and decides who may answer it. " * 200)
    before = await count(client, body)

    answers = [await client.post("/v1/messages", json=body) for _ in range(20)]

    usage = answers[-1].json()["usage"]
    counted = usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert before < 0.8 * counted
    assert await count(client, body) == pytest.approx(counted, rel=0.05)
    assert await first_usage(client, body) == pytest.approx(counted, rel=0.05)
    assert gateway.token_ratios.of(GEMINI) == 1.0


async def first_usage(client: httpx.AsyncClient, body: dict[str, Any]) -> int:
    """What message_start says."""
    stream = (await client.post("/v1/messages", json={**body, "stream": True})).text
    start = next(
        line for line in stream.splitlines() if line.startswith("data: ") and "message_start" in line
    )
    usage = orjson.loads(start.removeprefix("data: "))["message"]["usage"]
    return int(usage["input_tokens"] + usage["cache_read_input_tokens"])


async def test_the_ratio_outlives_the_server(google: EmulatorServer) -> None:
    google.state.tokenizers = {**TOKENIZERS, "claude": Tokenizer("claude", factor=1.5)}
    body = saying("The gateway reads each request once and decides who may answer it. " * 200)
    async with started_gateway() as first, a_client_of(first) as client:
        await client.post("/v1/messages", json=body)

    async with started_gateway() as second, a_client_of(second) as client:
        assert second.token_ratios.of(CLAUDE) > 1.1
    assert await in_database(TokenRatio.objects.count)() == 1


@pytest.mark.parametrize(
    "usage", [{}, {"promptTokenCount": 0}, {"promptTokenCount": 9, "cachedContentTokenCount": 5_000}]
)
async def test_usage_that_cannot_be_compared_teaches_nothing(
    usage: dict[str, int], client: httpx.AsyncClient, gateway: Gateway, google: EmulatorServer
) -> None:
    candidate = {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}
    google.state.reply_chunks([{"response": {"candidates": [candidate], "usageMetadata": usage}}])

    response = await client.post("/v1/messages", json=saying("word " * 5_000))

    assert response.status_code == 200

    assert gateway.token_ratios.of(CLAUDE) == 1.0
