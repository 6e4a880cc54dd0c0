"""Migrations forward and back without loss of data.

Going back drops tables and columns that the older version does not have. Their rows are copied first to
tables named `kept_...`, which older code ignores, and are restored when newer code migrates forward again.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections, transaction
from django.db.migrations import Migration, RenameField
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from accounts.database import versions
from accounts.database.versions import Release, our_migrations, release
from accounts.models import DatabaseVersion
from proxy_site.maintenance.copies import CopyFailed, keep_copy
from proxy_site.maintenance.postgresql import ProgramFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from django.apps.registry import Apps
    from django.db.backends.base.base import BaseDatabaseWrapper


Target = tuple[str, str | None]

FIRST: Release = (0, 1, 0)
KEPT = re.compile(r"kept_(?P<what>rows|columns)_(?P<number>\d+)_(?P<table>\w+)")


# Receivers of Django's migration signals, for each caller of `migrate`


def before_migrate(using: str, plan: Sequence[tuple[Migration, bool]], **options: Any) -> None:
    """Refuse a newer database, and copy it before it is changed. Raises DatabaseTooNew, and CommandError when
    it cannot be copied."""
    database = connections[using]
    versions.refuse_newer_database(database)
    if plan and MigrationRecorder(database).applied_migrations():
        copy_first(database, settings.VERSION)
        if any(backwards for _, backwards in plan):
            _set_aside(database, plan)


def after_migrate(using: str, plan: Sequence[tuple[Migration, bool]] = (), **options: Any) -> None:
    """Restore kept rows and store the versions; also after Django's `flush`, which has no plan."""
    database = connections[using]
    went_back = any(backwards for _, backwards in plan)
    if not went_back:
        put_back(database)
    if plan or versions.read(database) is None:
        versions.record(database, went_back=went_back)


def copy_first(database: BaseDatabaseWrapper, before: str) -> None:
    """Copy the database and print the path. Without PostgreSQL's programs there is no copy, only a message.

    Raises CommandError when the copy fails otherwise.
    """
    try:
        path = keep_copy(database, before)
    except CopyFailed as error:
        if isinstance(error.__cause__, ProgramFailed):
            _print(f"No copy of the database was made before this: {error}.")
            return
        raise CommandError(
            f"The database cannot be copied to {settings.DATA_DIR}/copies before it is changed: {error}. "
            "Nothing was changed."
        ) from error
    _print(f"A copy of the database as it was: {path}")


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")


# Without Django's signals, for a database that is not in use yet


def migrate(database: BaseDatabaseWrapper) -> None:
    executor = MigrationExecutor(database)
    executor.migrate(executor.loader.graph.leaf_nodes())
    put_back(database)
    versions.record(database)


def is_older(database: BaseDatabaseWrapper, version: Release) -> bool:
    """Return whether the database lacks migrations that this version has."""
    loader = MigrationLoader(database)
    has = {key for key, at in our_migrations(loader).items() if release(at.since) <= version}
    return not has <= loader.applied_migrations.keys()


def go_back(
    database: BaseDatabaseWrapper, version: Release, progress: Callable[..., None] | None = None
) -> int:
    """Migrate back to the state of this version; returns the number of migrations undone. After an
    interruption a second call does the remaining ones. `progress` is the callback of Django's
    MigrationExecutor."""
    executor = MigrationExecutor(database, progress)
    targets = _targets(executor.loader, version)
    plan = executor.migration_plan(targets)
    if plan:
        _set_aside(database, plan)
        executor.migrate(targets, plan)
    versions.record(database, went_back=True)
    return len(plan)


def _targets(loader: MigrationLoader, version: Release) -> list[Target]:
    """Return, for each app of this project, the last applied migration that the version has; None when it has
    none. Their names begin with numbers in order."""
    named = our_migrations(loader)
    stay = [
        key for key, at in named.items() if key in loader.applied_migrations and release(at.since) <= version
    ]
    return [
        (app, max((name for one, name in stay if one == app), default=None))
        for app in sorted({app for app, _ in named})
    ]


# Rows and columns that the older version does not have


