"""Cooldowns of accounts and backoffs of models: how long each lasts, and which are active now.

Pure: the clock is a parameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accounts.google.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Key = tuple[int, str]
    """An account and one of its quotas: the account's id and a model key, `model:mode`."""

QUOTA_STEPS_SECONDS = (60.0, 300.0, 1800.0, 7200.0)
RATE_LIMIT_SECONDS = 30.0
UNKNOWN_LIMIT_MAX_SECONDS = 60.0
FAILURES_IN_A_ROW = 3
FAILURES_COOLDOWN_SECONDS = 60.0
CAPACITY_STEPS_SECONDS = (5.0, 10.0, 20.0, 30.0, 60.0)
SHORT_HINTS_IN_A_ROW = 3
"""After this many failures in a row a short hint is raised to the default cooldown, so that an account which
is refused again after each hint is not asked several times a second."""
SAME_MOMENT_SECONDS = 2.0
"""Failures of concurrent requests within this time of the first count once."""

LONG_HINT_SECONDS = 24 * 3600.0
PROBE_EVERY_SECONDS = 3600.0
"""A cooldown longer than LONG_HINT_SECONDS may be a mistake: while no other account is usable, one request an
hour is sent with the account to find out."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a failure on the account: `health` is added to its score."""

    health: float
    cools_down: bool


LIMITED = Effect(health=-10, cools_down=True)
FAILED = Effect(health=-20, cools_down=False)
NO_EFFECT = Effect(health=0, cools_down=False)

LIMITS = {Trouble.QUOTA, Trouble.RATE_LIMIT, Trouble.UNKNOWN_LIMIT}
LIMIT_REASONS = {trouble.value for trouble in LIMITS}

EFFECTS: dict[Trouble, Effect] = {
    Trouble.QUOTA: LIMITED,
    Trouble.RATE_LIMIT: LIMITED,
    Trouble.UNKNOWN_LIMIT: LIMITED,
    Trouble.NO_LICENCE: Effect(health=0, cools_down=True),
    Trouble.WRONG_PROJECT: Effect(health=0, cools_down=True),
    Trouble.FORBIDDEN: Effect(health=-20, cools_down=True),
    Trouble.ACCESS_TOKEN_REFUSED: Effect(health=-20, cools_down=True),
    Trouble.SERVER_ERROR: FAILED,
}


def cooldown_seconds(
    trouble: Trouble, hint_seconds: float | None, times_in_a_row: int, default_seconds: float
) -> float:
    """The length of a cooldown. `hint_seconds` is the time to wait that Google named, used as it is for the
    first SHORT_HINTS_IN_A_ROW failures and at least `default_seconds` after that. `times_in_a_row` counts
    from 1."""
    if hint_seconds is not None and math.isfinite(hint_seconds):
        return hint_seconds if times_in_a_row <= SHORT_HINTS_IN_A_ROW else max(hint_seconds, default_seconds)
    if trouble is Trouble.QUOTA:
        return step(QUOTA_STEPS_SECONDS, times_in_a_row)
    if trouble is Trouble.RATE_LIMIT:
        return RATE_LIMIT_SECONDS
    doubled = default_seconds * 2.0 ** min(times_in_a_row - 1, 10)
    return min(doubled, max(UNKNOWN_LIMIT_MAX_SECONDS, default_seconds))


def step(steps: tuple[float, ...], times: int) -> float:
    return steps[min(times, len(steps)) - 1]


@dataclass(frozen=True, slots=True)
class ActiveCooldown:
    until: float
    """Seconds since the epoch."""
    reason: str
    since: float = 0.0
    probe_at: float | None = None
    """From this time on, in seconds since the epoch, one request may probe the account while no other can
    answer; None: never."""

    @property
    def is_limit(self) -> bool:
        """Whether the cooldown comes from a limit of Google's, so that the account cannot answer before its
        end. Other cooldowns only place the account behind healthy ones."""
        return self.reason in LIMIT_REASONS


@dataclass(frozen=True, slots=True)
class ModelBackoff:
    """A time during which a model is not requested with any account, because it has no capacity."""

    since: float
    until: float
    times: int


