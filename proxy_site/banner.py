"""What `runserver` prints once it accepts connections: where it is, how to use it, and what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

from django.conf import settings
from django.db import connection

from accounts import live_settings, operators
from accounts.models import Account
from proxy_site.address import url_of


def banner(host: str, port: int) -> str:
    """For the address that is bound. Reads the database and may store a new set-up link there."""
    url = url_of(host, port)
    token = "<the AUTH_TOKEN of this gateway>" if settings.AUTH_TOKEN else "anything"
    lines = [
        f"Antigravity Claude Proxy is listening on {url}"
        + ("  (DEMO: answers come from the built-in emulator)" if settings.DEMO else ""),
        "",
        "  Point Claude Code at it:",
        f"    export ANTHROPIC_BASE_URL={url}",
        f"    export ANTHROPIC_AUTH_TOKEN={token}",
        "",
        f"  Accounts and settings   {url}/admin/",
        *_set_up_lines(url),
        f"  Data                    {settings.DATA_DIR}",
        *_auto_mode_lines(),
        *_account_lines(Account.objects.count()),
        "",
        "  Stop with Ctrl-C.",
    ]
    connection.close()
    return "\n".join(lines)


def _set_up_lines(url: str) -> list[str]:
    """The link is for whoever is at the terminal. Output that goes anywhere else is a log, which others
    may read."""
    if operators.has_operator():
        return []
    if not sys.stdout.isatty():
        command = f"manage.py setuplink {url.removeprefix('http://')}"
        if settings.DEMO:
            command = f"DATA_DIR={settings.DATA_DIR} {command}"
        return [f"  Choose your password    {command}  (prints a link)"]
    return [
        f"  Choose your password    {url}/admin/set-up/{operators.new_set_up_token()}/",
        "                          (works once, for 30 minutes, from this machine)",
    ]


def _auto_mode_lines() -> list[str]:
    model = {one.name: one.value for one in live_settings.all_settings()}["SAFEGUARDS_MODEL"]
    if model:
        return [f"  Auto mode               tool calls are checked by {model}"]
    return [
        "  Auto mode               tool calls are not checked, so it runs nothing that needs a check;",
        "                          name a model that checks them in the setting SAFEGUARDS_MODEL",
    ]


def _account_lines(count: int) -> list[str]:
    if count:
        return [f"  Accounts                {count}"]
    lines = ["", "  There is no account yet. Add one:", "    uv run manage.py addaccount"]
    other_tools_file = Path(settings.DATA_DIR) / "accounts.json"
    if other_tools_file.is_file():
        lines.append(f"    uv run manage.py importaccounts {other_tools_file}")
    return lines
