"""What is left of the demo's accounts, as a gateway that has measured it, and as the emulator says it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
from asgiref.sync import sync_to_async
from hypothesis import given
from hypothesis import strategies as st

from accounts.inspection import check_all, refresh_quota, verify
from accounts.kinds.registry import KINDS
from accounts.models import Account, Cooldown
from accounts.quota.pools import pools_of
from accounts.quota.snapshots import quota_forecasts
from proxy_site.demo import quotas
from proxy_site.demo.quotas import ADA, GRACE, LINUS, USES, Use
from proxy_site.emulator.models import CLAUDE_POOL

if TYPE_CHECKING:
    from accounts.quota.snapshots import QuotaForecast
    from proxy_site.emulator.server import EmulatorServer


def sentences() -> dict[tuple[str, str], str]:
    accounts = Account.objects.in_bulk()
    return {
        (accounts[account_id].email, pool.name): pool.sentence
        for account_id, pools in pools_of(list(accounts.values())).items()
        for pool in pools
    }


@pytest.mark.usefixtures("demo")
def test_one_account_will_be_empty_and_one_is() -> None:
    forecasts = sentences()

    assert re.fullmatch(r"empty at \d\d:\d\d \w+, back at \d\d:\d\d \w+", forecasts[ADA, "Claude, GPT"])
    assert re.fullmatch(r"empty until \d\d:\d\d \w+", forecasts[ADA, "Gemini (cli)"])
    for pool in ("Claude, GPT", "Gemini (cli)"):
        assert forecasts[LINUS, pool].startswith("lasts past its reset at ")


@pytest.mark.usefixtures("demo")
def test_the_quota_that_ran_out_cools_down() -> None:
    cooldown = Cooldown.lasting().get()

    assert (cooldown.account.email, cooldown.kind) == (ADA, "QUOTA")
    assert cooldown.model_key == "gemini-3.1-pro-preview:cli"


@pytest.mark.django_db(transaction=True)
async def test_asking_google_changes_no_forecast(demo: EmulatorServer) -> None:
    before = await sync_to_async(quota_forecasts)()
    accounts = [one async for one in Account.objects.usable()]

    results = await check_all(accounts, refresh_quota)

    assert {result.problem for result in results} == {""}
    after = await sync_to_async(quota_forecasts)()
    for one, other in zip(before, after, strict=True):
        assert other.remaining_fraction == pytest.approx(one.remaining_fraction, abs=0.005)
        assert empty_at(other) == pytest.approx(empty_at(one), abs=120)


def empty_at(forecast: QuotaForecast) -> float:
    return (forecast.forecast and forecast.forecast.empty_at) or 0.0


@pytest.mark.django_db(transaction=True)
async def test_grace_can_be_verified_at_the_emulator(demo: EmulatorServer) -> None:
    grace = await Account.objects.aget(email=GRACE)
    link = grace.state_link
    assert link.startswith(demo.url)

    await check_all([grace], verify)
    grace = await Account.objects.aget(email=GRACE)
    assert (grace.state, grace.state_link) == (Account.State.NEEDS_VERIFICATION, link)

    async with httpx.AsyncClient() as browser:
        await browser.post(link)
    await check_all([grace], verify)
    assert (await Account.objects.aget(email=GRACE)).state == Account.State.OK


def test_the_quota_that_runs_out_does_so_in_time(emulator: EmulatorServer) -> None:
    quotas.prepare(emulator)
    now = emulator.state.clock.now()
    quota, use = emulator.state.quota(ADA, CLAUDE_POOL), USES[ADA, CLAUDE_POOL]
    left = [quota.remaining_fraction(now + minutes * 60) for minutes in range(0, 100, 10)]

    assert left[0] == pytest.approx(use.left)
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert 0.9 < quota.remaining_fraction(now + use.resets_in + 600) < 1, "full again, and used at once"


@given(use=st.sampled_from(list(USES.values())), ago=st.floats(60, 12 * 3600))
def test_a_fraction_falls_until_its_window_ends(use: Use, ago: float) -> None:
    later = ago - 60

    assert 0 <= use.fraction(ago) <= 1
    assert use.window_end(ago) > -ago
    if use.window_end(ago) == use.window_end(later):
        assert use.fraction(later) <= use.fraction(ago)


def test_there_is_an_account_of_each_kind(demo: EmulatorServer) -> None:
    accounts = Account.objects.all()

    assert {account.kind for account in accounts} == set(KINDS)
    assert all(account.is_usable for account in accounts if account.kind != "google")
    assert {account.kind for account in accounts if account.priority == 0} == {"google"}
