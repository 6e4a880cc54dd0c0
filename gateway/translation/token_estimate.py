"""About how many tokens a request has, counted without a tokenizer and fast enough for each request.

Four characters make a token in prose and code. JSON has more punctuation, so three. A character outside
ASCII is a token of its own.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.anthropic_api.messages import MessagesRequest

CHARACTERS_PER_TOKEN = 4
JSON_BYTES_PER_TOKEN = 3
TOKENS_PER_IMAGE = 258
PIXELS_PER_TOKEN = 750
TOKENS_PER_CALL = 10
TOKENS_PER_MESSAGE = 4

_PNG_START = "iVBORw0KGgo"


def estimate_input_tokens(request: MessagesRequest) -> int:
    return (
        1
        + estimate_system(request)
        + estimate_tools(request)
        + _output_format_tokens(request)
        + sum(estimate_message(message) for message in request.messages)
    )


def estimate_system(request: MessagesRequest) -> int:
    return estimate_content(request.system)


def estimate_tools(request: MessagesRequest) -> int:
    return json_tokens(request.tools) if request.tools else 0


def _output_format_tokens(request: MessagesRequest) -> int:
    output_format = (request.output_config or {}).get("format")
    return json_tokens(output_format) if output_format else 0


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
    ascii_length = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return -(-ascii_length // CHARACTERS_PER_TOKEN) + len(text) - ascii_length


def json_tokens(value: object) -> int:
    """Raises InvalidRequest for what is nested deeper than the writer of the request could follow.

    That is 254 levels, and a call's input stands eight levels deep in what is sent to Google.
    """
    try:
        size = len(orjson.dumps([[[[[[[[value]]]]]]]]))
    except orjson.JSONEncodeError:
        raise InvalidRequest("request body: nested too deeply") from None
    return size // JSON_BYTES_PER_TOKEN


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
        return _image_tokens(block["source"])
    return _document_tokens(block) if kind == "document" else json_tokens(block)


def _image_tokens(source: Mapping[str, Any]) -> int:
    """By its size where that is cheap to see: a PNG tells it in its first 24 bytes, 32 of them in base64."""
    head = source["data"][:32] if source["type"] == "base64" else ""
    if not head.startswith(_PNG_START) or len(head) < 32:
        return TOKENS_PER_IMAGE
    width, height = struct.unpack(">II", base64.b64decode(head)[16:24])
    return int(max(TOKENS_PER_IMAGE, width * height // PIXELS_PER_TOKEN))


def _document_tokens(block: Mapping[str, Any]) -> int:
    """A file counts as one picture: how many pages it has is inside."""
    source = block["source"]
    inline = source.get("data") if source["type"] == "text" else source.get("content")
    return TOKENS_PER_IMAGE if inline is None else estimate_content(inline)
