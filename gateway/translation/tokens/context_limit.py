"""The limit for histories longer than the model's context.

Google refuses them, and the client gets Anthropic's wording (response/errors.py), which makes Claude Code
compact the conversation. Old turns are left out only when the operator sets a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.translation.tokens.token_estimate import estimate_message, estimate_preface

if TYPE_CHECKING:
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family
    from gateway.translation.request.history import Message


def keep_newest_turns(
    turns: list[Message], request: MessagesRequest, family: Family, max_tokens: float
) -> list[Message]:
    """Return the newest turns that fit beside system and tools, at least the newest one."""
    budget = max_tokens - estimate_preface(request, family)
    start = len(turns) - 1
    budget -= estimate_message(turns[start], family)
    while start > 0 and (budget := budget - estimate_message(turns[start - 1], family)) >= 0:
        start -= 1
    return turns[_start_of_exchange(turns, start) :]


def _start_of_exchange(turns: list[Message], start: int) -> int:
    """Return the start of the exchange: a result needs its call, and a conversation begins with the user."""
    if start > 0 and any(block["type"] == "tool_result" for block in turns[start]["content"]):
        start -= 1
    if start > 0 and turns[start]["role"] == "assistant":
        start -= 1
    return start
