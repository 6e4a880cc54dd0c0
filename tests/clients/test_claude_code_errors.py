"""Claude Code shows each error at once with its cause, or goes on as if there were none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from proxy_site.emulator.accounts import sample_account
from proxy_site.emulator.delivery.behaviour import GOOD, pace
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.clients.claude_code import WRITE_AND_READ, ClaudeCode
from tests.clients.conversations import assert_paired, function_calls
from tests.clients.recorder import Recorder
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.node_packages import NodePackages

pytestmark = pytest.mark.needs("node")

TWO_HOURS_SECONDS = 7200


@pytest.fixture
def two_accounts() -> Iterator[EmulatorServer]:
    accounts = [
        sample_account("ada@example.com", "Ada Lovelace", "g1-pro-tier"),
        sample_account("linus@example.com", "Linus Pauling", "g1-ultra-tier"),
    ]
    with EmulatorServer(EmulatorState(accounts=accounts)) as server:
        yield server


class ClientSetup:
    """Claude Code, and between it and the gateway the recorder."""

    def __init__(self, program: Path, folder: Path, recorder: Recorder) -> None:
        self.claude = ClaudeCode(program, folder, recorder.url)
        self.recorder = recorder

    @property
    def statuses(self) -> list[int]:
        return [exchange.status for exchange in self.recorder.of("/v1/messages")]


StartClient = Callable[..., ClientSetup]


@pytest.fixture
def start_client(
    node_packages: NodePackages, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartClient]:
    """Call it with the emulator, and settings for the gateway, to get a client with its own gateway."""
    with ExitStack() as stack:

        def start(emulator: EmulatorServer, *, with_accounts: bool = True, **settings: str) -> ClientSetup:
            gateway = LiveGateway(emulator, tmp_path_factory.mktemp("data"), **settings)
            if with_accounts:
                stack.enter_context(gateway)
            else:
                gateway.start()
                stack.callback(gateway.stop)
            recorder = Recorder(gateway.url)
            return ClientSetup(node_packages.claude, tmp_path, stack.enter_context(recorder))

        yield start


def test_a_wrong_key_is_told_at_once(emulator: EmulatorServer, start_client: StartClient) -> None:
    here = start_client(emulator, AUTH_TOKEN="the right one")

    run = here.claude.ask("Hello", ANTHROPIC_AUTH_TOKEN="a wrong one")

    assert run.status == 1
    assert "401 The API key is not the gateway's AUTH_TOKEN." in run.output
    assert here.statuses == [401]
    assert emulator.state.log.generations() == []


def test_the_right_key_is_let_in_by_either_header(
    emulator: EmulatorServer, start_client: StartClient
) -> None:
    here = start_client(emulator, AUTH_TOKEN="the right one")

    by_bearer = here.claude.ask("Hello", ANTHROPIC_AUTH_TOKEN="the right one")
    by_key = here.claude.ask("Hello", ANTHROPIC_AUTH_TOKEN="", ANTHROPIC_API_KEY="the right one")

    assert (by_bearer.status, by_key.status) == (0, 0)
    assert here.statuses == [200, 200]


def test_an_account_that_cannot_be_used_is_told_at_once(start_client: StartClient) -> None:
    state = EmulatorState(accounts=[sample_account("ada@example.com", "Ada Lovelace", "free-tier")])
    state.revoke("ada@example.com")
    with EmulatorServer(state) as emulator:
        here = start_client(emulator)

        run = here.claude.ask("Hello")

    assert run.status == 1
    assert "503 None of the 1 accounts can be used now." in run.output
    assert here.statuses == [503]


def test_no_account_yet_is_told_at_once(emulator: EmulatorServer, start_client: StartClient) -> None:
    here = start_client(emulator, with_accounts=False)

    run = here.claude.ask("Hello")

    assert run.status == 1
    assert "503 There is no account yet. Add one with `" in run.output
    assert here.statuses == [503]


def test_a_limit_on_all_accounts_is_told_with_the_time_it_ends(
    two_accounts: EmulatorServer, start_client: StartClient
) -> None:
    here = start_client(two_accounts)
    for account in two_accounts.state.accounts:
        for pool in account.quotas:
            two_accounts.state.set_quota(account.email, pool, remaining=0, reset_in=TWO_HOURS_SECONDS)

    run = here.claude.ask("Hello")

    assert run.status == 1
    assert "Request rejected (429) · 2 accounts tried for claude-opus-4-6-thinking" in run.output
    assert "Next try in 2 h (" in run.output
    assert here.statuses == [429]


SWITCH_SECONDS = 15


def test_a_model_without_capacity_is_left_for_the_clients_own_fallback(
    two_accounts: EmulatorServer, start_client: StartClient
) -> None:
    here = start_client(two_accounts)
    two_accounts.state.fault("capacity_exhausted", model="claude-opus-4-6-thinking", times=None)
    began_at = time.monotonic()

    run = here.claude.ask("Hello", "--model", "claude-opus-4-6", "--fallback-model", "claude-sonnet-4-6")

    assert run.status == 0
    assert time.monotonic() - began_at < 2 * SWITCH_SECONDS
    assert set(here.statuses[:-1]) == {529}
    assert here.statuses[-1] == 200
    assert "claude-sonnet-4-6" in str(two_accounts.state.log.generations()[-1].model)


Failure = Callable[[EmulatorState, str], None]

FAILURES: dict[str, Failure] = {
    "its quota runs out": lambda state, email: state.fault("quota_exhausted", account=email),
    "Google has no capacity": lambda state, email: state.fault("capacity_exhausted", account=email),
    "Google disables it": lambda state, email: state.disable_by_provider(email),
    "Google wants it verified": lambda state, email: state.require_verification(email),
    "its permission is taken back": lambda state, email: state.revoke(email),
    "its connections break": lambda state, email: state.fault(
        "close_before_headers", account=email, times=None
    ),
    "its access token dies": lambda state, email: state.expire_tokens(email),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_tool_loop_continues_when(
    failure: str, two_accounts: EmulatorServer, start_client: StartClient
) -> None:
    here = start_client(two_accounts)

    with failing_during_the_first_answer(two_accounts.state, FAILURES[failure]):
        run = here.claude.ask('Write "still here" into notes.txt', *WRITE_AND_READ)

    assert run.status == 0
    assert (here.claude.work / "notes.txt").read_text() == "still here"
    assert set(here.statuses) == {200}
    *_, last = [call for call in two_accounts.state.log.generations() if call.status == 200]
    assert [call["name"] for call in function_calls(last)] == ["Write", "Read"]
    assert_paired(last)


@contextmanager
def failing_during_the_first_answer(state: EmulatorState, failure: Failure) -> Iterator[None]:
    """The account that gives the first answer fails before it has said it all."""

    def wait_and_fail() -> None:
        first = state.log.wait_for(lambda entry: entry.model is not None and entry.status == 200, timeout=30)
        assert first.account is not None
        state.pace = GOOD
        failure(state, first.account)

    state.pace = pace(chunk_delay=0.3)
    with ThreadPoolExecutor(max_workers=1) as pool:
        watching = pool.submit(wait_and_fail)
        yield
        watching.result()


@pytest.mark.parametrize("status", [500, 502, 503])
def test_one_failure_of_google_is_retried(
    status: int, two_accounts: EmulatorServer, start_client: StartClient
) -> None:
    here = start_client(two_accounts)
    two_accounts.state.fault("refuse", status=status, body="<html>Error</html>")

    run = here.claude.ask("Hello")

    assert run.status == 0
    assert here.statuses == [200]
