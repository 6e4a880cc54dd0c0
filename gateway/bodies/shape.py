"""Measurement of the structure of a JSON text before it is parsed.

A few megabytes of braces become gigabytes of objects, and block the event loop meanwhile. The number of
values matters, not the size of the body, so it is counted first: in pieces, each with a few passes in C and
without an object for any value, so that the event loop can run in between.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = bytes | bytearray

MOST_STRUCTURE = 300_000
"""The most characters ``{}[],:`` outside of strings. Claude Code sends about 1,000 with its first question
and 25,000 a megabyte later on, so that a million tokens of history have about 100,000."""
DEEPEST = 200
FEW_VALUES = 10_000
"""The most values of a request that is quick: so many are parsed and translated within milliseconds."""
PIECE_BYTES = 256 * 1024

_SIGNS = b"{}[],:"
_ALL_BUT_SIGNS_AND_QUOTES = bytes(set(range(256)) - set(_SIGNS + b'"'))
_ALL_BUT_ONE_SIGN_A_VALUE = bytes(set(range(256)) - set(b"{[,"))


def has_few_values(body: Body) -> bool:
    """Return whether a quick estimate finds few values. Characters within strings count, too, so False may be
    wrong."""
    if len(body) <= FEW_VALUES:
        return True
    # One pass over bytes: three counts, or one over a bytearray, take twice as long.
    return len(bytes(body).translate(None, _ALL_BUT_ONE_SIGN_A_VALUE)) <= FEW_VALUES


async def count_structure(body: Body) -> int:
    """Count the characters ``{}[],:`` outside of strings. Raises InvalidRequest for more of them than
    MOST_STRUCTURE, and for values nested too deeply."""
    shape = BodyShape()
    for start in range(0, len(body), PIECE_BYTES):
        shape.add(body[start : start + PIECE_BYTES])
        await asyncio.sleep(0)
    for _ in shape.check_depth():
        await asyncio.sleep(0)
    return shape.structure


class BodyShape:
    """Counts the structure of a text that arrives in pieces, cut anywhere."""

    def __init__(self) -> None:
        self.structure = 0
        self._brackets: list[bytes] = []
        self._is_in_text = False
        self._rest = b""

    def add(self, piece: Body) -> None:
        """Add a piece. Raises InvalidRequest as soon as there is too much structure."""
        unescaped = self._without_escapes(piece)
        between_quotes = unescaped.translate(None, _ALL_BUT_SIGNS_AND_QUOTES).split(b'"')
        signs = b"".join(between_quotes[self._is_in_text :: 2])
        if len(between_quotes) % 2 == 0:
            self._is_in_text = not self._is_in_text
        self.structure += len(signs)
        if self.structure > MOST_STRUCTURE:
            raise InvalidRequest(
                f"request body: has more than {MOST_STRUCTURE:,} brackets, commas and colons outside of "
                "texts, which is more than any real request needs."
            )
        self._brackets.append(signs.translate(None, b",:"))

    def check_depth(self) -> Iterator[None]:
        """Check the nesting. Raises InvalidRequest. Each step removes the innermost pairs, one level, until
        none is left; brackets that remain then are malformed JSON, which the parser reports."""
        brackets = b"".join(self._brackets)
        for _ in range(DEEPEST):
            yield
            peeled = brackets.replace(b"{}", b"").replace(b"[]", b"")
            if len(peeled) == len(brackets):
                return
            brackets = peeled
        if b"{}" in brackets or b"[]" in brackets:
            raise nested_too_deeply()

    def _without_escapes(self, piece: Body) -> Body:
        """Remove ``\\\\`` and ``\\"``, so that each remaining quote begins or ends a string. A backslash at
        the end is kept for the next piece."""
        piece = self._rest + piece
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        self._rest = piece[len(piece) - backslashes % 2 :]
        piece = piece[: len(piece) - backslashes % 2]
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        return piece


def refuse_depth(value: object) -> None:
    """Check the depth of a parsed value whose structure was not counted. Raises InvalidRequest.

    orjson writes 254 levels at most, in a third of the time of parsing; a walk in Python takes far longer.
    """
    for _ in range(254 - DEEPEST):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise nested_too_deeply() from None


def nested_too_deeply() -> InvalidRequest:
    return InvalidRequest(f"request body: is nested more than {DEEPEST} levels deep.")
