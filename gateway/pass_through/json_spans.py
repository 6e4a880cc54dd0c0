"""Finds the positions of an object's members and a list's elements in JSON text, so that one of them can be
replaced while all other bytes stay as they are. The text must be valid JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]
Text = bytes | bytearray

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]++")
_BLANK = re.compile(rb"\s*+")
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)


def members(text: Text, start: int = 0) -> dict[str, Span]:
    """Return the spans of the values in the object that begins at or after `start`, by their keys as written.
    The last one counts if a key is repeated, as in parsers."""
    return dict(_members(text, start))


def member(text: Text, name: str) -> Span | None:
    """Return the span of the first member of that name, without reading the text after it; None when there is
    none."""
    return next((span for key, span in _members(text, 0) if key == name), None)


def _members(text: Text, start: int) -> Iterator[tuple[str, Span]]:
    at = _skip(text, text.index(b"{", start) + 1)
    while text[at : at + 1] == b'"':
        end_of_key = _end_of_string(text, at)
        value = _skip(text, _skip(text, end_of_key) + 1)
        end = end_of_value(text, value)
        yield bytes(text[at + 1 : end_of_key - 1]).decode("utf-8", "replace"), (value, end)
        at = _after_comma(text, end)


def elements(text: Text, start: int) -> list[Span]:
    """Return the spans of the elements of the list that begins at `start`."""
    found: list[Span] = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != b"]":
        end = end_of_value(text, at)
        found.append((at, end))
        at = _after_comma(text, end)
    return found


def end_of_value(text: Text, start: int) -> int:
    first = text[start : start + 1]
    if first == b'"':
        return _end_of_string(text, start)
    if first not in (b"{", b"["):
        scalar = _SCALAR.match(text, start)
        return scalar.end() if scalar is not None else start
    depth = 0
    for token in _STRUCTURE.finditer(text, start):
        one = token[0]
        if one in (b"{", b"["):
            depth += 1
        elif one in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    return len(text)


def _end_of_string(text: Text, start: int) -> int:
    string = _STRING.match(text, start)
    return string.end() if string is not None else len(text)


def _after_comma(text: Text, at: int) -> int:
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at : at + 1] == b"," else at


def _skip(text: Text, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank is not None else at
