"""Assembly of stream events into the message for a client that asked for no stream.

The events may be those of a foreign server: unknown kinds of deltas, blocks without an end
(ollama/ollama#17101) and empty inputs (BerriAI/litellm#29286) are taken as the official SDKs take them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gateway.dialects.anthropic.stream_events import DELTAS
from gateway.errors import UpstreamFailed

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
        self._message: dict[str, Any] = {"content": []}
        self._pieces: dict[str, list[str]] = {}  # of the open block, by field

    def add(self, event: StreamEvent) -> None:
        """Add an event. Raises UpstreamFailed for a call whose input is not JSON."""
        if event["type"] == DELTAS:
            self._pieces.setdefault(event["field"], []).extend(event["texts"])
            return
        match event["type"]:
            case "content_block_delta":
                delta = event["delta"]
                field = _DELTA_FIELDS.get(delta.get("type"))
                if field is None:
                    self._add_citation(delta)
                    return
                if field not in self._pieces:
                    self._pieces[field] = []
                self._pieces[field].append(delta.get(field) or "")
            case "content_block_start":
                self._finish_block()
                self._message["content"].append({**event["content_block"]})
            case "content_block_stop":
                self._finish_block()
            case "message":
                self._message = event["message"]
            case "message_start":
                self._message = {**event["message"], "content": []}
            case "message_delta":
                self._message |= event["delta"]
                self._message["usage"] = {
                    **(self._message.get("usage") or {}),
                    **(event.get("usage") or {}),
                }

    def message(self) -> dict[str, Any]:
        """Return the message, complete once message_delta has been added."""
        self._finish_block()
        return self._message

    def _add_citation(self, delta: dict[str, Any]) -> None:
        blocks = self._message["content"]
        if blocks and delta.get("type") == "citations_delta" and delta.get("citation"):
            blocks[-1]["citations"] = [*(blocks[-1].get("citations") or ()), delta["citation"]]

    def _finish_block(self) -> None:
        pieces, self._pieces = self._pieces, {}
        if not pieces or not self._message["content"]:
            return
        block = self._message["content"][-1]
        for field in pieces:
            text = "".join(map(str, pieces[field]))
            if field != "partial_json":
                block[field] = f"{block.get(field) or ''}{text}"
            elif text.strip():
                block["input"] = _input_in(text)


def _input_in(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise UpstreamFailed("The answer broke off: the input of a tool call is not JSON.") from None
