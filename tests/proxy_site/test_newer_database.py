"""A database that newer code has migrated: older code refuses it and names the remedy."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from accounts.database.versions import lets_in
from tests.live_gateway import clean_environment, free_port, manage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    data_dir = tmp_path_factory.mktemp("data")
    env = clean_environment(data_dir)
    assert manage("migrate", "-v0", env=env).returncode == 0
    execute(data_dir, "UPDATE accounts_databaseversion SET migrated_by = '9.1.0', oldest_code = '9.0.0'")
    return env


def execute(data_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(data_dir / "proxy.sqlite3")) as database:
        database.execute(statement)
        database.commit()


@pytest.mark.parametrize(
    "command",
    [["runserver", "PORT"], ["listaccounts"], ["migrate"], ["downgrade", "0.1.0"]],
    ids=lambda one: one[0],
)
def test_every_command_refuses_it_and_names_the_way_back(command: list[str], env: dict[str, str]) -> None:
    done = manage(*(str(free_port()) if word == "PORT" else word for word in command), env=env)

    said = done.stderr.decode()
    assert done.returncode == 1
    assert "migrated by version 9.1.0 and needs 9.0.0 or newer; this is 0.2.0" in said
    assert "manage.py downgrade 0.2.0\n" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("version", ["0.3.0", "yesterday"])
def test_a_version_that_cannot_be_gone_back_to_is_refused_in_one_sentence(
    version: str, tmp_path: Path
) -> None:
    done = manage("downgrade", version, env=clean_environment(tmp_path))

    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert version in done.stderr.decode()


def test_a_database_that_is_older_already_is_unchanged(tmp_path: Path) -> None:
    done = manage("downgrade", "0.1.0", env=clean_environment(tmp_path))

    assert done.returncode == 1
    assert "as a version before 0.1.0 knows it already" in done.stderr.decode()


@pytest.mark.parametrize(
    ("oldest_code", "is_let_in"),
    [("0.1.0", True), ("0.2.0", True), ("0.2.1", False), ("1.0", False), ("next", False)],
)
def test_only_older_code_is_refused(oldest_code: str, is_let_in: bool, settings: Any) -> None:
    settings.VERSION = "0.2.0.dev0"

    assert lets_in(oldest_code) is is_let_in
