from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from accounts.inspection import check_all, refresh_quota, verify
from accounts.models import Account, QuotaSnapshot
from accounts.offers import ModelOffer
from accounts.quota.snapshots import forget_old_quotas, history_lines, quota_forecasts, store_quotas
from proxy_site.emulator.delivery.behaviour import refuse

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

SOON = datetime.now(UTC) + timedelta(hours=5)


def offer(
    fraction: float | None, reset_at: datetime | None = SOON, model_id: str = "gemini-3-flash"
) -> ModelOffer:
    return ModelOffer(model_id, model_id, None, None, fraction, reset_at)


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.create(email="ada@example.com", sealed_credential="-")


def test_history_grows_only_when_numbers_change(account: Account) -> None:
    for fraction in (0.9, 0.9, 0.9, 0.5):
        store_quotas(account.pk, "cli", [offer(fraction)])

    assert [row.remaining_fraction for row in QuotaSnapshot.objects.all()] == [0.9, 0.5]
    first = QuotaSnapshot.objects.order_by("taken_at")[0]
    assert first.seen_at > first.taken_at


def test_the_two_header_modes_are_kept_apart(account: Account) -> None:
    store_quotas(account.pk, "antigravity", [offer(0.9)])
    store_quotas(account.pk, "cli", [offer(0.2)])

    assert {(one.header_mode, one.remaining_fraction) for one in quota_forecasts()} == {
        ("antigravity", 0.9),
        ("cli", 0.2),
    }


def test_lines_are_drawn_of_the_models_asked_for(account: Account) -> None:
    for fraction in (1.0, 0.5):
        store_quotas(account.pk, "cli", [offer(fraction, model_id=name) for name in ("gemini-a", "gemini-b")])

    lines = history_lines(account.pk, ["gemini-a"])

    assert list(lines) == [("gemini-a", "cli")]
    assert [point.partition(",")[2] for point in lines["gemini-a", "cli"].split()] == ["1.0"] * 2 + [
        "10.0"
    ] * 2


def test_another_reset_time_adds_a_snapshot(account: Account) -> None:
    store_quotas(account.pk, "cli", [offer(0.9)])
    store_quotas(account.pk, "cli", [offer(0.9, SOON + timedelta(days=1))])

    assert QuotaSnapshot.objects.count() == 2


def test_a_missing_quota_is_unknown_and_not_empty(account: Account) -> None:
    store_quotas(account.pk, "cli", [offer(None, None)])

    assert quota_forecasts()[0].remaining_fraction is None
    assert quota_forecasts()[0].sentence == ""


def test_models_of_the_editor_are_left_out(account: Account) -> None:
    store_quotas(account.pk, "cli", [offer(1.0, model_id="tab_flash_lite_preview")])

    assert quota_forecasts() == []


def test_old_history_is_forgotten(account: Account) -> None:
    store_quotas(account.pk, "cli", [offer(0.9)])
    QuotaSnapshot.objects.update(seen_at=timezone.now() - timedelta(days=15))

    assert forget_old_quotas() == 1


# Asked of Google


async def test_an_exhausted_pool_reads_as_zero_and_says_when_it_is_back(
    ada: Account, google: EmulatorServer
) -> None:
    google.state.set_quota("ada@example.com", "claude", remaining=0, limit=10, reset_in=7200)

    await check_all([ada], refresh_quota)

    found = [one async for one in QuotaSnapshot.objects.filter(model_id="claude-sonnet-4-5")]
    assert [one.remaining_fraction for one in found] == [0.0]


async def test_the_pools_of_both_header_modes_are_asked_for(ada: Account, google: EmulatorServer) -> None:
    google.state.set_quota("ada@example.com", "gemini-cli", remaining=1, limit=4)
    google.state.set_quota("ada@example.com", "gemini-antigravity", remaining=3, limit=4)

    await check_all([ada], refresh_quota)

    found = QuotaSnapshot.objects.filter(model_id="gemini-2.5-pro").values_list(
        "header_mode", "remaining_fraction"
    )
    assert {pair async for pair in found} == {("cli", 0.25), ("antigravity", 0.75)}


async def test_the_fullest_quota_of_a_models_own_counts(ada: Account, google: EmulatorServer) -> None:
    """Beside it Google sends an empty one of a lower tier, and one of another address."""
    google.state.set_quota("ada@example.com", "gemini-cli", remaining=1, limit=4)

    await check_all([ada], refresh_quota)

    found = QuotaSnapshot.objects.filter(header_mode="cli").values_list("model_id", "remaining_fraction")
    by_model = {model_id: fraction async for model_id, fraction in found}
    assert "gemini-2.5-pro" in by_model
    assert not any(model_id.endswith("_vertex") for model_id in by_model)
    assert set(by_model.values()) == {0.25}


async def test_a_known_tier_survives_a_failure(ada: Account, google: EmulatorServer) -> None:
    await check_all([ada], verify)
    google.state.fault(refuse(503, {}), method="loadCodeAssist", times=None)
    account = await Account.objects.aget()

    result = (await check_all([account], verify))[0]

    assert result.problem == ""
    account = await Account.objects.aget()
    assert (account.tier, account.state) == ("pro", Account.State.OK)


async def test_a_token_google_no_longer_takes_is_replaced(ada: Account, google: EmulatorServer) -> None:
    await check_all([ada], refresh_quota)
    google.state.expire_tokens()

    result = (await check_all([ada], refresh_quota))[0]

    assert result.problem == ""


# Putting an account to the test


async def test_a_new_account_gets_its_project_and_tier(ada: Account, google: EmulatorServer) -> None:
    result = (await check_all([ada], verify))[0]

    assert (result.problem, result.tier, result.project_id) == ("", "pro", "emulator-project-ada")
    assert result.models > 5


async def test_an_account_to_verify_gets_googles_link(ada: Account, google: EmulatorServer) -> None:
    google.state.require_verification("ada@example.com")

    await check_all([ada], verify)

    account = await Account.objects.aget()
    assert account.state == Account.State.NEEDS_VERIFICATION
    assert account.state_link.startswith("https://accounts.google.com/")


async def test_a_link_to_anywhere_else_is_not_shown(ada: Account, google: EmulatorServer) -> None:
    google.state.require_verification("ada@example.com", "https://accounts.google.com.evil.example/")

    await check_all([ada], verify)

    assert (await Account.objects.aget()).state_link == ""


async def test_a_disabled_account_says_so_and_passes_again_when_google_gives_it_back(
    ada: Account, google: EmulatorServer
) -> None:
    google.state.disable_by_provider("ada@example.com")
    await check_all([ada], verify)
    assert (await Account.objects.aget()).state == Account.State.DISABLED_BY_PROVIDER
    google.state.restore("ada@example.com")

    await check_all([ada], verify)

    account = await Account.objects.aget()
    assert (account.state, account.state_reason) == (Account.State.OK, "")


async def test_an_account_for_which_google_makes_no_project_needs_one(
    ada: Account, google: EmulatorServer
) -> None:
    google.state.account("ada@example.com").project = None
    google.state.account("ada@example.com").can_be_onboarded = False
    google.state.log.open(
        "onboardUser", {}, b""
    ).account = "ada@example.com"  # asked before: it is done at once

    await check_all([ada], verify)

    assert (await Account.objects.aget()).state == Account.State.NEEDS_PROJECT


async def test_a_project_google_refuses_is_looked_up_again(ada: Account, google: EmulatorServer) -> None:
    ada.project_id = "somebody-elses-project"
    await ada.asave()

    result = (await check_all([ada], verify))[0]

    assert (result.problem, result.project_id) == ("", "emulator-project-ada")
