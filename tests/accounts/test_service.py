"""What the running service tells of several accounts together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from accounts.importing import Row, store
from accounts.service import AccountsService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.upstreams.emulator.server import EmulatorServer

LITE, FLASH = "gemini-3.1-flash-lite", "gemini-3-flash"
ADA, LINUS = "ada@example.com", "linus@example.com"


@pytest.fixture
def two_accounts(transactional_db: None, google: EmulatorServer) -> None:
    """Ada's list names no model that searches the web; that of Linus has one, and less is left of it."""
    google.state.account(ADA).web_search_models.clear()
    google.state.set_quota(LINUS, "gemini-antigravity", remaining=1, limit=100)
    accounts = [google.state.account(email) for email in (ADA, LINUS)]
    rows = [Row(account.email, account.refresh_token, account.project or "") for account in accounts]
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


async def _until_ids_are(service: AccountsService, emails: set[str]) -> dict[str, int]:
    """The ids by e-mail, once just these accounts have said what they may use."""
    async with asyncio.timeout(10):
        while True:
            known = {one.email: one.id for one in service.pool.accounts if one.id in service._offers}
            if known.keys() == emails:
                return known
            await asyncio.sleep(0.02)
