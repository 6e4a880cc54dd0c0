"""Google's generateContent: the request is translated once for each model, and the answer chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from accounts.failures import FailureKind
from gateway.google_api.content import has_content
from gateway.google_api.sse import AnyChunk, ChunkReader
from gateway.google_api.text_chunks import TextChunk
from gateway.relay.formats.base import Format, Outgoing
from gateway.telemetry.random_ids import random_hex
from gateway.translation.response.stream import MessageStream
from gateway.upstreams.base import ModelCall

if TYPE_CHECKING:
    from accounts.failures import UpstreamError
    from accounts.kinds.access import Access
    from accounts.pool.view import PooledAccount
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.preparation.translator import RequestTranslator
    from gateway.relay.context import PreparedRequest
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.translation.request.request import TranslatedRequest
    from gateway.translation.signature_families import SignatureStore
    from gateway.upstreams.base import Upstream


class GenerateContent(Format):
    def __init__(self, translator: RequestTranslator, signatures: SignatureStore) -> None:
        self._translator = translator
        self._signatures = signatures

    async def prepare(self, prepared: PreparedRequest, kind: str) -> None:
        if kind not in prepared.translations:
            prepared.translations[kind] = await self._translate(prepared, prepared.chosen.models[kind])

    async def outgoing(
        self, prepared: PreparedRequest, account: PooledAccount, access: Access, upstream: Upstream
    ) -> Outgoing:
        kind = account.kind
        if kind not in prepared.translations:
            await self.prepare(prepared, kind)
        model, translated = prepared.chosen.models[kind], prepared.translations[kind]
        call = ModelCall(access, model, prepared.session_id, translated.request, translated.request_type)
        return Outgoing(call, ChunkedAnswer(self._stream(prepared, translated, upstream)))

    async def token_estimate(self, prepared: PreparedRequest, kind: str, error: UpstreamError) -> int:
        await self.prepare(prepared, kind)
        return prepared.translations[kind].input_token_estimate

    def mended(self, prepared: PreparedRequest, kind: FailureKind) -> PreparedRequest:
        if kind is not FailureKind.BAD_SIGNATURE or prepared.search is not None:
            return prepared
        return structs.replace(prepared, without_thinking=True, translations={})

    async def _translate(self, prepared: PreparedRequest, model: UpstreamModel) -> TranslatedRequest:
        request = prepared.request
        if prepared.search is not None:
            return await self._translator.translate_search(prepared.search, request, model)
        return await self._translator.translate(request, model, without_thinking=prepared.without_thinking)

    def _stream(
        self, prepared: PreparedRequest, translated: TranslatedRequest, upstream: Upstream
    ) -> MessageStream:
        return MessageStream(
            f"msg_{random_hex(12)}",
            prepared.request.model,
            translated,
            self._signatures,
            _new_tool_use_id,
            upstream.classify_in_stream,
            translated.input_token_estimate,
        )


def _has_content(chunk: AnyChunk) -> bool:
    return isinstance(chunk, TextChunk) or has_content(chunk)


def _new_tool_use_id() -> str:
    return f"toolu_{random_hex(12)}"


class ChunkedAnswer:
    """Reads Google's event stream. Cloud Code wraps its chunks in a member `response`."""

    __slots__ = ("_chunks", "_stream", "has_content", "is_complete", "usage")

    passes_through = False
    checks_calls = False

    def __init__(self, stream: MessageStream) -> None:
        self.usage = stream.usage
        self.has_content = self.is_complete = False
        self._stream = stream
        self._chunks = ChunkReader()

    @property
    def stop_reason(self) -> str:
        return self._stream.stop_reason

    @property
    def declares_tools(self) -> bool:
        return self._stream.declares_tools

    @property
    def grounding_metadata(self) -> dict[str, Any]:
        return self._stream.grounding_metadata

    def receive(self, data: bytes) -> list[StreamEvent]:
        chunks = self._chunks.receive(data) if data else self._chunks.close()
        if not chunks:
            return []
        events = self._stream.receive(*chunks)
        self.is_complete = self._stream.is_complete
        self.has_content = self.has_content or bool(events) or any(map(_has_content, chunks))
        return events

    def close(self) -> list[StreamEvent]:
        return self._stream.close()
