"""Servers whose answers are not quite Anthropic's, as people run them."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from aiohttp import web

from accounts.adding.keys import GivenKey, add
from gateway.models import RequestLog
from tests.gateway.conftest import a_client, in_database
from tests.gateway.kinds.conftest import sdk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.service import Gateway
    from tests.gateway.kinds.conftest import OpenGateway

    Case = tuple[int, str, bytes]
    """Status, content type and body."""

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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


def _input(partial_json: str) -> dict[str, Any]:
    delta = {"type": "input_json_delta", "partial_json": partial_json}
    return {**DELTA, "delta": delta}


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
async def served(case: Case, encoding: str = "", cut: int = 0) -> AsyncIterator[str]:
    """A server with one answer, which it sends in two parts when there is a `cut`."""

    async def messages(request: web.Request) -> web.StreamResponse:
        assert request.headers["accept-encoding"] == "identity"
        status, content_type, body = case
        headers = {"Content-Type": content_type, **({"Content-Encoding": encoding} if encoding else {})}
        if not cut:
            return web.Response(status=status, body=body, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        await response.write(body[:cut])
        await asyncio.sleep(0.05)
        await response.write(body[cut:])
        return response

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


async def ask(
    case: Case, open_gateway: OpenGateway, *, stream: bool = True, encoding: str = "", cut: int = 0
) -> anthropic.types.Message:
    async with served(case, encoding, cut) as url:
        await in_database(add)(GivenKey("compatible", "", url), unchecked=True)
        async with open_gateway() as gateway, sdk(gateway) as client:
            options: Any = {
                "model": "odd",
                "max_tokens": 100,
                "messages": [{"role": "user", "content": "Hello"}],
            }
            if not stream:
                message: anthropic.types.Message = await client.messages.create(**options)
                return message
            async with client.messages.stream(**options) as opened:
                return await opened.get_final_message()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ANSWERED)
async def test_the_client_reads_what_is_almost_right(
    name: str, stream: bool, open_gateway: OpenGateway
) -> None:
    message = await ask((200, STREAM, ANSWERED[name]), open_gateway, stream=stream)

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


# Answers in another form than was asked for

TOOL = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
CITED = {"type": "char_location", "cited_text": "Hello", "document_index": 0, "document_title": None}
COLLECTED = {
    "a call without an input": (
        [
            {"type": "content_block_start", "index": 0, "content_block": TOOL},
            _input(""),
            STOP,
        ],
        [TOOL],
    ),
    "a call": (
        [
            {"type": "content_block_start", "index": 0, "content_block": TOOL},
            _input('{"a"'),
            _input(":1}"),
            STOP,
        ],
        [{**TOOL, "input": {"a": 1}}],
    ),
    "a block that begins before the last one has ended": (
        [
            BLOCK,
            DELTA,
            {**BLOCK, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
            STOP,
        ],
        [{"type": "text", "text": "Hello"}, {"type": "thinking", "thinking": "", "signature": ""}],
    ),
    "an empty input within a text": (
        [BLOCK, _input(""), DELTA, STOP],
        [{"type": "text", "text": "Hello"}],
    ),
    "text in the start of a block": (
        [{**BLOCK, "content_block": {"type": "text", "text": "Oh. "}}, DELTA, STOP],
        [{"type": "text", "text": "Oh. Hello"}],
    ),
    "a citation, and an unknown delta": (
        [
            BLOCK,
            DELTA,
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "citations_delta", "citation": CITED},
            },
            {"type": "content_block_delta", "index": 0, "delta": {"type": "x_delta", "x": 1}},
            STOP,
        ],
        [{"type": "text", "text": "Hello", "citations": [CITED]}],
    ),
}


@pytest.mark.parametrize("name", COLLECTED)
async def test_a_stream_that_nobody_asked_for_is_collected(name: str, open_gateway: OpenGateway) -> None:
    """rynfar/meridian#239, Wei-Shaw/sub2api#867, ShouZhuo0413/codebuddy2api#11"""
    events, content = COLLECTED[name]
    body = {"model": "odd", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    async with served((200, STREAM, stream_of(START, *events, END, OVER))) as url:
        await in_database(add)(GivenKey("compatible", "", url), unchecked=True)
        async with open_gateway() as gateway, a_client(gateway) as client:
            answer = await client.post("/v1/messages", json=body)
            row = await the_row(gateway)

    message = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert message["content"] == content
    assert (message["model"], message["stop_reason"]) == ("odd", "end_turn")
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (3, 2)
    assert (row.outcome, row.input_tokens, row.output_tokens, row.is_stream) == ("answered", 3, 2, False)


async def the_row(gateway: Gateway) -> RequestLog:
    async with asyncio.timeout(5):
        while gateway.ledger.waiting or not await RequestLog.objects.aexists():
            await asyncio.sleep(0.02)
    return await RequestLog.objects.aget()


async def test_a_call_whose_input_is_no_json_is_an_error(open_gateway: OpenGateway) -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": TOOL}
    body = stream_of(START, start, _input('{"a":'), STOP, END, OVER)

    with pytest.raises(anthropic.APIStatusError, match="the input of a tool call is not JSON"):
        await ask((200, STREAM, body), open_gateway, stream=False)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("end", ["", "\n\ndata: [DONE]\n\n"])
async def test_a_whole_message_may_end_as_a_stream_does(
    stream: bool, end: str, open_gateway: OpenGateway
) -> None:
    """decolua/9router#3492"""
    whole = {**BEGUN, "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}
    body = f"\n\n{json.dumps(whole)}{end}".encode()

    message = await ask((200, STREAM, body), open_gateway, stream=stream)

    assert [block.text for block in message.content if block.type == "text"] == ["Hello"]


@pytest.mark.parametrize("cut", [2, len(b"event: message_start\ndata: ")])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_stream_is_one_wherever_it_is_cut(stream: bool, cut: int, open_gateway: OpenGateway) -> None:
    message = await ask((200, STREAM, stream_of(*ALL)), open_gateway, stream=stream, cut=cut)

    assert [block.text for block in message.content if block.type == "text"] == ["Hello"]


# Compressed answers

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", CODERS)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_nobody_asked_to_compress_is_read(
    stream: bool, encoding: str, open_gateway: OpenGateway
) -> None:
    body = CODERS[encoding](stream_of(*ALL))

    message = await ask((200, STREAM, body), open_gateway, stream=stream, encoding=encoding, cut=20)

    assert [block.text for block in message.content if block.type == "text"] == ["Hello"]


async def test_a_compressed_error_is_read(open_gateway: OpenGateway) -> None:
    """router-for-me/CLIProxyAPI#1763"""
    said = "A maximum of 4 blocks with cache_control may be provided. Found 8."
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": said}}
    case = (400, JSON, gzip.compress(json.dumps(error).encode()))

    with pytest.raises(anthropic.BadRequestError, match=said):
        await ask(case, open_gateway, encoding="gzip")


UNREADABLE = {
    "br": (200, b"\x0b\x02\x80Hello\x03", "compresses its answer with 'br', which the gateway neither asks"),
    "gzip": (200, b"event: message_start", "is said to be gzip, but is not"),
    "deflate": (200, zlib.compress(stream_of(*ALL))[:-9], "compressed with deflate, broke off"),
    "br, gzip": (
        400,
        b"\x0b",
        "an error that cannot be read: the server compresses its answer with 'br, gzip'",
    ),
}


@pytest.mark.parametrize("encoding", UNREADABLE)
async def test_what_cannot_be_decompressed_is_said(
    encoding: str, open_gateway: OpenGateway, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("MAX_WAIT_BEFORE_ERROR_MS", 0)
    status, body, words = UNREADABLE[encoding]

    with pytest.raises(anthropic.APIStatusError, match=words):
        await ask((status, STREAM, body), open_gateway, stream=False, encoding=encoding)
