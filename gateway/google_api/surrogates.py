"""Surrogate pairs that a stream has split.

UTF-16 writes a character outside the Basic Multilingual Plane, such as an emoji, as two surrogates. A
streaming model may put one into a chunk and the other into the next; a lone surrogate cannot be encoded as
UTF-8.
"""

from __future__ import annotations

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def has_surrogates(text: str) -> bool:
    return _SURROGATE.search(text) is not None


def join_surrogates(text: str) -> str:
    """Join adjacent surrogates to characters; replace lone ones with U+FFFD."""
    if not has_surrogates(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class CharacterJoiner:
    """Joins a text that comes in pieces: a surrogate at a piece's end is held back until the next piece."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str) -> str:
        """Return the complete characters; ``text`` is not empty."""
        text, self.held = self.held + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self.held = text[:-1], text[-1]
        return join_surrogates(text)

    def flush(self) -> str:
        """Return U+FFFD for a surrogate still unpaired at the end, else nothing."""
        half, self.held = self.held, ""
        return join_surrogates(half)


def without_lone_surrogates(value: Any) -> Any:
    """Return the same JSON value with valid characters in all keys and texts."""
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {join_surrogates(name): without_lone_surrogates(member) for name, member in value.items()}
    return value
