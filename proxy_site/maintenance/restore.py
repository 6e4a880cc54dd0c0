"""Restore of a backup in place of the present database.

The backup is checked, and with SQLite migrated, in a work folder first; then the present database is copied
and replaced in one step. A failure before that step changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, connections

from accounts.command_line import manage
from accounts.credentials import encryption, passphrases
from accounts.database import versions
from accounts.database.versions import lets_in, release, written
from accounts.models import Account
from gateway.models import RequestLog
from proxy_site.environment import SettingError, env_lines, lines_of
from proxy_site.maintenance import archive, postgresql
from proxy_site.maintenance.archive import Contents, NotABackup
from proxy_site.maintenance.backup import ELSEWHERE
from proxy_site.maintenance.copies import reason, sync
from proxy_site.maintenance.migrating import copy_first, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper


WORK = ".restore-"
JOURNALS = ("-wal", "-shm", "-journal")
"""Suffixes of SQLite's journals; it would apply a stale journal to the restored file."""
FERNET_TOKEN = re.compile(r"gAAAAA[\w=-]+", re.ASCII)
SMALLEST_TABLES = {"django_migrations", "accounts_account", "gateway_requestlog"}


@dataclass(slots=True)
class Restored:
    accounts: int = 0
    requests: int = 0
    made_at: str = ""
    notes: list[str] = field(default_factory=list)
    """Sentences about the restore, for the operator."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The decrypted content of the backup's keys.json."""

    credentials_keys: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Questions:
    """The operator's answers. The functions ask the operator, and are called only when needed."""

    passphrase: Callable[[], str]
    may_replace: Callable[[], bool]
    wants_keys: bool
    """True to use the backup's keys even when the present ones decrypt its accounts."""


def restore(path: Path, questions: Questions) -> Restored:
    """Restore a backup or a copy; no server may run meanwhile. Raises CommandError, whose text tells whether
    anything was changed."""
    try:
        with _work_folder() as folder:
            contents = archive.read(path, folder)
            if contents.engine != connection.vendor:
                raise NotABackup(_wrong_engine(contents.engine))
            if connection.vendor == "sqlite":
                return _restore_sqlite(contents, questions)
            return _restore_postgresql(contents, folder, questions)
    except NotABackup as error:
        raise CommandError(f"{path} {error}. Nothing was changed.") from error
    except (OSError, sqlite3.Error, DatabaseError, postgresql.ProgramFailed) as error:
        raise CommandError(f"{path} could not be restored: {reason(error)}. Nothing was changed.") from error


def _restore_sqlite(contents: Contents, questions: Questions) -> Restored:
    place = _place()
    check_sqlite(contents.database)
    with _as_database(contents.database) as database:
        if row := versions.read(database):
            _refuse_newer(row.oldest_code, row.migrated_by)
        sealed = _sealed_credentials(database)
        secrets = _secrets(contents, sealed, questions)
        lines = _settings_lines(contents, secrets)
        is_here = place.is_file() and place.stat().st_size > 0
        _ask(questions, is_here=is_here)
        migrate(database)
        restored = _counted(contents, database)
        with database.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    is_damaged = is_here and not _keep_copy(place)
    _use_keys(secrets, restored)
    _use_settings(lines, restored)
    if is_damaged:
        _set_aside(place, restored)
    _put_in_place(contents.database, place)
    return restored


def _sealed_credentials(database: BaseDatabaseWrapper) -> list[str]:
    """Return the sealed credentials as they are before the database is migrated: version 0.1 has another
    column."""
    table = Account._meta.db_table
    with database.cursor() as cursor:
        columns = {column.name for column in database.introspection.get_table_description(cursor, table)}
        column = "sealed_credential" if "sealed_credential" in columns else "sealed_refresh_token"
        cursor.execute(f"SELECT {column} FROM {table}")  # noqa: S608  # names of ours
        return [sealed for (sealed,) in cursor.fetchall()]


