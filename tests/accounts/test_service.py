"""What the running service offers for several accounts together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from accounts.models import Account
from accounts.service import AccountsService, NoProject
from accounts.transfer.importing import store
from accounts.transfer.rows import ImportedRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy_site.emulator.server import EmulatorServer

LITE, FLASH = "gemini-3.1-flash-lite", "gemini-3-flash"
ADA, LINUS = "ada@example.com", "linus@example.com"


@pytest.fixture
def two_accounts(transactional_db: None, google: EmulatorServer) -> None:
    """Ada's list names no model that searches the web; that of Linus has one, and less is left of it."""
    google.state.account(ADA).web_search_models.clear()
    google.state.set_quota(LINUS, "gemini-antigravity", remaining=1, limit=100)
    accounts = [google.state.account(email) for email in (ADA, LINUS)]
    rows = [ImportedRow(account.email, account.refresh_token, account.project or "") for account in accounts]
    store(rows, terms_accepted=True)


@pytest.fixture
async def service(two_accounts: None) -> AsyncIterator[AccountsService]:
    service = AccountsService()
    await service.start()
    yield service
    await service.stop()


async def test_a_model_searches_the_web_when_it_does_so_for_any_account(service: AccountsService) -> None:
    await _until_ids_are(service, {ADA, LINUS})

    offered = service.offered_models()
    assert offered[LITE].searches_web
    assert not offered[FLASH].searches_web
    assert offered[LITE].remaining_fraction == 1.0


async def test_an_account_that_does_not_list_the_model_is_unable_to_search(service: AccountsService) -> None:
    ids = await _until_ids_are(service, {ADA, LINUS})

    assert service.unable_to_search(LITE) == {ids[ADA]}
    assert service.unable_to_search(FLASH) == set(ids.values())


UNREADABLE: list[dict[str, Any]] = [
    {"status": 200, "body": "<html>"},
    {"status": 200, "body": {"models": []}},
    {"status": 200, "body": {"models": {f"m{number}": {} for number in range(2001)}}},
    {"status": 200, "body": "[" * 100_000 + "]" * 100_000},
    {"status": 503, "body": ""},
]


@pytest.mark.parametrize("answer", UNREADABLE, ids=["page", "list", "too many", "too deep", "down"])
async def test_an_unreadable_model_list_is_not_requested_each_time(
    answer: dict[str, Any], two_accounts: None, google: EmulatorServer
) -> None:
    google.state.fault("refuse", method="fetchAvailableModels", times=None, **answer)
    service = AccountsService()
    await service.start()

    for _ in range(20):
        await asyncio.gather(*(service.until_offers_are_known() for _ in range(10)))
    await service.stop()

    assert service.offered_models() == {}
    assert len(google.state.log.entries("fetchAvailableModels")) <= 2 * len(service.pool.accounts)


async def test_a_missing_project_is_not_requested_each_time(
    two_accounts: None, google: EmulatorServer
) -> None:
    await Account.objects.aupdate(project_id="")
    google.state.fault("refuse", status=200, body="<html>", method="loadCodeAssist", times=None)
    service = AccountsService()
    await service.start()

    for _ in range(20):
        for account in service.pool.accounts:
            assert account.lacks_project
            with pytest.raises(NoProject):
                await service.project_of(account)
    await service.stop()

    assert len(google.state.log.entries("loadCodeAssist")) <= 2 * len(service.pool.accounts)


async def test_a_model_list_is_requested_again_after_seconds(
    two_accounts: None, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.service.ASK_AGAIN_SECONDS", 0.2)
    google.state.fault("refuse", status=503, body="", method="fetchAvailableModels", times=None)
    service = AccountsService()
    await service.start()
    await service.until_offers_are_known()
    google.state.clear_scripts()

    await asyncio.sleep(0.3)
    await service.until_offers_are_known()

    assert service.offered_models()
    await service.stop()


async def _until_ids_are(service: AccountsService, emails: set[str]) -> dict[str, int]:
    """The ids by e-mail, once the models of exactly these accounts are known."""
    async with asyncio.timeout(10):
        while True:
            known = {one.name: one.id for one in service.pool.accounts if one.id in service._offers}
            if known.keys() == emails:
                return known
            await asyncio.sleep(0.02)
