"""Typed settings from the environment and `.env` files, with ranges.

django-environ parses the files. A value that is not allowed raises SettingError with one line that names the
variable, the value and what is allowed.
"""

from __future__ import annotations

import codecs
import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, tzinfo
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Parts of the names of secrets, and of addresses that may contain a password: errors never show their values.
UNSHOWN = ("TOKEN", "PASS", "SECRET", "KEY", "CREDENTIAL", "DSN", "_URL", "_PROXY")

ADDRESS = "an address that begins with http:// or https://"
SAFE_ADDRESS = "an address that begins with https://; http:// is for this machine only"
DATABASE_HOST = re.compile(r"[\w.:,-]*", re.ASCII)
"""Matches host names and addresses, separated by commas."""


BYTE_ORDER_MARK = "\ufeff"
LINE = re.compile(r"\s*(?:#.*|(?:export )?\w+=.*)?", re.ASCII)
"""Matches a line that django-environ reads: NAME=value, a comment, or blank."""


ENVIRONMENT = "the environment"


class SettingError(ValueError):
    """A setting has a value that cannot be used. The text is the whole message for the operator.

    `name` is the setting's, "" for a file that cannot be read; `source` is where it was found: ENVIRONMENT,
    the path of a file, or "" for a default.
    """

    def __init__(self, message: str, *, name: str = "", source: str = "") -> None:
        super().__init__(message)
        self.name, self.source = name, source


