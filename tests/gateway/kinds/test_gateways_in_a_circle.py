"""Two gateways in processes of their own, each with an account that leads to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from proxy_site.emulator.compatible.peer import Peer
from tests.gateway.kinds.gateway_with_key import GatewayWithKey
from tests.live_gateway import LiveGateway, manage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from proxy_site.emulator.server import EmulatorServer

MODEL = "claude-sonnet-4-6"
TOKEN = "token-of-both"

pytestmark = pytest.mark.slow


class GatewayTo(LiveGateway):
    """Its only account is the gateway at `other`."""

    other = ""

    def __enter__(self) -> Self:
        added = manage(
            *("addaccount", "--kind", "compatible", "--url", self.other, "--model", MODEL, "--unchecked"),
            *("--key-file", "-"),
            env=self.env,
            stdin=TOKEN.encode(),
        )
        assert added.returncode == 0, added.stderr.decode()
        self.start()
        return self


@pytest.fixture
def circle(emulator: EmulatorServer, tmp_path: Path) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    first, second = (GatewayTo(emulator, tmp_path / name, AUTH_TOKEN=TOKEN) for name in ("first", "second"))
    first.other, second.other = second.url, first.url
    with first, second:
        yield first, second


def test_a_request_ends_where_it_began(circle: tuple[LiveGateway, LiveGateway]) -> None:
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    for gateway, stream in zip(circle * 2, (True, True, False, False), strict=True):
        answer = httpx.post(
            f"{gateway.url}/v1/messages",
            json={**body, "stream": stream},
            headers={"x-api-key": TOKEN},
            timeout=10,
        )
        assert answer.status_code == 508
        assert answer.headers["x-should-retry"] == "false"
        assert "Compatible server 1: leads into a circle of gateways." in answer.json()["error"]["message"]

    for gateway in circle:
        assert httpx.get(f"{gateway.url}/healthz", timeout=5).status_code == 200
        gateway.stop()
        # Each request has passed both, once.
        assert gateway.output.count("508 api_error; 0 in, 0 out;") == 4
        assert gateway.output.count("; 1 attempt") == 4


def test_a_circle_that_nobody_sees_ends_at_the_limit_of_an_account(
    emulator: EmulatorServer, tmp_path: Path
) -> None:
    """The gateway between drops all headers, so that the request comes back as a new one each time."""
    most, limits = 3, {"MAX_CONCURRENT_REQUESTS": "3", "MAX_WAIT_BEFORE_ERROR_MS": "1500"}
    gateway = GatewayWithKey(emulator, tmp_path, AUTH_TOKEN=TOKEN, **limits)
    gateway.kind = "compatible"
    emulator.state.peer = Peer(gateway.url, TOKEN)
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    try:
        with gateway:
            answer = httpx.post(
                f"{gateway.url}/v1/messages", json=body, headers={"x-api-key": TOKEN}, timeout=20
            )
    finally:
        emulator.state.peer = None

    assert answer.status_code == 504
    # One more may begin when one hangs up, and ends with it.
    assert most <= len(emulator.state.log.entries("messages")) <= 2 * most
