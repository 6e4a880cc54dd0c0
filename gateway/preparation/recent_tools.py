"""Parsing of bodies whose tools were read before: the tools are recognised by their bytes, and only the rest
is parsed.

Most clients write JSON as orjson does, without blanks and with each character as itself. So the tools of a
body are those of a known list if the JSON of that list stands where a member `tools` begins. It is cut out, a
mark in its place is parsed with the rest, and then the list takes the place of the mark.

The member may be one of an object within the body: then the mark is not found where it should be, and the
whole body is parsed. Within a text there is no such member, since a text has no quote without a backslash.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gateway.dialects.anthropic.tool_lists import KEPT_LISTS, ToolList

if TYPE_CHECKING:
    from gateway.bodies.shape import Body

_NAME = b',"tools":'
_MARK = secrets.token_hex(16)
"""The mark in place of the tools: a random text, which no client knows."""
_MARK_AS_JSON = orjson.dumps(_MARK)


class _Seen(NamedTuple):
    """Tools, and the position at which their member began in the last body. It is the same in each request of
    a conversation, unless the messages precede the tools."""

    tools: ToolList
    start: int

    def is_in(self, body: Body, start: int) -> bool:
        """Return True when the member with these tools begins at `start`."""
        at = start + len(_NAME)
        return body[start:at] == _NAME and body.startswith(self.tools.content, at)


class RecentTools:
    """The lists of tools that clients sent last, the newest first."""

    def __init__(self, most: int = KEPT_LISTS) -> None:
        self._most = most
        self._seen: list[_Seen] = []

    def parse(self, body: Body) -> Any:
        """Parse the JSON of a body; known tools become their ToolList. Raises orjson.JSONDecodeError."""
        seen = self._find_in(body) if self._seen else None
        if seen is not None:
            start, whole = seen.start + len(_NAME), memoryview(body)
            around = (whole[:start], _MARK_AS_JSON, whole[start + len(seen.tools.content) :])
            value = orjson.loads(b"".join(around))
            if type(value) is dict and "tools" in value and value["tools"] == _MARK:
                value["tools"] = seen.tools
                return value
        return orjson.loads(body)

    def learn(self, tools: ToolList, body: Body) -> None:
        """Remember the tools of this body, if it contains their JSON just as orjson writes it."""
        for seen in self._seen:
            if seen.tools is tools:
                return
        seen = _Seen(tools, body.rfind(_NAME))
        if tools and seen.is_in(body, seen.start):
            self._remember(seen)

    def _find_in(self, body: Body) -> _Seen | None:
        newest = self._seen[0]
        if newest.is_in(body, newest.start):
            return newest
        start = body.rfind(_NAME)
        for seen in self._seen:
            if seen.is_in(body, start):
                return self._remember(_Seen(seen.tools, start))
        return None

    def _remember(self, seen: _Seen) -> _Seen:
        others = [known for known in self._seen if known.tools is not seen.tools]
        self._seen = [seen, *others[: self._most - 1]]
        return seen
