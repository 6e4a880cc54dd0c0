"""Commands are printed as the reader can run them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from accounts.command_line import container_prefix, manage, program
from accounts.models import Account
from accounts.status.required_action import required_action
from tests.live_gateway import PROJECT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = "/srv/gateway/.venv/bin/python3"
RUNS = re.compile(r"(\.uv/bin/uv run|\.venv/bin/python|docker (compose )?exec(?: -it?)? \S+) manage\.py ")


@pytest.mark.parametrize(
    ("started_with", "printed"),
    [
        (["python", "manage.py", "runserver"], "python manage.py"),
        (["python3", "-m", "manage", "logs"], "python3 -m manage"),
        ([".venv/bin/python", "manage.py"], ".venv/bin/python manage.py"),
        ([PYTHON, "-W", "error", "/srv/gateway/manage.py"], f"{PYTHON} -W error /srv/gateway/manage.py"),
        (["python", "-Xutf8", "./manage.py"], "python -Xutf8 ./manage.py"),
        (["/my programs/python", "manage.py"], "'/my programs/python' manage.py"),
        # Another server, a shell, a test: some program that is not manage.py
        (["python", "-m", "uvicorn", "proxy_site.asgi:application"], "python manage.py"),
        (["python", "serve.py", "manage.py"], "python manage.py"),
        (["python", "-c", "print()"], "python manage.py"),
        (["python"], "python manage.py"),
    ],
)
def test_the_command_is_the_one_it_was_started_with(started_with: list[str], printed: str) -> None:
    assert program(started_with, {}) == printed


def test_a_script_in_path_is_printed_by_its_name(tmp_path: Path) -> None:
    script = tmp_path / "manage.py"
    script.touch(mode=0o755)

    docker = ["docker", "exec", "-it", "4f1b"]

    printed = program(["python", str(script), "logs"], {"PATH": f"/bin:{tmp_path}"}, docker)

    assert printed == "docker exec -it 4f1b manage.py"


def test_uv_run_is_printed_with_the_uv_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / ".uv" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.touch(mode=0o755)
    (tmp_path / "docs").mkdir()

    def printed(*arguments: str, path: str = "/usr/bin") -> str:
        return program([PYTHON, *arguments], {"UV": str(uv), "PATH": path}, project=tmp_path)

    monkeypatch.chdir(tmp_path)
    assert printed("manage.py", "logs") == ".uv/bin/uv run manage.py"
    assert printed("-m", "manage") == ".uv/bin/uv run python -m manage"
    assert printed("manage.py", path=f"/usr/bin:{uv.parent}") == "uv run manage.py"
    monkeypatch.chdir(tmp_path / "docs")
    assert printed("../manage.py") == f"{uv} run ../manage.py"
    monkeypatch.chdir("/")
    assert printed(f"{tmp_path}/manage.py") == f"{PYTHON} {tmp_path}/manage.py"


@pytest.mark.parametrize(
    ("engine", "host_name", "prefix"),
    [
        ("docker", "4f1b0c9d2e7a", "docker exec -it 4f1b0c9d2e7a "),
        ("podman", "4f1b0c9d2e7a", "podman exec -it 4f1b0c9d2e7a "),
        ("docker", "gateway", ""),
        ("", "4f1b0c9d2e7a", ""),
    ],
)
def test_a_container_is_reached_from_outside(engine: str, host_name: str, prefix: str) -> None:
    words = container_prefix(engine, host_name)

    assert program(["python", "manage.py", "runserver"], {}, words) == f"{prefix}python manage.py"


def test_addresses_in_a_command_are_quoted_for_the_shell() -> None:
    account = Account(email="o'brien$(id)@example.com", state=Account.State.INVALID)

    action = required_action(account)

    assert action is not None
    assert manage(action.command).endswith("""manage.py addaccount --email 'o'"'"'brien$(id)@example.com'""")


def test_in_a_demo_a_printed_command_has_the_demo_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO", "true")

    assert manage("enableaccount ada@example.com").endswith("manage.py enableaccount ada@example.com --demo")
    assert manage("runserver --demo").endswith("manage.py runserver --demo")


@pytest.mark.slow
def test_what_a_command_prints_can_be_run(tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    interpreter = [sys.executable, "-W", "default", str(PROJECT / "manage.py")]
    printed = subprocess.run(
        [*interpreter, "stats", "limits"], cwd="/", env=env, capture_output=True, text=True, check=True
    ).stderr
    command = printed.partition("Add one: ")[2].strip()

    done = subprocess.run(
        f"{command} --help", shell=True, cwd="/", env=env, capture_output=True, text=True, check=False
    )

    assert command == " ".join([*interpreter, "addaccount"])
    assert done.returncode == 0
    assert "Adds an account" in done.stdout


def test_commands_in_the_docs_can_be_copied() -> None:
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
    lines = [line for page in pages for line in code_of(page.read_text()) if "manage.py " in line]

    assert lines
    assert [line for line in lines if not RUNS.search(line)] == []


def code_of(page: str) -> list[str]:
    """Lines of its code blocks, fenced or indented."""
    fenced = [line for block in page.split("```")[1::2] for line in block.splitlines()]
    return [*fenced, *re.findall("^    .*", page, flags=re.MULTILINE)]
