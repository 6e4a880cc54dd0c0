"""`manage.py doctor` as it is typed, beside a gateway that runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.live_gateway import LiveGateway, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

KEY = "the-key-of-this-gateway"
SECRETS = (KEY, "emulator-refresh", "emulator-access", "emulator-client-secret", "ada@example.com")
"""With the addresses of accounts."""


@pytest.fixture(scope="module")
def gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data"), AUTH_TOKEN=KEY) as gateway:
        yield gateway


def doctor(gateway: LiveGateway, *arguments: str, key: str = KEY, **more: str) -> tuple[int, str]:
    """Exit status and output. `more`: further variables of Claude Code."""
    claude_code = {"ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_AUTH_TOKEN": key, **more}
    done = manage("doctor", *arguments, env={**gateway.env, **claude_code})
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


def test_a_healthy_gateway_is_found_healthy_in_seconds(gateway: LiveGateway) -> None:
    started = time.monotonic()
    status, said = doctor(gateway)
    seconds = time.monotonic() - started

    assert status == 0
    for words in (
        f"127.0.0.1:{gateway.port} is this gateway's (process {gateway.process.pid}",
        "healthy; accounts: 3 total, 3 available",
        "its key is accepted",
        "a…@example.com: signed in, tier pro",
        "Nothing wrong was found.",
    ):
        assert words in said
    for secret in SECRETS:
        assert secret not in said
    assert seconds < 20  # five on a machine that does nothing else


def test_json_has_a_row_for_each_finding(gateway: LiveGateway) -> None:
    status, said = doctor(gateway, "--json")

    rows: list[dict[str, Any]] = json.loads(said)["rows"]
    assert status == 0
    assert json.loads(said)["ok"] is True
    assert {"Python", "Configuration", "Database", "Port", "Clock", "Models"} <= {row["name"] for row in rows}
    for secret in SECRETS:
        assert secret not in said


def test_a_stale_key_of_claude_code_is_found_by_asking(gateway: LiveGateway) -> None:
    status, said = doctor(gateway, "--offline", key="the-key-of-last-week")

    assert status == 1
    assert "ANTHROPIC_AUTH_TOKEN in the environment, is not the key of this gateway" in said
    assert "last-week" not in said


def test_a_model_that_claude_code_asks_for_in_vain_is_named(gateway: LiveGateway) -> None:
    status, said = doctor(
        gateway, "--offline", ANTHROPIC_MODEL="gpt-9/none", CLAUDE_CODE_SUBAGENT_MODEL="opus"
    )

    assert status == 3
    assert "Its ANTHROPIC_MODEL, gpt-9/none, is no model of the gateway (the environment)." in said


def test_another_port_leads_to_the_server_that_has_the_folder(gateway: LiveGateway) -> None:
    port = free_port()
    done = manage("doctor", "--offline", str(port), env=gateway.env)

    assert done.returncode == 3
    assert (
        f"Process {gateway.process.pid} serves this DATA_DIR at {gateway.url}, not on 127.0.0.1:{port}"
        in done.stdout.decode()
    )
