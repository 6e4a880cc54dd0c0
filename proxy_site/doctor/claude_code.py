"""Checks of Claude Code on this machine: whether its settings lead to this gateway, with a key that is
accepted.

The `env` object of a settings file overrides what the shell has exported, and the file of the machine's
administrator overrides that of the user (code.claude.com, Environment variables, and lmstudio-ai/lms#561).
Settings of single projects may override both; they are not read.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from django.conf import settings

from accounts.command_line import manage
from accounts.network import AccountsClient, CallFailed, is_loopback
from accounts.values.sanitize import truncate
from proxy_site.data_dir import KEY_FILE
from proxy_site.doctor.findings import Finding, ok, problem, skipped, warning
from proxy_site.doctor.server import SECONDS, health_at
from proxy_site.serving.address import url_on_this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "Claude Code"
MANAGED = {
    "darwin": Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
    "linux": Path("/etc/claude-code/managed-settings.json"),
}
ADDRESS, TOKEN, API_KEY = "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"
THE_SHELL = "the environment"
LONGEST_FILE = 1024 * 1024
MODELS = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)
"""Variables with names of models. A name without a hyphen is Claude Code's own, such as `opusplan`."""


class Unreadable(Exception):
    """Raised for a settings file that Claude Code cannot read. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Pointing:
    """The values that Claude Code will use, by variable, and where each comes from."""

    values: Mapping[str, str] = field(repr=False)
    sources: Mapping[str, str]
    has_helper: bool = False
    """True with `apiKeyHelper`, a program that prints the key."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers with the key, as Claude Code sends them."""
        token, key = self.values.get(TOKEN, ""), self.values.get(API_KEY, "")
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return bearer | ({"x-api-key": key} if key else {})

    def source_of_key(self) -> str:
        name = TOKEN if self.values.get(TOKEN) else API_KEY
        return f"{name} in {self.sources[name]}"


def settings_files() -> Iterator[Path]:
    """Yield the machine's file, then the user's: the first one with a name wins."""
    if sys.platform in MANAGED:
        yield MANAGED[sys.platform]
    folder = os.environ.get("CLAUDE_CONFIG_DIR") or "~/.claude"
    with suppress(RuntimeError):  # a user without a home directory
        yield Path(folder).expanduser() / "settings.json"


def pointing(environment: Mapping[str, str]) -> Pointing:
    """Return what Claude Code will use. Raises Unreadable."""
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    has_helper = False
    for path in settings_files():
        said = _read(path)
        has_helper = has_helper or bool(said.get("apiKeyHelper"))
        for name, value in variables_in(said).items():
            if name not in values:
                values[name], sources[name] = value, str(path)
    for name, value in environment.items():
        if name not in values:
            values[name], sources[name] = value.strip(), THE_SHELL
    return Pointing(values, sources, has_helper)


def _read(path: Path) -> dict[str, Any]:
    """Return the object in the file; empty when there is no file. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_FILE + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
    if len(raw) > LONGEST_FILE:
        raise Unreadable(f"{path} is larger than 1 MiB, which is no file of settings.")
    return parse_settings(raw, path)


def parse_settings(raw: bytes, path: Path) -> dict[str, Any]:
    """Return the object in the text of a settings file; empty for an empty text. Raises Unreadable."""
    try:
        said = json.loads(raw.decode("utf-8-sig")) if raw.strip() else {}
    except (ValueError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"{path} is no valid JSON{line}, so Claude Code does not use it.") from error
    if not isinstance(said, dict):
        raise Unreadable(f"{path} holds no JSON object, so Claude Code does not use it.")
    return said


def variables_in(said: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables that a settings file sets."""
    variables = said.get("env")
    if not isinstance(variables, dict):
        return {}
    return {name: str(value).strip() for name, value in variables.items()}


async def check_claude_code(
    client: AccountsClient, host: str, port: int, *, offline: bool = False
) -> Finding:
    """Send the gateway that Claude Code uses a request with Claude Code's key."""
    ours = url_on_this_machine(host, port)
    try:
        found = pointing(os.environ)
    except Unreadable as error:
        return problem(NAME, str(error), "Correct the file; docs/clients.md has its form.")
    address = found.values.get(ADDRESS, "").rstrip("/")
    if not address:
        step = f"To use this gateway, set {ADDRESS}={ours} and {TOKEN} (docs/clients.md)."
        return skipped(NAME, f"It is not led to any gateway: {ADDRESS} is not set", step)
    if finding := _about_form(found, address, ours) or _about_proxy(found, address):
        return finding
    if offline and not is_loopback(urlsplit(address).hostname or ""):
        return skipped(NAME, f"Not asked: {_shown(address)} is not on this machine")
    if await health_at(client, address) is None:
        return _about_silence(found, address, ours)
    return await _about_key(client, found, address)


