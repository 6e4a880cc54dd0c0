"""The image built and run as docs/container.md says, by tests/container/engine.py: no engine is needed.

`pytest tests/container --log-cli-level=info` shows the steps.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from proxy_site.container.user import IMAGES_USER
from proxy_site.emulator.delivery.behaviour import pace
from proxy_site.serving.reachability import machine_addresses
from tests.accounts.test_commands import consent_at
from tests.clients.raw_http import ask, request_bytes
from tests.container.engine import Container, Engine, Options
from tests.container.root_folder import PACKAGES, make_root_folder
from tests.live_gateway import PROJECT, accounts_file, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer

pytestmark = [
    pytest.mark.needs("apt"),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, for chroot"),
]

OWNER = 1500
OTHER_TOOLS_FILE = "accounts.json"
HELLO = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
AS_IN_COMPOSE = Options(
    capabilities=("chown", "setgid", "setpcap", "setuid"), root_read_only=True, tmpfs=("/tmp",)
)


@pytest.fixture(scope="module")
def engine(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """With the image. The clean Debian below it is kept between runs of the tests."""
    assert pytestconfig.cache is not None
    content = Path("/etc/os-release").read_bytes() + " ".join(PACKAGES).encode()
    base = pytestconfig.cache.mkdir(f"debian-{hashlib.sha256(content).hexdigest()[:12]}") / "root"
    if not base.exists():
        unfinished = base.with_name("unfinished")
        subprocess.run(["rm", "-rf", unfinished], check=True)
        make_root_folder(unfinished, tmp_path_factory.mktemp("packages"))
        unfinished.rename(base)
    made = Engine(base, tmp_path_factory.mktemp("engine"))
    made.build(PROJECT)
    return made


def a_mount(folder: Path, *names: str, owner: int = OWNER) -> Path:
    """A folder of the host, with files of another tool."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("{}")
    for path in (folder, *folder.iterdir()):
        os.chown(path, owner, owner)
    return folder


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in (folder, *folder.iterdir())}


