"""How an answer is read: what may still be tried elsewhere, what leaves, and what happens in silence."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from accounts.failures import UpstreamError
from accounts.google.errors import error_in_stream
from accounts.pool.pool import PooledAccount
from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.dialects.anthropic.stream_events import StreamEvent, one_by_one
from gateway.errors import Overloaded, UpstreamFailed, UpstreamTimedOut
from gateway.relay import answer as answer_module
from gateway.relay.answer import Answer
from gateway.relay.formats.generate_content import ChunkedAnswer
from gateway.routing.upstream_model import upstream_model
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.response.stream import EmptyAnswer, MessageStream
from gateway.translation.signature_families import SignatureCache
from gateway.upstreams.transport import Response, TransportFailed, TransportTimedOut
from tests.gateway.conftest import a_body

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

SILENCE = 60.0
OVERLOADED = {"error": {"code": 529, "status": "UNAVAILABLE", "message": "Overloaded"}}


def a_chunk(text: str = "", **candidate: Any) -> bytes:
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    return b"data: %s\n\n" % orjson.dumps({"response": {"candidates": [{"content": content, **candidate}]}})


def an_error(body: dict[str, Any] = OVERLOADED) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(body)


class CannedResponse(Response):
    """Reads that are known beforehand; exceptions are raised, numbers are silences in seconds."""

    def __init__(self, *reads: bytes | float | Exception) -> None:
        self.reads = list(reads)
        self.ended = ""
        self.knows_its_end = False

    async def read(self, timeout_seconds: float) -> bytes:
        result = self.reads.pop(0) if self.reads else b""
        if isinstance(result, float):
            async with asyncio.timeout(timeout_seconds):
                await asyncio.sleep(result)
            return await self.read(timeout_seconds)
        if isinstance(result, Exception):
            raise result
        return result

    @property
    def is_at_end(self) -> bool:
        return self.knows_its_end and not self.reads

    def release(self) -> None:
        self.ended = "released"

    def abort(self) -> None:
        self.ended = "aborted"


class Endless(CannedResponse):
    """The same piece again and again after the first, each after a pause."""

    def __init__(self, first: bytes, piece: bytes, pause_seconds: float) -> None:
        super().__init__(*[first] if first else [])
        self._piece = piece
        self._pause_seconds = pause_seconds

    async def read(self, timeout_seconds: float) -> bytes:
        if not self.reads:
            if self._pause_seconds:
                self.reads.append(self._pause_seconds)
            self.reads.append(self._piece)
        return await super().read(timeout_seconds)


def a_stream(**fields: Any) -> MessageStream:
    request = parse_messages_request(a_body(**fields))
    model = upstream_model("claude-sonnet-4-6", header_mode="antigravity")
    signatures = SignatureCache()
    return MessageStream(
        message_id="msg_1",
        client_model="claude-sonnet-4-6",
        translated=translate_request(request, model, TranslationOptions(), signatures),
        signatures=signatures,
        new_tool_use_id=lambda: "toolu_1",
        read_error=lambda body: error_in_stream(body, datetime.now(UTC)),
        input_token_estimate=1,
    )


ADA = PooledAccount(1, "ada@example.com", "project", label="ad…@e…")


async def begin(response: CannedResponse, reader: ChunkedAnswer | None = None) -> Answer:
    answer = Answer(response, reader or ChunkedAnswer(a_stream()), "claude-sonnet-4-6", ADA)
    await answer.begin()
    return answer


async def test_an_error_that_comes_with_the_first_content_can_be_tried_elsewhere() -> None:
    response = CannedResponse(a_chunk("Hel") + an_error())

    with pytest.raises(UpstreamError, match="Overloaded"):
        await begin(response)

    assert response.ended == "aborted"


def texts_in(events: list[StreamEvent]) -> list[str]:
    return [event["delta"]["text"] for event in one_by_one(events) if event["type"] == "content_block_delta"]


@pytest.mark.parametrize("last_bytes", [b"\n\n", b""])
@pytest.mark.parametrize("knows_its_end", [True, False])
async def test_an_answer_whose_end_has_come_is_one_batch(knows_its_end: bool, last_bytes: bytes) -> None:
    whole = a_chunk("A") + a_chunk("ll", finishReason="STOP")
    response = CannedResponse(whole.rstrip() + last_bytes)
    response.knows_its_end = knows_its_end
    answer = await begin(response)

    batches = [([event["type"] for event in events], answer.has_ended) async for events in answer.batches()]
    answer.close()

    begun = ["message_start", "content_block_start", "content_block_delta"]
    delta, ended = ["content_block_delta"], ["content_block_stop", "message_delta", "message_stop"]
    parts = [[*begun, *delta], ended] if last_bytes else [begun, [*delta, *ended]]
    assert batches == (
        [([*begun, *delta, *ended], True)]
        if knows_its_end
        else [
            (parts[0], False),
            (parts[1], True),
        ]
    )
    assert response.ended == "released"


@pytest.mark.parametrize("knows_its_end", [True, False])
async def test_what_came_before_a_missing_end_still_leaves(knows_its_end: bool) -> None:
    response = CannedResponse(a_chunk("Hel"))
    response.knows_its_end = knows_its_end
    answer = await begin(response)

    texts: list[str] = []
    with pytest.raises(UpstreamFailed, match="The answer broke off"):
        async for events in answer.batches():
            texts += texts_in(events)

    assert texts == ["Hel"]
    assert not answer.has_ended


async def test_what_came_before_an_error_still_leaves() -> None:
    answer = await begin(CannedResponse(a_chunk("Hel"), a_chunk("lo") + an_error()))

    texts: list[str] = []
    with pytest.raises(Overloaded):
        async for events in answer.batches():
            texts += texts_in(events)

    assert texts == ["Hel", "lo"]


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (TransportFailed("the connection broke"), TransportFailed),
        (TimeoutError(), TransportTimedOut),
        (b"", EmptyAnswer),
        (a_chunk("all of it").rstrip(), TransportFailed),
        (an_error(), UpstreamError),
    ],
)
async def test_a_failure_before_any_content_is_named(read: bytes | Exception, error: type[Exception]) -> None:
    with pytest.raises(error):
        await begin(CannedResponse(read))


async def test_an_answer_that_begins_and_stays_empty_is_empty() -> None:
    usage = {"response": {"usageMetadata": {"promptTokenCount": 5}}}

    with pytest.raises(EmptyAnswer):
        await begin(CannedResponse(b"data: %s\n\n" % orjson.dumps(usage), b""))


async def test_a_connection_that_breaks_on_the_way_is_said_plainly() -> None:
    answer = await begin(CannedResponse(a_chunk("Hel"), TransportFailed("the connection broke")))

    with pytest.raises(UpstreamFailed, match="The answer broke off: the connection broke"):
        await answer.message()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("idle_seconds", "keep_alive_seconds", "pings"), [(0.5, 1.0, 0), (1.5, 1.0, 1), (1.2, 0.4, 2)]
)
async def test_the_idle_timeout_holds_beside_the_pings(
    idle_seconds: float,
    keep_alive_seconds: float,
    pings: int,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.UPSTREAM_IDLE_TIMEOUT_SECONDS = idle_seconds
    monkeypatch.setattr(answer_module, "KEEP_ALIVE_SECONDS", keep_alive_seconds)
    answer = await begin(CannedResponse(a_chunk("Hel"), *[SILENCE] * 9))
    began_at = time.monotonic()

    batches = []
    with pytest.raises(UpstreamTimedOut, match=f"nothing for {idle_seconds} s"):
        async for events in answer.batches():
            batches.append(events)  # noqa: PERF401  # an exception ends it

    assert batches[1:] == [[]] * pings
    assert idle_seconds <= time.monotonic() - began_at < idle_seconds + 1


THOUGHT = {"content": {"parts": [{"text": "Hm.", "thought": True}]}}
USAGE = {"response": {"usageMetadata": {"promptTokenCount": 5}}}
NOTHING_OF_THE_ANSWER = {
    "comments": b": still here\n\n",
    "empty lines": b"\n",
    "usage": b"data: %s\n\n" % orjson.dumps(USAGE),
    "empty texts": a_chunk(""),
    "an event without an end": b"data: ",
}


async def test_content_that_nobody_sees_starts_the_idle_timeout_anew(settings: Settings) -> None:
    settings.UPSTREAM_IDLE_TIMEOUT_SECONDS = 0.3
    thought = b"data: %s\n\n" % orjson.dumps({"response": {"candidates": [THOUGHT]}})
    reads: list[bytes | float | Exception] = [
        a_chunk("Hel"),
        *(0.2, thought) * 3,
        0.2,
        a_chunk("lo", finishReason="STOP"),
    ]

    message = await (await begin(CannedResponse(*reads))).message()

    assert message["content"] == [{"type": "text", "text": "Hello"}]


@pytest.mark.parametrize("pause_seconds", [0.05, 0.0], ids=["dripping", "flooding"])
@pytest.mark.parametrize("name", NOTHING_OF_THE_ANSWER)
async def test_what_is_nothing_of_the_answer_counts_as_silence(
    name: str, pause_seconds: float, settings: Settings
) -> None:
    settings.UPSTREAM_IDLE_TIMEOUT_SECONDS = 0.2
    answer = await begin(Endless(a_chunk("Hel"), NOTHING_OF_THE_ANSWER[name], pause_seconds))
    began_at = time.monotonic()

    with pytest.raises(UpstreamTimedOut, match=r"nothing for 0\.2 s"):
        await answer.message()

    assert time.monotonic() - began_at < 1


@pytest.mark.parametrize("pause_seconds", [0.05, 0.0], ids=["dripping", "flooding"])
@pytest.mark.parametrize("name", NOTHING_OF_THE_ANSWER)
async def test_before_the_first_content_it_has_as_little_time(
    name: str, pause_seconds: float, settings: Settings
) -> None:
    settings.UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS = 0.2
    response = Endless(b"", NOTHING_OF_THE_ANSWER[name], pause_seconds)
    began_at = time.monotonic()

    with pytest.raises(TransportTimedOut, match="no content"):
        await begin(response)

    assert time.monotonic() - began_at < 1
    assert response.ended == "aborted"


@pytest.mark.slow
async def test_what_a_slow_reader_takes_is_no_silence(settings: Settings) -> None:
    settings.UPSTREAM_IDLE_TIMEOUT_SECONDS = 0.2
    reads: list[bytes | float | Exception] = [
        b": x\n\n",
        a_chunk("l"),
        b": x\n\n",
        a_chunk("o", finishReason="STOP"),
    ]
    answer = await begin(CannedResponse(a_chunk("Hel"), *reads))

    texts: list[str] = []
    async for events in answer.batches():
        texts += texts_in(events)
        await asyncio.sleep(0.3)

    assert texts == ["Hel", "l", "o"]


async def test_a_whole_answer_beyond_its_limit_is_refused_and_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_module, "WHOLE_ANSWER_BYTES", 3 * 1024 * 1024)
    response = CannedResponse(*[a_chunk("x" * 1024 * 1024)] * 9)
    answer = await begin(response)

    with pytest.raises(UpstreamFailed, match="larger than 3 MiB"):
        await answer.message()
    answer.close()

    assert len(response.reads) == 6
    assert response.ended == "aborted"


async def test_a_stream_may_be_as_long_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "WHOLE_ANSWER_BYTES", 1)
    answer = await begin(CannedResponse(a_chunk("Hel"), a_chunk("lo", finishReason="STOP")))

    assert len([events async for events in answer.batches()]) == 3


async def test_a_finished_connection_is_kept_and_an_unfinished_one_is_closed() -> None:
    finished = CannedResponse(a_chunk("Hello", finishReason="STOP"), b"")
    answer = await begin(finished)
    await answer.message()
    answer.close()

    unfinished = CannedResponse(a_chunk("Hel"), a_chunk("lo"))
    (await begin(unfinished)).close()

    assert (finished.ended, unfinished.ended) == ("released", "aborted")


async def test_an_error_that_ends_the_stream_without_a_line_end_is_still_said() -> None:
    answer = await begin(CannedResponse(a_chunk("Hel"), an_error().rstrip(), b""))

    with pytest.raises(Overloaded):
        await answer.message()


async def test_bytes_without_an_event_do_not_keep_the_client_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_module, "KEEP_ALIVE_SECONDS", 0.0)
    comments = [b": still here\n\n"] * 3
    answer = await begin(CannedResponse(a_chunk("Hel"), *comments, a_chunk("lo", finishReason="STOP")))

    batches = [events async for events in answer.batches()]

    assert batches[1:4] == [[], [], []]


async def test_half_an_answer_is_said_after_what_came_of_it() -> None:
    answer = await begin(CannedResponse(a_chunk("Hel"), a_chunk("lo"), b""))

    texts: list[str] = []
    with pytest.raises(
        UpstreamFailed, match="broke off: the upstream closed the stream without a finish reason"
    ):
        async for events in answer.batches():
            texts += texts_in(events)

    assert texts == ["Hel", "lo"]
    assert answer.stop_reason == ""


async def test_thinking_that_nobody_sees_is_an_answer_that_has_begun() -> None:
    """However long the model thinks: the time to the first content does not run on."""
    chunk = b"data: %s\n\n" % orjson.dumps({"response": {"candidates": [THOUGHT]}})
    answer = await begin(CannedResponse(chunk, TimeoutError(), a_chunk("Hello", finishReason="STOP")))

    batches = [[event["type"] for event in events] async for events in answer.batches()]

    assert batches[:2] == [["message_start"], []]


async def test_a_turn_that_is_over_is_not_read_to_its_end() -> None:
    usage = b"data: %s\n\n" % orjson.dumps({"response": {"usageMetadata": {"promptTokenCount": 5}}})
    response = CannedResponse(a_chunk("one END"), usage, a_chunk("two"), a_chunk("three"))
    reader = ChunkedAnswer(a_stream(stop_sequences=["END"]))
    answer = await begin(response, reader)

    message = await answer.message()
    answer.close()

    assert (message["content"], message["stop_reason"]) == (
        [{"type": "text", "text": "one "}],
        "stop_sequence",
    )
    assert message["usage"]["input_tokens"] == 5
    assert (response.ended, len(response.reads)) == ("aborted", 2)