def _about_form(found: Pointing, address: str, ours: str) -> Finding | None:
    where = f"{ADDRESS} in {found.sources[ADDRESS]}"
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        return problem(NAME, f"{where} is no address.", f"For this gateway it is {ours}.")
    if address.endswith(("/v1", "/v1/messages")):
        step = f"Without it: {_shown(address.partition('/v1')[0])}"
        return problem(NAME, f"{where} ends in /v1, which Claude Code adds itself.", step)
    if not found.headers and not found.has_helper:
        return problem(
            NAME,
            f"It has no key, without which it asks for a login: neither {TOKEN} nor {API_KEY} is set.",
            f"Set {TOKEN} beside {ADDRESS}: to AUTH_TOKEN, or to any text while AUTH_TOKEN is empty.",
        )
    return None


def _about_proxy(found: Pointing, address: str) -> Finding | None:
    """Return a finding when Claude Code would send its requests through a proxy, which it does even for this
    machine, unless NO_PROXY names it."""
    parts = urlsplit(address)
    host, name = parts.hostname or "", f"{parts.scheme}_proxy"
    proxy = next((one for one in (name.upper(), name) if found.values.get(one)), "")
    exceptions = found.values.get("NO_PROXY") or found.values.get("no_proxy") or ""
    if not proxy or not is_loopback(host) or proxy_bypass_environment(host, {"no": exceptions}):
        return None
    return warning(
        NAME,
        f"It leads to {_shown(address)}, through the proxy in {proxy} ({found.sources[proxy]}), which cannot "
        "reach this machine's own address.",
        f"Set NO_PROXY={host} where {proxy} is set.",
    )


def _about_silence(found: Pointing, address: str, ours: str) -> Finding:
    """Return the finding when no gateway answers. If the address is meant for this gateway, the key can still
    be compared."""
    where = f"{_shown(address)} ({ADDRESS} in {found.sources[ADDRESS]})"
    if not _is_same_place(address, ours):
        return warning(
            NAME,
            f"It leads to {where}, where no gateway of this kind answers.",
            f"For this gateway: {ADDRESS}={ours}",
        )
    key = _wanted_key()
    if key and not found.has_helper and key not in _keys(found):
        return _stale(found)
    return skipped(NAME, f"It leads to {where}, this gateway, which does not answer now")


def _wanted_key() -> str:
    """Return the key that a server here requires; "" when any text will do."""
    file = settings.DATA_DIR / KEY_FILE
    if settings.AUTH_TOKEN or is_loopback(settings.HOST) or not file.exists():
        return str(settings.AUTH_TOKEN)
    return file.read_text(encoding="utf-8").strip()


def _is_same_place(one: str, other: str) -> bool:
    here, there = urlsplit(one), urlsplit(other)
    is_local = is_loopback(here.hostname or "") and is_loopback(there.hostname or "")
    return here.port == there.port and (is_local or here.hostname == there.hostname)


def _keys(found: Pointing) -> set[str]:
    return {found.values.get(TOKEN, ""), found.values.get(API_KEY, "")} - {""}


async def _about_key(client: AccountsClient, found: Pointing, address: str) -> Finding:
    if found.has_helper and not found.headers:
        return ok(NAME, f"It leads to {_shown(address)}; its key comes from apiKeyHelper, and was not tried")
    try:
        async with asyncio.timeout(SECONDS):
            answer = await client.get(f"{address}/v1/models", headers=found.headers)
    except (CallFailed, TimeoutError):
        return warning(
            NAME, f"{_shown(address)} has not listed its models.", "Look at the log of the gateway."
        )
    if answer.status == 401:
        return _stale(found)
    if answer.status in {400, 403}:
        step = "Set AUTH_TOKEN at the gateway, and allow the address in ALLOWED_HOSTS (docs/server.md)."
        return problem(NAME, f"{_shown(address)} refuses it ({answer.status}).", step)
    return await _about_models(client, found, address)


async def _about_models(client: AccountsClient, found: Pointing, address: str) -> Finding:
    """Check whether the gateway knows the models that are set by name."""
    named = {name: found.values[name] for name in MODELS if "-" in found.values.get(name, "")}
    answers = await asyncio.gather(*(_knows(client, found, address, one) for one in named.values()))
    unknown = [name for name, is_known in zip(named, answers, strict=True) if not is_known]
    if not unknown:
        return ok(NAME, f"It leads to {_shown(address)} ({found.sources[ADDRESS]}), and its key is accepted")
    first = unknown[0]
    return warning(
        NAME,
        f"Its {first}, {truncate(named[first], 80)}, is no model of the gateway ({found.sources[first]}).",
        "GET /v1/models lists what there is, which depends on the accounts' tiers and on GEMINI_HEADER_MODE.",
    )


async def _knows(client: AccountsClient, found: Pointing, address: str, model: str) -> bool:
    """Return whether the gateway knows the model. Only a 404 means that it does not."""
    try:
        async with asyncio.timeout(SECONDS):
            url = f"{address}/v1/models/{quote(model, safe='')}"
            return (await client.get(url, headers=found.headers)).status != 404
    except (CallFailed, TimeoutError):
        return True


def _stale(found: Pointing) -> Finding:
    return problem(
        NAME,
        f"Its key, {found.source_of_key()}, is not the key of this gateway.",
        f"Put the present one there, which this prints: {manage('showkey')} "
        f"(a settings file wins over {THE_SHELL}).",
    )


def _shown(address: str) -> str:
    """Return the address without user and password."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
