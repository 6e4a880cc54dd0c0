"""What a provider offers an account: models, and how much of their quotas remains. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model that an account may use. None means unknown. `searches_web` is True for models that accept
    requests of type web_search."""

    id: str
    display_name: str
    max_input_tokens: int | None
    max_output_tokens: int | None
    remaining_fraction: float | None = None
    reset_at: datetime | None = None
    searches_web: bool = False


@dataclass(frozen=True, slots=True)
class WindowOffer:
    """One limit of a family of models, "claude" or "gemini", over a span, "5h" or "weekly"."""

    family: str
    span: str
    remaining_fraction: float | None
    reset_at: datetime | None
