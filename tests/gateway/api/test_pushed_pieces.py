"""Pieces that are sent as their data arrives, against pieces that the waiting task returns."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.serve import _Exchange, _Pieces
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.ledger.record import RequestRecord
from gateway.relay import answer as answer_module
from gateway.relay.answer import Answer
from gateway.relay.formats.generate_content import ChunkedAnswer
from gateway.timeouts import timeouts
from gateway.upstreams.connections import ConnectedResponse, ModelConnection
from tests.gateway.relay.test_answer import ADA, a_chunk, a_stream, an_error

if TYPE_CHECKING:
    import pytest

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
END = b"0\r\n\r\n"
LAST = a_chunk(finishReason="STOP")
LONG_ENOUGH = 30
"""Turns of the event loop after which nothing is left to do."""
SEVERAL = 4
"""Turns after which what arrived has been read."""
PARTS = (
    *(a_chunk(text) for text in ("Hello ", "world", "\n", "😀", '"quoted"', "a\\b")),
    a_chunk("a longer text " * 40),
    a_chunk("with counts").replace(
        b'"candidates"', b'"usageMetadata":{"candidatesTokenCount":7},"candidates"'
    ),
    a_chunk("Hmm").replace(b'"text"', b'"thought":true,"text"'),
    a_chunk("x").replace(b'"text":"x"', b'"functionCall":{"name":"Read","args":{"path":"/a"}}'),
    a_chunk("crlf").replace(b"\n", b"\r\n"),
    a_chunk("no"),
    b": a comment\n\n",
    b"\n",
)
MALFORMED = (b"data: nonsense\n\n", b"<html>\n\n")
BAD_PARTS = (*MALFORMED, an_error(), a_chunk(finishReason="SAFETY"))


class Client:
    """A client's side: what it was sent, directly or by the task, and whether it reads."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.direct = 0
        self.can_send = True

    def send_piece(self, piece: bytes) -> None:
        assert self.can_send
        self.direct += 1
        self.sent.append(piece)


class Stream:
    """A stream from the upstream's connection to the client, without sockets."""

    def __init__(self, *, is_pushed: bool) -> None:
        self.transport = Mock(**{"is_closing.return_value": False, "get_write_buffer_size.return_value": 0})
        self.connection = ModelConnection(timeouts(), self.transport, asyncio.Semaphore(0))
        self.client = Client()
        self.record = RequestRecord("req_1", "", "", 0)
        self.idle: list[ModelConnection] = []
        self._is_pushed = is_pushed

    async def begin(self, first: bytes = HEAD + b"%x\r\n%b\r\n" % (len(PARTS[0]), PARTS[0])) -> None:
        self.connection.data_received(first)
        response = ConnectedResponse(self.connection, self.idle)
        self.answer = Answer(response, ChunkedAnswer(a_stream()), "claude-sonnet-4-6", ADA)
        await self.answer.begin()
        exchange = _Exchange(ANTHROPIC, Mock(is_stopping=False), self.record)
        self.pieces = _Pieces(exchange, self.answer, b"", self.client if self._is_pushed else None)
        self.task = asyncio.create_task(self._send())
        await turns(2)

    async def _send(self) -> None:
        try:
            async for piece in self.pieces:
                self.client.sent.append(piece)
        finally:
            await self.pieces.clean_up()

    async def end(self) -> tuple[bytes, int, str | None, bool]:
        """The bytes sent, their recorded number, the recorded status, and whether the connection is kept."""
        await turns(LONG_ENOUGH)
        assert self.task.done()
        with suppress(asyncio.CancelledError):
            self.task.result()
        return b"".join(self.client.sent), self.record.response_bytes, self.record.problem, bool(self.idle)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[bytes, int, bool]]:
    """What arrives: bytes of an answer cut anywhere, turns of the event loop after each piece, and whether
    the client reads meanwhile. An answer ends with its end, in the middle, or with a failure."""
    events = draw(st.lists(st.sampled_from(PARTS), max_size=12))
    ends: list[list[bytes]] = [[LAST], [LAST], [], [LAST, PARTS[0]], *([part] for part in BAD_PARTS)]
    events = [PARTS[1], *events, *draw(st.sampled_from(ends))]
    body = b"".join(events)
    at = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    by_event = [len(b"".join(events[:count])) for count in range(1, len(events))]
    cuts = sorted({0, *at, *(by_event if draw(st.booleans()) else []), len(body)})
    pieces = [chunked(body[start:end]) for start, end in pairwise(cuts)]
    if not draw(st.booleans()) and pieces:
        pieces[-1] += END
    else:
        pieces.append(END)
    if draw(st.booleans()):  # cut by the network, too
        whole = b"".join(pieces)
        at = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=6)) | {0, len(whole)})
        pieces = [whole[start:end] for start, end in pairwise(at)]
    # What comes in one read with malformed bytes is lost, so there each piece is read before the next comes.
    pauses = st.just(SEVERAL) if events[-1] in MALFORMED else st.integers(0, SEVERAL)
    return [(piece, draw(pauses), draw(st.sampled_from([True, True, False]))) for piece in pieces]


