"""The offered models, with the limits that requests must respect.

The ids are those in public clients; the real list changes from week to week.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["claude", "gemini", "gpt"]
HeaderMode = Literal["antigravity", "cli"]

# The pools of requests that share a quota. Gemini has one for each header mode.
CLAUDE_POOL = "claude"
GEMINI_ANTIGRAVITY_POOL = "gemini-antigravity"
GEMINI_CLI_POOL = "gemini-cli"
POOLS = (CLAUDE_POOL, GEMINI_ANTIGRAVITY_POOL, GEMINI_CLI_POOL)


@dataclass(frozen=True)
class Model:
    """``max_tokens`` is the context window, as in fetchAvailableModels; both limits are in tokens."""

    id: str
    display_name: str
    max_tokens: int
    max_output_tokens: int
    thinking_budgets: tuple[int, int] | None = None
    thinking_levels: bool = False
    takes_prefill: bool = False
    in_antigravity: bool = True
    in_cli: bool = False
    searches_web: bool = False

    @property
    def family(self) -> Family:
        if self.id.startswith("claude"):
            return "claude"
        return "gpt" if self.id.startswith("gpt") else "gemini"

    @property
    def is_gemini_3(self) -> bool:
        return self.id.startswith("gemini-3")

    def pool(self, mode: HeaderMode) -> str:
        if self.family != "gemini":
            return CLAUDE_POOL
        return GEMINI_CLI_POOL if mode == "cli" else GEMINI_ANTIGRAVITY_POOL

    def is_listed_in(self, mode: HeaderMode) -> bool:
        return self.in_cli if mode == "cli" else self.in_antigravity


def _claude(id_: str, display_name: str, *, takes_prefill: bool) -> Model:
    return Model(
        id_, display_name, 200_000, 64_000, thinking_budgets=(1024, 63_999), takes_prefill=takes_prefill
    )


def _gemini_3(
    id_: str, display_name: str, *, antigravity: bool = True, cli: bool = False, searches_web: bool = False
) -> Model:
    return Model(
        id_,
        display_name,
        1_048_576,
        65_536,
        thinking_budgets=(128, 32_768),
        thinking_levels=True,
        in_antigravity=antigravity,
        in_cli=cli,
        searches_web=searches_web,
    )


def _gemini_2_5(id_: str, display_name: str, budgets: tuple[int, int]) -> Model:
    return Model(id_, display_name, 1_048_576, 65_536, thinking_budgets=budgets, in_cli=True)


_ALL = (
    _claude("claude-sonnet-4-6", "Claude Sonnet 4.6", takes_prefill=False),
    _claude("claude-opus-4-6-thinking", "Claude Opus 4.6 (Thinking)", takes_prefill=False),
    _claude("claude-opus-4-5-thinking", "Claude Opus 4.5 (Thinking)", takes_prefill=True),
    _claude("claude-sonnet-4-5", "Claude Sonnet 4.5", takes_prefill=True),
    _claude("claude-sonnet-4-5-thinking", "Claude Sonnet 4.5 (Thinking)", takes_prefill=True),
    _gemini_3("gemini-3.1-pro-high", "Gemini 3.1 Pro (High)"),
    _gemini_3("gemini-3.1-pro-low", "Gemini 3.1 Pro (Low)"),
    _gemini_3("gemini-3-pro-high", "Gemini 3 Pro (High)"),
    _gemini_3("gemini-3-pro-low", "Gemini 3 Pro (Low)"),
    _gemini_3("gemini-3-flash", "Gemini 3 Flash"),
    _gemini_3("gemini-3.1-flash-lite", "Gemini 3.1 Flash Lite", searches_web=True),
    _gemini_3("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview", antigravity=False, cli=True),
    _gemini_3("gemini-3-pro-preview", "Gemini 3 Pro Preview", antigravity=False, cli=True),
    _gemini_3("gemini-3-flash-preview", "Gemini 3 Flash Preview", antigravity=False, cli=True),
    _gemini_2_5("gemini-2.5-pro", "Gemini 2.5 Pro", (128, 32_768)),
    _gemini_2_5("gemini-2.5-flash", "Gemini 2.5 Flash", (0, 24_576)),
    _gemini_2_5("gemini-2.5-flash-lite", "Gemini 2.5 Flash Lite", (0, 24_576)),
    Model("gpt-oss-120b-medium", "GPT-OSS 120B (Medium)", 131_072, 32_768),
)

MODELS: dict[str, Model] = {model.id: model for model in _ALL}
WEB_SEARCH_MODELS = tuple(model.id for model in _ALL if model.searches_web)

# Listed although users are not meant to choose them: they serve the editor's own features.
INTERNAL_IDS = ("chat_20706", "chat_23310", "tab_flash_lite_preview", "tab_jump_flash_lite_preview")


def header_mode_for(user_agent: str) -> HeaderMode:
    """Return the header mode of a client, since Google has a quota pool for each."""
    return "antigravity" if user_agent.lower().startswith("antigravity") else "cli"
