"""The methods of the Gemini API, and the key with which each is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy_site.emulator.delivery.framing import as_events, reshaped, truncated
from proxy_site.emulator.exchange import JSON, Endpoint, endpoint, json_endpoint, send
from proxy_site.emulator.gemini_api import errors, wire
from proxy_site.emulator.gemini_api.catalogue import OFFERS, Offer, offer_named
from proxy_site.emulator.gemini_api.validator import check, offer_for
from proxy_site.emulator.google_errors import invalid_argument
from proxy_site.emulator.keyed.exchange import KeyedExchange
from proxy_site.emulator.methods import pretend_web
from proxy_site.emulator.methods.google_exchange import usage_metadata_in
from proxy_site.emulator.pretend_model import brain
from proxy_site.emulator.pretend_model.replies import (
    Usage,
    chunks_of,
    count_parts,
    merged,
    signed,
    text,
    within_limits,
)
from proxy_site.emulator.rules.search_rules import asks_to_search
from proxy_site.emulator.state import GENERATE_METHODS

if TYPE_CHECKING:
    from aiohttp import web

    from proxy_site.emulator.google_errors import GoogleError, Json
    from proxy_site.emulator.keyed.keys import ApiKey
    from proxy_site.emulator.keyed.limits import Exceeded
    from proxy_site.emulator.state import EmulatorState

PREFIX = "/gemini"
SMALLEST_PAGE, LARGEST_PAGE = 50, 1000

VIOLATIONS = {
    "requests_per_minute": errors.REQUESTS_PER_MINUTE,
    "input_tokens_per_minute": errors.TOKENS_PER_MINUTE,
    "requests_per_day": errors.REQUESTS_PER_DAY,
}
SHORT_DELAY = 34.074824224
"""The seconds in RetryInfo, although the daily quota is used up."""


class GeminiExchange(KeyedExchange):
    """A request to the Gemini API. The key is in ``x-goog-api-key``, the model in the path."""

    provider = "gemini"
    keys_of = "gemini"

    def identify(self) -> None:
        super().identify()
        if self.method in GENERATE_METHODS:
            self.entry.model, self.entry.purpose = self.model_id, "answer"

    def secret(self) -> str | None:
        return self.web_request.headers.get("x-goog-api-key")

    @property
    def model_id(self) -> str:
        return self.web_request.match_info["model"]

    @property
    def key(self) -> ApiKey:
        """Return the key. Raises Google's errors for a missing key, a wrong one, and one in Authorization."""
        if self.key_or_none is None:
            raise self._refused_key()
        if self.key_or_none.refusal is not None:
            raise self.key_or_none.refusal
        return self.key_or_none

    def _refused_key(self) -> GoogleError:
        if self.secret() or "key" in self.web_request.query:
            return errors.api_key_invalid()
        return (
            errors.key_as_a_token() if "Authorization" in self.web_request.headers else errors.without_a_key()
        )

    def json(self) -> Json:
        if not isinstance(self.payload, dict):
            raise invalid_argument("Invalid JSON payload received. A message is expected.")
        return self.payload

    def usage_in(self, event: bytes) -> Json | None:
        return usage_metadata_in(event)


# Models


def list_models(exchange: GeminiExchange) -> Json:
    """List the models: ``?pageSize=&pageToken=``; the token is the position in the list."""
    _ = exchange.key
    query = exchange.web_request.query
    size, start = (
        _whole(query.get("pageSize", "50"), "page_size"),
        _whole(query.get("pageToken", "0"), "page_token"),
    )
    end = start + min(size or SMALLEST_PAGE, LARGEST_PAGE)
    listed = [offer.listed() for offer in OFFERS.values()]
    more = {"nextPageToken": str(end)} if end < len(listed) else {}
    return {"models": listed[start:end], **more}


def _whole(value: str, at: str) -> int:
    if not value.isdecimal():
        raise invalid_argument(f"Invalid value at '{at}' (TYPE_INT32), \"{value}\"", at)
    return int(value)


def get_model(exchange: GeminiExchange) -> Json:
    _ = exchange.key
    offer = offer_named(exchange.model_id)
    if offer is None:
        raise errors.model_not_found(exchange.model_id)
    return offer.listed()


def count_tokens(exchange: GeminiExchange) -> Json:
    """Count the tokens of ``contents``, or of a whole ``generateContentRequest``, which names the model
    again."""
    _ = exchange.key
    offer = offer_for(exchange.model_id, "countTokens")
    parsed = wire.read(wire.COUNT_TOKENS, exchange.json())
    request = parsed.get("generateContentRequest") or parsed
    if not request.get("contents"):
        raise invalid_argument("* CountTokensRequest.contents: contents is not specified", "contents")
    return {"totalTokens": exchange.state.tokenizers[offer.model.family].count_prompt(request)}


# Answers


async def generate_content(exchange: GeminiExchange) -> web.StreamResponse:
    offer, request = accept(exchange)
    chunks = reshaped(_chunks(exchange, offer, request), exchange.behaviour)
    whole = merged(chunks) if len(chunks) > 1 else (chunks or [{"response": {}}])[0]
    body = orjson.dumps(whole.get("response", whole))
    return await send(exchange, truncated([body], exchange.behaviour), JSON)


