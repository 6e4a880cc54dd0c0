"""The first messages of a conversation, which each of its requests repeats.

Requests share the parsed messages, which are therefore never changed.
"""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]


class KnownMessages:
    """Plain messages from the beginning of a conversation (plain_messages.py), and their JSON with commas
    between them. New ones are only ever added at the end."""

    __slots__ = ("content", "kept", "messages", "values")

    def __init__(self) -> None:
        self.content = b""
        self.messages: list[Message] = []
        self.values = 0
        """An upper bound of the number of values in the messages."""
        self.kept: dict[object, Any] = {}
        """What was made of some of the messages, by all else that it depends on."""


class Conversation(list[Message]):
    """The messages of a request, of which the first ``known_count`` are those of ``known``. By now ``known``
    may have more."""

    def __init__(self, known: KnownMessages, further: list[Message]) -> None:
        super().__init__([*known.messages, *further])
        self.known = known
        self.known_count = len(known.messages)
        self.known_values = known.values
