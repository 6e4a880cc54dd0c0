#!/usr/bin/env python
"""The operator's command line: `uv run manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
    from proxy_site.environment import SettingError

    try:
        if "--demo" in sys.argv[1:]:
            _use_demo()
        if "--debug" in sys.argv[1:]:
            os.environ["DEBUG"] = "true"
        # A bad setting shows here, before any command hides it.
        from proxy_site.settings import SETTING_WARNINGS
    except SettingError as error:
        sys.exit(_refuse(str(error)))
    for warning in SETTING_WARNINGS:
        sys.stderr.write(f"{warning}\n")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _use_demo() -> None:
    """`runserver` makes one, the other commands look at the one that runs."""
    if sys.argv[1] == "runserver":
        from proxy_site import demo

        demo.prepare_environment()
        return
    from accounts.command_line import manage
    from proxy_site import running_demo

    try:
        running_demo.use()
    except running_demo.NoDemoRuns:
        sys.exit(_refuse(f"No demo is running. Start one: {manage('runserver --demo')}", 1))


def _refuse(sentence: str, status: int = 2) -> int:
    if "--json" in sys.argv[1:]:
        from accounts.management.gateway_command import as_json

        sys.stdout.write(as_json(error=sentence) + "\n")
    sys.stderr.write(f"{sentence}\n")
    return status


if __name__ == "__main__":
    main()
