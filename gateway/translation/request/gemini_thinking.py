"""Gemini's thinkingConfig: which models take a level, which a budget, and within which bounds.

A request with both is refused. At the Gemini API, models from Gemini 3 on get a level; they differ in the
levels that they accept (router-for-me/CLIProxyAPI, internal/registry/models/models.json; ai.google.dev,
gemini-api/docs/gemini-3). Cloud Code gets a level in header mode cli and a budget in mode antigravity, where
the models' names contain the level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.routing.upstream_model import CLOUD_CODE

if TYPE_CHECKING:
    from gateway.routing.upstream_model import UpstreamModel

LEVELS = ("minimal", "low", "medium", "high")
FIRST_WITH_LEVELS = (3, 0)
LEVELS_AT_GEMINI_API: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gemini-3.1-flash-lite", ("minimal", "high")),
    ("gemini-3.1-pro", ("low", "medium", "high")),
    ("gemini-3-flash", LEVELS),
    ("gemini-3.5-flash", LEVELS),
    ("gemini-3.6-flash", LEVELS),
    ("gemini-3.7-flash", LEVELS),
)
"""The levels that a model accepts, by the beginning of its id; the first row that fits decides."""
LEVELS_OF_OTHERS = ("low", "high")
"""The levels of Gemini 3 Pro, and of unknown models."""

MIN_ANSWER_TOKENS = 1_024
MIN_BUDGET = 128
MIN_LITE_BUDGET = 512
FLASH_MAX_BUDGET = 24_576
MAX_BUDGET = 32_768


def gemini_thinking(model: UpstreamModel, budget: int, level: str, max_tokens: int) -> dict[str, Any]:
    """Return the configuration nearest to the budget or level."""
    if _takes_level(model):
        return {"includeThoughts": True, "thinkingLevel": _allowed_level(model, level)}
    is_small = model.gemini_version < FIRST_WITH_LEVELS and "flash" in model.sent_id
    # Thinking is counted in maxOutputTokens: some must remain for the answer.
    budget = min(budget, FLASH_MAX_BUDGET if is_small else MAX_BUDGET, max_tokens - MIN_ANSWER_TOKENS)
    return {"includeThoughts": True, "thinkingBudget": max(budget, _least_budget(model))}


def least_gemini_thinking(model: UpstreamModel) -> dict[str, Any]:
    """Return the configuration with the least thinking: Gemini 3 and 2.5 Pro cannot turn it off."""
    if model.gemini_version < FIRST_WITH_LEVELS:
        return {"includeThoughts": False, "thinkingBudget": 0 if "flash" in model.sent_id else MIN_BUDGET}
    least = "minimal" if "flash" in model.sent_id else "low"
    return {"includeThoughts": False, "thinkingLevel": _allowed_level(model, least)}


def _takes_level(model: UpstreamModel) -> bool:
    is_named = model.kind == CLOUD_CODE and model.header_mode == "antigravity"
    return model.gemini_version >= FIRST_WITH_LEVELS and not is_named


def _least_budget(model: UpstreamModel) -> int:
    return MIN_LITE_BUDGET if "flash-lite" in model.sent_id else MIN_BUDGET


def _allowed_level(model: UpstreamModel, level: str) -> str:
    """Return the nearest level that the model accepts; of two equally near ones the higher. Cloud Code
    accepts all."""
    if model.kind == CLOUD_CODE:
        return level
    rows = (levels for start, levels in LEVELS_AT_GEMINI_API if model.sent_id.startswith(start))
    wanted = LEVELS.index(level)
    return min(reversed(next(rows, LEVELS_OF_OTHERS)), key=lambda one: abs(LEVELS.index(one) - wanted))
