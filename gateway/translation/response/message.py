"""Assembly of stream events into the message for a client that asked for no stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from gateway.dialects.anthropic.stream_events import StreamEvent

_DELTA_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


class MessageCollector:
    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._pieces: dict[str, list[str]] = {}  # of the open block, by field

    def add(self, event: StreamEvent) -> None:
        match event["type"]:
            case "content_block_delta":
                delta = event["delta"]
                field = _DELTA_FIELDS[delta["type"]]
                if field not in self._pieces:
                    self._pieces[field] = []
                self._pieces[field] += (delta[field],)
            case "content_block_start":
                self._message["content"] += ({**event["content_block"]},)
                self._pieces = {}
            case "content_block_stop":
                self._finish_block(self._message["content"][-1])
            case "message":
                self._message = event["message"]
            case "message_start":
                self._message = {**event["message"], "content": []}
            case "message_delta":
                self._message |= event["delta"]
                self._message["usage"] = {**self._message["usage"], **event["usage"]}

    def message(self) -> dict[str, Any]:
        """Return the message, complete once message_delta has been added."""
        return self._message

    def _finish_block(self, block: dict[str, Any]) -> None:
        for field in self._pieces:
            text = "".join(self._pieces[field])
            if field == "partial_json":
                block["input"] = orjson.loads(text)
            else:
                block[field] = text
