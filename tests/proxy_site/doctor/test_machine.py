from __future__ import annotations

import os
import shutil
from collections import namedtuple
from typing import TYPE_CHECKING

from proxy_site.doctor.findings import State
from proxy_site.doctor.machine import MIB, check_disk

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

Usage = namedtuple("Usage", "total used free")


def test_a_folder_with_room_is_left_as_it_was(tmp_path: Path) -> None:
    assert check_disk(tmp_path).state is not State.PROBLEM
    assert list(tmp_path.iterdir()) == []


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 50 * MIB))

    found = check_disk(tmp_path)

    assert found.state is State.WARNING
    assert found.sentence.startswith("Only 50 MiB are free in ")


def test_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "gone").state is State.PROBLEM


def test_a_folder_of_another_user_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)

    found = check_disk(tmp_path)

    assert found.state is State.WARNING
    assert "and doctor runs as #54321" in found.sentence
    assert "sudo -u " in found.next_step
