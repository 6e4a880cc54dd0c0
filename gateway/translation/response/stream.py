"""Translation of Google's chunks into Anthropic's stream events: one small state machine.

At any time one content block is open, or none. A part either continues the open block or closes it and opens
the next. message_start waits for the first part, because until then the request can still be retried on
another account; afterwards an error can only end the stream.

The fields of a part determine its kind; ``thought`` only marks its text as thinking. Thinking that the client
did not ask for also starts the message, since the answer has begun.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from gateway.dialects.anthropic import stream_events
from gateway.google_api.content import Chunk, first_candidate, parts_of, unwrap
from gateway.google_api.surrogates import CharacterJoiner
from gateway.google_api.text_chunks import TextChunk, TokenCounts
from gateway.translation.request.content_blocks import as_arguments
from gateway.translation.response.stop_reason import (
    MAY_BE_EMPTY,
    NO_FINISH_REASONS,
    error_body_for,
    refusal_text,
    stop_reason_for,
    why_it_broke_off,
    why_nothing_was_said,
)
from gateway.translation.response.stop_sequences import StopSequenceFinder
from gateway.translation.response.usage import TokenUsage
from gateway.translation.signature_families import SIGNING_FAMILIES, SignatureStore, key_of_text, tag
from gateway.translation.tool_names import without_namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from accounts.failures import UpstreamError
    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.translation.request.request import TranslatedRequest

ONLY_THINKING = "the model thought and then said nothing"

NO_TYPES: frozenset[str] = frozenset()
NO_IDS: frozenset[str] = frozenset()
"""One for all streams: each new frozenset takes 0.2 kB, even an empty one."""
ONLY_TEXT = frozenset({"text"})
TEXTS = frozenset({"text", "thinking"})
_IS_THOUGHT = {"thinking": True, "text": False, None: None}
"""The field ``thought`` of parts that continue a block, by the type of the block."""
_TOOL_USE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class EmptyAnswer(Exception):
    """An answer of status 200 without content. Nothing has been sent to the client: a retry is safe.

    ``str`` is the reason, in words for the client.
    """

    def __init__(self, finish_reason: str | None) -> None:
        super().__init__(why_nothing_was_said(finish_reason))
        self.finish_reason = finish_reason


class BrokenAnswer(Exception):
    """An answer that ended incomplete, after a part of it has been sent. ``str`` is the reason."""


class MessageStream:
    """Translates one answer: give chunks to ``receive``, then call ``close`` at the end of the upstream's
    stream or as soon as ``is_complete``.

    ``new_tool_use_id`` makes ids for calls that come without one; ``read_error`` classifies Google's error
    object, ``{"error": {"code", "message", "status", "details"}}``. ``usage``, ``finish_reason`` and
    ``grounding_metadata`` hold what is known so far, the last of them only where sources are needed.
    ``declares_tools`` is the request's.
    """

    __slots__ = (
        "_characters",
        "_client_model",
        "_continued",
        "_continues_with",
        "_display",
        "_error",
        "_family",
        "_finder",
        "_first_index",
        "_index",
        "_is_blocked",
        "_is_closed",
        "_is_signed",
        "_keeps_text",
        "_message_id",
        "_new_tool_use_id",
        "_open",
        "_pending_signature",
        "_read_error",
        "_refusal",
        "_restorations",
        "_rules",
        "_sent_as_it_comes",
        "_shows_parts",
        "_signatures",
        "_text",
        "_thought_characters",
        "_tool_names",
        "_tool_use_ids",
        "_turn_ended_with",
        "declares_tools",
        "finish_reason",
        "grounding_metadata",
        "started",
        "usage",
    )

    def __init__(
        self,
        message_id: str,
        client_model: str,
        translated: TranslatedRequest,
        signatures: SignatureStore,
        new_tool_use_id: Callable[[], str],
        read_error: Callable[[dict[str, Any]], UpstreamError],
        input_token_estimate: int,
    ) -> None:
        self.started = False
        self.usage = TokenUsage(input_token_estimate, translated.raw_token_estimate)
        self.finish_reason: str | None = None
        self.grounding_metadata: dict[str, Any] = {}

        self.declares_tools = translated.declares_tools

        self._message_id = message_id
        self._client_model = client_model
        self._family = translated.model.family
        self._tool_names = translated.tool_names
        self._restorations = translated.restorations
        self._rules = translated.answer_rules
        self._display = translated.answer_rules.thinking
        self._keeps_text = self._family == "gemini"
        self._signatures = signatures
        self._new_tool_use_id = new_tool_use_id
        self._read_error = read_error

        self._is_closed = False
        self._error: UpstreamError | None = None
        self._is_blocked = False
        self._refusal = ""  # the text of a refusal without content
        self._turn_ended_with: str | None = None  # the stop_reason, when the gateway ended the turn
        self._shows_parts = not self._rules.without_content
        self._tool_use_ids = NO_IDS
        self._index = -1  # of the last block, including ``said_first``
        self._first_index = len(self._rules.said_first)
        self._open: str | None = None  # the type of the open block
        self._continued: str | None = None  # the same, while further text of it is sent as it comes
        self._is_signed = False  # of the open thinking block
        self._text: list[str] = []  # of the open text block, for the store of Gemini's signatures
        self._pending_signature: str | None = None  # for the next call
        self._continues_with: str | None = None  # the same between two calls of ``receive``
        self._characters = CharacterJoiner()
        self._thought_characters = CharacterJoiner()
        stop_sequences = self._rules.stop_sequences
        self._finder = StopSequenceFinder(stop_sequences) if stop_sequences else None
        self._sent_as_it_comes = self._types_sent_as_they_come()

    @property
    def stop_reason(self) -> str:
        if self._turn_ended_with is not None:
            return self._turn_ended_with
        reason = stop_reason_for(
            self.finish_reason, has_tool_use=bool(self._tool_use_ids), is_blocked=self._is_blocked
        )
        return "max_tokens" if self._rules.without_content and reason != "refusal" else reason

    @property
    def is_complete(self) -> bool:
        """Return True when the rest need not be read: after an error, or when the gateway has ended the turn
        and the usage is known.

        An answer given through a function is read to its end, since its output tokens come last, and so do
        sources.
        """
        if self._error is not None:
            return True
        if self._turn_ended_with in {None, "end_turn"} or self._rules.with_sources:
            return False
        return self.usage.prompt_tokens is not None

    def receive(self, *chunks: Chunk | TextChunk) -> list[StreamEvent]:
        """Translate chunks that arrived together. An error ends the stream, and ``close`` raises it."""
        events: list[StreamEvent] = []
        texts: list[str] = []  # that continue the open block
        counts: list[TokenCounts] = []
        is_thought = _IS_THOUGHT[self._continues_with]
        for chunk in chunks:
            if (
                isinstance(chunk, TextChunk)
                and (part := (candidate := chunk.candidates[0]).content.parts[0]).thought is is_thought
                and candidate.finish_reason is None
            ):
                texts.append(part.text)
                counts.append(chunk.usage_metadata)
                continue
            if texts:
                self._continue_block(texts, counts, events)
                texts, counts = [], []
            events += self._receive_any(chunk)
            self._continues_with = self._continued_now()
            is_thought = _IS_THOUGHT[self._continues_with]
        if texts:
            self._continue_block(texts, counts, events)
        return events

    def _continue_block(self, texts: list[str], counts: list[TokenCounts], events: list[StreamEvent]) -> None:
        """Append one event with deltas for the open content block, and merge the usage of their chunks."""
        self.usage.merge_counts(*counts)
        if self._keeps_text and self._open == "text":
            self._text += texts
        events.append(stream_events.deltas(self._index, str(self._continues_with), texts))

    def _continued_now(self) -> str | None:
        """Return "text" or "thinking" while further text of that kind is sent as it comes, else None."""
        holds_half = self._characters.held or self._thought_characters.held
        return None if holds_half else self._continued

    def _receive_any(self, chunk: Chunk | TextChunk) -> list[StreamEvent]:
        """Translate a chunk that does more than continue the open block."""
        if isinstance(chunk, TextChunk):
            chunk = chunk.as_chunk()
        if self._is_closed:
            return []
        if "error" in chunk:
            return self._fail(chunk)
        response = unwrap(chunk)
        usage_metadata = response["usageMetadata"] if "usageMetadata" in response else None  # noqa: SIM401
        if type(usage_metadata) is dict:
            self.usage.merge(usage_metadata)
        if not self.started:
            self._read_head(response)
        candidate = first_candidate(response)
        if candidate is None:
            return []
        events: list[StreamEvent] = []
        for part in parts_of(candidate):
            if type(part) is dict and self._shows_parts:
                self._receive_part(part, events)
        if self._rules.with_sources and isinstance(grounding := candidate.get("groundingMetadata"), dict):
            self.grounding_metadata |= grounding  # a repeated field replaces the earlier one
        finish_reason = candidate["finishReason"] if "finishReason" in candidate else None  # noqa: SIM401
        if type(finish_reason) is str and finish_reason not in NO_FINISH_REASONS:
            self.finish_reason = finish_reason
            if finish_reason != "STOP" and not self._is_blocked:
                self._refusal = refusal_text(finish_reason, candidate.get("finishMessage"))
            error = error_body_for(finish_reason)
            if error is not None:
                return events + self._fail(error)
        return events

    def close(self) -> list[StreamEvent]:
        """Return the last events. Raises UpstreamError for an error in the stream, EmptyAnswer when there was
        no usable content, BrokenAnswer when the answer is incomplete."""
        if self._error is not None:
            raise self._error
        if self._is_closed:
            return []
        events: list[StreamEvent] = []
        if self._was_stopped_at_once():
            self._end_before_any_content(events)
        self._check_it_is_whole()
        self._flush_text(events)
        if not self.started:
            self._start(events)
        stop_reason = self.stop_reason
        if stop_reason == "refusal" and not self._has_block:
            self._send_text(self._refusal, events)
        self._keep_pending_signature()
        self._close_block(events)
        stop_sequence = self._finder.found if self._finder is not None else None
        events += (
            stream_events.message_delta(stop_reason, self.usage.as_anthropic(), stop_sequence),
            stream_events.message_stop(),
        )
        self._is_closed = True
        self._continues_with = None
        return events

    # --- around the parts ---

    def _read_head(self, response: Chunk) -> None:
        """Read what precedes any content: a refusal of the prompt, and an id of Anthropic's."""
        feedback = response["promptFeedback"] if "promptFeedback" in response else None  # noqa: SIM401
        if type(feedback) is dict and feedback.get("blockReason"):
            self._is_blocked = True
            self._refusal = refusal_text(feedback["blockReason"], feedback.get("blockReasonMessage"))
        response_id = response["responseId"] if "responseId" in response else None  # noqa: SIM401
        if type(response_id) is str and response_id[:4] == "msg_":
            self._message_id = response_id

    def _fail(self, body: dict[str, Any]) -> list[StreamEvent]:
        if self._turn_ended_with is not None:
            return []  # the turn is over for the client
        self._error = self._read_error(body)
        self._is_closed = True
        events: list[StreamEvent] = []
        self._close_block(events)
        return events

    def _was_stopped_at_once(self) -> bool:
        """Return True when nothing was generated because of a stop sequence, which Google leaves out of the
        text."""
        if self._finder is None or self._rules.without_content or self._turn_ended_with is not None:
            return False
        has_content = self._has_block or self._holds_text()
        return self.finish_reason == "STOP" and not has_content and not self._is_blocked

    def _end_before_any_content(self, events: list[StreamEvent]) -> None:
        """End a turn stopped at once. With several sequences Google does not tell which one was generated."""
        sequences = self._rules.stop_sequences
        if self._finder is not None and len(sequences) == 1:
            self._finder.found = sequences[0]
            self._end_turn("stop_sequence", events)
        else:
            self._end_turn("end_turn", events)

    def _check_it_is_whole(self) -> None:
        """Raise for an empty or incomplete answer. A refusal and a spent token limit are answers, however
        short."""
        if self._turn_ended_with is not None or self._tool_use_ids or self._is_blocked:
            return
        if self._rules.without_content:
            if self.finish_reason is None:
                raise EmptyAnswer(None)
            return
        is_empty = not (self._has_block or self._holds_text() or self.stop_reason in MAY_BE_EMPTY)
        if is_empty and not self.started:
            raise EmptyAnswer(self.finish_reason)
        problem = why_it_broke_off(self.finish_reason)
        if is_empty and problem is None:
            problem = ONLY_THINKING
        if problem is not None:
            raise BrokenAnswer(problem) if self.started else EmptyAnswer(self.finish_reason)

    def _start(self, events: list[StreamEvent]) -> None:
        self.started = True
        usage = self.usage.as_anthropic(is_at_start=True)
        events.append(stream_events.message_start(self._message_id, self._client_model, usage))
        for block in self._rules.said_first:
            self._index += 1
            events += stream_events.whole_block(self._index, block)

    @property
    def _has_block(self) -> bool:
        """Return True once a block of the model has been opened."""
        return self._index >= self._first_index

    def _end_turn(self, stop_reason: str, events: list[StreamEvent]) -> None:
        """End the turn: later parts are ignored."""
        if not self.started:
            self._start(events)
        self._turn_ended_with = stop_reason
        self._shows_parts = False
        self._continued = None

    # --- parts ---

    def _receive_part(self, part: dict[str, Any], events: list[StreamEvent]) -> None:
        """Translate a part. Unknown kinds are ignored; a part with text and a call gives both."""
        text = part["text"] if "text" in part else None  # noqa: SIM401 -- a call
        if text and type(text) is str and len(part) == 1:  # the most frequent kind
            self._receive_text(text, events)
            return
        call = part.get("functionCall")
        signature = part.get("thoughtSignature")
        own_signature = None if call else signature
        if part.get("thought") is True:
            self._receive_thought(text, own_signature, events)
        else:
            if own_signature:
                self._receive_text_signature(own_signature, events)
            if text and isinstance(text, str):
                self._receive_text(text, events)
            elif isinstance(part.get("inlineData"), dict):
                self._receive_image(part["inlineData"], events)
        if isinstance(call, dict) and self._shows_parts:
            self._receive_call(call, signature, events)

    def _receive_thought(self, text: object, signature: object, events: list[StreamEvent]) -> None:
        """Claude signs the thinking just streamed in an empty part of its own.

        With nothing to sign, it is the signature of thinking whose text is kept secret.
        """
        is_signature = signature is not None and self._is_usable(signature)
        if not text and not is_signature:
            return
        shown = text if self._display == "text" and isinstance(text, str) else ""
        if self._display == "none" or (not shown and self._is_for_the_next_call()):
            self._hide_thought(signature if is_signature else None, events)
            return
        if not self.started:
            self._start(events)
        if (shown or is_signature) and not self._has_unsigned_thinking():
            self._open_thinking(events)
        if shown and (self._thought_characters.held or not shown.isascii()):
            shown = self._thought_characters.feed(shown)
        if shown:
            events.append(stream_events.thinking_delta(self._index, shown))
        if is_signature:
            self._sign(str(signature), events)

    def _is_for_the_next_call(self) -> bool:
        """Return True for a signature of Gemini's without thinking to sign. Its thinking block is opened
        before the call: an empty block behind the last text would hide that text in Claude Code."""
        return self._family == "gemini" and not self._has_unsigned_thinking()

    def _hide_thought(self, signature: object, events: list[StreamEvent]) -> None:
        """Start the message for thinking that is not shown, and keep its signature for the next call: Gemini
        requires it there, Claude only with the thinking."""
        if not self.started:
            self._start(events)
        if self._family == "gemini" and signature is not None:
            self._pending_signature = str(signature)

    def _receive_text(self, text: str, events: list[StreamEvent]) -> None:
        """Send text verbatim: a chunk of spaces separates two words."""
        if self._finder is None and not self._characters.held and text.isascii():
            self._send_text(text, events)
            return
        text = self._characters.feed(text)
        if self._finder is not None:
            text = self._finder.feed(text)
        if text:
            self._send_text(text, events)
        elif self._open == "thinking":
            self._close_block(events)  # the text held back comes after it
        if self._finder is not None and self._finder.found is not None:
            self._end_turn("stop_sequence", events)

    def _send_text(self, text: str, events: list[StreamEvent]) -> None:
        if self._open != "text":
            self._open_block("text", stream_events.text_start(self._next_index(events)), events)
            self._text = []
        if self._keeps_text:
            self._text.append(text)
        events.append(stream_events.text_delta(self._index, text))

    def _types_sent_as_they_come(self) -> frozenset[str]:
        """Return the types of blocks whose text can be sent as it comes."""
        if self._finder is not None or self._rules.with_sources:
            return NO_TYPES
        return TEXTS if self._display == "text" else ONLY_TEXT

    def _holds_text(self) -> bool:
        return bool(self._characters.held or (self._finder is not None and self._finder.held))

    def _flush_text(self, events: list[StreamEvent]) -> None:
        """Send the text held back as a possible stop sequence, before another block or at the end."""
        if not self._holds_text() or self._turn_ended_with is not None:
            return
        text = self._characters.flush()
        if self._finder is not None:
            text = self._finder.flush() + text
        self._send_text(text, events)

    def _receive_text_signature(self, signature: object, events: list[StreamEvent]) -> None:
        """Put a text's signature on the open thinking, or keep it for the next call: Anthropic's text blocks
        have none."""
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
        self._flush_text(events)
        name = self._declared_name(name)
        arguments = as_arguments(call.get("args"))
        restoration = self._restorations.get(name)
        if restoration is not None:
            arguments = restoration.apply(arguments)
        if name == self._rules.answer_tool:
            self._close_block(events)
            self._send_text(orjson.dumps(arguments).decode(), events)
            self._end_turn("end_turn", events)
            return
        tool_use_id = self._tool_use_id(call.get("id"))
        self._carry_signature(tool_use_id, signature, events)
        start = stream_events.tool_use_start(
            self._next_index(events), tool_use_id, self._tool_names.to_client(name)
        )
        self._open_block("tool_use", start, events)
        events.append(stream_events.input_json_delta(self._index, orjson.dumps(arguments).decode()))
        self._close_block(events)
        if self._rules.one_call:
            self._end_turn("tool_use", events)

    def _declared_name(self, name: str) -> str:
        bare = without_namespace(name)
        return bare if self._tool_names.has_upstream(bare) else name

    def _carry_signature(self, tool_use_id: str, signature: object, events: list[StreamEvent]) -> None:
        """Send a call's signature in the thinking block before it, an empty one if necessary. A client that
        did not ask for thinking gets none; the store keeps the signature."""
        if not self._is_usable(signature):
            signature, self._pending_signature = self._pending_signature, None
        if not isinstance(signature, str):
            return
        if self._family == "gemini":
            self._pending_signature = None
            is_carried = self._display != "none"
            self._signatures.put(tool_use_id, tag(self._family, signature), is_carried=is_carried)
            if is_carried and not self._has_unsigned_thinking():
                self._open_thinking(events)
        if self._has_unsigned_thinking():
            self._sign(signature, events)

    def _receive_image(self, data: dict[str, Any], events: list[StreamEvent]) -> None:
        """Send an image as Markdown: Anthropic's answers have no image blocks. Answers to a search leave it
        out."""
        if self._rules.with_sources:
            return
        self._flush_text(events)
        self._send_text(f"![image](data:{data.get('mimeType')};base64,{data.get('data')})", events)

    # --- blocks ---

    def _next_index(self, events: list[StreamEvent]) -> int:
        """Close the open block and return the index of the next one."""
        if not self.started:
            self._start(events)
        self._close_block(events)
        self._index += 1
        return self._index

    def _open_block(self, block_type: str, start: StreamEvent, events: list[StreamEvent]) -> None:
        self._open = block_type
        self._continued = block_type if block_type in self._sent_as_it_comes else None
        events.append(start)

    def _open_thinking(self, events: list[StreamEvent]) -> None:
        self._flush_text(events)
        self._open_block("thinking", stream_events.thinking_start(self._next_index(events)), events)
        self._is_signed = False

    def _close_block(self, events: list[StreamEvent]) -> None:
        if self._open is None:
            return
        if self._open == "thinking" and not self._is_signed and (rest := self._thought_characters.flush()):
            events.append(stream_events.thinking_delta(self._index, rest))
        events.append(stream_events.content_block_stop(self._index))
        self._open = None
        self._continued = None

    # --- signatures ---

    def _is_usable(self, signature: object) -> bool:
        return isinstance(signature, str) and bool(signature) and self._family in SIGNING_FAMILIES

    def _has_unsigned_thinking(self) -> bool:
        return self._open == "thinking" and not self._is_signed

    def _sign(self, signature: str, events: list[StreamEvent]) -> None:
        if rest := self._thought_characters.flush():
            events.append(stream_events.thinking_delta(self._index, rest))
        events.append(stream_events.signature_delta(self._index, tag(self._family, signature)))
        self._is_signed = True
        self._continued = None

    def _keep_pending_signature(self) -> None:
        """Store the signature of a text at the end: an empty thinking block behind it breaks some clients."""
        if self._pending_signature is not None and self._text:
            key = key_of_text("".join(self._text))
            self._signatures.put(key, tag(self._family, self._pending_signature))

    def _tool_use_id(self, given: object) -> str:
        is_good = isinstance(given, str) and _TOOL_USE_ID.fullmatch(given) and given not in self._tool_use_ids
        tool_use_id = str(given) if is_good else self._new_tool_use_id()
        self._tool_use_ids |= {tool_use_id}
        return tool_use_id
