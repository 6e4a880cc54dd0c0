"""Finds the positions of an object's members and a list's elements in JSON text, so that one of them can be
replaced while all other bytes stay as they are. The text must be valid JSON.

The end of a value is found by the decoder of the standard library, which runs in C. It reads the bytes as
Latin-1, in which a byte is a character; what has a meaning in JSON is ASCII.
"""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]
Text = bytes | bytearray

_BLANK = re.compile(r"[ \t\n\r]*+")
# Numbers are not converted: a long one would take long, or be refused.
_DECODER = JSONDecoder(parse_int=str, parse_float=str, strict=False)


class JsonText:
    """JSON text, decoded once, in which the spans of members and elements can be looked up."""

    def __init__(self, text: Text) -> None:
        self._text = text.decode("latin-1")

    def members(self) -> dict[str, Span]:
        """Return the spans of the values in the object that the text is, by their keys as written. The last
        one counts if a key is repeated, as in parsers."""
        return dict(self._members())

    def member(self, name: str) -> Span | None:
        """Return the span of the first member of that name, without reading the text after it; None when
        there is none."""
        return next((span for key, span in self._members() if key == name), None)

    def elements(self, start: int) -> list[Span]:
        """Return the spans of the elements of the list that begins at `start`."""
        found: list[Span] = []
        at = self._skip_blanks(start + 1)
        while self._text[at] != "]":
            end = self._end_of_value(at)
            found.append((at, end))
            at = self._after_comma(end)
        return found

    def _members(self) -> Iterator[tuple[str, Span]]:
        at = self._skip_blanks(self._text.index("{") + 1)
        while self._text[at] == '"':
            end_of_key = self._end_of_value(at)
            value = self._skip_blanks(self._skip_blanks(end_of_key) + 1)
            end = self._end_of_value(value)
            key = self._text[at + 1 : end_of_key - 1].encode("latin-1").decode("utf-8", "replace")
            yield key, (value, end)
            at = self._after_comma(end)

    def _end_of_value(self, start: int) -> int:
        return _DECODER.raw_decode(self._text, start)[1]

    def _after_comma(self, at: int) -> int:
        at = self._skip_blanks(at)
        return self._skip_blanks(at + 1) if self._text[at] == "," else at

    def _skip_blanks(self, at: int) -> int:
        blank = _BLANK.match(self._text, at)
        return blank.end() if blank is not None else at
