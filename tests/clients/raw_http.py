"""HTTP by hand, for requests that no client library would send."""

from __future__ import annotations

import io
import socket
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What Anthropic's envelope holds; anything else fails here."""
        assert self.headers["content-type"] == "application/json", self
        assert self.headers["request-id"] == orjson.loads(self.body)["request_id"], self
        envelope = orjson.loads(self.body)
        assert envelope["type"] == "error", envelope
        error: dict[str, Any] = envelope["error"]
        assert isinstance(error["message"], str)
        return error


class _Reader(io.BufferedReader):
    """Stays open when HTTPResponse has read one answer: the next one may be in its buffer already."""

    def close(self) -> None:
        pass


class Wire:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._raw = connection.makefile("rb", buffering=0)
        self._reader = _Reader(self._raw)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What HTTPResponse asks of a socket."""
        return self._reader

    @classmethod
    def to(cls, url: str) -> Wire:
        address = urlsplit(url)
        return cls(socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS))

    def reset(self) -> None:
        """Without lingering the kernel sends RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._raw.close()
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def expect(self, beginning: bytes) -> None:
        """Something has arrived, and it begins like this after the version."""
        assert self._reader.peek(16)[:64].startswith(b"HTTP/1.1 " + beginning)

    def answer(self, method: str = "POST") -> Answer:
        with HTTPResponse(cast("socket.socket", self), method=method) as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())

    def everything(self) -> bytes:
        """Until the server closes the connection, which must come."""
        received = b""
        with suppress(ConnectionResetError):
            while piece := self._reader.read1():
                received += piece
        return received

    def is_closed_by_server(self) -> bool:
        self.everything()
        return True


@contextmanager
def wire(url: str) -> Iterator[Wire]:
    connection = Wire.to(url)
    try:
        yield connection
    finally:
        connection.close()


def request_bytes(
    method: str = "POST", path: str = "/v1/messages", body: bytes | None = b"", **headers: str
) -> bytes:
    """Header names are written with underscores; ``body=None`` declares no length."""
    named = {"host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None and "content-length" not in named and "transfer-encoding" not in named:
        named["content-length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode("latin1") + b"\r\n\r\n" + (body or b"")


def ask(url: str, raw: bytes, method: str = "POST") -> Answer:
    with wire(url) as connection:
        connection.send(raw)
        return connection.answer(method)


def post(url: str, body: Any, path: str = "/v1/messages", **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return ask(url, request_bytes("POST", path, content, **{"content_type": "application/json", **headers}))


def as_chunks(data: bytes, size: int = 65536) -> bytes:
    """Transfer-Encoding: chunked, whole."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
