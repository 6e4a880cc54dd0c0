"""Bare refresh tokens: a text with one on each line, or a JSON list of them. `#` begins a comment."""

from __future__ import annotations

import re
from typing import Any

from accounts.transfer.rows import Row, build_row

TOKEN = re.compile(r"1//[A-Za-z0-9_-]{10,}(\|[^|\s]*){0,2}")
"""Google's begin so; what does not is not sent to Google."""


def lines_of(text: str) -> list[str]:
    """The lines that say something, without quotes and commas around; empty for a text of other things."""
    lines = [line.partition("#")[0].strip().strip("\"',") for line in text.splitlines()]
    said = [line for line in lines if line]
    return said if any(TOKEN.fullmatch(line) for line in said) else []


def read(value: Any) -> Row:
    if not isinstance(value, str) or not TOKEN.fullmatch(value.strip()):
        return Row(problem="it is neither an object nor a refresh token of Google")
    return build_row({}, email=None, token=value)
