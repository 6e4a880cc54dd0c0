"""`backup` while a gateway runs; `restore` into an empty folder, over a database, and where it must not."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from cryptography.fernet import Fernet
from django.db import connections

from accounts.credentials import passphrases
from proxy_site.maintenance.archive import NotABackup
from proxy_site.maintenance.backup import back_up
from proxy_site.maintenance.restore import check_sqlite
from tests.accounts.terminal import Terminal
from tests.gateway.conftest import a_body
from tests.live_gateway import PROJECT, LiveGateway, manage
from tests.postgresql import PROGRAMS, running_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

PASSPHRASE = b"correct horse battery staple\n"
ENV_FILE = "TZ=Europe/Berlin\nWEBUI_PASSWORD='operator = $1'\nDATABASE_URL=\n"
DATABASE = "proxy.sqlite3"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup with keys, its DATA_DIR, and the output of a restore while a server ran there."""

    path: Path
    data_dir: Path
    env: dict[str, str]
    refusal: str


@pytest.fixture(scope="module")
def made(shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory) -> Made:
    data_dir = tmp_path_factory.mktemp("source")
    (data_dir / ".env").write_text(ENV_FILE)
    path = tmp_path_factory.mktemp("backups") / "monday.backup"
    with LiveGateway(shared_emulator, data_dir) as gateway:
        assert ask(gateway) == 200
        wait_until(lambda: requests_in(data_dir / DATABASE) == 1)
        done = manage("backup", str(path), "--passphrase-file", "-", env=gateway.env, stdin=PASSPHRASE)
        refused = manage("restore", str(path), "--yes", env=gateway.env)
    assert done.returncode == 0, done.stderr.decode()
    return Made(path, data_dir, gateway.env, refused.stderr.decode())


@pytest.fixture
def elsewhere(made: Made, tmp_path: Path) -> dict[str, str]:
    """The environment of a DATA_DIR with a database and keys of its own."""
    shutil.copy(made.data_dir / DATABASE, tmp_path)
    execute(
        tmp_path / DATABASE, "DELETE FROM gateway_requestlog", "UPDATE accounts_account SET tier = 'other'"
    )
    (tmp_path / "credentials_keys").write_text(Fernet.generate_key().decode())
    return {**made.env, "DATA_DIR": str(tmp_path)}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def requests_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM gateway_requestlog").fetchone()[0])


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask(gateway: LiveGateway) -> int:
    return httpx.post(f"{gateway.url}/v1/messages", json=a_body(), timeout=30).status_code


def everything_in(folder: Path) -> dict[str, bytes]:
    """The content of all files but the lock, which has the last process id."""
    files = [one for one in folder.rglob("*") if one.is_file() and one.name != "server.lock"]
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


def test_a_backup_answers_from_an_empty_folder(
    made: Made, shared_emulator: EmulatorServer, tmp_path: Path
) -> None:
    killed_before = tmp_path / ".restore-killed"
    killed_before.mkdir()
    gateway = LiveGateway(shared_emulator, tmp_path)

    done = manage("restore", str(made.path), "--passphrase-file", "-", env=gateway.env, stdin=PASSPHRASE)
    assert done.returncode == 0, done.stderr.decode()
    said = r"Restored the backup of \d{4}-\d\d-\d\d \d\d:\d\d [A-Z]+\. Accounts: \d, requests: 1\n"
    assert re.fullmatch(said, done.stdout.decode())
    gateway.start()
    status = ask(gateway)
    gateway.stop()

    assert status == 200
    assert requests_in(tmp_path / DATABASE) == 2
    assert (tmp_path / ".env").read_text() == "TZ=Europe/Berlin\nWEBUI_PASSWORD='operator = $1'\n"
    assert b"operator = $1" not in made.path.read_bytes()
    assert not killed_before.exists()
    files = [one for one in tmp_path.iterdir() if one.is_file()]
    assert {stat.S_IMODE(one.stat().st_mode) for one in [*files, made.path]} == {0o600}


def test_nothing_is_restored_while_a_server_runs(made: Made) -> None:
    assert "Another server (process" in made.refusal
    assert made.refusal.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "reason"),
    [
        (["--yes"], b"", "A passphrase is needed: say --passphrase-file PATH"),
        (
            ["--yes", "--passphrase-file", "-"],
            b"wrong horse\n",
            "The passphrase is wrong, or the file is damaged.",
        ),
        (["--passphrase-file", "-"], PASSPHRASE, "Nothing was changed. In a script, say --yes."),
    ],
)
def test_without_passphrase_or_consent_nothing_changes(
    arguments: list[str], stdin: bytes, reason: str, made: Made, elsewhere: dict[str, str]
) -> None:
    folder = Path(elsewhere["DATA_DIR"])
    (folder / "secret_key").write_text("secret")
    before = everything_in(folder)

    done = manage("restore", str(made.path), *arguments, env=elsewhere, stdin=stdin)

    assert done.returncode == 1
    assert reason in done.stderr.decode()
    assert everything_in(folder) == before


