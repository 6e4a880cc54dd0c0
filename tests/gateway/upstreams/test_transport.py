"""Connections for model calls, against real sockets on loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from accounts.network import is_loopback, proxy_for
from gateway.upstreams.transport import (
    ERROR_BODY_BYTES,
    PIECE_BYTES,
    Transport,
    TransportFailed,
    TransportTimedOut,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from pytest_django.fixtures import Settings

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[str]:
    """A server's address; at the end every connection has been seen to its close."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.ensure_future(handle(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*connections)


@asynccontextmanager
async def a_server(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Each connection is answered with the next of the answers; b"" closes it at once. Yields its address and
    the head of each request."""
    heads: list[bytes] = []
    left = list(answers)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0) if left else b"")
        await hang_up(writer)

    async with serving(handle) as url:
        yield url, heads


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def a_transport() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout_seconds=1)
    await transport.start()
    try:
        yield transport
    finally:
        await transport.close()


@pytest.fixture(autouse=True, params=["gateway", "aiohttp"])
def client(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The client that makes the calls."""
    settings.UPSTREAM_HTTP_CLIENT = request.param
    return str(request.param)


@pytest.fixture(autouse=True)
def _no_kept_proxies() -> Iterator[None]:
    proxy_for.cache_clear()
    yield
    proxy_for.cache_clear()


async def test_a_kept_connection_closed_while_idle_is_opened_once_more() -> None:
    connections = requests = 0

    async def close_after_the_second_request(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal connections, requests
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n{}"):
                requests += 1
                if requests == 2:
                    break
                writer.write(OK)
        await hang_up(writer)

    async with serving(close_after_the_second_request) as url, a_transport() as transport:
        for _ in range(2):
            response = await transport.post(url, headers={}, body=[b"{}"], first_byte_seconds=1)
            assert await response.read(1) == b"ok"
            response.release()

    assert (connections, requests) == (2, 3)


async def test_a_body_in_pieces_arrives_whole_also_when_it_is_sent_again() -> None:
    bodies: list[bytes] = []

    async def close_instead_of_the_second_answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                assert b"chunked" not in head.lower()
                size = int(head.lower().partition(b"content-length:")[2].split()[0])
                bodies.append(await reader.readexactly(size))
                if len(bodies) == 2:
                    break
                writer.write(OK)
        await hang_up(writer)

    pieces = [b'{"a":"', b"x" * 3 * PIECE_BYTES, b"y" * (PIECE_BYTES + 1), b'"}']
    async with serving(close_instead_of_the_second_answer) as url, a_transport() as transport:
        for body in ([b"{}"], pieces):
            response = await transport.post(url, headers={}, body=body, first_byte_seconds=5)
            assert await response.read(1) == b"ok"
            response.release()

    assert bodies == [b"{}", b"".join(pieces), b"".join(pieces)]


async def test_a_new_connection_closed_without_an_answer_has_failed() -> None:
    async with a_server(b"", OK) as (url, heads), a_transport() as transport:
        with pytest.raises(TransportFailed, match="the connection broke"):
            await transport.post(url, headers={}, body=[b"{}"], first_byte_seconds=1)

    assert len(heads) == 1


async def test_a_server_that_says_nothing_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await hang_up(writer)

    async with serving(silent) as url, a_transport() as transport:
        with pytest.raises(TransportTimedOut, match="no answer within 0 s"):
            await transport.post(url, headers={}, body=[b"{}"], first_byte_seconds=0.05)


async def test_a_port_nobody_listens_on_is_said_plainly() -> None:
    async with a_transport() as transport:
        with pytest.raises(TransportFailed, match="the connection could not be made"):
            await transport.post("http://127.0.0.1:1", headers={}, body=[b"{}"], first_byte_seconds=1)


async def test_a_body_that_ends_too_early_is_a_broken_connection() -> None:
    short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"
    async with a_server(short) as (url, _), a_transport() as transport:
        response = await transport.post(url, headers={}, body=[b"{}"], first_byte_seconds=1)

        with pytest.raises(TransportFailed, match="the connection broke"):
            while await response.read(1):
                pass
        response.abort()


async def test_a_read_that_takes_too_long_loses_nothing() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"there")
        await hang_up(writer)

    async with serving(slow) as url, a_transport() as transport:
        response = await transport.post(url, headers={}, body=[b"{}"], first_byte_seconds=1)

        with pytest.raises(TimeoutError):
            await response.read(0.01)
        assert await response.read(1) == b"there"
        response.abort()


async def test_a_proxy_is_used_for_other_machines(settings: Settings) -> None:
    async with a_server(OK) as (proxy, heads), a_transport() as transport:
        settings.HTTP_PROXY = proxy
        response = await transport.post(
            "http://google.test/path", headers={}, body=[b"{}"], first_byte_seconds=1
        )
        response.abort()

    assert heads[0].startswith(b"POST http://google.test/path HTTP/1.1\r\n")


async def test_loopback_is_never_proxied(settings: Settings) -> None:
    async with a_server(OK) as (url, heads), a_transport() as transport:
        settings.HTTP_PROXY = "http://127.0.0.1:1"
        response = await transport.post(f"{url}/path", headers={}, body=[b"{}"], first_byte_seconds=1)
        response.abort()

    assert heads[0].startswith(b"POST /path HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://cloudcode-pa.googleapis.com/x", "http://proxy:3128"),
        ("http://cloudcode-pa.googleapis.com/x", None),
        ("https://internal.example/x", None),
        ("https://sub.internal.example/x", None),
        ("https://localhost:1/x", None),
        ("https://127.9.9.9/x", None),
        ("https://[::1]/x", None),
    ],
)
def test_which_addresses_go_through_the_proxy(url: str, proxy: str | None, settings: Settings) -> None:
    settings.HTTP_PROXY, settings.HTTPS_PROXY = "", "http://proxy:3128"
    settings.NO_PROXY = ["internal.example"]

    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("LOCALHOST", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True),
     ("[::1]", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("localhost.evil", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# What is read of an error


@pytest.mark.parametrize("pause_seconds", [0.05, 0])
async def test_an_error_without_an_end_is_read_for_a_while_and_not_beyond_its_limit(
    pause_seconds: float,
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oh\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"a" if pause_seconds else b"a" * 65536)
                await writer.drain()
                await asyncio.sleep(pause_seconds)

    async with serving(handle) as url, a_transport() as transport:
        response = await transport.post(url, headers={}, body=[b""], first_byte_seconds=5)
        async with asyncio.timeout(5):
            body = await response.read_error_body(0.5)
        response.abort()

    assert 0 < len(body) <= ERROR_BODY_BYTES
    assert pause_seconds or len(body) == ERROR_BODY_BYTES


# Whatever an upstream sends

START = b"HTTP/1.1 200 OK\r\n"
ODD_ANSWERS = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a status of another world": b"HTTP/1.1 999999 OK\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
    "NUL in a header": START + b"x: \0\r\n\r\n",
    "a header that is none": START + b"no colon here\r\n\r\n",
    "no UTF-8 in a header": START + b"x: \xff\xfe\r\ncontent-length: 0\r\n\r\n",
    "headers without an end": START + b"x: 1\r\n" * 100_000,
    "a header line without an end": START + b"x" * 1_000_000,
    "a length that is none": START + b"content-length: -1\r\n\r\n",
    "a length of 5,000 digits": START + b"content-length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": START + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "half a body": START + b"content-length: 9\r\n\r\nabc",
    "a chunk that is none": START + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "a chunk of 5,000 digits": START + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\nabc\r\n",
    "half a chunk": START + b"transfer-encoding: chunked\r\n\r\n9\r\nabc",
    "an encoding that is none": START + b"content-encoding: \xff\r\ncontent-length: 3\r\n\r\nabc",
    "a cookie that is none": START + b"set-cookie: \x01=;;=\r\ncontent-length: 0\r\n\r\n",
    "a charset that is none": START + b"content-type: a/b; charset=\xff\r\ncontent-length: 0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc",
    "only informations": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_an_odd_answer_is_read_or_is_a_failure_of_the_transport(name: str) -> None:
    async with a_server(ODD_ANSWERS[name]) as (url, _), a_transport() as transport, asyncio.timeout(10):
        with suppress(TransportFailed):
            response = await transport.post(url, headers={}, body=[b"{}"], first_byte_seconds=2)
            try:
                with suppress(TimeoutError):
                    while await response.read(2):
                        pass
            finally:
                response.abort()


@pytest.mark.parametrize("token", ["two\r\nlines", "a\0b"])
async def test_what_cannot_be_sent_in_a_header_is_a_failure_of_the_transport(token: str) -> None:
    sent: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.read())
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        with pytest.raises(TransportFailed):
            await transport.post(url, headers={"Authorization": token}, body=[b"{}"], first_byte_seconds=2)

    assert b"".join(sent) == b""


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal.",
    ],
)
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
async def test_a_literal_metadata_address_gets_no_request(host: str, proxy: str, settings: Settings) -> None:
    settings.HTTP_PROXY = proxy
    proxy_for.cache_clear()
    async with a_transport() as transport:
        with pytest.raises(TransportFailed, match="must never get a key"):
            await transport.post(f"http://{host}:80/v1", headers={}, body=[b"{}"], first_byte_seconds=1)