def _restore_postgresql(contents: Contents, folder: Path, questions: Questions) -> Restored:
    dump = contents.database
    if ["accounts", "0001_initial"] not in [row[1:3] for row in postgresql.rows(dump, "django_migrations")]:
        raise NotABackup("is a dump of something else")
    for _, migrated_by, oldest_code, *_ in postgresql.rows(dump, "accounts_databaseversion"):
        _refuse_newer(oldest_code, migrated_by)
    rows = postgresql.rows(dump, "accounts_account")
    secrets = _secrets(contents, FERNET_TOKEN.findall(str(rows)), questions)
    lines = _settings_lines(contents, secrets)
    is_here = bool(postgresql.our_tables(connection))
    _ask(questions, is_here=is_here)
    if is_here:
        copy_first(connection, "restore")
    restored = Restored()
    connection.close()
    postgresql.replace(connection, dump, folder)
    try:
        _use_keys(secrets, restored)
        _use_settings(lines, restored)
        migrate(connection)
    except (OSError, DatabaseError) as error:
        raise CommandError(
            f"The backup is in the database, but then this failed: {reason(error)}. Restore it once more."
        ) from error
    counted = _counted(contents, connection)
    counted.notes = restored.notes
    return counted


def _place() -> Path:
    """Return the path of the database file, with links resolved; its journals are beside it."""
    return Path(connection.settings_dict["NAME"]).resolve()


def _ask(questions: Questions, *, is_here: bool) -> None:
    if is_here and not questions.may_replace():
        raise CommandError("Nothing was changed. In a script, say --yes.")


# Before anything is changed


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Make a temporary folder on the disk of the database, so that its file can be renamed into place. Remove
    the folders of earlier restores that were killed."""
    is_file = connection.vendor == "sqlite"
    parent = _place().parent if is_file else Path(settings.DATA_DIR)
    for old in parent.glob(f"{WORK}*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=WORK) as name:
        yield Path(name)


def _wrong_engine(engine: str) -> str:
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return f"is a backup of {names[engine]}, and DATABASE_URL names a database of {names[connection.vendor]}"


def check_sqlite(path: Path) -> None:
    """Check that the file is an undamaged database of this gateway without triggers, views and virtual
    tables. Raises NotABackup."""
    try:
        with closing(sqlite3.connect(path)) as database:
            schema = database.execute("SELECT type, name, rootpage FROM sqlite_master").fetchall()
            found = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise NotABackup("is damaged: SQLite cannot read the database in it") from error
    if found != ("ok",):
        raise NotABackup("is damaged: SQLite finds errors in the database in it")
    if not {name for kind, name, _ in schema if kind == "table"} >= SMALLEST_TABLES:
        raise NotABackup("is not a database of this gateway")
    # A virtual table has no page of its own.
    if not all(kind in {"table", "index"} and page for kind, _, page in schema):
        raise NotABackup("holds triggers, views or virtual tables, which no database of this gateway has")


@contextmanager
def _as_database(path: Path) -> Iterator[BaseDatabaseWrapper]:
    alias = "restored"
    connections.databases[alias] = {**connection.settings_dict, "NAME": str(path)}
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias], connections.databases[alias]


def _refuse_newer(oldest_code: str, migrated_by: str) -> None:
    """Raise NotABackup when the backup needs newer code."""
    if not lets_in(oldest_code):
        raise NotABackup(
            f"was migrated by version {migrated_by} and needs {oldest_code} or newer; this is "
            f"{settings.VERSION}. Restore it with the newer code, then take the database back with that: "
            f"{manage(f'downgrade {written(release(settings.VERSION))}')}"
        )


# Keys


def _secrets(contents: Contents, sealed: list[str], questions: Questions) -> Secrets:
    """Return the backup's secrets, if wanted or needed. Raises NotABackup when no key decrypts the
    credentials."""
    here = _count_opened(sealed, _keys_here())
    secrets = Secrets()
    if contents.keys and (questions.wants_keys or (sealed and not here)):
        secrets = _open_secrets(contents.keys, questions.passphrase())
    elif questions.wants_keys:
        raise NotABackup("holds no keys, so there is nothing for a passphrase to open")
    if sealed and not _count_opened(sealed, [*secrets.credentials_keys, *_keys_here()]):
        raise NotABackup(
            f"holds {len(sealed)} accounts that do not open with the keys that are here. Put that key back "
            f"with which they were encrypted ({encryption.where_keys_are()})"
        )
    return secrets


def _keys_here() -> list[str]:
    """Return the present keys; of a damaged file those before the first malformed one."""
    keys = []
    with contextlib.suppress(ValueError):
        found = encryption.keys()
        for key in found:
            Fernet(key)
            keys.append(key)
    return keys


def _count_opened(sealed: list[str], keys: list[str]) -> int:
    if not keys:
        return 0
    fernet, count = MultiFernet([Fernet(key) for key in keys]), 0
    for one in sealed:
        with contextlib.suppress(InvalidToken):
            fernet.decrypt(one.encode())
            count += 1
    return count


def _open_secrets(content: dict[str, Any], passphrase: str) -> Secrets:
    try:
        values = orjson.loads(passphrases.unseal(content, passphrase))
        secrets = Secrets(**values)
        for key in secrets.credentials_keys:
            Fernet(key)
    except passphrases.PassphraseWrong as error:
        raise CommandError(f"{error} Nothing was changed.") from error
    except (TypeError, ValueError) as error:
        raise NotABackup("is damaged: its keys are none") from error
    return secrets


def _use_keys(secrets: Secrets, restored: Restored) -> None:
    """Put the backup's keys before the present ones, which stay for what they have encrypted."""
    if not secrets.credentials_keys:
        return
    if encryption.keys_are_in_a_file():
        encryption.write_keys(list(dict.fromkeys([*secrets.credentials_keys, *_keys_here()])))
        restored.notes.append("Its keys are in the file credentials_keys now, before those that were there.")
    elif set(secrets.credentials_keys) - set(_keys_here()):
        restored.notes.append("It has keys that the setting CREDENTIALS_KEYS lacks; they were not written.")


