"""Translation of tools into function declarations, and of tool_choice into the calling mode.

Claude Code sends the same tools on every turn, so a translated list is cached by its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from gateway.dialects.anthropic.tool_changes import (
    changed_tool_name,
    defined_tool,
    name_of_tool,
    tool_changes,
)
from gateway.dialects.anthropic.tool_lists import ToolList, content_of
from gateway.translation.schemas.reading import BudgetSpent, NodeBudget
from gateway.translation.schemas.tool_schemas import MOST_NODES_IN_ALL, parameters_schema
from gateway.translation.tool_names import ToolNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.routing.upstream_model import Family
    from gateway.translation.schemas.restoration import Restoration

KEPT_TOOL_LISTS = 64
# A list larger than this is translated each time: 64 of them would exhaust the memory.
MAX_KEPT_BYTES = 512 * 1024

QUICK_NODES = 2_000
"""Number of schemas that can be read in a tenth of a second, on a slow machine, too."""

NO_LONGER_AVAILABLE = "No longer available. Do not call it."

TOOL_SEARCH_PREFIX = "tool_search_tool_"
WEB_SEARCH_PREFIX = "web_search_"
# Tools run by Anthropic's servers. Declared here, their calls would get no result.
SERVER_TOOL_PREFIXES = (
    WEB_SEARCH_PREFIX,
    "web_fetch_",
    "code_execution_",
    TOOL_SEARCH_PREFIX,
    "mcp_toolset",
    "advisor_",
)
_EDITS = {
    "file_text": {"type": "string"},
    "old_str": {"type": "string"},
    "new_str": {"type": "string"},
    "insert_line": {"type": "integer"},
    "insert_text": {"type": "string"},
}
# Tools run by the client, whose schema the model knows from training; requests do not contain it.
CLIENT_TOOL_SCHEMAS: dict[str, dict[str, Any]] = {
    "bash_": {
        "type": "object",
        "properties": {"command": {"type": "string"}, "restart": {"type": "boolean"}},
    },
    "text_editor_": {
        "type": "object",
        "properties": {
            "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert", "undo_edit"]},
            "path": {"type": "string"},
            **_EDITS,
            "view_range": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["command", "path"],
    },
    "computer_": {
        "type": "object",
        "properties": {
            "action": {"type": "string"},
            "coordinate": {"type": "array", "items": {"type": "integer"}},
            "start_coordinate": {"type": "array", "items": {"type": "integer"}},
            "text": {"type": "string"},
            "duration": {"type": "number"},
            "scroll_direction": {"type": "string", "enum": ["up", "down", "left", "right"]},
            "scroll_amount": {"type": "integer"},
        },
        "required": ["action"],
    },
    "memory_": {
        "type": "object",
        "properties": {
            "command": {
                "type": "string",
                "enum": ["view", "create", "str_replace", "insert", "delete", "rename"],
            },
            "path": {"type": "string"},
            "view_range": {"type": "array", "items": {"type": "integer"}},
            **_EDITS,
            "old_path": {"type": "string"},
            "new_path": {"type": "string"},
        },
        "required": ["command"],
    },
}

# Anthropic's tool_choice type -> mode, by family. Claude is always held to the schemas.
MODES: dict[str, dict[Family, str | None]] = {
    "absent": {"claude": "VALIDATED", "gemini": None, "gpt": None, "unknown": None},
    "auto": {"claude": "VALIDATED", "gemini": "AUTO", "gpt": "AUTO", "unknown": "AUTO"},
    "any": {"claude": "ANY", "gemini": "ANY", "gpt": "ANY", "unknown": "ANY"},
    "tool": {"claude": "ANY", "gemini": "ANY", "gpt": "ANY", "unknown": "ANY"},
    "none": {"claude": "NONE", "gemini": "NONE", "gpt": "NONE", "unknown": "NONE"},
}


@dataclass(frozen=True, slots=True)
class TranslatedTools:
    """The translation of a list of tools. Cached, therefore never changed. ``restorations`` is keyed by
    upstream name."""

    declarations: list[dict[str, Any]]
    names: ToolNames
    restorations: Mapping[str, Restoration]


NO_TOOLS = TranslatedTools([], ToolNames(), {})


def translate_tools(tools: list[dict[str, Any]], family: Family) -> TranslatedTools:
    if not tools:
        return NO_TOOLS
    content = content_of(tools)
    if len(content) > MAX_KEPT_BYTES:
        return _translate(tools, family)
    return _translate_content(content, family)


@lru_cache(maxsize=KEPT_TOOL_LISTS)
def _translate_content(content: bytes, family: Family) -> TranslatedTools:
    """Translate the JSON ``content`` of a list. The bytes themselves are the key: hashing them costs less
    than a digest."""
    return _translate(orjson.loads(content), family)


def are_quickly_translated(tools: list[dict[str, Any]]) -> bool:
    """Return True when the translation takes at most a tenth of a second.

    The size of the JSON is no measure: some keywords are read twice, nested ones 2^n times, and a reference
    is read wherever it occurs.
    """
    content = content_of(tools)
    return len(content) <= MAX_KEPT_BYTES and _are_quickly_translated(content)


@lru_cache(maxsize=KEPT_TOOL_LISTS)
def _are_quickly_translated(content: bytes) -> bool:
    try:
        _translate(orjson.loads(content), "claude", NodeBudget(QUICK_NODES, is_strict=True))
    except BudgetSpent:
        return False
    return True


def _translate(
    tools: Iterable[Mapping[str, Any]], family: Family, budget: NodeBudget | None = None
) -> TranslatedTools:
    """Translate tools. Raises BudgetSpent when the budget is strict."""
    budget = budget or NodeBudget(MOST_NODES_IN_ALL)
    translated = TranslatedTools([], ToolNames(), {})
    restorations: dict[str, Restoration] = {}
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        name = _name_of(tool, index)
        if name in seen or not _can_be_called(tool):
            continue
        seen.add(name)
        upstream_name = translated.names.to_upstream(name)
        parameters, restoration = parameters_schema(
            _schema_of(tool), with_placeholders=family == "claude", budget=budget
        )
        if restoration is not None:
            restorations[upstream_name] = restoration
        translated.declarations.append(
            {"name": upstream_name, "description": _description_of(tool), "parameters": parameters}
        )
    return TranslatedTools(translated.declarations, translated.names, restorations)


def function_calling(
    tools: TranslatedTools, history_names: list[str], tool_choice: Mapping[str, Any] | None, family: Family
) -> dict[str, Any]:
    """Return ``tools`` and ``toolConfig``. ``history_names`` are upstream names of calls that no tool
    declares."""
    stand_ins = _stand_ins(tools, history_names, family) if history_names else []
    declarations = [*tools.declarations, *stand_ins] if stand_ins else tools.declarations
    if not declarations:
        return {}
    config = tool_config(tool_choice, family, tools.names)
    if not tools.declarations:
        config = {"functionCallingConfig": {"mode": "NONE"}}
    elif stand_ins and config and config["functionCallingConfig"]["mode"] == "ANY":
        declared = [declaration["name"] for declaration in tools.declarations]
        config["functionCallingConfig"].setdefault("allowedFunctionNames", declared)
    called: dict[str, Any] = {"tools": [{"functionDeclarations": declarations}]}
    return called if config is None else {**called, "toolConfig": config}


def _stand_ins(tools: TranslatedTools, history_names: list[str], family: Family) -> list[dict[str, Any]]:
    """Return declarations for calls in the history that no tool declares.

    Gemini answers a response to a function that is not declared with a bare "Request contains an invalid
    argument." (watt-mind/coach#280). Claude requires a tool where there are calls: "Requests which include
    `tool_use` or `tool_result` blocks must define tools" (anthropics/anthropic-sdk-python#494).
    """
    if family == "gemini" or (family == "claude" and not tools.declarations):
        gone = [{"name": name, "description": NO_LONGER_AVAILABLE} for name in history_names]
        return _translate(gone, family).declarations
    return []


def tool_config(
    tool_choice: Mapping[str, Any] | None, family: Family, names: ToolNames
) -> dict[str, Any] | None:
    """Return the calling mode. ``disable_parallel_tool_use`` has no counterpart upstream."""
    choice = tool_choice or {"type": "absent"}
    if choice["type"] == "tool" and choice["name"] not in names:
        choice = {"type": "auto"}  # a server tool, which is not declared
    mode = MODES[choice["type"]][family]
    if mode is None:
        return None
    config: dict[str, Any] = {"mode": mode}
    if choice["type"] == "tool":
        config["allowedFunctionNames"] = [names.to_upstream(choice["name"])]
    return {"functionCallingConfig": config}


def is_forced(tool_choice: Mapping[str, Any] | None) -> bool:
    return tool_choice is not None and tool_choice.get("type") in ("any", "tool")


# --- which tools are offered ---


def offered_tools(request: MessagesRequest) -> list[dict[str, Any]]:
    """Return the tools that are not deferred, or have been loaded, after all changes in the conversation.

    Google accepts one list a request, so the state at the end of the conversation counts.
    """
    tools: list[dict[str, Any]] = request.tools or []
    if request.may_change_tools and (changes := [*tool_changes(request.messages)]):
        tools = _tools_after(changes, tools)
    if not tools or not _are_some_deferred(tools) or _is_search_impossible(tools):
        return tools
    loaded = loaded_tools(request.messages, request.tool_choice)
    return [tool for tool in tools if not tool.get("defer_loading") or _name_of(tool, 0) in loaded]


def _are_some_deferred(tools: list[dict[str, Any]]) -> bool:
    if isinstance(tools, ToolList):
        return tools.are_some_deferred
    return any(tool.get("defer_loading") for tool in tools)


def _is_search_impossible(tools: list[dict[str, Any]]) -> bool:
    """Return True when deferred tools could never be loaded: the tool search is Anthropic's, or missing."""
    own = [tool for tool in tools if _can_be_called(tool)]
    return all(tool.get("defer_loading") for tool in own) or any(
        str(tool.get("type", "")).startswith(TOOL_SEARCH_PREFIX) for tool in tools
    )