def _set_aside(database: BaseDatabaseWrapper, plan: Sequence[tuple[Migration, bool]]) -> None:
    """Copy the rows and columns that the backward plan would drop to `kept_...` tables."""
    loader = MigrationLoader(database)
    going = {(migration.app_label, migration.name) for migration, backwards in plan if backwards}
    applied = [key for key in our_migrations(loader) if key in loader.applied_migrations]
    now = loader.project_state(applied).apps
    then = loader.project_state([key for key in applied if key not in going]).apps
    number = max((number for _, _, number, _ in _kept(database)), default=0) + 1
    renamed = set(_renamed(plan, now))
    for table, what, columns in _lost(now, then, {app for app, _ in applied}, renamed):
        names = ", ".join(map(database.ops.quote_name, columns))
        kept = database.ops.quote_name(f"kept_{what}_{number}_{table}")
        # Table names come from this project's models, here and below.
        source = database.ops.quote_name(table)
        _execute(database, f"CREATE TABLE {kept} AS SELECT {names} FROM {source}")  # noqa: S608


def _renamed(plan: Sequence[tuple[Migration, bool]], now: Apps) -> Iterator[tuple[str, str]]:
    """Yield table and column of each field that gets its old name back, since nothing of it is dropped."""
    for migration, backwards in plan:
        for operation in migration.operations:
            if backwards and isinstance(operation, RenameField):
                model = now.get_model(migration.app_label, operation.model_name)
                yield model._meta.db_table, operation.new_name


def _lost(
    now: Apps, then: Apps, our_apps: set[str], renamed: set[tuple[str, str]]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield what a downgrade drops: table, "rows" with all columns of a dropped table, or "columns" with the
    key and the dropped columns."""
    tables = {model._meta.db_table: model for model in then.get_models(include_auto_created=True)}
    for model in now.get_models(include_auto_created=True):
        table = model._meta.db_table
        if model._meta.app_label not in our_apps or table == DatabaseVersion._meta.db_table:
            continue
        columns = [field.column for field in model._meta.concrete_fields if field.column]
        if table not in tables:
            yield table, "rows", columns
            continue
        stay = {field.column for field in tables[table]._meta.concrete_fields}
        stay |= {column for renamed_in, column in renamed if renamed_in == table}
        if gone := [column for column in columns if column not in stay]:
            key = [field.column for field in model._meta.pk_fields if field.column]
            yield table, "columns", [*key, *gone]


def put_back(database: BaseDatabaseWrapper) -> None:
    """Restore kept rows and columns whose tables have them again; others stay kept. Of several copies of a
    value the newest one is restored."""
    for kept, what, _, table in sorted(_kept(database), key=_turn):
        with database.cursor() as cursor:
            tables = database.introspection.table_names(cursor)
            columns = _columns(database, kept)
            if table not in tables or not set(columns) <= set(_columns(database, table)):
                continue
        with transaction.atomic(using=database.alias):
            _execute(database, *_statements(database, kept, what, table, columns))


def _turn(kept: tuple[str, str, int, str]) -> tuple[bool, int]:
    """Return a sort key for restoring. Rows come newest first, since existing rows are not replaced; columns
    oldest first, since they overwrite."""
    _, what, number, _ = kept
    return (False, -number) if what == "rows" else (True, number)


def _statements(
    database: BaseDatabaseWrapper, kept: str, what: str, table: str, columns: list[str]
) -> list[str]:
    quote = database.ops.quote_name
    names = ", ".join(map(quote, columns))
    if what == "rows":
        rows = f"SELECT {names} FROM {quote(kept)} WHERE true"  # noqa: S608
        back = f"INSERT INTO {quote(table)} ({names}) {rows} ON CONFLICT DO NOTHING"
    else:
        with database.cursor() as cursor:
            key = database.introspection.get_primary_key_columns(cursor, table) or []
        changes = ", ".join(f"{quote(name)} = kept.{quote(name)}" for name in columns if name not in key)
        same = " AND ".join(f"kept.{quote(name)} = {quote(table)}.{quote(name)}" for name in key)
        back = f"UPDATE {quote(table)} SET {changes} FROM {quote(kept)} AS kept WHERE {same}"  # noqa: S608
    return [back, f"DROP TABLE {quote(kept)}"]


def _kept(database: BaseDatabaseWrapper) -> list[tuple[str, str, int, str]]:
    """Return the kept tables: name, "rows" or "columns", number of the downgrade, and original table."""
    matches = map(KEPT.fullmatch, database.introspection.table_names())
    return [(m[0], m["what"], int(m["number"]), m["table"]) for m in matches if m]


def _columns(database: BaseDatabaseWrapper, table: str) -> list[str]:
    with database.cursor() as cursor:
        return [column.name for column in database.introspection.get_table_description(cursor, table)]


def _execute(database: BaseDatabaseWrapper, *statements: str) -> None:
    with database.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
