"""The tools of a checked request: their names, and how its messages change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TOOL_CHANGES = frozenset({"tool_addition", "tool_removal"})


def name_of_tool(tool: Mapping[str, Any]) -> str | None:
    """Return a tool's ``name``, or that within ``function`` or ``custom`` as in other APIs. None for
    toolsets."""
    for holder in (tool, tool.get("function"), tool.get("custom")):
        name = holder.get("name") if isinstance(holder, dict) else None
        if isinstance(name, str) and name:
            return name
    return None


def tool_changes(messages: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield ``tool_addition`` and ``tool_removal`` blocks in order, those in a compaction included."""
    for message in messages:
        content = message["content"]
        for block in content if type(content) is list else ():
            if block["type"] in TOOL_CHANGES:
                yield block
            elif block["type"] == "compaction":
                yield from (kept for kept in block.get("tool_changes") or () if kept["type"] in TOOL_CHANGES)


def defined_tool(change: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the tool that a change defines: as a ``tool_definition``, or in the form of other APIs."""
    tool = change.get("tool")
    if not isinstance(tool, dict):
        return None
    defined = {"tool_definition": tool.get("definition"), "function": tool}.get(str(tool.get("type")))
    return defined if isinstance(defined, dict) else None


def changed_tool_name(change: Mapping[str, Any]) -> str | None:
    """Return the name of the changed tool; None for tools of MCP servers and for unknown types."""
    defined = defined_tool(change)
    if defined is not None:
        return name_of_tool(defined)
    tool = change.get("tool")
    return name_of_tool(tool) if isinstance(tool, dict) and tool.get("type") == "tool_reference" else None
