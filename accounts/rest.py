"""How long an account rests after a failure: a table, and the few rules that time needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.google.errors import Trouble

QUOTA_STEPS_SECONDS = (60.0, 300.0, 1800.0, 7200.0)
RATE_LIMIT_SECONDS = 30.0
UNKNOWN_LIMIT_MAX_SECONDS = 60.0
FAILURES_IN_A_ROW = 3
FAILURES_REST_SECONDS = 60.0
CAPACITY_STEPS_SECONDS = (5.0, 10.0, 20.0, 30.0, 60.0)
SAME_MOMENT_SECONDS = 2.0
"""Failures of requests that ran side by side tell one story: within this time they count once."""

LONG_HINT_SECONDS = 24 * 3600.0
PROBE_EVERY_SECONDS = 3600.0
"""A rest longer than a day may be a mistake: one request an hour is let through when nothing else can."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a failure does to the account: `health` is added to its score."""

    health: float
    rests: bool


LIMITED = Effect(health=-10, rests=True)
FAILED = Effect(health=-20, rests=False)
NO_EFFECT = Effect(health=0, rests=False)

EFFECTS: dict[Trouble, Effect] = {
    Trouble.QUOTA: LIMITED,
    Trouble.RATE_LIMIT: LIMITED,
    Trouble.UNKNOWN_LIMIT: LIMITED,
    Trouble.NO_LICENCE: Effect(health=0, rests=True),
    Trouble.WRONG_PROJECT: Effect(health=0, rests=True),
    Trouble.FORBIDDEN: Effect(health=-20, rests=True),
    Trouble.ACCESS_TOKEN_REFUSED: Effect(health=-20, rests=True),
    Trouble.SERVER_ERROR: FAILED,
}


def rest_seconds(
    trouble: Trouble, hint_seconds: float | None, times_in_a_row: int, default_seconds: float
) -> float:
    """`hint_seconds` is what Google said; it is trusted. `times_in_a_row` counts from 1."""
    if hint_seconds is not None:
        return hint_seconds
    if trouble is Trouble.QUOTA:
        return step(QUOTA_STEPS_SECONDS, times_in_a_row)
    if trouble is Trouble.RATE_LIMIT:
        return RATE_LIMIT_SECONDS
    doubled = default_seconds * 2.0 ** min(times_in_a_row - 1, 10)
    return min(doubled, max(UNKNOWN_LIMIT_MAX_SECONDS, default_seconds))


def step(steps: tuple[float, ...], times: int) -> float:
    return steps[min(times, len(steps)) - 1]
