"""The demo's accounts that are keys, one of each kind. Their priority keeps the demo's own requests at the
Google accounts, from which its history comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from accounts.adding.keys import GivenKey, draft, store

if TYPE_CHECKING:
    from proxy_site.emulator.state import EmulatorState

PRIORITY = 10
SERVER = "/compatible/ollama"


def store_keys(google: EmulatorState) -> None:
    """Store the keys without a check; the server checks them when it starts."""
    for given in _keys(google):
        account = draft(given)
        account.priority = PRIORITY
        store(account)


def _keys(google: EmulatorState) -> list[GivenKey]:
    return [
        GivenKey("gemini", google.keys["gemini-ada"].secret, tier="paid"),
        GivenKey("anthropic", google.keys["anthropic-ada"].secret, tier="paid"),
        GivenKey("compatible", "", base_url=settings.CLOUDCODE_ENDPOINTS[0] + SERVER, auth="none"),
    ]
