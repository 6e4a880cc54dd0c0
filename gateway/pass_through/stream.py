"""A stream of Anthropic's events, passed on as the bytes that came.

Only some events are read: message_start and message_delta (for usage and the stop reason), errors, and
signatures that get a tag. Bytes are held back until the first content, so that after an error instead of an
answer the request can be tried elsewhere.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from gateway.pass_through.usage import Counts, mended_usage

if TYPE_CHECKING:
    from gateway.pass_through.signatures import Signer

LONGEST_EVENT = 32 * 1024 * 1024
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

SIGNED = ("signature", "data")
SIGNED_TYPES = ("thinking", "redacted_thinking", "signature_delta")

LONGEST_END = b"\r\n\r\n"
_END = re.compile(rb"\n\r?\n|\r\r")
"""Matches the blank line that ends an event. The pattern leaves out an optional carriage return at its
beginning, since it would then be tried at each byte."""
_ENDS = (b"\n\n", b"\r\n\r\n")
_TOLD = (b"message_", b"error", b"ping", b"signature", b"redacted_thinking")
"""Words in the bytes of events that are read or are not content."""
_NAME = re.compile(rb"^event:[ ]?([a-z_]+)", re.MULTILINE)
_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_]+)"')
_DATA = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)
_NAMES = {b"message_start", b"message_delta", b"message_stop", b"ping", b"error"}
_CONTENT = {b"content_block_start", b"content_block_delta", b"content_block_stop"}


class PassedStream:
    """Passes a stream on. Give its bytes to `receive`, and call `close` at the end.

    `model` replaces the model's name in the answer, unless it is None. A `signer` adds its tag to signatures.
    `is_mended` corrects usage that clients cannot read, with `input_estimate` in place of missing input
    tokens.
    """

    def __init__(
        self, *, model: str | None, signer: Signer | None, is_mended: bool, input_estimate: int
    ) -> None:
        self.counts = Counts()
        self.stop_reason = ""
        self.error: dict[str, Any] | None = None
        """The error event that ended the stream; None without an error."""
        self.has_content = False
        """True when content has been returned. A caller may reset it."""
        self.is_over = False
        """True when message_stop has arrived."""
        self._model = model
        self._signer = signer
        self._is_mended = is_mended
        self._input_estimate = input_estimate
        self.has_begun = False
        self.is_of_openai = False
        """A chunk in OpenAI's format has come."""
        self._adds_names = False
        """The events have no names of their own."""
        self._has_news = False
        """True when an event with content, or the end, has arrived since bytes were last returned."""
        self._buffer = bytearray()
        """The beginning of an event whose end has not arrived."""
        self._held: list[bytes] = []
        """The events that arrived before the first content."""

    def receive(self, data: bytes) -> bytes:
        """Return the bytes that can be sent on. Raises ValueError for an event that is not JSON or is far too
        long."""
        # An event's end may have begun in the last bytes; everything before them has been searched already.
        searched = max(0, len(self._buffer) - len(LONGEST_END) + 1)
        self._buffer += data
        if self._is_plain(searched):
            return self._passed_whole()
        at = 0
        passed: list[bytes] = []
        for end in _END.finditer(self._buffer, searched):
            passed.append(self._event(bytes(self._buffer[at : end.end()])))
            at = end.end()
            if self.error is not None:
                break
        del self._buffer[:at]
        if len(self._buffer) > LONGEST_EVENT:
            raise ValueError("an event without an end")
        return self._let_go(passed)

    def _is_plain(self, searched: int) -> bool:
        """Return True for bytes that end with an event and have only deltas and ends of content blocks, after
        the first content; `_event` would pass them on unchanged. Returns False, too, when a text contains the
        name of another event."""
        buffer = self._buffer
        is_whole = searched == 0 and buffer.endswith(_ENDS)
        return (
            is_whole
            and self.has_begun
            and not self._adds_names
            and b"content_block_" in buffer
            and not any(map(buffer.__contains__, _TOLD))
        )

    def _passed_whole(self) -> bytes:
        self._has_news = True
        passed = bytes(self._buffer)
        self._buffer.clear()
        return self._let_go([passed])

    def close(self) -> bytes:
        """Return the remaining bytes, and add message_stop if only that is missing."""
        rest = self._let_go([self._event(bytes(self._buffer) + b"\n\n")]) if self._buffer.strip() else b""
        self._buffer.clear()
        if self.stop_reason and not self.is_over:
            self.is_over = True
            return rest + STOP
        return rest

    def _let_go(self, passed: list[bytes]) -> bytes:
        """Return the bytes, unless there has been no content yet. A ping is held back until another event
        follows."""
        self._held += [one for one in passed if one]
        if not self.has_begun or not self._has_news:
            return b""
        self._has_news = False
        self.has_content = True
        held, self._held = self._held, []
        return b"".join(held)

    def _event(self, raw: bytes) -> bytes:
        name = self._name_of(raw)
        if self._is_mended and _NAME.search(raw) is None and _DATA.search(raw) is not None:
            raw = self._named(raw, name)
        if name in _CONTENT:
            self.has_begun = self._has_news = True
            if self._signer is not None and (b"signature" in raw or b"redacted_thinking" in raw):
                return self._with_tag(raw)
        elif name == b"message_start":
            return self._start(raw)
        elif name == b"message_delta":
            self.has_begun = self._has_news = True
            return self._delta(raw)
        elif name == b"message_stop":
            self.is_over = self._has_news = True
        elif name == b"error":
            self.error = _data_of(raw)
            return b""
        return raw

    def _named(self, raw: bytes, name: bytes) -> bytes:
        """The event with the name that its data tells, since clients read none without; b"" for one of
        another format, of which errors are kept."""
        if name in _CONTENT or name in _NAMES:
            self._adds_names = True
            return b"event: %b\n%b" % (name, raw.lstrip())
        with suppress(ValueError):
            event = _data_of(raw)
            self.error = event if event.get("error") else None
            self.is_of_openai |= "choices" in event
        return b""

    @staticmethod
    def _name_of(raw: bytes) -> bytes:
        """Return the event's name, from its `event:` line or else from its data."""
        found = _NAME.search(raw) or _TYPE.search(raw)
        return found[1] if found is not None else b""

    def _start(self, raw: bytes) -> bytes:
        event = _data_of(raw)
        message = event.get("message")
        if not isinstance(message, dict):
            raise ValueError("a message_start without a message")  # noqa: TRY004  # of the upstream's bytes
        self.counts.merge(message.get("usage"))
        changed = dict(message)
        if self._model is not None:
            changed["model"] = self._model
        if self._is_mended:
            changed["usage"] = mended_usage(message.get("usage"), self._input_estimate)
        return raw if changed == message else _written({**event, "message": changed})

    def _delta(self, raw: bytes) -> bytes:
        event = _data_of(raw)
        self.counts.merge(event.get("usage"))
        delta = event.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if isinstance(reason, str):
            self.stop_reason = reason
        if not self._is_mended:
            return raw
        usage = mended_usage(event.get("usage"), self.counts.prompt or self._input_estimate)
        return raw if usage == event.get("usage") else _written({**event, "usage": usage})

    def with_tag(self, block: dict[str, Any]) -> dict[str, Any]:
        """Return the content block, or a delta of one, with the signer's tag on its signature."""
        for field in SIGNED:
            if self._signer is not None and isinstance(block.get(field), str) and block[field]:
                block = {**block, field: self._signer.tagged(block[field])}
        return block

    def _with_tag(self, raw: bytes) -> bytes:
        event = _data_of(raw)
        parts = {
            part: self.with_tag(event[part])
            for part in ("delta", "content_block")
            if isinstance(event.get(part), dict) and _may_be_signed(event[part])
        }
        return _written({**event, **parts}) if parts else raw


