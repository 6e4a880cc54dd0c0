"""Plain messages, as most are: texts, thinking, calls with flat inputs, and results that are texts.

They are recognised by the types of their fields, with one function call for each block. All other messages
are checked with the table in request_shapes.py; a test asserts that the table accepts every plain message.
"""

from __future__ import annotations

from typing import Any, NamedTuple

VALUES_OF_A_BLOCK = 6
"""The most values in a block, apart from the arguments of a call. The message itself has fewer."""

_MESSAGE_FIELDS = frozenset({"role", "content"})
_SCALARS = frozenset({str, int, float, bool, type(None)})


class _Plain(NamedTuple):
    """A kind of plain block: the fields that it may have with their types, and those that must not be
    empty."""

    types: dict[str, type]
    filled: tuple[str, ...]


_TEXT = _Plain({"type": str, "text": str}, ("text",))
_RESULT = _Plain({"type": str, "tool_use_id": str, "content": str, "is_error": bool}, ("tool_use_id",))
_THINKING = _Plain({"type": str, "thinking": str, "signature": str}, ("thinking",))
_CALL = _Plain({"type": str, "id": str, "name": str, "input": dict}, ("id", "name", "input"))
_BLOCKS: dict[str, dict[str, _Plain]] = {
    "user": {"text": _TEXT, "tool_result": _RESULT},
    "assistant": {"text": _TEXT, "thinking": _THINKING, "tool_use": _CALL},
}


def values_if_plain(message: Any) -> int:
    """Return an upper bound of the number of values in a plain message; 0 for any other message."""
    try:
        plain_blocks, content = _BLOCKS[message["role"]], message["content"]
        for name in message:
            if name not in _MESSAGE_FIELDS:
                return 0
        if type(content) is str:
            return VALUES_OF_A_BLOCK if content else 0
        values = VALUES_OF_A_BLOCK if content else 0
        for block in content:
            of_block = _values_of(block, plain_blocks[block["type"]])
            if not of_block:
                return 0
            values += of_block
    except (KeyError, TypeError):  # a field too many or too few, or something else than an object
        return 0
    return values


def _values_of(block: dict[str, Any], plain: _Plain) -> int:
    for name in block:
        if type(block[name]) is not plain.types[name]:
            return 0
    for name in plain.filled:
        if not block[name]:
            return 0
    if plain is not _CALL:
        return VALUES_OF_A_BLOCK
    arguments = block["input"]
    for name in arguments:
        if type(arguments[name]) not in _SCALARS:
            return 0
    return VALUES_OF_A_BLOCK + len(arguments)
