"""What the headers of an answer tell of Anthropic's limits."""

from __future__ import annotations

import pytest

from accounts.anthropic.limits import limits_in
from accounts.failures import QuotaLimit
from proxy_site.emulator.anthropic_api.rate_headers import rate_headers
from proxy_site.emulator.keyed.keys import sample_keys

AT = "anthropic-ratelimit-requests"


def test_limits_of_a_minute_are_read_from_headers() -> None:
    headers = rate_headers(sample_keys()["anthropic-grace"], "claude-sonnet-4-6", 1_800_000_000.0)

    requests, input_tokens = limits_in(headers)

    assert requests == QuotaLimit("requests", "minute", 50)
    assert input_tokens.subject == "input_tokens"
    assert input_tokens.value


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {f"{AT}-remaining": "50"},
        {f"{AT}-limit": "0"},
        {f"{AT}-limit": "-1"},
        {f"{AT}-limit": "9" * 99},
        {f"{AT}-limit": "٣"},
    ],
)
def test_what_cannot_be_read_is_left_out(headers: dict[str, str]) -> None:
    assert limits_in(headers) == ()
