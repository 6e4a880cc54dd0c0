"""Parsing of request JSON, with lone surrogates replaced."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.bodies.shape import Body

# JavaScript cuts a text between the two halves of a surrogate pair and sends the half as an escape, for
# example in the output of a tool that was too long. JSON readers refuse it, so it is replaced.
# Only an odd number of backslashes begins an escape. The possessive run, tried at its first backslash only,
# keeps the search linear whatever the body holds.
SURROGATE = re.compile(
    rb"(?<!\\)(?P<slashes>\\++)"
    rb"(?:(?P<high>u[dD][89abAB][0-9a-fA-F]{2})(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})|u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
REPLACEMENT = rb"\ufffd"
MOST_SURROGATES = 100_000
"""The most surrogates that are replaced, within a tenth of a second. A truncated text has far fewer."""


def replace_lone_surrogates(body: Body) -> bytes:
    """Replace lone surrogates. Raises InvalidRequest when there are more than MOST_SURROGATES candidates."""
    looked_at = itertools.count(1)

    def mended(found: re.Match[bytes]) -> bytes:
        if next(looked_at) > MOST_SURROGATES:
            raise InvalidRequest("The body is not valid JSON: it is full of halves of characters.")
        slashes, low = found["slashes"], found["low"]
        is_escape = len(slashes) % 2 == 1
        if is_escape:
            return found[0] if low else slashes[1:] + REPLACEMENT
        return slashes + found["high"] + REPLACEMENT if low else found[0]

    return SURROGATE.sub(mended, body)


def parse_json(body: Body) -> Any:
    """Parse JSON. Raises InvalidRequest."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        body = replace_lone_surrogates(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from error
