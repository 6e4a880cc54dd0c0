"""What the operator reads of a running gateway: its log, and its commands as a person starts them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import httpx
import orjson
import pytest

from tests.builders import a_chunk
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway, manage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer
    from proxy_site.emulator.state import EmulatorState

AUTH_TOKEN = "a-long-random-text"
KEY = {"x-api-key": AUTH_TOKEN}
WRITTEN_AFTER_SECONDS = 0.5
"""So long may a row of the ledger wait for others."""
MODEL = "claude-sonnet-4-6"
OPUS = "claude-opus-4-6-thinking"


@pytest.fixture(scope="module")
def running(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    folder = tmp_path_factory.mktemp("data")
    with LiveGateway(
        shared_emulator, folder, AUTH_TOKEN=AUTH_TOKEN, TZ="Europe/Berlin", REQUEST_BODY_LIMIT_MIB="1"
    ) as gateway:
        yield gateway


def ask(gateway: LiveGateway, request_id: str, **changes: Any) -> httpx.Response:
    """Returns once the request is in the ledger."""
    headers = {**KEY, "x-request-id": request_id}
    answer = httpx.post(
        f"{gateway.url}/v1/messages", headers=headers, json=a_body(model=MODEL, **changes), timeout=30
    )
    gateway.wait_until_in_ledger(request_id)
    return answer


def said(gateway: LiveGateway, *command: str) -> str:
    """What a command printed, both streams together."""
    result = manage(*command, env=gateway.env)
    return (result.stdout + result.stderr).decode()


def said_aside(gateway: LiveGateway, *command: str) -> str:
    """What it printed to standard error alone."""
    return manage(*command, env=gateway.env).stderr.decode()


# JSON


@pytest.mark.parametrize("command", ["listaccounts", "stats", "logs"])
def test_what_succeeds_is_one_object_with_rows(command: str, running: LiveGateway) -> None:
    result = manage(command, "--json", env=running.env)

    printed = orjson.loads(result.stdout)
    assert (result.returncode, printed["ok"], type(printed["rows"])) == (0, True, list)
    assert "error" not in printed


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("logs", "no-such-id"), 1, "no-such-id"),
        (("exportaccounts", "-", "--yes"), 1, "--json"),
        (("logs", "--limit", "many"), 2, "many"),
    ],
)
def test_an_error_is_the_same_object_with_a_sentence(
    arguments: tuple[str, ...], status: int, error: str, running: LiveGateway
) -> None:
    result = manage(*arguments, "--json", env=running.env)

    printed = orjson.loads(result.stdout)
    assert (result.returncode, printed["ok"], printed["rows"]) == (status, False, [])
    assert error in printed["error"]
    assert error in result.stderr.decode(), "people read it, too"


def test_a_setting_that_cannot_be_used_is_the_same_object(running: LiveGateway) -> None:
    result = manage("stats", "--json", env={**running.env, "MAX_RETRIES": "many"})

    assert result.returncode == 2
    assert "MAX_RETRIES" in orjson.loads(result.stdout)["error"]


def test_an_error_comes_with_the_rows_until_then(
    running: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    shared_emulator.state.fault("html_502", method="fetchAvailableModels", account="ada@example.com", times=9)

    result = manage("verifyaccounts", "ada@example.com", "linus@example.com", "--json", env=running.env)
    shared_emulator.state.clear_scripts()

    printed = orjson.loads(result.stdout)
    assert (result.returncode, printed["ok"]) == (1, False)
    assert [(row["email"], bool(row["problem"])) for row in printed["rows"]] == [
        ("ada@example.com", True),
        ("linus@example.com", False),
    ]


# What the status line says


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b"", 405),
        ({}, b" " * (1024 * 1024 + 1), 413),
        ({"content-encoding": "br"}, b"{}", 415),
        ({"x-api-key": "wrong"}, b"{}", 401),
    ],
)
def test_the_reason_phrase_is_that_of_the_status(
    headers: dict[str, str], content: bytes, status: int, running: LiveGateway
) -> None:
    method = "POST" if content else "GET"

    answer = httpx.request(method, f"{running.url}/v1/messages", headers={**KEY, **headers}, content=content)

    assert answer.status_code == status
    phrase = "Content Too Large" if status == 413 else HTTPStatus(status).phrase
    assert answer.extensions["reason_phrase"] == phrase.encode()


@pytest.mark.parametrize(
    ("fault", "model", "status", "phrase"),
    [
        ("capacity_exhausted", "gemini-3-flash", 529, b"Overloaded"),
        ("quota_exhausted", OPUS, 429, b"Too Many Requests"),
    ],
)
def test_errors_of_anthropics_own_have_their_words(
    fault: str,
    model: str,
    status: int,
    phrase: bytes,
    running: LiveGateway,
    shared_emulator: EmulatorServer,
) -> None:
    for account in shared_emulator.state.accounts:
        shared_emulator.state.fault(fault, account=account.email, times=None)

    answer = httpx.post(f"{running.url}/v1/messages", headers=KEY, json=a_body(model=model), timeout=30)
    shared_emulator.state.clear_scripts()

    assert (answer.status_code, answer.extensions["reason_phrase"]) == (status, phrase)


# Who is turned away


def test_a_wrong_key_is_a_warning_with_the_address(running: LiveGateway) -> None:
    httpx.post(f"{running.url}/v1/messages", headers={"x-api-key": "wrong"}, json=a_body())

    lines = [line for line in running.output.splitlines() if "was refused" in line]
    assert len(lines) == 1, "at most one a minute"
    assert "WARNING" in lines[0]
    assert "A client at 127.0.0.1 was refused: 401 The API key is not the gateway's AUTH_TOKEN." in lines[0]


# Numbers


def test_input_tokens_include_cached_ones_everywhere(
    running: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    usage = {"promptTokenCount": 120, "cachedContentTokenCount": 100, "candidatesTokenCount": 7}
    chunk = a_chunk({"text": "Hi."}, finish_reason="STOP", usage=usage)
    shared_emulator.state.reply_chunks([chunk])

    ask(running, "in-and-cached")

    (line,) = [line for line in running.output.splitlines() if "in-and-cached: " in line]
    assert "; 120 in (100 cached), 7 out;" in line
    assert " 120 in, 100 of them cached, 7 out" in said(running, "logs", "in-and-cached")
    (row,) = orjson.loads(said(running, "logs", "in-and-cached", "--json"))["rows"]
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (120, 100, 7)
    assert "cache_read_tokens" not in row


# Times


def test_times_are_in_the_readers_zone_which_is_named(running: LiveGateway) -> None:
    here = ZoneInfo("Europe/Berlin")
    name = f"{datetime.now(here):%Z}"

    ask(running, "when-was-it")

    stamp = f"{datetime.now(here):%Y-%m-%d %H:}"
    (line,) = [line for line in running.output.splitlines() if "when-was-it: " in line]
    assert re.match(rf"{stamp}\d\d:\d\d\.\d\d\d {name} INFO ", line)
    assert re.search(
        rf"began    {stamp}\d\d:\d\d {name}$", said(running, "logs", "when-was-it"), re.MULTILINE
    )
    assert re.match(
        rf"Since {datetime.now(here) - timedelta(days=1):%Y-%m-%d %H}:\d\d {name}:",
        said_aside(running, "stats"),
    )


# Accounts whose quotas are used up. The last tests, because no account answers any more.


def wait_until_asked_what_is_left(state: EmulatorState, email: str) -> None:
    state.log.wait_for(
        lambda entry: (entry.method, entry.account) == ("fetchAvailableModels", email), timeout=10
    )


def test_an_empty_quota_is_shown_with_its_reset_everywhere(
    running: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    state = shared_emulator.state
    for account in state.accounts:
        state.set_quota(account.email, "claude", remaining=0, reset_in=3 * 3600)
    state.log.clear()

    answer = ask(running, "nobody-left")

    assert answer.status_code == 429
    for account in state.accounts:
        wait_until_asked_what_is_left(state, account.email)
    time.sleep(WRITTEN_AFTER_SECONDS)
    empty = rf"empty until {datetime.now(ZoneInfo('Europe/Berlin')) + timedelta(hours=3):%H}:\d\d CES?T"
    for account in state.accounts:
        assert re.search(rf"{account.email} cools down for {MODEL}: quota, {empty}", running.output)
        assert re.search(rf"{account.email} .*\n +Claude, GPT {empty}", said(running, "listaccounts"))
        assert re.search(rf"{account.email} +Claude, GPT +0% +{empty}", said(running, "stats", "limits"))
    rows = orjson.loads(said(running, "listaccounts", "--json"))["rows"]
    assert all(re.fullmatch(rf"Claude, GPT {empty}", row["empty"]) for row in rows)
