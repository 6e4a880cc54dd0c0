"""The health check of the image, against a server that answers in several ways."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from proxy_site.container.health import problem
from tests.live_gateway import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:  # the name that the base class calls
        assert self.path == "/healthz"
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "found"), [(200, ""), (400, ""), (500, "status 500"), (503, "status 503")]
)
def test_an_answer_is_healthy_unless_the_gateway_fails(
    status: int, found: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "status", status)

    assert problem(port) == found


def test_the_operators_proxy_is_not_asked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert problem(port) == ""


def test_no_gateway_is_no_health() -> None:
    assert problem(free_port()).startswith("no answer: [Errno ")