def _tools_after(changes: list[Mapping[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Apply additions and removals, by reference (beta ``mid-conversation-tool-changes-2026-07-01``) or by
    value (``inline-tools-2026-09-15``).

    References to tools of MCP servers are ignored: only Anthropic's servers call those.
    """
    known: dict[str, dict[str, Any]] = {}
    for index, tool in enumerate(tools):
        known.setdefault(_name_of(tool, index), tool)
    offered = dict(known)
    for change in changes:
        name = changed_tool_name(change)
        if name is None:
            continue
        if change["type"] == "tool_removal":
            offered.pop(name, None)
            continue
        definition = defined_tool(change) or known.get(name)
        if definition is not None:
            known[name] = definition
            offered[name] = {key: value for key, value in definition.items() if key != "defer_loading"}
    return list(offered.values())


_NAME_KEYS = {"tool_reference": "tool_name", "tool_use": "name"}


def loaded_tools(
    messages: Iterable[Mapping[str, Any]], tool_choice: Mapping[str, Any] | None
) -> frozenset[str]:
    """Return the names of tools that the conversation loaded: found by tool search, called before, or forced
    now."""
    names: set[str] = set()
    if tool_choice and isinstance(tool_choice.get("name"), str):
        names.add(tool_choice["name"])
    for message in messages:
        _collect_names(message.get("content"), names)
    return frozenset(names)


def _collect_names(content: object, names: set[str]) -> None:
    """Collect tool names, also from ``tool_result.content`` and
    ``tool_search_tool_result.content.tool_references``."""
    to_visit = [content]
    while to_visit:
        visited = to_visit.pop()
        if isinstance(visited, list):
            to_visit += visited
        elif isinstance(visited, dict):
            key = _NAME_KEYS.get(str(visited.get("type")))
            if key and isinstance(visited.get(key), str):
                names.add(visited[key])
            to_visit += [visited.get("content"), visited.get("tool_references")]


# --- the shapes a tool may have ---


def _name_of(tool: Mapping[str, Any], index: int) -> str:
    return name_of_tool(tool) or f"tool-{index}"


def _description_of(tool: Mapping[str, Any]) -> str:
    for holder in (tool, *_inner_shapes(tool)):
        description = holder.get("description")
        if isinstance(description, str):
            return description
    return ""


def _schema_of(tool: Mapping[str, Any]) -> object:
    schemas = _own_schemas(tool)
    return schemas[0] if schemas else _schema_of_client_tool(str(tool.get("type", "")))


def _own_schemas(tool: Mapping[str, Any]) -> list[object]:
    holders = (tool, *_inner_shapes(tool))
    return [holder[key] for holder in holders for key in ("input_schema", "parameters") if key in holder]


def _inner_shapes(tool: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [tool[key] for key in ("function", "custom") if isinstance(tool.get(key), dict)]


def _schema_of_client_tool(tool_type: str) -> object:
    for prefix, schema in CLIENT_TOOL_SCHEMAS.items():
        if tool_type.startswith(prefix):
            return schema
    return {"type": "object"}


def is_web_search(tool: Mapping[str, Any]) -> bool:
    """Return True for Anthropic's web search tool of any version."""
    return "type" in tool and _is_server_tool(tool) and str(tool["type"]).startswith(WEB_SEARCH_PREFIX)


def _can_be_called(tool: Mapping[str, Any]) -> bool:
    """Return True for a tool that the model can call and the client runs."""
    return not _is_server_tool(tool) and not _is_toolset(tool)


def _is_toolset(tool: Mapping[str, Any]) -> bool:
    """Return True for an unknown type without name and schema, which stands for tools of unknown names."""
    is_typed = tool.get("type") not in (None, "", "custom", "function")
    return is_typed and name_of_tool(tool) is None and not _own_schemas(tool)


def _is_server_tool(tool: Mapping[str, Any]) -> bool:
    """Return True for a tool that Anthropic's servers run; one with a schema of its own is the client's,
    whatever its type."""
    return str(tool.get("type", "")).startswith(SERVER_TOOL_PREFIXES) and "input_schema" not in tool
