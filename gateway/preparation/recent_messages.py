"""The histories of recent conversations, told by their bytes at the beginning of a body's messages.

Clients send the whole history with every turn. Each request adds to its history the messages that came since
the one before, except for its last one: the next request often has that without its breakpoint of the prompt
cache. Histories are dropped when no request had them for KEPT_SECONDS.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.dialects.anthropic.known_messages import Conversation, KnownMessages
from gateway.dialects.anthropic.plain_messages import values_if_plain

if TYPE_CHECKING:
    from typing import Any

    from gateway.bodies.shape import Body

KEPT_SECONDS = 300.0
KEPT_BYTES = 16 * 1024 * 1024
"""The most bytes of JSON in all histories together, enough for forty agents with 300 kB each; the values
made of it take one and a half times as much again."""
MOST_HISTORIES = 64
LONGEST_HISTORY = 512 * 1024

_MEMBER = b'"messages":['


@dataclass(slots=True)
class SeenMessages:
    """A history, and the position at which its JSON began in the last body. It is the same in most requests
    of a conversation."""

    known: KnownMessages
    start: int
    used_at: float = 0.0

    def length(self) -> int:
        return len(self.known.content)

    @property
    def place(self) -> tuple[int, int]:
        """Where the JSON of the messages begins and ends."""
        return self.start, self.start + len(self.known.content)


class RecentMessages:
    """The histories of conversations, the one that was used last first."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._seen: list[SeenMessages] = []
        self._most_bytes = most_bytes

    def find_in(self, body: Body) -> SeenMessages | None:
        """Return the known history with which the body's messages begin, if there is one."""
        found = [
            seen
            for seen in self._seen
            if body.startswith(seen.known.content, seen.start)
            and body.startswith(_MEMBER, seen.start - len(_MEMBER))
        ]
        if not found and self._seen:
            found = self._found_elsewhere(body)
        if not found:
            return None
        longest = max(found, key=SeenMessages.length)
        self._put_first(longest)
        return longest

    def _found_elsewhere(self, body: Body) -> list[SeenMessages]:
        """Return the known histories with which the body's messages begin, where those begin at another
        position than in the body before, and note that position."""
        member = body.find(_MEMBER)
        if member < 0:
            return []
        start = member + len(_MEMBER)
        found = [
            seen for seen in self._seen if seen.start != start and body.startswith(seen.known.content, start)
        ]
        for seen in found:
            seen.start = start
        return found

    def learn(self, messages: list[dict[str, Any]], body: Body) -> None:
        """Keep the plain messages of a body that was just parsed, if they are written in it as by orjson."""
        if isinstance(messages, Conversation):
            seen = self._seen[0]  # `find_in` has put it there
        else:
            seen = SeenMessages(KnownMessages(), body.find(_MEMBER) + len(_MEMBER))
        self._extend(seen, messages, body)
        if seen.known.messages:
            self._put_first(seen)
            self._drop_the_oldest()

    def _extend(self, seen: SeenMessages, messages: list[dict[str, Any]], body: Body) -> None:
        known, at = seen.known, seen.place[1]
        pieces = [known.content]
        for message in messages[len(known.messages) : -1]:
            values = values_if_plain(message)
            if not values or at - seen.start > LONGEST_HISTORY:
                break
            piece = (b"," if known.messages else b"") + orjson.dumps(message)
            if not body.startswith(piece, at):
                break
            known.messages.append(message)
            known.values += values
            pieces.append(piece)
            at += len(piece)
        if len(pieces) > 1:
            known.content = b"".join(pieces)

    def _put_first(self, seen: SeenMessages) -> None:
        seen.used_at = time.monotonic()
        if not self._seen or self._seen[0] is not seen:
            self._seen = [seen, *[other for other in self._seen if other is not seen]]

    def _drop_the_oldest(self) -> None:
        kept_bytes = 0
        for index, seen in enumerate(self._seen):
            kept_bytes += len(seen.known.content)
            if kept_bytes > self._most_bytes or index == MOST_HISTORIES:
                self._seen = self._seen[:index]
                return

    def forget_unused(self) -> None:
        """Drop the histories that were not used for KEPT_SECONDS."""
        now = time.monotonic()
        self._seen = [seen for seen in self._seen if now - seen.used_at < KEPT_SECONDS]
