"""Structured answers: held until they are complete, checked, and requested once more when they do not fit the
schema.

Nothing of a held answer has been sent, so a wrong one can still be replaced. The relay's limit on waiting
ends with the first content; while an answer is held after that, the client gets pings.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from gateway.dialects.anthropic import stream_events
from gateway.errors import GatewayError, UpstreamFailed
from gateway.relay.error_messages import SAME_QUESTION, TOLD_THE_CLIENT
from gateway.translation.request.structured_output import (
    AnswerSchema,
    UnfitAnswer,
    requested_schema,
)

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.dialects.base import ClientRequest
    from gateway.relay.answer import Answer
    from gateway.relay.context import RequestContext
    from gateway.relay.relay import Relay

MAX_HELD_CHARACTERS = 8 * 1024 * 1024
DOES_NOT_FIT = "answered with JSON that does not fit the schema"


async def open_structured(
    relay: Relay, request: MessagesRequest, context: RequestContext, client: ClientRequest | None
) -> Answer:
    """Do what ``relay.open`` does, for a request with a schema. The returned answer is complete, unless the
    upstream itself supports schemas. Raises GatewayError."""
    schema = AnswerSchema(requested_schema(request))
    first = await relay.open(request, context, client)
    if first.passes_through:
        return first
    events, problem = await _held(first, schema, context)
    if problem is None:
        first.set_events(events)
        return first
    first.close()
    context.end_attempt(DOES_NOT_FIT, SAME_QUESTION)
    second = await relay.open(_with_correction(request, events, problem), context)
    events, problem = await _held(second, schema, context)
    if problem is not None:
        second.close()
        context.end_attempt(DOES_NOT_FIT, TOLD_THE_CLIENT)
        raise _upstream_error(problem)
    spent = first.usage.as_anthropic()
    second.set_events([_with_usage(event, spent) for event in events])
    return second


async def _held(
    answer: Answer, schema: AnswerSchema, context: RequestContext
) -> tuple[list[StreamEvent], UnfitAnswer | None]:
    """Return the events to send and None, or all events and why the answer does not fit."""
    try:
        events = await answer.hold(MAX_HELD_CHARACTERS)
    except BaseException as error:
        answer.close()
        if isinstance(error, GatewayError):
            context.end_attempt("broke off", TOLD_THE_CLIENT)
        raise
    if any(map(_begins_call, events)) and not answer.may_call_tools:
        return events, UnfitAnswer("the answer is a call of a tool that does not exist")
    if answer.stop_reason != "end_turn":
        return events, None  # truncated, refused, or a call of the client's own tool: no final answer
    try:
        text = schema.fit(_answer_in(events))
    except UnfitAnswer as problem:
        return events, problem
    return _with_text(events, text), None


def _answer_in(events: list[StreamEvent]) -> str:
    """Return the last text if it is nothing but JSON, as the arguments of the answer's function are; JSON
    before it is then ignored. Otherwise return all text."""
    starts = [number for number, event in enumerate(events) if _begins_text(event)]
    last = stream_events.text_in(events[starts[-1] :]) if starts else ""
    try:
        orjson.loads(last)
    except orjson.JSONDecodeError:
        return stream_events.text_in(events)
    return last


def _with_text(events: list[StreamEvent], text: str) -> list[StreamEvent]:
    """Replace the texts by a single text block, behind the thinking."""
    text_indexes = {event["index"] for event in events if _begins_text(event)}
    if text == stream_events.text_in(events) and len(text_indexes) == 1:
        return events
    kept = [event for event in events if event.get("index") not in text_indexes]
    blocks = [event for event in kept if event["type"].startswith("content_block")]
    index = sum(event["type"] == "content_block_start" for event in blocks)
    numbers = {old: new for new, old in enumerate(dict.fromkeys(event["index"] for event in blocks))}
    return [
        *(event for event in kept if event["type"] == "message_start"),
        *({**event, "index": numbers[event["index"]]} for event in blocks),
        stream_events.text_start(index),
        stream_events.text_delta(index, text),
        stream_events.content_block_stop(index),
        *(event for event in kept if event["type"] in ("message_delta", "message_stop")),
    ]


def _begins_text(event: StreamEvent) -> bool:
    return event["type"] == "content_block_start" and bool(event["content_block"]["type"] == "text")


def _begins_call(event: StreamEvent) -> bool:
    return event["type"] == "content_block_start" and bool(event["content_block"]["type"] == "tool_use")


def _with_correction(
    request: MessagesRequest, events: list[StreamEvent], problem: UnfitAnswer
) -> MessagesRequest:
    """Add the wrong answer and a correction to the conversation."""
    said = _answer_in(events)
    if not said.strip():
        return request
    correction = (
        f"This does not fit the JSON Schema ({problem}). Answer once more: only with JSON that fits it, "
        "without any other text."
    )
    messages = [{"role": "assistant", "content": said}, {"role": "user", "content": correction}]
    return replace(request, messages=[*request.messages, *messages])


def _upstream_error(problem: UnfitAnswer) -> UpstreamFailed:
    """Return the error for the client. It names a place in the answer, which contains names from the answer,
    so it is not logged."""
    error = UpstreamFailed(f"The model's answer does not fit the schema of output_config.format: {problem}.")
    error.may_quote_request = True
    return error


def _with_usage(event: StreamEvent, spent: dict[str, Any]) -> StreamEvent:
    """Return the event with the usage of the first answer added."""
    if event["type"] == "message_start":
        message = event["message"]
        read = {name: count for name, count in spent.items() if not name.startswith("output")}
        return {**event, "message": {**message, "usage": _sum(message["usage"], read)}}
    if event["type"] == "message_delta":
        return {**event, "usage": _sum(event["usage"], spent)}
    return event


def _sum(usage: dict[str, Any], spent: dict[str, Any]) -> dict[str, Any]:
    total = dict(usage)
    for name, value in spent.items():
        if isinstance(value, dict):
            total[name] = _sum(total.get(name) or {}, value)
        else:
            total[name] = total.get(name, 0) + value
    return total
