"""A relay for management commands: accounts and relay in this process, without server and ledger."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from channels.db import database_sync_to_async
from django.conf import settings

from accounts.service import AccountsService
from gateway.ledger.signature_store import StoredSignatures
from gateway.models import read_routes
from gateway.preparation.translator import RequestTranslator
from gateway.preparation.workers import TranslationWorkers
from gateway.relay.relay import Relay
from gateway.routing.token_ratios import TokenRatios
from gateway.upstreams.registry import make_upstreams
from gateway.upstreams.transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def relay_of_accounts() -> AsyncIterator[Relay]:
    """Yield a relay with the accounts, limits, routes and settings of the database.

    It shares access tokens and cooldowns with running servers. Requests are not recorded.
    """
    accounts = AccountsService()
    transport = Transport(settings.UPSTREAM_CONNECT_TIMEOUT_SECONDS)
    routes = await database_sync_to_async(read_routes)()
    signatures, workers = StoredSignatures(_keep_nothing), TranslationWorkers()
    translator = RequestTranslator(signatures, TokenRatios(), workers)
    relay = Relay(accounts, make_upstreams(transport), lambda: routes, signatures, translator)
    await transport.start()
    await accounts.start()
    try:
        yield relay
    finally:
        await workers.stop()
        await accounts.stop()
        await transport.close()


def _keep_nothing(tool_use_id: str, signature: str) -> None:
    """Drop the signatures of a command's answers: no later request sends the calls back."""
