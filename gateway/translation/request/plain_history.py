"""A well-formed history, read in one walk: its turns, the estimate of its tokens, and whether it permits
thinking.

Most histories are well-formed: user and assistant take turns, no text is blank, and each turn with calls is
followed by one with their results in the same order. They need no repair, so one walk over the blocks
replaces those of history.py, thinking.py and token_estimate.py. These three read any other history; a test
asserts that they make the same request of a well-formed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family
    from gateway.translation.request.history import Block, Message

_FILES = frozenset({"image", "document"})


class History(NamedTuple):
    """Turns that both APIs accept, the estimate of the request with these turns, and the result of
    ``lacks_thinking_in_tool_loop`` for them, which matters only for Claude."""

    turns: list[Message]
    estimate: InputEstimate
    lacks_thinking: bool


class _Odd(Exception):
    """Raised when the history is not well-formed."""


def plain_history(request: MessagesRequest, family: Family) -> History | None:
    """Return the history of a request; None for one that is not well-formed. Raises InvalidRequest for a
    request that is nested too deeply."""
    gathered = Gathered(family)
    gathered.add_preface(request)
    walk = _Walk(gathered, is_for_claude=family == "claude")
    try:
        turns = walk.over(request.messages)
    except (_Odd, KeyError):
        return None
    return History(turns, gathered.estimate(), walk.lacks_thinking)


class _Walk:
    """One walk over the messages. A history has hundreds of blocks, so few functions are called for each:
    ``type(value) is`` and ``+=`` are no calls."""

    def __init__(self, gathered: Gathered, *, is_for_claude: bool) -> None:
        self.lacks_thinking = False
        self._gathered = gathered
        self._is_for_claude = is_for_claude
        self._said: list[str] = []
        """The texts so far, none of which may be blank."""
        self._open_calls: list[str] = []
        """The ids of the calls in the previous turn, if it was the assistant's."""

    def over(self, messages: Sequence[Message]) -> list[Message]:
        """Return the turns. Raises _Odd, or KeyError for a role or block of an unusual form."""
        readers = {"assistant": self._read_assistant, "user": self._read_user}
        turns: list[Message] = []
        before = ""
        for message in messages:
            role, blocks = message["role"], message["content"]
            if type(blocks) is str:
                blocks = [{"type": "text", "text": blocks}] if blocks else []
            if role == "system":
                self._follow_with_system(message, blocks, turns)
            elif role == before:
                raise _Odd
            else:
                readers[role](blocks)
                turns += [{"role": role, "content": blocks}]
                before = role
        if "" in self._said or any(map(str.isspace, self._said)):
            raise _Odd
        self._gathered.fixed += TOKENS_PER_MESSAGE * len(messages)
        return turns

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
            self._said += (block["text"],)
            self._gathered.texts += (block["text"],)
        turns[-1] = {"role": "user", "content": [*turns[-1]["content"], *blocks]}

    def _read_assistant(self, blocks: list[Block]) -> None:
        gathered = self._gathered
        calls: dict[str, None] = {}
        has_thinking = not self._is_for_claude
        for block in blocks:
            kind = block["type"]
            if kind == "text":
                self._said += (block["text"],)
                gathered.texts += (block["text"],)
            elif kind == "tool_use" and block["id"] not in calls and "partial_json" not in block:
                calls[block["id"]] = None
                gathered.texts += (block["name"],)
                gathered.inputs += (block["input"],)
                gathered.fixed += TOKENS_PER_CALL
            elif kind == "thinking":
                gathered.texts += (block["thinking"],)
                if not has_thinking and "signature" in block:
                    has_thinking = bare_signature("claude", block["signature"]) is not None
            else:
                raise _Odd
        self._open_calls = [*calls]
        if calls and not has_thinking:
            self.lacks_thinking = True

    def _read_user(self, blocks: list[Block]) -> None:
        gathered = self._gathered
        answered: list[str] = []
        for block in blocks:
            kind = block["type"]
            if kind == "tool_result":
                answered += (block["tool_use_id"],)
                gathered.add_tool_result(block)
            elif kind == "text":
                self._said += (block["text"],)
                gathered.texts += (block["text"],)
            elif kind in _FILES:
                gathered.add_content([block])
            else:
                raise _Odd
        if answered != self._open_calls:
            raise _Odd
        self._open_calls = []
        if not answered:
            self.lacks_thinking = False
