"""Cooldowns of accounts and backoffs of models: how long each lasts, and which are active. Pure: the clock is
an argument.

accounts/failures.py has what each kind of failure leads to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accounts.failures import ACCOUNT_POLICIES, LIMITS, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    Key = tuple[int, str]
    """An account and one of its quotas: the account's id and a model key, `model:kind` or ALL_MODELS."""

ALL_MODELS = "all models"
"""Stands in place of a model key, for a cooldown of all models of the account."""
LONGEST_DOUBLED_SECONDS = 60.0
SHORT_HINTS_IN_A_ROW = 3
"""How many short waits in a row are used exactly as the upstream named them."""
CONCURRENT_SECONDS = 2.0
"""Failures for one key within this time count once: they are of concurrent requests."""

LONG_HINT_SECONDS = 24 * 3600.0
PROBE_EVERY_SECONDS = 3600.0
"""A cooldown of more than a day may be a mistake. Once in this time one request may use the account, when no
other can answer."""


def cooldown_seconds(
    kind: FailureKind, hint_seconds: float | None, times_in_a_row: int, default_seconds: float
) -> float:
    """Return the length of a cooldown in seconds. `hint_seconds` is the time that the upstream named,
    `default_seconds` DEFAULT_COOLDOWN_MS; `times_in_a_row` counts from 1."""
    if hint_seconds is not None and math.isfinite(hint_seconds):
        return hint_seconds if times_in_a_row <= SHORT_HINTS_IN_A_ROW else max(hint_seconds, default_seconds)
    if steps := ACCOUNT_POLICIES[kind].cooldown_steps_seconds:
        return step(steps, times_in_a_row)
    doubled = default_seconds * 2.0 ** min(times_in_a_row - 1, 10)
    return min(doubled, max(LONGEST_DOUBLED_SECONDS, default_seconds))


def step(steps: tuple[float, ...], times: int) -> float:
    return steps[min(times, len(steps)) - 1]


@dataclass(frozen=True, slots=True)
class ActiveCooldown:
    """A cooldown of an account. Times are seconds since the epoch."""

    until: float
    kind: FailureKind | None
    """The failure that began it; None for a kind that another version stored and this one does not know."""
    reason: str
    """The reason, as text for people."""
    since: float = 0.0
    probe_at: float | None = None
    """When one request may use the account early, if no other can answer; None for never."""

    @property
    def is_limit(self) -> bool:
        return self.kind in LIMITS

    def is_probe_due(self, now: float) -> bool:
        return self.probe_at is not None and self.probe_at <= now


def _weight(cooldown: ActiveCooldown) -> tuple[bool, float]:
    return cooldown.is_limit, cooldown.until


@dataclass(frozen=True, slots=True)
class ModelBackoff:
    """The time for which a model is not asked, because no account gets capacity. Times are seconds since the
    epoch."""

    since: float
    until: float
    times: int


