"""Attacks on the running gateway that cost their sender little: what each may take is bounded, in total and
in time, and other people's requests go on meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.clients.raw_http import as_chunks, ask, post, request_bytes, wire
from tests.clients.test_large_bodies import WatchedGateway
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.server import EmulatorServer
MIB = 1024 * 1024
HELLO: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
KEY = {"x_api_key": "secret"}


@pytest.fixture(scope="module")
def gateway_under_pressure(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedGateway]:
    temporary = str(tmp_path_factory.mktemp("tmp"))
    with WatchedGateway(
        shared_emulator,
        tmp_path_factory.mktemp("data"),
        TMPDIR=temporary,
        AUTH_TOKEN="secret",
        HEADER_TIMEOUT_SECONDS="1",
        BODY_TIMEOUT_SECONDS="4",
        BODIES_IN_FLIGHT_MIB="64",
    ) as gateway:
        yield gateway


@pytest.fixture
def gateway(gateway_under_pressure: WatchedGateway) -> Iterator[WatchedGateway]:
    """It goes on, whatever was sent."""
    yield gateway_under_pressure
    assert post(gateway_under_pressure.url, HELLO, **KEY).status == 200
    assert "Traceback" not in gateway_under_pressure.output


def test_forty_connections_without_a_key_take_no_memory(gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()

    with ExitStack() as stack:
        connections = [stack.enter_context(wire(gateway.url)) for _ in range(40)]
        for connection in connections:
            connection.send(request_bytes(body=None, content_length=str(31 * MIB)))
        answers = [connection.answer() for connection in connections]
        for connection in connections:
            connection.send(b"x" * MIB)

    assert {answer.status for answer in answers} == {401}
    assert gateway.memory_peak < before + 8 * MIB


def test_bodies_of_all_connections_have_a_limit_together(gateway: WatchedGateway) -> None:
    half = b"{" + b" " * (20 * MIB)
    before = gateway.forget_memory_peak()

    with ExitStack() as stack:
        connections = [stack.enter_context(wire(gateway.url)) for _ in range(5)]
        for connection in connections:
            head = request_bytes(body=None, content_length=str(31 * MIB), **KEY)
            connection.send(head + half)
        refused = connections[-1].answer()
        post(gateway.url, HELLO, **KEY)

    assert refused.status == 503
    assert refused.headers["retry-after"] == "5"
    assert refused.error["type"] == "api_error"
    assert gateway.memory_peak < before + 96 * MIB


@pytest.mark.parametrize("trickled", [b"GET /health HTTP/1.1\r\nx: ", b"", b"\r\n"])
def test_slow_headers_are_refused_in_time(trickled: bytes, gateway: WatchedGateway) -> None:
    started = time.monotonic()
    with wire(gateway.url) as connection:
        connection.send(trickled)
        try:
            while time.monotonic() - started < 8:
                connection.send(b"a")
                time.sleep(0.1)
        except OSError:
            pass
        took = time.monotonic() - started

    assert took < 6


def test_slow_headers_get_a_408_with_the_reason(gateway: WatchedGateway) -> None:
    with wire(gateway.url) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nHost: local")
        answer = connection.answer()

        assert (answer.status, answer.error["type"]) == (408, "timeout_error")
        assert connection.is_closed_by_server()


def test_a_slow_body_is_refused_in_time(gateway: WatchedGateway) -> None:
    started = time.monotonic()
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, content_length="1000", **KEY))
        for _ in range(30):
            connection.send(b" ")
            time.sleep(0.1)
        answer = connection.answer()

    assert (answer.status, answer.error["type"]) == (408, "timeout_error")
    assert 3 < time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("start", "trickled"),
    [(b"5;", b"x"), (b"2\r\n{}\r\n0\r\n", b"x: y\r\n")],
    ids=["the extension of a chunk", "lines after the last chunk"],
)
def test_slow_chunk_extensions_and_trailers_are_refused_in_time(
    start: bytes, trickled: bytes, gateway: WatchedGateway
) -> None:
    started = time.monotonic()
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, transfer_encoding="chunked", **KEY) + start)
        with suppress(OSError):
            for _ in range(60):
                connection.send(trickled)
                time.sleep(0.1)
        answer = connection.answer()

    assert (answer.status, answer.error["type"]) == (408, "timeout_error")
    assert 3 < time.monotonic() - started < 8


@pytest.mark.parametrize("headers", [KEY, {}], ids=["with a key", "without"])
def test_two_million_chunks_are_refused_early(headers: dict[str, str], gateway: WatchedGateway) -> None:
    """Without a key the first of them may have come before anybody has asked for one."""
    before = gateway.forget_memory_peak()
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, transfer_encoding="chunked", **headers))
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            for _ in range(200):
                connection.send(b"2\r\n  \r\n" * 10_000)
        answer = connection.everything()

    assert answer.startswith(b"HTTP/1.1 400" if headers else (b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert answer.count(b'"type":"error"') == 1
    assert gateway.memory_peak < before + 8 * MIB


def test_a_kept_connection_may_be_idle_longer_than_headers_may_take(gateway: WatchedGateway) -> None:
    with wire(gateway.url) as connection:
        connection.send(request_bytes("GET", "/health"))
        assert connection.answer("GET").status == 200
        time.sleep(3.5)
        connection.send(request_bytes("GET", "/health"))

        assert connection.answer("GET").status == 200


def test_a_refused_request_gets_no_100_continue(gateway: WatchedGateway) -> None:
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, content_length="100", expect="100-continue"))
        raw = connection.everything()

    assert raw.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in raw.lower()


@pytest.mark.parametrize("body", [b"", b"{}", orjson.dumps(HELLO)])
def test_a_refusal_with_a_small_body_is_one_answer(body: bytes, gateway: WatchedGateway) -> None:
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=body, connection="close"))
        raw = connection.everything()

    assert raw.count(b"HTTP/1.1") == 1
    assert raw.startswith(b"HTTP/1.1 401")


def test_chunks_after_a_refusal_are_dropped(gateway: WatchedGateway) -> None:
    with wire(gateway.url) as connection:
        connection.send(request_bytes(body=None, transfer_encoding="chunked"))
        assert connection.answer().status == 401
        connection.send(as_chunks(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100, size=7))

        assert connection.everything() == b""


def test_a_page_takes_no_larger_body_than_the_api(gateway: WatchedGateway) -> None:
    before = gateway.forget_memory_peak()

    answer = ask(gateway.url, request_bytes("POST", "/admin/login/", None, content_length=str(10**12)))

    assert (answer.status, answer.error["type"]) == (413, "request_too_large")
    assert gateway.memory_peak < before + 8 * MIB


def test_an_unfinished_body_does_not_delay_the_stop(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        LiveGateway(shared_emulator, tmp_path_factory.mktemp("data")) as gateway,
        wire(gateway.url) as connection,
    ):
        connection.send(request_bytes(body=None, content_length="1000") + b"{")
        time.sleep(0.5)
        started = time.monotonic()

        status = gateway.stop()
        answer = connection.answer()

    assert status == 0
    assert time.monotonic() - started < 5
    assert (answer.status, answer.error["type"]) == (529, "overloaded_error")


IMAGE = {"type": "base64", "media_type": "image/png", "data": "QUJD" * (300 * 1024)}
LARGE = orjson.dumps(
    {**HELLO, "messages": [{"role": "user", "content": [{"type": "image", "source": IMAGE}]}]}
)


def test_forty_long_sessions_at_once_are_all_answered(gateway: WatchedGateway) -> None:
    with ThreadPoolExecutor(40) as clients:
        statuses = list(clients.map(lambda _: post(gateway.url, LARGE, **KEY).status, range(40)))

    assert statuses == [200] * 40
