"""Text from outside, before it goes where a line or a column is expected. Pure."""

from __future__ import annotations

import re

# C0 and C1 controls, line separators of Unicode, marks that turn the direction of writing, lone surrogates
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """What could move a terminal's cursor, begin a line or break an encoding is written as its escape."""
    return UNSAFE.sub(_escaped, text) if UNSAFE.search(text) else text


def escape_controls_but_line_ends(text: str) -> str:
    """The same for a text that is shown as it stands, of which line ends and tabs are a part."""
    if not UNSAFE.search(text):
        return text
    lines = text.replace("\r\n", "\n")
    return UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else _escaped(found), lines)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def truncate(text: str, length: int) -> str:
    """Neutralised, and cut to a column's length."""
    return escape_controls(text[:length])[:length]
