"""The ``anthropic-ratelimit-*`` headers of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy_site.emulator.clock import as_timestamp
from proxy_site.emulator.keyed.limits import window_end

if TYPE_CHECKING:
    from proxy_site.emulator.keyed.keys import ApiKey
    from proxy_site.emulator.keyed.limits import LimitName

# Limits of keys that have none here; Anthropic's highest tier has some too.
UNLIMITED: dict[LimitName, int] = {"requests_per_minute": 4_000, "input_tokens_per_minute": 2_000_000}
OUTPUT_TOKENS_PER_MINUTE = 400_000


def rate_headers(key: ApiKey, model: str, now: float) -> dict[str, str]:
    """Return limit, remaining and reset (RFC 3339) of requests and tokens in this minute."""
    reset = as_timestamp(window_end("input_tokens_per_minute", now))
    requests, tokens = (_limit_and_rest(key, name, model, now) for name in UNLIMITED)
    output = (OUTPUT_TOKENS_PER_MINUTE, OUTPUT_TOKENS_PER_MINUTE)
    both = (tokens[0] + output[0], tokens[1] + output[1])
    rows = {"requests": requests, "input-tokens": tokens, "output-tokens": output, "tokens": both}
    headers: dict[str, str] = {}
    for name, (limit, rest) in rows.items():
        at = f"anthropic-ratelimit-{name}"
        headers |= {f"{at}-limit": str(limit), f"{at}-remaining": str(rest), f"{at}-reset": reset}
    return headers


def _limit_and_rest(key: ApiKey, name: LimitName, model: str, now: float) -> tuple[int, int]:
    limits = key.strictest(name)
    if limits is None:
        return UNLIMITED[name], UNLIMITED[name]
    return int(getattr(limits, name)), limits.remaining(name, model, now) or 0
