"""Every migration names its versions and can be taken back from under a filled database."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import environ
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections, models
from django.db.migrations import AddField, AddIndex, CreateModel, Migration, RunPython
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from accounts.database import versions
from accounts.database.versions import our_migrations, release
from accounts.models import Cooldown, DatabaseVersion
from gateway.models import RequestLog
from proxy_site.maintenance.copies import CopyFailed, copy, keep_copy
from proxy_site.maintenance.migrating import copy_first, go_back, is_older, migrate
from tests.live_gateway import PROJECT
from tests.postgresql import empty, running_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

pytestmark = pytest.mark.slow

ON_DISK = MigrationLoader(None).disk_migrations
OURS = {
    f"{app}.{name}": migration
    for (app, name), migration in ON_DISK.items()
    if Path(apps.get_app_config(app).path).is_relative_to(PROJECT / app)
}
MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROWS_EACH = 3

Contents = dict[str, list[dict[str, Any]]]


def test_each_migration_of_ours_names_its_versions() -> None:
    unnamed = set(OURS) - {f"{app}.{name}" for app, name in our_migrations(MigrationLoader(None))}

    assert OURS
    assert not unnamed, f"{unnamed}: set `since` and `oldest_code`, see docs/upgrading.md"


def attributes_of(migration: Migration) -> Any:
    """The migration, typed as one with the attributes of this project's."""
    return migration


def is_for_older_code(name: str) -> bool:
    migration = attributes_of(OURS[name])
    return bool(release(migration.oldest_code) < release(migration.since))


@pytest.mark.parametrize("name", OURS)
def test_its_versions_are_in_order(name: str) -> None:
    since, oldest = attributes_of(OURS[name]).since, attributes_of(OURS[name]).oldest_code

    assert release(oldest) <= release(since) <= release(django_settings.VERSION)


@pytest.mark.parametrize(
    "name", [name for name, one in OURS.items() if attributes_of(one).oldest_code != attributes_of(one).since]
)
def test_migrations_for_older_code_only_add(name: str) -> None:
    for operation in OURS[name].operations:
        assert isinstance(operation, CreateModel | AddField | AddIndex | RunPython)  # to fill what it adds
        if isinstance(operation, AddField):
            field = operation.field
            assert field.null or field.db_default is not models.NOT_PROVIDED


# A filled database


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Path:
    path = tmp_path_factory.mktemp("filled") / "filled.sqlite3"
    with django_db_blocker.unblock(), database(NAME=str(path)) as filled:
        migrate(filled)
        fill(filled.alias)
    return path


