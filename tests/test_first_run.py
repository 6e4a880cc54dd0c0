"""The first minutes with the gateway: the files it makes, its banner and its errors."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import orjson
import pytest

from proxy_site.data_dir import sole_server
from proxy_site.version import version
from tests.accounts.terminal import Terminal
from tests.clients.raw_http import Answer, ask, post, request_bytes
from tests.live_gateway import PROJECT, LiveGateway, clean_environment, free_port, manage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy_site.emulator.server import EmulatorServer

STOPPED_WITHIN_SECONDS = 2.0
EMULATOR_ACCOUNTS = ["ada@example.com", "grace@example.com", "linus@example.com"]
PASSWORD = "a long and good one"
HELLO = {
    "model": "claude-opus-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


class Server:
    """`manage.py runserver` or `serve` by itself, without accounts or an emulator. A context manager."""

    def __init__(self, *arguments: str, env: Mapping[str, str], command: str = "runserver") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", command, *arguments],
            cwd=PROJECT, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def banner(self) -> str:
        """What it prints until it is ready."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Stop with Ctrl-C" in line:
                return "".join(lines)
        raise AssertionError(f"the gateway did not start:\n{''.join(lines)}")

    def stop(self, number: signal.Signals) -> tuple[int, float]:
        """Exit status, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        return status, time.monotonic() - began


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path / "data")


def get(url: str, path: str) -> Answer:
    return ask(url, request_bytes("GET", path), "GET")


def assert_one_sentence(done: subprocess.CompletedProcess[bytes], status: int, *words: str) -> None:
    said = done.stderr.decode()
    assert (done.returncode, said.count("\n")) == (status, 1), said
    for word in words:
        assert word in said


# What a fresh machine gets


@dataclass(frozen=True)
class FirstRun:
    """A server that was started without anything, and runs."""

    url: str
    data_dir: Path
    banner: str


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstRun]:
    """For tests that leave no mark on it."""
    port, data_dir = free_port(), tmp_path_factory.mktemp("first") / "data"
    with Server(str(port), env=clean_environment(data_dir)) as server:
        yield FirstRun(f"http://127.0.0.1:{port}", data_dir, server.banner())


def test_the_banner_shows_addresses_and_folders(first_run: FirstRun) -> None:
    for line in (
        f"Antigravity Claude Proxy {version()} is listening on {first_run.url}\n",
        f"export ANTHROPIC_BASE_URL={first_run.url}",
        "export ANTHROPIC_AUTH_TOKEN=anything",
        f"{first_run.url}/",
        str(first_run.data_dir),
        "There is no account yet. Add one:",
    ):
        assert line in first_run.banner


def test_the_banner_says_what_auto_mode_needs(first_run: FirstRun, env: dict[str, str]) -> None:
    with Server(f"{free_port()}", env={**env, "SAFEGUARDS_MODEL": "gemini-3-flash"}) as server:
        checked = server.banner()

    assert "name a model that checks them" in first_run.banner
    assert "Auto mode               tool calls are checked by gemini-3-flash" in checked


def test_the_banner_never_shows_the_token(env: dict[str, str]) -> None:
    with Server(str(free_port()), env={**env, "AUTH_TOKEN": "open sesame"}) as server:
        banner = server.banner()

    assert "sesame" not in banner
    assert "ANTHROPIC_AUTH_TOKEN=<" in banner


def test_the_set_up_link_is_shown_at_a_terminal(env: dict[str, str]) -> None:
    port = free_port()
    with Terminal("runserver", str(port), env=env) as terminal:
        link = terminal.read_until(rf"http://127\.0\.0\.1:{port}/admin/set-up/[\w-]+/").group()
        terminal.read_until("Stop with Ctrl-C")

        page = httpx.get(link)

    assert (page.status_code, "Welcome" in page.text) == (200, True)
    assert [line for line in terminal.text.splitlines() if len(line) > 80 and "/" not in line] == []


def test_the_set_up_link_never_reaches_a_log(first_run: FirstRun) -> None:
    assert "/set-up/" not in first_run.banner
    assert f"manage.py setuplink {first_run.url.removeprefix('http://')}" in first_run.banner


def test_the_banner_offers_the_file_of_another_tool(env: dict[str, str]) -> None:
    other = Path(env["DATA_DIR"]) / "accounts.json"
    other.parent.mkdir()
    other.write_text('{"accounts": []}')

    with Server(str(free_port()), env=env) as server:
        assert f"importaccounts {other}" in server.banner()

    assert other.read_text() == '{"accounts": []}'


def test_all_that_it_makes_is_for_its_owner_only(first_run: FirstRun) -> None:
    made = {path.name: mode_of(path) for path in first_run.data_dir.iterdir()}

    assert mode_of(first_run.data_dir) == 0o700
    assert {"proxy.sqlite3", "secret_key", "credentials_keys", "server.lock"} <= made.keys()
    assert set(made.values()) == {0o600}, made


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_start_keeps_keys_and_accounts(emulator: EmulatorServer, env: dict[str, str]) -> None:
    data_dir = Path(env["DATA_DIR"])
    with LiveGateway(emulator, data_dir) as gateway:
        keys = [(data_dir / name).read_text() for name in ("secret_key", "credentials_keys")]
        assert post(gateway.url, HELLO).status == 200
        gateway.stop()
        gateway.start()

        assert post(gateway.url, HELLO).status == 200

    assert [(data_dir / name).read_text() for name in ("secret_key", "credentials_keys")] == keys


def test_without_an_account_it_says_how_to_add_one(first_run: FirstRun) -> None:
    answer = post(first_run.url, HELLO)

    assert (answer.status, answer.error["type"]) == (503, "api_error")
    assert answer.headers["x-should-retry"] == "false"
    assert "There is no account yet" in answer.error["message"]


# Pages and health


@pytest.fixture
def pages(first_run: FirstRun) -> str:
    return first_run.url


def test_the_first_page_leads_to_the_login(pages: str) -> None:
    front = get(pages, "/")

    assert (front.status, front.headers["location"]) == (302, "/admin/login/?next=/")


def test_the_admin_page_comes_with_its_style(pages: str) -> None:
    login = get(pages, "/admin/login/")
    sheets = re.findall(r'href="(/static/[^"]+\.css)"', login.body.decode())

    assert login.status == 200
    assert sheets
    for sheet in sheets:
        answer = get(pages, sheet)
        assert (answer.status, answer.headers["content-type"]) == (200, 'text/css; charset="utf-8"')


def test_health_has_the_state_of_the_accounts(pages: str) -> None:
    answer = get(pages, "/health")

    assert answer.status == 200
    health = orjson.loads(answer.body)
    assert (health["status"], health["accounts"]) == ("degraded", [])
    assert len(health["degraded"]) == 1
    assert health["counts"] == {"total": 0, "available": 0, "rateLimited": 0, "unusable": 0}


def test_claude_codes_first_calls_are_answered(pages: str) -> None:
    for method, path in (
        ("HEAD", "/"),
        ("HEAD", "/api/hello"),
        ("POST", "/"),
        ("POST", "/api/event_logging/batch"),
    ):
        assert ask(pages, request_bytes(method, path), method).status == 200


# How it says no

OUT_OF_RANGE = {
    "PORT": "70000",
    "REQUEST_BODY_LIMIT_MIB": "0",
    "SHUTDOWN_GRACE_SECONDS": "-1",
    "UPSTREAM_CONNECT_TIMEOUT_MS": "soon",
    "DEFAULT_COOLDOWN_MS": "1",
    "MAX_WAIT_BEFORE_ERROR_MS": "1e3",
    "DEFAULT_THINKING_BUDGET": "999999999",
    "FALLBACK": "maybe",
    "GEMINI_HEADER_MODE": "browser",
    "LOG_LEVEL": "loud",
}


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE.items())
def test_a_setting_out_of_range_is_an_error_in_one_line(name: str, value: str, env: dict[str, str]) -> None:
    done = manage("runserver", env={**env, name: value})

    assert_one_sentence(done, 2, f"{name}: {value!r} is not allowed; it must be")


@pytest.mark.parametrize("command", ["migrate", "importaccounts", "check", "help", "runserver --demo"])
def test_a_setting_out_of_range_stops_every_command(command: str, env: dict[str, str]) -> None:
    done = manage(*command.split(), env={**env, "LOG_LEVEL": "loud"})

    assert_one_sentence(done, 2, "LOG_LEVEL: 'loud' is not allowed")


def test_a_secret_that_cannot_be_used_is_not_shown(env: dict[str, str]) -> None:
    done = manage("check", env={**env, "DATABASE_URL": "mysql://me:sesame@db/x"})

    assert_one_sentence(done, 2, "DATABASE_URL: its value is not allowed")
    assert b"sesame" not in done.stderr


def test_missing_certificates_are_an_error_in_one_line(env: dict[str, str]) -> None:
    done = manage("runserver", env={**env, "SSL_CERT_FILE": "/no/such/file.pem"})

    assert_one_sentence(done, 2, "SSL_CERT_FILE: '/no/such/file.pem' is not allowed")


def test_an_invalid_line_of_a_settings_file_is_named_by_its_number(env: dict[str, str]) -> None:
    data_dir = Path(env["DATA_DIR"])
    data_dir.mkdir()
    (data_dir / ".env").write_text("PORT=1234\nAUTH_TOKEN: sesame\n")

    done = manage("runserver", env=env)

    assert_one_sentence(done, 2, f"{data_dir / '.env'}, line 2: cannot be read")
    assert b"sesame" not in done.stderr + done.stdout


def test_debug_of_another_program_only_gives_a_warning(env: dict[str, str]) -> None:
    done = manage("check", env={**env, "DEBUG": "release"})

    assert_one_sentence(done, 0, "DEBUG: 'release' is not true or false, and counts as false.")


def test_debug_shows_more_and_no_secrets(emulator: EmulatorServer, tmp_path: Path) -> None:
    secret, question = "open-sesame-4711", "What is the colour of a canary?"
    body = {**HELLO, "messages": [{"role": "user", "content": question}]}
    with LiveGateway(emulator, tmp_path, "--debug", AUTH_TOKEN=secret) as gateway:
        asked = request_bytes(body=orjson.dumps(body), content_type="application/json", x_api_key=secret)
        answer = ask(gateway.url, asked, "POST")
        gateway.stop()

    assert answer.status == 200
    assert (
        len(re.findall(r" DEBUG +req_\w+: (request: |claude-\S+ began|POST /v1/messages)", gateway.output))
        == 3
    )
    for word in (secret, question, "emulator-refresh", "emulator-access"):
        assert word not in gateway.output


@pytest.mark.parametrize("option", ["--deb", "--dem"])
def test_an_option_cut_short_is_refused(option: str, env: dict[str, str]) -> None:
    done = manage("runserver", option, env=env)

    assert (done.returncode, option in done.stderr.decode()) == (2, True)


def test_an_impossible_data_dir_is_an_error_in_one_line(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "file").touch()

    done = manage("check", env={**env, "DATA_DIR": str(tmp_path / "file" / "data")})

    assert_one_sentence(done, 2, "DATA_DIR")


def test_a_taken_port_is_an_error_in_one_sentence(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = manage("runserver", str(port), env=env)

    assert_one_sentence(done, 1, f"127.0.0.1 port {port} cannot be used: Address already in use.")


@pytest.mark.parametrize(
    ("program", "command"),
    [("ss", "ss -ltnp 'sport = :{port}'"), ("lsof", "lsof -nP -iTCP:{port} -sTCP:LISTEN"), ("other", "")],
)
def test_a_taken_port_names_the_command_that_finds_its_owner(
    program: str, command: str, env: dict[str, str], tmp_path: Path
) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    (only / program).symlink_to("/bin/true")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = manage("runserver", str(port), env={**env, "PATH": str(only)})

    assert (command.format(port=port) in done.stderr.decode(), b"`" in done.stderr) == (True, bool(command))


def test_a_second_server_on_the_same_data_names_the_first(env: dict[str, str]) -> None:
    with Server(str(free_port()), env=env) as first:
        first.banner()

        done = manage("runserver", str(free_port()), env=env)

    assert_one_sentence(done, 1, f"process {first.process.pid}", env["DATA_DIR"])


@pytest.mark.parametrize("address", ["0.0.0.0:{port}", "[::]:{port}"])
def test_it_does_not_listen_to_the_network_without_a_key(address: str, env: dict[str, str]) -> None:
    port = free_port()
    with Server(address.format(port=port), env=env) as server:
        banner = server.banner()
        key = manage("showkey", env=env).stdout.decode().strip()
        without = post(f"http://127.0.0.1:{port}", HELLO)
        with_key = post(f"http://127.0.0.1:{port}", HELLO, x_api_key=key)

    assert mode_of(Path(env["DATA_DIR"]) / "auth_token") == 0o600
    assert (without.status, with_key.status) == (401, 503)
    assert "This prints the key:\n" in banner
    assert "manage.py showkey\n" in banner
    assert key not in banner


def test_a_key_made_for_the_network_is_not_asked_for_on_loopback(env: dict[str, str]) -> None:
    data_dir, port = Path(env["DATA_DIR"]), free_port()
    data_dir.mkdir()
    (data_dir / "auth_token").write_text("made for another start\n")

    with Server(str(port), env=env) as server:
        banner = server.banner()
        answer = post(f"http://127.0.0.1:{port}", HELLO)

    assert answer.status == 503
    assert "ANTHROPIC_AUTH_TOKEN=anything" in banner


def test_an_empty_key_file_stops_the_start(env: dict[str, str]) -> None:
    data_dir = Path(env["DATA_DIR"])
    data_dir.mkdir()
    (data_dir / "auth_token").touch()

    assert_one_sentence(manage("runserver", f"0.0.0.0:{free_port()}", env=env), 1, "auth_token is empty")
    assert_one_sentence(manage("showkey", env={**env, "HOST": "0.0.0.0"}), 1, "auth_token is empty")


def test_showkey_says_when_there_is_none(env: dict[str, str]) -> None:
    assert_one_sentence(manage("showkey", env=env), 1, "There is no key. On loopback clients may send any")


def test_showkey_prints_the_key_of_the_settings(env: dict[str, str]) -> None:
    done = manage("showkey", "--json", env={**env, "AUTH_TOKEN": "open sesame"})

    assert orjson.loads(done.stdout)["rows"] == [{"key": "open sesame", "source": "AUTH_TOKEN"}]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (["nosuch"], "There is no command nosuch."),
        ([""], "No command was given."),
        ([], "No command was given."),
    ],
)
def test_a_command_that_does_not_exist_is_an_error_as_json_too(
    given: list[str], error: str, env: dict[str, str]
) -> None:
    done = manage(*given, "--json", env=env)

    assert done.returncode == 1
    assert orjson.loads(done.stdout) == {"ok": False, "error": error, "rows": []}
    assert b"Unknown command: " in done.stderr


def test_with_a_token_it_listens_to_all(env: dict[str, str]) -> None:
    port = free_port()
    with Server(f"0.0.0.0:{port}", env={**env, "AUTH_TOKEN": "open sesame"}) as server:
        server.banner()
        url = f"http://127.0.0.1:{port}"

        without = post(url, HELLO)
        with_token = get_with_token(url)

    assert (without.status, without.headers["x-should-retry"]) == (401, "false")
    assert with_token.status != 401


def get_with_token(url: str) -> Answer:
    return ask(url, request_bytes("GET", "/v1/models", x_api_key="open sesame"), "GET")


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:70000", "no.such.host.invalid:8672"])
def test_an_invalid_address_is_an_error_in_one_sentence(address: str, env: dict[str, str]) -> None:
    assert_one_sentence(manage("runserver", address, env={**env, "AUTH_TOKEN": "x"}), 1)


def test_windows_gets_a_hint_at_wsl() -> None:
    start = "runpy.run_path('manage.py', run_name='__main__')"
    script = f"import runpy, shutil, sys; sys.platform = 'win32'; {start}"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, check=False)

    assert_one_sentence(done, 2, "WSL")


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_nothing_is_running(number: signal.Signals, env: dict[str, str]) -> None:
    with Server(str(free_port()), env=env) as server:
        server.banner()

        status, seconds = server.stop(number)

    assert status == 0
    assert seconds < STOPPED_WITHIN_SECONDS


def test_it_ends_at_once_with_idle_connections_open(env: dict[str, str]) -> None:
    port = free_port()
    with Server(str(port), env=env) as server:
        server.banner()
        kept = http.client.HTTPConnection("127.0.0.1", port)
        kept.request("GET", "/health")
        kept.getresponse().read()

        status, seconds = server.stop(signal.SIGTERM)
        kept.close()

    assert status == 0
    assert seconds < STOPPED_WITHIN_SECONDS


@pytest.mark.parametrize(
    ("made", "number"),
    [
        ("secret_key", signal.SIGINT),
        ("server.lock", signal.SIGINT),
        ("server.lock", signal.SIGTERM),
        ("proxy.sqlite3-wal", signal.SIGINT),
    ],
)
def test_it_ends_at_once_while_it_starts(made: str, number: signal.Signals, env: dict[str, str]) -> None:
    """When the settings are read, the server is imported, the database is made."""
    with Server(str(free_port()), env=env) as server:
        while not (Path(env["DATA_DIR"]) / made).exists():
            assert server.process.poll() is None
            time.sleep(0.01)

        status, seconds = server.stop(number)
        assert server.process.stdout is not None
        said = server.process.stdout.read()

    assert (status, said.strip()) == (128 + number, "Stopped.")
    assert seconds < STOPPED_WITHIN_SECONDS


# The demo


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing of the gateway in it, not even a home."""
    return {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}


