"""Servers whose answers are not quite Anthropic's, as people run them."""

from __future__ import annotations

import gzip
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from aiohttp import web

from accounts.adding.keys import GivenKey, add
from tests.gateway.conftest import in_database
from tests.gateway.kinds.conftest import sdk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.gateway.kinds.conftest import OpenGateway

    Case = tuple[int, str, bytes]
    """Status, content type and body."""

BEGUN: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "odd",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
START = {"type": "message_start", "message": BEGUN}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
STOP = {"type": "content_block_stop", "index": 0}
END = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    "usage": {"output_tokens": 2},
}
OVER = {"type": "message_stop"}
ALL = (START, BLOCK, DELTA, STOP, END, OVER)


def stream_of(*events: Any, named: bool = True, end: str = "\n") -> bytes:
    """Events as objects, or as they are sent."""
    lines = []
    for event in events:
        name = f"event: {event['type']}{end}" if named and isinstance(event, dict) else ""
        lines.append(event if isinstance(event, str) else f"{name}data: {json.dumps(event)}{end}{end}")
    return "".join(lines).encode()


def without(event: dict[str, Any], *path: str) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(event))
    at = copy
    for one in path[:-1]:
        at = at[one]
    del at[path[-1]]
    return copy


NO_USAGE = without(START, "message", "usage")
STREAM, JSON, HTML = "text/event-stream", "application/json", "text/html"
FAILED = 'data: {"error":{"message":"No GPU is left","code":500}}\n\n'
CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
)

ANSWERED = {
    "events without names": stream_of(*ALL, named=False),
    "a byte order mark": b"\xef\xbb\xbf" + stream_of(*ALL),
    "CRLF": stream_of(*ALL, end="\r\n"),
    "no usage": stream_of(NO_USAGE, *ALL[1:4], without(END, "usage"), OVER),
    "usage that is null": stream_of(*ALL[:4], {**END, "usage": None}, OVER),
    "a ping first": stream_of("event: ping\ndata: {}\n\n", *ALL),
    "a ping without data": stream_of(START, "event: ping\n\n", *ALL[1:]),
    "a ping with a time": stream_of(START, BLOCK, "event: ping\ndata: 2026-01-01\n\n", *ALL[2:]),
    "comments": stream_of(": PROCESSING\n\n", START, ": more\n\n", *ALL[1:]),
    "OpenAI's end after its own": stream_of(*ALL, "data: [DONE]\n\n"),
    "OpenAI's end instead of its own": stream_of(*ALL[:5], "data: [DONE]\n\n"),
    "an unknown event": stream_of(START, {"type": "x_status", "progress": 1}, *ALL[1:]),
}
REFUSED = {
    "gzip": (200, STREAM, gzip.compress(stream_of(*ALL)), "a compressed answer"),
    "OpenAI's chunks": (200, STREAM, CHUNK + b"data: [DONE]\n\n", "no answer in Anthropic's format"),
    "OpenAI's error": (200, STREAM, FAILED.encode(), "No GPU is left"),
    "an error amid the answer": (
        200, STREAM, stream_of(*ALL[:3], FAILED),
        "No GPU is left",
    ),
    "an HTML page with 502": (502, HTML, b"<html>Bad</html>", "The server answers 502 with an HTML page"),
    "nothing with 204": (204, JSON, b"", "no answer in Anthropic's format"),
    "an empty stream": (200, STREAM, b"", "answered with nothing"),
    "a text instead of an error": (400, JSON, b'{"error":"model is loading"}', "model is loading"),
}  # fmt: skip


@asynccontextmanager
async def served(case: Case) -> AsyncIterator[str]:
    async def messages(request: web.Request) -> web.Response:
        status, content_type, body = case
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "odd", "object": "model"}]})

    application = web.Application()
    application.router.add_post("/v1/messages", messages)
    application.router.add_get("/v1/models", models)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(case: Case, open_gateway: OpenGateway) -> anthropic.types.Message:
    async with served(case) as url:
        await in_database(add)(GivenKey("compatible", "", url), unchecked=True)
        async with (
            open_gateway() as gateway,
            sdk(gateway) as client,
            client.messages.stream(
                model="odd", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
            ) as opened,
        ):
            return await opened.get_final_message()


@pytest.mark.parametrize("name", ANSWERED)
async def test_the_client_reads_what_is_almost_right(name: str, open_gateway: OpenGateway) -> None:
    message = await ask((200, STREAM, ANSWERED[name]), open_gateway)

    assert [block.text for block in message.content if block.type == "text"] == ["Hello"]
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_wrong_is_said_in_a_sentence(
    name: str, open_gateway: OpenGateway, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    *case, words = REFUSED[name]
    with pytest.raises(anthropic.APIStatusError, match=words):
        await ask(tuple(case), open_gateway)  # type: ignore[arg-type]
