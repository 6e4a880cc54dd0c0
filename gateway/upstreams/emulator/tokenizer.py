"""Counts tokens the same way every time, so that books can be compared with ours to the token.

About four characters of English or code make a token: up to six letters, three digits or two signs of
ASCII punctuation, and every other character by itself. Blanks belong to the word that follows them.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from functools import lru_cache
from typing import Any

import orjson

_TOKEN = re.compile(r"[A-Za-z]{1,6}|[0-9]{1,3}|[!-/:-@\[-`{-~]{1,2}|[^\x00-\x7f]")

# What one image costs when its size cannot be read, and Google's price of a small one.
TOKENS_PER_IMAGE = 258
TOKENS_PER_TURN = 4


# Claude Code repeats its tools and its system prompt with every turn.
@lru_cache(maxsize=1024)
def count_text(text: str) -> int:
    return len(_TOKEN.findall(text))


def count_json(value: Any) -> int:
    return count_text(orjson.dumps(value).decode())


def count_part(part: dict[str, Any]) -> int:
    """Signatures cost nothing: they are bookkeeping, not something the model reads."""
    if "text" in part:
        return count_text(part["text"])
    if "inlineData" in part:
        return count_inline_data(part["inlineData"])
    if "functionCall" in part:
        return count_json(part["functionCall"])
    if "functionResponse" in part:
        return _count_function_response(part["functionResponse"])
    return count_json(part)


def _count_function_response(function_response: dict[str, Any]) -> int:
    nested = function_response.get("parts") or []
    words = {key: value for key, value in function_response.items() if key != "parts"}
    return count_json(words) + sum(count_part(part) for part in nested)


def count_inline_data(blob: dict[str, Any]) -> int:
    size = png_size(blob.get("data", ""))
    if size is None:
        return TOKENS_PER_IMAGE
    width, height = size
    return max(TOKENS_PER_IMAGE, width * height // 750)


def png_size(data: str) -> tuple[int, int] | None:
    """Width and height of a base64 PNG, from the first bytes of it; None for anything else."""
    try:
        head = base64.b64decode(data[:32])
    except (binascii.Error, ValueError):
        return None
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def count_content(content: dict[str, Any]) -> int:
    return TOKENS_PER_TURN + sum(count_part(part) for part in content.get("parts") or [])


def count_preface(request: dict[str, Any]) -> int:
    """What stands before the conversation: the system instruction and the tools."""
    system_instruction = request.get("systemInstruction")
    tools = request.get("tools")
    count = count_content(system_instruction) if system_instruction else 0
    return count + (count_json(tools) if tools else 0)


def count_prompt(request: dict[str, Any]) -> int:
    """Tokens of a whole generate request: its ``request`` member, not the envelope."""
    return count_preface(request) + sum(count_content(content) for content in request.get("contents") or [])
