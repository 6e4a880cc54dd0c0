"""Sanitizing of text from outside, for log lines, terminals and database columns. Pure."""

from __future__ import annotations

import re

# C0 and C1 controls, Unicode line separators, bidirectional control characters, lone surrogates
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """Replace each character that could control a terminal, begin a line or break an encoding by its escape,
    such as `\\x1b`."""
    return text if text.isprintable() else UNSAFE.sub(_escaped, text)


def escape_controls_but_line_ends(text: str) -> str:
    """Like `escape_controls`, but keeps line ends (CRLF becomes LF) and tabs."""
    if not UNSAFE.search(text):
        return text
    lines = text.replace("\r\n", "\n")
    return UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else _escaped(found), lines)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def truncate(text: str, length: int) -> str:
    """Escape control characters and cut the text to `length` characters."""
    cut = text[:length]
    return cut if cut.isprintable() else escape_controls(cut)[:length]
