"""A request that is too large for the event loop: its body and a summary. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from accounts.values.concealed import Concealed
from gateway.dialects.anthropic.messages import MessagesRequest, as_blocks
from gateway.safeguards.prompt import typed_messages
from gateway.translation.web_search.requested_search import RequestedSearch, asked_search

if TYPE_CHECKING:
    from gateway.bodies.shape import Body
    from gateway.dialects.base import RequestParser

LONGEST_FIRST_TEXT = 16_384
"""The most characters of the first text, which identifies a conversation."""
STAYS_IN_THE_BODY = frozenset({"messages", "system", "tools"})


class RequestSummary(Concealed):
    """Facts about messages, system and tools that the gateway needs besides their translation."""

    message_count: int
    tool_count: int
    first_text: str
    search: RequestedSearch | None
    """The requested web search."""
    typed_messages: list[dict[str, Any]]
    """The messages typed by the user, for a request with a safety check."""


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


@dataclass(slots=True, kw_only=True, repr=False)
class LargeRequest(MessagesRequest):
    """A request whose ``messages``, ``system`` and ``tools`` stay in the body; the attributes of these names
    hold additions only.

    ``unsigned_calls`` are the calls for which Gemini requires a signature that the client has not sent;
    ``signature_keys`` are the keys of all calls and texts that may have one.
    """

    body: Body
    parser: RequestParser
    unsigned_calls: tuple[str, ...]
    signature_keys: tuple[str, ...]

    def changes(self) -> MessagesRequest:
        """Return the changes to the body's request, for `completed`."""
        return MessagesRequest(**fields_of(self))


def fields_of(request: MessagesRequest) -> dict[str, Any]:
    return {one.name: getattr(request, one.name) for one in fields(MessagesRequest)}


def completed(changes: MessagesRequest, request: MessagesRequest) -> MessagesRequest:
    """Return the ``request`` parsed from the body, with later changes applied."""
    system = request.system
    if changes.system:
        system = [*as_blocks(system), *as_blocks(changes.system)]
    return replace(
        changes, messages=[*request.messages, *changes.messages], system=system, tools=request.tools
    )
