"""Is this a request that Anthropic would take? Pure, but for the thoughts that a state has bound.

validate(body)                       passes, or raises AnthropicError
validate(body, version="2026-10-21", betas=["context-management-2025-06-27"])
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from proxy_site.emulator.anthropic_api import errors
from proxy_site.emulator.anthropic_api.catalogue import ClaudeModel, claude_model_named
from proxy_site.emulator.anthropic_api.fields import betas_in, check_betas, check_fields, required
from proxy_site.emulator.anthropic_api.reading import ROLES, as_google_reads, blocks_of
from proxy_site.emulator.anthropic_api.shapes import check_shapes
from proxy_site.emulator.google_errors import GoogleError
from proxy_site.emulator.pretend_model.signatures import Signatures
from proxy_site.emulator.pretend_model.tokenizer import TOKENIZERS, Tokenizers
from proxy_site.emulator.rules.claude_rules import check_claude
from proxy_site.emulator.rules.generation_rules import check_generation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy_site.emulator.refusal import Json

VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
WITHOUT_SAMPLING = "2026-10-21"
MOST_BREAKPOINTS = 4
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def validate(
    body: Any, *, version: str = "2023-06-01", betas: Iterable[str] = (), signatures: Signatures | None = None
) -> Json:
    """Return a valid request in the form that the pretended model reads."""
    headers = list(betas)
    check_betas(headers)
    return check(body, version, betas_in(headers), signatures or Signatures())


def check(
    body: Any, version: str, betas: list[str], signatures: Signatures, tokenizers: Tokenizers = TOKENIZERS
) -> Json:
    model = check_frame(body)
    if "max_tokens" not in body:
        raise required("max_tokens")
    check_fields(body, betas)
    if version == WITHOUT_SAMPLING:
        _check_version_2026(body)
    check_breakpoints(body)
    _check_tools(body.get("tools") or [])
    request = as_google_reads(body)
    try:
        check_generation(request, model.model)
        check_claude(request, model.model, signatures)
    except GoogleError as error:
        raise _unwrapped(error) from error
    tokens = tokenizers["claude"].count_prompt(request)
    if tokens > model.model.max_tokens:
        raise errors.invalid_request(
            f"prompt is too long: {tokens} tokens > {model.model.max_tokens} maximum"
        )
    return request


def check_frame(body: Any) -> ClaudeModel:
    """Check what counting needs as well: a model, and messages with roles and content."""
    if not isinstance(body, dict):
        raise errors.invalid_request("Input should be a valid dictionary")
    for name in ("model", "messages"):
        if name not in body:
            raise required(name)
    model = claude_model_named(body["model"])
    if model is None:
        raise errors.model_not_found(body["model"])
    check_messages(body)
    if not model.takes_system_messages and any(one["role"] == "system" for one in body["messages"]):
        raise errors.invalid_request("role 'system' is not supported on this model")
    return model


def check_messages(body: Json) -> None:
    """Check what must be readable: messages with roles and content, and the types of all fields."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise errors.invalid_request("messages: Input should be a valid list")
    if not messages:
        raise errors.invalid_request("messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or str(message.get("role")) not in ROLES:
            raise errors.invalid_request(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        _check_content(message, index)
    check_shapes(body)


def _check_content(message: Json, index: int) -> None:
    content = message.get("content")
    if content is None and message.get("output_config"):
        return
    if not isinstance(content, (str, list)):
        raise errors.invalid_request(f"messages.{index}.content: Input should be a valid string or list")
    blocks: list[Any] = blocks_of(message)
    if not all(isinstance(block, dict) and "type" in block for block in blocks):
        raise required(f"messages.{index}.content.0.type")
    if not content and not message.get("output_config"):
        raise errors.invalid_request(
            f"messages.{index}: all messages must have non-empty content except for the optional final "
            "assistant message"
        )


def _unwrapped(error: GoogleError) -> errors.AnthropicError:
    """Return Claude's error, which is a JSON string in Google's message; the few that are Google's own keep
    their text."""
    try:
        message = orjson.loads(error.message)["error"]["message"]
    except orjson.JSONDecodeError:
        message = error.message
    return errors.invalid_request(message)


def _check_version_2026(body: Json) -> None:
    """Check the rules of this version: no sampling, no documents of the assistant, no citations in a user's
    texts (platform.claude.com/docs/en/api/versioning)."""
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            raise errors.extra_input(name)
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(blocks_of(message)):
            at = f"messages.{index}.content.{number}"
            if block["type"] == "document" and message["role"] == "assistant":
                raise errors.invalid_request(
                    f"{at}: 'document' blocks are not permitted within assistant turns"
                )
            if block["type"] == "text" and message["role"] == "user" and block.get("citations"):
                raise errors.extra_input(f"{at}.text.citations")


def check_breakpoints(body: Json) -> None:
    system = body.get("system")
    blocks = [*(system if isinstance(system, list) else []), *(body.get("tools") or [])]
    for message in body["messages"]:
        for block in blocks_of(message):
            blocks += [block, *(blocks_of(block) if block["type"] == "tool_result" else [])]
    found = sum(1 for block in [body, *blocks] if block.get("cache_control"))
    if found > MOST_BREAKPOINTS:
        raise errors.invalid_request(
            f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {found}."
        )


def _check_tools(tools: list[Any]) -> None:
    names = [tool.get("name", "") for tool in tools]
    for index, (tool, name) in enumerate(zip(tools, names, strict=True)):
        if tool.get("type", "custom") != "custom":
            continue
        at = f"tools.{index}.custom"
        if not TOOL_NAME.fullmatch(name):
            raise errors.invalid_request(f"{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        _check_schema(tool.get("input_schema"), f"{at}.input_schema")
    if len(set(names)) < len(names):
        raise errors.invalid_request("tools: Tool names must be unique.")


def _check_schema(schema: Any, at: str) -> None:
    if not isinstance(schema, dict):
        raise required(at)
    if schema.get("type") != "object":
        raise errors.invalid_request(f"{at}.type: Input should be 'object'")
    if not all(PROPERTY_NAME.fullmatch(name) for name in schema.get("properties") or {}):
        raise errors.invalid_request(
            f"{at}.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
        )