@pytest.fixture
def on_sqlite(filled_file: Path, tmp_path: Path, django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    path = shutil.copy(filled_file, tmp_path)
    with django_db_blocker.unblock(), database(NAME=str(path)) as filled:
        yield filled


@pytest.fixture
def on_postgresql(postgresql_url: str, django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    config = environ.Env.db_url_config(postgresql_url)
    empty(postgresql_url)
    with django_db_blocker.unblock(), database(OPTIONS={}, **config) as filled:
        migrate(filled)
        fill(filled.alias)
        yield filled


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def filled(request: pytest.FixtureRequest) -> BaseDatabaseWrapper:
    found: BaseDatabaseWrapper = request.getfixturevalue(f"on_{request.param}")
    return found


@contextmanager
def database(**settings: Any) -> Iterator[BaseDatabaseWrapper]:
    connections.databases["filled"] = {**connections["default"].settings_dict, **settings}
    try:
        yield connections["filled"]
    finally:
        connections["filled"].close()
        del connections["filled"], connections.databases["filled"]


def fill(alias: str) -> None:
    """Some rows in each table of this project, and one request without a row of its only attempt."""
    for model in our_models():
        model._default_manager.using(alias).bulk_create(
            [a_row(model, number) for number in range(1, ROWS_EACH + 1)]
        )
    answered = a_row(RequestLog, 99)
    answered.save(using=alias, force_insert=True)
    RequestLog.objects.using(alias).filter(pk=99).update(attempts=1, problem=None, duration_seconds=2.5)


def our_models() -> list[type[models.Model]]:
    ours = [
        model
        for label in {name.partition(".")[0] for name in OURS}
        for model in apps.get_app_config(label).get_models()
    ]
    return sorted((one for one in ours if one is not DatabaseVersion), key=lambda model: len(parents(model)))


def parents(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    return [field for field in model._meta.concrete_fields if field.remote_field]


def a_row(model: type[models.Model], number: int) -> models.Model:
    values = {field.attname: a_value(field, number) for field in model._meta.concrete_fields if field.column}
    return model(**values)


def a_value(field: models.Field[Any, Any], number: int) -> Any:
    match field:
        case models.ForeignKey() | models.BigAutoField() | models.IntegerField():
            return number
        case models.BooleanField():
            return number % 2 == 0
        case models.DecimalField():
            return Decimal(number)
        case models.FloatField():
            return number + 0.25
        case models.DateTimeField():
            return MOMENT + timedelta(hours=number)
        case models.JSONField():
            return {"gemini-3-flash": 0.2}
        case _:
            text = f"{field.name} {number}"
            return text[-field.max_length :] if field.max_length else text


def contents(of: BaseDatabaseWrapper) -> Contents:
    """Of our tables that are there."""
    names = {f"{label}_" for label in {name.partition(".")[0] for name in OURS}}
    found = {}
    with of.cursor() as cursor:
        for table in of.introspection.table_names(cursor):
            if not table.startswith(tuple(names)) or table == DatabaseVersion._meta.db_table:
                continue
            cursor.execute(f"SELECT * FROM {table}")
            columns = [column[0] for column in cursor.description]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            found[table] = sorted(rows, key=lambda row: str(sorted(row.items(), key=str)))
    return found


def shared(rows: list[dict[str, Any]], columns: set[str]) -> list[str]:
    return sorted(
        str(sorted((name, value) for name, value in row.items() if name in columns)) for row in rows
    )


def test_each_migration_goes_back_and_every_row_stays(filled: BaseDatabaseWrapper) -> None:
    steps = [key for key, _ in order(filled) if f"{key[0]}.{key[1]}" in OURS]
    before = contents(filled)
    for app, name in reversed(steps):
        earlier = max((one for other, one in steps if other == app and one < name), default=None)
        MigrationExecutor(filled).migrate([(app, earlier)])

        after = contents(filled)
        for table, rows in after.items():
            stayed = set(rows[0]) & set(before[table][0])
            missing = set(shared(before[table], stayed)) - set(shared(rows, stayed))
            assert not missing, f"{app}.{name} going back loses rows of {table}"
        before = after

    assert before == {}


def order(of: BaseDatabaseWrapper) -> list[tuple[tuple[str, str], Migration]]:
    executor = MigrationExecutor(of)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    return [((migration.app_label, migration.name), migration) for migration, _ in plan]


def test_a_downgrade_and_upgrade_lose_nothing(filled: BaseDatabaseWrapper) -> None:
    before = contents(filled)

    count = go_back(filled, (0, 1, 0))
    old = contents(filled)
    migrate(filled)

    assert count == sum(release(attributes_of(one).since) > (0, 1, 0) for one in OURS.values())
    assert "gateway_tokenratio" not in old
    assert "request_class" not in old["gateway_requestlog"][0]
    assert len(old["gateway_requestlog"]) == ROWS_EACH + 1
    assert contents(filled) == before
    assert not [name for name in filled.introspection.table_names() if name.startswith("kept_")]


def test_stored_cooldowns_get_the_name_of_their_kind(on_sqlite: BaseDatabaseWrapper) -> None:
    MigrationExecutor(on_sqlite).migrate([("accounts", "0006_database_version")])
    reasons = {1: "rate limit", 2: "failed 3 times in a row", 3: "no capacity"}
    with on_sqlite.cursor() as cursor:
        for key, reason in reasons.items():
            cursor.execute("UPDATE accounts_cooldown SET reason = %s WHERE id = %s", [reason, key])

    MigrationExecutor(on_sqlite).migrate([("accounts", "0007_cooldown_kind")])

    kinds = Cooldown.objects.using(on_sqlite.alias).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["RATE_LIMIT", "SERVER_ERROR", ""]
    assert {row.pk: row.reason for row in Cooldown.objects.using(on_sqlite.alias)} == reasons


def test_a_downgrade_that_was_interrupted_is_completed_by_the_next(on_sqlite: BaseDatabaseWrapper) -> None:
    before = contents(on_sqlite)
    executor = MigrationExecutor(on_sqlite)

    def stop_at_the_third(action: str, migration: Any = None, fake: bool = False) -> None:
        if action == "unapply_start" and migration.name.startswith("0004"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_back(on_sqlite, (0, 1, 0), stop_at_the_third)
    go_back(on_sqlite, (0, 1, 0))
    migrate(on_sqlite)

    assert executor.loader.applied_migrations
    assert contents(on_sqlite) == before


def test_a_downgrade_never_goes_forward(on_sqlite: BaseDatabaseWrapper) -> None:
    go_back(on_sqlite, (0, 1, 0))
    old = contents(on_sqlite)
    assert is_older(on_sqlite, (0, 2, 0))
    assert not is_older(on_sqlite, (0, 1, 0))

    count = go_back(on_sqlite, (0, 2, 0))

    assert count == 0
    assert contents(on_sqlite) == old


def test_of_rows_kept_twice_the_newest_count(on_sqlite: BaseDatabaseWrapper) -> None:
    go_back(on_sqlite, (0, 1, 0))
    first, last = (f"kept_columns_{number}_gateway_requestlog" for number in (1, 2))
    with on_sqlite.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {last} AS SELECT * FROM {first}")
        cursor.execute(f"UPDATE {last} SET request_class = 'the last'")
    migrate(on_sqlite)

    assert {row["request_class"] for row in contents(on_sqlite)["gateway_requestlog"]} == {"the last"}


def test_a_renamed_column_keeps_what_older_code_has_changed(on_sqlite: BaseDatabaseWrapper) -> None:
    go_back(on_sqlite, (0, 1, 0))
    with on_sqlite.cursor() as cursor:
        cursor.execute("UPDATE gateway_requestlog SET stepped_in = 1")
    migrate(on_sqlite)

    assert {row["fallback"] for row in contents(on_sqlite)["gateway_requestlog"]} == {1}


def test_migrating_back_with_django_loses_nothing(
    on_sqlite: BaseDatabaseWrapper, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    before = contents(on_sqlite)

    call_command("migrate", "gateway", "0003", database=on_sqlite.alias, verbosity=0)
    assert "gateway_tokenratio" not in contents(on_sqlite)
    call_command("migrate", database=on_sqlite.alias, verbosity=0)

    assert contents(on_sqlite) == before


def test_a_downgrade_restores_the_row_of_an_only_attempt(on_sqlite: BaseDatabaseWrapper) -> None:
    MigrationExecutor(on_sqlite).migrate([("gateway", "0002_ledger")])

    attempt = [row for row in contents(on_sqlite)["gateway_requestattempt"] if row["request_id"] == 99]

    assert [(row["number"], row["reason"], row["account"]) for row in attempt] == [
        (1, "answered", "account 99")
    ]


def test_the_database_stores_its_versions(on_sqlite: BaseDatabaseWrapper) -> None:
    row = versions.read(on_sqlite)

    assert row is not None
    assert (row.migrated_by, row.oldest_code) == (django_settings.VERSION, "0.2.0")


def test_migrating_again_does_not_lower_oldest_code(on_sqlite: BaseDatabaseWrapper) -> None:
    DatabaseVersion.objects.using(on_sqlite.alias).update(oldest_code="0.2.7")

    versions.record(on_sqlite)

    assert DatabaseVersion.objects.using(on_sqlite.alias).get().oldest_code == "0.2.7"


@pytest.mark.parametrize(
    "text", ["", "0", "0.2.x", "1.2.3.4", "0.2.0rc1", "0.2.0\n", "-1.0", "\u0660.2.0", "9" * 400]
)
def test_an_invalid_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        release(text)


def test_versions_are_compared_as_releases() -> None:
    versions = ["0.1", "v0.1.9", "0.2.0.dev0", "0.10.0"]

    assert all(release(older) < release(newer) for older, newer in pairwise(versions))
    assert release("0.2.0.dev0") == release("0.2")


# The copy before a migration


def test_the_last_three_copies_are_kept_for_their_owner_only(
    on_sqlite: BaseDatabaseWrapper, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    made = [keep_copy(on_sqlite, "0.2.0") for _ in range(4)]

    folder = tmp_path / "copies"
    assert sorted(folder.iterdir()) == made[1:]
    assert {stat.S_IMODE(one.stat().st_mode) for one in made[1:]} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_copy_includes_the_journal(on_sqlite: BaseDatabaseWrapper, settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    RequestLog.objects.using(on_sqlite.alias).filter(pk=99).update(client="in the journal")

    copied = keep_copy(on_sqlite, "0.2.0")

    with closing(sqlite3.connect(copied)) as database:
        clients = database.execute("SELECT client FROM gateway_requestlog WHERE id = 99").fetchall()
    assert clients == [("in the journal",)]


def test_without_room_for_the_copy_nothing_is_migrated(
    on_sqlite: BaseDatabaseWrapper, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))

    with pytest.raises(CommandError, match=r"no room for .* MB\. Nothing was changed"):
        copy_first(on_sqlite, "0.2.0")

    assert list((tmp_path / "copies").iterdir()) == []


def test_without_a_folder_for_the_copy_nothing_is_migrated(
    on_sqlite: BaseDatabaseWrapper, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    (tmp_path / "copies").touch()

    with pytest.raises(CommandError, match=r"File exists\. Nothing was changed"):
        copy_first(on_sqlite, "0.2.0")
    with pytest.raises(CopyFailed, match="Not a directory"):
        copy(on_sqlite, tmp_path / "copies" / "one")


@pytest.mark.needs("postgresql")
def test_without_pg_dump_a_line_says_that_there_is_no_copy(
    on_postgresql: BaseDatabaseWrapper,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.DATA_DIR = tmp_path
    copy_first(on_postgresql, "0.2.0")
    monkeypatch.setenv("PATH", "/nowhere")
    copy_first(on_postgresql, "0.2.0")

    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("-before-0.2.0.pgdump")
    assert "pg_dump is not installed" in second
    assert "apt install postgresql-client" in second
    assert len(list((tmp_path / "copies").iterdir())) == 1
