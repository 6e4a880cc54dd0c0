"""The thinking configuration of a request, and whether the history permits thinking.

    request    Claude "-thinking"     Gemini 3                 Gemini 2.5          others
    enabled    its budget             level, or budget         budget              -
    adaptive   budget of the effort   level of the effort      budget of effort    -
    disabled   off                    as little as possible    off, where it can   -
    absent     operator's budget      operator's level/budget  operator's budget   -

Whether Gemini 3 is given a level or a budget, and which, is decided in gemini_thinking.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gateway.dialects.anthropic.request_shapes import MIN_THINKING_BUDGET
from gateway.translation.request.gemini_thinking import (
    MIN_ANSWER_TOKENS,
    gemini_thinking,
    least_gemini_thinking,
)
from gateway.translation.signature_families import bare_signature, own_signature_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import UpstreamModel
    from gateway.translation.request.history import Message

EFFORT_BUDGETS = {"low": 4_096, "medium": 10_000, "high": 24_000, "xhigh": 48_000, "max": 64_000}
EFFORT_LEVELS = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
DEFAULT_LEVEL = "high"

ANSWER_TOKENS_BESIDE_BUDGET = 8_192


class ThinkingPlan(Struct):
    """The outcome of plan_thinking. ``config`` is generationConfig.thinkingConfig; None leaves it out."""

    is_on: bool
    config: dict[str, Any] | None
    max_output_tokens: int


def plan_thinking(
    request: MessagesRequest,
    model: UpstreamModel,
    *,
    default_budget: int,
    default_level: str | None,
    may_think: bool = True,
) -> ThinkingPlan:
    """Return the thinking configuration. ``may_think`` is False when the history or the request rules
    thinking out."""
    max_tokens = min(request.max_tokens or model.max_output_tokens, model.max_output_tokens)
    is_gemini = model.family == "gemini" and (model.thinks or model.gemini_version >= (2, 5))
    if not is_gemini and not (model.family == "claude" and model.thinks):
        return ThinkingPlan(False, None, max_tokens)
    kind = _kind_of(request) if may_think else "disabled"
    budget = _requested_budget(request, kind, default_budget)
    if not is_gemini:
        return _plan_claude(kind, budget, max_tokens, model.max_output_tokens)
    if kind == "disabled":
        return ThinkingPlan(False, least_gemini_thinking(model), max_tokens)
    level = _level(request, model, kind, default_level)
    return ThinkingPlan(True, gemini_thinking(model, budget, level, max_tokens), max_tokens)


def _kind_of(request: MessagesRequest) -> str:
    """Return enabled, adaptive, disabled or absent. An unknown type, or none, counts as adaptive."""
    if request.thinking is None:
        return "absent"
    kind = request.thinking.get("type")
    return kind if kind in ("enabled", "disabled") else "adaptive"


def _effort_of(request: MessagesRequest) -> str:
    """Return the effort of the last system message that sets one, else of the request.

    Claude Code changes the effort within a session by such a message, often an empty one.
    """
    for message in reversed(request.messages):
        if message["role"] == "system" and (effort := (message.get("output_config") or {}).get("effort")):
            return str(effort)
    return str((request.output_config or {}).get("effort"))


def _requested_budget(request: MessagesRequest, kind: str, default: int) -> int:
    if kind == "enabled" and request.thinking:
        return int(request.thinking.get("budget_tokens") or default)
    return EFFORT_BUDGETS.get(_effort_of(request), default)


def _plan_claude(kind: str, budget: int, max_tokens: int, model_max: int) -> ThinkingPlan:
    """Return a budget below max_tokens, as Claude requires: max_tokens is raised for the answer, or the
    budget cut."""
    if kind == "disabled":
        return ThinkingPlan(False, None, max_tokens)
    budget = max(budget, MIN_THINKING_BUDGET)
    with_room = max_tokens
    if max_tokens <= budget:
        with_room = min(budget + ANSWER_TOKENS_BESIDE_BUDGET, model_max)
        budget = min(budget, with_room - MIN_ANSWER_TOKENS)
    if budget < MIN_THINKING_BUDGET:
        return ThinkingPlan(False, None, max_tokens)
    return ThinkingPlan(True, {"include_thoughts": True, "thinking_budget": budget}, with_room)


def _level(request: MessagesRequest, model: UpstreamModel, kind: str, default: str | None) -> str:
    """Return the thinking level: the one in the model's name, which the user chose, before that of the
    request."""
    of_effort = EFFORT_LEVELS.get(_effort_of(request)) if kind in ("adaptive", "absent") else None
    return model.thinking_level or of_effort or default or DEFAULT_LEVEL


def lacks_thinking_in_tool_loop(turns: list[Message]) -> bool:
    """Return True when a call of the running tool loop came without thinking, so that Claude would refuse to
    think.

    That happens when another model, or Claude without thinking, made the calls. The loop goes back from the
    end to the last user turn that answers no call.
    """
    for turn in reversed(turns):
        if turn["role"] == "user":
            if not _has_any(turn["content"], "tool_result"):
                return False
        elif _has_any(turn["content"], "tool_use") and not _has_valid_thinking(turn["content"]):
            return True
    return False


def _has_any(blocks: Iterable[dict[str, Any]], block_type: str) -> bool:
    for block in blocks:  # noqa: SIM110 -- any() would take a call a block
        if block["type"] == block_type:
            return True
    return False


def _has_valid_thinking(blocks: Iterable[dict[str, Any]]) -> bool:
    for block in blocks:  # noqa: SIM110
        if "thinking" in block["type"] and claude_thought(block) is not None:
            return True
    return False


def claude_thought(block: dict[str, Any]) -> tuple[str, str] | None:
    """Return text and signature of a thinking block that Claude accepts, else None."""
    if block["type"] == "thinking":
        signed = block["signature"] if "signature" in block else None  # noqa: SIM401 -- a call
        signature = bare_signature("claude", signed) if type(signed) is str else None
        return None if signature is None else (block["thinking"], signature)
    if block["type"] == "redacted_thinking":
        signature = own_signature_for("claude", block.get("data"))
        return None if signature is None else ("", signature)
    return None
