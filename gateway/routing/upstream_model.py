"""Properties of an upstream model that follow from its name: family, thinking, header mode, limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Family = Literal["claude", "gemini", "gpt", "unknown"]
HeaderMode = Literal["cli", "antigravity"]

FAMILIES: tuple[Family, ...] = ("claude", "gemini", "gpt")
CLOUD_CODE = "google"
"""The kind of account whose models have header modes, and names that differ by them."""

# For models whose limit fetchAvailableModels does not report.
DEFAULT_MAX_OUTPUT_TOKENS: dict[Family, int] = {
    "claude": 64_000,
    "gemini": 65_536,
    "gpt": 32_768,
    "unknown": 32_768,
}

# Model names at the Gemini CLI's backend. A level in the client's name is sent as thinkingLevel.
CLI_NAMES = {
    "gemini-3-pro": "gemini-3-pro-preview",
    "gemini-3.1-pro": "gemini-3.1-pro-preview",
    "gemini-3-flash": "gemini-3-flash-preview",
    "gemini-3.1-flash-lite": "gemini-3.1-flash-lite-preview",
    "gemini-3-pro-image-preview": "gemini-3-pro-image",
}
# Antigravity has no bare Pro: the level is part of the name.
ANTIGRAVITY_NAMES = {
    "gemini-3-pro": "gemini-3-pro-low",
    "gemini-3-pro-preview": "gemini-3-pro-low",
}

_CLIENT_SUFFIX = re.compile(r"\[\d+[mhd]\]$", re.IGNORECASE)
# A date, as in claude-opus-4-20250514, is no minor version.
_CLAUDE_VERSION = re.compile(r"(?<!\d)(\d{1,2})(?:[.-](\d{1,2}))?(?!\d)")
_GEMINI_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?", re.IGNORECASE)
_LEVEL_SUFFIX = re.compile(r"(gemini-[3-9].*)-(minimal|low|medium|high)$")

# "This model does not support assistant message prefill. The conversation must end with a user message."
# (anthropics/claude-code#52433, decolua/9router#2302).
FIRST_CLAUDE_WITHOUT_PREFILL = (4, 6)


@dataclass(frozen=True, slots=True)
class UpstreamModel:
    """A model at one kind of account. ``listed_id`` is its id in the provider's list of models, which
    accounts, routes and the operator use; ``sent_id`` is the id in requests. Limits are in tokens; None means
    unknown. ``header_mode`` matters only for kind "google"."""

    listed_id: str
    sent_id: str
    family: Family
    thinks: bool
    max_output_tokens: int
    max_input_tokens: int | None = None
    thinking_level: str | None = None
    header_mode: HeaderMode = "antigravity"
    kind: str = CLOUD_CODE

    @property
    def gemini_version(self) -> tuple[int, int]:
        return gemini_version(self.sent_id)

    @property
    def quota_key(self) -> str:
        """The key by which the provider counts quotas. Two listed models with the same ``sent_id`` share
        one."""
        return f"{self.sent_id}:{self.header_mode if self.kind == CLOUD_CODE else self.kind}"

    @property
    def takes_prefill(self) -> bool:
        """True for a model that can continue an assistant message. A Claude model without a version counts as
        a new one, which cannot."""
        version = claude_version(self.sent_id) if self.family == "claude" else None
        return version is not None and version < FIRST_CLAUDE_WITHOUT_PREFILL

    @property
    def nests_images_in_tool_results(self) -> bool:
        return self.family == "claude" or self.gemini_version >= (3, 0)


def strip_client_suffix(model: str) -> str:
    """Return ``claude-opus-5-5`` for ``claude-opus-5-5[1m]``: the suffix is the client's own."""
    return _CLIENT_SUFFIX.sub("", model.strip()).strip()


def family_of(model_id: str) -> Family:
    lowered = model_id.lower()
    for family in FAMILIES:
        if family in lowered:
            return family
    return "unknown"


@lru_cache(maxsize=256)
def claude_version(model_id: str) -> tuple[int, int] | None:
    """Return (4, 6) for ``claude-opus-4-6-thinking``; None for a name without a version."""
    match = _CLAUDE_VERSION.search(model_id.lower().partition("claude")[2] or model_id)
    return (int(match[1]), int(match[2] or 0)) if match else None


@lru_cache(maxsize=256)
def gemini_version(model_id: str) -> tuple[int, int]:
    """Return (3, 1) for ``gemini-3.1-pro-high``; (0, 0) for a name without a version."""
    match = _GEMINI_VERSION.search(model_id)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)


def is_thinking_model(model_id: str) -> bool:
    family = family_of(model_id)
    if family == "claude":
        return "thinking" in model_id.lower()
    return family == "gemini" and ("thinking" in model_id.lower() or gemini_version(model_id) >= (3, 0))


@lru_cache(maxsize=256)
def upstream_model(
    model_id: str,
    *,
    header_mode: HeaderMode = "antigravity",
    kind: str = CLOUD_CODE,
    max_output_tokens: int | None = None,
    max_input_tokens: int | None = None,
) -> UpstreamModel:
    """Return the model. ``header_mode`` is the operator's choice for Gemini models at Cloud Code; other
    families exist in only one mode."""
    model_id = strip_client_suffix(model_id)
    family = family_of(model_id)
    if family != "gemini" or kind != CLOUD_CODE:
        header_mode = "antigravity"
    name, level = _name_in_mode(model_id, header_mode) if kind == CLOUD_CODE else (model_id, None)
    return UpstreamModel(
        listed_id=name if header_mode == "antigravity" else model_id,
        sent_id=name,
        family=family,
        thinks=is_thinking_model(name),
        max_output_tokens=max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS[family],
        max_input_tokens=max_input_tokens,
        thinking_level=level,
        header_mode=header_mode,
        kind=kind,
    )


def _name_in_mode(model_id: str, header_mode: HeaderMode) -> tuple[str, str | None]:
    if header_mode == "antigravity":
        return ANTIGRAVITY_NAMES.get(model_id, model_id), None
    match = _LEVEL_SUFFIX.match(model_id)
    if match is None:
        return CLI_NAMES.get(model_id, model_id), None
    return CLI_NAMES.get(match[1], model_id), match[2]
