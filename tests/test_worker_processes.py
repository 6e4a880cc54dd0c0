"""The processes that translate large requests live as long as their gateway."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.raw_http import post
from tests.live_gateway import LiveGateway
from tests.test_pressure import LARGE

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer


def children_of(gateway: LiveGateway) -> list[int]:
    threads = Path("/proc", str(gateway.process.pid), "task").iterdir()
    return [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_worker_processes_end_with_the_gateway_and_not_before(
    number: signal.Signals,
    shared_emulator: EmulatorServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data")) as gateway:
        assert children_of(gateway) == []
        assert post(gateway.url, LARGE, "/v1/messages/count_tokens").status == 200
        (worker,) = children_of(gateway)
        os.kill(worker, signal.SIGINT)  # as a terminal sends it to all of them
        assert post(gateway.url, LARGE, "/v1/messages").status == 200
        assert children_of(gateway) == [worker]

        status = gateway.stop(number)

    assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    for _ in range(100):
        if not Path("/proc", str(worker)).exists():
            break
        time.sleep(0.05)
    assert not Path("/proc", str(worker)).exists()
    assert "Traceback" not in gateway.output
