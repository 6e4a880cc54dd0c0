"""Changes members of JSON objects in their text, so that all other text stays as its author wrote it. Pure.

The text must be JSON that `json.loads` accepts, and `at` the index of an object's opening brace. The last
member counts if several have the same name, as in JSON.parse.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_decoder = json.JSONDecoder()
_space = re.compile(r"[ \t\r\n]*")
_first_indent = re.compile(r'\n([ \t]+)"')


class Member(NamedTuple):
    name: str
    start: int
    """The index of the name's opening quote."""
    colon: str
    """The colon with the space around it."""
    value: int
    end: int


def root(text: str) -> int:
    return _skip(text, 0)


def member(text: str, at: int, name: str) -> Member | None:
    return next((one for one in reversed(_members(text, at)[0]) if one.name == name), None)


def with_member(text: str, at: int, name: str, value: str) -> str:
    """Return the text with the member set; `value` is JSON. A new member comes last, laid out like the one
    before it."""
    members, close = _members(text, at)
    if known := member(text, at, name):
        return text[: known.value] + value + text[known.end :]
    if not members:
        return _with_only_member(text, at, close, f"{json.dumps(name)}: {value}")
    last = members[-1]
    before = text[: last.start]
    gap = before[len(before.rstrip(" \t\r\n")) :]
    return f"{text[: last.end]},{gap}{json.dumps(name)}{last.colon}{value}{text[last.end :]}"


def without_member(text: str, at: int, name: str) -> str:
    while known := member(text, at, name):
        members, close = _members(text, at)
        index = members.index(known)
        if len(members) == 1:
            start, end = at + 1, close
        elif index:
            start, end = members[index - 1].end, known.end
        else:
            start, end = known.start, members[1].start
        text = text[:start] + text[end:]
    return text


def _with_only_member(text: str, at: int, close: int, only: str) -> str:
    """Return the text with the only member on a line of its own, unless the whole text is one line."""
    if "\n" not in text.strip() and text.strip() != "{}":
        return text[: at + 1] + only + text[close:]
    line = text[text.rfind("\n", 0, at) + 1 : at]
    outer = line[: len(line) - len(line.lstrip(" \t"))]
    indent = _first_indent.search(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    inner = newline + outer + (indent[1] if indent else "  ")
    return text[: at + 1] + inner + only + newline + outer + text[close:]


def _members(text: str, at: int) -> tuple[list[Member], int]:
    """Return the object's members, and the index of its closing brace."""
    members: list[Member] = []
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, name_end = _decoder.raw_decode(text, at)
        value = _skip(text, _skip(text, name_end) + 1)
        end = _decoder.raw_decode(text, value)[1]
        members.append(Member(name, at, text[name_end:value], value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members, at


def _skip(text: str, at: int) -> int:
    match = _space.match(text, at)
    assert match is not None
    return match.end()
