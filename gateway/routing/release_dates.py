"""Release dates of models, which Google's list lacks. Pure.

From the release notes of the vendors and https://models.dev: the day of general availability, for Gemini 2.5
that of the stable release. For a missing model see UNKNOWN.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.routing.names import parse_model_name

UNKNOWN = datetime.fromtimestamp(0, UTC)
"""Anthropic's API returns the epoch for an unknown date."""

# Release dates by canonical name (names.py)
RELEASED = {
    "opus-4.5": "2025-11-24",
    "opus-4.6": "2026-02-05",
    "opus-4.7": "2026-04-16",
    "opus-4.8": "2026-05-28",
    "opus-5.0": "2026-07-24",
    "sonnet-4.5": "2025-09-29",
    "sonnet-4.6": "2026-02-17",
    "sonnet-5.0": "2026-06-30",
    "haiku-4.5": "2025-10-15",
    "gemini-pro-2.5": "2025-06-17",
    "gemini-flash-2.5": "2025-06-17",
    "gemini-flash-lite-2.5": "2025-07-22",
    "gemini-pro-3.0": "2025-11-18",
    "gemini-3-pro-image": "2025-11-20",
    "gemini-flash-3.0": "2025-12-17",
    "gemini-pro-3.1": "2026-02-19",
    "gemini-flash-3.5": "2026-05-19",
    "gemini-flash-3.6": "2026-07-21",
    "gemini-flash-lite-3.5": "2026-07-21",
    "gpt-oss-120b": "2025-08-05",
}


def released_at(model_id: str) -> datetime:
    day = RELEASED.get(parse_model_name(model_id).canonical)
    return datetime.fromisoformat(day).replace(tzinfo=UTC) if day else UNKNOWN