def test_it_replaces_a_database_with_its_stale_journal_and_keeps_a_copy(
    made: Made, elsewhere: dict[str, str]
) -> None:
    folder = Path(elsewhere["DATA_DIR"])
    own_key = (folder / "credentials_keys").read_text()
    with closing(sqlite3.connect(folder / DATABASE)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("UPDATE accounts_account SET tier = 'stale'")
        other.commit()
        journal = (folder / f"{DATABASE}-wal").read_bytes()
    (folder / f"{DATABASE}-wal").write_bytes(journal)

    done = manage(
        "restore",
        str(made.path),
        "--yes",
        "--passphrase-file",
        "-",
        "--json",
        env=elsewhere,
        stdin=PASSPHRASE,
    )

    assert done.returncode == 0, done.stderr.decode()
    assert not [one for one in folder.iterdir() if one.name.startswith(f"{DATABASE}-")]
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM accounts_account WHERE tier = 'stale'").fetchone() == (
            0,
        )
    assert requests_in(folder / DATABASE) == 1
    assert [requests_in(one) for one in (folder / "copies").iterdir()] == [0]
    assert (folder / "credentials_keys").read_text().split()[-1] == own_key


@pytest.mark.parametrize("damaged", ["", "no key", "schlüssel"])
def test_keys_in_a_backup_replace_a_damaged_file_of_keys(
    damaged: str, made: Made, elsewhere: dict[str, str]
) -> None:
    folder = Path(elsewhere["DATA_DIR"])
    (folder / "credentials_keys").write_text(damaged)

    done = manage(
        "restore", str(made.path), "--yes", "--passphrase-file", "-", env=elsewhere, stdin=PASSPHRASE
    )

    assert done.returncode == 0, done.stderr.decode()
    keys = [one / "credentials_keys" for one in (folder, made.data_dir)]
    assert keys[0].read_text().split() == keys[1].read_text().split()


