from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import pytest

from proxy_site.data_dir import LOCK, AlreadyServing, prepare_data_dir, read_or_create_key, sole_server
from proxy_site.environment import SettingError
from tests.live_gateway import clean_environment, manage

if TYPE_CHECKING:
    from pathlib import Path


def test_the_folder_and_its_keys_are_for_the_owner_only(tmp_path: Path) -> None:
    folder = prepare_data_dir(tmp_path / "a" / "b")
    read_or_create_key(folder / "key", lambda: "secret")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


def test_a_key_is_made_once(tmp_path: Path) -> None:
    numbers = count()

    keys = {read_or_create_key(tmp_path / "key", lambda: f"key {next(numbers)}") for _ in range(3)}

    assert keys == {"key 0"}


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    numbers = count()

    with ThreadPoolExecutor(8) as threads:
        keys = set(
            threads.map(
                lambda _: read_or_create_key(tmp_path / "key", lambda: f"key {next(numbers)}"), range(8)
            )
        )

    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_second_server_gets_the_process_id_of_the_first(tmp_path: Path) -> None:
    import os

    with (
        sole_server(tmp_path),
        pytest.raises(AlreadyServing, match=f"process {os.getpid()}"),
        sole_server(tmp_path),
    ):
        pass


def test_a_lock_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()

    with pytest.raises(AlreadyServing, match="cannot be opened"), sole_server(tmp_path):
        pass


def test_a_key_that_is_no_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingError, match="is damaged"):
        read_or_create_key(tmp_path / "key", lambda: "secret")


def test_an_empty_key_for_cookies_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()

    done = manage("listaccounts", env=clean_environment(tmp_path))

    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "secret_key is empty. Remove it" in done.stderr.decode()


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with sole_server(tmp_path):
            pass


def test_a_data_dir_that_is_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingError, match="DATA_DIR"):
        prepare_data_dir(tmp_path / "file")
