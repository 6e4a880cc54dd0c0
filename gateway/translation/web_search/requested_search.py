"""The web search that a request asks for, and what rules it out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from accounts.values.outside import as_object
from gateway.dialects.anthropic.messages import MessagesRequest, as_blocks
from gateway.dialects.anthropic.tool_lists import ToolList
from gateway.translation.request.answer_rules import only_reads_the_prompt
from gateway.translation.request.content_blocks import block_to_parts, text_of
from gateway.translation.request.structured_output import requested_schema
from gateway.translation.request.tools import is_web_search, offered_tools
from gateway.translation.web_search.domains import Domains, UnreadableDomain
from gateway.translation.web_search.sources import LONGEST_QUERY, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ErrorCode = Literal["invalid_tool_input", "unavailable", "max_uses_exceeded"]
"""Codes of Anthropic's web_search_tool_result_error that the gateway uses."""

LONGEST_CONVERSATION = 20_000
"""The most characters of the conversation before the question; the newest are kept."""
_TOLD = frozenset({"text", "search_result", "document", "server_tool_use", "web_search_tool_result"})
_REMINDERS = re.compile(r"(\s*<system-reminder>((?!</system-reminder>).)*+</system-reminder>)+\s*", re.DOTALL)
"""Blocks that Claude Code adds to the user's text."""


@dataclass(frozen=True, slots=True)
class RequestedSearch:
    """A search to make. ``error_code``: Anthropic's code for why it cannot be made, None when it can.
    ``conversation``: the texts besides the question."""

    question: str
    conversation: str
    error_code: ErrorCode | None
    opens_answer: bool
    """False within a tool loop, because the result of the search was reported when the loop began."""
    max_uses: int | None = None
    domains: Domains = field(default_factory=Domains)
    allowed: tuple[str, ...] = ()
    """The domains as the client wrote them."""
    blocked: tuple[str, ...] = ()
    location: str = ""

    @property
    def query(self) -> str:
        """Return the query to show when Google does not report one."""
        return one_line(self.question, LONGEST_QUERY)


def _have_web_search(tools: list[dict[str, Any]]) -> bool:
    return not (isinstance(tools, ToolList) and tools.are_custom) and any(map(is_web_search, tools))


def asked_search(request: MessagesRequest) -> RequestedSearch | None:
    """Return the search of a request; None without the tool, or when ``tool_choice`` rules it out."""
    if not request.tools or not _have_web_search(request.tools):
        return None
    offered = offered_tools(request)
    tool = next(filter(is_web_search, offered), None)
    if tool is None or only_reads_the_prompt(request) or _rules_search_out(request.tool_choice, tool):
        return None
    others = [other for other in (*(request.tools or ()), *offered) if not is_web_search(other)]
    at = _place_of_question(request.messages)
    question = _said_in(request.messages[at]) if at is not None else ""
    max_uses = _whole(tool.get("max_uses"))
    allowed, blocked = _texts(tool.get("allowed_domains")), _texts(tool.get("blocked_domains"))
    error_code, domains = _domains(allowed, blocked)
    if max_uses is not None and _searches_in(request.messages[(at or 0) + 1 :]) >= max_uses:
        error_code = "max_uses_exceeded"
    if others or not question or requested_schema(request) is not None:
        error_code = "unavailable"
    return RequestedSearch(
        question=question,
        conversation=_conversation(request.messages, at),
        error_code=error_code,
        opens_answer=not _is_within_tool_loop(request.messages),
        max_uses=max_uses,
        domains=domains,
        allowed=allowed,
        blocked=blocked,
        location=_location(tool.get("user_location")),
    )


def _rules_search_out(tool_choice: Mapping[str, Any] | None, tool: Mapping[str, Any]) -> bool:
    if tool_choice is None:
        return False
    is_of_another = tool_choice["type"] == "tool" and tool_choice["name"] != tool.get("name")
    return is_of_another or bool(tool_choice["type"] == "none")


# --- the tool, of any version, so its fields are unchecked ---


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(value: object) -> tuple[str, ...]:
    """Return a list's texts; other entries become an invalid domain."""
    listed = value if isinstance(value, list) else [value] if value is not None else []
    return tuple(entry if isinstance(entry, str) else "" for entry in listed)


def _domains(allowed: tuple[str, ...], blocked: tuple[str, ...]) -> tuple[ErrorCode | None, Domains]:
    try:
        return None, Domains.parse(allowed, blocked)
    except UnreadableDomain:
        return "invalid_tool_input", Domains()


def _location(user_location: object) -> str:
    told = as_object(user_location)
    names = (one_line(told.get(key), 100) for key in ("city", "region", "country", "timezone"))
    return ", ".join(filter(None, names))


# --- the messages ---


def _place_of_question(messages: list[dict[str, Any]]) -> int | None:
    """Return the index of the last user message with text, reminders excluded."""
    places = [at for at, message in enumerate(messages) if message["role"] == "user" and _said_in(message)]
    return places[-1] if places else None


def _said_in(message: Mapping[str, Any]) -> str:
    """Return the texts of a message, without reminders."""
    texts = [block["text"] for block in as_blocks(message.get("content")) if block["type"] == "text"]
    return "\n".join(text for text in texts if text.strip() and not _REMINDERS.fullmatch(text))


def _searches_in(messages: Iterable[Mapping[str, Any]]) -> int:
    """Count the searches that were made and did not fail."""
    blocks = [block for message in messages for block in as_blocks(message.get("content"))]
    calls = [b.get("id") for b in blocks if b["type"] == "server_tool_use" and b.get("name") == "web_search"]
    failed = {
        block.get("tool_use_id")
        for block in blocks
        if block["type"] == "web_search_tool_result" and isinstance(block.get("content"), dict)
    }
    return sum(call not in failed for call in calls)


def _is_within_tool_loop(messages: list[dict[str, Any]]) -> bool:
    """Return True when the last message, system messages aside, consists of results only."""
    last = next((message for message in reversed(messages) if message["role"] != "system"), messages[-1])
    return any(block["type"] == "tool_result" for block in as_blocks(last.get("content"))) and not _said_in(
        last
    )


def _conversation(messages: list[dict[str, Any]], question_at: int | None) -> str:
    told = []
    for at, message in enumerate(messages):
        words = "" if at == question_at or message["role"] == "system" else _told(message)
        if words:
            told.append(f"{'Assistant' if message['role'] == 'assistant' else 'User'}: {words}")
    return "\n\n".join(told)[-LONGEST_CONVERSATION:]


def _told(message: Mapping[str, Any]) -> str:
    parts = [
        part
        for block in as_blocks(message.get("content"))
        if block["type"] in _TOLD
        for part in block_to_parts(block)
    ]
    return text_of(parts).strip()
