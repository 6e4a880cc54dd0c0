"""A server on loopback that answers each connection with given bytes, however wrong they are."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def answering(pieces: Iterable[bytes], pause_seconds: float = 0.0) -> Iterator[str]:
    """Its address. Each connection is sent `pieces` once its request has come, a pause after each.

    They are a list, or, for a single connection, an iterable without an end.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        is_over = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, is_over, pieces, pause_seconds))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            is_over.set()
            thread.join()


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def _serve(
    listener: socket.socket, is_over: threading.Event, pieces: Iterable[bytes], pause_seconds: float
) -> None:
    while not is_over.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection, suppress(OSError):
            connection.settimeout(1)
            _read_request(connection)
            for piece in pieces:
                if is_over.is_set():
                    return
                connection.sendall(piece)
                time.sleep(pause_seconds)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass  # closed with something unread, the connection would break before its answer is read


def _read_request(connection: socket.socket) -> None:
    """Short ones come whole."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
