"""Whether an account can answer now, and when it can again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.quota.pools import QuotaPool, Readiness, readiness

NOW = timezone.now().replace(microsecond=0)


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def empty_until(hours: float) -> QuotaPool:
    return QuotaPool("Gemini (cli)", "cli", refused_until=at(hours))


FULL = QuotaPool("Gemini (cli)", "cli")


@pytest.mark.parametrize(
    ("pools", "is_used", "limited_until", "expected"),
    [
        ([], True, None, Readiness(is_ready=True)),
        ([FULL, empty_until(3)], True, None, Readiness(is_ready=True)),
        ([FULL], False, None, Readiness(is_ready=False)),
        ([FULL], True, at(1), Readiness(is_ready=False, back_at=at(1))),
        ([empty_until(3), empty_until(2)], True, None, Readiness(is_ready=False, back_at=at(2))),
        ([empty_until(3)], True, at(1), Readiness(is_ready=False, back_at=at(3))),
        ([empty_until(3)], True, at(4), Readiness(is_ready=False, back_at=at(4))),
    ],
)
def test_an_account_is_back_when_its_last_obstacle_ends(
    pools: list[QuotaPool], is_used: bool, limited_until: datetime | None, expected: Readiness
) -> None:
    assert readiness(pools, is_used=is_used, limited_until=limited_until) == expected