@pytest.mark.parametrize("command", ["runserver", "serve"])
def test_the_demo_answers_without_any_setting_and_leaves_nothing_behind(
    command: str, bare: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Server(str(port), "--demo", env=bare, command=command) as server:
        banner = server.banner()
        answer = post(url, HELLO)
        left_while_running = list(tmp_path.iterdir())

        status, _ = server.stop(signal.SIGTERM)

    assert "DEMO" in banner
    assert answer.status == 200
    assert "You wrote:" in orjson.loads(answer.body)["content"][-1]["text"]
    assert len(left_while_running) == 1
    assert (status, list(tmp_path.iterdir())) == (0, [])


def test_a_demo_that_is_stopped_while_it_starts_leaves_nothing_behind(
    bare: dict[str, str], tmp_path: Path
) -> None:
    with Server(str(free_port()), "--demo", env=bare) as server:
        while not list(tmp_path.glob("*/secret_key")):
            assert server.process.poll() is None
            time.sleep(0.01)

        status, _ = server.stop(signal.SIGINT)

    assert (status, list(tmp_path.iterdir())) == (130, [])


def test_the_demo_does_not_change_the_real_data(env: dict[str, str], tmp_path: Path) -> None:
    real = {**env, "AUTH_TOKEN": "open sesame", "TMPDIR": str(tmp_path)}
    port = free_port()
    with Server(str(port), "--demo", env=real) as server:
        server.banner()
        answer = post(f"http://127.0.0.1:{port}", HELLO)
        server.stop(signal.SIGINT)

    assert answer.status == 200
    assert not Path(env["DATA_DIR"]).exists()


def test_commands_reach_the_demo_that_runs(bare: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    somebody_elses = tmp_path / "antigravity-proxy-demo-open"
    somebody_elses.mkdir()
    somebody_elses.chmod(0o777)
    real = {**bare, "HOME": str(tmp_path / "home"), "AUTH_TOKEN": "open sesame"}
    running = Server(str(port), "--demo", env={**bare, "WEBUI_PASSWORD": PASSWORD})
    with sole_server(somebody_elses), running as server:
        banner = server.banner()
        request_id = post(f"http://127.0.0.1:{port}", HELLO).headers["request-id"]
        time.sleep(1)  # the ledger is written behind
        logs = manage("logs", "--demo", env=real)
        listed = manage("listaccounts", "--demo", "--json", env=real)
        checked = manage("verifyaccounts", "--demo", env=real)
        used = manage("stats", "client", "--demo", "--json", env=real)
        with watching(f"http://127.0.0.1:{port}"):
            live = newest_of_claude_cli(real)
        server.process.kill()
        server.process.wait()
        afterwards = manage("stats", "--demo", env=real)

    assert "manage.py logs -f --demo" in banner
    assert request_id in logs.stdout.decode()
    rows = orjson.loads(listed.stdout)["rows"]
    assert [one["email"] for one in rows if one["email"]] == EMULATOR_ACCOUNTS
    assert {one["kind"] for one in rows} == {"google", "gemini", "anthropic", "compatible"}
    assert b"5 work, 1 do not" in checked.stdout, checked.stderr.decode()
    assert sum(one["requests"] for one in orjson.loads(used.stdout)["rows"]) > 500
    assert {one["status"] for one in live} <= {200, None}
    assert_one_sentence(afterwards, 1, "No demo is running.", "manage.py runserver --demo")
    assert not (tmp_path / "home").exists()


@contextmanager
def watching(url: str) -> Iterator[None]:
    """As a page does that shows what happens."""
    with httpx.stream("GET", f"{url}/api/activity", auth=("admin", PASSWORD), timeout=30) as stream:
        assert stream.status_code == 200
        yield


def newest_of_claude_cli(env: dict[str, str]) -> list[dict[str, Any]]:
    """Requests that the demo has sent to itself: those of its history are older."""
    give_up_at = time.monotonic() + 40
    while time.monotonic() < give_up_at:
        found = manage("logs", "--client", "claude-cli", "--since", "1m", "--demo", "--json", env=env)
        if rows := orjson.loads(found.stdout)["rows"]:
            return list(rows)
    raise AssertionError("the demo has sent no request")


def test_a_missing_demo_is_an_error_in_json_too(bare: dict[str, str]) -> None:
    asked = manage("logs", "--demo", "--json", env=bare)

    assert asked.returncode == 1
    assert orjson.loads(asked.stdout)["error"].startswith("No demo is running.")


def test_two_demos_run_side_by_side(bare: dict[str, str]) -> None:
    ports = [free_port(), free_port()]
    with Server(str(ports[0]), "--demo", env=bare) as one, Server(str(ports[1]), "--demo", env=bare) as two:
        one.banner()
        two.banner()

        statuses = [post(f"http://127.0.0.1:{port}", HELLO).status for port in ports]
        one.stop(signal.SIGTERM)
        two.stop(signal.SIGTERM)

    assert statuses == [200, 200]
