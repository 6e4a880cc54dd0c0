"""The gateway in this process: real views, relay, pool, database and sockets to the emulator."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from accounts.transfer.importing import store
from accounts.transfer.rows import ImportedRow
from gateway.api.application import Api
from gateway.bodies.arrival import BodyLimits
from gateway.service import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pytest_django.fixtures import Settings

    from proxy_site.emulator.server import EmulatorServer

BODY_LIMIT_BYTES = 1024 * 1024


def body_limits(body_bytes: int = BODY_LIMIT_BYTES, **limits: float) -> BodyLimits:
    return BodyLimits(**{"body_bytes": body_bytes, "total_bytes": 256 * 1024 * 1024, "seconds": 10, **limits})  # type: ignore[arg-type]


@pytest.fixture
def google(emulator: EmulatorServer, google_settings: Settings, transactional_db: None) -> EmulatorServer:
    """The emulator, with its three accounts in the database and the settings pointing at it."""
    for account in emulator.state.accounts:
        account.project = account.project or f"project-of-{account.short_name}"
    add_accounts(emulator)
    return emulator


def add_accounts(emulator: EmulatorServer) -> None:
    store(
        [
            ImportedRow(account.email, account.refresh_token, account.project or "")
            for account in emulator.state.accounts
        ],
        terms_accepted=True,
    )


@pytest.fixture
async def gateway(google: EmulatorServer) -> AsyncIterator[Gateway]:
    async with started_gateway() as gateway:
        yield gateway


@pytest.fixture
def live_setting(settings: Settings) -> Callable[[str, Any], None]:
    """Sets one for the test: live_setting("FALLBACK", True)."""

    def change(name: str, value: Any) -> None:
        spec = replace(settings.LIVE_SETTINGS[name], start_value=value)
        settings.LIVE_SETTINGS = {**settings.LIVE_SETTINGS, name: spec}

    return change


class started_gateway:  # noqa: N801  # reads as the verb it is
    """A gateway that has made itself ready: each account knows its models, or why not.

    With all quotas known and equal, the first account is the first to be asked.
    """

    async def __aenter__(self) -> Gateway:
        self._gateway = Gateway()
        await self._gateway.start()
        await self._gateway.accounts.until_offers_are_known()
        if preparations := list(self._gateway.accounts._preparations.values()):
            await asyncio.wait(preparations, timeout=5)
        return self._gateway

    async def __aexit__(self, *exception: object) -> None:
        await self._gateway.stop()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with a_client(gateway) as client:
        yield client


def a_client(gateway: Gateway) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Api(gateway, body_limits()))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8672", timeout=60)


def a_body(**changes: Any) -> dict[str, Any]:
    message = {"role": "user", "content": "Hello"}
    return {"model": "claude-sonnet-4-6", "max_tokens": 1000, "messages": [message], **changes}


def text_of(message: dict[str, Any]) -> str:
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


in_database = sync_to_async
