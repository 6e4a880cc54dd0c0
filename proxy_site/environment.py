"""Reads settings from the environment, with types and ranges.

django-environ does the parsing; what stands here is the part it leaves open: a value that does
not fit is refused in one line that names the variable, the value and what is allowed.
"""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import environ

if TYPE_CHECKING:
    from collections.abc import Iterable

# Secrets, and addresses that may carry a password: named in an error, never shown.
UNSHOWN = ("TOKEN", "PASSWORD", "SECRET", "KEYS", "_URL", "_PROXY")


class SettingError(Exception):
    """A setting has a value that cannot be used. The text is the whole message for the operator."""


class Environment:
    """The process environment first, then each file in the order given; the first that has a name wins."""

    def __init__(self, env_files: Iterable[Path] = ()) -> None:
        # A copy: what a file says must not leak into the environment of child processes.
        self._values = dict(os.environ)
        for path in env_files:
            self.add_file(path)

    def add_file(self, path: Path) -> None:
        if not path.is_file():
            return
        try:
            lines = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{path} cannot be read as a settings file: {error}") from error
        self._values = {**_parse_env_file(lines), **self._values}

    def text(self, name: str, default: str = "", *, one_of: tuple[str, ...] = ()) -> str:
        # Read as it stands: django-environ would take a value such as "$ecret" for another variable's name.
        value = self._values.get(name, default).strip()
        if one_of and value not in one_of:
            raise self._refusal(name, value, f"one of {', '.join(one_of)}")
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default)).lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"", "0", "false", "no", "off"}:
            return False
        raise self._refusal(name, value, "true or false")

    def integer(self, name: str, default: int, *, between: tuple[int, int]) -> int:
        value = self.text(name) or str(default)
        low, high = between
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise self._refusal(name, value, f"a whole number from {low} to {high}")
        return number

    def listing(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """Comma-separated; blanks around and between the commas do not count."""
        value = self.text(name, ",".join(default))
        return [entry.strip() for entry in value.split(",") if entry.strip()]

    def url(self, name: str, default: str = "") -> str:
        value = self.text(name, default)
        if value and not value.startswith(("http://", "https://")):
            raise self._refusal(name, value, "an address that begins with http:// or https://")
        return value.rstrip("/")

    def path(self, name: str, default: str) -> Path:
        return Path(self.text(name) or default).expanduser()

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Django's form of a database address such as postgres://user:password@host/name."""
        value = self.text(name) or default
        if not value.startswith(("sqlite://", "postgres://", "postgresql://")):
            raise self._refusal(name, value, "an address such as postgres://user:password@host/name")
        return dict(environ.Env.db_url_config(value))

    def _refusal(self, name: str, value: str, allowed: str) -> SettingError:
        shown = "its value" if any(word in name for word in UNSHOWN) else repr(value)
        return SettingError(f"{name}: {shown} is not allowed; it must be {allowed}.")


def _parse_env_file(text: str) -> dict[str, str]:
    """django-environ writes what it reads into the class's ENVIRON, so each file gets a class of its own."""

    class FileEnv(environ.Env):
        ENVIRON: ClassVar[dict[str, str]] = {}

    FileEnv.read_env(StringIO(text))
    return FileEnv.ENVIRON
