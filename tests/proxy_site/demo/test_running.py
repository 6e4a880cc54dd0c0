"""Which of several demos a command with `--demo` takes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from proxy_site.data_dir import note_address, sole_server
from proxy_site.demo import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("DATA_DIR", "/somewhere/else")
    return tmp_path


@pytest.fixture
def demos(temporary: Path) -> Iterator[list[Path]]:
    """Two that run, the older one first."""
    with ExitStack() as stack:
        data_dirs = []
        for number in (1, 2):
            data_dir = running.make_data_dir()
            running.describe(data_dir, {"DATA_DIR": str(data_dir)})
            os.utime(data_dir / running.SETTINGS_FILE, (number, number))
            stack.enter_context(sole_server(data_dir))
            note_address(data_dir, f"http://127.0.0.1:{number}")
            data_dirs.append(data_dir)
        yield data_dirs


def test_of_several_demos_the_newest_is_taken_and_named(
    demos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    older, newest = demos
    running.use()
    assert os.environ["DATA_DIR"] == str(newest)
    assert capsys.readouterr().err == (
        "2 demos run. This is the newest (http://127.0.0.1:2); "
        f"for another, set DATA_DIR={older} (http://127.0.0.1:1).\n"
    )


def test_the_demo_of_data_dir_is_taken_in_silence(
    demos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(demos[0]))
    running.use()
    assert os.environ["DATA_DIR"] == str(demos[0])
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("temporary")
def test_without_a_demo_none_is_taken() -> None:
    with pytest.raises(running.NoDemoRuns):
        running.use()
