"""A stand-in for Google in a thread: it answers from memory, in one write, with a chunk for each event. A
request with HOLD in its body gets the first event only."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from benchmarks.canned_answers import account_answers
from benchmarks.processes import LOOPBACK

if TYPE_CHECKING:
    import socket

    from benchmarks.workloads import Workload

HOLD = b"hold this stream"


class _Server(ThreadingHTTPServer):
    """Leaves the connections of `held` open, without threads."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.held: list[socket.socket] = []

    def shutdown_request(self, request: Any) -> None:
        if request not in self.held:
            super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in self.held:
            connection.close()


class CannedUpstream:
    """A context manager. `workload` is the one whose answer model calls get."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def __enter__(self) -> Self:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if HOLD in body:
                    upstream._server.held.append(self.connection)
                    self.wfile.write(upstream._beginning())
                    self.close_connection = True
                else:
                    self.wfile.write(upstream._answer_to(self.path))

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = _Server((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def _answer_to(self, path: str) -> bytes:
        call = path.rpartition(":")[2] if ":" in path else path.rpartition("/")[2]
        body = account_answers().get(call)
        if body is not None:
            return _head(b"application/json", b"Content-Length: %d" % len(body)) + body
        head = _head(b"text/event-stream", b"Transfer-Encoding: chunked")
        return head + b"".join(map(_chunk, _events(self.workload.answer))) + b"0\r\n\r\n"

    def _beginning(self) -> bytes:
        head = _head(b"text/event-stream", b"Transfer-Encoding: chunked")
        return head + _chunk(_events(self.workload.answer)[0])


def _head(content_type: bytes, length: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n\r\n" % (content_type, length)


def _events(answer: bytes) -> list[bytes]:
    return [event + b"\r\n\r\n" for event in answer.split(b"\r\n\r\n") if event]


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)