class Environment:
    """Settings from the process environment, then from each file in order; the first source with a name wins.
    The readers raise SettingError."""

    def __init__(self, env_files: Iterable[Path] = (), values: Mapping[str, str] | None = None) -> None:
        self.warnings: list[str] = []
        """Sentences about values that are ignored or understood differently."""
        # A copy: values from files must not leak into the environment of child processes.
        self._values = dict(os.environ if values is None else values)
        self.sources = dict.fromkeys(self._values, ENVIRONMENT)
        """Where each value was found, by name: ENVIRONMENT, or the path of a file."""
        self.names: set[str] = set()
        """The names that were looked up, with a value or without."""
        for path in env_files:
            self.add_file(path)

    def add_file(self, path: Path) -> None:
        if not path.is_file():
            return
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SettingError(f"{path} cannot be read: {error.strerror}.", source=str(path)) from error
        found = _parse_env_file(_decoded(content, path), path)
        self._values = {**found, **self._values}
        self.sources = {**dict.fromkeys(found, str(path)), **self.sources}

    def has(self, name: str) -> bool:
        return bool(self.text(name))

    def text(self, name: str, default: str = "", *, one_of: tuple[str, ...] = ()) -> str:
        # Not read by django-environ, which would take a value such as "$ecret" for another variable's name.
        self.names.add(name)
        value = self._values.get(name, default).strip()
        if one_of and value not in one_of:
            raise self._setting_error(name, value, f"one of {', '.join(one_of)}")
        return value

    def boolean(self, name: str, default: bool, *, foreign_is_false: bool = False) -> bool:
        """Return a boolean. With `foreign_is_false` other values count as false with a warning, for names
        that other programs use, too."""
        value = self.text(name, str(default)).lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"", "0", "false", "no", "off"}:
            return False
        if foreign_is_false:
            self.warnings.append(f"{name}: {value!r} is not true or false, and counts as false.")
            return False
        raise self._setting_error(name, value, "true or false")

    def time_zone(self, name: str) -> tzinfo:
        """Return a time zone; UTC with a warning for an unknown one, since other programs accept more values
        in TZ."""
        value = self.text(name)
        zone = time_zone(value)
        if value and zone is UTC:
            self.warnings.append(f"{name}: {value!r} is no time zone known here; times are shown in UTC.")
        return zone

    def integer(self, name: str, default: int, *, between: tuple[int, int]) -> int:
        value = self.text(name) or str(default)
        low, high = between
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise self._setting_error(name, value, f"a whole number from {low} to {high}")
        return number

    def timeout(self, name: str, default: int, *, most: int) -> float:
        """Return seconds, from milliseconds between 100 and `most`."""
        return self.integer(name, default, between=(100, most)) / 1000

    def fraction(self, name: str, default: float) -> float:
        """Return a number from 0 up to, but not including, 1."""
        value = self.text(name) or str(default)
        try:
            number = float(value)
        except ValueError:
            number = -1
        if not 0 <= number < 1:  # false for "nan" as well
            raise self._setting_error(name, value, "a number from 0 to 0.99")
        return number

    def listing(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """Return comma-separated entries, without blanks around them and without empty ones."""
        value = self.text(name, ",".join(default))
        return [entry.strip() for entry in value.split(",") if entry.strip()]

    def hosts(self, name: str, default: tuple[str, ...]) -> list[str]:
        """Return a list of names and addresses in the form of a Host header without port. Warns of an entry
        that no header can match."""
        return [self._host(name, entry) for entry in self.listing(name, default)]

    def _host(self, name: str, entry: str) -> str:
        try:
            address = ipaddress.ip_address(entry)
        except ValueError:
            is_in_brackets = entry.startswith("[") and entry.endswith("]")
            if "/" in entry or (":" in entry and not is_in_brackets):
                self.warnings.append(
                    f"{name}: {entry!r} matches nothing; write a name or an address without http:// and port."
                )
            return entry
        return f"[{address}]" if address.version == 6 else entry

    def keys(self, name: str, usable: Callable[[str], object], allowed: str) -> list[str]:
        """Return a list of keys; `usable` raises ValueError for a malformed key."""
        return [self._checked(name, key, usable, allowed) for key in self.listing(name)]

    def networks(self, name: str) -> list[str]:
        """Return a list of addresses and networks, such as 127.0.0.1 or 10.0.0.0/8."""
        allowed = "addresses or networks, separated by commas"
        return [self._checked(name, one, _check_network, allowed) for one in self.listing(name)]

    def url(self, name: str, default: str = "") -> str:
        value = self.text(name, default)
        return self._checked(name, value, _check_address, ADDRESS).rstrip("/") if value else ""

    def safe_url(self, name: str, default: str) -> str:
        """Return the address of a service that gets secrets, for which plain HTTP is allowed on loopback
        only."""
        return self._checked(name, self.text(name) or default, _check_safe_address, SAFE_ADDRESS).rstrip("/")

    def urls(self, name: str) -> list[str]:
        """Return a list of addresses."""
        allowed = f"addresses, separated by commas, each {ADDRESS}"
        return [self._checked(name, one, _check_address, allowed).rstrip("/") for one in self.listing(name)]

    def header(self, name: str, default: str = "") -> str:
        """Return a value for an HTTP header: printable ASCII."""
        value = self.text(name, default)
        if not (value.isascii() and value.isprintable()):
            raise self._setting_error(name, value, "a text of ASCII characters in one line")
        return value

    def certificates(self, name: str) -> str:
        """Return the path of a file of certificates, or ""."""
        value = self.text(name)
        allowed = "the path of a file with certificates in PEM form that can be read"
        return self._checked(name, value, _check_certificates, allowed) if value else ""

    def path(self, name: str, default: str) -> Path:
        try:
            return Path(self.text(name) or default).expanduser()
        except RuntimeError as error:  # a user without HOME and without an entry in /etc/passwd
            raise SettingError(
                f"{name}: there is no home directory for ~; name a folder.", name=name
            ) from error

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's form of a database address such as postgres://user:password@host/name."""
        value = self.text(name) or default
        allowed = "an address such as postgres://user:password@host/name"
        if not value.startswith(("sqlite://", "postgres://", "postgresql://")) or not value.isprintable():
            raise self._setting_error(name, value, allowed)
        try:
            config = dict(environ.Env.db_url_config(value))
        except ValueError:  # whose text may quote the password
            raise self._setting_error(name, value, allowed) from None
        if not DATABASE_HOST.fullmatch(config["HOST"]):
            raise self._setting_error(name, value, allowed)
        if config["ENGINE"] == "django.db.backends.postgresql" and find_spec("psycopg") is None:
            raise SettingError(
                f"{name}: PostgreSQL needs the package psycopg, which `uv sync --extra postgresql` installs.",
                name=name,
                source=self.sources.get(name, ""),
            )
        return config

    def _checked(self, name: str, value: str, check: Callable[[str], object], allowed: str) -> str:
        """Return the value. Raises SettingError when `check` raises for it."""
        try:
            check(value)
        except (OSError, ValueError) as error:
            raise self._setting_error(name, value, allowed) from error
        return value

    def _setting_error(self, name: str, value: str, allowed: str) -> SettingError:
        shown = "its value" if is_secret(name) else repr(value)
        return SettingError(
            f"{name}: {shown} is not allowed; it must be {allowed}.",
            name=name,
            source=self.sources.get(name, ""),
        )


@dataclass(frozen=True, slots=True)
class LiveSetting:
    """A setting that can be changed while the server runs: its parser and its value at start.

    `read` parses a text by the rules of the environment; it raises SettingError. `choices` are all allowed
    values, for a form, or empty when there are too many.
    """

    name: str
    meaning: str
    read: Callable[[str], Any]
    choices: tuple[str, ...]
    allowed: str
    """The range of a number as text, such as "0 to 0.99"; "" for other settings."""
    start_value: Any
    """The value from the environment, else the default."""
    is_fixed: bool
    """True when the environment has a value, which wins over the operator's."""


class LiveSettings:
    """Declares live settings with the readers of Environment, and collects them in `by_name`."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.by_name: dict[str, LiveSetting] = {}

    def boolean(self, name: str, default: bool, *, meaning: str) -> None:
        self._add(name, meaning, lambda env: env.boolean(name, default), ("true", "false"))

    def integer(self, name: str, default: int, *, between: tuple[int, int], meaning: str) -> None:
        low, high = between
        self._add(
            name,
            meaning,
            lambda env: env.integer(name, default, between=between),
            allowed=f"{low:,} to {high:,}",
        )

    def fraction(self, name: str, default: float, *, meaning: str) -> None:
        self._add(name, meaning, lambda env: env.fraction(name, default), allowed="0 to 0.99")

    def text(self, name: str, default: str = "", *, one_of: tuple[str, ...] = (), meaning: str) -> None:
        self._add(name, meaning, lambda env: env.text(name, default, one_of=one_of), one_of)

    def _add(
        self,
        name: str,
        meaning: str,
        read: Callable[[Environment], Any],
        choices: tuple[str, ...] = (),
        allowed: str = "",
    ) -> None:
        self.by_name[name] = LiveSetting(
            name=name,
            meaning=meaning,
            read=lambda text: read(Environment(values={name: text})),
            choices=choices,
            allowed=allowed,
            start_value=read(self._env),
            is_fixed=self._env.has(name),
        )


def env_lines(paths: Iterable[Path]) -> dict[str, str]:
    """Return the lines NAME=value of these files, unparsed, by name; the first file with a name wins.

    Raises SettingError.
    """
    lines: dict[str, str] = {}
    for path in paths:
        if path.is_file():
            lines = {**lines_of(_decoded(path.read_bytes(), path), path), **lines}
    return lines


def lines_of(text: str, path: Path) -> dict[str, str]:
    """Return the lines NAME=value of one file's text, by name. Raises SettingError."""
    names = _parse_env_file(text, path)
    lines = [line.strip().removeprefix("export ") for line in text.splitlines()]
    by_name = {line.partition("=")[0]: line for line in lines}  # the last line of a name counts
    return {name: by_name[name] for name in names}


def is_secret(name: str) -> bool:
    return any(word in name for word in UNSHOWN)


def _decoded(content: bytes, path: Path) -> str:
    """Return the text of a file in UTF-8 or UTF-16, without the byte order mark that programs on Windows
    write."""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        return content.decode(encoding).replace(BYTE_ORDER_MARK, "")
    except UnicodeDecodeError as error:
        raise _unreadable(path, content[: error.start].count(b"\n") + 1) from None


def _parse_env_file(text: str, path: Path) -> dict[str, str]:
    """Return the values in a file by name. Each call uses a class of its own, because django-environ stores
    values in the class's ENVIRON. Lines are checked first, because it would log an invalid one, secret or
    not."""

    class FileEnv(environ.Env):
        ENVIRON: ClassVar[dict[str, str]] = {}

    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not LINE.fullmatch(line):
            raise _unreadable(path, number)
    FileEnv.read_env(StringIO("\n".join(line.lstrip() for line in lines)))
    return FileEnv.ENVIRON


def _check_address(value: str) -> None:
    """Raise ValueError unless the value is an address with http:// or https://."""
    address = urlsplit(value)
    has_host = bool(address.hostname) and address.port != 0
    if not has_host or address.scheme not in {"http", "https"} or not value.isprintable() or " " in value:
        raise ValueError("no address")


def _check_safe_address(value: str) -> None:
    """Raise ValueError unless secrets can be sent to the address. A user, a query or a fragment is refused,
    too, because paths are appended to it."""
    _check_address(value)
    address = urlsplit(value)
    if address.scheme == "http" and not _is_this_machine(address.hostname or ""):
        raise ValueError("plain HTTP")
    if "@" in address.netloc or address.query or address.fragment:
        raise ValueError("more than a path")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_network(value: str) -> None:
    ipaddress.ip_network(value, strict=False)


def _check_certificates(path: str) -> None:
    ssl.create_default_context(cafile=path)


def _unreadable(path: Path, number: int) -> SettingError:
    return SettingError(
        f"{path}, line {number}: cannot be read; a line must have the form NAME=value.", source=str(path)
    )


def time_zone(name: str, machines_own: Path = Path("/etc/localtime")) -> tzinfo:
    """Return the time zone of a name such as Europe/Berlin, or of a zone file's path; the machine's for "",
    UTC when that is unknown. A leading colon is ignored (tzset(3)).

    Call it before Django sets the process's zone to TIME_ZONE.
    """
    name = name.removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with (Path(name) if name else machines_own).open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return UTC
