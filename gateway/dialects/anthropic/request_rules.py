"""Rules between fields of a request. request_shapes.py has the shapes of single fields.

Anthropic refuses more: a result that answers no call, a call without a result, blank texts, more than four
cache breakpoints, prefill for newer models, sampling with adaptive thinking. Clients send all of these, the
translation handles each, and an error would only end the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.dialects.anthropic.tool_changes import defined_tool, name_of_tool, tool_changes
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gateway.dialects.anthropic.messages import MessagesRequest

INTERLEAVED_THINKING = "interleaved-thinking-2025-05-14"
MIN_TOP_P_WITH_THINKING = 0.95


def check_rules(request: MessagesRequest) -> None:
    """Check all rules. Raises InvalidRequest."""
    check_content(request.messages)
    check_tool_names(request.tools or ())
    check_choices(request)


def check_choices(request: MessagesRequest) -> None:
    """Check the fields that exclude each other. Raises InvalidRequest."""
    check_tool_choice(request)
    if _budget_of(request.thinking) is not None:
        check_thinking(request)


def check_content(messages: list[dict[str, Any]]) -> None:
    """Check for empty content: only a final assistant message and a system message that changes the effort
    may be empty."""
    last = len(messages) - 1
    for index, message in enumerate(messages):
        if message.get("content") or (index == last and message["role"] == "assistant"):
            continue
        if message["role"] == "system" and message.get("output_config"):
            continue
        raise InvalidRequest(
            f"messages.{index}.content: all messages must have non-empty content except for the optional "
            "final assistant message"
        )


def check_tool_names(tools: Iterable[Mapping[str, Any]]) -> None:
    names: set[str] = set()
    for index, tool in enumerate(tools):
        name = tool.get("name")
        if not isinstance(name, str):
            continue
        if name in names:
            raise InvalidRequest(f"tools.{index}.name: Tool names must be unique")
        names.add(name)


# --- tool_choice ---


def check_tool_choice(request: MessagesRequest) -> None:
    choice = request.tool_choice
    if choice is None:
        return
    if not request.tools and not any(map(defined_tool, _additions(request))):
        raise InvalidRequest("tool_choice: may only be specified while providing tools")
    if choice["type"] == "tool" and not _may_have_tool(request, choice["name"]):
        raise InvalidRequest("tool_choice.name: Tool not found in provided tools")


def _may_have_tool(request: MessagesRequest, wanted: str) -> bool:
    """Return True when the request has the tool, which may also be deferred or added by a message. With a
    toolset, any name counts as known."""
    added = (defined_tool(addition) or addition["tool"] for addition in _additions(request))
    names = [name_of_tool(tool) for tool in (*(request.tools or ()), *added)]
    return wanted in names or None in names


def _additions(request: MessagesRequest) -> Iterator[Mapping[str, Any]]:
    return (change for change in tool_changes(request.messages) if change["type"] == "tool_addition")


# --- thinking and max_tokens ---


def check_thinking(request: MessagesRequest) -> None:
    """Check the fields that exclude thinking with a budget. Adaptive thinking is not checked: it is left out
    where it is not possible."""
    budget = _budget_of(request.thinking) or 0
    if request.max_tokens and budget >= request.max_tokens and not _thinks_between_calls(request):
        raise InvalidRequest("max_tokens: must be greater than `thinking.budget_tokens`")
    if request.temperature not in (None, 1):
        raise InvalidRequest("temperature: may only be set to 1 when thinking is enabled")
    if request.top_p is not None and request.top_p < MIN_TOP_P_WITH_THINKING:
        raise InvalidRequest("top_p: must be at least 0.95 or unset when thinking is enabled")
    if request.top_k is not None:
        raise InvalidRequest("top_k: must be unset when thinking is enabled")
    if _forces_a_call(request.tool_choice):
        raise InvalidRequest("tool_choice: may not force tool use when thinking is enabled")


def check_empty_answer(request: MessagesRequest) -> None:
    """Check the fields that exclude ``max_tokens: 0``, which only fills the prompt cache."""
    if request.max_tokens:
        return
    if request.stream:
        raise InvalidRequest("stream: must be false when max_tokens is 0")
    if request.thinking is not None and request.thinking.get("type") != "disabled":
        raise InvalidRequest("thinking: may not be enabled when max_tokens is 0")
    if (request.output_config or {}).get("format") is not None:
        raise InvalidRequest("output_config.format: must be unset when max_tokens is 0")
    if _forces_a_call(request.tool_choice):
        raise InvalidRequest("tool_choice: may not force tool use when max_tokens is 0")


def _budget_of(thinking: Mapping[str, Any] | None) -> int | None:
    if thinking is None or thinking.get("type") != "enabled":
        return None
    budget: int = thinking["budget_tokens"]
    return budget


def _thinks_between_calls(request: MessagesRequest) -> bool:
    """Return True for interleaved thinking, whose budget covers the whole turn instead of one answer."""
    return INTERLEAVED_THINKING in request.betas and bool(request.tools)


def _forces_a_call(tool_choice: Mapping[str, Any] | None) -> bool:
    return tool_choice is not None and tool_choice["type"] in ("any", "tool")
