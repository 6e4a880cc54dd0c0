"""Headers of a client that go on to an upstream of Anthropic's format, and of its answer back to the client.

Credentials, cookies, what describes the client's connection or the client itself, and everything unknown stay
here (Anthropic refuses requests with `Origin`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OLDEST_VERSION = "2023-06-01"
FORWARDED = ("user-agent", "traceparent", "tracestate")
FORWARDED_PREFIX = "x-stainless-"
OF_SUBSCRIPTIONS = "oauth-2025-04-20"
"""A beta of a credential that is not used here."""
RETURNED = ("retry-after", "x-should-retry")


def request_headers(
    client: Mapping[str, str], *, betas: bool | Collection[str], is_stream: bool
) -> dict[str, str]:
    """`client` has names in lower case; values of one name are joined by commas."""
    kept = {
        name: value
        for name, value in client.items()
        if name in FORWARDED or name.startswith(FORWARDED_PREFIX)
    }
    kept["anthropic-version"] = client.get("anthropic-version", "").strip() or OLDEST_VERSION
    if betas and (named := _betas(client.get("anthropic-beta", ""), betas)):
        kept["anthropic-beta"] = named
    kept["content-type"] = "application/json"
    kept["accept"] = "text/event-stream" if is_stream else "application/json"
    return kept


def _betas(header: str, sent: bool | Collection[str]) -> str:
    """The header verbatim, unless it names the beta of subscriptions or only some are sent."""
    if sent is True and OF_SUBSCRIPTIONS not in header:
        return header
    named = (value.strip() for value in header.split(","))
    kept = (value for value in named if value and value != OF_SUBSCRIPTIONS)
    return ",".join(value for value in kept if sent is True or (sent and value in sent))
