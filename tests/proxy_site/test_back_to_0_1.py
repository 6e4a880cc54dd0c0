"""From the released 0.1 to this version and back, with both versions run for real on one DATA_DIR."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest
from cryptography.fernet import Fernet

from tests.gateway.conftest import a_body
from tests.live_gateway import PROJECT, LiveGateway, manage

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

RELEASED = "04f6e42"
"""The last commit of 0.1."""
LEDGER_ROWS = 1_000
ACCOUNTS = 5
ACCOUNT_COLUMNS = """
    sealed_refresh_token, project_id, tier, enabled, priority, state, state_reason, state_link, state_since,
    terms_accepted_at, added_at, model_quota_thresholds
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of 0.1, from this clone's history."""
    archive = subprocess.run(["git", "archive", RELEASED], cwd=PROJECT, capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip(
            f"git has no commit {RELEASED} here, which this test runs: make the clone whole with "
            f"`git fetch --unshallow`. It says: {archive.stderr.decode().strip()}"
        )
    folder = tmp_path_factory.mktemp("released")
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder


def test_up_and_back_with_every_row(released: Path, emulator: EmulatorServer, tmp_path: Path) -> None:
    database = tmp_path / "proxy.sqlite3"
    old = LiveGateway(emulator, tmp_path)
    old.project = released
    with old:
        asked_of_old = ask(old)
    add_rows(database)
    before = rows(database)
    tokens = refresh_tokens(database)
    assert (len(before["accounts_account"]), len(before["gateway_requestlog"])) == (ACCOUNTS, LEDGER_ROWS)

    new = LiveGateway(emulator, tmp_path)
    new.start()
    asked_of_new = ask(new)
    new.stop()
    assert before["gateway_requestlog"] <= rows(database)["gateway_requestlog"]
    upgraded = rows(database)
    assert refresh_tokens(database) == tokens

    downgraded = manage("downgrade", "0.1.0", env=new.env)
    assert downgraded.returncode == 0, downgraded.stderr.decode()
    assert rows(database) == upgraded
    assert refresh_tokens(database) == tokens

    old.start()
    asked_of_old_again = ask(old)
    old.stop()
    last = rows(database)
    assert upgraded["gateway_requestlog"] < last["gateway_requestlog"]
    assert len(last["gateway_requestlog"]) == LEDGER_ROWS + 2
    assert upgraded["accounts_account"] == last["accounts_account"]
    assert refresh_tokens(database) == tokens

    assert [asked_of_old, asked_of_new, asked_of_old_again] == [200, 200, 200]
    assert "A copy of the database as it was" in new.output
    assert len(list((tmp_path / "copies").iterdir())) == 2


def ask(gateway: LiveGateway) -> int:
    return httpx.post(f"{gateway.url}/v1/messages", json=a_body(), timeout=30).status_code


def add_rows(path: Path) -> None:
    """Accounts that are off, and requests like the one there is, until there are enough of both."""
    with closing(sqlite3.connect(path)) as database:
        for number in range(len(rows(path)["accounts_account"]), ACCOUNTS):
            database.execute(
                f"INSERT INTO accounts_account (email, {ACCOUNT_COLUMNS}) "
                f"SELECT 'more{number}@example.com', {ACCOUNT_COLUMNS} FROM accounts_account WHERE id = 1"
            )
        database.execute("UPDATE accounts_account SET enabled = 0 WHERE email LIKE 'more%'")
        columns = [row[1] for row in database.execute("PRAGMA table_info(gateway_requestlog)")]
        row = dict(zip(columns, database.execute("SELECT * FROM gateway_requestlog").fetchone(), strict=True))
        marks = ", ".join(f":{name}" for name in columns)
        database.executemany(
            f"INSERT INTO gateway_requestlog ({', '.join(columns)}) VALUES ({marks})",
            [{**row, "id": row["id"] + n, "request_id": f"req_{n}"} for n in range(1, LEDGER_ROWS)],
        )
        database.commit()


def rows(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Without what a server changes of old rows, or may not know."""
    asked = {
        "accounts_account": "id, email, project_id, enabled, state",
        "gateway_requestlog": "id, request_id, started_at, account, input_tokens",
    }
    with closing(sqlite3.connect(path)) as database:
        return {
            table: set(database.execute(f"SELECT {columns} FROM {table}")) for table, columns in asked.items()
        }


def refresh_tokens(path: Path) -> dict[str, str]:
    """By e-mail, of a database of either version."""
    key = Fernet((path.parent / "credentials_keys").read_text().split()[0])
    with closing(sqlite3.connect(path)) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(accounts_account)")}
        is_new = "sealed_credential" in columns
        column = "sealed_credential" if is_new else "sealed_refresh_token"
        found = database.execute(f"SELECT email, {column} FROM accounts_account")
        opened = {email: key.decrypt(sealed.encode()).decode() for email, sealed in found}
    return {email: orjson.loads(text)["refresh_token"] if is_new else text for email, text in opened.items()}


def test_released_code_refuses_a_newer_database(
    released: Path, emulator: EmulatorServer, tmp_path: Path
) -> None:
    database = tmp_path / "proxy.sqlite3"
    with LiveGateway(emulator, tmp_path) as new:
        assert ask(new) == 200
    before, tokens = rows(database), refresh_tokens(database)

    listed = manage("listaccounts", env=new.env, project=released)
    served = manage("runserver", str(new.port), env=new.env, project=released)

    sentence = "The database cannot be used: no such column: accounts_account.sealed_refresh_token\n"
    assert (listed.returncode, listed.stderr.decode()) == (1, f"CommandError: {sentence}")
    assert (served.returncode, served.stderr.decode()) == (1, sentence)
    assert (rows(database), refresh_tokens(database)) == (before, tokens)
