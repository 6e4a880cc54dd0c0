"""Anthropic's messages, which pass through: the client's bytes are sent, and the upstream's bytes come
back."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import orjson
from msgspec import structs

from accounts.failures import FailureKind, UpstreamError
from gateway.dialects.anthropic import stream_events
from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.dialects.base import ClientRequest
from gateway.google_api.sse import MalformedStream
from gateway.pass_through.body import with_model
from gateway.pass_through.headers import request_headers
from gateway.pass_through.signatures import THINKING
from gateway.pass_through.stream import PassedStream, events_in
from gateway.pass_through.usage import Counts, mended_usage
from gateway.relay.formats.base import Format, Outgoing
from gateway.translation.response.stream import BrokenAnswer, EmptyAnswer
from gateway.translation.response.usage import TokenUsage
from gateway.upstreams.base import ModelCall, PassedRequest
from gateway.upstreams.hops import hop_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from accounts.kinds.access import Access
    from accounts.pool.view import PooledAccount
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.preparation.translator import RequestTranslator
    from gateway.relay.context import PreparedRequest
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.upstreams.base import Passing, Upstream

QUERY = re.compile(r"[A-Za-z0-9_.~=&-]{1,200}")
BYTES_PER_TOKEN = 4
GZIP = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EVENTS = re.compile(rb"(?:event|data|id|retry)?:")
"""Matches the beginning of a stream of events."""
LONGEST_FIELD = len(b"event:")
WHOLE_BEGINS = (b"{", b"[", b"<", b'"')
"""How JSON and HTML begin."""
DONE = b"data: [DONE]"
"""OpenAI's end of a stream, which some servers put after a whole message, too (decolua/9router#3492)."""
LONGEST_WHOLE_BYTES = 64 * 1024 * 1024
OF_THE_GATEWAY = ("betas", "said_first", "stream")
"""Fields of a parsed request that are not members of a body, or are set separately."""


class Messages(Format):
    def __init__(self, translator: RequestTranslator) -> None:
        self._translator = translator

    async def prepare(self, prepared: PreparedRequest, kind: str) -> None:
        """Do nothing, since the body is changed for the account that sends it."""

    async def outgoing(
        self, prepared: PreparedRequest, account: PooledAccount, access: Access, upstream: Upstream
    ) -> Outgoing:
        model = prepared.chosen.models[account.kind]
        passing = upstream.passing(account, model)
        client = prepared.client or _as_client_request(prepared.request)
        is_stream = prepared.request.stream or prepared.client is None
        changes = replace(passing.changes, drops_thinking=prepared.without_thinking)
        body = await self._translator.passed_body(client.body, prepared.request, changes)
        headers = request_headers(client.headers, betas=passing.betas, is_stream=is_stream)
        if passing.marks_hops:
            headers |= hop_headers(client.headers)
        query = f"?{client.query}" if QUERY.fullmatch(client.query) else ""
        passed = PassedRequest(body, headers, query)
        call = ModelCall(
            access,
            model,
            passed=passed,
            account_id=account.id,
            first_byte_seconds=account.switches.first_byte_seconds,
        )
        reader = PassedAnswer(prepared, model, passing, upstream, is_stream=is_stream, size=len(client.body))
        return Outgoing(call, reader)

    async def token_estimate(self, prepared: PreparedRequest, kind: str, error: UpstreamError) -> int:
        """Estimate the tokens for a prompt that is too long; 0 for other errors, since counting takes
        time."""
        if error.kind is not FailureKind.PROMPT_TOO_LONG:
            return 0
        return await self._translator.count(prepared.request, prepared.chosen.models[kind].family)

    def mended(self, prepared: PreparedRequest, kind: FailureKind) -> PreparedRequest:
        if kind is not FailureKind.BAD_SIGNATURE:
            return prepared
        return structs.replace(prepared, without_thinking=True)


