"""What the gateway keeps of a request that is too large for the event loop: its body, a few facts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from gateway.dialects.anthropic.messages import (
    MessagesRequest,
    parse_count_tokens_request,
    parse_messages_request,
)
from gateway.safeguards.prompt import typed_messages
from gateway.translation.web_search.asked import asked_search

if TYPE_CHECKING:
    from gateway.bodies.shape import Body
    from gateway.translation.web_search.asked import Search

LONGEST_FIRST_TEXT = 16_384
"""Characters of the first text, by which a conversation is known."""
STAYS_IN_THE_BODY = frozenset({"messages", "system", "tools"})


@dataclass(frozen=True, slots=True)
class RequestParser:
    """Knows for which call a request is, and what its headers say."""

    only_counts: bool
    version: str
    betas: frozenset[str]

    def parse(self, value: object) -> MessagesRequest:
        """Raises InvalidRequest."""
        parse = parse_count_tokens_request if self.only_counts else parse_messages_request
        return parse(value, version=self.version, betas=self.betas)


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """What the gateway asks of messages, system and tools besides having them translated."""

    message_count: int
    tool_count: int
    first_text: str = field(repr=False)
    search: Search | None
    """The web search that is asked for."""
    typed_messages: list[dict[str, Any]] = field(repr=False)
    """What the person has typed, where a safety check is asked for."""


def summarize(request: MessagesRequest) -> RequestSummary:
    return RequestSummary(
        message_count=len(request.messages),
        tool_count=len(request.tools or ()),
        first_text=_first_text(request.messages[0]["content"])[:LONGEST_FIRST_TEXT],
        search=asked_search(request),
        typed_messages=typed_messages(request.messages) if request.safeguards else [],
    )


def _first_text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return next((block["text"] for block in content if block.get("type") == "text"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeRequest(MessagesRequest):
    """``messages``, ``system`` and ``tools`` are those of the body: here, they hold what was added since.

    ``unsigned_calls`` are the calls for which Gemini wants a signature that the client has not sent;
    ``signature_keys`` of all calls and texts that may have one.
    """

    body: Body = field(repr=False)
    parser: RequestParser
    unsigned_calls: tuple[str, ...] = field(repr=False)
    signature_keys: tuple[str, ...] = field(repr=False)

    def changes(self) -> MessagesRequest:
        """What `completed` needs."""
        return MessagesRequest(**fields_of(self))


def fields_of(request: MessagesRequest) -> dict[str, Any]:
    return {one.name: getattr(request, one.name) for one in fields(MessagesRequest)}


def completed(changes: MessagesRequest, request: MessagesRequest) -> MessagesRequest:
    """``request`` as it was read from the body, with what has been changed since."""
    system = request.system
    if changes.system:
        system = [*_as_blocks(system), *_as_blocks(changes.system)]
    return replace(
        changes, messages=[*request.messages, *changes.messages], system=system, tools=request.tools
    )


def _as_blocks(system: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    if isinstance(system, str):
        return [{"type": "text", "text": system}] if system else []
    return system or []
