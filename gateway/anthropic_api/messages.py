"""The body of ``POST /v1/messages``, checked and given names.

What Anthropic refuses is refused here, naming the field in Anthropic's way (``messages.0.content``).
What is newer than this file passes: unknown fields, block types and tool types stay as they came.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
ROLES = frozenset({"user", "assistant", "system"})
IMAGE_MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
DOCUMENT_MEDIA_TYPES = frozenset({"application/pdf"})
LONGEST_MODEL = 256
"""Anthropic's own limit."""
MIN_THINKING_BUDGET = 1024
# A document within a document within a tool result is deep already.
MAX_NESTED_BLOCKS = 20


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """Blocks, tools and options stay plain dicts, because nobody gains from a second form of them.

    ``max_tokens`` is 0 for a count_tokens request that gives none. ``output_config`` holds what an
    older client put into ``output_format``.
    """

    model: str
    max_tokens: int
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool = False
    metadata: dict[str, Any] | None = None


def parse_messages_request(body: object) -> MessagesRequest:
    """Raises InvalidRequest for what Anthropic answers with 400."""
    body = _object(body, "request body")
    if "max_tokens" not in body:
        raise InvalidRequest("max_tokens: Field required")
    return _parse(body)


def parse_count_tokens_request(body: object) -> MessagesRequest:
    return _parse(_object(body, "request body"))


def _parse(body: dict[str, Any]) -> MessagesRequest:
    _refuse_threads(body)
    request = MessagesRequest(
        model=_model(body.get("model")),
        max_tokens=_max_tokens(body),
        messages=_messages(body.get("messages")),
        system=_system(body.get("system")),
        tools=_tools(body.get("tools")),
        tool_choice=_optional_object(body, "tool_choice"),
        thinking=_optional_object(body, "thinking"),
        output_config=_output_config(body),
        temperature=_fraction(body, "temperature"),
        top_p=_fraction(body, "top_p"),
        top_k=_top_k(body.get("top_k")),
        stop_sequences=_stop_sequences(body.get("stop_sequences")),
        stream=_stream(body.get("stream")),
        metadata=_optional_object(body, "metadata"),
    )
    _check_thinking(request)
    _check_tool_choice(request)
    return request


def _refuse_threads(body: Mapping[str, Any]) -> None:
    """The SDKs' tool runners then send the whole history. Ignoring the field would lose it in silence."""
    if body.get("thread"):
        raise InvalidRequest(
            "thread: this server holds no threads; send the whole history",
            details={"error_code": "thread_unsupported_request"},
        )


# --- single fields ---


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field}: must be a JSON object")
    return value


