"""What happens when the history is longer than the model can read.

Google refuses it, and the client is told in Anthropic's words (errors.py), which make Claude Code compact the
conversation. Only where the operator sets a limit are old turns left out.
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
    """The newest turns that fit beside system and tools, and in any case the newest one."""
    budget = max_tokens - estimate_preface(request, family)
    start = len(turns) - 1
    budget -= estimate_message(turns[start], family)
    while start > 0 and (budget := budget - estimate_message(turns[start - 1], family)) >= 0:
        start -= 1
    return turns[_start_of_exchange(turns, start) :]


def _start_of_exchange(turns: list[Message], start: int) -> int:
    """Results need the turn that called, and a conversation begins with the user."""
    if start > 0 and any(block["type"] == "tool_result" for block in turns[start]["content"]):
        start -= 1
    if start > 0 and turns[start]["role"] == "assistant":
        start -= 1
    return start
