"""The log of received requests and their outcomes: one entry a request, for tests to read and wait for."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
Purpose = Literal["answer", "safeguards"]

_SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key", "x-goog-api-key"})


@dataclass
class Entry:
    """One request.

    Names of headers are in lower case; secrets are left out. Times are seconds since the epoch by the real
    clock; None means not yet. ``outcome``: "open", then "answered", "refused", "faulted" or "closed by peer".
    """

    number: int
    method: str
    headers: dict[str, str]
    body: bytes
    received_at: float
    path: str = ""
    provider: str = "cloud_code"
    """The provider whose emulator was asked."""
    account: str | None = None
    model: str | None = None
    purpose: Purpose | None = None
    """The purpose of a model call: "safeguards" for the judge of tool calls, "answer" for any other."""
    status: int | None = None
    outcome: str = "open"
    message: str | None = None
    usage: Json = field(default_factory=dict)
    """The usage of the answer."""
    usage_sent: Json = field(default_factory=dict)
    """The last usageMetadata that was sent completely."""
    chunks_sent: int = 0
    finished_at: float | None = None
    closed_by_peer_at: float | None = None

    @property
    def envelope(self) -> Any:
        """The JSON body, decoded anew each time; None where it is not JSON, as at the token endpoint."""
        return decoded(self.body)

    @property
    def body_sha256(self) -> str:
        """Return a hash to compare with that of the body that a client sent, which a relay must not
        change."""
        return hashlib.sha256(self.body).hexdigest()

    def as_json(self, *, with_envelope: bool = True) -> Json:
        shown = {key: value for key, value in vars(self).items() if key != "body"}
        shown["body_sha256"] = self.body_sha256
        return {**shown, "envelope": self.envelope} if with_envelope else shown


def decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


class Log:
    """The log. Thread-safe. Keeps the newest ``size`` entries; the counters count all."""

    def __init__(self, size: int = 1_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._received = 0
        self.open_streams = 0

    def __iter__(self) -> Iterator[Entry]:
        with self._changed:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def received(self) -> int:
        return self._received

    def entries(
        self,
        method: str | None = None,
        *,
        account: str | None = None,
        model: str | None = None,
        provider: str | None = None,
    ) -> list[Entry]:
        wanted = {"method": method, "account": account, "model": model, "provider": provider}
        filters = {name: value for name, value in wanted.items() if value is not None}
        return [e for e in self if all(getattr(e, name) == value for name, value in filters.items())]

    def generations(self, account: str | None = None, *, purpose: Purpose | None = None) -> list[Entry]:
        """Return the model calls, streamed or not."""
        calls = [e for e in self.entries(account=account) if e.purpose is not None]
        return calls if purpose is None else [e for e in calls if e.purpose == purpose]

    def clear(self) -> None:
        with self._changed:
            self._entries.clear()

    def open(self, method: str, headers: dict[str, str], body: bytes) -> Entry:
        lowered = {str(name).lower(): value for name, value in headers.items()}
        shown = {name: value for name, value in lowered.items() if name not in _SECRET_HEADERS}
        with self._changed:
            self._received += 1
            entry = Entry(self._received, method, shown, body, time.time())
            self._entries.append(entry)
            self._changed.notify_all()
        return entry

    def update(self, entry: Entry, **changes: Any) -> None:
        with self._changed:
            for name, value in changes.items():
                setattr(entry, name, value)
            self._changed.notify_all()

    def count_stream(self, change: int) -> None:
        with self._changed:
            self.open_streams += change
            self._changed.notify_all()

    def wait_for(self, predicate: Callable[[Entry], bool], timeout: float = 5) -> Entry:
        """Return the first entry for which ``predicate`` holds, now or within ``timeout`` seconds."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._first(predicate), timeout)
        if found is None:
            raise TimeoutError(f"no such request within {timeout} s; received: {self._summary()}")
        return found

    def wait_until_idle(self, timeout: float = 5) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self.open_streams == 0, timeout):
                raise TimeoutError(f"{self.open_streams} streams still open after {timeout} s")

    def _first(self, predicate: Callable[[Entry], bool]) -> Entry | None:
        return next((entry for entry in self._entries if predicate(entry)), None)

    def _summary(self) -> str:
        return ", ".join(f"{e.method} {e.status} {e.outcome}" for e in list(self)[-10:]) or "nothing"