async def stream_generate_content(exchange: GeminiExchange) -> web.StreamResponse:
    """Send events with ``alt=sse``, else the pieces of one list."""
    offer, request = accept(exchange)
    behaviour = exchange.behaviour
    chunks = reshaped(_chunks(exchange, offer, request), behaviour)
    bare = [chunk.get("response", chunk) for chunk in chunks]
    if exchange.web_request.query.get("alt") != "sse":
        return await send(exchange, truncated(_as_a_list(bare), behaviour), JSON)
    return await send(exchange, truncated(as_events(bare, behaviour), behaviour), "text/event-stream")


def _as_a_list(chunks: list[Json]) -> list[bytes]:
    pieces = [orjson.dumps(chunk) for chunk in chunks]
    return [b"[", *(piece + b",\r\n" for piece in pieces[:-1]), *pieces[-1:], b"]"]


def accept(exchange: GeminiExchange) -> tuple[Offer, Json]:
    """Check the key, the model, the request, and what is left of the quotas."""
    key, state = exchange.key, exchange.state
    offer = offer_for(exchange.model_id, "generateContent")
    request = check(exchange.json(), offer, state.signatures, state.tokenizers)
    model = offer.model.id
    if model in key.group.models_without_quota:
        raise errors.quota_exceeded(
            model, SHORT_DELAY, errors.Violation("requests", errors.REQUESTS_PER_DAY.id, 0)
        )
    tokens, now = state.tokenizers[offer.model.family].count_prompt(request), state.clock.now()
    exceeded = state.keys.take(key, model, tokens, now)
    if exceeded:
        raise _limited(model, exceeded, now, free=key.group.free)
    return offer, request


def _limited(model: str, exceeded: list[Exceeded], now: float, *, free: bool) -> GoogleError:
    delay = min(SHORT_DELAY, exceeded[0].resets_at - now)
    named = [(VIOLATIONS[one.name], one.limit) for one in exceeded]
    violations = [errors.Violation(one.metric, one.id, limit) for one, limit in named]
    return errors.quota_exceeded(model, delay, *violations, free=free)


def _chunks(exchange: GeminiExchange, offer: Offer, request: Json) -> list[Json]:
    if exchange.script.chunks is not None:
        return exchange.script.chunks
    model, state, grounding = offer.model, exchange.state, None
    parts = exchange.script.parts
    if parts is None and asks_to_search(request):
        found = pretend_web.search(request)
        parts, grounding = [text(found.text)], found.grounding(str(exchange.web_request.url.origin()))
    parts = brain.answer(_for_the_brain(request), model) if parts is None else parts
    kept, finish_reason = within_limits(parts, request.get("generationConfig") or {})
    usage = _usage(exchange, offer, request, kept)
    exchange.note(usage=usage.as_metadata(model.family))
    chunks = chunks_of(
        signed(kept, model.family, state.signatures),
        model=model,
        usage=usage,
        finish_reason=finish_reason,
        chunk_count=exchange.behaviour.chunk_count or state.pace.chunk_count,
    )
    if grounding is not None:
        chunks[-1]["response"]["candidates"][0]["groundingMetadata"] = grounding
    return chunks


def _for_the_brain(request: Json) -> Json:
    """Return the request with every function's parameters where the brain expects them."""
    tools = [
        {"functionDeclarations": [_with_parameters(one) for one in tool["functionDeclarations"]]}
        for tool in request.get("tools") or []
        if "functionDeclarations" in tool
    ]
    return {**request, "tools": tools}


def _with_parameters(declaration: Json) -> Json:
    parameters = declaration.get("parameters") or declaration.get("parametersJsonSchema") or {}
    return {**declaration, "parameters": parameters}


def _usage(exchange: GeminiExchange, offer: Offer, request: Json, parts: list[Json]) -> Usage:
    """Return the usage. A prefix counts as cached once it is long enough, for all keys of a project."""
    session = {**request, "sessionId": exchange.key.group.name}
    prompt, cached = exchange.state.count_prompt(offer.model, session)
    visible, thoughts = count_parts(parts)
    return Usage(prompt, cached if cached >= offer.least_cached_tokens else 0, visible, thoughts)


# Paths


def add_routes(router: web.UrlDispatcher, state: EmulatorState) -> None:
    model = f"{PREFIX}/v1beta/models/{{model:[^/:]+}}"
    streamed: Endpoint = endpoint(GeminiExchange, state, "streamGenerateContent", stream_generate_content)
    router.add_post(f"{model}:streamGenerateContent", streamed)
    router.add_post(
        f"{model}:generateContent", endpoint(GeminiExchange, state, "generateContent", generate_content)
    )
    router.add_post(f"{model}:countTokens", json_endpoint(GeminiExchange, state, "countTokens", count_tokens))
    router.add_get(f"{PREFIX}/v1beta/models", json_endpoint(GeminiExchange, state, "listModels", list_models))
    router.add_get(model, json_endpoint(GeminiExchange, state, "getModel", get_model))