class Cooldowns:
    """Cooldowns of accounts by quota, and backoffs of models. `on_changed` is called when a cooldown has
    begun or ended and must be stored."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.on_changed: Callable[[], None] = lambda: None
        self._now = now
        self._active: dict[Key, ActiveCooldown] = {}
        self._unsaved: dict[Key, ActiveCooldown | None] = {}
        self._in_a_row: dict[Key, int] = {}
        self._backoffs: dict[str, ModelBackoff] = {}

    # Accounts

    def get(self, key: Key) -> ActiveCooldown | None:
        """The active cooldown, or None. A cooldown that begins in the future dates from before the clock was
        set back and is ignored."""
        cooldown = self._active.get(key)
        if cooldown is None:
            return None
        return cooldown if cooldown.since <= self._now() < cooldown.until else None

    def of_account(self, account_id: int) -> dict[str, ActiveCooldown]:
        """The account's active cooldowns, by model key."""
        keys = [key for key in self._active if key[0] == account_id]
        return {key[1]: cooldown for key in keys if (cooldown := self.get(key)) is not None}

    def failed(
        self, key: Key, trouble: Trouble, hint_seconds: float | None, default_seconds: float
    ) -> ActiveCooldown | None:
        """Count one more failure in a row. Returns the cooldown it begins, or None."""
        if trouble not in EFFECTS:
            return None
        times = self._in_a_row[key] = self._in_a_row.get(key, 0) + 1
        effect = EFFECTS[trouble]
        if effect.cools_down:
            seconds = cooldown_seconds(trouble, hint_seconds, times, default_seconds)
            return self._begin(key, seconds, trouble.value)
        if effect.health and times >= FAILURES_IN_A_ROW:
            return self._begin(key, FAILURES_COOLDOWN_SECONDS, f"failed {times} times in a row")
        return None

    def is_same_moment(self, key: Key) -> bool:
        """True within SAME_MOMENT_SECONDS of the start of this key's cooldown, so that concurrent failures
        count once."""
        cooldown = self.get(key)
        return cooldown is not None and 0 <= self._now() - cooldown.since < SAME_MOMENT_SECONDS

    def succeeded(self, key: Key, asked_at: float) -> bool:
        """Reset the failures of this key and the model's backoff; True when a cooldown or backoff ended. A
        cooldown that began after `asked_at`, in seconds since the epoch, stays."""
        self._in_a_row.pop(key, None)
        has_ended_backoff = self._backoffs.pop(key[1], None) is not None
        cooldown = self._active.get(key)
        if cooldown is None or cooldown.since > asked_at:
            return has_ended_backoff
        self._set(key, None)
        return True

    def may_probe(self, key: Key) -> bool:
        """True when this request may probe a long cooldown; the next probe is PROBE_EVERY_SECONDS later."""
        if not self.is_probe_due(key):
            return False
        probe_at = self._now() + PROBE_EVERY_SECONDS
        self._active[key] = replace(self._active[key], probe_at=probe_at)
        return True

    def is_probe_due(self, key: Key) -> bool:
        cooldown = self.get(key)
        return cooldown is not None and cooldown.probe_at is not None and cooldown.probe_at <= self._now()

    def _begin(self, key: Key, seconds: float, reason: str) -> ActiveCooldown:
        now = self._now()
        probe_at = now + PROBE_EVERY_SECONDS if seconds > LONG_HINT_SECONDS else None
        cooldown = ActiveCooldown(now + seconds, reason, now, probe_at)
        self._set(key, cooldown)
        return cooldown

    def _set(self, key: Key, cooldown: ActiveCooldown | None) -> None:
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
        """Back the model off, longer each time until an answer succeeds. A hint counts up to the longest
        step, because during a backoff no request can find out that there is capacity again."""
        if (lasting := self.backoff(model_key)) is not None:
            return lasting
        known = self._backoffs.get(model_key)
        times = known.times + 1 if known is not None else 1
        seconds = min(hint_seconds or step(CAPACITY_STEPS_SECONDS, times), CAPACITY_STEPS_SECONDS[-1])
        now = self._now()
        self._backoffs[model_key] = ModelBackoff(now, now + seconds, times)
        return self._backoffs[model_key]

    # Storage

    def load(self, cools_down: Mapping[Key, ActiveCooldown]) -> None:
        """Add the stored cooldowns, at the start of the server; known ones stay."""
        self._active = {**cools_down, **self._active}

    def take_unsaved(self) -> dict[Key, ActiveCooldown | None]:
        """Take the changes since the previous call; None means that the cooldown has ended."""
        taken, self._unsaved = self._unsaved, {}
        return taken

    def restore_unsaved(self, changes: Mapping[Key, ActiveCooldown | None]) -> None:
        """Put back changes that could not be stored; changes made since then win."""
        self._unsaved = {**changes, **self._unsaved}

    def forget_past(self) -> None:
        """Drop cooldowns that have ended. Those of disabled accounts stay, for when one is enabled again."""
        now = self._now()
        self._active = {key: cooldown for key, cooldown in self._active.items() if cooldown.until > now}