def _as_client_request(request: MessagesRequest) -> ClientRequest:
    """Return a request that the gateway has made or changed itself, in the form of a client's."""
    values = {one.name: getattr(request, one.name) for one in fields(MessagesRequest)}
    body = {
        name: value
        for name, value in values.items()
        if name not in OF_THE_GATEWAY and value is not None and value != []
    }
    if tools := [tool for tool in request.tools or () if "input_schema" in tool]:
        body["tools"] = tools  # others are run by Anthropic's own servers
    else:
        body.pop("tools", None)
        body.pop("tool_choice", None)
    return ClientRequest(
        orjson.dumps({**body, "stream": True}), {"anthropic-beta": ",".join(sorted(request.betas))}
    )


class PassedAnswer:
    """Reads one answer: a stream, or a whole message for a client that did not ask for a stream."""

    declares_tools = True
    """Always True, because a request that passes through is not examined."""
    passes_through = True

    def __init__(
        self,
        prepared: PreparedRequest,
        model: UpstreamModel,
        passing: Passing,
        upstream: Upstream,
        *,
        is_stream: bool,
        size: int,
    ) -> None:
        self.usage = TokenUsage(size // BYTES_PER_TOKEN)
        self.has_content = False
        self.grounding_metadata: dict[str, Any] = {}
        self.checks_calls = passing.checks_calls
        self._model = prepared.request.model if prepared.request.model != model.sent_id else None
        self._upstream = upstream
        self._is_stream = is_stream
        self._mends_usage = passing.mends_usage
        self._estimate = max(1, size // BYTES_PER_TOKEN)
        self._wants_events = prepared.wants_events or (
            bool(prepared.request.safeguards) and not passing.checks_calls
        )
        self._said_first = prepared.request.said_first if prepared.client is None else ()
        self._stream = PassedStream(
            model=self._model,
            signer=passing.changes.signer if passing.tags_signatures else None,
            is_mended=passing.mends_usage,
            input_estimate=self._estimate,
        )
        self._begun = b""
        """The first bytes, until they tell what the answer is."""
        self._is_known = False
        """True once the first bytes have shown whether the answer is a stream or a whole message."""
        self._whole: bytearray | None = None
        """The bytes of an answer that is not a stream; None for a stream."""
        self._counts: Counts = self._stream.counts
        self._stop_reason = ""

    @property
    def stop_reason(self) -> str:
        return self._stop_reason or self._stream.stop_reason

    @property
    def is_complete(self) -> bool:
        return self._stream.error is not None

    def receive(self, data: bytes) -> list[StreamEvent]:
        if not self._is_known:
            data = self._begun = self._begun + data
            if not self._is_recognised(data):
                return []
            self._begun = b""
        if self._whole is not None:
            self._whole += data
            if len(self._whole) > LONGEST_WHOLE_BYTES:
                raise MalformedStream("an answer without an end")
            return []
        return self._passed(self._stream.receive, data)

    def _is_recognised(self, begun: bytes) -> bool:
        """Return True when the first bytes tell whether the answer is a stream. Servers send streams that
        nobody asked for (rynfar/meridian#239), and whole messages where a stream was."""
        if begun.startswith(GZIP):
            raise MalformedStream("a compressed answer, which was not asked for")
        text = begun.removeprefix(BYTE_ORDER_MARK).lstrip()
        if not text:
            self._begun = begun.strip()  # blank lines may come for long
            return False
        is_events = EVENTS.match(text) is not None
        if not (self._is_stream or is_events or len(text) >= LONGEST_FIELD or b"\n" in text):
            return False
        self._begin(is_whole=text[:1] in WHOLE_BEGINS if self._is_stream else not is_events)
        return True

    def _begin(self, *, is_whole: bool) -> None:
        self._is_known = True
        self._whole = bytearray() if is_whole else None
        self._wants_events |= not self._is_stream

    def close(self) -> list[StreamEvent]:
        if not self._is_known:
            self._begin(is_whole=not self._is_stream)
            self.receive(self._begun)
        if self._whole is not None:
            return self._whole_message(bytes(self._whole))
        rest = self._passed(self._stream.receive, b"\n\n")
        if self._stream.error is not None:
            raise self._upstream.classify_in_stream(self._stream.error)
        rest += self._passed(lambda _: self._stream.close(), b"")
        if self._stream.is_over:
            return rest
        if self._stream.is_of_openai:
            raise _wrong_answer(b"", {"choices": []})
        if not self._stream.has_begun:
            raise EmptyAnswer(None)
        raise BrokenAnswer("the server ended it before its end")

    def _passed(self, read: Any, data: bytes) -> list[StreamEvent]:
        try:
            passed = read(data)
        except ValueError as error:
            raise MalformedStream("an event that is not of Anthropic's format") from error
        self._count()
        if not passed:
            return []
        self.has_content = True
        if not self._wants_events:
            return [stream_events.raw_event(passed)]
        return list(self._after_what_is_said(events_in(passed)))

    def _after_what_is_said(self, events: list[StreamEvent]) -> Iterator[StreamEvent]:
        """Yield the events, after the blocks that the gateway puts before the answer."""
        for event in events:
            is_of_block = self._said_first and "index" in event
            yield {**event, "index": event["index"] + len(self._said_first)} if is_of_block else event
            if event["type"] == "message_start":
                for index, block in enumerate(self._said_first):
                    yield from stream_events.whole_block(index, block)

    def _count(self) -> None:
        counts, usage = self._counts, self.usage
        if counts.prompt:
            usage.prompt_tokens = counts.prompt
        usage.cached_tokens = counts.cache_read
        usage.thinking_tokens = min(counts.thinking, counts.output)
        usage.visible_tokens = counts.output - usage.thinking_tokens
        usage.cache_writes = (max(0, counts.cache_write - counts.cache_write_1h), counts.cache_write_1h)

    # Answers that are no stream

    def _whole_message(self, raw: bytes) -> list[StreamEvent]:
        raw = raw.rstrip().removesuffix(DONE) if raw.rstrip().endswith(DONE) else raw
        message = _object_in(raw)
        if "error" in message and message.get("type") != "message":
            raise self._upstream.classify_in_stream(message)
        if message.get("type") != "message" or not isinstance(message.get("content"), list):
            raise _wrong_answer(raw, message)
        self._counts.merge(message.get("usage"))
        self._count()
        self._stop_reason = str(message.get("stop_reason") or "")
        self.has_content = True
        message, raw = self._mended_message(message, raw)
        if self._is_stream:
            return _as_events(message)
        return [stream_events.whole_message(message, raw)]

    def _mended_message(self, message: dict[str, Any], raw: bytes) -> tuple[dict[str, Any], bytes]:
        changed = dict(message)
        if self._mends_usage:
            changed["usage"] = mended_usage(message.get("usage"), self._estimate)
            changed["content"] = [self._tagged(block) for block in message["content"]]
        if changed != message:
            raw = orjson.dumps(changed)
        if self._model is not None and "model" in changed:
            changed["model"] = self._model
            raw = b"".join(with_model(raw, self._model))
        return changed, raw

    def _tagged(self, block: Any) -> Any:
        is_thinking = isinstance(block, dict) and block.get("type") in THINKING
        return self._stream.with_tag(block) if is_thinking else block


def _object_in(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _wrong_answer(raw: bytes, value: dict[str, Any]) -> UpstreamError:
    what = "an HTML page" if raw.lstrip()[:1] == b"<" else "no message"
    if "choices" in value:
        what = "OpenAI's format"
    sentence = f"The server answers with {what} instead of a message in Anthropic's format."
    body = {"type": "error", "error": {"type": "api_error", "message": sentence}}
    return UpstreamError(FailureKind.WRONG_ADDRESS, 200, sentence, body, reason=what)


def _as_events(message: dict[str, Any]) -> list[StreamEvent]:
    """Return the events of a message, for a client that asked for a stream."""
    usage = message.get("usage") or {}
    events = [{"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}]
    for index, block in enumerate(message["content"]):
        events += stream_events.whole_block(index, block)
    events.append(stream_events.message_delta(message.get("stop_reason") or "end_turn", usage))
    return [*events, stream_events.message_stop()]
