"""Compatibility of code and database versions.

Each migration of this project names two versions: `since`, the release that introduces it, and `oldest_code`,
the oldest release that may run on a database that has it. The newest `oldest_code` is stored in a row of the
database, with the version that last migrated it: older code does not know newer migrations, but it can read
that row.

Only releases are compared: "0.2.0.dev0" counts as 0.2.0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.core.management.base import CommandError
from django.db.migrations.loader import MigrationLoader

from accounts.command_line import manage
from accounts.models import DatabaseVersion

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Release = tuple[int, int, int]


class Versions(NamedTuple):
    since: str
    oldest_code: str


VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:\.dev\d{1,6})?", re.ASCII)


class DatabaseTooNew(CommandError):
    """Raised when the database needs newer code than this. The text is the whole message for the operator."""


def release(version: str) -> Release:
    """Return the release in "0.2", "v0.2.0" or "0.2.0.dev0". Raises ValueError."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is not a version such as 0.2.0")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def written(version: Release) -> str:
    return ".".join(map(str, version))


def refuse_newer_database(database: BaseDatabaseWrapper) -> None:
    """Raise DatabaseTooNew when the database needs newer code."""
    row = read(database)
    if row is not None and not lets_in(row.oldest_code):
        raise DatabaseTooNew(
            f"The database was migrated by version {row.migrated_by} and needs {row.oldest_code} or newer; "
            f"this is {settings.VERSION}. Run the newer code, or take the database back with it first:\n"
            f"    {manage(f'downgrade {written(release(settings.VERSION))}')}\n"
            "How: docs/upgrading.md."
        )


def lets_in(oldest_code: str) -> bool:
    """Return whether this code is no older than `oldest_code`. False for text that is not a version, which
    newer code may have written."""
    try:
        return release(oldest_code) <= release(settings.VERSION)
    except ValueError:
        return False


def read(database: BaseDatabaseWrapper) -> DatabaseVersion | None:
    """Return the stored row; None in an empty database and in one that was last migrated before the row
    existed."""
    if DatabaseVersion._meta.db_table not in database.introspection.table_names():
        return None
    return DatabaseVersion.objects.using(database.alias).filter(pk=1).first()


def record(database: BaseDatabaseWrapper, *, went_back: bool = False) -> None:
    """Store the versions after migrations have run. Only with `went_back` may `oldest_code` become older."""
    row = read(database)
    oldest = oldest_code(database)
    if row is not None and not went_back:
        oldest = max(oldest, row.oldest_code, key=release)
    if DatabaseVersion._meta.db_table in database.introspection.table_names():
        DatabaseVersion.objects.using(database.alias).update_or_create(
            pk=1, defaults={"migrated_by": settings.VERSION, "oldest_code": oldest}
        )


def oldest_code(database: BaseDatabaseWrapper) -> str:
    """Return the newest `oldest_code` of the applied migrations."""
    loader = MigrationLoader(database)
    named = our_migrations(loader)
    asked = [versions.oldest_code for key, versions in named.items() if key in loader.applied_migrations]
    return max(asked, key=release, default="0.0.0")


def our_migrations(loader: MigrationLoader) -> dict[tuple[str, str], Versions]:
    """Return the versions of this project's migrations, by app and name, without those of installed
    packages."""
    return {
        key: Versions(migration.since, migration.oldest_code)
        for key, migration in loader.disk_migrations.items()
        if hasattr(migration, "since") and hasattr(migration, "oldest_code")
    }