def _settings_lines(contents: Contents, secrets: Secrets) -> dict[str, str]:
    """Return the backup's settings, without those set in the project's `.env`. Raises NotABackup."""
    path = Path(settings.DATA_DIR) / ".env"
    try:
        lines = lines_of("\n".join([contents.settings, *secrets.settings]), path)
    except SettingError as error:
        raise NotABackup("is damaged: its settings cannot be read") from error
    known = ELSEWHERE | set(env_lines([settings.BASE_DIR / ".env"]))
    return {name: line for name, line in lines.items() if name not in known}


def _use_settings(lines: dict[str, str], restored: Restored) -> None:
    """Write the settings to `.env` in DATA_DIR, if there is none yet."""
    path = Path(settings.DATA_DIR) / ".env"
    if not lines:
        return
    if path.exists():
        restored.notes.append(f"{path} was left as it is. The backup has settings, too: {', '.join(lines)}.")
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines.values())
    restored.notes.append(f"Its settings are in {path} now: {', '.join(lines)}.")


# Replacing the database


def _keep_copy(place: Path) -> bool:
    """Copy the present database; False when it is damaged. Raises CommandError when there is no room."""
    try:
        copy_first(connection, "restore")
        with closing(sqlite3.connect(place)) as database:
            # Moves all changes from the journal into the file.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (CommandError, sqlite3.Error):
        if _is_readable(place):
            raise
        return False
    return True


def _set_aside(place: Path, restored: Restored) -> None:
    """Move the damaged database and its journals to a folder of their own."""
    aside = Path(tempfile.mkdtemp(dir=place.parent, prefix="damaged-"))
    for one in (place, *_journals(place)):
        if one.exists():
            one.rename(aside / one.name)
    restored.notes.append(f"The database that was here is damaged. It is in {aside} now.")


def _is_readable(place: Path) -> bool:
    try:
        with closing(sqlite3.connect(place)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _put_in_place(database: Path, place: Path) -> None:
    sync(database)
    for stale in _journals(place):
        stale.unlink(missing_ok=True)
    database.rename(place)
    sync(place.parent)


def _journals(place: Path) -> list[Path]:
    return [place.with_name(place.name + ending) for ending in JOURNALS]


def _counted(contents: Contents, database: BaseDatabaseWrapper) -> Restored:
    return Restored(
        Account.objects.using(database.alias).count(),
        RequestLog.objects.using(database.alias).count(),
        contents.manifest.made_at if contents.manifest else "",
    )