def test_a_full_disk_leaves_the_old_database(made: Made, elsewhere: dict[str, str]) -> None:
    folder = Path(elsewhere["DATA_DIR"])
    (folder / "secret_key").write_text("secret")
    before = everything_in(folder)
    command = f"ulimit -f 100; exec {sys.executable} manage.py restore {made.path} --yes --passphrase-file -"

    done = subprocess.run(
        ["bash", "-c", command],
        cwd=PROJECT,
        env=elsewhere,
        input=PASSPHRASE,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert "could not be restored: File too large. Nothing was changed." in done.stderr.decode()
    assert everything_in(folder) == before


def test_a_damaged_database_is_moved_away_for_a_copy(made: Made, elsewhere: dict[str, str]) -> None:
    folder = Path(elsewhere["DATA_DIR"])
    (folder / DATABASE).write_bytes(b"damaged" * 1000)
    shutil.copy(made.data_dir / "credentials_keys", folder)

    # The row is in the journal that its server has left.
    done = manage("restore", str(made.data_dir / DATABASE), "--yes", env=elsewhere)

    assert done.returncode == 0, done.stderr.decode()
    assert "The database that was here is damaged. It is in " in done.stderr.decode()
    assert requests_in(folder / DATABASE) == 1
    assert [one.read_bytes()[:7] for one in folder.glob(f"damaged-*/{DATABASE}")] == [b"damaged"]


NEWER = "UPDATE accounts_databaseversion SET oldest_code = '9.0.0', migrated_by = '9.1.0'"
BAD_DATABASES = {
    "triggers, views or virtual tables": "CREATE VIEW surprise AS SELECT 1",
    "not a database of this gateway": "DROP TABLE accounts_account",
}


def another(made: Made, folder: Path, statement: str) -> Path:
    path = Path(shutil.copy(made.data_dir / DATABASE, folder / "another"))
    execute(path, statement)
    return path


@pytest.mark.parametrize("reason", BAD_DATABASES)
def test_a_foreign_database_is_refused(reason: str, made: Made, tmp_path: Path) -> None:
    with pytest.raises(NotABackup, match=reason):
        check_sqlite(another(made, tmp_path, BAD_DATABASES[reason]))


def test_a_database_of_newer_code_is_refused(
    made: Made, elsewhere: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    newer = another(made, tmp_path_factory.mktemp("newer"), NEWER)

    done = manage("restore", str(newer), "--yes", env=elsewhere)

    assert done.returncode == 1
    assert "was migrated by version 9.1.0 and needs 9.0.0 or newer" in done.stderr.decode()
    assert done.stderr.decode().endswith("manage.py downgrade 0.2.0. Nothing was changed.\n")


def test_a_backup_is_never_written_over_a_file(made: Made) -> None:
    with pytest.raises(FileExistsError):
        back_up(connections["default"], made.path)


def test_a_link_to_the_database_stays_one(
    made: Made, elsewhere: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, other_disk = Path(elsewhere["DATA_DIR"]), tmp_path_factory.mktemp("other-disk")
    (folder / DATABASE).rename(other_disk / DATABASE)
    (folder / DATABASE).symlink_to(other_disk / DATABASE)
    shutil.copy(made.data_dir / "credentials_keys", folder)

    done = manage("restore", str(made.path), "--yes", env=elsewhere)

    assert done.returncode == 0, done.stderr.decode()
    assert (folder / DATABASE).is_symlink()
    assert requests_in(other_disk / DATABASE) == 1


def test_a_passphrase_of_any_bytes_seals_and_opens() -> None:
    typed = b"gr\xfcn".decode("utf-8", "surrogateescape")

    assert passphrases.unseal(passphrases.seal(b"secret", typed), typed) == b"secret"


def test_an_impossible_file_name_is_an_error(made: Made, tmp_path: Path) -> None:
    done = manage("backup", str(tmp_path / ("a" * 300)), env=made.env)

    assert done.returncode == 1
    assert done.stderr.decode().endswith("cannot be written: File name too long.\n")


def test_a_passphrase_is_asked_for_twice_and_never_shown(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "tuesday.backup"
    with Terminal("backup", str(path), "--keys", env=made.env) as terminal:
        for question in ("Passphrase: ", "The same again: "):
            terminal.read_until(question)
            terminal.type("correct horse")
        assert terminal.wait() == 0

    assert "correct horse" not in terminal.text
    assert path.is_file()


# PostgreSQL


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


@pytest.mark.needs("postgresql")
def test_postgresql_is_backed_up_and_restored(
    postgresql_url: str, shared_emulator: EmulatorServer, tmp_path: Path
) -> None:
    path = tmp_path / "monday.backup"
    (tmp_path / ".env").write_text("TZ=Europe/Berlin\n")
    with LiveGateway(shared_emulator, tmp_path, DATABASE_URL=postgresql_url) as gateway:
        assert ask(gateway) == 200
        wait_until(lambda: requests_on(postgresql_url) == 1)
        done = manage("backup", str(path), env=gateway.env)
        assert done.returncode == 0, done.stderr.decode()
        refused = manage("restore", str(path), "--yes", env=gateway.env)
        gateway.stop()
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute("DELETE FROM gateway_requestlog")
            connection.execute("CREATE TABLE somebody_elses (id int)")
            connection.execute("CREATE TABLE gateway_of_the_future (id int)")

        without_psql = restore_without_psql(path, tmp_path, gateway.env)
        over_another = manage("restore", str(path), "--yes", env=gateway.env)
        assert over_another.returncode == 0, over_another.stderr.decode()
        with psycopg.connect(postgresql_url) as connection:
            tables = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables").fetchall()}
        assert "somebody_elses" in tables
        assert "gateway_of_the_future" not in tables

        gateway.start()
        status = ask(gateway)

    assert (status, requests_on(postgresql_url)) == (200, 2)
    assert "used this database less than a minute ago. Stop all servers first" in refused.stderr.decode()
    assert "psql is not installed" in without_psql
    assert "Nothing was changed" in without_psql


def restore_without_psql(path: Path, folder: Path, env: dict[str, str]) -> str:
    """The command's errors; keys and settings may not change. The backup's settings were in this `.env`."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).symlink_to(PROGRAMS[-1] / name)
    settings = folder / ".env"
    kept = settings.rename(folder / "kept")
    done = manage("restore", str(path), "--yes", env={**env, "PATH": str(programs)})
    assert not settings.exists()
    kept.rename(settings)
    return done.stderr.decode()


def requests_on(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM gateway_requestlog").fetchone()
    return int(row[0]) if row else 0
