"""Checks of the types of fields, where a wrong type would have no meaning. Missing fields are not reported
here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy_site.emulator.anthropic_api import errors

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json

Kind = tuple[tuple[type, ...], str]
"""The Python types of a field, and their name in the errors of Anthropic (Pydantic)."""

STRING: Kind = ((str,), "string")
INTEGER: Kind = ((int,), "integer")
NUMBER: Kind = ((int, float), "number")
BOOLEAN: Kind = ((bool,), "boolean")
OBJECT: Kind = ((dict,), "dictionary")
LIST: Kind = ((list,), "list")
TEXT_OR_LIST: Kind = ((str, list), "string or list")

BODY = {
    "model": STRING,
    "max_tokens": INTEGER,
    "system": TEXT_OR_LIST,
    "stream": BOOLEAN,
    "stop_sequences": LIST,
    "tools": LIST,
    "tool_choice": OBJECT,
    "thinking": OBJECT,
    "metadata": OBJECT,
    "output_config": OBJECT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": INTEGER,
}
THINKING = {"type": STRING, "budget_tokens": INTEGER, "block_binding": OBJECT}
CHOICE = {"type": STRING, "name": STRING}
TOOL = {"type": STRING, "name": STRING, "description": STRING, "input_schema": OBJECT}
SCHEMA = {"type": STRING, "properties": OBJECT}
SOURCE = {"type": STRING, "media_type": STRING, "data": STRING, "url": STRING, "file_id": STRING}
BLOCKS: dict[str, dict[str, Kind]] = {
    "text": {"text": STRING},
    "thinking": {"thinking": STRING, "signature": STRING},
    "redacted_thinking": {"data": STRING},
    "tool_use": {"id": STRING, "name": STRING, "input": OBJECT},
    "tool_result": {"tool_use_id": STRING, "content": TEXT_OR_LIST, "is_error": BOOLEAN},
    "image": {"source": OBJECT},
    "document": {"source": OBJECT},
}


def check_shapes(body: Json) -> None:
    """Check the body, its tools and its blocks. ``messages`` is known to be a list of objects."""
    _check(body, BODY, "")
    _check(body.get("thinking") or {}, THINKING, "thinking.")
    _check(body.get("tool_choice") or {}, CHOICE, "tool_choice.")
    for index, one in enumerate(body.get("stop_sequences") or []):
        _check_value(one, STRING, f"stop_sequences.{index}")
    for index, tool in enumerate(body.get("tools") or []):
        _check_value(tool, OBJECT, f"tools.{index}")
        _check(tool, TOOL, f"tools.{index}.custom.")
        _check(tool.get("input_schema") or {}, SCHEMA, f"tools.{index}.custom.input_schema.")
    check_blocks(body.get("system"), "system")
    for index, message in enumerate(body["messages"]):
        check_blocks(message.get("content"), f"messages.{index}.content")


def check_blocks(content: Any, at: str) -> None:
    """Check a list of blocks, and those in results; a text passes."""
    for number, block in enumerate(content if isinstance(content, list) else []):
        _check_value(block, OBJECT, f"{at}.{number}")
        _check_value(block.get("type"), STRING, f"{at}.{number}.type")
        kind = block["type"]
        where = f"{at}.{number}.{kind}"
        _check(block, BLOCKS.get(kind, {}), f"{where}.")
        if kind in {"image", "document"}:
            _check(block.get("source") or {}, SOURCE, f"{where}.source.")
        if kind == "tool_result":
            check_blocks(block.get("content"), f"{where}.content")


def _check(given: Json, fields: dict[str, Kind], at: str) -> None:
    for name, kind in fields.items():
        if name in given:
            _check_value(given[name], kind, f"{at}{name}")


def _check_value(value: Any, kind: Kind, at: str) -> None:
    types, name = kind
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise errors.invalid_request(f"{at}: Input should be a valid {name}")
