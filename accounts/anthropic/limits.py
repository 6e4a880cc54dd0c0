"""The limits that Anthropic tells in the headers of each answer. Pure.

``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}``, the last one a
time in RFC 3339; the buckets belong to an organisation and a family of models (platform.claude.com/docs/en/
api/rate-limits).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.google.error_bodies import parse_timestamp
from accounts.offers import RateLimit
from accounts.values.outside import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECTS = {
    "requests": "requests",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
    "tokens": "tokens",
}
MOST = 2**40


def rate_limits_in(headers: Mapping[str, str]) -> tuple[RateLimit, ...]:
    """The limits for a minute; those without readable numbers are left out."""
    found = (_limit(headers, name, subject) for name, subject in SUBJECTS.items())
    return tuple(limit for limit in found if limit is not None)


def _limit(headers: Mapping[str, str], name: str, subject: str) -> RateLimit | None:
    at = f"anthropic-ratelimit-{name}"
    limit, remaining = _number(headers.get(f"{at}-limit")), _number(headers.get(f"{at}-remaining"))
    if limit is None or remaining is None:
        return None
    return RateLimit(subject, limit, min(remaining, limit), parse_timestamp(headers.get(f"{at}-reset")))


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 14):
        return None
    return whole_number(int(text), 0, MOST)
