"""The headers that are passed on from a client to an upstream of Anthropic's format, and from its answer to
the client.

Other headers are not passed on: credentials, cookies, those about the client's connection or the client
itself, and unknown ones (Anthropic refuses requests with `Origin`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OLDEST_VERSION = "2023-06-01"
FORWARDED = ("user-agent", "traceparent", "tracestate")
FORWARDED_PREFIX = "x-stainless-"
OF_SUBSCRIPTIONS = "oauth-2025-04-20"
"""The beta of sign-ins with a subscription, which the gateway does not use."""


def request_headers(
    client: Mapping[str, str], *, betas: bool | Collection[str], is_stream: bool
) -> dict[str, str]:
    """Return the headers to send. `client` has names in lower case, with the values of one name joined by
    commas. `betas` is True for all betas of the client, False for none, or the names of those that are
    sent."""
    kept = {
        name: value
        for name, value in client.items()
        if name in FORWARDED or name.startswith(FORWARDED_PREFIX)
    }
    kept["anthropic-version"] = client.get("anthropic-version", "").strip() or OLDEST_VERSION
    if betas and (named := _betas(client.get("anthropic-beta", ""), betas)):
        kept["anthropic-beta"] = named
    kept["content-type"] = "application/json"
    # Without the header a server may compress as it likes (RFC 9110, 12.5.3).
    kept["accept-encoding"] = "identity"
    kept["accept"] = "text/event-stream" if is_stream else "application/json"
    return kept


def _betas(header: str, sent: bool | Collection[str]) -> str:
    """Return the header unchanged if all betas are sent and it does not name OF_SUBSCRIPTIONS; else only the
    betas that are sent."""
    if sent is True and OF_SUBSCRIPTIONS not in header:
        return header
    named = (value.strip() for value in header.split(","))
    kept = (value for value in named if value and value != OF_SUBSCRIPTIONS)
    return ",".join(value for value in kept if sent is True or (sent and value in sent))
