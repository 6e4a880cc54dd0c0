"""The help of `manage.py` and of its commands, in a terminal of 80 columns and in a pipe."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.core.management import get_commands, load_command_class

from proxy_site.management_utility import GROUPS, OURS
from proxy_site.version import version
from tests.accounts.terminal import Terminal
from tests.live_gateway import PROJECT, clean_environment, manage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

COMMANDS = sorted(name for name, app in get_commands().items() if app in OURS)
DJANGOS_OPTIONS = ("--settings", "--pythonpath", "--traceback", "--no-color", "--force-color", "--verbosity")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path / "data", COLUMNS="80")


def assert_fits(text: str) -> None:
    """Command lines are as long as the path they begin with."""
    assert max(len(line) for line in text.splitlines() if "manage.py" not in line) <= 80


def test_each_command_of_ours_has_its_line() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == COMMANDS


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"]])
def test_help_lists_only_the_gateways_commands(arguments: list[str], env: dict[str, str]) -> None:
    done = manage(*arguments, env=env)

    said = done.stdout.decode()
    listed = re.findall(r"^  (\w+)  +\S", said, flags=re.MULTILINE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert said.startswith(f"Antigravity Claude Proxy {version()}\n")
    assert sorted(listed) == COMMANDS
    assert "createsuperuser" not in said
    assert_fits(said)


def test_help_all_lists_djangos_commands_too(env: dict[str, str]) -> None:
    said = manage("help", "--all", env=env).stdout.decode()

    assert said.index("runserver") < said.index("createsuperuser")
    assert set(get_commands()) <= set(re.findall(r"\w+", said))
    assert_fits(said)


def test_a_terminal_shows_the_same(env: dict[str, str]) -> None:
    with Terminal("help", env=env) as terminal:
        terminal.wait()

    assert terminal.text.strip() == manage("help", env=env).stdout.decode().strip()


@pytest.mark.parametrize("arguments", [["--version"], ["version"], ["stats", "--version"]])
def test_the_version_is_ours(arguments: list[str], env: dict[str, str]) -> None:
    assert manage(*arguments, env=env).stdout.decode() == f"{version()}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_ends_its_help_with_an_example_that_it_understands(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    text = parser.format_help()

    shown = re.fullmatch(rf".*\n\nexamples?:\n((?:  \S[^\n]* {name}[^\n]*\n)+)", text, flags=re.DOTALL)
    assert shown is not None
    for line in shown[1].splitlines():
        words = shlex.split(line)
        parser.parse_args(words[words.index(name) + 1 :])
    assert len(text) > 300
    assert_fits(text)
    for option in DJANGOS_OPTIONS:
        assert option not in text


@pytest.mark.parametrize(
    "command", ["help --all", "--version", "logs --help", "migrate --help", "listaccounts"]
)
def test_a_closed_output_pipe_is_no_error(command: str, env: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as gone:
        done = subprocess.run(
            [sys.executable, "manage.py", *command.split()],
            cwd=PROJECT, env=env, stdout=gone, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip

    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def test_closed_standard_streams_are_no_error(env: dict[str, str]) -> None:
    command = f"exec {shlex.quote(sys.executable)} manage.py listaccounts --json >&- 2>&- <&-"

    done = subprocess.run(["sh", "-c", command], cwd=PROJECT, env=env, check=False)

    assert done.returncode == 0


def test_djangos_options_still_work(env: dict[str, str]) -> None:
    done = manage("stats", "--since", "never", "--traceback", "--no-color", "-v0", env=env)

    assert b"Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "ending"),
    [
        (["nonsense"], 1, f"Type '{sys.executable} manage.py help' for usage.\n"),
        (["exportaccounts"], 2, "the following arguments are required: FILE\n"),
        (
            ["listaccounts", "ada@example.org"],
            1,
            "There is no account ada@example.org. To see which there are: "
            f"{sys.executable} manage.py listaccounts\n",
        ),
    ],
)
def test_errors_name_the_remedy(arguments: list[str], status: int, ending: str, env: dict[str, str]) -> None:
    done = manage(*arguments, env=env)

    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (status, b"")
    assert said.endswith(ending)
    assert "CommandError" not in said
