"""Halves of characters outside the Basic Multilingual Plane.

UTF-16 writes such a character, an emoji for example, as two surrogates. A model that streams may put one into
a chunk and the other into the next; a half that stays alone is no character and cannot be encoded as UTF-8.
"""

from __future__ import annotations

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


def join_surrogates(text: str) -> str:
    """Two halves next to each other are one character, a single half is U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class CharacterJoiner:
    """For a text that comes in pieces: a first half at the end of one waits for the beginning of the next."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str) -> str:
        """Whole characters only; ``text`` is not empty."""
        text, self.held = self.held + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self.held = text[:-1], text[-1]
        return join_surrogates(text)

    def flush(self) -> str:
        """Return U+FFFD for a surrogate still unpaired at the end, else nothing."""
        half, self.held = self.held, ""
        return join_surrogates(half)


def without_lone_surrogates(value: Any) -> Any:
    """The same JSON value; keys and texts of any depth are valid characters."""
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {join_surrogates(name): without_lone_surrogates(member) for name, member in value.items()}
    return value
