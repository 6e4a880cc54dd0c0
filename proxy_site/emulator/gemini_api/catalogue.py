"""The models of the Gemini API, with what each allows. A model's list entry has the fields of ListModels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy_site.emulator.models import Model

if TYPE_CHECKING:
    from proxy_site.emulator.refusal import Json

GENERATE = ("generateContent", "countTokens")
LOW_HIGH = ("LOW", "HIGH")
ALL_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")


@dataclass(frozen=True)
class Offer:
    """One model. ``levels`` are the thinking levels that it accepts; none before Gemini 3."""

    model: Model
    levels: tuple[str, ...] = ()
    methods: tuple[str, ...] = GENERATE
    least_cached_tokens: int = 2048
    """The smallest prefix that is cached, in tokens (ai.google.dev/gemini-api/docs/caching, July 2026)."""

    def listed(self) -> Json:
        thinks = {"thinking": True} if self.model.thinking_budgets else {}
        return {
            "name": f"models/{self.model.id}",
            "version": "001",
            "displayName": self.model.display_name,
            "description": f"An emulated {self.model.display_name}.",
            "inputTokenLimit": self.model.max_tokens,
            "outputTokenLimit": self.model.max_output_tokens,
            "supportedGenerationMethods": list(self.methods),
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 2,
            **thinks,
        }


def _gemini_3(id_: str, name: str, levels: tuple[str, ...]) -> Offer:
    model = Model(id_, name, 1_048_576, 65_536, thinking_budgets=(128, 32_768), thinking_levels=True)
    return Offer(model, levels, least_cached_tokens=4096)


def _gemini_2_5(id_: str, name: str, budgets: tuple[int, int]) -> Offer:
    return Offer(Model(id_, name, 1_048_576, 65_536, thinking_budgets=budgets))


def _other(id_: str, name: str, *methods: str) -> Offer:
    return Offer(Model(id_, name, 8_192, 8_192), methods=methods)


_ALL = (
    _gemini_3("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview", ("LOW", "MEDIUM", "HIGH")),
    _gemini_3("gemini-3-pro-preview", "Gemini 3 Pro Preview", LOW_HIGH),
    _gemini_3("gemini-3-flash-preview", "Gemini 3 Flash Preview", ALL_LEVELS),
    _gemini_3("gemini-3.5-flash", "Gemini 3.5 Flash", ALL_LEVELS),
    _gemini_3("gemini-3.1-flash-lite", "Gemini 3.1 Flash-Lite", ("MINIMAL", "HIGH")),
    _gemini_2_5("gemini-2.5-pro", "Gemini 2.5 Pro", (128, 32_768)),
    _gemini_2_5("gemini-2.5-flash", "Gemini 2.5 Flash", (0, 24_576)),
    _gemini_2_5("gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite", (0, 24_576)),
    _other("gemini-embedding-001", "Gemini Embedding 001", "embedContent", "countTextTokens"),
    _other("imagen-4.0-generate-001", "Imagen 4", "predict"),
)
OFFERS = {offer.model.id: offer for offer in _ALL}
ALIASES = {
    "gemini-pro-latest": "gemini-3.1-pro-preview",
    "gemini-flash-latest": "gemini-3.5-flash",
    "gemini-flash-lite-latest": "gemini-3.1-flash-lite",
}


def offer_named(name: str) -> Offer | None:
    """Return a model by its id or alias, without ``models/``; None for an unknown one."""
    return OFFERS.get(ALIASES.get(name, name))
