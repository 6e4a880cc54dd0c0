"""The real Claude Code in the middle of its work, while its accounts use up their quotas.

Other failures of one account are in tests/clients/test_claude_code_errors.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.accounts import sample_account
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.clients.claude_code import WRITE_AND_READ, ClaudeCode
from tests.clients.conftest import node_packages
from tests.clients.conversations import assert_paired, function_calls
from tests.clients.recorder import Recorder
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.node_packages import NodePackages

__all__ = ["node_packages"]

pytestmark = pytest.mark.needs("node")

ADA, LINUS, MARY = "ada@example.com", "linus@example.com", "mary@example.com"


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    accounts = [sample_account(email, email.partition("@")[0], "g1-pro-tier") for email in (ADA, LINUS, MARY)]
    with EmulatorServer(EmulatorState(accounts=accounts)) as server:
        yield server


def test_claude_code_goes_on_when_two_of_three_quotas_end(
    node_packages: NodePackages,
    emulator: EmulatorServer,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for email in (ADA, LINUS):
        emulator.state.set_quota(email, "claude", remaining=1, reset_in=7200)
    data_dir = tmp_path_factory.mktemp("data")

    with (
        LiveGateway(emulator, data_dir, ACCOUNT_STRATEGY="sticky") as gateway,
        Recorder(gateway.url) as recorder,
    ):
        claude = ClaudeCode(node_packages.claude, tmp_path, recorder.url)
        run = claude.ask('Write "still here" into notes.txt', *WRITE_AND_READ)

    assert run.status == 0
    assert (claude.work / "notes.txt").read_text() == "still here"
    assert {exchange.status for exchange in recorder.of("/v1/messages")} == {200}
    calls = [call for call in emulator.state.log.generations() if (call.model or "").startswith("claude")]
    assert [(call.account, call.status) for call in calls] == [
        (ADA, 200),
        (ADA, 429),
        (LINUS, 200),
        (LINUS, 429),
        (MARY, 200),
    ]
    assert [call["name"] for call in function_calls(calls[-1])] == ["Write", "Read"]
    assert_paired(calls[-1])
    assert gateway.output.count("→ next account") == 2
