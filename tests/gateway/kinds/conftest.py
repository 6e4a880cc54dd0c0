"""A gateway with accounts of the kinds that are keys, and the official SDK as its client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anthropic
import httpx2
import pytest

from accounts.adding.keys import GivenKey, add
from gateway.api.application import Api
from tests.gateway.conftest import add_accounts, body_limits, in_database, started_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

    OpenGateway = Callable[..., AbstractAsyncContextManager[Gateway]]

KEYS = {
    "gemini": "AIza-emulator-ada",
    "anthropic": "sk-ant-api03-emulator-ada",
    "compatible": "emulator-compatible-ada",
}
MODELS = {
    "google": "claude-sonnet-4-6",
    "gemini": "gemini-3-flash-preview",
    "anthropic": "claude-sonnet-4-6",
    "compatible": "claude-sonnet-4-6",
    "ollama": "qwen3-coder:30b",
    "vllm": "qwen3-coder",
    "llamacpp": "/models/qwen3.gguf",
    "openrouter": "anthropic/claude-sonnet-4.6",
}
"""A model that each kind offers; of compatible servers by the emulator's mode."""
MODES = ("ollama", "vllm", "llamacpp", "openrouter")


def add_account(emulator: EmulatorServer, kind: str) -> None:
    """Add an account of a kind, or of a mode of compatible servers."""
    if kind == "google":
        add_accounts(emulator)
        return
    base_url = ""
    if kind in MODES or kind == "compatible":
        base_url = emulator.compatible_url("gateway" if kind == "compatible" else kind)  # type: ignore[arg-type]
        kind = "compatible"
    add(GivenKey(kind, KEYS[kind], base_url), unchecked=True)


@pytest.fixture
def open_gateway(emulator: EmulatorServer, google_settings: Settings, transactional_db: None) -> OpenGateway:
    """Opens a gateway with an account of each of these kinds: `async with open_gateway("anthropic")`."""
    for account in emulator.state.accounts:
        account.project = account.project or f"project-of-{account.short_name}"

    @asynccontextmanager
    async def opened(*kinds: str) -> AsyncIterator[Gateway]:
        for kind in kinds:
            await in_database(add_account)(emulator, kind)
        async with started_gateway() as gateway:
            yield gateway

    return opened


def sdk(gateway: Gateway) -> anthropic.AsyncAnthropic:
    transport = httpx2.ASGITransport(Api(gateway, body_limits(8 * 1024 * 1024)))  # type: ignore[arg-type]
    http_client = anthropic.DefaultAsyncHttpxClient(transport=transport)
    return anthropic.AsyncAnthropic(
        api_key="client", base_url="http://127.0.0.1:8672", max_retries=0, http_client=http_client
    )
