from __future__ import annotations

import difflib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.command_line import container_engine, manage
from accounts.management.operator_command import OperatorCommand
from proxy_site.environment import ENVIRONMENT
from proxy_site.operation.services import (
    MARK,
    STOP_MARGIN_SECONDS,
    Service,
    Unit,
    launchd_unit,
    systemd_unit,
)
from proxy_site.serving.address import NotAnAddress, parse_address
from proxy_site.settings import env

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SYSTEMD_RUNS = Path("/run/systemd/system")
"""A path that exists while systemd is the init process (sd_booted(3))."""
UNQUOTABLE = {"'", '"', "\\"}
NOT_SHOWN = {"DATA_DIR", "DEMO"}


class Command(OperatorCommand):
    examples = ("", "127.0.0.1:9000 --write", "--remove")
    takes_demo_option = False
    help = (
        "Makes the gateway a service of this user, which starts with the machine: a unit of systemd, or of "
        "launchd on macOS. Prints it; --write writes it. Settings come from .env."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "addrport",
            nargs="?",
            default="",
            metavar="[HOST:]PORT",
            help="where to listen; default: the settings HOST and PORT of .env",
        )
        parser.add_argument("--name", default="antigravity-proxy", help="default: antigravity-proxy")
        parser.add_argument("--write", action="store_true", help="write or remove without a question")
        parser.add_argument("--replace", action="store_true", help="also where it has other contents")
        parser.add_argument("--remove", action="store_true", help="remove the unit")

    def _prepare_database(self) -> None:
        """Do nothing, since a unit needs no database."""

    def act(self, *, remove: bool, write: bool, replace: bool, **options: Any) -> None:
        if refusal := why_not():
            raise CommandError(refusal)
        unit = _unit(**options)
        if remove:
            self._remove(unit, write=write)
            return
        self._warn_of_settings()
        present = _read(unit.path)
        if present == unit.text:
            self._show(unit, unit.start, "is there already, with the same contents", written=True)
            return
        if present is not None and not (replace and MARK in present):
            raise CommandError(_differs(unit, present))
        if not self._as_json:
            self.stdout.write(unit.text)
        if not write and not self.confirm(f"Write this to {unit.path}?"):
            self._show(unit, (manage("installservice --write"),), "is not written", written=False)
            return
        _write(unit)
        if present is None:
            self._show(unit, unit.start, "is written", written=True)
        else:
            self._show(unit, unit.restart, "is replaced. So that the service uses it", written=True)

    def _remove(self, unit: Unit, *, write: bool) -> None:
        present = _read(unit.path)
        if present is None:
            raise CommandError(f"There is no {unit.path}.")
        if MARK not in present:
            raise CommandError(f"{unit.path} was not written by this command, so it stays.")
        if not write and not self.confirm(f"Remove {unit.path}?"):
            self._show(
                unit, (*unit.stop, manage("installservice --remove --write")), "is not removed", written=True
            )
            return
        _unlink(unit)
        self._show(unit, unit.stop_removed, "is removed. If it still runs", written=False)

    def _warn_of_settings(self) -> None:
        """Print the settings that this shell has and the service would not have."""
        names = sorted(
            name for name in env.names - NOT_SHOWN if env.has(name) and env.sources.get(name) == ENVIRONMENT
        )
        if names:
            self.info(
                f"Set in this shell only, so the service will not have it: {', '.join(names)}. What it needs "
                f"belongs into {settings.BASE_DIR / '.env'} or {Path(settings.DATA_DIR) / '.env'}."
            )

    def _show(self, unit: Unit, commands: Sequence[str], what: str, *, written: bool) -> None:
        self.set_result(
            [{"path": str(unit.path), "text": unit.text, "written": written, "commands": list(commands)}]
        )
        self.info("\n".join([f"{unit.path} {what}:", *(f"  {command}" for command in commands)]))


def why_not() -> str:
    """Return why this user cannot have a service here, as a sentence; "" when it is possible."""
    if engine := container_engine():
        return (
            f"This is a container: {engine} starts it again by itself, with `{engine} run --restart "
            "unless-stopped …`."
        )
    if os.geteuid() == 0:
        return (
            "This is root: run the command as the user who shall run the gateway. For a service of the "
            "system, docs/server.md has a unit."
        )
    if sys.platform == "darwin" or SYSTEMD_RUNS.is_dir():
        return ""
    return (
        "This machine is not run by systemd. In WSL, a line systemd=true in the section [boot] of "
        "/etc/wsl.conf switches it on."
    )


def _unit(*, addrport: str, name: str, **options: Any) -> Unit:
    """Return the unit to write. Raises CommandError."""
    if NAME.fullmatch(name) is None:
        raise CommandError("--name: letters a to z, digits, - and _, at most 63 of them.")
    paths = (sys.executable, str(settings.BASE_DIR), str(settings.DATA_DIR))
    if not "".join(paths).isprintable():
        raise CommandError("The path of the project, of Python or of DATA_DIR has control characters.")
    if sys.platform != "darwin" and not UNQUOTABLE.isdisjoint(sys.executable):
        raise CommandError(f"systemd runs nothing with quotes or backslashes in its path: {sys.executable}")
    service = Service(
        name,
        command=[sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", *_address(addrport)],
        folder=settings.BASE_DIR,
        environment={"DATA_DIR": str(Path(settings.DATA_DIR).resolve())},
        stop_seconds=settings.SHUTDOWN_GRACE_SECONDS + STOP_MARGIN_SECONDS,
        log=Path.home() / "Library" / "Logs" / f"{name}.log",
    )
    if sys.platform == "darwin":
        return launchd_unit(service, Path.home(), os.getuid())
    return systemd_unit(service, Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"))


def _address(addrport: str) -> list[str]:
    if not addrport:
        return []
    try:
        host, port = parse_address(addrport, settings.HOST, settings.PORT)
    except NotAnAddress as error:
        raise CommandError(str(error)) from error
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _unlink(unit: Unit) -> None:
    """Remove the unit and its link, which `systemctl disable` would no longer find."""
    try:
        unit.path.unlink()
        if unit.link is not None and unit.link.is_symlink():
            unit.link.unlink()
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be removed: {error.strerror}.") from error


def _differs(unit: Unit, present: str) -> str:
    if MARK not in present:
        return f"{unit.path} exists, and was not written by this command: choose another --name."
    difference = difflib.unified_diff(
        present.splitlines(), unit.text.splitlines(), "as it is", "as it would be", lineterm=""
    )
    return "\n".join([f"{unit.path} exists with other contents; --replace writes it anew:", *difference])


def _write(unit: Unit) -> None:
    """Write the unit's file in one step, so that no incomplete unit is ever read."""
    beside = unit.path.with_name(f".{unit.path.name}.new")
    try:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(unit.text, encoding="utf-8")
        beside.replace(unit.path)
    except OSError as error:
        raise CommandError(f"{unit.path} cannot be written: {error.strerror}.") from error
