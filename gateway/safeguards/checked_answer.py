"""An answer whose tool calls are checked after its last content, before its end is sent to the client."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gateway.safeguards.prompt import calls_in
from gateway.translation.response.message import MessageCollector

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.relay.answer import Answer
    from gateway.safeguards.judge import SafetyCheck

PING_SECONDS = 3.0


class CheckedAnswer:
    """An answer with the interface of Answer. The underlying answer is closed before the judge is asked,
    since the judge may need its account and connection."""

    has_ended = False
    """Always False: only the end of `batches` tells."""

    def __init__(self, answer: Answer, check: SafetyCheck) -> None:
        self.model_id = answer.model_id
        self.upstream_request_id = answer.upstream_request_id
        self.whole_bytes = b""
        self._answer = answer
        self._check = check

    async def batches(self) -> AsyncGenerator[list[StreamEvent]]:
        """Yield batches as Answer.batches does; only ``message_delta`` and ``message_stop`` wait for the
        check.

        An empty list means a ping. A caller that stops early must close this generator, which cancels the
        check.

        Raises GatewayError when the upstream fails midway: then nothing is checked.
        """
        collector = _CallCollector()
        end: list[StreamEvent] = []
        async for events in self._answer.batches():
            for event in events:
                collector.add(event)
            now = [event for event in events if not _is_end(event)]
            end += [event for event in events if _is_end(event)]
            if now or not end:
                yield now
        self._answer.close()
        judged = calls_in(collector.message()["content"])
        checking = asyncio.create_task(self._check.results(judged))
        try:
            while self._check.takes_time(judged) and not checking.done():
                yield []
                await asyncio.wait({checking}, timeout=PING_SECONDS)
            results = await checking
        finally:
            await _cancelled(checking)
        yield [_with_results(event, results) for event in end]

    async def message(self) -> dict[str, Any]:
        """Return the message as Answer.message does, with the results of the check."""
        message = await self._answer.message()
        self._answer.close()
        results = await self._check.results(calls_in(message["content"]))
        return {**message, "safeguard_results": results}

    def close(self) -> None:
        self._answer.close()


class _CallCollector(MessageCollector):
    """Collects the tool_use blocks of a stream."""

    _is_call = False

    def add(self, event: StreamEvent) -> None:
        if event["type"] == "content_block_start":
            self._is_call = event["content_block"]["type"] == "tool_use"
        if event["type"] == "message_start" or (self._is_call and event["type"].startswith("content_block")):
            super().add(event)


def _is_end(event: StreamEvent) -> bool:
    return event["type"] in ("message_delta", "message_stop")


def _with_results(event: StreamEvent, results: list[dict[str, Any]]) -> StreamEvent:
    if event["type"] != "message_delta":
        return event
    return {**event, "delta": {**event["delta"], "safeguard_results": results}}


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
