"""About how many tokens a request has, counted without a tokenizer and fast enough for each request.

Four characters make a token in prose and code. JSON has more punctuation, so three. A character outside
ASCII weighs by its bytes, which comes to about one token for Chinese and a half for Cyrillic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.anthropic_api.messages import MessagesRequest

CHARACTERS_PER_TOKEN = 4
JSON_BYTES_PER_TOKEN = 3
TOKENS_PER_EXTRA_BYTE = 0.375
TOKENS_PER_IMAGE = 258
TOKENS_PER_CALL = 10
TOKENS_PER_MESSAGE = 4


def estimate_input_tokens(request: MessagesRequest) -> int:
    return (
        1
        + estimate_system(request)
        + estimate_tools(request)
        + sum(estimate_message(message) for message in request.messages)
    )


def estimate_system(request: MessagesRequest) -> int:
    return estimate_content(request.system)


def estimate_tools(request: MessagesRequest) -> int:
    return json_tokens(request.tools) if request.tools else 0


def estimate_message(message: Mapping[str, Any]) -> int:
    return TOKENS_PER_MESSAGE + estimate_content(message["content"])


def estimate_content(content: object) -> int:
    """Of a string, a list of blocks, or nothing."""
    if isinstance(content, str):
        return text_tokens(content)
    if isinstance(content, list):
        return sum(_block_tokens(block) for block in content)
    return 0


def text_tokens(text: str) -> int:
    if text.isascii():
        return -(-len(text) // CHARACTERS_PER_TOKEN)
    extra_bytes = len(text.encode("utf-8", "surrogatepass")) - len(text)
    return int(len(text) / CHARACTERS_PER_TOKEN + extra_bytes * TOKENS_PER_EXTRA_BYTE) + 1


def json_tokens(value: object) -> int:
    return len(orjson.dumps(value)) // JSON_BYTES_PER_TOKEN


def _block_tokens(block: Mapping[str, Any]) -> int:
    kind = block["type"]
    if kind == "text":
        return text_tokens(block["text"])
    if kind == "tool_result":
        return TOKENS_PER_CALL + estimate_content(block.get("content"))
    if kind == "tool_use":
        return TOKENS_PER_CALL + text_tokens(block["name"]) + json_tokens(block.get("input"))
    if kind == "thinking":
        return text_tokens(block["thinking"])
    if kind == "image":
        return TOKENS_PER_IMAGE
    return _document_tokens(block) if kind == "document" else json_tokens(block)


def _document_tokens(block: Mapping[str, Any]) -> int:
    """A file counts as one picture: how many pages it has is inside."""
    source = block["source"]
    inline = source.get("data") if source["type"] == "text" else source.get("content")
    return TOKENS_PER_IMAGE if inline is None else estimate_content(inline)
