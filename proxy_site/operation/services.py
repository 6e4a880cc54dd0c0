"""The texts of service units of the user who runs the gateway: systemd's on Linux, launchd's on macOS.

The gateway reads `.env` itself, so a unit only has the settings that say where that is. Facts:
systemd.service(5), whose "Command Lines" has the quoting, systemd.exec(5), launchd.plist(5).
"""

from __future__ import annotations

import plistlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MARK = "Written by manage.py installservice"
"""The comment by which a unit is recognised as ours."""
STOP_MARGIN_SECONDS = 15
"""The time beyond SHUTDOWN_GRACE_SECONDS for cancelled requests and for what is stored at the end."""
OPEN_FILES = 65_536
RESTART_SECONDS = 15
"""The time between restarts. Ten failures, after which systemd gives up, take at least two and a half
minutes."""
INVALID_SETTING = 2
"""An exit status after which a restart does not help."""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    command: Sequence[str]
    """The whole command line, beginning with the interpreter's path."""
    folder: Path
    environment: Mapping[str, str]
    stop_seconds: int
    log: Path
    """The log file for launchd, which has no journal."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's file, and the command lines for the operator."""

    path: Path
    text: str
    start: Sequence[str]
    restart: Sequence[str]
    """The command line to run after the file has changed."""
    stop: Sequence[str]
    """The command line that stops the service; it needs the file."""
    stop_removed: Sequence[str]
    link: Path | None = None
    """The link by which the service starts with the session; it stays when the file is removed."""


def systemd_unit(service: Service, home: Path) -> Unit:
    """Return the unit for systemd. `home` is XDG_CONFIG_HOME or ~/.config."""
    file = f"{service.name}.service"
    folder = home / "systemd" / "user"
    systemctl, log = "systemctl --user", f"journalctl --user -u {file} -f"
    return Unit(
        folder / file,
        "".join(f"{line}\n" for line in _systemd_lines(service)),
        start=(
            f"{systemctl} daemon-reload",
            f"{systemctl} enable --now {file}",
            "loginctl enable-linger  # so that it also runs while you are not logged in",
            log,
        ),
        restart=(
            f"{systemctl} daemon-reload",
            f"{systemctl} enable {file}",
            f"{systemctl} restart {file}",
            log,
        ),
        stop=(f"{systemctl} disable --now {file}",),
        stop_removed=(f"{systemctl} stop {file}", f"{systemctl} daemon-reload"),
        link=folder / "default.target.wants" / file,
    )


def _systemd_lines(service: Service) -> list[str]:
    environment = [f"Environment={_quoted(f'{name}={value}')}" for name, value in service.environment.items()]
    return [
        f"# {MARK}",
        "[Unit]",
        "Description=Antigravity Claude Proxy",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
        "",
        "[Service]",
        f"WorkingDirectory={_percent(str(service.folder))}",
        *environment,
        f"ExecStart={_command_line(*service.command)}",
        "Restart=on-failure",
        f"RestartSec={RESTART_SECONDS}",
        f"RestartPreventExitStatus={INVALID_SETTING}",
        "KillMode=mixed",
        f"TimeoutStopSec={service.stop_seconds}",
        f"LimitNOFILE={OPEN_FILES}",
        "NoNewPrivileges=yes",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]


def launchd_unit(service: Service, home: Path, user_id: int) -> Unit:
    """Return the unit for launchd. `home` is the user's home folder."""
    label = f"local.{service.name}"
    facts: dict[str, Any] = {
        "Label": label,
        "ProgramArguments": list(service.command),
        "WorkingDirectory": str(service.folder),
        "EnvironmentVariables": dict(service.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": service.stop_seconds,
        "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
        "StandardOutPath": str(service.log),
        "StandardErrorPath": str(service.log),
    }
    text = plistlib.dumps(facts, sort_keys=False).decode()
    path = home / "Library" / "LaunchAgents" / f"{label}.plist"
    start = f"launchctl bootstrap gui/{user_id} {_shell(path)}"
    stop = f"launchctl bootout gui/{user_id}/{label}"
    log = f"tail -f {_shell(service.log)}"
    return Unit(
        path,
        text.replace("<plist ", f"<!-- {MARK} -->\n<plist ", 1),
        start=(start, log),
        restart=(f"{stop}  # and wait until it has ended", start, log),
        stop=(stop,),
        stop_removed=(stop,),
    )


def _command_line(program: str, *arguments: str) -> str:
    """Return the command line. Variables are expanded in the arguments, but not in the program."""
    return " ".join([_quoted(program), *(_quoted(one).replace("$", "$$") for one in arguments)])


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Return a word of a unit in quotes, within which C escapes are valid and % begins a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_percent(escaped)}"'


def _shell(path: Path) -> str:
    return shlex.quote(str(path))
