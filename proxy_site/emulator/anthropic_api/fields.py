"""The fields that the Messages API knows, and the betas that allow further ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from proxy_site.emulator.anthropic_api import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy_site.emulator.anthropic_api.errors import AnthropicError
    from proxy_site.emulator.refusal import Json

FIELDS = frozenset(
    {
        *("model", "messages", "max_tokens", "system", "stream", "metadata", "stop_sequences", "tools"),
        *("tool_choice", "thinking", "temperature", "top_p", "top_k", "cache_control", "container", "speed"),
        *("diagnostics", "inference_geo", "output_config", "service_tier"),
    }
)
FIELDS_OF_BETAS = {
    "context_management": ("context-management", "compact"),
    "mcp_servers": ("mcp-client", "mcp-servers"),
    "thread": ("message-threads",),
    "fallbacks": ("server-side-fallback",),
    "fallback_credit_token": ("fallback-credit",),
    "compaction": ("compact",),
    "safeguards": ("dangerous-tool-use", "afk-mode"),
    "output_format": ("structured-outputs",),
    "tags": ("request-tags",),
}
SYSTEM_MESSAGE_FIELDS_OF_BETAS = {
    "output_config": ("per-turn-control", "mid-conversation-output-config"),
    "clear_at": ("mid-conversation-system-clear-at",),
}
"""The further fields of a system message, each with the betas that allow it. For the effort of a turn, in
``output_config``, Claude Code sends the first beta, and Anthropic documents the second."""
BLOCK_FIELDS = {
    "text": {"text", "cache_control", "citations"},
    "image": {"source", "cache_control", "transformations"},
    "document": {"source", "cache_control", "citations", "context", "title"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input", "cache_control", "caller", "toolset_name"},
    "tool_result": {"tool_use_id", "content", "is_error", "cache_control", "toolset_name"},
}
TOOL_FIELDS = frozenset(
    {
        *("type", "name", "description", "input_schema", "cache_control", "strict", "defer_loading"),
        *("eager_input_streaming", "input_examples", "allowed_callers"),
    }
)

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
_KNOWN_BETAS = frozenset(
    {
        *("claude-code", "interleaved-thinking", "context-management", "effort"),
        *("thinking-token-count", "advanced-tool-use", "tool-search-tool", "per-turn-control"),
        *(
            "mid-conversation-tool-changes",
            "mid-conversation-system",
            "mid-conversation-system-clear-at",
            "mid-conversation-output-config",
        ),
        *("context-1m", "extended-cache-ttl", "structured-outputs", "redact-thinking"),
        *("thinking-display-updates", "dangerous-tool-use", "afk-mode", "token-counting"),
        *("fast-mode", "task-budgets", "request-tags", "prompt-caching"),
        *("prompt-caching-scope", "web-search", "web-fetch", "cache-diagnosis"),
        *("mcp-client", "mcp-servers", "advisor-tool", "server-side-fallback"),
        *("fallback-credit", "auto-mode-classifier", "output-128k", "output-300k"),
        *("dev-full-thinking", "code-execution", "computer-use", "compact"),
        *("model-context-window-exceeded", "files-api", "skills", "token-efficient-tools"),
        *("fine-grained-tool-streaming", "thinking-binding-controls", "inline-tools", "message-threads"),
        *("message-batches", "pdfs"),
    }
)


def betas_in(headers: Iterable[str]) -> list[str]:
    """Return the betas in all ``anthropic-beta`` headers, without their dates."""
    named = [value.strip() for header in headers for value in header.split(",")]
    return [_DATED.sub("", value) for value in named if value]


def check_betas(headers: Iterable[str]) -> None:
    named = [value.strip() for header in headers for value in header.split(",") if value.strip()]
    unknown = [value for value in named if _DATED.sub("", value) not in _KNOWN_BETAS]
    if unknown:
        shown = ", ".join(f"`{value}`" for value in unknown)
        raise errors.invalid_request(
            f"Unexpected value(s) {shown} for the `anthropic-beta` header. Please consult our documentation "
            "at docs.claude.com or try again without the header."
        )


def check_fields(body: Json, betas: list[str]) -> None:
    """Refuse unknown fields, at the top, in tools and in blocks, and those whose beta was not sent."""
    for name in body:
        if name not in FIELDS and name not in _allowed_by(betas, FIELDS_OF_BETAS):
            raise errors.extra_input(name)
    for index, tool in enumerate(body.get("tools") or []):
        if isinstance(tool, dict) and tool.get("type", "custom") == "custom":
            _check(tool, TOOL_FIELDS, f"tools.{index}.custom")
    for index, message in enumerate(body["messages"]):
        _check_message(message, betas, f"messages.{index}")


def _allowed_by(betas: list[str], fields: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {name for name, any_of in fields.items() if not set(any_of).isdisjoint(betas)}


def _check_message(message: Any, betas: list[str], at: str) -> None:
    if not isinstance(message, dict):
        raise errors.invalid_request(f"{at}: Input should be a valid dictionary")
    further = _allowed_by(betas, SYSTEM_MESSAGE_FIELDS_OF_BETAS) if message.get("role") == "system" else ()
    _check(message, {"role", "content", *further}, at)
    if isinstance(message.get("content"), list):
        for number, block in enumerate(message["content"]):
            _check_block(block, f"{at}.content.{number}")


def _check_block(block: Any, at: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise errors.invalid_request(f"{at}: Input should be a valid dictionary or object with a `type`")
    if kind in BLOCK_FIELDS:
        _check(block, {"type", *BLOCK_FIELDS[kind]}, f"{at}.{kind}")


def _check(given: Json, known: Iterable[str], at: str) -> None:
    for name in given:
        if name not in known:
            raise errors.extra_input(f"{at}.{name}")


def required(at: str) -> AnthropicError:
    return errors.invalid_request(f"{at}: Field required")
