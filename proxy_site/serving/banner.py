"""The text that a serving command prints once it accepts connections: addresses, usage, and what is
missing."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from django.conf import settings
from django.db import connection

from accounts import live_settings
from accounts.command_line import manage
from accounts.models import Account
from accounts.network import is_loopback
from accounts.operators import passwords
from proxy_site.serving.address import url_on_this_machine
from proxy_site.serving.reachability import INDENT, is_wildcard, network_lines


def banner(host: str, port: int, has_generated_key: bool = False) -> str:
    """Return the banner for the bound address, which may be a wildcard. Reads the database, and may store a
    new set-up link."""
    url = url_on_this_machine(host, port)
    token = "<the AUTH_TOKEN of this gateway>" if settings.AUTH_TOKEN else "anything"
    lines = [
        f"Antigravity Claude Proxy {settings.VERSION} is listening on {url}",
        *(["  and on all other addresses of this machine"] if is_wildcard(host) else []),
        *(["  DEMO: answers come from the built-in emulator"] if settings.DEMO else []),
        "",
        "  Point Claude Code at it:",
        f"    export ANTHROPIC_BASE_URL={url}",
        f"    export ANTHROPIC_AUTH_TOKEN={token}",
        *(["  This prints the key:", f"    {manage('showkey')}"] if has_generated_key else []),
        "",
        f"  Dashboard               {url}/",
        *_set_up_lines(host, port),
        *network_lines(host, port),
        f"  Data                    {settings.DATA_DIR}",
        *_auto_mode_lines(),
        *_account_lines(Account.objects.count()),
        *_demo_lines(),
        "",
        "  Stop with Ctrl-C.",
    ]
    connection.close()
    return "\n".join(lines)


def _set_up_lines(host: str, port: int) -> list[str]:
    """Return the lines with a set-up link, at a terminal only. Any other output is a log, which more people
    can read."""
    if passwords.has_operator():
        return []
    url = url_on_this_machine(host, port)
    address = url.removeprefix("http://")
    if not is_loopback(address.rpartition(":")[0]):
        return [
            "  Choose your password    with the setting WEBUI_PASSWORD (a link works on",
            f"{INDENT}loopback only)",
        ]
    if not sys.stdout.isatty():
        command = manage(f"setuplink {shlex.quote(address)}")
        return ["  Choose your password    with the link that this prints:", f"    {command}"]
    return [
        "  Choose your password    (works once, for 30 minutes, from this machine)",
        f"    {url}/admin/set-up/{passwords.new_set_up_token()}/",
    ]


def _auto_mode_lines() -> list[str]:
    model = {one.name: one.value for one in live_settings.all_settings()}["SAFEGUARDS_MODEL"]
    if model:
        return [f"  Auto mode               tool calls are checked by {model}"]
    return [
        "  Auto mode               tool calls are not checked, so it runs nothing that",
        f"{INDENT}needs a check; name a model that checks them in the",
        f"{INDENT}setting SAFEGUARDS_MODEL",
    ]


def _account_lines(count: int) -> list[str]:
    if count:
        return [f"  Accounts                {count}"]
    lines = ["", "  There is no account yet. Add one:", f"    {manage('addaccount')}"]
    other_tools_file = Path(settings.DATA_DIR) / "accounts.json"
    if other_tools_file.is_file():
        lines.append(f"    {manage(f'importaccounts {shlex.quote(str(other_tools_file))}')}")
    return lines


def _demo_lines() -> list[str]:
    if not settings.DEMO:
        return []
    return ["  From another terminal   (or stats, listaccounts, ...)", f"    {manage('logs -f')}"]
