"""Unauthenticated requests of all kinds at a running gateway: its log stays short and without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.clients.raw_http import ask, request_bytes
from tests.live_gateway import LiveGateway, manage

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer
AUTH_TOKEN = "a-long-random-text"
BASIC = "Basic YWRtaW46d3Jvbmc="  # admin:wrong
NOISE = [
    request_bytes("GET", "/v1/models"),
    request_bytes("POST", "/v1/messages", b"{}", x_api_key="wrong"),
    request_bytes("GET", "/v1/v1/models"),
    request_bytes("GET", "/admin/nothing/"),
    request_bytes("GET", "/static/nothing.css"),
    request_bytes("POST", "/admin/login/", b"username=admin&password=wrong"),
    request_bytes("DELETE", "/admin/login/"),
    request_bytes("GET", "/account-limits", authorization=BASIC),
    request_bytes("GET", "/health", authorization=BASIC),
    request_bytes("GET", "/admin/", host="evil.example.com"),
    request_bytes("GET", "/admin/set-up/not-the-right-one-but-long/"),
    request_bytes("GET", "/v1/models", x_forwarded_for="127.0.0.1"),
    b"GET /health HTTP/1.1\r\n\r\n",
    b"nonsense\r\n\r\n",
]


def test_it_writes_a_line_or_two_and_the_set_up_link_is_in_none(
    emulator: EmulatorServer, tmp_path: Path
) -> None:
    with LiveGateway(emulator, tmp_path, AUTH_TOKEN=AUTH_TOKEN, LOG_LEVEL="debug") as gateway:
        printed = manage("setuplink", str(gateway.port), env=gateway.env)
        link = re.search(r"/admin/set-up/([\w-]+)/", printed.stdout.decode())
        assert link is not None
        before = len(gateway.output)
        for _ in range(8):
            for raw in NOISE:
                ask(gateway.url, raw, "GET")
            ask(gateway.url, request_bytes("POST", link[0], b"password=x", host="localhost"))
            ask(gateway.url, request_bytes("POST", link[0], b"", host="evil.example.com"))
        gateway.stop()

    lines = [line for line in gateway.output[before:].splitlines() if " DEBUG " not in line]
    # One as 127.0.0.1, one as another machine behind a proxy.
    assert len([line for line in lines if "127.0.0.1" in line or "/admin/" in line]) <= 2, lines
    assert link[1] not in gateway.output[before:]
