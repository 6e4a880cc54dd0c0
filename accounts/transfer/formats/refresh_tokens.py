"""Bare refresh tokens: a text with one on each line, or a JSON list of them. `#` begins a comment."""

from __future__ import annotations

import re
from typing import Any

from accounts.transfer.rows import ImportedRow, build_row

TOKEN = re.compile(r"1//[A-Za-z0-9_-]{10,}(\|[^|\s]*){0,2}")
"""The form of Google's refresh tokens; text of another form is never sent to Google."""


def lines_of(text: str) -> list[str]:
    """Return the lines that are not blank, without comments, quotes and commas; empty when none is a
    token."""
    lines = [line.partition("#")[0].strip().strip("\"',") for line in text.splitlines()]
    filled = [line for line in lines if line]
    return filled if any(TOKEN.fullmatch(line) for line in filled) else []


def read(value: Any) -> ImportedRow:
    if not isinstance(value, str) or not TOKEN.fullmatch(value.strip()):
        return ImportedRow(problem="it is neither an object nor a refresh token of Google")
    return build_row({}, email=None, token=value)
