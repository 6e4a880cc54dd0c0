"""The rate limits in the headers of each answer of Anthropic's. Pure.

``anthropic-ratelimit-{requests,input-tokens}-limit`` are limits per minute. A limit belongs to an
organisation and a family of models, and tokens read from the prompt cache do not count
(platform.claude.com/docs/en/api/rate-limits).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.failures import QuotaLimit
from accounts.values.outside import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECTS = {"requests": "requests", "input-tokens": "input_tokens"}
MOST = 2**40


def limits_in(headers: Mapping[str, str]) -> tuple[QuotaLimit, ...]:
    """Return the limits per minute, without those that have no readable number."""
    found = {
        subject: _number(headers.get(f"anthropic-ratelimit-{name}-limit"))
        for name, subject in SUBJECTS.items()
    }
    return tuple(QuotaLimit(subject, "minute", limit) for subject, limit in found.items() if limit)


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 14):
        return None
    return whole_number(int(text), 0, MOST)
