"""Values from outside, looked at where they enter. Pure. For sentences: accounts/values/sanitize.py.

None means that the value is not one; what follows of that is the caller's to say.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MOST_LEVELS = 200
"""No answer has nearly as many. orjson reads 1024, but writes 254 only, and we put more around what came."""
WRITABLE_LEVELS = 254

VISIBLE = re.compile(r"[\x21-\x7e]+")


class NotJson(ValueError):
    """The text says why, without a word of what was sent."""


def parse_json(raw: bytes) -> Any:
    """Raises NotJson; also for NaN, numbers that are no double, halves of characters, and too many levels."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotJson(str(error)) from None
    # Each piece of an answer passes here: few have the room for so many brackets, and fewer have them.
    is_large = len(raw) > 2 * MOST_LEVELS and raw.count(b"[") + raw.count(b"{") > MOST_LEVELS
    if is_large and is_too_deep(value):
        raise NotJson(f"more than {MOST_LEVELS} levels deep")
    return value


def is_too_deep(value: Any) -> bool:
    """Of a value that JSON can express; orjson counts the levels faster than any loop here."""
    for _ in range(WRITABLE_LEVELS - MOST_LEVELS):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def number(value: Any, least: float, most: float) -> float | None:
    """Within these, which are finite; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if least <= value <= most else None


def whole_number(value: Any, least: int, most: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def word(value: Any, longest: int) -> str | None:
    """A text of visible ASCII characters and nothing else: a token, an id, an address."""
    if not isinstance(value, str) or len(value) > longest or not VISIBLE.fullmatch(value):
        return None
    return value
