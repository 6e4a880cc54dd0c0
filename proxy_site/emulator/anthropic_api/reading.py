"""Conversion of a messages request for the pretended model, into the form of Google's contents and parts.

The rules for Claude (``rules/claude_rules.py``) and the brain know only that form. Only what cannot be read
is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy_site.emulator.anthropic_api import errors
from proxy_site.emulator.anthropic_api.fields import required

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json

ROLES = {"user": "user", "assistant": "model", "system": "user"}
MODES = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}


def as_google_reads(body: Json) -> Json:
    """Return the request with ``contents``, ``systemInstruction``, ``tools``, ``toolConfig`` and
    ``generationConfig``. Raises AnthropicError for blocks without a field that their type requires."""
    names = _names_of_calls(body["messages"])
    contents = [_content(message, index, names) for index, message in enumerate(body["messages"])]
    request: Json = {"contents": contents, "generationConfig": _generation_config(body)}
    if body.get("system"):
        request["systemInstruction"] = {"parts": [{"text": words} for words in _texts(body["system"])]}
    declared = [_declaration(tool) for tool in body.get("tools") or [] if "input_schema" in tool]
    if declared:
        request["tools"] = [{"functionDeclarations": declared}]
        request["toolConfig"] = _tool_config(body.get("tool_choice") or {"type": "auto"})
    return request


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    return [str(block.get("text", "")) for block in given if isinstance(block, dict)]


def blocks_of(message: Json) -> list[Json]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])


def _names_of_calls(messages: list[Json]) -> dict[str, str]:
    calls = [block for one in messages for block in blocks_of(one) if block.get("type") == "tool_use"]
    return {str(call.get("id")): str(call.get("name")) for call in calls}


def _content(message: Json, index: int, names: dict[str, str]) -> Json:
    blocks = blocks_of(message)
    parts = [_part(block, f"messages.{index}.content.{number}", names) for number, block in enumerate(blocks)]
    return {"role": ROLES[message["role"]], "parts": parts}


def _part(block: Json, at: str, names: dict[str, str]) -> Json:
    kind = block["type"]
    try:
        return _READERS.get(kind, _unknown)(block, names)
    except KeyError as error:
        raise required(f"{at}.{kind}.{error.args[0]}") from error


def _text(block: Json, names: dict[str, str]) -> Json:
    return {"text": block["text"]}


def _thinking(block: Json, names: dict[str, str]) -> Json:
    return {"text": block["thinking"], "thought": True, "thoughtSignature": block["signature"]}


def _redacted(block: Json, names: dict[str, str]) -> Json:
    return {"text": "", "thought": True, "thoughtSignature": block["data"]}


def _tool_use(block: Json, names: dict[str, str]) -> Json:
    return {"functionCall": {"id": block["id"], "name": block["name"], "args": block["input"]}}


def _tool_result(block: Json, names: dict[str, str]) -> Json:
    inner = blocks_of(block)
    texts = [one["text"] for one in inner if one.get("type") == "text"]
    files = [_media(one, names) for one in inner if one.get("type") in {"image", "document"}]
    result = {
        "id": block["tool_use_id"],
        "name": names.get(block["tool_use_id"], ""),
        "response": {"result": "\n".join(texts)},
    }
    return {"functionResponse": {**result, **({"parts": files} if files else {})}}


def _media(block: Json, names: dict[str, str]) -> Json:
    source = block["source"]
    if source.get("type") == "base64":
        return {"inlineData": {"mimeType": source["media_type"], "data": source["data"]}}
    if source.get("type") == "text":
        return {"text": source["data"]}
    return {"fileData": {"fileUri": source.get("url") or source.get("file_id") or ""}}


def _unknown(block: Json, names: dict[str, str]) -> Json:
    """Return no parts for a block of a server tool, of a beta, or of an unknown type."""
    return {"text": f"[{block['type']}]"}


_READERS = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image": _media,
    "document": _media,
}


def _declaration(tool: Json) -> Json:
    return {
        "name": tool.get("name", ""),
        "description": tool.get("description", ""),
        "parameters": tool["input_schema"],
    }


def _tool_config(choice: Json) -> Json:
    if choice.get("type") not in MODES:
        raise errors.invalid_request(
            "tool_choice: Input tag found using 'type' does not match any of the expected tags"
        )
    config: Json = {"mode": MODES[choice["type"]]}
    if choice["type"] == "tool":
        config["allowedFunctionNames"] = [choice.get("name", "")]
    return {"functionCallingConfig": config}


def _generation_config(body: Json) -> Json:
    names = {
        "max_tokens": "maxOutputTokens",
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "topK",
        "stop_sequences": "stopSequences",
    }
    config = {google: body[name] for name, google in names.items() if body.get(name) is not None}
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "adaptive":
        config["thinkingConfig"] = {"includeThoughts": True}
    if thinking.get("type") == "enabled":
        if "budget_tokens" not in thinking:
            raise required("thinking.enabled.budget_tokens")
        config["thinkingConfig"] = {"includeThoughts": True, "thinkingBudget": thinking["budget_tokens"]}
    return config
