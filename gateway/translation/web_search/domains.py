"""The domain lists ``allowed_domains`` and ``blocked_domains``, matched against addresses.

The rules are those of Anthropic's page on the web search tool: no scheme; subdomains match, so
``example.com`` covers ``docs.example.com`` and not the other way round; a path covers the paths below it; one
``*`` may stand in the path, none in the host.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import unquote, urlsplit

from accounts.values.sanitize import UNSAFE

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_ADDRESS = 2_048
LONGEST_DOMAIN = 500
MAX_DOMAINS = 1_000

_NOT_IN_AN_ADDRESS = re.compile(r'[\s\\<>"]')
_HOST = re.compile(r"(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*")


class UnreadableDomain(ValueError):
    """Raised for an entry of the lists that is not a domain in Anthropic's form."""


def is_web_address(text: object) -> TypeGuard[str]:
    """Return True for http or https with a host and no user name, so that a reader sees where it leads."""
    if not isinstance(text, str) or len(text) > LONGEST_ADDRESS:
        return False
    if _NOT_IN_AN_ADDRESS.search(text) or UNSAFE.search(text):
        return False
    try:
        address = urlsplit(text)
        host, port = address.hostname or "", address.port
    except ValueError:
        return False
    is_host = bool(_HOST.fullmatch(_ascii(host))) or address.netloc.startswith("[")
    return address.scheme in ("http", "https") and is_host and "@" not in address.netloc and port != 0


def host_of(address: str) -> str:
    """Return the host in lower case and ASCII (IDNA), without a final dot."""
    return _ascii(urlsplit(address).hostname or "")


@dataclass(frozen=True, slots=True)
class Domain:
    """One entry of a list. ``path`` is None for the whole domain."""

    host: str
    path: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> Domain:
        """Parse an entry. Raises UnreadableDomain."""
        text = text.strip()
        host, slash, path = text.partition("/")
        host = _ascii(host)
        if len(text) > LONGEST_DOMAIN or not _HOST.fullmatch(host) or path.count("*") > 1:
            raise UnreadableDomain
        return cls(host, _under(slash + path) if path else None)

    def covers(self, host: str, path: str) -> bool:
        """Return True when the entry matches; ``host`` and ``path`` come from `host_of` and `_path_of`."""
        if host != self.host and not host.endswith(f".{self.host}"):
            return False
        return self.path is None or self.path.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Domains:
    """Both lists. ``allowed`` None allows all but the blocked domains."""

    allowed: tuple[Domain, ...] | None = None
    blocked: tuple[Domain, ...] = ()

    @classmethod
    def parse(cls, allowed: Iterable[str] | None, blocked: Iterable[str] | None) -> Domains:
        """Parse both lists; an empty one counts as absent.

        Raises UnreadableDomain, also for both lists at once, which Anthropic refuses, and for more than
        MAX_DOMAINS.
        """
        allow, block = list(allowed or ()), list(blocked or ())
        if (allow and block) or len(allow + block) > MAX_DOMAINS:
            raise UnreadableDomain
        return cls(tuple(map(Domain.parse, allow)) or None, tuple(map(Domain.parse, block)))

    @property
    def allows_all(self) -> bool:
        return self.allowed is None and not self.blocked

    def allows(self, address: str) -> bool:
        host, path = host_of(address), _path_of(urlsplit(address).path)
        if any(domain.covers(host, path) for domain in self.blocked):
            return False
        return self.allowed is None or any(domain.covers(host, path) for domain in self.allowed)


def _ascii(host: str) -> str:
    """Normalise a host: ``bücher.example`` and ``xn--bcher-kva.example`` are the same."""
    host = host.lower().rstrip(".")
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _under(path: str) -> re.Pattern[str]:
    """Return a pattern for the paths that an entry's path covers."""
    before, star, after = path.rstrip("/").partition("*")
    pattern = re.escape(_path_of(before) if not star else before)
    if star:
        pattern += ".*" + re.escape(after)
    return re.compile(f"{pattern}(/.*)?", re.DOTALL)


def _path_of(path: str) -> str:
    """Normalise a path: ``/a/../%62log`` and ``/blog`` are the same."""
    return posixpath.normpath(f"/{unquote(path).lstrip('/')}")