def _optional_object(body: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    value = body.get(field)
    return None if value is None else _object(value, field)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _model(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest("model: must be a non-empty string")
    if len(value) > LONGEST_MODEL:
        raise InvalidRequest(f"model: must have at most {LONGEST_MODEL} characters")
    return value


def _max_tokens(body: Mapping[str, Any]) -> int:
    if "max_tokens" not in body:
        return 0
    value = body["max_tokens"]
    if not _is_integer(value) or value < 1:
        raise InvalidRequest("max_tokens: must be an integer of at least 1")
    return int(value)


def _fraction(body: Mapping[str, Any], field: str) -> float | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidRequest(f"{field}: must be a number from 0 to 1")
    return value


def _top_k(value: Any) -> int | None:
    if value is None:
        return None
    if not _is_integer(value) or value < 0:
        raise InvalidRequest("top_k: must be an integer of at least 0")
    return int(value)


def _stop_sequences(value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidRequest("stop_sequences: must be a list of strings")
    for index, sequence in enumerate(value):
        if not isinstance(sequence, str) or not sequence.strip():
            raise InvalidRequest(f"stop_sequences.{index}: must be a string that is not blank")
    return value


def _stream(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequest("stream: must be true or false")
    return value


def _output_config(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """``output_format`` is the older spelling of ``output_config.format``."""
    config = _optional_object(body, "output_config")
    older = _optional_object(body, "output_format")
    if older is not None and (config is None or "format" not in config):
        config = {**(config or {}), "format": older}
    if config is not None:
        _check_output_format(config.get("format"))
    return config


def _check_output_format(value: object) -> None:
    if value is None:
        return
    output_format = _object(value, "output_config.format")
    if output_format.get("type") == "json_schema" and not isinstance(output_format.get("schema"), dict):
        raise InvalidRequest("output_config.format.schema: must be a JSON object")


def _system(value: object) -> str | list[dict[str, Any]] | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidRequest("system: must be a string or a list of text blocks")
    for index, block in enumerate(value):
        path = f"system.{index}"
        if _object(block, path).get("type") != "text":
            raise InvalidRequest(f"{path}.type: must be 'text'")
        _check_text(block, path)
    return value


# --- messages and their blocks ---


def _messages(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest("messages: must be a list with at least one message")
    last = len(value) - 1
    for index, message in enumerate(value):
        path = f"messages.{index}"
        role = _object(message, path).get("role")
        # A role may be any JSON value, and a list cannot be looked up in a set.
        if not isinstance(role, str) or role not in ROLES:
            raise InvalidRequest(f"{path}.role: must be 'user', 'assistant' or 'system'")
        _check_content(message.get("content"), path, may_be_empty=index == last and role == "assistant")
    return value


def _check_content(content: object, path: str, *, may_be_empty: bool) -> None:
    """Anthropic lets only a final assistant message be empty."""
    if not isinstance(content, str | list):
        raise InvalidRequest(f"{path}.content: must be a string or a list of content blocks")
    if not content and not may_be_empty:
        raise InvalidRequest(f"{path}.content: must not be empty")
    if isinstance(content, list):
        _check_blocks(content, f"{path}.content")


def _check_blocks(blocks: list[Any], path: str) -> None:
    if path.count(".content") > MAX_NESTED_BLOCKS:
        raise InvalidRequest(f"{path}: content is nested too deeply")
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            raise InvalidRequest(f"{path}.{index}: must be a JSON object")
        block_type = block.get("type")
        if not isinstance(block_type, str):
            raise InvalidRequest(f"{path}.{index}.type: Field required")
        check = _BLOCK_CHECKS.get(block_type)
        if check is not None:
            check(block, f"{path}.{index}")


def _check_text(block: Mapping[str, Any], path: str) -> None:
    _check_string(block, "text", path)


def _check_string(block: Mapping[str, Any], field: str, path: str) -> None:
    if not isinstance(block.get(field), str):
        raise InvalidRequest(f"{path}.{field}: must be a string")


def _check_name(block: Mapping[str, Any], field: str, path: str) -> None:
    if not isinstance(block.get(field), str) or not block[field]:
        raise InvalidRequest(f"{path}.{field}: must be a non-empty string")


def _check_thinking_block(block: Mapping[str, Any], path: str) -> None:
    _check_string(block, "thinking", path)


def _check_tool_use(block: Mapping[str, Any], path: str) -> None:
    _check_name(block, "id", path)
    _check_name(block, "name", path)


def _check_tool_result(block: Mapping[str, Any], path: str) -> None:
    _check_name(block, "tool_use_id", path)
    content = block.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise InvalidRequest(f"{path}.content: must be a string or a list of content blocks")
    _check_blocks(content, f"{path}.content")


def _check_image(block: Mapping[str, Any], path: str) -> None:
    _check_source(block, f"{path}.source", IMAGE_MEDIA_TYPES)


def _check_document(block: Mapping[str, Any], path: str) -> None:
    path = f"{path}.source"
    _check_source(block, path, DOCUMENT_MEDIA_TYPES)
    source = block["source"]
    if source["type"] == "text":
        _check_string(source, "data", path)
    elif source["type"] == "content":
        _check_content(source.get("content"), path, may_be_empty=False)


def _check_source(block: Mapping[str, Any], path: str, media_types: frozenset[str]) -> None:
    source = _object(block.get("source"), path)
    _check_string(source, "type", path)
    if source["type"] == "url":
        _check_name(source, "url", path)
    elif source["type"] == "base64":
        _check_base64(source, path, media_types)


def _check_base64(source: Mapping[str, Any], path: str, media_types: frozenset[str]) -> None:
    media_type = source.get("media_type")
    if not isinstance(media_type, str) or media_type not in media_types:
        raise InvalidRequest(f"{path}.media_type: must be one of {', '.join(sorted(media_types))}")
    _check_name(source, "data", path)
    try:
        base64.b64decode(source["data"], validate=True)
    except ValueError:
        raise InvalidRequest(f"{path}.data: must be valid base64") from None


_BLOCK_CHECKS = {
    "text": _check_text,
    "image": _check_image,
    "document": _check_document,
    "thinking": _check_thinking_block,
    "tool_use": _check_tool_use,
    "tool_result": _check_tool_result,
}


# --- tools ---


def _tools(value: object) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidRequest("tools: must be a list")
    names: set[str] = set()
    for index, tool in enumerate(value):
        path = f"tools.{index}"
        name = _tool_name(_object(tool, path), path)
        if name is not None and name in names:
            raise InvalidRequest(f"{path}.name: tool names must be unique, and {name!r} is not")
        names.add(name or "")
        _check_input_schema(tool, path)
    return value


def _tool_name(tool: Mapping[str, Any], path: str) -> str | None:
    """None for a tool whose shape names it elsewhere or nowhere (``function.name``, an MCP toolset)."""
    if "name" not in tool:
        return None
    name = tool["name"]
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
        raise InvalidRequest(f"{path}.name: must match ^[A-Za-z0-9_-]{{1,128}}$")
    return name


def _check_input_schema(tool: Mapping[str, Any], path: str) -> None:
    """A custom tool needs a schema; other shapes and typed tools may keep it elsewhere or have none."""
    if "input_schema" in tool:
        schema = _object(tool["input_schema"], f"{path}.input_schema")
        if schema.get("type", "object") != "object":
            raise InvalidRequest(f"{path}.input_schema.type: must be 'object'")
    elif tool.get("type") in (None, "custom") and not {"function", "custom", "parameters"} & tool.keys():
        raise InvalidRequest(f"{path}.input_schema: Field required")


# --- fields that depend on each other ---


def _check_thinking(request: MessagesRequest) -> None:
    thinking = request.thinking
    if thinking is None:
        return
    if not isinstance(thinking.get("type"), str):
        raise InvalidRequest("thinking.type: must be a string")
    if thinking["type"] == "enabled":
        _check_thinking_budget(thinking.get("budget_tokens"), request.max_tokens)
        _check_options_with_thinking(request)


def _check_thinking_budget(budget: Any, max_tokens: int) -> None:
    if not _is_integer(budget) or budget < MIN_THINKING_BUDGET:
        raise InvalidRequest(f"thinking.budget_tokens: must be an integer of at least {MIN_THINKING_BUDGET}")
    if max_tokens and budget >= max_tokens:
        raise InvalidRequest("max_tokens: must be greater than thinking.budget_tokens")


def _check_options_with_thinking(request: MessagesRequest) -> None:
    if request.temperature not in (None, 1):
        raise InvalidRequest("temperature: may only be set to 1 when thinking is enabled")
    if request.tool_choice is not None and request.tool_choice.get("type") in ("any", "tool"):
        raise InvalidRequest("tool_choice: may not force tool use when thinking is enabled")


def _check_tool_choice(request: MessagesRequest) -> None:
    choice = request.tool_choice
    if choice is None:
        return
    if not isinstance(choice.get("type"), str):
        raise InvalidRequest("tool_choice.type: must be a string")
    if not request.tools:
        raise InvalidRequest("tool_choice: may only be specified while providing tools")
    if choice["type"] == "tool":
        _check_name(choice, "name", "tool_choice")
