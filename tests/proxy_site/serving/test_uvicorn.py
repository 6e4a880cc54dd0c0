"""uvicorn's protocol with our limits, in this process, around small applications. What it does around the
gateway: tests with ON_EACH_SERVER."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.api.application import DIRECT_SENDER
from proxy_site.serving import uvicorn as under_test
from proxy_site.serving.uvicorn import GatewayProtocol, GatewayServer
from tests.clients.raw_http import as_chunks, request_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy_site.serving.lifecycle import Lifecycle, Server

KIB = 1024
MIB = 1024 * KIB
START = {"type": "http.response.start", "status": 200, "headers": []}


class Sink(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        self.written += b"" if self.closed else data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class UntilTold:
    """A lifecycle without a gateway."""

    def __init__(self) -> None:
        self.is_ready = asyncio.Event()
        self.told = asyncio.Event()

    async def start(self) -> None:
        pass

    async def serve(self, server: Server) -> None:
        self.is_ready.set()
        await self.told.wait()
        server.stop_accepting()


@asynccontextmanager
async def serving(application: Any, header_seconds: float = 60) -> AsyncIterator[tuple[GatewayServer, int]]:
    """A server and its port."""
    lifecycle = UntilTold()
    listener = socket.create_server(("127.0.0.1", 0))
    server = GatewayServer(application, listener, cast("Lifecycle", lifecycle), header_seconds=header_seconds)
    running = asyncio.create_task(server.serve())
    await lifecycle.is_ready.wait()
    try:
        yield server, listener.getsockname()[1]
    finally:
        lifecycle.told.set()
        await running


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * KIB)
    try:
        yield reader, writer
    finally:
        cast("asyncio.Transport", writer.transport).abort()
        with suppress(OSError):
            await writer.wait_closed()


async def exchange(port: int, *pieces: bytes) -> bytes:
    """All that comes until the server closes the connection. The pieces are sent one by one."""
    async with connected(port) as (reader, writer), asyncio.timeout(10):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05)
        return await everything(reader)


async def everything(reader: asyncio.StreamReader) -> bytes:
    """To the end, of either kind."""
    received = b""
    with suppress(ConnectionResetError):
        while piece := await reader.read(64 * KIB):
            received += piece
    return received


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def answers(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send({"type": "http.response.body", "body": b"well"})


# WebSockets


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": str(len(message["text"]))})


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_websocket_message_is_bounded(compression: str | None) -> None:
    """Also one that is small only as long as it is compressed, or that comes in fragments."""
    async with serving(echo) as (_, port):
        for fragments in ([4 * KIB + 1], [2 * KIB, 2 * KIB + 1]):
            address = f"ws://127.0.0.1:{port}"
            async with connect(address, compression=cast("Any", compression), proxy=None) as websocket:
                await websocket.send("x" * 4 * KIB)
                assert await websocket.recv() == str(4 * KIB)
                await websocket.send(["x" * size for size in fragments])
                with pytest.raises(ConnectionClosed) as closed:
                    await websocket.recv()

            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


async def test_a_websocket_outlives_the_deadline_for_headers() -> None:
    async with (
        serving(echo, header_seconds=0.1) as (_, port),
        connect(f"ws://127.0.0.1:{port}", proxy=None) as websocket,
    ):
        await asyncio.sleep(0.3)
        await websocket.send("still here")

        assert await websocket.recv() == "10"


# Flow control


async def test_a_reader_that_does_not_read_stops_the_application() -> None:
    sent = 0

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        while sent < 200 * MIB:
            await send({"type": "http.response.body", "body": bytes(64 * KIB), "more_body": True})
            sent += 64 * KIB

    async with serving(endless) as (server, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request_bytes("GET", "/"))
            await until(server.has_unsent)
            await asyncio.sleep(0.2)
            before = sent
            await asyncio.sleep(0.2)

            assert before == sent < 20 * MIB
        await until(lambda: not server.has_unsent())


async def test_an_application_that_does_not_read_stops_the_client() -> None:
    wanted = asyncio.Event()
    read = 0

    async def patient(scope: Any, receive: Any, send: Any) -> None:
        nonlocal read
        await wanted.wait()
        while (message := await receive()).get("more_body"):
            read += len(message["body"])
        await send(START)
        await send({"type": "http.response.body"})

    async with serving(patient) as (_, port), connected(port) as (reader, writer):
        writer.write(request_bytes(body=bytes(32 * MIB)))
        await asyncio.sleep(0.3)
        transport = cast("asyncio.Transport", writer.transport)
        assert transport.get_write_buffer_size() > 8 * MIB

        wanted.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert read > 30 * MIB


async def test_a_whole_response_counts_as_unsent_until_it_has_left() -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": bytes(30 * MIB)})

    async with serving(large) as (server, port), connected(port) as (reader, writer):
        writer.write(request_bytes("GET", "/", connection="close"))
        await until(server.has_unsent)

        async with asyncio.timeout(10):
            assert len(await reader.read()) > 30 * MIB
        assert not server.has_unsent()


# Clients that leave, and applications that fail


async def test_a_hang_up_is_told_although_another_request_waits() -> None:
    told = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with serving(waits) as (_, port), connected(port) as (_, writer):
        writer.write(request_bytes("GET", "/") * 2)
        await asyncio.sleep(0.05)
        writer.close()

        async with asyncio.timeout(5):
            await told.wait()


async def test_an_application_that_fails_is_an_error_in_json(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a secret")

    async with serving(fails) as (_, port):
        raw = await exchange(port, request_bytes("GET", "/", connection="close"))

    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500")
    assert orjson.loads(body)["error"]["type"] == "api_error"
    assert b"secret" not in raw
    assert "the application failed" in caplog.text


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_half_a_response_has_no_end(error: type[BaseException]) -> None:
    async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.sleep(0.05)
        raise error

    async with serving(breaks_off) as (_, port), connected(port) as (reader, writer):
        writer.write(request_bytes("GET", "/"))
        received = await everything(reader)

    assert received.endswith(b"half\r\n")


# Deadlines


@pytest.mark.parametrize("before", [b"", request_bytes("GET", "/")], ids=["first", "second"])
@pytest.mark.parametrize("trickled", [b"GET / HTTP/1.1\r\nx: y", b"\r\n"])
async def test_headers_have_a_deadline_on_every_request(before: bytes, trickled: bytes) -> None:
    async with serving(answers, header_seconds=0.2) as (_, port):
        received = await exchange(port, before, trickled)

    assert received.count(b"HTTP/1.1 200") == bool(before)
    assert received.count(b"HTTP/1.1 408") == 1


@pytest.mark.parametrize("before", [b"", request_bytes("GET", "/")], ids=["new", "used"])
async def test_an_idle_connection_is_closed(before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "IDLE_SECONDS", 0.1)
    async with serving(answers) as (_, port):
        received = await exchange(port, before)

    assert received.count(b"HTTP/1.1 200") == bool(before)
    assert b"408" not in received


# Hardly HTTP


async def test_a_long_path_may_come_byte_by_byte() -> None:
    raw = request_bytes("GET", "/" + "a" * 700, connection="close")
    async with serving(answers) as (_, port), connected(port) as (reader, writer):
        for byte in raw:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_http_1_0_is_not_told_to_continue() -> None:
    raw = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    async with serving(answers) as (_, port):
        received = await exchange(port, raw)

    assert received.startswith(b"HTTP/1.1 200")


async def test_a_body_that_breaks_off_its_running_response_ends_the_connection() -> None:
    async def early(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(early) as (_, port), connected(port) as (reader, writer):
        writer.write(request_bytes(body=None, transfer_encoding="chunked"))
        await reader.readuntil(b"half")
        writer.write(b"zz\r\n")
        async with asyncio.timeout(5):
            assert await everything(reader) == b"\r\n"


async def test_too_many_requests_at_once_are_refused_after_their_answers() -> None:
    async with serving(answers) as (_, port):
        received = await exchange(port, request_bytes("GET", "/") * 5000)

    assert received.count(b"HTTP/1.1 200") == under_test.MOST_PIPELINED + 1
    assert received.count(b"HTTP/1.1 400") == 1
    assert received.endswith(b"}")


MESSAGES = [
    request_bytes("GET", "/"),
    request_bytes(body=b"hello"),
    request_bytes(body=as_chunks(b"hello" * 9, size=4), transfer_encoding="chunked"),
    request_bytes(body=b"5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n", transfer_encoding="chunked"),
    request_bytes(body=b"hello", upgrade="h2c", connection="Upgrade"),
    request_bytes("GET", "http://localhost/path?x=y"),
    request_bytes("HEAD", "/", expect="100-continue"),
    b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
]


@given(st.lists(st.sampled_from(MESSAGES), max_size=5), st.lists(st.integers(0, 800), max_size=12))
@settings(max_examples=300)
def test_where_packets_are_cut_changes_nothing(messages: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(messages)
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})

    pieces = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    assert fed(pieces) == fed([whole])
    assert fed(pieces).count(b"HTTP/1.1 200") == len(messages)


@given(st.sampled_from(MESSAGES), st.integers(0, 300), st.binary(max_size=9), st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_answered_or_waited_for(message: bytes, at: int, odd: bytes, after: bytes) -> None:
    written = fed([message[:at] + odd + message[at:], after])

    assert written == b"" or written.startswith(b"HTTP/1.1 ")


# The same as uvicorn's own


NAMES = st.sampled_from([b"x-one", b"X-Two", b"Content-Type", b"set-cookie", b"a b", b"a\nb", b""])
VALUES = st.sampled_from([b"", b"a", b"a, b", b"\xf6", b"a\r\nb", b"\x7f", b"text/plain"])
FRAMING = st.sampled_from([(b"content-length", b"4"), (b"Content-Length", b"0"), (b"connection", b"close")])
RESPONSES = st.tuples(
    st.sampled_from(["GET", "POST", "HEAD"]),
    st.sampled_from([200, 204, 304, 404, 500, 599]),
    st.lists(
        st.one_of(st.tuples(NAMES, VALUES), FRAMING), max_size=4, unique_by=lambda pair: pair[0].lower()
    ),
    st.lists(st.sampled_from([b"", b"a", b"four"]), min_size=1, max_size=3),
    st.booleans(),
)


@given(RESPONSES)
@settings(max_examples=500)
def test_a_response_is_written_as_uvicorn_writes_it(response: Any) -> None:
    assert _written(GatewayProtocol, response) == _written(HttpToolsProtocol, response)


def _written(protocol_class: type[HttpToolsProtocol], response: Any) -> tuple[bytes, bool]:
    """What is written for a response until its first fault, and whether the connection ended."""
    method, status, headers, pieces, keeps_alive = response
    messages = [{"type": "http.response.start", "status": status, "headers": headers}]
    messages += [
        {"type": "http.response.body", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            try:
                await send(message)
            except (RuntimeError, ValueError):
                transport.write(b"(a fault)")
                transport.abort()
                return

    async def feed() -> tuple[bytes, bool]:
        protocol = _protocol(protocol_class, answer)
        transport.protocol = protocol
        protocol.connection_made(transport)
        protocol.data_received(request_bytes(method, "/", connection="" if keeps_alive else "close"))
        for _ in range(5):
            await asyncio.sleep(0)
        is_closed = transport.closed
        protocol.connection_lost(None)
        return transport.written, is_closed

    transport = Sink()
    written, is_closed = asyncio.run(feed())
    # A response that breaks off may have been sent in part, which the client cannot use.
    return (b"(a fault)", True) if b"(a fault)" in written else (written, is_closed)


def test_a_connection_and_its_request_keep_no_dictionaries_of_attributes() -> None:
    """They would take more than a kilobyte of each client that is connected."""
    kept: list[Any] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        kept.append(receive.__self__)
        await answers(scope, receive, send)

    async def feed() -> None:
        protocol, transport = _protocol(GatewayProtocol, note), Sink()
        transport.protocol = protocol
        protocol.connection_made(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0)
        kept.append(protocol)

    asyncio.run(feed())

    cycle, protocol = kept
    assert not hasattr(cycle, "__dict__")
    assert vars(protocol) == {}


def test_a_connection_keeps_no_parser_during_a_stream_and_takes_another_request() -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    async def play() -> tuple[list[bool], bytes]:
        may_end = asyncio.Event()

        async def stream(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await may_end.wait()
            await send({"type": "http.response.body", "body": b"last"})

        protocol, transport = _protocol(GatewayProtocol, stream), Sink()
        transport.protocol = protocol
        protocol.connection_made(transport)
        has_parser = []
        protocol.data_received(request)
        for step in (lambda: None, lambda: protocol.data_received(request), may_end.set):
            step()
            for _ in range(10):
                await asyncio.sleep(0)
            has_parser.append(protocol.parser is not None)
        return has_parser, transport.written

    has_parser, written = asyncio.run(play())

    assert has_parser[0] is False
    assert written.count(b"first") == written.count(b"last") == 2


REQUEST_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["X-One", "accept", "x_three", "Expect", "CONNECTION"]),
        st.sampled_from(["", "a", "a, b", "100-continue", "keep-alive", "close", "\xf6"]),
    ),
    max_size=5,
)
TARGETS = st.sampled_from(["/", "/a%20b/%C3%B6?x=%20&y", "/?", "/a?b?c#d", "*", "/%ff", "//a/../b"])


@given(st.sampled_from(["GET", "OPTIONS", "HEAD"]), TARGETS, REQUEST_HEADERS, st.sampled_from(["1.0", "1.1"]))
@settings(max_examples=500)
def test_a_request_is_told_as_uvicorn_tells_it(
    method: str, target: str, headers: list[tuple[str, str]], version: str
) -> None:
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in headers)]
    raw = "\r\n".join([*lines, "", ""]).encode("latin1")

    ours, its = (_told(protocol, raw) for protocol in (GatewayProtocol, HttpToolsProtocol))

    assert [{key: value for key, value in scope.items() if "." not in key} for scope in ours] == its


def _told(protocol_class: type[HttpToolsProtocol], raw: bytes) -> list[dict[str, Any]]:
    scopes: list[dict[str, Any]] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(dict(scope))
        await answers(scope, receive, send)

    async def feed() -> None:
        protocol, transport = _protocol(protocol_class, note), Sink()
        transport.protocol = protocol
        protocol.connection_made(transport)
        protocol.data_received(raw)
        for _ in range(5):
            await asyncio.sleep(0)
        protocol.connection_lost(None)

    asyncio.run(feed())
    return scopes


def _protocol(protocol_class: type[HttpToolsProtocol], application: Any) -> Any:
    config = uvicorn.Config(application, interface="asgi3", log_config=None, proxy_headers=False)
    if protocol_class is GatewayProtocol:
        config.load()
        return GatewayProtocol(config, ServerState(), header_seconds=60)
    return protocol_class(config, ServerState(), {})


def fed(pieces: list[bytes]) -> bytes:
    """What a new connection answers, until nothing is left to do."""

    async def feed() -> bytes:
        protocol, transport = _protocol(GatewayProtocol, answers), Sink()
        transport.protocol = protocol
        protocol.connection_made(transport)
        for piece in pieces:
            if not transport.closed and transport.protocol is protocol:
                protocol.data_received(piece)
            for _ in range(60):
                await asyncio.sleep(0)
        protocol.connection_lost(None)
        return transport.written

    return asyncio.run(feed())


async def test_an_empty_piece_does_not_end_the_response() -> None:
    async def begins(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        for piece in (b"", b"two"):
            scope[DIRECT_SENDER].send_piece(piece)
        await send({"type": "http.response.body", "body": b""})

    async with serving(begins) as (_, port):
        answer = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
