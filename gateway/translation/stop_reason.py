"""Google's finishReason into Anthropic's stop_reason."""

from __future__ import annotations

# Everything that is not here ends the turn: STOP, OTHER, none at all, and what Google may yet invent.
STOP_REASONS = {
    "MAX_TOKENS": "max_tokens",
    "SAFETY": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "BLOCKLIST": "refusal",
    "SPII": "refusal",
    "RECITATION": "refusal",
    "IMAGE_SAFETY": "refusal",
}


def stop_reason_for(finish_reason: str | None, *, has_tool_use: bool, is_blocked: bool = False) -> str:
    """``has_tool_use``: Google reports calls as STOP or OTHER, and the client runs them only for tool_use.

    ``is_blocked``: promptFeedback says the prompt itself was refused.
    """
    if has_tool_use and finish_reason != "MAX_TOKENS":
        return "tool_use"
    if is_blocked:
        return "refusal"
    return STOP_REASONS.get(finish_reason or "", "end_turn")
