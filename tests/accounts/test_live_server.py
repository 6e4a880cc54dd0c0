"""What operators and commands do, and a server that runs meanwhile."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import stat
import time
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest
from cryptography.fernet import Fernet

from proxy_site.waiting_for_servers import NOT_YET, PATIENCE_SECONDS
from tests.live_gateway import LiveGateway, clean_environment, free_port, manage

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

PASSWORD = "canary-operator-password"
EMAILS = ["ada@example.com", "grace@example.com", "linus@example.com"]
MESSAGES = [{"role": "user", "content": "Hello"}]


def ask(gateway: LiveGateway) -> httpx.Response:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": MESSAGES}
    return httpx.post(f"{gateway.url}/v1/messages", json=body, timeout=30)


@pytest.fixture(scope="module")
def gateway(shared_gateway: LiveGateway) -> LiveGateway:
    """With the emulator's three accounts. Each test leaves them as they were."""
    return shared_gateway


def test_a_set_up_link_lets_the_first_operator_in(gateway: LiveGateway) -> None:
    printed = manage("setuplink", str(gateway.port), env=gateway.env)
    link = printed.stdout.decode().strip()
    assert link.startswith(f"{gateway.url}/admin/set-up/")

    with httpx.Client(follow_redirects=True) as browser:
        browser.get(link)
        form = {
            "password": PASSWORD,
            "again": PASSWORD,
            "csrfmiddlewaretoken": browser.cookies["gateway_csrf"],
        }
        page = browser.post(link, data=form)

    assert page.url.path == "/"
    assert httpx.get(link).status_code == 404
    refused = manage("setuplink", env=gateway.env)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"There is an operator already" in refused.stderr


def test_a_running_server_uses_a_change_when_the_command_returns(gateway: LiveGateway) -> None:
    assert ask(gateway).status_code == 200

    disabled = manage("disableaccount", *EMAILS, env=gateway.env)
    assert ask(gateway).status_code == 503
    enabled = manage("enableaccount", *EMAILS, env=gateway.env)
    assert ask(gateway).status_code == 200

    assert (disabled.stderr, enabled.stderr) == (b"", b"")


def test_a_command_waits_two_seconds_for_a_hanging_server(gateway: LiveGateway) -> None:
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        disabled = manage("disableaccount", "ada@example.com", env=gateway.env)
        seconds = time.monotonic() - began
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    enabled = manage("enableaccount", "ada@example.com", env=gateway.env)

    assert disabled.returncode == 0
    assert disabled.stderr.decode() == f"{NOT_YET}\n"
    assert PATIENCE_SECONDS < seconds < PATIENCE_SECONDS + 20  # it has to start
    assert enabled.stderr == b""


