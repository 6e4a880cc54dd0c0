"""The keys that the emulated providers know.

Keys of a group share limits: the group is a Google Cloud project for Gemini, an organisation for Anthropic. A
key's own limits apply in addition to those of its group.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from proxy_site.emulator.keyed.limits import LimitName, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy_site.emulator.keyed.limits import Exceeded
    from proxy_site.emulator.refusal import Refusal

ProviderName = Literal["gemini", "anthropic", "compatible"]


@dataclass
class Group:
    """A group of keys. ``name`` is the number of a project or the id of an organisation."""

    name: str
    limits: Limits = field(default_factory=Limits)
    free: bool = False
    """True for Gemini's free tier, which its 429 names."""
    models_without_quota: set[str] = field(default_factory=set)
    """The models that are listed, but with a limit of 0."""


@dataclass
class ApiKey:
    """A key. ``name`` is the account's name in the log and in scripts; ``secret`` is what a request sends."""

    name: str
    provider: ProviderName
    secret: str
    group: Group
    limits: Limits = field(default_factory=Limits)
    refusal: Refusal | None = None
    """The answer to every request with the key; None when it works."""

    def exceeded(self, model: str, tokens: int, now: float) -> list[Exceeded]:
        own, shared = (one.exceeded(model, tokens, now) for one in (self.limits, self.group.limits))
        return sorted([*own, *shared], key=lambda one: one.resets_at)

    def count(self, model: str, tokens: int, now: float) -> None:
        for limits in (self.limits, self.group.limits):
            limits.count(model, tokens, now)

    def strictest(self, name: LimitName) -> Limits | None:
        """Return the smaller one of the key's and its group's limits; None without any."""
        limited = [one for one in (self.limits, self.group.limits) if getattr(one, name) is not None]
        return min(limited, key=lambda one: int(getattr(one, name)), default=None)


class Keys:
    """The keys by name. Thread-safe."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {key.name: key for key in keys}
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[ApiKey]:
        with self._lock:
            return iter(list(self._keys.values()))

    def __getitem__(self, name: str) -> ApiKey:
        return self._keys[name]

    def add(self, key: ApiKey) -> None:
        with self._lock:
            self._keys[key.name] = key

    def remove(self, name: str) -> None:
        """Delete a key, as its owner can: it is refused as unknown from now on."""
        with self._lock:
            del self._keys[name]

    def with_secret(self, provider: ProviderName, secret: str) -> ApiKey | None:
        return next((key for key in self if key.provider == provider and key.secret == secret), None)

    def group(self, name: str) -> Group:
        """Return the group of that name, or a new one."""
        return next((key.group for key in self if key.group.name == name), None) or Group(name)

    def refuse(self, name: str, refusal: Refusal | None) -> None:
        """Answer every request with a key like this; None restores the key."""
        self[name].refusal = refusal

    def take(self, key: ApiKey, model: str, tokens: int, now: float) -> list[Exceeded]:
        """Count a request, unless it exceeds limits: these are returned, the last one to end at the end."""
        with self._lock:
            exceeded = key.exceeded(model, tokens, now)
            if not exceeded:
                key.count(model, tokens, now)
            return exceeded


def sample_keys() -> Keys:
    """Return, for each provider, one key without limits, and two that share the limits of their group."""
    free = Group("100000000002", Limits(10, 250_000, 250), free=True)
    organisation = Group("0f3a7c1e-0000-4000-8000-000000000002", Limits(50, 30_000))
    return Keys(
        [
            ApiKey("gemini-ada", "gemini", "AIza-emulator-ada", Group("100000000001")),
            ApiKey("gemini-grace", "gemini", "AIza-emulator-grace", free),
            ApiKey("gemini-grace-2", "gemini", "AIza-emulator-grace-2", free),
            ApiKey(
                "anthropic-ada",
                "anthropic",
                "sk-ant-api03-emulator-ada",
                Group("0f3a7c1e-0000-4000-8000-000000000001"),
            ),
            ApiKey("anthropic-grace", "anthropic", "sk-ant-api03-emulator-grace", organisation),
            ApiKey("anthropic-grace-2", "anthropic", "sk-ant-api03-emulator-grace-2", organisation),
            ApiKey("compatible-ada", "compatible", "emulator-compatible-ada", Group("compatible-ada")),
        ]
    )
