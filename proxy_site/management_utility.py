"""The `manage.py` utility: help with the gateway's commands, Django's under `help --all`, and the version."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING

from django.apps import apps
from django.core.management import ManagementUtility, get_commands

from accounts.command_line import manage
from accounts.management.gateway_command import as_json
from accounts.values.sanitize import escape_controls_but_line_ends
from proxy_site.demo import running
from proxy_site.demo.environment import prepare_environment
from proxy_site.environment import SettingError
from proxy_site.version import version

if TYPE_CHECKING:
    from django.core.management.base import BaseCommand

OURS = {"accounts", "dashboard", "gateway", "proxy_site"}
GROUPS = {
    "Run": {
        "runserver": "start the gateway; --demo answers without any account",
        "serve": "the same under uvicorn, for many clients at once",
        "showkey": "print the key that clients must send",
        "setuplink": "print a link on which the operator chooses a password",
        "doctor": "find out what is wrong, and what to do about it",
        "status": "the running server in ten lines",
        "diagnose": "one request as a file that can be passed on",
        "installservice": "start the gateway with the machine",
    },
    "Accounts": {
        "addaccount": "a key, or a sign-in at Google with a browser",
        "importaccounts": "add accounts from a file",
        "listaccounts": "show the accounts, and what to do about each",
        "verifyaccounts": "try each account at Google",
        "refreshquota": "ask Google what each account has left",
        "disableaccount": "use an account no more, but keep it",
        "enableaccount": "use an account again",
        "removeaccount": "forget an account",
        "exportaccounts": "write accounts with their secrets to a file",
        "rotatekeys": "encrypt the stored secrets with a new key",
    },
    "What was used": {
        "stats": "requests and tokens by model, account, client or session",
        "logs": "single requests, and all that was tried for one",
        "prunelogs": "remove old requests from the ledger",
    },
    "The database": {
        "backup": "write database and settings into a file, with keys if asked",
        "restore": "put a backup in the place of what is here",
        "downgrade": "take it back to what an older version knows",
    },
    "Auto mode": {
        "checksafeguards": "try a model as the judge of tool calls",
    },
}
"""The gateway's commands by group, with a summary of each."""


def run(is_server: bool, temporary_folders: list[str]) -> None:
    """Execute the command line. The folder of a demo is added to `temporary_folders`.

    Raises SystemExit, with status 2 for a setting that cannot be read.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
    try:
        if "--demo" in sys.argv[1:]:
            _use_demo(is_server, temporary_folders)
        if "--debug" in sys.argv[1:]:
            os.environ["DEBUG"] = "true"
        # The import reads the environment, so a bad setting is reported before a command can hide it.
        warnings: list[str] = import_module("proxy_site.settings").SETTING_WARNINGS
    except SettingError as error:
        sys.exit(_refuse(str(error)))
    for warning in warnings:
        sys.stderr.write(f"{warning}\n")
    try:
        GatewayUtility(sys.argv).execute()
    finally:
        if apps.ready and not is_server:
            _wait_for_servers()


def _use_demo(is_server: bool, temporary_folders: list[str]) -> None:
    """Prepare the demo: a serving command starts one, other commands use the running one."""
    if is_server:
        temporary_folders.append(str(prepare_environment()))
        return
    try:
        running.use()
    except running.NoDemoRuns:
        sys.exit(_refuse(f"No demo is running. Start one: {manage('runserver --demo')}", 1))


def _wait_for_servers() -> None:
    """Wait until the servers use what the command has changed."""
    from proxy_site import waiting_for_servers

    if not waiting_for_servers.have_taken_changes_of_this_process():
        sys.stderr.write(f"{waiting_for_servers.NOT_YET}\n")


def _refuse(sentence: str, status: int = 2) -> int:
    if "--json" in sys.argv[1:]:
        sys.stdout.write(as_json(error=sentence) + "\n")
    sys.stderr.write(f"{sentence}\n")
    return status


class GatewayUtility(ManagementUtility):
    def execute(self) -> None:
        if self.argv[1:] in (["--version"], ["version"]):
            sys.stdout.write(f"{version()}\n")
        else:
            super().execute()

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Refuse control characters in arguments of Django's commands, which print them unescaped."""
        if subcommand not in get_commands():
            self.prog_name = manage()  # Django's error message quotes it
            if "--json" in self.argv:
                is_missing = not subcommand or subcommand.startswith("-")
                reason = "No command was given." if is_missing else f"There is no command {subcommand}."
                sys.stdout.write(as_json(error=reason) + "\n")
        command = super().fetch_command(subcommand)
        if get_commands()[subcommand] not in OURS:
            for argument in self.argv[2:]:
                if (shown := escape_controls_but_line_ends(argument)) != argument:
                    sys.stderr.write(f"{subcommand} takes no control characters: {shown}\n")
                    sys.exit(2)
        return command

    def main_help_text(self, commands_only: bool = False) -> str:
        if commands_only:
            return super().main_help_text(commands_only)
        lines = [f"Antigravity Claude Proxy {version()}", ""]
        for group, commands in GROUPS.items():
            lines += [group, *(f"  {command:<16} {summary}" for command, summary in commands.items()), ""]
        lines += ["More about one of them, with an example:", f"  {manage('help COMMAND')}"]
        if "--all" in self.argv:
            return "\n".join([*lines, "", *_others()])
        return "\n".join([*lines, "", "All commands, Django's too:", f"  {manage('help --all')}"])


def _others() -> list[str]:
    """Help lines with the commands of Django and of packages, grouped by application."""
    by_app: dict[str, list[str]] = {}
    for command, app in sorted(get_commands().items()):
        if app not in OURS:
            by_app.setdefault(str(app).rpartition(".")[2], []).append(command)
    width = min(shutil.get_terminal_size().columns, 100)
    wrapper = textwrap.TextWrapper(width, initial_indent="  ", subsequent_indent="  ")
    lines: list[str] = []
    for app, commands in sorted(by_app.items()):
        lines += [f"From {app}", *wrapper.wrap(" ".join(commands)), ""]
    return lines[:-1]
