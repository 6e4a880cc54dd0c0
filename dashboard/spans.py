"""The spans of time that pages offer, by the name that stands in the address."""

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
"""Of all pages, so that their numbers agree."""


def span_of(request: HttpRequest, default: str) -> str:
    """The name of the span asked for; the default for none and for an unknown one."""
    span = request.GET.get("span", default)
    return span if span in SPANS else default
