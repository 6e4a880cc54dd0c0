from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import pytest

from accounts.transfer.files import FileUnusable, files_in, is_folder, read_file, read_whole


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    file.write_bytes(b"12345")

    assert read_file(file, 5) == b"12345"
    with pytest.raises(FileUnusable, match="larger than"):
        read_file(file, 4)


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"12345")
    (tmp_path / "here").symlink_to("there")

    assert read_file(tmp_path / "here", 5) == b"12345"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/stdin"])
def test_a_device_is_not_read(device: str) -> None:
    with pytest.raises(FileUnusable):
        read_file(Path(device), 5)


def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(FileUnusable, match="not an ordinary file"):
        read_file(tmp_path / "pipe", 5)


def test_neither_a_socket_nor_a_folder_is_read(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "socket", tmp_path):
            with pytest.raises(FileUnusable):
                read_file(path, 5)


@pytest.mark.parametrize("name", ["nothing here", "a\0b", "a" * 300, "\ud800"])
def test_a_missing_file_is_reported(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="cannot be read"):
        read_file(tmp_path / name, 5)


def test_a_file_of_reported_size_zero_is_bounded() -> None:
    with pytest.raises(FileUnusable, match="larger than"):
        read_file(Path("/proc/self/smaps"), 10)


def test_standard_input_is_bounded_too() -> None:
    assert read_whole(io.BytesIO(b"12345"), 5) == b"12345"
    with pytest.raises(FileUnusable, match="larger than 1,048,576 bytes"):
        read_whole(io.BytesIO(bytes(1024 * 1024 + 1)), 1024 * 1024)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.json", "a.json", ".hidden", "deeper/c.json", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deeper" / "loop").symlink_to(tmp_path)
    return tmp_path


def test_a_folder_gives_its_files_by_name(folder: Path) -> None:
    assert [file.name for file in files_in(folder, 9)] == ["a.json", "b.json"]


def test_subfolders_are_read_on_request_without_loops(folder: Path) -> None:
    assert [file.name for file in files_in(folder, 9, recursive=True)] == ["a.json", "b.json", "c.json"]


def test_a_link_to_itself_does_not_stop_other_files(folder: Path) -> None:
    (folder / "circle").symlink_to("circle")

    assert [file.name for file in files_in(folder, 9)] == ["a.json", "b.json", "circle"]


def test_a_folder_of_too_many_files_is_refused(folder: Path) -> None:
    with pytest.raises(FileUnusable, match="more than 1 files"):
        files_in(folder, 1)


@pytest.mark.parametrize("name", ["nothing here", "a\0b", "a" * 300, "\ud800"])
def test_a_missing_path_is_no_folder(name: str, tmp_path: Path) -> None:
    assert not is_folder(str(tmp_path / name))
    with pytest.raises(FileUnusable, match="cannot be read"):
        files_in(tmp_path / name, 9)
