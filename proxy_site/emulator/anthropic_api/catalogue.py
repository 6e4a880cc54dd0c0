"""Anthropic's models, with the fields of ``GET /v1/models``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy_site.emulator.models import Model

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json


@dataclass(frozen=True)
class ClaudeModel:
    """A model. ``binds_thinking`` means that its thoughts belong to the messages before them; which real
    models check that is not known."""

    model: Model
    created_at: str
    line: str
    is_retired: bool = False
    binds_thinking: bool = False
    takes_system_messages: bool = False
    """True when it accepts system messages within the conversation; older models answer 400
    (anthropics/claude-code#61412)."""

    def listed(self) -> Json:
        ended = "2026-01-05T00:00:00Z" if self.is_retired else None
        return {
            "type": "model",
            "id": self.model.id,
            "display_name": self.model.display_name,
            "created_at": self.created_at,
            "lifecycle": "retired" if self.is_retired else "active",
            "deprecated_at": ended,
            "retires_at": ended,
            "line": self.line,
            "max_input_tokens": self.model.max_tokens,
            "max_tokens": self.model.max_output_tokens,
            "capabilities": _capabilities(self.model),
        }


def _capabilities(model: Model) -> Json:
    can = {"supported": True}
    newer: dict[str, Any] = {"supported": not model.takes_prefill}
    levels = dict.fromkeys(("low", "medium", "high", "max"), newer)
    kinds = {"adaptive": newer, "enabled": can, "disabled": can, "between_tools": can}
    plain = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")
    return {
        **dict.fromkeys(plain, can),
        "context_management": can,
        "effort": {**newer, **levels},
        "server_tools": {**can, "code_execution": can, "web_search": can},
        "thinking": {**can, "types": kinds},
    }


def _model(id_: str, name: str, context: int, output: int, *, prefill: bool = False) -> Model:
    return Model(id_, name, context, output, thinking_budgets=(1024, output - 1), takes_prefill=prefill)


_LARGE, _SMALL = (1_000_000, 128_000), (200_000, 64_000)
_ALL = (
    ClaudeModel(
        _model("claude-opus-5-5", "Claude Opus 5.5", *_LARGE),
        "2026-08-05T00:00:00Z",
        "opus",
        binds_thinking=True,
        takes_system_messages=True,
    ),
    ClaudeModel(
        _model("claude-sonnet-5-5", "Claude Sonnet 5.5", *_LARGE),
        "2026-08-05T00:00:00Z",
        "sonnet",
        takes_system_messages=True,
    ),
    ClaudeModel(
        _model("claude-haiku-5-5", "Claude Haiku 5.5", *_LARGE),
        "2026-08-05T00:00:00Z",
        "haiku",
        takes_system_messages=True,
    ),
    ClaudeModel(_model("claude-opus-4-8", "Claude Opus 4.8", *_LARGE), "2026-05-28T00:00:00Z", "opus"),
    ClaudeModel(_model("claude-sonnet-4-6", "Claude Sonnet 4.6", *_SMALL), "2026-02-17T00:00:00Z", "sonnet"),
    ClaudeModel(
        _model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", *_SMALL, prefill=True),
        "2025-10-15T00:00:00Z",
        "haiku",
    ),
    ClaudeModel(
        _model("claude-3-opus-20240229", "Claude Opus 3", 200_000, 4_096, prefill=True),
        "2024-02-29T00:00:00Z",
        "opus",
        is_retired=True,
    ),
)
CLAUDE_MODELS = {one.model.id: one for one in _ALL}
ALIASES = {"claude-haiku-4-5": "claude-haiku-4-5-20251001"}


def claude_model_named(name: object) -> ClaudeModel | None:
    """Return the model that answers to an id or alias; None for an unknown one."""
    found = CLAUDE_MODELS.get(ALIASES.get(str(name), str(name)))
    return None if found is None or found.is_retired else found
