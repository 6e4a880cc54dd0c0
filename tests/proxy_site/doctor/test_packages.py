from __future__ import annotations

import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from proxy_site.doctor import packages
from proxy_site.doctor.findings import State
from tests.live_gateway import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_installed_here_is_complete() -> None:
    assert packages.check_packages().state is not State.PROBLEM
    assert {"django", "aiohttp"} <= set(packages.required_names())


@pytest.mark.parametrize(
    ("version", "state"),
    [(platform.python_version(), State.OK), ("3.9.1", State.PROBLEM), ("nonsense", State.OK)],
)
def test_an_environment_of_another_python_is_named(
    version: str, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))

    assert packages.check_python().state is state


def test_a_package_that_this_python_cannot_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("raise ImportError('built for another Python')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages, "COMPILED", ("half_installed", "not_there_at_all"))

    found = packages.check_packages()

    assert found.state is State.PROBLEM
    assert "cannot be loaded by this Python: half_installed." in found.sentence
    assert "built for another Python" in found.details[0]


@pytest.mark.parametrize(
    ("pins", "state", "words"),
    [
        ("aiohttp==3.14.1\n", State.OK, "in the versions of requirements.txt"),
        ("aiohttp==3.14.0\n", State.OK, "newer than in requirements.txt: aiohttp 3.14.1"),
        ("aiohttp==3.9.12\n", State.OK, "newer than in requirements.txt: aiohttp 3.14.1"),
        ("aiohttp==3.14.2\n", State.WARNING, "which was tested: aiohttp 3.14.1."),
        ("aiohttp==2.14.1\n", State.WARNING, "which was tested: aiohttp 3.14.1."),
        ("aiohttp==4.0.0rc1\n", State.WARNING, "which was tested: aiohttp 3.14.1."),
        ("aiohttp==odd\n", State.WARNING, "which was tested: aiohttp 3.14.1."),
        ("", State.OK, "in the versions of requirements.txt"),
    ],
)
def test_a_newer_package_is_no_reason_to_warn(
    pins: str, state: State, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text(pins)
    monkeypatch.setattr(packages, "PROJECT", tmp_path)
    monkeypatch.setattr(packages, "version", lambda name: "3.14.1")

    found = packages.check_packages()

    assert found.state is state
    assert words in found.sentence


@pytest.mark.slow
def test_other_commands_name_the_missing_package_and_doctor() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "manage.py", "listaccounts"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == (
        f"The package django is not installed for {sys.executable}. manage.py doctor says more.\n"
    )


@pytest.mark.slow
def test_it_runs_without_any_package() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "manage.py", "doctor"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM  Packages        Not installed: aiohttp" in done.stdout
    assert "uv sync --reinstall" in done.stdout


@pytest.mark.slow
def test_an_old_python_is_named_before_anything_is_imported() -> None:
    start = "runpy.run_path('manage.py', run_name='__main__')"
    script = f"import runpy, sys; sys.version_info = (3, 10, 0); {start}"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("The gateway needs Python 3.11 or newer, and this is ")
