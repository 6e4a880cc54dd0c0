"""What accounts may cost in a day and in a month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Account
from gateway.ledger.budgets import beginnings, used_up_budgets
from gateway.models import HourlyUsage

if TYPE_CHECKING:
    from pytest_django.fixtures import DjangoAssertNumQueries, Settings

NOW = datetime(2026, 3, 15, 13, 0, tzinfo=UTC)
DOLLAR = 10**9


def an_account(**budgets: Any) -> Account:
    return Account.objects.create(email="ada@example.com", **budgets)


def spent(dollars: float, ago: timedelta = timedelta(), name: str = "ada@example.com") -> None:
    hour = (NOW - ago).replace(minute=0, second=0)
    HourlyUsage.objects.create(
        hour=hour, model="m", account=name, client="c", requests=1, cost=round(dollars * DOLLAR)
    )


@pytest.mark.parametrize(
    ("budgets", "today", "earlier", "until"),
    [
        ({}, 100, 100, None),
        ({"budget_day": 5}, 4.99, 100, None),
        ({"budget_day": 5}, 5, 0, datetime(2026, 3, 16, tzinfo=UTC)),
        ({"budget_day": 0}, 0, 0, datetime(2026, 3, 16, tzinfo=UTC)),
        ({"budget_month": 50}, 5, 40, None),
        ({"budget_month": 50}, 5, 45, datetime(2026, 4, 1, tzinfo=UTC)),
        ({"budget_day": 5, "budget_month": 50}, 5, 45, datetime(2026, 4, 1, tzinfo=UTC)),
    ],
)
def test_a_budget_is_used_up_until_its_period_ends(
    budgets: dict[str, int], today: float, earlier: float, until: datetime | None, db: None
) -> None:
    account = an_account(**budgets)
    spent(today)
    spent(earlier, timedelta(days=5))
    spent(1_000, timedelta(days=20))
    spent(1_000, name="grace@example.com")

    found = used_up_budgets(NOW)

    assert {pk: one.until for pk, one in found.items()} == (
        {account.pk: until.timestamp()} if until is not None else {}
    )


def test_the_reason_names_the_budget(db: None) -> None:
    account = an_account(budget_day="2.50")
    spent(3)

    assert used_up_budgets(NOW)[account.pk].reason == "budget of $2.50 a day used up"


def test_without_budgets_one_query_is_made(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    an_account()

    with django_assert_num_queries(1):
        assert used_up_budgets(NOW) == {}


@pytest.mark.parametrize(
    ("zone", "now", "day", "month"),
    [
        ("UTC", NOW, "2026-03-15T00:00:00+00:00", "2026-03-01T00:00:00+00:00"),
        ("Europe/Berlin", datetime(2026, 3, 29, 22, 30, tzinfo=UTC), "2026-03-30T00:00:00+02:00",
         "2026-03-01T00:00:00+01:00"),
        ("Asia/Kolkata", datetime(2026, 3, 31, 18, 30, tzinfo=UTC), "2026-04-01T00:00:00+05:30",
         "2026-04-01T00:00:00+05:30"),
    ],
)  # fmt: skip
def test_days_and_months_are_local(
    zone: str, now: datetime, day: str, month: str, settings: Settings
) -> None:
    settings.LOCAL_TIME_ZONE = ZoneInfo(zone)

    assert [one.isoformat() for one in beginnings(now)] == [day, month]
