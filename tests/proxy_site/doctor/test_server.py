"""What answers at the gateway's address, and what the report says of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, Mock

import pytest

from accounts.network import AccountsClient
from proxy_site.doctor.findings import Finding, State
from proxy_site.doctor.machine import holder
from proxy_site.doctor.server import check_server, health_at
from tests.hostile_server import answering, http
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

VERSION = "0.2.0.dev0"
HEALTHY = {"status": "ok", "version": VERSION, "summary": "1 total", "database": "ok", "degraded": []}


async def check(port: int, host: str = "127.0.0.1") -> list[Finding]:
    client = AccountsClient()
    try:
        return await check_server(client, host, port)
    finally:
        await client.close()


async def server_that_says(health: Any) -> Finding:
    """The finding about it."""
    with answering([http(json.dumps(health).encode())]) as url:
        found = await check(int(url.rpartition(":")[2]))
    return found[1]


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


async def test_a_gateway_that_allows_other_hosts_is_known_by_readyz() -> None:
    client = Mock(AccountsClient)
    client.get = AsyncMock(
        side_effect=[Mock(content=b'{"type": "error"}'), Mock(content=json.dumps(HEALTHY))]
    )

    assert await health_at(client, "http://127.0.0.1:8672") == HEALTHY
    assert [call.args[0].rpartition("/")[2] for call in client.get.call_args_list] == ["health", "readyz"]


@pytest.mark.parametrize(
    ("health", "state", "words"),
    [
        (HEALTHY, State.OK, "healthy; accounts: 1 total"),
        ({**HEALTHY, "version": "0.1.0"}, State.WARNING, "Version 0.1.0 still runs"),
        ({**HEALTHY, "status": "degraded", "degraded": ["No account."]}, State.WARNING, "No account."),
        ({**HEALTHY, "status": "degraded", "database": "It is gone."}, State.PROBLEM, "It runs, degraded"),
        ({**HEALTHY, "status": "degraded", "degraded": {"x": 1}}, State.WARNING, "It runs, degraded"),
        ({**HEALTHY, "summary": "\x1b" * 9999}, State.OK, "healthy"),
        ([1], State.SKIPPED, "It does not run"),
        ({"status": "ok"}, State.SKIPPED, "It does not run"),
    ],
)
async def test_what_it_says_of_itself(health: Any, state: State, words: str) -> None:
    found = await server_that_says(health)

    assert found.state is state
    assert words in found.sentence
    assert len(found.sentence) < 700


async def test_another_gateway_on_the_port_is_told_from_this_one() -> None:
    with answering([http(json.dumps(HEALTHY).encode())]) as url:
        found, _ = await check(int(url.rpartition(":")[2]))

    assert found.state is State.WARNING
    assert "another gateway, with another DATA_DIR" in found.sentence


async def test_an_address_of_another_machine_is_a_problem() -> None:
    found, _ = await check(free_port(), "192.0.2.1")

    assert found.state is State.PROBLEM
    assert "Choose an address of this machine" in found.next_step


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_process_on_a_port_is_named(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        found = holder(listener.getsockname()[1])

    assert found is not None
    assert found[0] == os.getpid()


@pytest.mark.skipif(shutil.which("lsof") is None, reason="macOS has lsof, other systems may not")
def test_the_process_is_named_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = holder(listener.getsockname()[1])

    assert found is not None
    assert found[0] == os.getpid()


def test_a_free_port_has_no_process() -> None:
    assert holder(free_port()) is None
