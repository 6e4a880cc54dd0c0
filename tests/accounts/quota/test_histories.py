"""The forecasts from the rows kept in memory, beside those from all rows of twelve hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Account, QuotaSnapshot
from accounts.offers import ModelOffer
from accounts.quota.forecast import Measurement, forecast_of
from accounts.quota.snapshots import QuotaForecast, forecasts, quota_forecasts, store_quotas

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODES = ("antigravity", "cli")
MODELS = ("claude-sonnet-4-6", "gemini-3-flash", "gemini-3-pro")

fractions = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
resets = st.one_of(st.none(), st.integers(-60, 400))
offers = st.dictionaries(st.sampled_from(MODELS), st.tuples(fractions, resets), max_size=len(MODELS))
polls = st.tuples(st.integers(0, 200), st.integers(0, 1), st.sampled_from(MODES), offers)
"""Minutes since the last one, account, header mode, and by model what is left and when it is full again."""


def from_all_rows() -> list[QuotaForecast]:
    """As version 0.1 made them."""
    rows = QuotaSnapshot.objects.filter(seen_at__gte=timezone.now() - timedelta(hours=12))
    quotas = groupby(rows, key=lambda row: (row.account_id, row.model_id, row.header_mode))
    return [_from_rows(list(history)) for _, history in quotas]


def _from_rows(history: Sequence[QuotaSnapshot]) -> QuotaForecast:
    newest = history[-1]
    measured = [
        Measurement(at.timestamp(), row.remaining_fraction)
        for row in history
        if row.remaining_fraction is not None
        for at in (row.taken_at, row.seen_at)
    ]
    reset_at = newest.reset_at.timestamp() if newest.reset_at else None
    return QuotaForecast(
        newest.account_id,
        newest.model_id,
        newest.header_mode,
        newest.remaining_fraction,
        newest.reset_at,
        newest.seen_at,
        forecast_of(measured, reset_at, timezone.now().timestamp()),
    )


def two_accounts() -> list[Account]:
    Account.objects.all().delete()
    forecasts.forget()
    return [Account.objects.create(email=f"{name}@example.com", sealed_credential="-") for name in "ab"]


def an_offer(model_id: str, fraction: float | None, reset_at: datetime | None = None) -> ModelOffer:
    return ModelOffer(model_id, model_id, None, None, fraction, reset_at)


def store(account: Account, mode: str, found: dict[str, tuple[float | None, int | None]]) -> None:
    now = timezone.now()
    store_quotas(
        account.pk,
        mode,
        [
            an_offer(model_id, fraction, None if reset is None else now + timedelta(minutes=reset))
            for model_id, (fraction, reset) in found.items()
        ],
    )


@settings(max_examples=60)
@given(st.lists(polls, max_size=15), st.integers(0, 900))
def test_the_first_reading_says_what_all_rows_say(
    history: list[tuple[int, int, str, dict[str, tuple[float | None, int | None]]]], later: int
) -> None:
    accounts, moment = two_accounts(), NOON
    for minutes, account, mode, found in history:
        moment += timedelta(minutes=minutes)
        with patch.object(timezone, "now", return_value=moment):
            store(accounts[account], mode, found)

    with patch.object(timezone, "now", return_value=moment + timedelta(minutes=later)):
        assert quota_forecasts() == from_all_rows()


@settings(max_examples=60)
@given(st.lists(polls, max_size=15))
def test_each_later_reading_says_what_all_rows_say(
    history: list[tuple[int, int, str, dict[str, tuple[float | None, int | None]]]],
) -> None:
    accounts, moment = two_accounts(), NOON
    for minutes, account, mode, found in history:
        moment += timedelta(minutes=minutes)
        with patch.object(timezone, "now", return_value=moment):
            store(accounts[account], mode, found)
            assert quota_forecasts() == from_all_rows()


def test_fifty_accounts_cost_as_many_queries_as_three() -> None:
    counts = []
    for number in (3, 50):
        accounts = [
            Account.objects.create(email=f"{number}-{one}@example.com", sealed_credential="-")
            for one in range(number)
        ]
        for account in accounts:
            store_quotas(account.pk, "cli", [an_offer(model_id, 0.5) for model_id in MODELS])
        forecasts.forget()
        with CaptureQueriesContext(
            connection,
        ) as first:
            assert len(quota_forecasts([account.pk for account in accounts])) == number * len(MODELS)
        with CaptureQueriesContext(connection) as again:
            quota_forecasts([account.pk for account in accounts])
        counts.append((len(first), len(again)))

    assert counts == [(1, 1), (1, 1)]


def test_without_a_snapshot_there_is_no_forecast() -> None:
    assert quota_forecasts() == []


def test_a_snapshot_stored_elsewhere_counts_at_once() -> None:
    account = two_accounts()[0]
    store_quotas(account.pk, "cli", [an_offer("gemini-3-flash", 0.5)])
    assert [one.remaining_fraction for one in quota_forecasts()] == [0.5]

    QuotaSnapshot.objects.update(seen_at=timezone.now(), remaining_fraction=0.25)  # as another process would

    assert [one.remaining_fraction for one in quota_forecasts()] == [0.25]


def test_a_removed_account_has_no_forecast_any_more() -> None:
    account, other = two_accounts()
    for one in (account, other):
        store_quotas(one.pk, "cli", [an_offer("gemini-3-flash", 0.5)])
    assert len(quota_forecasts()) == 2

    account.delete()

    assert [one.account_id for one in quota_forecasts()] == [other.pk]


def test_snapshots_count_after_the_clock_was_set_back() -> None:
    account = two_accounts()[0]
    store_quotas(account.pk, "cli", [an_offer("gemini-3-flash", 0.5)])
    quota_forecasts()

    with patch.object(timezone, "now", return_value=timezone.now() - timedelta(hours=1)):
        store_quotas(account.pk, "antigravity", [an_offer("gemini-3-flash", 0.25)])

        assert [one.remaining_fraction for one in quota_forecasts()] == [0.25, 0.5]


def test_a_forecast_kept_in_memory_follows_the_time() -> None:
    account = two_accounts()[0]
    with patch.object(timezone, "now", return_value=NOON):
        store_quotas(account.pk, "cli", [an_offer("gemini-3-flash", 0.5)])
    with patch.object(timezone, "now", return_value=NOON + timedelta(hours=1)):
        store_quotas(account.pk, "cli", [an_offer("gemini-3-flash", 0.25)])
        quota_forecasts()

    with patch.object(timezone, "now", return_value=NOON + timedelta(minutes=90)):
        forecast = quota_forecasts()[0].forecast

    assert forecast is not None
    assert forecast.remaining == pytest.approx(0.125)