async def outcome_of(pieces: list[tuple[bytes, int, bool]], *, is_pushed: bool) -> tuple[Any, int]:
    stream = Stream(is_pushed=is_pushed)
    await stream.begin()
    for data, pause, reads in pieces:
        stream.client.can_send = reads
        stream.connection.data_received(data)
        await turns(pause)
    if not stream.connection.is_complete:
        stream.connection.connection_lost(None)
    return await stream.end(), stream.client.direct


@settings(max_examples=400, deadline=None)
@given(arrivals())
def test_what_a_client_gets_is_the_same(pieces: list[tuple[bytes, int, bool]]) -> None:
    pushed, _ = asyncio.run(outcome_of(pieces, is_pushed=True))
    returned, direct = asyncio.run(outcome_of(pieces, is_pushed=False))
    assert direct == 0
    assert pushed == returned


async def test_plain_events_wake_no_task() -> None:
    stream = Stream(is_pushed=True)
    await stream.begin()
    for text in ("one ", "two ", "three"):
        stream.connection.data_received(chunked(a_chunk(text)))
        assert text.encode() in stream.client.sent[-1], "sent before the event loop turns"
    assert stream.client.direct == 3
    stream.connection.data_received(chunked(LAST) + END)
    sent, recorded, error, is_kept = await stream.end()
    assert (recorded, error, is_kept) == (len(sent), None, True)
    assert b"message_stop" in sent


async def test_a_slow_client_gets_its_events_in_order() -> None:
    stream = Stream(is_pushed=True)
    await stream.begin()
    stream.client.can_send = False
    stream.connection.data_received(chunked(a_chunk("one ")))
    stream.connection.data_received(chunked(a_chunk("two ")))  # before the task runs
    stream.client.can_send = True
    stream.connection.data_received(chunked(a_chunk("three ")))
    await turns(3)
    stream.connection.data_received(chunked(a_chunk("four")) + chunked(LAST) + END)
    sent, *_ = await stream.end()
    at = [sent.index(text) for text in (b"one ", b"two ", b"three ", b"four", b"message_stop")]
    assert at == sorted(at)


async def test_a_ping_comes_after_the_last_event_not_after_the_last_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_module, "KEEP_ALIVE_SECONDS", 0.3)
    stream = Stream(is_pushed=True)
    await stream.begin()
    for _ in range(4):
        await asyncio.sleep(0.1)
        stream.connection.data_received(chunked(a_chunk("word ")))
    assert ANTHROPIC.ping not in stream.client.sent
    await asyncio.sleep(0.4)
    assert stream.client.sent[-1] == ANTHROPIC.ping
    stream.task.cancel()
    await stream.end()


async def test_a_fault_of_ours_ends_the_stream_with_an_error_event(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(is_pushed=True)
    await stream.begin()
    monkeypatch.setattr(ChunkedAnswer, "receive", Mock(side_effect=ZeroDivisionError))
    stream.connection.data_received(chunked(a_chunk("word")))
    sent, _, error, is_kept = await stream.end()
    assert sent.endswith(b"\n\n")
    assert b"event: error" in sent
    assert (error, is_kept) == ("api_error", False)


async def test_log_lines_keep_the_id_of_their_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport calls with the context of the request that opened the connection."""
    request: ContextVar[str] = ContextVar("request", default="")
    seen: list[str] = []
    request.set("the first")
    stream = Stream(is_pushed=True)
    request.set("the second")
    await stream.begin()
    receive = ChunkedAnswer.receive

    def noted(self: ChunkedAnswer, data: bytes) -> Any:
        seen.append(request.get())
        return receive(self, data)

    monkeypatch.setattr(ChunkedAnswer, "receive", noted)
    request.set("the first")
    stream.connection.data_received(chunked(a_chunk("word")))
    assert seen == ["the second"]
    stream.task.cancel()
    await stream.end()


async def test_a_stream_that_has_ended_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        stream = Stream(is_pushed=True)
        await stream.begin()
        stream.connection.data_received(chunked(a_chunk("word")))
        stream.connection.data_received(chunked(LAST) + END)
        await stream.end()
        del stream
        assert not [one for one in gc.get_objects() if type(one) is Answer]
    finally:
        gc.enable()
