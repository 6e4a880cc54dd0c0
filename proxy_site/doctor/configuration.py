"""Checks of the settings: whether they can be read, and where each value comes from."""

from __future__ import annotations

import difflib
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accounts.command_line import manage
from accounts.values.sanitize import truncate
from proxy_site.demo import running
from proxy_site.doctor.findings import Finding, ok, problem, warning
from proxy_site.environment import ENVIRONMENT, SettingError, is_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.environment import Environment

SETTINGS_MODULE = "proxy_site.settings"
LONGEST_VALUE = 60
UNSHOWN = {"SYSTEM_PREAMBLE", "OAUTH_CLIENT_ID"}
"""Settings that are not secret, but of no use to others who read the report."""
REMEDIES = {
    "DATA_DIR": "Make that folder writable for this user, or set DATA_DIR to another one.",
    "SSL_CERT_FILE": "Put the file there (readable, in PEM form); or take the setting out: then the "
    "certificates of the system and of certifi are trusted.",
    "GEMINI_HEADER_MODE": "`cli` is the default; `antigravity` has another quota.",
    "DATABASE_URL": "Take it out for SQLite in DATA_DIR; for PostgreSQL, signs in the password are written "
    "as %40 and so on.",
    "CREDENTIALS_KEYS": "Put back the keys that the accounts were encrypted with.",
}


def load(*, demo: bool = False) -> list[Finding]:
    """Read the settings, those of the running demo with `demo`. A problem among the findings means that they
    could not be read."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", SETTINGS_MODULE)
    try:
        if demo:
            running.use()
        module: Any = import_module(SETTINGS_MODULE)
    except running.NoDemoRuns:
        return [problem("Configuration", "No demo is running.", f"Start one: {manage('runserver --demo')}")]
    except SettingError as error:
        return [problem("Configuration", str(error), _remedy(error))]
    except OSError as error:
        return [_unwritable(error)]
    return list(check(module.env))


def check(env: Environment) -> Iterator[Finding]:
    given = sorted(name for name in env.names if env.has(name))
    sources = {name: env.sources.get(name, ENVIRONMENT) for name in given}
    details = tuple(f"{name} = {_shown(env, name)}  ({sources[name]})" for name in given)
    yield ok("Configuration", f"{len(given)} of {len(env.names)} settings are set, the others have their "
             "defaults" + (":" if given else ""), details)  # fmt: skip
    if ignored := [*env.warnings, *_unknown(env)]:
        yield warning("Configuration", ignored[0], "docs/settings.md lists the names.", tuple(ignored[1:]))


def _shown(env: Environment, name: str) -> str:
    value = env.text(name)
    if name.upper().endswith(("_URL", "_PROXY")):
        return _address(value)
    return "(set)" if is_secret(name) or name in UNSHOWN else truncate(value, LONGEST_VALUE)


def _address(value: str) -> str:
    """Return an address without user, password and query; "(set)" when these cannot be told from the rest."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return "(set)"
    if not parts.netloc or "@" in value.partition(parts.netloc)[2]:
        return "(set)"
    return truncate(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", LONGEST_VALUE)


def _unknown(env: Environment) -> Iterator[str]:
    """Yield names in `.env` files that are not settings but look like one."""
    for name, source in sorted(env.sources.items()):
        if source == ENVIRONMENT or name in env.names:
            continue
        if near := difflib.get_close_matches(name, env.names, n=1, cutoff=0.8):
            yield f"{truncate(name, LONGEST_VALUE)} in {source} is no setting. Is {near[0]} meant?"


def _remedy(error: SettingError) -> str:
    remedy = REMEDIES.get(error.name, "")
    if not error.name:
        return f"Correct it in {error.source}, or remove it." if error.source else "Correct that file."
    if error.source == ENVIRONMENT:
        where = f"It comes from the environment: look at what sets {error.name}, or unset it."
    elif error.source:
        where = f"It comes from {error.source}: change or remove its line there."
    else:
        where = ""
    return f"{where} {remedy or 'docs/settings.md has what is allowed.'}".strip()


def _unwritable(error: OSError) -> Finding:
    where = error.filename or "DATA_DIR"
    return problem(
        "Configuration",
        f"{where} cannot be written: {error.strerror}.",
        "Free space on that disk and look at who owns the folder, or set DATA_DIR to another one.",
    )
