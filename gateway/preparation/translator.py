"""Parses, counts and translates requests: in the event loop when that is quick, otherwise in a worker
process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import orjson

from accounts import live_settings
from gateway.bodies.request_json import parse_json
from gateway.bodies.shape import Body, count_structure, has_few_values, refuse_depth
from gateway.pass_through.body import changed_body, may_change, thinks_too_late, with_model
from gateway.preparation import jobs
from gateway.preparation.recent_parts import RecentParts
from gateway.preparation.request import LargeRequest, RequestSummary, summarize
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.request.structured_output import requested_schema
from gateway.translation.request.tools import are_quickly_translated, offered_tools
from gateway.translation.signature_families import SignatureCache, unsigned_calls
from gateway.translation.tokens.token_estimate import estimate_input_tokens
from gateway.translation.web_search.request import translate_search

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.dialects.base import RequestParser
    from gateway.ledger.signature_store import StoredSignatures
    from gateway.pass_through.body import Changes
    from gateway.preparation.workers import TranslationWorkers
    from gateway.routing.token_ratios import TokenRatios
    from gateway.routing.upstream_model import Family, UpstreamModel
    from gateway.translation.web_search.requested_search import RequestedSearch

LARGE_BYTES = 1024 * 1024
PARSED_AT_ONCE_BYTES = 256 * 1024
"""The largest body that is parsed before its values are counted, which takes at most a twentieth of a
second."""
MUCH_STRUCTURE = 30_000
"""The most characters ``{}[],:`` outside of strings; sessions of Claude Code have 25,000 per megabyte. A
request with more is translated in a worker: in tool schemas so many take about a tenth of a second, elsewhere
less."""
MOST_MENDED_HERE = 10_000
"""The most escapes that may be lone surrogates. With more, a worker replaces them, which takes far longer
than parsing."""
SHORT_BYTES = 8 * 1024
"""A shorter body is parsed in a few microseconds, so that no parts of it are looked for."""
FORGETTING_SECONDS = 60.0


class ReadRequest(NamedTuple):
    request: MessagesRequest
    summary: RequestSummary


class RequestTranslator:
    def __init__(
        self, signatures: StoredSignatures, token_ratios: TokenRatios, workers: TranslationWorkers
    ) -> None:
        self._signatures = signatures
        self._token_ratios = token_ratios
        self._workers = workers
        self._recent = RecentParts()
        self._forgetting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to drop the histories of conversations that have gone quiet."""
        self._forgetting = asyncio.create_task(self._forget_regularly())

    async def stop(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
            with suppress(asyncio.CancelledError):
                await self._forgetting

    async def _forget_regularly(self) -> None:
        while True:
            await asyncio.sleep(FORGETTING_SECONDS)
            self._recent.messages.forget_unused()

    async def read(self, body: Body, parser: RequestParser) -> ReadRequest:
        """Parse a request, into a LargeRequest when the body is large. Raises GatewayError."""
        request = self._plain_request(body, parser)
        if request is not None:
            return ReadRequest(request, summarize(request))
        if await _is_large(body):
            return await self._read_large(body, parser)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            if body.count(rb"\ud") + body.count(rb"\uD") > MOST_MENDED_HERE:
                await count_structure(body)  # few values, which may be deeply nested
                return await self._read_large(body, parser)
            value = parse_json(body)
        refuse_depth(value)
        request = parser.parse(value)
        if not _are_quickly_translated(request):
            return await self._read_large(body, parser)
        return ReadRequest(request, summarize(request))

    def _plain_request(self, body: Body, parser: RequestParser) -> MessagesRequest | None:
        """Parse a request of a usual form; None for any other, valid or not."""
        if len(body) > PARSED_AT_ONCE_BYTES and (len(body) > LARGE_BYTES or not has_few_values(body)):
            return None
        is_short = len(body) < SHORT_BYTES
        try:
            value = orjson.loads(body) if is_short else self._recent.parse(body)
        except orjson.JSONDecodeError:
            return None
        request = parser.parse_plain(value)
        if request is None or not _are_quickly_translated(request):
            return None
        if not is_short:
            self._recent.learn(request, body)
        return request

    async def _read_large(self, body: Body, parser: RequestParser) -> ReadRequest:
        kept = await self._workers.run(jobs.what_is_kept, body, parser)
        request = LargeRequest(
            **kept.fields,
            messages=[],
            body=body,
            parser=parser,
            unsigned_calls=kept.unsigned_calls,
            signature_keys=kept.signature_keys,
        )
        return ReadRequest(request, kept.summary)

    async def count(self, request: MessagesRequest, family: Family) -> int:
        """Estimate a request's tokens. Raises GatewayError."""
        if isinstance(request, LargeRequest):
            return await self._workers.run(estimate_input_tokens, request.body, request.parser, family)
        return estimate_input_tokens(request, family)

    async def translate(
        self, request: MessagesRequest, model: UpstreamModel, *, without_thinking: bool = False
    ) -> TranslatedRequest:
        """Translate a request, after loading signatures that only the database has. Raises GatewayError."""
        if model.family == "gemini":
            await self._signatures.recall(self._unsigned_calls(request))
        ratio = self._token_ratios.of(model.listed_id)
        if not isinstance(request, LargeRequest):
            return translate_request(
                request,
                model,
                _options(),
                self._signatures,
                without_thinking=without_thinking,
                token_ratio=ratio,
            )
        return await self._workers.run(
            jobs.translate,
            request.body,
            request.parser,
            request.changes(),
            model,
            _options(),
            self._known_signatures(request, model.family),
            without_thinking=without_thinking,
            token_ratio=ratio,
        )

    async def passed_body(
        self, body: bytes | bytearray, request: MessagesRequest, changes: Changes
    ) -> list[bytes | bytearray]:
        """Return the client's body in pieces, with the changes that an upstream needs. May raise
        GatewayError."""
        is_large = isinstance(request, LargeRequest)
        if not may_change(body, changes) and (is_large or not thinks_too_late(request)):
            return [body] if request.model == changes.model else with_model(body, changes.model)
        if is_large:
            pieces: list[bytes | bytearray] = await self._workers.run_on_body(jobs.changed, body, changes)
            return pieces
        return changed_body(body, request.messages, request.thinking, changes)

    async def translate_search(
        self, search: RequestedSearch, request: MessagesRequest, model: UpstreamModel
    ) -> TranslatedRequest:
        """Translate a web search. Raises GatewayError."""
        preamble = live_settings.current["SYSTEM_PREAMBLE"]
        if not isinstance(request, LargeRequest):
            return translate_search(search, request, model, system_preamble=preamble)
        return await self._workers.run(
            jobs.search, request.body, request.parser, request.changes(), search, model, preamble
        )

    def _unsigned_calls(self, request: MessagesRequest) -> list[str]:
        if not isinstance(request, LargeRequest):
            return unsigned_calls(request.messages, self._signatures)
        return [call for call in request.unsigned_calls if self._signatures.get(call) is None]

    def _known_signatures(self, request: LargeRequest, family: Family) -> SignatureCache:
        """Return the stored signatures that the request's calls and texts may need."""
        known = SignatureCache()
        for key in request.signature_keys if family == "gemini" else ():
            signature = self._signatures.get(key)
            if signature is not None:
                known.put(key, signature)
        return known


async def _is_large(body: Body) -> bool:
    """Return True for a body to be parsed in a worker. Raises InvalidRequest for impossible size or depth of
    structure."""
    if len(body) <= LARGE_BYTES and has_few_values(body):
        return False
    structure = await count_structure(body)
    return len(body) > LARGE_BYTES or structure > MUCH_STRUCTURE


def _are_quickly_translated(request: MessagesRequest) -> bool:
    """Return True when tools and answer schema, which is read as a tool, are quickly translated."""
    tools, schema = offered_tools(request), requested_schema(request)
    if schema is not None:
        tools = [*tools, {"name": "", "input_schema": schema}]
    return not tools or are_quickly_translated(tools)


def _options() -> TranslationOptions:
    current = live_settings.current
    return TranslationOptions(
        system_preamble=current["SYSTEM_PREAMBLE"],
        default_thinking_budget=current["DEFAULT_THINKING_BUDGET"],
        default_thinking_level=current["DEFAULT_THINKING_LEVEL"] or None,
        max_context_tokens=current["MAX_CONTEXT_TOKENS"],
    )
