"""As which user a command goes on that the container's engine has started as root."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy_site.container.health import problem
from proxy_site.container.user import IMAGES_USER
from tests.live_gateway import PROJECT, clean_environment, free_port
from tests.test_first_run import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user"
    ),
]

SHOW_USER = "echo $(id -u):$(id -g) groups $(id -G) $(grep -E 'CapEff|NoNewPrivs' /proc/self/status)"
NO_PRIVILEGES = "CapEff: 0000000000000000 NoNewPrivs: 1"
GIVE_UP = (
    "import sys; from pathlib import Path; from proxy_site.container.user import give_up_root;"
    "give_up_root(Path(sys.argv[1]), sys.argv[2:], is_server=True);"
    "print('nothing to give up')"
)


def give_up_root(folder: Path, *around: str) -> subprocess.CompletedProcess[str]:
    """By a process of its own, which then shows its user; started by the command `around`."""
    return subprocess.run(
        [*around, sys.executable, "-c", GIVE_UP, str(folder), "/bin/sh", "-c", SHOW_USER],
        cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_root_becomes_the_owner_of_the_mounted_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 4321)

    done = give_up_root(tmp_path)

    assert done.stdout == f"1234:4321 groups 4321 {NO_PRIVILEGES}\n"


@pytest.mark.parametrize("left", ["", "lost+found"])
def test_an_empty_folder_of_root_gets_the_images_user(left: str, tmp_path: Path) -> None:
    (tmp_path / left).mkdir(exist_ok=True)

    done = give_up_root(tmp_path)

    assert done.stdout == f"{IMAGES_USER}:{IMAGES_USER} groups {IMAGES_USER} {NO_PRIVILEGES}\n"
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode & 0o777) == (IMAGES_USER, 0o700)


def test_a_missing_folder_is_made_for_the_images_user(tmp_path: Path) -> None:
    done = give_up_root(tmp_path / "new" / "folder")

    assert done.stdout.startswith(f"{IMAGES_USER}:{IMAGES_USER} ")


def test_files_of_root_stay_as_they_are(tmp_path: Path) -> None:
    other = tmp_path / "accounts.json"
    other.write_text("{}")
    before = other.stat(), tmp_path.stat().st_mtime_ns

    done = give_up_root(tmp_path)

    assert done.stdout == f"0:0 groups 0 {NO_PRIVILEGES}\n"
    assert "belongs to root, so the gateway runs as root, but without root's privileges" in done.stderr
    assert (other.stat(), tmp_path.stat().st_mtime_ns) == before


def test_root_without_privileges_goes_on(tmp_path: Path) -> None:
    (tmp_path / "accounts.json").touch()

    done = give_up_root(tmp_path, "setpriv", "--bounding-set=-all", "--inh-caps=-all")

    assert done.stdout == "nothing to give up\n"


def test_root_that_may_not_become_the_owner_says_what_to_do(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 4321)

    done = give_up_root(tmp_path, "setpriv", "--bounding-set=-setuid")

    assert (done.returncode, done.stdout) == (1, "")
    assert "start it with `--user 1234:4321`, or with `--cap-add SETUID --cap-add SETGID`." in done.stderr


def test_another_user_has_nothing_to_give_up(tmp_path: Path) -> None:
    """By the module alone, because a checkout of root's may be closed to other users."""
    source = (PROJECT / "proxy_site" / "container" / "user.py").read_text()
    start = (
        f"give_up_root(Path({str(tmp_path)!r}), ['/bin/false'], is_server=True); print('nothing to give up')"
    )
    done = subprocess.run(
        ["setpriv", "--reuid=1234", "--clear-groups", "/usr/bin/python3", "-"],
        input=f"{source}\n{start}\n", capture_output=True, text=True, timeout=30, check=False, cwd="/",
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("nothing to give up\n", "")


@pytest.mark.skipif(PROJECT.stat().st_uid != 0, reason="root without privileges reads root's files only")
def test_the_server_gives_up_root_and_stays_the_same_process(tmp_path: Path) -> None:
    (tmp_path / "accounts.json").write_text("{}")
    env = clean_environment(tmp_path, IN_CONTAINER="true", HOST="0.0.0.0", PORT=str(free_port()))
    with Server(env=env) as server:
        banner = server.banner()
        healthy = problem(int(env["PORT"]))
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        ended, _ = server.stop(signal.SIGTERM)

    assert re.findall(r"CapEff:\s(\w+)|NoNewPrivs:\s(\d)", status) == [("0" * 16, ""), ("", "1")]
    assert banner.startswith(f"{tmp_path} belongs to root, so the gateway runs as root, but without root's")
    assert (healthy, ended) == ("", 0)


# What that user says of a folder it cannot use

CHECK_AS_1234 = """
import os, sys
from pathlib import Path
from proxy_site.data_dir import prepare_data_dir, read_or_create_key

os.setgroups([])
os.setresgid(1234, 1234, 1234)
os.setresuid(1234, 1234, 1234)
read_or_create_key(prepare_data_dir(Path(sys.argv[1])) / "secret_key", lambda: "secret")
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users reach; those above tmp_path are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize(
    ("owner", "mode", "sentence"),
    [
        (1500, 0o755, "is not writable for user 1234, and belongs to user 1500."),
        (1234, 0o500, "is not writable for user 1234 although it is its owner: its mode is 0500."),
        (
            1234,
            0o700,
            "secret_key' cannot be made private to its owner: Permission denied, and belongs to user 0",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_names_the_reason(
    owner: int, mode: int, sentence: str, reachable: Path
) -> None:
    (reachable / "secret_key").touch(mode=0o600)
    reachable.chmod(mode)
    os.chown(reachable, owner, owner)

    done = subprocess.run(
        [sys.executable, "-c", CHECK_AS_1234, str(reachable)],
        cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert sentence in done.stderr
