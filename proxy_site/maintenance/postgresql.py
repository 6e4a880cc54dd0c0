"""Dump and restore with PostgreSQL's programs pg_dump, pg_restore and psql."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.backends.postgresql.client import DatabaseClient

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

PACKAGE = "On Debian and Ubuntu it comes with `apt install postgresql-client`."


class ProgramFailed(Exception):
    """Raised when a program is missing or failed; the text is a sentence with its name and the reason."""


def our_tables(database: BaseDatabaseWrapper) -> list[str]:
    """Return the gateway's tables, with those of Django, of packages and of newer code, but no others in the
    database."""
    prefixes = ("django_", "kept_", *(f"{config.label}_" for config in apps.get_app_configs()))
    return [name for name in database.introspection.table_names() if name.startswith(prefixes)]


def dump(database: BaseDatabaseWrapper, path: Path) -> None:
    """Dump the gateway's tables in pg_dump's custom format. Raises ProgramFailed."""
    tables = [f'--table="{name}"' for name in our_tables(database)]
    settings = database.settings_dict
    _run(_command("pg_dump", settings, "--format=custom", f"--file={path}", *tables), settings)


def rows(path: Path, table: str) -> list[list[str]]:
    """Return the rows of one table of a dump, their columns as pg_dump's text. Raises ProgramFailed."""
    text = _run(_restoring(path, "--data-only", f"--table={table}", "--file=-")).decode(errors="replace")
    lines = text.partition("FROM stdin;\n")[2].partition("\\.\n")[0]
    return [line.split("\t") for line in lines.splitlines()]


def replace(database: BaseDatabaseWrapper, path: Path, folder: Path) -> None:
    """Replace the gateway's tables by those of a dump in one transaction, with temporary files in `folder`.
    Raises ProgramFailed."""
    away, back = folder / "drop.sql", folder / "restore.sql"
    names = ", ".join(map(database.ops.quote_name, our_tables(database)))
    away.write_text(f"DROP TABLE IF EXISTS {names} CASCADE;" if names else "")
    _run(_restoring(path, f"--file={back}"))
    options = ("--single-transaction", "--set=ON_ERROR_STOP=1", "--quiet", "--no-psqlrc")
    settings = database.settings_dict
    _run(_command("psql", settings, *options, f"--file={away}", f"--file={back}"), settings)


def _restoring(path: Path, *options: str) -> list[str]:
    return [_program("pg_restore"), "--no-owner", "--no-privileges", *options, str(path)]


def _command(program: str, settings: dict[str, Any], *options: str) -> list[str]:
    psql, _ = DatabaseClient.settings_to_cmd_args_env(settings, options)
    return [_program(program), *psql[1:]]


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ProgramFailed(f"{name} is not installed. {PACKAGE}")
    return path


def _run(command: list[str], settings: dict[str, Any] | None = None) -> bytes:
    password = DatabaseClient.settings_to_cmd_args_env(settings, [])[1] if settings else None
    done = subprocess.run(  # noqa: S603  # a fixed program; the password goes by its environment
        command,
        env={**os.environ, **(password or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it gives no reason"]
        raise ProgramFailed(f"{Path(command[0]).name} failed: {said[0]}")
    return done.stdout