class Cooldowns:
    """The cooldowns of accounts by quota, and the backoffs of models. `on_changed` is called when a cooldown
    has to be stored."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.on_changed: Callable[[], None] = lambda: None
        self._now = now
        self._active: dict[Key, ActiveCooldown] = {}
        self._unsaved: dict[Key, ActiveCooldown | None] = {}
        self._in_a_row: dict[Key, int] = {}
        self._backoffs: dict[str, ModelBackoff] = {}

    # Accounts

    def get(self, key: Key) -> ActiveCooldown | None:
        """Return the active cooldown. None for one that begins in the future: it was stored before the clock
        was set back, so its end is unknown."""
        cooldown = self._active.get(key)
        if cooldown is None:
            return None
        return cooldown if cooldown.since <= self._now() < cooldown.until else None

    def is_clear(self, key: Key) -> bool:
        """Return True when neither a cooldown of the account nor a backoff of the model can be active. When
        it is False, there may be one, but most have ended."""
        active = self._active
        return not (key in active or (key[0], ALL_MODELS) in active or key[1] in self._backoffs)

    @property
    def keys(self) -> Collection[Key]:
        """The keys that may have an active cooldown; no other key has one."""
        return self._active.keys()

    def weightiest(self, key: Key) -> ActiveCooldown | None:
        """Return the active cooldown that decides, of those for the quota and for all models: a limit, else
        the one that ends last."""
        own, of_all = self.get(key), self.get((key[0], ALL_MODELS))
        if own is None or of_all is None:
            return own or of_all
        return max(own, of_all, key=_weight)

    def of_account(self, account_id: int) -> dict[str, ActiveCooldown]:
        """Return the account's active cooldowns, by model key."""
        keys = [key for key in self._active if key[0] == account_id]
        return {key[1]: cooldown for key in keys if (cooldown := self.get(key)) is not None}

    def failed(
        self,
        key: Key,
        kind: FailureKind,
        hint_seconds: float | None,
        default_seconds: float,
        reason: str = "",
    ) -> ActiveCooldown | None:
        """Count one more failure in a row. Returns the cooldown that it leads to; None without one."""
        cools_down_after = ACCOUNT_POLICIES[kind].cools_down_after
        if not cools_down_after:
            return None
        times = self._in_a_row[key] = self._in_a_row.get(key, 0) + 1
        if times < cools_down_after:
            return None
        reason = reason or kind.value
        if cools_down_after > 1:  # the wait that the upstream named is for a single failure
            reason, hint_seconds = f"failed {times} times in a row", None
        return self._begin(key, kind, cooldown_seconds(kind, hint_seconds, times, default_seconds), reason)

    def share(self, cooldown: ActiveCooldown, keys: Iterable[Key]) -> None:
        """Begin the cooldown for other accounts, too, unless a cooldown with more weight is active."""
        for key in keys:
            known = self.get(key)
            if known is None or _weight(known) < _weight(cooldown):
                self.set(key, cooldown)

    def has_just_failed(self, key: Key) -> bool:
        """Return True within 2 s of a failure that began a cooldown for this key, so that concurrent failures
        count once."""
        cooldown = self.get(key)
        return cooldown is not None and 0 <= self._now() - cooldown.since < CONCURRENT_SECONDS

    def succeeded(self, key: Key, asked_at: float) -> bool:
        """End the cooldowns for the quota and for all models, and the model's backoff. Returns True if there
        was one. A cooldown that began after `asked_at` stays."""
        if not self._in_a_row and self.is_clear(key):
            return False
        has_ended = self._backoffs.pop(key[1], None) is not None
        for one in (key, (key[0], ALL_MODELS)):
            self._in_a_row.pop(one, None)
            cooldown = self._active.get(one)
            if cooldown is not None and cooldown.since <= asked_at:
                self.set(one, None)
                has_ended = True
        return has_ended

    def may_probe(self, key: Key) -> bool:
        """Return True once in PROBE_EVERY_SECONDS, for the one request that may probe an account in a long
        cooldown."""
        cooldown = self.weightiest(key)
        if cooldown is None or not cooldown.is_probe_due(self._now()):
            return False
        for one in (key, (key[0], ALL_MODELS)):
            if self._active.get(one) is cooldown:
                self._active[one] = replace(cooldown, probe_at=self._now() + PROBE_EVERY_SECONDS)
        return True

    def _begin(self, key: Key, kind: FailureKind, seconds: float, reason: str) -> ActiveCooldown:
        now = self._now()
        probe_at = now + PROBE_EVERY_SECONDS if seconds > LONG_HINT_SECONDS else None
        cooldown = ActiveCooldown(now + seconds, kind, reason, now, probe_at)
        self.set(key, cooldown)
        return cooldown

    def set(self, key: Key, cooldown: ActiveCooldown | None) -> None:
        """Replace the present cooldown; None ends it."""
        if cooldown is None:
            self._active.pop(key, None)
        else:
            self._active[key] = cooldown
        self._unsaved[key] = cooldown
        self.on_changed()

    # Models

    def backoff(self, model_key: str) -> ModelBackoff | None:
        backoff, now = self._backoffs.get(model_key), self._now()
        return backoff if backoff is not None and backoff.since <= now < backoff.until else None

    def back_off(self, model_key: str, hint_seconds: float | None) -> ModelBackoff:
        """Begin a backoff, longer each time until the model answers. `hint_seconds` is limited to the longest
        step, since no request during the backoff could find capacity again."""
        if (lasting := self.backoff(model_key)) is not None:
            return lasting
        known = self._backoffs.get(model_key)
        times = known.times + 1 if known is not None else 1
        steps = ACCOUNT_POLICIES[FailureKind.CAPACITY].backoff_steps_seconds
        seconds = min(hint_seconds or step(steps, times), steps[-1])
        now = self._now()
        self._backoffs[model_key] = ModelBackoff(now, now + seconds, times)
        return self._backoffs[model_key]

    # Storage

    def load(self, cools_down: Mapping[Key, ActiveCooldown]) -> None:
        """Add the cooldowns that were stored before the start."""
        self._active = {**cools_down, **self._active}

    def take_unsaved(self) -> dict[Key, ActiveCooldown | None]:
        """Return the changes since the last call, by key; None for a cooldown that has ended."""
        taken, self._unsaved = self._unsaved, {}
        return taken

    def restore_unsaved(self, changes: Mapping[Key, ActiveCooldown | None]) -> None:
        """Put back changes that could not be stored, except those that are outdated by now."""
        self._unsaved = {**changes, **self._unsaved}

    def forget_past(self) -> None:
        """Drop ended cooldowns. Those of disabled accounts stay, since these may be enabled again."""
        now = self._now()
        self._active = {key: cooldown for key, cooldown in self._active.items() if cooldown.until > now}
