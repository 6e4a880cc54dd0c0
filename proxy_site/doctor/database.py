"""Checks of the database: whether it exists, fits this code, and can be decrypted with the keys of this
machine."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.command_line import manage
from accounts.credentials.encryption import CredentialsUnreadable, unseal, where_keys_are
from accounts.database import versions
from accounts.models import Account
from proxy_site.doctor.findings import Finding, ok, problem, warning

CONNECT_SECONDS = 3


def check_database() -> Finding:
    """Check the database. After a problem or a warning, the tables cannot be used as this code expects
    them."""
    if connection.vendor == "postgresql":
        connection.settings_dict["OPTIONS"]["connect_timeout"] = CONNECT_SECONDS
    try:
        return _newer() or _unapplied() or ok("Database", f"{_name()}, all migrations applied")
    except DatabaseError as error:
        return problem("Database", f"{_name()} cannot be used: {_first_line(error)}.", _how_to_reach())


def _newer() -> Finding | None:
    row = versions.read(connection)
    if row is None or versions.lets_in(row.oldest_code):
        return None
    back = manage(f"downgrade {versions.written(versions.release(settings.VERSION))}")
    return problem(
        "Database",
        f"Version {row.migrated_by} has migrated it, and it needs {row.oldest_code} or newer; this is "
        f"{settings.VERSION}.",
        f"Run the newer code, or take the database back with it first: {back} (docs/upgrading.md)",
    )


def _unapplied() -> Finding | None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    if not names:
        return None
    if not executor.loader.applied_migrations:
        step = f"The first start makes them: {manage('runserver')}"
        return warning("Database", f"{_name()} has no tables yet.", step)
    return problem(
        "Database",
        f"Migrations that this code has are not applied: {', '.join(names[:5])}"
        + (f" and {len(names) - 5} more." if len(names) > 5 else "."),
        f"Start the server anew, which applies them after a copy; or: {manage('migrate')}",
    )


def _name() -> str:
    if connection.vendor == "sqlite":
        return f"SQLite, {connection.settings_dict['NAME']}"
    return f"PostgreSQL, {connection.settings_dict['NAME']}"


def _first_line(error: DatabaseError) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _how_to_reach() -> str:
    if connection.vendor == "sqlite":
        return (
            "Look at the disk and at who owns the file. If it is damaged, a copy is in DATA_DIR/copies, or "
            f"in a backup: {manage('restore FILE')}"
        )
    return "Look at whether PostgreSQL runs, and at host, user and password in DATABASE_URL."


def check_keys() -> Finding:
    """Check whether the stored credentials can be decrypted with the keys of this machine."""
    sealed = list(Account.objects.values_list("sealed_credential", flat=True))
    closed = sum(not _opens(one) for one in sealed)
    where = where_keys_are()
    if not closed:
        return ok("Keys", f"{len(sealed)} stored credentials open with {where}")
    return problem(
        "Keys",
        f"{closed} of {len(sealed)} stored credentials do not open with {where}: they were encrypted with "
        "another key.",
        "Put that key back, beside the present one (a backup made with keys has it: "
        f"{manage('restore FILE')}), or sign these accounts in again: {manage('addaccount')}",
    )


def _opens(sealed: str) -> bool:
    try:
        unseal(sealed)
    except CredentialsUnreadable:
        return False
    return True
