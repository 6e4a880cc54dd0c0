"""A client that hangs up ends the call to Google at once, and disturbs nobody else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from proxy_site.emulator.delivery.behaviour import pace
from tests.clients.raw_http import Wire, ask, request_bytes, wire
from tests.live_gateway import LiveGateway, UnderAnotherServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer

NOTICED_WITHIN_SECONDS = 1.0
LONG = 60.0
CLIENTS = 10
SLOWLY = pace(chunk_delay=0.02)


@pytest.fixture(scope="module", params=[LiveGateway, UnderAnotherServer])
def shared_gateway(
    shared_emulator: EmulatorServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[LiveGateway]:
    """The gateway's own server tells of a hang-up by a call, another one by a message."""
    with request.param(shared_emulator, tmp_path_factory.mktemp("data")) as gateway:
        yield gateway


@pytest.fixture
def google(shared_emulator: EmulatorServer) -> Iterator[EmulatorServer]:
    shared_emulator.state.log.clear()
    yield shared_emulator
    shared_emulator.state.clear_scripts()


def begin(connection: Wire, *, stream: bool) -> None:
    body: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": stream,
    }
    connection.send(request_bytes(body=orjson.dumps(body), content_type="application/json"))


def arrived(google: EmulatorServer) -> Entry:
    return google.state.log.wait_for(lambda entry: entry.model is not None, timeout=20)


def assert_closed_soon(google: EmulatorServer, hung_up_at: float) -> None:
    """The emulator writes down when its connection was closed."""
    entry = google.state.log.wait_for(lambda entry: entry.closed_by_peer_at is not None, timeout=10)
    assert entry.closed_by_peer_at is not None
    assert entry.closed_by_peer_at - hung_up_at < NOTICED_WITHIN_SECONDS


def assert_still_serving(gateway: LiveGateway) -> None:
    with wire(gateway.url) as connection:
        begin(connection, stream=False)
        assert connection.answer().status == 200
    assert "Traceback" not in gateway.output


def test_in_the_middle_of_a_stream(shared_gateway: LiveGateway, google: EmulatorServer) -> None:
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=2)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=True)
        connection.expect(b"200 OK")
    hung_up_at = time.time()

    assert_closed_soon(google, hung_up_at)
    assert_still_serving(shared_gateway)


def test_while_the_stream_is_running(shared_gateway: LiveGateway, google: EmulatorServer) -> None:
    google.state.reply("word " * 2000, behaviour=SLOWLY)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=True)
        connection.expect(b"200 OK")
    hung_up_at = time.time()

    assert_closed_soon(google, hung_up_at)
    assert_still_serving(shared_gateway)


def test_by_a_reset(shared_gateway: LiveGateway, google: EmulatorServer) -> None:
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=2)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=True)
        connection.expect(b"200 OK")
        connection.reset()
    hung_up_at = time.time()

    assert_closed_soon(google, hung_up_at)
    assert_still_serving(shared_gateway)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "in one piece"])
def test_while_it_waits_for_the_first_event(
    stream: bool, shared_gateway: LiveGateway, google: EmulatorServer
) -> None:
    google.state.fault("stall_before_headers", seconds=LONG)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=stream)
        arrived(google)
    hung_up_at = time.time()

    assert_closed_soon(google, hung_up_at)
    assert_still_serving(shared_gateway)


def test_while_an_answer_in_one_piece_is_collected(
    shared_gateway: LiveGateway, google: EmulatorServer
) -> None:
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=1)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=False)
        arrived(google)
    hung_up_at = time.time()

    assert_closed_soon(google, hung_up_at)
    assert_still_serving(shared_gateway)


def test_after_the_first_ping(shared_gateway: LiveGateway, google: EmulatorServer) -> None:
    """Ten seconds without an event: the stream is open by then, and kept alive."""
    google.state.fault("stall_before_headers", seconds=LONG)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=True)
        connection.expect(b"200 OK")
    hung_up_at = time.time()

    assert_closed_soon(google, hung_up_at)
    assert_still_serving(shared_gateway)


def test_many_at_once_leave_nothing_open(shared_gateway: LiveGateway, google: EmulatorServer) -> None:
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=2, times=CLIENTS)
    connections = [Wire.to(shared_gateway.url) for _ in range(CLIENTS)]
    for connection in connections:
        begin(connection, stream=True)
        connection.expect(b"200 OK")

    for connection in connections:
        connection.close()

    google.state.log.wait_until_idle(timeout=NOTICED_WITHIN_SECONDS * 5)
    assert all(entry.closed_by_peer_at for entry in google.state.log.generations())
    assert_still_serving(shared_gateway)


def test_the_same_connection_can_be_used_again_after_an_answer(
    shared_gateway: LiveGateway, google: EmulatorServer
) -> None:
    """The end of an answer must not be taken for a client that leaves."""
    with wire(shared_gateway.url) as connection:
        for stream in (True, False, True):
            begin(connection, stream=stream)

            assert connection.answer().status == 200

    assert [entry.outcome for entry in google.state.log.generations()] == ["answered"] * 3


def test_one_client_that_hangs_up_does_not_disturb_the_other(
    shared_gateway: LiveGateway, google: EmulatorServer
) -> None:
    google.state.reply("word " * 200, behaviour=SLOWLY, times=2)
    with wire(shared_gateway.url) as stays:
        begin(stays, stream=True)
        with wire(shared_gateway.url) as leaves:
            begin(leaves, stream=True)
            leaves.expect(b"200 OK")

        answer = stays.answer()

    assert answer.body.endswith(b'data: {"type":"message_stop"}\n\n')


def test_health_is_answered_while_streams_are_open(
    shared_gateway: LiveGateway, google: EmulatorServer
) -> None:
    google.state.fault("stall_mid_stream", seconds=LONG, after_chunks=2)
    with wire(shared_gateway.url) as connection:
        begin(connection, stream=True)
        connection.expect(b"200 OK")

        assert ask(shared_gateway.url, request_bytes("GET", "/health"), "GET").status == 200
