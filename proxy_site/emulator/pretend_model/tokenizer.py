"""Deterministic token counts, so that ledgers can be compared to the token.

About four characters of English or code make a token: up to six letters, three digits or two signs of ASCII
punctuation. So do two letters of an alphabet such as the Cyrillic one or three box-drawing characters; every
other character is one token. Blanks belong to the word that follows them. Tests replace it with tokenizers of
real models.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_site.emulator.models import Family

_TOKEN = re.compile(
    r"[A-Za-z]{1,6}|[0-9]{1,3}|[!-/:-@\[-`{-~]{1,2}"
    r"|[\u0370-\u07ff]{1,2}|[\u2500-\u259f]{1,3}|[^\x00-\x7f]"
)

TOKENS_PER_TURN = 4
TOKENS_PER_GEMINI_IMAGE = 1_120
TOKENS_PER_UNKNOWN_IMAGE = 1_600
LONGEST_EDGE = 1_568
PIXELS_PER_TOKEN = 750


# Claude Code repeats its tools and its system prompt with every turn.
@lru_cache(maxsize=1024)
def count_text(text: str) -> int:
    return len(_TOKEN.findall(text))


def count_json(value: Any) -> int:
    return count_text(orjson.dumps(value).decode())


@dataclass(frozen=True)
class Tokenizer:
    """How one family counts a prompt. ``factor`` multiplies the counts, for counts that no client can
    compute."""

    family: Family
    count_text: Callable[[str], int] = count_text
    factor: float = 1.0

    def count_prompt(self, request: dict[str, Any]) -> int:
        """Return the number of tokens of a whole generate request: its ``request`` member, not the
        envelope."""
        contents = request.get("contents") or []
        return self.count_preface(request) + sum(self.count_content(content) for content in contents)

    def count_preface(self, request: dict[str, Any]) -> int:
        """Count what stands before the conversation: the system instruction and the tools."""
        system_instruction, tools = request.get("systemInstruction"), request.get("tools")
        count = self.count_content(system_instruction) if system_instruction else 0
        return count + (self._count_json(tools) if tools else 0)

    def count_content(self, content: dict[str, Any]) -> int:
        return TOKENS_PER_TURN + sum(self.count_part(part) for part in content.get("parts") or [])

    def count_part(self, part: dict[str, Any]) -> int:
        """Count a part. Signatures cost nothing, since the model does not read them."""
        if "text" in part:
            return self._count(part["text"])
        if "inlineData" in part:
            return round(self.factor * count_inline_data(part["inlineData"], self.family))
        if "functionCall" in part:
            return self._count_json(part["functionCall"])
        if "functionResponse" in part:
            return self._count_function_response(part["functionResponse"])
        return self._count_json(part)

    def _count_function_response(self, function_response: dict[str, Any]) -> int:
        nested = function_response.get("parts") or []
        words = {key: value for key, value in function_response.items() if key != "parts"}
        return self._count_json(words) + sum(self.count_part(part) for part in nested)

    def _count_json(self, value: Any) -> int:
        return self._count(orjson.dumps(value).decode())

    def _count(self, text: str) -> int:
        return round(self.factor * self.count_text(text))


Tokenizers = dict[str, Tokenizer]
TOKENIZERS: Tokenizers = {
    "claude": Tokenizer("claude"),
    "gemini": Tokenizer("gemini"),
    "gpt": Tokenizer("gpt"),
}


def count_inline_data(blob: dict[str, Any], family: Family) -> int:
    """Count a file. Gemini has one price for every image, Claude counts pixels of the image as it scales
    it."""
    if family == "gemini":
        return TOKENS_PER_GEMINI_IMAGE
    size = png_size(blob.get("data", ""))
    if size is None:
        return TOKENS_PER_UNKNOWN_IMAGE
    width, height = size
    scale = min(1.0, LONGEST_EDGE / max(width, height, 1))
    return min(TOKENS_PER_UNKNOWN_IMAGE, round(width * height * scale * scale / PIXELS_PER_TOKEN))


def png_size(data: str) -> tuple[int, int] | None:
    """Return width and height of a base64 PNG from its first bytes; None for anything else."""
    try:
        head = base64.b64decode(data[:32])
    except (binascii.Error, ValueError):
        return None
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        return None
    width, height = struct.unpack(">II", head[16:24])
    return width, height
