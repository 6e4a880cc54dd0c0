"""The accounts side against the emulator: settings, an account it knows, a browser that consents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from django.utils import timezone

from accounts.models import Account
from accounts.sign_in.callback_server import close_shared_listener
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    from proxy_site.emulator.server import EmulatorServer


@pytest.fixture
def google(google_settings: Settings, emulator: EmulatorServer) -> EmulatorServer:
    google_settings.OAUTH_CALLBACK_PORT = free_port()
    return emulator


@pytest.fixture(autouse=True)
def closed_listener() -> Iterator[None]:
    yield
    close_shared_listener()


@pytest.fixture
def ada(transactional_db: None, google: EmulatorServer) -> Account:
    """An account that works, committed: tokens are refreshed in other threads."""
    account = Account(email="ada@example.com", terms_accepted_at=timezone.now())
    account.credential = {"refresh_token": google.state.account("ada@example.com").refresh_token}
    account.save()
    return account


@pytest.fixture
def consent() -> Callable[[str, str], str]:
    """Sign in on Google's page; returns the address the browser is sent back to."""

    def visit(address: str, email: str = "ada@example.com") -> str:
        answer = httpx.get(address, params={**_query(address), "auto_approve": "1", "login_hint": email})
        return answer.headers["location"]

    return visit


def _query(address: str) -> dict[str, str]:
    return dict(httpx.URL(address).params)
