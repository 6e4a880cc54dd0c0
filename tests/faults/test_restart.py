"""What a gateway still knows after it was killed."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.clients.raw_http import Answer, Wire, post, request_bytes
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

ADA, LINUS = "ada@example.com", "linus@example.com"
MODEL = "claude-sonnet-4-6"


@pytest.fixture
def gateway(emulator: EmulatorServer, tmp_path: Path) -> Iterator[LiveGateway]:
    with LiveGateway(emulator, tmp_path, ACCOUNT_STRATEGY="round-robin") as gateway:
        yield gateway


def ask(gateway: LiveGateway, model: str = MODEL) -> Answer:
    """Each time another conversation, which any account may take."""
    message = {"role": "user", "content": f"Hello, it is {time.time()}"}
    return post(gateway.url, a_body(model=model, messages=[message]))


def asked(emulator: EmulatorServer) -> list[str | None]:
    return [call.account for call in emulator.state.log.generations()]


def kill_and_start_again(gateway: LiveGateway, emulator: EmulatorServer, cooldowns: int = 0) -> None:
    """Kills it once so many cooldowns are stored: requests do not wait for that."""
    gateway.wait_until_stored("accounts_cooldown", count=cooldowns)
    assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
    emulator.state.log.clear()
    gateway.start()


def test_an_account_at_its_limit_is_not_asked_again(gateway: LiveGateway, emulator: EmulatorServer) -> None:
    emulator.state.fault("quota_exhausted", account=ADA, model=MODEL)
    for _ in range(6):
        assert ask(gateway).status == 200
    assert asked(emulator).count(ADA) == 1

    kill_and_start_again(gateway, emulator, cooldowns=1)
    statuses = [ask(gateway).status for _ in range(6)]

    assert statuses == [200] * 6
    assert ADA not in asked(emulator)


def test_the_other_quotas_of_that_account_are_still_used(
    gateway: LiveGateway, emulator: EmulatorServer
) -> None:
    for account in emulator.state.accounts:
        emulator.state.set_quota(account.email, "claude", remaining=0, reset_in=7200)
    assert ask(gateway).status == 429

    kill_and_start_again(gateway, emulator, cooldowns=3)

    assert ask(gateway, model="gemini-2.5-flash").status == 200


def test_with_all_accounts_in_cooldown_google_is_not_asked(
    gateway: LiveGateway, emulator: EmulatorServer
) -> None:
    for account in emulator.state.accounts:
        emulator.state.set_quota(account.email, "claude", remaining=0, reset_in=7200)
    before = ask(gateway)

    kill_and_start_again(gateway, emulator, cooldowns=3)
    after = ask(gateway)

    assert (before.status, after.status) == (429, 429)
    assert "Next try in 2 h" in before.error["message"]
    assert "3 accounts tried" in after.error["message"]
    assert abs(int(before.headers["retry-after"]) - int(after.headers["retry-after"])) < 60
    assert asked(emulator) == []


def test_a_cooldown_that_ended_during_the_stop_is_over(
    gateway: LiveGateway, emulator: EmulatorServer
) -> None:
    emulator.state.fault("rate_limited", delay=4, account=ADA)
    emulator.state.fault("rate_limited", delay=4, account=LINUS)
    ask(gateway)

    kill_and_start_again(gateway, emulator, cooldowns=2)
    statuses = {ask(gateway).status for _ in range(3)}

    assert statuses == {200}


def test_an_account_that_google_has_disabled_stays_out_of_use(
    gateway: LiveGateway, emulator: EmulatorServer
) -> None:
    emulator.state.fault("account_disabled", account=ADA, model=MODEL)
    for _ in range(6):
        ask(gateway)
    assert asked(emulator).count(ADA) == 1

    gateway.wait_until_stored("accounts_account WHERE state != 'ok'")
    kill_and_start_again(gateway, emulator)
    for _ in range(6):
        assert ask(gateway).status == 200

    assert ADA not in asked(emulator)


def test_after_a_kill_in_the_middle_of_many_answers_everything_is_free(
    gateway: LiveGateway, emulator: EmulatorServer
) -> None:
    emulator.state.fault("stall_mid_stream", seconds=30, after_chunks=1, times=3)
    begun = [Wire.to(gateway.url) for _ in range(3)]
    for connection in begun:
        connection.send(
            request_bytes(body=orjson.dumps(a_body(stream=True)), content_type="application/json")
        )
        connection.expect(b"200 OK")

    kill_and_start_again(gateway, emulator)
    for connection in begun:
        connection.close()

    assert ask(gateway).status == 200
    emulator.state.log.wait_until_idle()
