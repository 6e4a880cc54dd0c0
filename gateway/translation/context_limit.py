"""What happens when the history is longer than the model can read.

By default the client is told in Anthropic's words, which make Claude Code compact the conversation. Only
where the operator sets a limit are old turns left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import InvalidRequest
from gateway.translation.token_estimate import estimate_message, estimate_system, estimate_tools

if TYPE_CHECKING:
    from gateway.anthropic_api.messages import MessagesRequest
    from gateway.translation.history import Message

# The estimate is good to about 30 %. Refusing what would have fitted is worse than letting Google refuse.
REFUSAL_MARGIN = 1.3


def refuse_if_too_long(tokens: int, maximum: int | None) -> None:
    if maximum is not None and tokens > maximum * REFUSAL_MARGIN:
        raise InvalidRequest(f"prompt is too long: {tokens} tokens > {maximum} maximum")


def keep_newest_turns(turns: list[Message], request: MessagesRequest, max_tokens: int) -> list[Message]:
    """The newest turns that fit beside system and tools, and in any case the newest one."""
    budget = max_tokens - estimate_system(request) - estimate_tools(request)
    start = len(turns) - 1
    budget -= estimate_message(turns[start])
    while start > 0 and (budget := budget - estimate_message(turns[start - 1])) >= 0:
        start -= 1
    return turns[_start_of_exchange(turns, start) :]


def _start_of_exchange(turns: list[Message], start: int) -> int:
    """Results need the turn that called, and a conversation begins with the user."""
    if start > 0 and any(block["type"] == "tool_result" for block in turns[start]["content"]):
        start -= 1
    if start > 0 and turns[start]["role"] == "assistant":
        start -= 1
    return start