def test_a_setting_changed_in_the_admin_counts_for_the_next_request(
    gateway: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(f"{gateway.url}/admin/login/")
        _log_in(browser, gateway, PASSWORD)
        form = {"name": "SYSTEM_PREAMBLE", "value": "Speak like a pirate."}
        token = {"csrfmiddlewaretoken": browser.cookies["gateway_csrf"]}
        page = browser.post(f"{gateway.url}/settings", data=form | token)

        assert ask(gateway).status_code == 200

    assert "set by admin" in page.text
    assert NOT_YET not in page.text
    assert b"Speak like a pirate." in shared_emulator.state.log.generations()[-1].body


def test_an_account_is_verified_by_a_click(gateway: LiveGateway) -> None:
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        browser.get(f"{gateway.url}/admin/login/")
        _log_in(browser, gateway, PASSWORD)
        button = f"{gateway.url}/admin/accounts/account/1/verify/"
        asked = browser.get(button)
        page = browser.post(button, data={"csrfmiddlewaretoken": browser.cookies["gateway_csrf"]})

    assert "ada@example.com: works" not in asked.text
    assert "ada@example.com: works" in page.text


def test_quotas_are_read_in_the_background(gateway: LiveGateway) -> None:
    listed = orjson.loads(manage("listaccounts", "--json", env=gateway.env).stdout)["rows"]

    # Grace has no project yet, and making one takes Google a while.
    assert {one["email"] for one in listed if one["quotas"]} >= {"ada@example.com", "linus@example.com"}


async def test_a_hundred_requests_refresh_each_refused_token_once(
    gateway: LiveGateway, shared_emulator: EmulatorServer
) -> None:
    assert ask(gateway).status_code == 200
    log = shared_emulator.state.log
    refreshed_before = len(log.entries("token"))
    shared_emulator.state.expire_tokens()

    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as client:
        body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": MESSAGES}
        answers = await asyncio.gather(*(client.post("/v1/messages", json=body) for _ in range(100)))

    assert {answer.status_code for answer in answers} == {200}
    refreshes = Counter(entry.body for entry in log.entries("token")[refreshed_before:])
    assert set(refreshes.values()) == {1}  # once for each account that was used


def test_keys_rotate_while_it_serves(gateway: LiveGateway, shared_emulator: EmulatorServer) -> None:
    assert ask(gateway).status_code == 200

    for arguments in ([], ["--forget-old"]):
        assert manage("rotatekeys", *arguments, env=gateway.env).returncode == 0
        shared_emulator.state.expire_tokens()  # so that the refresh token is read again
        assert ask(gateway).status_code == 200


def test_guessing_passwords_does_not_affect_the_api(gateway: LiveGateway) -> None:
    with httpx.Client() as browser:
        browser.get(f"{gateway.url}/admin/login/")
        statuses = [_log_in(browser, gateway, f"guess {number}").status_code for number in range(6)]

    assert statuses[-1] == 429
    assert ask(gateway).status_code == 200


def test_files_are_private_and_a_missing_key_is_an_error(tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    file = b'[{"email": "ada@example.com", "refresh_token": "x"}]'
    manage("importaccounts", "-", "--accept-terms", env=env, stdin=file)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    (tmp_path / "credentials_keys").write_text(Fernet.generate_key().decode())

    started = manage("runserver", str(free_port()), env=env)

    assert started.returncode == 1
    assert "were encrypted with another key" in started.stderr.decode()
    assert b"Traceback" not in started.stderr


def _log_in(browser: httpx.Client, gateway: LiveGateway, password: str) -> httpx.Response:
    token = browser.cookies["gateway_csrf"]
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
    return browser.post(f"{gateway.url}/admin/login/", data=form)


def test_no_secret_reaches_the_database_or_a_log(emulator: EmulatorServer, tmp_path: Path) -> None:
    """Everything that handles secrets is done once, then the files are searched for them."""
    emulator.state.client_secret = "canary-client-secret"
    for account in emulator.state.accounts:
        account.refresh_token = f"canary-refresh-{account.short_name}"
    settings = {
        "WEBUI_PASSWORD": PASSWORD,
        "AUTH_TOKEN": "canary-auth-token",
        "LOG_LEVEL": "debug",
        "OAUTH_CALLBACK_PORT": str(free_port()),
    }

    with LiveGateway(emulator, tmp_path / "data", **settings) as gateway:
        said = _do_everything(gateway, emulator)
    with sqlite3.connect(tmp_path / "data" / "proxy.sqlite3") as database:
        dump = "\n".join(database.iterdump())

    assert "canary" not in dump
    assert "canary" not in gateway.output
    assert "canary" not in said
    access_tokens = "emulator-access-"
    assert access_tokens not in dump + gateway.output + said
    assert "4/emulator-" not in dump + gateway.output + said  # authorization codes


def _do_everything(gateway: LiveGateway, emulator: EmulatorServer) -> str:
    """What the commands have printed."""
    body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": MESSAGES}
    for key in ("canary-auth-token", "canary-wrong-token"):
        httpx.post(f"{gateway.url}/v1/messages", json=body, headers={"x-api-key": key}, timeout=30)
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(f"{gateway.url}/admin/login/")
        for password in ("canary-mistyped", PASSWORD):
            _log_in(browser, gateway, password)
        page = f"{gateway.url}/admin/accounts/account/add/"
        form = {"email": "ada@example.com", "csrfmiddlewaretoken": browser.cookies["gateway_csrf"]}
        started = browser.post(page, data=form)
        address = started.text.partition('href="' + emulator.url)[2].partition('"')[0].replace("&amp;", "&")
        httpx.get(f"{emulator.url}{address}&auto_approve=1", follow_redirects=True)
        httpx.get(f"{emulator.url}{address}&auto_approve=1", follow_redirects=True)  # a replay
        assert "Completed: ada@example.com" in browser.get(started.url).text
    emulator.state.revoke("linus@example.com")
    said = [manage(name, env=gateway.env) for name in ("verifyaccounts", "listaccounts", "rotatekeys")]
    said.append(manage("exportaccounts", str(gateway.env["DATA_DIR"]) + "/export", "--yes", env=gateway.env))
    return "".join(f"{one.stdout.decode()}{one.stderr.decode()}" for one in said)
