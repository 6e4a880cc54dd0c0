"""Removes secrets and addresses from texts, for a file that is passed on.

Accounts are numbered, so that their attempts can still be told apart. What is not recognised stays, so texts
of clients must not be passed here unchanged.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from accounts.pool.labels import short_labels
from gateway.telemetry.log_format import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS = "[address]"
EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+|\w{0,2}…\w?@\w?…(?: #\d+)?")
"""Matches an e-mail address, or the label of an account (accounts/pool/labels.py)."""
URL = re.compile(r"(\w+)://([^\s/\"'<>?#]*)[^\s\"'<>]*")
IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*::?[0-9A-Fa-f:.]*[0-9A-Fa-f:])(?!\w)")
HOST = re.compile(
    r"(?i)\b(host(?:name)?:? )((?!\d+(?:\.\d+){3})[\w-]+(?:(?:\.[\w-]+)*:\d{1,5}\b|(?:\.[\w-]+)+))"
)
"""Matches a host, as in aiohttp's "Cannot connect to host NAME:PORT ssl:default"."""
USER = re.compile(r"(?i)([/\\](?:home|users)[/\\]+)[^/\\\s'\"`<>|:,;()\[\]]+")
PROGRAM_FILE = re.compile(r'(?<=^  File )"(?:[^"]*?/)?((?:\[project\]|python3\.\d+|site-packages)/[\w./-]+)"')
"""Matches a file of this project, of Python or of a package, in a line of a traceback."""
PUBLIC_HOSTS = ("googleapis.com", "google.com")
SHORTEST_WORD = 3


def _between(opening: str, closing: str) -> str:
    """Return a pattern for a quotation with its marks, also one whose end was cut off. A closing mark before
    a letter counts as an apostrophe."""
    return rf"{opening}(?:\\.?+|[^{closing}\\]|{closing}(?=\w))*+{closing}?"


QUOTED = re.compile(
    "|".join(
        [
            _between(r"(?<!\w)[bru]{0,2}'", "'"),
            *map(_between, '"“„«\u2018', '"”“»\u2019'),
            r"(?P<ticks>`+)(?:(?!(?P=ticks)).)*+(?P=ticks)?",
        ]
    ),
    re.DOTALL | re.IGNORECASE,
)


class Anonymizer:
    """Makes texts anonymous. `accounts` are e-mail addresses by account id; `words` are further texts with
    their replacements."""

    def __init__(self, accounts: Mapping[int, str], words: Mapping[str, str]) -> None:
        labels = short_labels(accounts)
        self._accounts = {
            text.lower(): f"account {number}"
            for number, (key, email) in enumerate(sorted(accounts.items()), 1)
            for text in (email, labels[key])
        }
        self._words = {word: shown for word, shown in words.items() if len(word) >= SHORTEST_WORD}
        longest_first = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_as_pattern, longest_first))) if longest_first else None

    def account(self, email: str) -> str:
        """Return the account's number; one that was removed since has none."""
        return self._accounts.get(email.lower(), "an account") if email else ""

    def text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: self._words[found[0]], text)
        text = HOST.sub(_without_host, URL.sub(_origin, redacted(text)))
        text = USER.sub(r"\1[user]", text)
        return IP.sub(_without_ip, EMAIL.sub(lambda found: self.account(found[0]), text))

    def message(self, text: str) -> str:
        """Return what `text` does, without quotations, which may be a client's."""
        return QUOTED.sub("'…'", self.text(text))

    def traceback(self, text: str) -> str:
        """Return what `message` does, but with the names of the program's files."""
        return QUOTED.sub("'…'", PROGRAM_FILE.sub(r"\1", self.text(text)))


def _as_pattern(word: str) -> str:
    """Return a pattern for the word that does not match its beginning in a longer one, as /home/ada in
    /home/adalovelace."""
    return re.escape(word) + (r"(?!\w)" if word.startswith("/") else "")


def is_public(host: str) -> bool:
    return any(host == one or host.endswith(f".{one}") for one in PUBLIC_HOSTS)


def _origin(found: re.Match[str]) -> str:
    """Return the origin of a public address or of this machine; ADDRESS for any other."""
    host = found[2].rpartition("@")[2].partition(":")[0].lower()
    return f"{found[1]}://{host}" if is_public(host) or host == "localhost" else ADDRESS


def _without_host(found: re.Match[str]) -> str:
    host = found[2].partition(":")[0].lower()
    return found[0] if is_public(host) or host == "localhost" else f"{found[1]}{ADDRESS}"


def _without_ip(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found[0])
    except ValueError:
        return found[0]
    return found[0] if address.is_loopback or address.is_unspecified else ADDRESS
