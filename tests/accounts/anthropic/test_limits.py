"""What the headers of an answer tell of Anthropic's limits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from accounts.anthropic.limits import rate_limits_in
from accounts.offers import RateLimit
from proxy_site.emulator.anthropic_api.rate_headers import rate_headers
from proxy_site.emulator.keyed.keys import sample_keys

AT = "anthropic-ratelimit-requests"


def test_limits_are_read_from_all_headers() -> None:
    headers = rate_headers(sample_keys()["anthropic-grace"], "claude-sonnet-4-6", 1_800_000_000.0)

    limits = {limit.subject: limit for limit in rate_limits_in(headers)}

    assert limits.keys() == {"requests", "input_tokens", "output_tokens", "tokens"}
    reset = datetime(2027, 1, 15, 8, 1, tzinfo=UTC)
    assert limits["requests"] == RateLimit("requests", 50, 50, reset)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {f"{AT}-limit": "50"},
        {f"{AT}-limit": "-1", f"{AT}-remaining": "5"},
        {f"{AT}-limit": "9" * 99, f"{AT}-remaining": "5"},
        {f"{AT}-limit": "many", f"{AT}-remaining": "٣"},
    ],
)
def test_what_cannot_be_read_is_left_out(headers: dict[str, str]) -> None:
    assert rate_limits_in(headers) == ()
