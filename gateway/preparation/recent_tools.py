"""The lists of tools that clients sent last, told by their bytes in a body (recent_parts.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.dialects.anthropic.tool_lists import KEPT_LISTS, ToolList

if TYPE_CHECKING:
    from gateway.bodies.shape import Body

_NAME = b',"tools":'


class SeenTools(NamedTuple):
    """Tools, and the position at which their member began in the last body. It is the same in each request of
    a conversation, unless the messages precede the tools."""

    tools: ToolList
    start: int

    @property
    def place(self) -> tuple[int, int]:
        """Where the JSON of the tools begins and ends."""
        start = self.start + len(_NAME)
        return start, start + len(self.tools.content)

    def is_in(self, body: Body, start: int) -> bool:
        """Return True when the member with these tools begins at `start`."""
        at = start + len(_NAME)
        return body[start:at] == _NAME and body.startswith(self.tools.content, at)


class RecentTools:
    """The lists of tools that clients sent last, the newest first."""

    def __init__(self, most: int = KEPT_LISTS) -> None:
        self._most = most
        self._seen: list[SeenTools] = []

    def find_in(self, body: Body) -> SeenTools | None:
        """Return the known tools that the body has."""
        return self._find_in(body) if self._seen else None

    def learn(self, tools: ToolList, body: Body) -> None:
        """Remember the tools of this body, if it contains their JSON just as orjson writes it."""
        for seen in self._seen:
            if seen.tools is tools:
                return
        seen = SeenTools(tools, body.rfind(_NAME))
        if tools and seen.is_in(body, seen.start):
            self._remember(seen)

    def _find_in(self, body: Body) -> SeenTools | None:
        newest = self._seen[0]
        if newest.is_in(body, newest.start):
            return newest
        start = body.rfind(_NAME)
        for seen in self._seen:
            if seen.is_in(body, start):
                return self._remember(SeenTools(seen.tools, start))
        return None

    def _remember(self, seen: SeenTools) -> SeenTools:
        others = [known for known in self._seen if known.tools is not seen.tools]
        self._seen = [seen, *others[: self._most - 1]]
        return seen