def _may_be_signed(block: dict[str, Any]) -> bool:
    return block.get("type") in SIGNED_TYPES


def _data_of(raw: bytes) -> dict[str, Any]:
    """Return the event's object. Raises ValueError."""
    event = orjson.loads(b"\n".join(_DATA.findall(raw)) or b"null")
    if not isinstance(event, dict):
        raise ValueError("an event that is no object")  # noqa: TRY004  # of the upstream's bytes
    return event


def _written(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), orjson.dumps(event))


_PARTS = {
    "message_start": "message",
    "content_block_start": "content_block",
    "content_block_delta": "delta",
    "message_delta": "delta",
}
_READ = {*_PARTS, "content_block_stop", "message_stop"}


def events_in(raw: bytes) -> list[dict[str, Any]]:
    """Return the events in bytes from a PassedStream, without pings and unknown ones. Raises ValueError for
    one that lacks its part."""
    found = (_data_of(one) for one in _END.split(raw) if one.strip() and _has_object(one))
    events = [event for event in found if event.get("type") in _READ]
    for event in events:
        part = _PARTS.get(event["type"])
        if part is not None and not isinstance(event.get(part), dict):
            raise ValueError(f"a {event['type']} without its {part}")
    return events


def _has_object(raw: bytes) -> bool:
    """Return True for an event whose data may be an object: not a comment, "[DONE]" or a time."""
    found = _DATA.search(raw)
    return found is not None and found[1].lstrip().startswith(b"{")
