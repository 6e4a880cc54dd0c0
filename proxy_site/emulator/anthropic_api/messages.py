"""Answers to messages requests, at Anthropic and at servers that use its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from proxy_site.emulator.anthropic_api.answer import Answer, Tokens, as_named_events, blocks_from
from proxy_site.emulator.delivery.framing import truncated
from proxy_site.emulator.exchange import JSON, send
from proxy_site.emulator.keyed.exchange import KeyedExchange
from proxy_site.emulator.log import decoded
from proxy_site.emulator.pretend_model import brain
from proxy_site.emulator.pretend_model.replies import count_parts, within_limits

if TYPE_CHECKING:
    from aiohttp import web

    from proxy_site.emulator.models import Model
    from proxy_site.emulator.pretend_model.replies import Part
    from proxy_site.emulator.refusal import Json

STOP_REASONS = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens"}


@dataclass(frozen=True)
class Prompt:
    """A request that has passed every check. ``request`` is in the form that the pretended model reads."""

    model: Model
    request: Json
    tokens: int
    cached: int = 0
    cacheable: int = 0


class MessagesExchange(KeyedExchange):
    """A request in Anthropic's format, at whichever server it arrives."""

    def identify(self) -> None:
        super().identify()
        model = self.payload.get("model") if isinstance(self.payload, dict) else None
        if self.method == "messages":
            self.entry.model, self.entry.purpose = model if isinstance(model, str) else None, "answer"

    def secret(self) -> str | None:
        return self.web_request.headers.get("x-api-key") or self.bearer()

    def bearer(self) -> str | None:
        scheme, _, token = self.web_request.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None

    def usage_in(self, event: bytes) -> Json | None:
        """Return the usage in a message_delta, or in a whole message."""
        _, found, data = event.partition(b"data: ")
        message = decoded(data if found else event) if b'"usage"' in event else None
        if not isinstance(message, dict) or message.get("type") == "message_start":
            return None
        usage: Json | None = message.get("usage")
        return usage

    # What differs between providers

    def sign(self, thought: str) -> str | None:
        return self.state.signatures.issue("claude", thought)

    def usage_at_start(self, tokens: Tokens) -> Json:
        return tokens.usage(at_the_start=True)

    def usage_at_end(self, tokens: Tokens) -> Json:
        return tokens.usage()


async def respond(exchange: MessagesExchange, prompt: Prompt) -> web.StreamResponse:
    """Send the answer, streamed where the body asks for it."""
    behaviour = exchange.behaviour
    chunk_count = behaviour.chunk_count or exchange.state.pace.chunk_count
    streamed = bool(exchange.payload.get("stream"))
    events = exchange.script.chunks
    if events is None:
        answer = _answer(exchange, prompt)
        if not streamed:
            body = behaviour.error_body if behaviour.error_after_chunks is not None else answer.message()
            return await send(exchange, truncated([orjson.dumps(body)], behaviour), JSON)
        events = answer.events(behaviour, chunk_count)
    return await send(exchange, as_named_events(events, behaviour), "text/event-stream; charset=utf-8")


def _answer(exchange: MessagesExchange, prompt: Prompt) -> Answer:
    behaviour = exchange.behaviour
    config = dict(prompt.request.get("generationConfig") or {})
    if behaviour.ignore_stop_sequences:
        config.pop("stopSequences", None)
    parts = exchange.script.parts or brain.answer(prompt.request, prompt.model)
    kept, finish_reason = within_limits(parts, config)
    tokens = _tokens(prompt, kept, exchange.payload)
    usage = exchange.usage_at_end(tokens)
    exchange.note(usage=usage)
    stop_sequence = _stop_sequence(parts, kept, config) if finish_reason == "STOP" else None
    stop_reason = _stop_reason(kept, finish_reason, stop_sequence)
    return Answer(
        model=str(exchange.payload.get("model")),
        blocks=_displayed(blocks_from(kept, exchange.sign), exchange.payload),
        stop_reason=behaviour.finish_reason or stop_reason,
        stop_sequence=stop_sequence,
        usage_at_start=exchange.usage_at_start(tokens),
        usage=usage,
        stop_details=behaviour.stop_details,
    )


def _displayed(blocks: list[Json], body: Json) -> list[Json]:
    """Return the blocks without the text of thoughts, if ``thinking.display`` omits it; the signature
    stays."""
    if (body.get("thinking") or {}).get("display") != "omitted":
        return blocks
    return [{**block, "thinking": ""} if block["type"] == "thinking" else block for block in blocks]


def _stop_reason(parts: list[Part], finish_reason: str, stop_sequence: str | None) -> str:
    if stop_sequence is not None:
        return "stop_sequence"
    if finish_reason == "STOP" and any("functionCall" in part for part in parts):
        return "tool_use"
    return STOP_REASONS[finish_reason]


def _stop_sequence(parts: list[Part], kept: list[Part], config: Json) -> str | None:
    """Return the stop sequence at which the answer was cut; None without one."""
    if kept == parts or not kept:
        return None
    left = parts[len(kept) - 1].get("text", "").removeprefix(kept[-1].get("text", ""))
    return next((one for one in config.get("stopSequences") or [] if left.startswith(one)), None)


def _tokens(prompt: Prompt, parts: list[Part], body: Any) -> Tokens:
    visible, thoughts = count_parts(parts)
    read = min(prompt.cached, prompt.cacheable)
    return Tokens(
        prompt=prompt.tokens - prompt.cacheable,
        written=prompt.cacheable - read,
        read=read,
        visible=visible,
        thoughts=thoughts,
        for_an_hour=b'"ttl":"1h"' in orjson.dumps(body),
    )
