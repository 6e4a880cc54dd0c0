"""A well-formed history, read in one walk: its turns, the estimate of its tokens, and whether it permits
thinking.

Most histories are well-formed: user and assistant take turns, no text is blank, and each turn with calls is
followed by one with their results in the same order. They need no repair, so one walk over the blocks
replaces those of history.py, thinking.py and token_estimate.py. These three read any other history; a test
asserts that they make the same request of a well-formed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.dialects.anthropic.known_messages import Conversation
from gateway.translation.request.history import CLEARED_BY_USER
from gateway.translation.signature_families import bare_signature
from gateway.translation.tokens.token_estimate import (
    TOKENS_PER_CALL,
    TOKENS_PER_MESSAGE,
    Gathered,
    InputEstimate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.dialects.anthropic.known_messages import KnownMessages
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family
    from gateway.translation.request.history import Block, Message

_FILES = frozenset({"image", "document"})


class History(Struct):
    """Turns that both APIs accept, the estimate of the request with these turns, and the result of
    ``lacks_thinking_in_tool_loop`` for them, which matters only for Claude. The first ``known_count`` turns
    are those of the ``known`` messages."""

    turns: list[Message]
    estimate: InputEstimate
    lacks_thinking: bool
    known: KnownMessages | None = None
    known_count: int = 0


class _Odd(Exception):
    """Raised when the history is not well-formed."""


def plain_history(request: MessagesRequest, family: Family) -> History | None:
    """Return the history of a request; None for one that is not well-formed. Raises InvalidRequest for a
    request that is nested too deeply."""
    messages, known, known_count = request.messages, None, 0
    walk = _Walk(family)
    walk.gathered.add_preface(request)
    try:
        if type(messages) is Conversation:
            # The turn of the last known message may get texts of a system message that follows.
            known, known_count = messages.known, messages.known_count - 1
            walk.follow(_walk_over_known(messages, family))
        walk.over(messages[walk.count :])
    except (_Odd, KeyError):
        return None
    return History(walk.turns, walk.gathered.estimate(), walk.lacks_thinking, known, known_count)


def _walk_over_known(messages: Conversation, family: Family) -> _Walk:
    """Return a walk that has passed the known messages, most of them in an earlier request. Raises what
    `_Walk.over` does."""
    kept, key = messages.known.kept, ("walk", family)
    earlier: _Walk | None = kept.get(key)
    if earlier is not None and earlier.count == messages.known_count:
        return earlier
    walk = _Walk(family)
    if earlier is not None and earlier.count < messages.known_count:
        walk.follow(earlier)
    walk.over(messages[walk.count : messages.known_count])
    kept[key] = walk
    return walk


class _Walk:
    """One walk over the messages. A history has hundreds of blocks, so few functions are called for each:
    ``type(value) is`` and ``+=`` are no calls."""

    def __init__(self, family: Family) -> None:
        self.count = 0
        """The number of messages passed so far."""
        self.turns: list[Message] = []
        self.gathered = Gathered(family)
        self.lacks_thinking = False
        self._family = family
        self._before = ""
        """The role of the turn before."""
        self._said: list[str] = []
        """The texts that were passed, none of which may be blank."""
        self._open_calls: list[str] = []
        """The ids of the calls in the previous turn, if it was the assistant's."""

    def follow(self, earlier: _Walk) -> None:
        """Begin where another walk has come to."""
        self.count, self.turns, self._before = earlier.count, [*earlier.turns], earlier._before
        self.gathered.add(earlier.gathered)
        self.lacks_thinking, self._open_calls = earlier.lacks_thinking, earlier._open_calls

    def over(self, messages: Sequence[Message]) -> None:
        """Pass further messages. Raises _Odd, or KeyError for a role or block of an unusual form."""
        readers = {"assistant": self._read_assistant, "user": self._read_user}
        turns = self.turns
        for message in messages:
            role, blocks = message["role"], message["content"]
            if type(blocks) is str:
                blocks = [{"type": "text", "text": blocks}] if blocks else []
            if role == "system":
                self._follow_with_system(message, blocks, turns)
            elif role == self._before:
                raise _Odd
            else:
                readers[role](blocks)
                turns += [{"role": role, "content": blocks}]
                self._before = role
        if "" in self._said or any(map(str.isspace, self._said)):
            raise _Odd
        self._said = []
        self.count += len(messages)
        self.gathered.fixed += TOKENS_PER_MESSAGE * len(messages)

    def _follow_with_system(self, message: Message, blocks: list[Block], turns: list[Message]) -> None:
        """Add system texts to the preceding turn of the user. A message without texts only sets the
        effort."""
        if not blocks:
            return
        if not turns or turns[-1]["role"] != "user" or message.get("clear_at") == CLEARED_BY_USER:
            raise _Odd
        for block in blocks:
            if block["type"] != "text":
                raise _Odd
            self._said.append(block["text"])
            self.gathered.texts.append(block["text"])
        turns[-1] = {"role": "user", "content": [*turns[-1]["content"], *blocks]}

    def _read_assistant(self, blocks: list[Block]) -> None:
        gathered = self.gathered
        calls: dict[str, None] = {}
        has_thinking = self._family != "claude"
        for block in blocks:
            kind = block["type"]
            if kind == "text":
                self._said.append(block["text"])
                gathered.texts.append(block["text"])
            elif kind == "tool_use" and block["id"] not in calls and "partial_json" not in block:
                calls[block["id"]] = None
                gathered.texts.append(block["name"])
                gathered.inputs.append(block["input"])
                gathered.fixed += TOKENS_PER_CALL
            elif kind == "thinking":
                gathered.texts.append(block["thinking"])
                if not has_thinking and "signature" in block:
                    has_thinking = bare_signature("claude", block["signature"]) is not None
            else:
                raise _Odd
        self._open_calls = [*calls]
        if calls and not has_thinking:
            self.lacks_thinking = True

    def _read_user(self, blocks: list[Block]) -> None:
        gathered = self.gathered
        answered: list[str] = []
        for block in blocks:
            kind = block["type"]
            if kind == "tool_result":
                answered.append(block["tool_use_id"])
                gathered.add_tool_result(block)
            elif kind == "text":
                self._said.append(block["text"])
                gathered.texts.append(block["text"])
            elif kind in _FILES:
                gathered.add_content([block])
            else:
                raise _Odd
        if answered != self._open_calls:
            raise _Odd
        self._open_calls = []
        if not answered:
            self.lacks_thinking = False
