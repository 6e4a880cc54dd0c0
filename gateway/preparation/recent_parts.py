"""Parsing of bodies of which parts were read before: the tools, and the history of the conversation.

Most clients write JSON as orjson does, without blanks and with each character as itself. So a part of a body
is a known one if its JSON stands where such a member begins. It is cut out, a mark in its place is parsed
with the rest, and then the known values take the place of the mark.

The member may be one of an object within the body: then the mark is not found where it should be, and the
whole body is parsed. Within a text there is no such member, since a text has no quote without a backslash.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import orjson

from gateway.dialects.anthropic.known_messages import Conversation
from gateway.dialects.anthropic.tool_lists import ToolList
from gateway.preparation.recent_messages import RecentMessages
from gateway.preparation.recent_tools import RecentTools

if TYPE_CHECKING:
    from gateway.bodies.shape import Body
    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.preparation.recent_messages import SeenMessages
    from gateway.preparation.recent_tools import SeenTools

_MARK = secrets.token_hex(16)
"""The mark in place of a known part: a random text, which no client knows."""
_MARK_AS_JSON = orjson.dumps(_MARK)


class RecentParts:
    """The tools and histories that clients sent last."""

    def __init__(self) -> None:
        self.tools = RecentTools()
        self.messages = RecentMessages()

    def parse(self, body: Body) -> Any:
        """Parse the JSON of a body; known tools become their ToolList, messages that begin with known ones a
        Conversation. Raises orjson.JSONDecodeError."""
        tools, messages = self.tools.find_in(body), self.messages.find_in(body)
        if tools is not None or messages is not None:
            places = sorted([part.place for part in (tools, messages) if part is not None])
            if (value := _parse_rest(body, places)) and _put_back(value, tools, messages):
                return value
        return orjson.loads(body)

    def learn(self, request: MessagesRequest, body: Body) -> None:
        """Keep the tools and messages of a request that was just parsed from this body."""
        if isinstance(request.tools, ToolList):
            self.tools.learn(request.tools, body)
        self.messages.learn(request.messages, body)


def _parse_rest(body: Body, places: list[tuple[int, int]]) -> Any:
    """Parse the body with a mark in each place; None when one is within another. Raises
    orjson.JSONDecodeError."""
    whole, at = memoryview(body), 0
    pieces: list[bytes | memoryview] = []
    for start, end in places:
        if start < at:
            return None
        pieces += (whole[at:start], _MARK_AS_JSON)
        at = end
    return orjson.loads(b"".join((*pieces, whole[at:])))


def _put_back(value: Any, tools: SeenTools | None, messages: SeenMessages | None) -> bool:
    """Replace the marks in a parsed body by the known tools and messages. Returns False when a mark is not
    where they belong."""
    if type(value) is not dict:
        return False
    if tools is not None:
        if "tools" not in value or value["tools"] != _MARK:
            return False
        value["tools"] = tools.tools
    if messages is not None:
        sent = value["messages"] if "messages" in value else None  # noqa: SIM401 -- no call
        if type(sent) is not list or not sent or sent[0] != _MARK:
            return False
        value["messages"] = Conversation(messages.known, sent[1:])
    return True
