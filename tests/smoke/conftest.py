"""Gateways set up otherwise than the full suite has them; each must pass all that test_smoke.py asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from anthropic import Anthropic

from tests.gateway.kinds.gateway_with_key import GatewayWithKey
from tests.live_gateway import LiveGateway, UnderAnotherServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer


@dataclass(frozen=True)
class Setup:
    """`sent_as` is how the second of `models` is called where it is sent."""

    sent_as: str
    settings: dict[str, str] = field(default_factory=dict)
    gateway: type[LiveGateway] = LiveGateway
    kind: str = "google"
    """Of its only account, unless they are Google accounts."""
    models: tuple[str, str] = ("claude-sonnet-4-6", "gemini-3-flash")


SETUPS = {
    "header mode antigravity": Setup("gemini-3-flash", {"GEMINI_HEADER_MODE": "antigravity"}),
    "another ASGI server": Setup("gemini-3-flash-preview", gateway=UnderAnotherServer),
}
KEYS = {
    kind: Setup(models[1], kind=kind, models=models)
    for kind, models in {
        "gemini": ("gemini-2.5-flash", "gemini-3-flash-preview"),
        "anthropic": ("claude-opus-5-5", "claude-sonnet-4-6"),
        "compatible": ("claude-sonnet-4-6", "claude-sonnet-4-6"),
    }.items()
}
"""Kinds of account that are keys, for `.ci/full`."""


@pytest.fixture(
    scope="module",
    params=[*SETUPS.values(), *(pytest.param(one, marks=pytest.mark.full) for one in KEYS.values())],
    ids=[*SETUPS, *KEYS],
)
def setup(request: pytest.FixtureRequest) -> Setup:
    one: Setup = request.param
    return one


@pytest.fixture(scope="module")
def gateway(
    setup: Setup, shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("data")
    of_kind = setup.gateway if setup.kind == "google" else GatewayWithKey
    one = of_kind(shared_emulator, folder, **setup.settings)
    if isinstance(one, GatewayWithKey):
        one.kind = setup.kind
    with one as gateway:
        yield gateway


@pytest.fixture
def model(request: pytest.FixtureRequest, setup: Setup) -> str:
    """One of the setup's models, by its place."""
    return setup.models[getattr(request, "param", 1)]


@pytest.fixture
def several_accounts(setup: Setup) -> None:
    if setup.kind != "google":
        pytest.skip("a gateway of this kind has one key here; tests/gateway/kinds/ has several")


@pytest.fixture
def large_context(setup: Setup) -> None:
    if setup.kind in {"anthropic", "compatible"}:
        pytest.skip("the models of this kind take 200,000 tokens, less than two megabytes")


@pytest.fixture
def google(shared_emulator: EmulatorServer) -> Iterator[EmulatorServer]:
    """With nothing in its log, and no limits left behind."""
    shared_emulator.state.log.clear()
    yield shared_emulator
    shared_emulator.state.clear_scripts()


@pytest.fixture
def client(gateway: LiveGateway) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key="anything", max_retries=0) as anthropic:
        yield anthropic
