"""Validation of values from outside. Pure. For free text: accounts/values/sanitize.py.

The functions return None for a value that is not valid.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MOST_LEVELS = 200
"""The deepest nesting accepted; real answers have far fewer levels. orjson parses 1024 but serialises only
254, and the gateway puts parsed values into further objects."""
WRITABLE_LEVELS = 254

VISIBLE = re.compile(r"[\x21-\x7e]+")


class NotJson(ValueError):
    """Raised for text that is not valid JSON. The message gives the reason without quoting the input."""


def parse_json(raw: bytes) -> Any:
    """Parse JSON. Raises NotJson, also for NaN, numbers beyond a double, lone surrogates, and nesting deeper
    than MOST_LEVELS."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotJson(str(error)) from None
    # The depth is measured only where there are enough brackets: each chunk of each answer is parsed here.
    is_large = len(raw) > 2 * MOST_LEVELS and raw.count(b"[") + raw.count(b"{") > MOST_LEVELS
    if is_large and is_too_deep(value):
        raise NotJson(f"more than {MOST_LEVELS} levels deep")
    return value


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object; an empty one for anything else."""
    try:
        return as_object(parse_json(raw))
    except NotJson:
        return {}


def as_object(value: Any) -> dict[str, Any]:
    """Return the value itself when it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return the value itself when it is a list, else an empty list."""
    return value if isinstance(value, list) else []


def is_too_deep(value: Any) -> bool:
    """Return whether a JSON value is nested deeper than MOST_LEVELS, measured by whether orjson can serialise
    it inside WRITABLE_LEVELS - MOST_LEVELS further lists, which is faster than a loop."""
    for _ in range(WRITABLE_LEVELS - MOST_LEVELS):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def number(value: Any, least: float, most: float) -> float | None:
    """Return the number as a float when it lies within the finite bounds, else None. Booleans are no
    numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if least <= value <= most else None


def whole_number(value: Any, least: int, most: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def word(value: Any, longest: int) -> str | None:
    """Return the text when it is not empty and all its characters are visible ASCII, as in a token, an id or
    an address; else None."""
    if not isinstance(value, str) or len(value) > longest or not VISIBLE.fullmatch(value):
        return None
    return value
