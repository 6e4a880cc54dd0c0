"""Google's chunks into Anthropic's stream events: one small state machine.

At any time one content block is open, or none. A part either continues the open block or closes it and
opens the next. message_start waits for the first part, because until then another account may still take
over; afterwards the answer belongs to this stream and trouble can only be reported in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from gateway.anthropic_api import stream_events
from gateway.google_api.content import Chunk, first_candidate, parts_of, unwrap
from gateway.translation.errors import client_message, error_type_of
from gateway.translation.signatures import SIGNING_FAMILIES, SignatureStore, key_of_text, tag
from gateway.translation.stop_reason import STOP_REASONS, stop_reason_for
from gateway.translation.turns import as_arguments
from gateway.translation.usage import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.anthropic_api.stream_events import StreamEvent
    from gateway.translation.request import TranslatedRequest

REFUSED = "The model declined to answer this request."

_TOOL_USE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class EmptyAnswer(Exception):
    """The upstream answered 200 and said nothing. Nothing has been sent yet: trying again is safe."""

    def __init__(self, finish_reason: str | None) -> None:
        super().__init__(f"the upstream sent an empty answer (finish reason: {finish_reason})")
        self.finish_reason = finish_reason


class UpstreamErrorInStream(Exception):
    """An error instead of an answer, after a status of 200. Nothing has been sent yet.

    ``body`` is Google's, as ``{"error": {"code", "message", "status", "details"}}``.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(client_message(body))
        self.body = body


