"""Content blocks for a search and its sources, and their insertion before a held answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.dialects.anthropic import stream_events
from gateway.dialects.anthropic.messages import MessagesRequest, as_blocks
from gateway.translation.web_search.encrypted_content import sealed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gateway.dialects.anthropic.stream_events import StreamEvent
    from gateway.translation.web_search.requested_search import ErrorCode, RequestedSearch
    from gateway.translation.web_search.sources import Source

Block = dict[str, Any]

CANNOT_SEARCH = (
    "Web search does not work in this conversation: you cannot look anything up. When a question needs it, "
    "say so, and never make up sources, addresses or search results."
)
NO_SEARCH_LEFT = (
    "No more web searches are allowed for this answer. Answer from what was found before, say what is "
    "missing, and never make up sources, addresses or search results."
)

NOTHING_FOUND = (
    "The web search brought no sources. What follows is not from the web; look addresses in it up first."
)
NOTHING_ALLOWED = (
    "The web search brought sources, but none of a site that is allowed here. What they say is left out."
)


def search_blocks(tool_use_id: str, query: str, sources: Iterable[Source]) -> list[Block]:
    """Return the call and its result; without sources the result is an error."""
    results = [
        {
            "type": "web_search_result",
            "url": source.address,
            "title": source.title,
            "encrypted_content": sealed(source.texts),
            "page_age": None,
        }
        for source in sources
    ]
    return _blocks(tool_use_id, query, results or _error("unavailable"))


def _blocks(tool_use_id: str, query: str, content: object) -> list[Block]:
    return [
        {"type": "server_tool_use", "id": tool_use_id, "name": "web_search", "input": {"query": query}},
        {"type": "web_search_tool_result", "tool_use_id": tool_use_id, "content": content},
    ]


def _error(code: ErrorCode) -> dict[str, str]:
    return {"type": "web_search_tool_result_error", "error_code": code}


def without_search(
    request: MessagesRequest, search: RequestedSearch, code: ErrorCode, tool_use_id: str
) -> MessagesRequest:
    """Return the request for an answer that begins with a failed search. The model is told so as well."""
    told = NO_SEARCH_LEFT if code == "max_uses_exceeded" else CANNOT_SEARCH
    blocks = as_blocks(request.system)
    said_first = _blocks(tool_use_id, search.query, _error(code)) if search.opens_answer else []
    return replace(request, system=[*blocks, {"type": "text", "text": told}], said_first=tuple(said_first))


def words_beside(text: str, found: Collection[Source], shown: Collection[Source]) -> str:
    """Return the text that may accompany the sources shown, out of those found.

    Claude Code passes any text of such an answer on as the result of its search, and asks to cite it.
    """
    if shown:
        return text
    if found:
        return NOTHING_ALLOWED
    return f"{NOTHING_FOUND}\n\n{text}" if text else NOTHING_FOUND


def with_search(held: Sequence[StreamEvent], blocks: Sequence[Block], text: str) -> list[StreamEvent]:
    """Return the events of a held answer with these blocks and this text as content, and the search in its
    usage."""
    index = len(blocks)
    said = stream_events.whole_block(index, {"type": "text", "text": text}) if text else []
    return [
        *(event for event in held if event["type"] == "message_start"),
        *(event for at, block in enumerate(blocks) for event in stream_events.whole_block(at, block)),
        *said,
        *(_with_one_search(event) for event in held if event["type"] == "message_delta"),
        *(event for event in held if event["type"] == "message_stop"),
    ]


def _with_one_search(event: StreamEvent) -> StreamEvent:
    """Count one search. ``tool_use`` becomes ``end_turn``: the request declared no functions."""
    stop_reason = event["delta"]["stop_reason"]
    return {
        **event,
        "delta": {**event["delta"], "stop_reason": "end_turn" if stop_reason == "tool_use" else stop_reason},
        "usage": {**event["usage"], "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}},
    }
