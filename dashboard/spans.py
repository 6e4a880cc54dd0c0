"""The spans of time that pages offer, by their names in the address."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest

SPANS = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
DEFAULT_SPAN = "24h"
"""The span of all pages unless another is chosen, so that their numbers agree."""


def span_of(request: HttpRequest, default: str) -> str:
    """Return the name of the span that is asked for; the default when there is none or it is unknown."""
    span = request.GET.get("span", default)
    return span if span in SPANS else default