class MessageStream:
    """Feed chunks to ``receive``, call ``close`` at the end of the upstream's stream.

    ``new_tool_use_id`` makes ids for calls that come without one. ``usage`` and ``finish_reason`` hold
    what is known so far; ``failure`` is Google's error body once an error event has been sent.
    """

    def __init__(
        self,
        *,
        message_id: str,
        client_model: str,
        translated: TranslatedRequest,
        signatures: SignatureStore,
        new_tool_use_id: Callable[[], str],
        input_token_estimate: int,
    ) -> None:
        self.started = False
        self.usage = TokenUsage(input_token_estimate)
        self.finish_reason: str | None = None
        self.failure: dict[str, Any] | None = None

        self._message_id = message_id
        self._client_model = client_model
        self._family = translated.model.family
        self._tool_names = translated.tool_names
        self._restorations = translated.restorations
        self._signatures = signatures
        self._new_tool_use_id = new_tool_use_id

        self._is_closed = False
        self._is_blocked = False
        self._tool_use_ids: set[str] = set()
        self._index = -1
        self._open: str | None = None  # the type of the open block
        self._is_signed = False  # the open thinking block
        self._text: list[str] = []  # of the open text block, for the store of signatures
        self._pending_signature: str | None = None  # for the next call

    @property
    def stop_reason(self) -> str:
        return stop_reason_for(
            self.finish_reason, has_tool_use=bool(self._tool_use_ids), is_blocked=self._is_blocked
        )

    def receive(self, chunk: Chunk) -> list[StreamEvent]:
        """Raises UpstreamErrorInStream for an error before the first event; later it becomes an event."""
        if self._is_closed:
            return []
        if "error" in chunk:
            return self._fail(chunk)
        response = unwrap(chunk)
        usage_metadata = response.get("usageMetadata")
        if isinstance(usage_metadata, dict):
            self.usage.merge(usage_metadata)
        if not self.started:
            self._read_head(response)
        candidate = first_candidate(response)
        if candidate is None:
            return []
        events: list[StreamEvent] = []
        for part in parts_of(candidate):
            if isinstance(part, dict):
                self._receive_part(part, events)
        if isinstance(candidate.get("finishReason"), str):
            self.finish_reason = candidate["finishReason"]
        return events

    def close(self) -> list[StreamEvent]:
        """The last events. Raises EmptyAnswer when nothing came that a client could use."""
        if self._is_closed:
            return []
        events: list[StreamEvent] = []
        if not self.started:
            self._answer_without_content(events)
        self._keep_pending_signature()
        self._close_block(events)
        events.append(stream_events.message_delta(self.stop_reason, self.usage.as_anthropic()))
        events.append(stream_events.message_stop())
        self._is_closed = True
        return events

    # --- around the parts ---

    def _read_head(self, response: Chunk) -> None:
        """What matters before any content: was the prompt refused, and is there an id of Anthropic's."""
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._is_blocked = True
        response_id = response.get("responseId")
        if isinstance(response_id, str) and response_id.startswith("msg_"):
            self._message_id = response_id

    def _fail(self, body: dict[str, Any]) -> list[StreamEvent]:
        if not self.started:
            raise UpstreamErrorInStream(body)
        events: list[StreamEvent] = []
        self._close_block(events)
        events.append(stream_events.error(error_type_of(body), client_message(body)))
        self.failure = body
        self._is_closed = True
        return events

    def _answer_without_content(self, events: list[StreamEvent]) -> None:
        """A refusal and a spent token limit are answers; silence is not."""
        if self.stop_reason not in STOP_REASONS.values():
            raise EmptyAnswer(self.finish_reason)
        self._start(events)
        if self.stop_reason == "refusal":
            self._receive_text(REFUSED, events)

    def _start(self, events: list[StreamEvent]) -> None:
        self.started = True
        usage = {**self.usage.as_anthropic(), "output_tokens": 0}
        usage.pop("output_tokens_details", None)
        events.append(stream_events.message_start(self._message_id, self._client_model, usage))

    # --- parts ---

    def _receive_part(self, part: dict[str, Any], events: list[StreamEvent]) -> None:
        """A part of a kind we do not know is passed over."""
        text = part.get("text")
        signature = part.get("thoughtSignature")
        if part.get("thought") is True:
            self._receive_thought(text, signature, events)
        elif isinstance(text, str):
            if signature:
                self._receive_text_signature(signature, events)
            self._receive_text(text, events)
        elif isinstance(part.get("functionCall"), dict):
            self._receive_call(part["functionCall"], signature, events)
        elif isinstance(part.get("inlineData"), dict):
            self._receive_image(part["inlineData"], events)

    def _receive_thought(self, text: object, signature: object, events: list[StreamEvent]) -> None:
        """Claude signs the thinking just streamed in an empty part of its own.

        With nothing to sign, it is the signature of thinking whose text is kept secret.
        """
        is_signature = self._is_usable(signature)
        if not text and not is_signature:
            return
        if not self._has_unsigned_thinking():
            self._open_thinking(events)
        if text and isinstance(text, str):
            events.append(stream_events.thinking_delta(self._index, text))
        if is_signature:
            self._sign(str(signature), events)

    def _receive_text(self, text: str, events: list[StreamEvent]) -> None:
        """Verbatim: a chunk of nothing but spaces keeps two words apart."""
        if not text:
            return
        if self._open != "text":
            self._open_block("text", stream_events.text_start(self._next_index(events)), events)
            self._text = []
        self._text.append(text)
        events.append(stream_events.text_delta(self._index, text))

    def _receive_text_signature(self, signature: object, events: list[StreamEvent]) -> None:
        """Gemini signs texts, too. Anthropic's texts carry no signature, the thinking before them does."""
        if not self._is_usable(signature):
            return
        if self._has_unsigned_thinking():
            self._sign(str(signature), events)
        else:
            self._pending_signature = str(signature)

    def _receive_call(self, call: dict[str, Any], signature: object, events: list[StreamEvent]) -> None:
        name = call.get("name")
        if not isinstance(name, str) or not name:
            return
        tool_use_id = self._tool_use_id(call.get("id"))
        self._carry_signature(tool_use_id, signature, events)
        arguments = as_arguments(call.get("args"))
        restoration = self._restorations.get(name)
        if restoration is not None:
            arguments = restoration.apply(arguments)
        start = stream_events.tool_use_start(
            self._next_index(events), tool_use_id, self._tool_names.to_client(name)
        )
        self._open_block("tool_use", start, events)
        events.append(stream_events.input_json_delta(self._index, orjson.dumps(arguments).decode()))
        self._close_block(events)

    def _carry_signature(self, tool_use_id: str, signature: object, events: list[StreamEvent]) -> None:
        """The client brings a call's signature back in the thinking before the call, empty if need be."""
        if not self._is_usable(signature):
            signature, self._pending_signature = self._pending_signature, None
        if not isinstance(signature, str):
            return
        if self._family == "gemini":
            self._pending_signature = None
            self._signatures.put(tool_use_id, tag(self._family, signature))
            if not self._has_unsigned_thinking():
                self._open_thinking(events)
        if self._has_unsigned_thinking():
            self._sign(signature, events)

    def _receive_image(self, data: dict[str, Any], events: list[StreamEvent]) -> None:
        """Anthropic's answers hold no images, but most clients show Markdown."""
        self._receive_text(f"![image](data:{data.get('mimeType')};base64,{data.get('data')})", events)

    # --- blocks ---

    def _next_index(self, events: list[StreamEvent]) -> int:
        """Of the block about to open, once the one before is closed."""
        if not self.started:
            self._start(events)
        self._close_block(events)
        self._index += 1
        return self._index

    def _open_block(self, block_type: str, start: StreamEvent, events: list[StreamEvent]) -> None:
        self._open = block_type
        events.append(start)

    def _open_thinking(self, events: list[StreamEvent]) -> None:
        self._open_block("thinking", stream_events.thinking_start(self._next_index(events)), events)
        self._is_signed = False

    def _close_block(self, events: list[StreamEvent]) -> None:
        if self._open is not None:
            events.append(stream_events.content_block_stop(self._index))
            self._open = None

    # --- signatures ---

    def _is_usable(self, signature: object) -> bool:
        return isinstance(signature, str) and bool(signature) and self._family in SIGNING_FAMILIES

    def _has_unsigned_thinking(self) -> bool:
        return self._open == "thinking" and not self._is_signed

    def _sign(self, signature: str, events: list[StreamEvent]) -> None:
        events.append(stream_events.signature_delta(self._index, tag(self._family, signature)))
        self._is_signed = True

    def _keep_pending_signature(self) -> None:
        """Signed text at the end of the answer: a thinking block behind it would disturb some clients."""
        if self._pending_signature is not None and self._text:
            key = key_of_text("".join(self._text))
            self._signatures.put(key, tag(self._family, self._pending_signature))

    def _tool_use_id(self, given: object) -> str:
        is_good = isinstance(given, str) and _TOOL_USE_ID.fullmatch(given) and given not in self._tool_use_ids
        tool_use_id = str(given) if is_good else self._new_tool_use_id()
        self._tool_use_ids.add(tool_use_id)
        return tool_use_id
