"""Running requests when the gateway gets a signal to stop."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest

from proxy_site.emulator.delivery.behaviour import pace, stall_before_headers
from tests.clients.raw_http import request_bytes
from tests.gateway.conftest import a_body
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from pathlib import Path

    from proxy_site.emulator.server import EmulatorServer
GRACE_SECONDS = 30
"""The default of SHUTDOWN_GRACE_SECONDS."""
REFUSED = 0


class Reader(threading.Thread):
    """Reads one answer to its end. `text` is what came, `status` its status."""

    def __init__(self, gateway: LiveGateway, *, stream: bool = True) -> None:
        super().__init__(daemon=True)
        self.url = f"{gateway.url}/v1/messages"
        self.stream = stream
        self.text = ""
        self.status = 0
        self.begun = threading.Event()
        self.start()

    def run(self) -> None:
        body = a_body(stream=self.stream)
        with httpx.stream("POST", self.url, json=body, timeout=60) as response:
            self.status = response.status_code
            for piece in response.iter_text():
                self.text += piece
                self.begun.set()


def until_refused(gateway: LiveGateway) -> None:
    """Returns when new connections are refused; raises when they never are."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", gateway.port), timeout=1).close()
        except ConnectionRefusedError:
            return
        except (ConnectionResetError, TimeoutError):
            pass  # it was closed in the middle of the handshake, whose packets were refused or dropped
        time.sleep(0.02)
    raise AssertionError("the gateway still accepts connections")


def a_gateway(emulator: EmulatorServer, tmp_path: Path, **settings: str) -> LiveGateway:
    emulator.state.lift_quotas()
    return LiveGateway(emulator, tmp_path, MAX_CONCURRENT_REQUESTS="0", **settings)


def test_running_streams_may_finish(emulator: EmulatorServer, tmp_path: Path) -> None:
    emulator.state.reply("one two three four", behaviour=pace(chunk_delay=0.3, chunk_count=4))
    with a_gateway(emulator, tmp_path) as gateway:
        reader = Reader(gateway)
        reader.begun.wait(10)

        status = gateway.stop()
        reader.join(10)

    assert status == 0
    assert reader.text.rstrip().endswith('{"type":"message_stop"}')


def test_probes_hear_of_the_drain(emulator: EmulatorServer, tmp_path: Path) -> None:
    """Idle connections are closed, so a probe cannot connect."""
    emulator.state.reply("one two three four", behaviour=pace(chunk_delay=0.3, chunk_count=4))
    with a_gateway(emulator, tmp_path) as gateway, httpx.Client(base_url=gateway.url) as prober:
        before = [status_of(prober, path) for path in ("/healthz", "/readyz")]
        Reader(gateway).begun.wait(10)

        gateway.process.send_signal(signal.SIGTERM)
        until_refused(gateway)
        meanwhile = [status_of(prober, path) for path in ("/healthz", "/readyz")]
        status = gateway.process.wait(10)

    assert (before, status) == ([200, 200], 0)
    assert meanwhile == [REFUSED, REFUSED]


def status_of(prober: httpx.Client, path: str) -> int:
    try:
        return prober.get(path).status_code
    except httpx.TransportError:
        return REFUSED


@pytest.mark.parametrize("count", [1, 100])
def test_longer_streams_end_with_the_reason(count: int, emulator: EmulatorServer, tmp_path: Path) -> None:
    emulator.state.pace = pace(chunk_delay=0.5, chunk_count=200)
    with a_gateway(emulator, tmp_path, SHUTDOWN_GRACE_SECONDS="1") as gateway:
        readers = [Reader(gateway) for _ in range(count)]
        for reader in readers:
            assert reader.begun.wait(20)

        status = gateway.stop()
        for reader in readers:
            reader.join(10)

    assert status == 0
    for reader in readers:
        assert reader.text.count("event: message_start") == 1
        assert reader.text.count("event: error") == 1
        assert "The gateway is shutting down." in reader.text
    emulator.state.log.wait_until_idle()


def test_a_plain_request_that_takes_longer_gets_an_error(emulator: EmulatorServer, tmp_path: Path) -> None:
    emulator.state.fault(stall_before_headers(30))
    with a_gateway(emulator, tmp_path, SHUTDOWN_GRACE_SECONDS="0") as gateway:
        reader = Reader(gateway, stream=False)
        emulator.state.log.wait_for(lambda entry: entry.method == "streamGenerateContent")

        status = gateway.stop()
        reader.join(10)

    assert (status, reader.status) == (0, 529)
    assert "The gateway is shutting down." in reader.text


def test_a_blocked_reader_gets_no_second_answer(emulator: EmulatorServer, tmp_path: Path) -> None:
    emulator.state.lift_quotas()
    text = "word " * 200
    emulator.state.reply_chunks(
        [{"response": {"candidates": [{"content": {"parts": [{"text": text}]}}]}}] * 20_000
    )
    with (
        a_gateway(emulator, tmp_path, SHUTDOWN_GRACE_SECONDS="0") as gateway,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", gateway.port))
        body = orjson.dumps(a_body(stream=True))
        connection.sendall(request_bytes(body=body, content_type="application/json"))
        answer = connection.recv(1024)
        time.sleep(1)  # until every buffer on the way is full, and the gateway waits for room

        status = gateway.stop()
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece

    assert status == 0
    assert answer.count(b"HTTP/1.1") == 1
    assert b"The gateway is shutting down." not in answer
    assert "Traceback" not in gateway.output


def test_a_second_signal_does_not_wait(emulator: EmulatorServer, tmp_path: Path) -> None:
    emulator.state.pace = pace(chunk_delay=0.5, chunk_count=200)
    with a_gateway(emulator, tmp_path, SHUTDOWN_GRACE_SECONDS="600") as gateway:
        reader = Reader(gateway)
        reader.begun.wait(10)

        gateway.process.send_signal(signal.SIGINT)
        until_refused(gateway)  # two signals at the same moment would be one
        status = gateway.stop(signal.SIGINT)

    assert status == 0


def test_a_new_client_is_not_accepted_while_others_finish(emulator: EmulatorServer, tmp_path: Path) -> None:
    emulator.state.pace = pace(chunk_delay=0.5, chunk_count=200)
    with a_gateway(emulator, tmp_path, SHUTDOWN_GRACE_SECONDS="600") as gateway:
        reader = Reader(gateway)
        reader.begun.wait(10)
        gateway.process.send_signal(signal.SIGTERM)

        until_refused(gateway)

        assert reader.is_alive()
        assert gateway.stop() == 0


def test_activity_streams_do_not_delay_the_shutdown(emulator: EmulatorServer, tmp_path: Path) -> None:
    """A page that listens for events would do so for ever; a request that is under way may still finish."""
    with a_gateway(emulator, tmp_path, WEBUI_PASSWORD="operator-password") as gateway:
        watcher = httpx.Client(auth=("admin", "operator-password"), timeout=30)
        with watcher.stream("GET", f"{gateway.url}/api/activity") as watched:
            lines = watched.iter_lines()
            assert next(lines) == ": listening"

            told_at = time.monotonic()
            status = gateway.stop()
            took = time.monotonic() - told_at
            rest = list(lines)

    assert status == 0
    assert took < GRACE_SECONDS / 2
    assert not [line for line in rest if line.startswith("data")]
