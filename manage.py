#!/usr/bin/env python
"""The operator's command line: `uv run manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_site.settings")
    from proxy_site.environment import SettingError

    try:
        if "--demo" in sys.argv[1:]:
            from proxy_site import demo

            demo.prepare_environment()
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


def _refuse(sentence: str) -> int:
    if "--json" in sys.argv[1:]:
        from accounts.management.gateway_command import as_json

        sys.stdout.write(as_json(error=sentence) + "\n")
    sys.stderr.write(f"{sentence}\n")
    return 2


if __name__ == "__main__":
    main()