def status_of(container: Container) -> dict[str, str]:
    """proc_pid_status(5) of the container's first process."""
    lines = Path(f"/proc/{container.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory, shared_emulator: EmulatorServer) -> Path:
    """With the accounts of the Node tools, of which the emulator knows two."""
    folder = a_mount(tmp_path_factory.mktemp("host") / "antigravity-proxy", OTHER_TOOLS_FILE)
    accounts = [
        {"email": one.email, "source": "oauth", "refreshToken": one.refresh_token}
        for one in shared_emulator.state.accounts[:2]
    ]
    content: dict[str, Any] = {"accounts": accounts, "settings": {}, "activeIndex": 0}
    (folder / OTHER_TOOLS_FILE).write_bytes(orjson.dumps(content))
    return folder


@pytest.fixture(scope="module")
def container(engine: Engine, mount: Path, shared_emulator: EmulatorServer) -> Iterator[Container]:
    """Started by the operators' line."""
    environment = {**shared_emulator.gateway_settings(), "PORT": str(free_port())}
    with engine.run(Options(environment=environment, mount=mount)) as running:
        running.wait_until_ready()
        yield running


def url_of(container: Container, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{container.environment['PORT']}"


def key_of(container: Container) -> str:
    return container.execute("manage.py", "showkey").stdout.strip()


def test_the_gateway_is_the_first_process_of_the_mounts_owner(container: Container) -> None:
    status = status_of(container)
    command = Path(f"/proc/{container.pid}/cmdline").read_bytes().split(b"\0")

    assert status["Uid"].split() == status["Gid"].split() == [str(OWNER)] * 4
    assert (int(status["CapEff"], 16), status["NoNewPrivs"], status["Groups"]) == (0, "1", "")
    assert command == [b"python", b"manage.py", b"runserver", b""]
    if container.has_namespaces:
        assert status["NSpid"].split()[-1] == "1"


def test_nothing_to_install_with_is_in_the_environment(engine: Engine) -> None:
    assert not (engine.root / "opt/venv/bin/pip").exists()
    assert (engine.root / "opt/venv/bin/uvicorn").exists()


def test_the_log_names_the_commands_and_no_secret(container: Container) -> None:
    key = key_of(container)

    assert len(key) > 40
    assert key not in container.output
    for command in (
        "showkey",
        "setuplink",
        "addaccount",
        f"importaccounts {container.data_dir}/accounts.json",
    ):
        assert f"manage.py {command}" in container.output
    if container.has_namespaces:
        assert f"    docker exec -it {container.id} python manage.py showkey\n" in container.output


def test_accounts_of_another_tool_answer_after_an_import(container: Container, mount: Path) -> None:
    other = mount / OTHER_TOOLS_FILE
    before = other.read_bytes(), other.stat()

    imported = container.execute(
        "manage.py", "importaccounts", f"{container.data_dir}/{OTHER_TOOLS_FILE}", "--accept-terms"
    )
    with_key = httpx.post(
        f"{url_of(container)}/v1/messages", json=HELLO, headers={"x-api-key": key_of(container)}, timeout=60
    )
    without = httpx.post(f"{url_of(container)}/v1/messages", json=HELLO)

    assert imported.returncode == 0, imported.stderr
    assert "python /usr" not in imported.stderr
    assert (with_key.status_code, without.status_code) == (200, 401)
    assert with_key.json()["content"]
    assert (other.read_bytes(), other.stat().st_mtime_ns) == (before[0], before[1].st_mtime_ns)


def test_an_account_is_added_without_a_browser(container: Container) -> None:
    command = container.command_inside("manage.py", "addaccount", "--accept-terms")
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as adding:
        assert adding.stderr is not None
        address = next(line.strip() for line in adding.stderr if line.startswith("http"))
        out, _ = adding.communicate(consent_at(address, "linus@example.com") + "\n", timeout=60)

    assert adding.returncode == 0
    assert "linus@example.com" in out


def test_commands_as_root_leave_files_of_the_owner(container: Container, mount: Path) -> None:
    container.execute("python", "manage.py", "backup", f"{container.data_dir}/a.backup")

    assert (mount / "a.backup").exists()
    assert owners(mount) == {OWNER}
    assert {path.stat().st_mode & 0o777 for path in mount.iterdir() if path.name != OTHER_TOOLS_FILE} == {
        0o600
    }


def test_a_set_up_link_works_from_the_host(container: Container) -> None:
    link = container.execute("manage.py", "setuplink").stdout.strip()
    path = link.removeprefix(url_of(container))
    seen_from_outside = machine_addresses("0.0.0.0")[:1] or ["127.0.0.1"]

    answer = ask(url_of(container, seen_from_outside[0]), request_bytes("GET", path, host="127.0.0.1"), "GET")

    assert answer.status == 200
    assert b"Welcome" in answer.body


def test_the_health_check_finds_it_healthy(container: Container) -> None:
    done = container.execute(*container.health)

    assert (done.returncode, done.stderr) == (0, "")


def test_it_stops_by_the_engines_signal(container: Container) -> None:
    """The last test of the shared container."""
    assert container.stop() == 0


@pytest.fixture
def namespaces(engine: Engine) -> Engine:
    if not engine.has_namespaces:
        pytest.skip("unshare is forbidden here, so there is one mount and nothing is read-only")
    return engine


def test_sigterm_lets_a_stream_finish(namespaces: Engine, emulator: EmulatorServer) -> None:
    """With the options of compose.yaml, on a new volume."""
    emulator.state.reply("one two three four", behaviour=pace(chunk_delay=0.3, chunk_count=4))
    environment = {**emulator.gateway_settings(), "PORT": str(free_port()), "AUTH_TOKEN": "open sesame"}
    options = replace(AS_IN_COMPOSE, environment=environment)
    with namespaces.run(options) as running:
        running.wait_until_ready()
        accounts = accounts_file(emulator).decode()
        running.execute("manage.py", "importaccounts", "-", "--accept-terms", stdin=accounts)
        url, key = f"{url_of(running)}/v1/messages", {"x-api-key": "open sesame"}
        with httpx.stream("POST", url, json={**HELLO, "stream": True}, headers=key, timeout=60) as answer:
            pieces = answer.iter_text()
            begun = next(pieces)
            os.kill(running.pid, signal.SIGTERM)
            text = begun + "".join(pieces)
        status = running.wait()

    assert (answer.status_code, status) == (200, 0)
    assert text.rstrip().endswith('{"type":"message_stop"}')
    assert owners(running.folder) == {IMAGES_USER}


def test_a_folder_that_the_engine_made_gets_the_images_user(namespaces: Engine, tmp_path: Path) -> None:
    mount = a_mount(tmp_path / "made-by-root", owner=0)

    with namespaces.run(Options(mount=mount), "listaccounts") as done:
        assert done.wait() == 0

    assert owners(mount) == {IMAGES_USER}


def test_a_folder_of_root_with_files_stays_roots(namespaces: Engine, tmp_path: Path) -> None:
    mount = a_mount(tmp_path / "of-root", OTHER_TOOLS_FILE, owner=0)

    with namespaces.run(Options(mount=mount), "listaccounts") as done:
        assert done.wait() == 0

    assert owners(mount) == {0}


def test_the_user_of_the_engine_is_honoured(namespaces: Engine, tmp_path: Path) -> None:
    mount = a_mount(tmp_path / "mine", owner=1234)

    with namespaces.run(Options(mount=mount, user="1234:1234", capabilities=()), "listaccounts") as done:
        assert done.wait() == 0

    assert owners(mount) == {1234}


BAD_DAYS = [
    (Options(user="1234"), OWNER, "is not writable for user 1234, and belongs to user 1500."),
    (Options(user="1234"), 0, "is not writable for user 1234, and belongs to user 0."),
    (Options(mount_read_only=True), OWNER, "is mounted read-only, but the database is in it"),
    (Options(mount_read_only=True), 0, "is mounted read-only, but the database is in it"),
    (Options(capabilities=()), OWNER, "start it with `--user 1500:1500`, or with `--cap-add SETUID"),
]


@pytest.mark.parametrize(("options", "owner", "sentence"), BAD_DAYS)
def test_a_mount_that_cannot_be_used_is_a_clear_sentence(
    options: Options, owner: int, sentence: str, namespaces: Engine, tmp_path: Path
) -> None:
    mount = a_mount(tmp_path / "mount", OTHER_TOOLS_FILE, owner=owner)

    with namespaces.run(replace(options, mount=mount)) as done:
        status = done.wait()

    assert status in {1, 2}
    assert sentence in done.output
    assert (done.output.count("\n"), [path.name for path in mount.iterdir()]) == (
        1 + done.output.count("belongs to root, so"),
        [OTHER_TOOLS_FILE],
    )


def test_a_file_left_by_root_names_its_owner(namespaces: Engine, tmp_path: Path) -> None:
    mount = a_mount(tmp_path / "mount", "secret_key")
    os.chown(mount / "secret_key", 0, 0)

    with namespaces.run(Options(mount=mount), "listaccounts") as done:
        assert done.wait() == 2

    assert "secret_key' cannot be made private to its owner" in done.output
    assert "and belongs to user 0." in done.output
