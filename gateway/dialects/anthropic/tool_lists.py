"""Lists of tools, of which equal ones are checked only once.

Claude Code sends the same tools on every turn, and they are a third of its request. Their JSON is the cache
key of the check, here, and of their translation (translation/request/tools.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from gateway.dialects.anthropic.checks import list_of
from gateway.dialects.anthropic.nesting import count_values
from gateway.dialects.anthropic.request_rules import check_tool_names
from gateway.dialects.anthropic.request_shapes import tool

KEPT_LISTS = 64
MAX_KEPT_BYTES = 256 * 1024
"""The largest list that is kept, in bytes. KEPT_LISTS larger ones would use too much memory."""

_check_tools = list_of(tool)


class ToolList(list[dict[str, Any]]):
    """Checked tools and their JSON. Requests with equal tools share one list, which is never changed."""

    def __init__(self, tools: list[dict[str, Any]], content: bytes) -> None:
        super().__init__(tools)
        self.content = content
        self.text = content.decode()
        self.values = count_values(tools)
        self.are_some_deferred = any(one.get("defer_loading") for one in tools)
        self.are_custom = all(one.get("type") in (None, "custom") for one in tools)


def content_of(tools: list[dict[str, Any]]) -> bytes:
    """Return the tools as JSON. For a ToolList it is always the same object, whose hash is computed only
    once."""
    return tools.content if isinstance(tools, ToolList) else orjson.dumps(tools)


NO_TOOLS = ToolList([], b"[]")


def checked_tools(tools: list[dict[str, Any]]) -> ToolList:
    """Return the tools as a ToolList. Raises Mismatch or InvalidRequest when they do not fit, and TypeError
    when they are nested too deeply, or too many to be kept."""
    if isinstance(tools, ToolList):
        return tools
    content = orjson.dumps(tools)
    if len(content) > MAX_KEPT_BYTES:
        raise TypeError("the tools are too many")
    return _checked(content)


@lru_cache(maxsize=KEPT_LISTS)
def _checked(content: bytes) -> ToolList:
    tools = orjson.loads(content)
    _check_tools(tools)
    check_tool_names(tools)
    return ToolList(tools, content)
