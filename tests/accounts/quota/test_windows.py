"""The limits over five hours and a week, for accounts that Google tells them."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import live_settings
from accounts.admin.columns import quota_bars
from accounts.google.code_assist import CodeAssistFailed, retrieve_quota_windows
from accounts.inspection import check_all, refresh_quota
from accounts.models import Account, QuotaSnapshot, QuotaWindow
from accounts.network import AccountsClient
from accounts.offers import WindowOffer
from accounts.quota.pools import pools_of
from accounts.quota.snapshots import forget_old_quotas, store_windows
from proxy_site.emulator.google_errors import not_found, permission_denied

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.create(email="ada@example.com", sealed_credential="-")


def a_window(fraction: float | None, span: str = "5h", family: str = "claude") -> WindowOffer:
    return WindowOffer(family, span, fraction, SOON)


def windows(account: Account) -> dict[str, list[tuple[str, str]]]:
    """What is left by pool, of those that are told."""
    return {
        pool.name: [(window.span, window.left) for window in pool.windows]
        for pool in pools_of([account])[account.pk]
        if pool.windows
    }


def test_a_pool_has_both_windows(account: Account) -> None:
    store_windows(account.pk, [a_window(0.25, "weekly"), a_window(0.5), a_window(1.0, family="gemini")])

    assert windows(account) == {"Claude, GPT": [("5h", "50%"), ("weekly", "25%")]}  # Gemini is asked as cli


def test_gemini_has_windows_in_the_mode_that_is_asked(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(live_settings.current, "GEMINI_HEADER_MODE", "antigravity")
    store_windows(account.pk, [a_window(0.5, family="gemini")])

    assert windows(account) == {"Gemini (antigravity)": [("5h", "50%")]}


def test_an_unknown_window_is_unknown_and_not_full(account: Account) -> None:
    store_windows(account.pk, [WindowOffer("claude", "weekly", None, None)])

    assert windows(account) == {"Claude, GPT": [("weekly", "unknown")]}
    assert "100 %" not in quota_bars(pools_of([account])[account.pk])


def test_without_windows_nothing_is_said_of_them(account: Account) -> None:
    assert windows(account) == {}
    assert [pool.as_json()["windows"] for pool in pools_of([account])[account.pk]] == [[], []]


def test_each_window_has_a_forecast(account: Account) -> None:
    for fraction in (0.9, 0.6):
        store_windows(account.pk, [a_window(fraction), a_window(0.8, "weekly")])
        QuotaWindow.objects.filter(remaining_fraction=0.9).update(
            taken_at=timezone.now() - timedelta(hours=1), seen_at=timezone.now() - timedelta(hours=1)
        )

    five_hours, week = pools_of([account])[account.pk][0].windows

    assert five_hours.sentence.startswith("empty at ")
    assert week.sentence == ""
    assert QuotaWindow.objects.count() == 3


def test_an_empty_week_empties_its_quota(account: Account) -> None:
    keep_snapshot(account, 0.87, SOON)
    week_ends = SOON + timedelta(days=3)
    store_windows(account.pk, [a_window(0.87), WindowOffer("claude", "weekly", 0.0, week_ends)])

    pool = pools_of([account])[account.pk][0]

    assert (pool.is_empty, pool.left, pool.back_at) == (True, "0%", week_ends)
    assert pool.sentence.startswith("empty until ")


def test_a_week_that_is_over_empties_nothing(account: Account) -> None:
    keep_snapshot(account, 0.87, SOON)
    store_windows(account.pk, [WindowOffer("claude", "weekly", 0.0, timezone.now() - timedelta(minutes=1))])

    pool = pools_of([account])[account.pk][0]

    assert (pool.is_empty, pool.back_at) == (False, SOON)


def test_the_limit_that_is_empty_first_counts(account: Account) -> None:
    week_ends = SOON + timedelta(days=3)
    ago = timezone.now() - timedelta(hours=1)
    for fraction in (0.9, 0.1):
        keep_snapshot(account, 0.87, SOON)
        store_windows(account.pk, [WindowOffer("claude", "weekly", fraction, week_ends)])
        QuotaWindow.objects.filter(remaining_fraction=0.9).update(taken_at=ago, seen_at=ago)

    pool = pools_of([account])[account.pk][0]

    assert (pool.left, pool.back_at) == ("10%", week_ends)
    assert pool.empty_at is not None
    assert pool.sentence.startswith("empty at ")


def test_models_with_quotas_of_their_own_share_the_week(account: Account) -> None:
    keep_snapshot(account, 0.87, SOON)
    keep_snapshot(account, 0.5, SOON, "claude-opus-4-6")
    store_windows(account.pk, [a_window(0.0, "weekly")])

    assert [pool.is_empty for pool in pools_of([account])[account.pk]] == [True, True, False]


def test_five_hours_have_the_forecast_of_their_quota(account: Account) -> None:
    keep_snapshot(account, 0.6, SOON, ago=timedelta(hours=1))
    keep_snapshot(account, 0.2, SOON)
    store_windows(account.pk, [a_window(0.21), a_window(0.8, "weekly")])

    pool = pools_of([account])[account.pk][0]

    assert pool.sentence.startswith("empty at ")
    assert [(window.left, window.sentence) for window in pool.windows] == [
        ("20%", pool.sentence),
        ("80%", ""),
    ]


def keep_snapshot(
    account: Account,
    left: float,
    reset_at: datetime,
    model_id: str = "claude-sonnet-4-6",
    ago: timedelta = timedelta(0),
) -> None:
    at = timezone.now() - ago
    QuotaSnapshot.objects.create(
        account=account, model_id=model_id, header_mode="antigravity", remaining_fraction=left,
        reset_at=reset_at, taken_at=at, seen_at=at,
    )  # fmt: skip


def test_bars_of_an_account_that_cannot_be_used_are_grey_and_foresee_nothing(account: Account) -> None:
    store_windows(account.pk, [a_window(0.1), a_window(0.8, "weekly")])

    bars = quota_bars(pools_of([account])[account.pk], is_usable=False)

    assert set(re.findall(r'class="fill (\w+)"', bars)) == {"unused"}
    assert set(re.findall(r'class="forecast">([^<]+)<', bars)) == {"cannot be used now"}


def test_bars_show_both_windows(account: Account) -> None:
    store_windows(account.pk, [a_window(0.1), a_window(0.8, "weekly")])

    bars = quota_bars(pools_of([account])[account.pk])

    assert "Claude, GPT: 5 hours" in bars
    assert "10 %" in bars
    assert "Claude, GPT: the week" in bars
    assert "80 %" in bars


def test_old_windows_are_forgotten(account: Account) -> None:
    store_windows(account.pk, [a_window(0.5)])
    QuotaWindow.objects.update(seen_at=timezone.now() - timedelta(days=15))

    assert forget_old_quotas() == 1


def test_windows_of_fifty_accounts_cost_as_many_queries_as_of_three(db: None) -> None:
    counts = []
    for number in (3, 50):
        accounts = [
            Account.objects.create(email=f"{number}-{one}@example.com", sealed_credential="-")
            for one in range(number)
        ]
        for account in accounts:
            store_windows(account.pk, [a_window(0.5), a_window(0.5, "weekly")])
        pools_of(accounts)
        with CaptureQueriesContext(connection) as queries:
            pools_of(accounts)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 4


# Asked of Google


async def test_both_windows_are_asked_for(ada: Account, google: EmulatorServer) -> None:
    google.state.set_quota("ada@example.com", "claude", remaining=0, limit=10, reset_in=7200)

    await check_all([ada], refresh_quota)

    found = {(one.family, one.span): one.remaining_fraction async for one in QuotaWindow.objects.all()}
    assert found == {
        ("claude", "5h"): 0.0,
        ("claude", "weekly"): 0.9,
        ("gemini", "5h"): 1.0,
        ("gemini", "weekly"): 1.0,
    }


@pytest.mark.parametrize("refusal", [permission_denied(), not_found()])
async def test_an_account_that_is_not_told_works_without(
    refusal: Any, ada: Account, google: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    google.state.fault(
        "refuse", status=refusal.status, body=refusal.body, method="retrieveUserQuotaSummary", times=None
    )
    caplog.set_level(logging.INFO)

    result = (await check_all([ada], refresh_quota))[0]

    account = await Account.objects.aget()
    assert (result.problem, account.state, result.models > 5) == ("", Account.State.OK, True)
    assert not await QuotaWindow.objects.aexists()
    assert [record for record in caplog.records if record.name.startswith("accounts")] == []
    assert len(google.state.log.entries("retrieveUserQuotaSummary")) == 1


async def test_the_emulator_refuses_an_account_without_windows(ada: Account, google: EmulatorServer) -> None:
    google.state.account("ada@example.com").has_quota_windows = False

    result = (await check_all([ada], refresh_quota))[0]

    assert result.problem == ""
    assert not await QuotaWindow.objects.aexists()


BUCKET = {"bucketId": "3p-weekly", "window": "weekly", "remainingFraction": 0.4}


@pytest.mark.parametrize(
    ("answer", "fractions"),
    [
        ({}, []),
        ({"groups": None}, []),
        ({"groups": "all"}, []),
        ({"groups": [None, 3, {"buckets": {}}, {"buckets": [None, "3p-5h", {}]}]}, []),
        ({"groups": [{"buckets": [BUCKET]}]}, [0.4]),
        ({"groups": [{"buckets": [BUCKET, {**BUCKET, "bucketId": "3p-monthly"}]}]}, [0.4]),
        ({"groups": [{"buckets": [{**BUCKET, "bucketId": ["3p-5h"]}]}]}, []),
        ({"groups": [{"buckets": [{"bucketId": "3p-5h", "resetTime": "2027-01-15T08:01:00Z"}]}]}, [0.0]),
        ({"groups": [{"buckets": [{"bucketId": "3p-5h"}]}]}, [None]),
        ({"groups": [{"buckets": [{**BUCKET, "remainingFraction": "much"}]}]}, [None]),
        ({"groups": [{"buckets": [{**BUCKET, "remainingFraction": 7}]}]}, [None]),
        ({"groups": [{"buckets": [BUCKET]}, {"buckets": [{**BUCKET, "remainingFraction": 0.2}]}]}, [0.2]),
    ],
)
async def test_windows_are_read_however_they_are_written(
    answer: Any, fractions: list[float | None], google: EmulatorServer
) -> None:
    google.state.fault("refuse", status=200, body=answer, method="retrieveUserQuotaSummary")

    assert [window.remaining_fraction for window in await asked(google)] == fractions


async def test_a_list_without_end_is_refused(google: EmulatorServer) -> None:
    answer = {"groups": [{"buckets": [BUCKET] * 2001}]}
    google.state.fault("refuse", status=200, body=answer, method="retrieveUserQuotaSummary")

    with pytest.raises(CodeAssistFailed, match="more than 2,000"):
        await asked(google)


async def asked(google: EmulatorServer) -> list[WindowOffer]:
    token, _ = google.state.issue_access_token("ada@example.com")
    client = AccountsClient()
    try:
        return await retrieve_quota_windows(client, token, "emulator-project-ada")
    finally:
        await client.close()


def test_a_window_counts_until_its_reset(account: Account) -> None:
    over = replace(a_window(0.0, "weekly"), reset_at=SOON - timedelta(hours=4))
    store_windows(account.pk, [over, a_window(0.5)])

    assert pools_of([account])[account.pk][0].remaining_fraction == 0.5
