"""Another dialect than Anthropic's, made up here: the same views and relay, other bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from django.urls import path

from gateway.api.endpoint import endpoint
from gateway.api.serve import serve
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.errors import InvalidRequest
from tests.gateway.conftest import a_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import httpx
    from pytest_django.fixtures import Settings

    from gateway.api.application import ApiRequest, ApiResponse
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.errors import GatewayError
    from gateway.service import Gateway


class LineParser:
    def parse(self, value: object) -> MessagesRequest:
        if not isinstance(value, dict) or not isinstance(value.get("ask"), str):
            raise InvalidRequest("ask: Field required")
        return MessagesRequest(
            model=value.get("of", "claude-sonnet-4-6"),
            max_tokens=1000,
            messages=[{"role": "user", "content": value["ask"]}],
            stream=bool(value.get("stream")),
        )

    def parse_plain(self, value: object) -> MessagesRequest | None:
        return None


class Lines:
    """A JSON object in, numbered lines out."""

    ping = b"-\n"

    def parser(self, headers: Mapping[str, str]) -> LineParser:
        return LineParser()

    def event_encoder(self) -> Callable[[list[StreamEvent]], bytes]:
        count = 0

        def encoded(events: list[StreamEvent]) -> bytes:
            nonlocal count
            count += len(events)
            return f"{count}\n".encode()

        return encoded

    def error_event(self, error: GatewayError, request_id: str) -> bytes:
        return f"broken: {error.message}\n".encode()

    def message_body(self, message: dict[str, Any]) -> dict[str, Any]:
        return {"said": message["content"][0]["text"]}

    def error_body(self, error: GatewayError, request_id: str) -> dict[str, Any]:
        return {"wrong": error.message}


LINES = Lines()


@endpoint("POST", dialect=LINES)
async def lines(request: ApiRequest) -> ApiResponse:
    return await serve(LINES, request)


@endpoint("POST")
async def messages(request: ApiRequest) -> ApiResponse:
    return await serve(ANTHROPIC, request)


@pytest.fixture
async def client(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    both = (path("lines", lines), path("v1/messages", messages))
    monkeypatch.setattr("gateway.api.application.URLCONF", both)
    async with a_client(gateway) as client:
        yield client


async def test_a_message_is_written_in_the_dialect(client: httpx.AsyncClient) -> None:
    body = {"model": "claude-sonnet-4-6", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi"}]}

    said = (await client.post("/lines", json={"ask": "Hi"})).json()
    message = (await client.post("/v1/messages", json=body)).json()

    assert said == {"said": message["content"][0]["text"]}


async def test_a_stream_is_encoded_by_one_encoder(client: httpx.AsyncClient) -> None:
    response = await client.post("/lines", json={"ask": "Hi", "stream": True})

    counts = [int(line) for line in response.text.split()]
    assert counts == sorted(counts)
    assert counts[-1] >= 6
    assert response.headers["x-upstream-model"] == "claude-sonnet-4-6"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{}", "ask: Field required"),
        (b"[]", "ask: Field required"),
        (b"{", "The body is not valid JSON"),
        (b"[" * 300 + b"]" * 300, "nested more than 200 levels deep"),
        (orjson.dumps({"ask": "Hi", "of": "no-such-model"}), "no-such-model is not known here"),
    ],
)
async def test_a_refusal_is_written_in_the_dialect(
    content: bytes, sentence: str, client: httpx.AsyncClient
) -> None:
    response = await client.post("/lines", content=content)

    assert response.status_code in {400, 404}
    assert list(response.json()) == ["wrong"]
    assert sentence in response.json()["wrong"]


async def test_a_wrong_key_is_refused_in_the_dialect(client: httpx.AsyncClient, settings: Settings) -> None:
    settings.AUTH_TOKEN = "the key"

    response = await client.post("/lines", json={"ask": "Hi"})

    assert response.status_code == 401
    assert response.json()["wrong"].startswith("No API key was sent")
    assert response.headers["request-id"]


async def test_an_unknown_path_is_refused_in_anthropics(client: httpx.AsyncClient) -> None:
    response = await client.post("/line")

    assert response.json()["error"]["type"] == "not_found_error"
