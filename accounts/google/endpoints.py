"""Base URLs and headers of the two header modes of Cloud Code.

`cli` sends the headers of Google's command-line client, `antigravity` those of the desktop application;
Gemini models have a quota pool in each. The values are fixed and documented, and settings choose between
them; the client is not disguised in any other way.
"""

from __future__ import annotations

import platform
import sys
from functools import cache
from typing import Literal

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

HeaderMode = Literal["cli", "antigravity"]

DAILY = "https://daily-cloudcode-pa.googleapis.com"
PROD = "https://cloudcode-pa.googleapis.com"

CLI_USER_AGENT = "google-api-nodejs-client/9.15.1"
CLIENT_METADATA = {
    "ideType": "IDE_UNSPECIFIED",
    "platform": "PLATFORM_UNSPECIFIED",
    "pluginType": "GEMINI",
}
MODE_HEADERS: dict[HeaderMode, dict[str, str]] = {
    "cli": {
        "X-Goog-Api-Client": "gl-node/22.17.0",
        "Client-Metadata": ",".join(f"{name}={value}" for name, value in CLIENT_METADATA.items()),
    },
    "antigravity": {
        "X-Goog-Api-Client": "google-cloud-sdk vscode_cloudshelleditor/0.1",
        "Client-Metadata": "{"
        + ",".join(f'"{name}":"{value}"' for name, value in CLIENT_METADATA.items())
        + "}",
    },
}


@cache
def base_urls(mode: HeaderMode) -> tuple[str, ...]:
    """Base URLs in the order to try them."""
    if settings.CLOUDCODE_ENDPOINTS:
        return tuple(settings.CLOUDCODE_ENDPOINTS)
    return (PROD, DAILY) if mode == "cli" else (DAILY, PROD)


def headers(mode: HeaderMode) -> dict[str, str]:
    """Return the headers of a request, without Authorization."""
    user_agent = settings.CLOUDCODE_USER_AGENT or _user_agent(mode)
    return {"Content-Type": "application/json", "User-Agent": user_agent, **MODE_HEADERS[mode]}


def _user_agent(mode: HeaderMode) -> str:
    if mode == "cli":
        return CLI_USER_AGENT
    return f"antigravity/{settings.CLOUDCODE_CLIENT_VERSION} {_system()}/{_architecture()}"


@receiver(setting_changed)
def forget_settings(**_: object) -> None:
    """Forget the base URLs, because a setting has changed."""
    base_urls.cache_clear()


def _system() -> str:
    return "win32" if sys.platform == "cygwin" else sys.platform


def _architecture() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine or "x64")
