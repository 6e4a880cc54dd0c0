from __future__ import annotations

import pytest

from gateway.translation.response.stop_reason import stop_reason_for


@pytest.mark.parametrize(
    ("finish_reason", "without_tools", "with_tools"),
    [
        ("STOP", "end_turn", "tool_use"),
        ("OTHER", "end_turn", "tool_use"),
        (None, "end_turn", "tool_use"),
        ("FROM_THE_FUTURE", "end_turn", "tool_use"),
        ("MALFORMED_FUNCTION_CALL", "end_turn", "tool_use"),
        ("UNEXPECTED_TOOL_CALL", "end_turn", "tool_use"),
        ("MAX_TOKENS", "max_tokens", "max_tokens"),
        ("SAFETY", "refusal", "tool_use"),
        ("PROHIBITED_CONTENT", "refusal", "tool_use"),
        ("BLOCKLIST", "refusal", "tool_use"),
        ("SPII", "refusal", "tool_use"),
        ("RECITATION", "refusal", "tool_use"),
        ("IMAGE_SAFETY", "refusal", "tool_use"),
        ("IMAGE_PROHIBITED_CONTENT", "refusal", "tool_use"),
        ("IMAGE_RECITATION", "refusal", "tool_use"),
        ("ESCALATION", "refusal", "tool_use"),
        ("MODEL_ARMOR", "refusal", "tool_use"),
        ("CONTINUATION", "max_tokens", "max_tokens"),
        ("NO_IMAGE", "end_turn", "tool_use"),
    ],
)
def test_stop_reason(finish_reason: str | None, without_tools: str, with_tools: str) -> None:
    assert stop_reason_for(finish_reason, has_tool_use=False) == without_tools
    assert stop_reason_for(finish_reason, has_tool_use=True) == with_tools


def test_a_blocked_prompt_is_always_a_refusal() -> None:
    assert stop_reason_for("STOP", has_tool_use=False, is_blocked=True) == "refusal"
