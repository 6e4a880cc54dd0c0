"""One request at a provider that identifies its callers by a key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from proxy_site.emulator.exchange import Exchange

if TYPE_CHECKING:
    from proxy_site.emulator.keyed.keys import ApiKey, ProviderName


class KeyedExchange(Exchange, ABC):
    """A request with a key. ``key_or_none`` is the key that the request sends, if it is known."""

    keys_of: ClassVar[ProviderName]
    key_or_none: ApiKey | None = None

    def identify(self) -> None:
        secret = self.secret()
        self.key_or_none = self.state.keys.with_secret(self.keys_of, secret) if secret else None
        self.entry.account = self.key_or_none.name if self.key_or_none else None

    @abstractmethod
    def secret(self) -> str | None:
        """Return the key as the provider reads it from the headers; None when there is none."""
