from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboard.claude_settings import file
from dashboard.claude_settings.change import EMPTY, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

needs_a_user = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file is looked for; its folder is there."""
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    (tmp_path / "claude").mkdir()
    return file.settings_path()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_where_claude_code_looks(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path == tmp_path / "claude" / "settings.json"
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert file.settings_path() == tmp_path / ".claude" / "settings.json"
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "~/own")
    assert file.settings_path() == tmp_path / "own" / "settings.json"


def test_a_missing_file_and_folder_are_made_for_the_owner_only(path: Path) -> None:
    path.parent.rmdir()
    found = file.read(path)
    assert (found.text, found.mode) == (EMPTY, None)

    assert file.write(found, "{}\n", has_key=False) is None
    assert (path.read_text(), mode_of(path), mode_of(path.parent)) == ("{}\n", 0o600, 0o700)
    assert file.copies(path) == []


def test_what_it_was_is_kept_for_the_owner_only(path: Path) -> None:
    path.write_bytes(b'{"a": "\xc3\xa9"}\r\n')
    path.chmod(0o644)
    copy = file.write(file.read(path), '{"b": 1}', has_key=False)

    assert copy is not None
    assert (copy.read_bytes(), mode_of(copy)) == (b'{"a": "\xc3\xa9"}\r\n', 0o600)
    assert (path.read_text(), mode_of(path)) == ('{"b": 1}', 0o644)
    assert file.copies(path) == [copy.name]
    assert file.read_copy(path, copy.name) == '{"a": "é"}\r\n'
    assert sorted(one.name for one in path.parent.iterdir()) == ["settings.json", copy.name]


def test_with_a_key_in_it_only_the_owner_may_read_it(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o644)
    file.write(file.read(path), "{}", has_key=True)
    assert mode_of(path) == 0o600


def test_the_newest_copies_are_offered(path: Path) -> None:
    for number in range(7):
        file.write(file.read(path), f"{number}", has_key=False)
    assert [file.read_copy(path, name) for name in file.copies(path)] == ["5", "4", "3", "2", "1"]


def test_a_change_since_then_is_not_overwritten(path: Path) -> None:
    path.write_text("{}")
    found = file.read(path)
    path.write_text('{"theirs": 1}')
    with pytest.raises(Refused, match="has changed"):
        file.write(found, "ours", has_key=False)
    assert path.read_text() == '{"theirs": 1}'


def test_a_link_stays_and_what_it_leads_to_is_replaced(path: Path, tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles.json"
    dotfiles.write_text('{"a": 1}')
    path.symlink_to(dotfiles)
    copy = file.write(file.read(path), "new", has_key=False)

    assert path.is_symlink()
    assert dotfiles.read_text() == "new"
    assert copy is not None
    assert copy.parent == path.parent


def test_a_link_to_nothing_makes_the_file_there(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "not-yet.json")
    file.write(file.read(path), "new", has_key=False)
    assert (tmp_path / "not-yet.json").read_text() == "new"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Path.mkdir, "read|regular"),
        (os.mkfifo, "regular"),
        (lambda path: path.symlink_to(path), "circle|many levels"),
        (lambda path: path.write_bytes(b" " * (file.LARGEST_BYTES + 1)), "larger"),
        (lambda path: path.write_bytes(b'{"a": "\xff"}'), "UTF-8"),
    ],
    ids=["a folder", "a pipe", "a circle", "huge", "not UTF-8"],
)
def test_what_is_no_plain_file_of_ours_is_refused(
    path: Path, make: Callable[[Path], object], why: str
) -> None:
    make(path)
    with pytest.raises(Refused, match=why):
        file.read(path)


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("{}")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(Refused, match="another user"):
        file.read(path)


def test_a_read_only_file_is_left_alone(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o444)
    with pytest.raises(Refused, match="read-only"):
        file.write(file.read(path), "new", has_key=False)
    assert [path.read_text(), *file.copies(path)] == ["{}"]


@needs_a_user
def test_a_read_only_folder_is_left_alone(path: Path) -> None:
    path.write_text("{}")
    path.parent.chmod(0o500)
    with pytest.raises(Refused, match="permission denied"):
        file.write(file.read(path), "new", has_key=False)
    path.parent.chmod(0o700)


def test_a_folder_that_is_a_file_is_refused(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")
    with pytest.raises(Refused, match="not a directory"):
        file.read(path)


@pytest.mark.parametrize("name", ["", "../settings.json", "settings.json", "/etc/passwd", "\0"])
def test_only_copies_of_ours_are_read(path: Path, name: str) -> None:
    path.write_text("{}")
    with pytest.raises(Refused, match="no such copy"):
        file.read_copy(path, name)
