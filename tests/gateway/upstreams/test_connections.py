"""The gateway's own client of model calls, against servers that behave badly and answers cut anywhere."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.network import proxy_for
from gateway.timeouts import Timeouts
from gateway.upstreams import transport as transport_module
from gateway.upstreams.connections import (
    MAX_HEAD_BYTES,
    PIECE_BYTES,
    READ_BUFFER_BYTES,
    BrokenConnection,
    ConnectedResponse,
    KeptHeaders,
    ModelConnection,
    head_of,
    target_of,
)
from gateway.upstreams.response import Response, TransportFailed, TransportTimedOut
from tests.gateway.upstreams.test_transport import OK, a_transport, hang_up, serving
from tests.proxy_site.doctor.test_network import YEAR, self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from pytest_django.fixtures import Settings

    from gateway.upstreams.transport import Transport

OPENED = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OPENED + b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_kept_proxies() -> Iterator[None]:
    proxy_for.cache_clear()
    yield
    proxy_for.cache_clear()


async def post(transport: Transport, url: str, body: Sequence[bytes] = (b"{}",)) -> Response:
    return await transport.post(url, headers={}, body=list(body), first_byte_seconds=2)


async def body_of(response: Response) -> bytes:
    body = b""
    while piece := await response.read(2):
        body += piece
    return body


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that gives these answers, each to one request, and its connections' numbers of requests."""
    left, requests = list(answers), list[int]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(requests)
        requests.append(0)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                requests[number] += 1
                writer.write(left.pop(0) if left else OK)
        await hang_up(writer)

    async with serving(handle) as url:
        yield url, requests


# An answer cut anywhere


def chunked(pieces: list[bytes], extension: bytes, trailer: bytes) -> bytes:
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
    return CHUNKED + framed + b"0\r\n" + trailer + b"\r\n"


def whole(pieces: list[bytes]) -> bytes:
    body = b"".join(pieces)
    return OPENED + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def until_the_end(pieces: list[bytes]) -> bytes:
    return OPENED + b"\r\n" + b"".join(pieces)


PIECES = st.lists(st.binary(max_size=40), max_size=6)
ANSWERS = st.one_of(
    st.tuples(
        st.just(True),
        PIECES,
        st.builds(
            lambda extension, trailer: lambda pieces: chunked(pieces, extension, trailer),
            st.sampled_from([b"", b";a=1", b';q="x"']),
            st.sampled_from([b"", b"x-sum: 1\r\n"]),
        ),
    ),
    st.tuples(st.just(True), PIECES, st.just(whole)),
    st.tuples(st.just(False), PIECES, st.just(until_the_end)),
)


def a_connection() -> tuple[ModelConnection, Mock]:
    transport = Mock()
    transport.is_closing.return_value = False
    transport.get_write_buffer_size.return_value = 0
    return ModelConnection(Timeouts(), transport, asyncio.Semaphore()), transport


@settings(max_examples=300)
@given(answer=ANSWERS, informations=st.integers(0, 2), cuts=st.lists(st.integers(1, 300), max_size=8))
def test_every_cut_of_an_answer_gives_its_body(
    answer: tuple[bool, list[bytes], Any], informations: int, cuts: list[int]
) -> None:
    may_be_kept, pieces, framed = answer
    data = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * informations + framed(pieces)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})

    async def read() -> tuple[bytes, bool]:
        connection, _ = a_connection()
        connection.status = 0
        body, start = b"", 0
        for end in ends:
            connection.data_received(data[start:end])
            start = end
            if connection.has_head and (connection._pieces or connection.is_complete):
                body += await connection.read(1)
        if not may_be_kept:
            connection.connection_lost(None)
        body += await connection.read(1)
        pool: list[ModelConnection] = []
        connection.keep_in(pool)
        assert connection.status in {0, 200}
        return body, bool(pool)

    assert asyncio.run(read()) == (b"".join(pieces), may_be_kept)


@settings(max_examples=300)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200), is_head=st.booleans())
def test_no_bytes_raise_more_than_a_broken_connection(data: bytes, cut: int, is_head: bool) -> None:
    data = (CHUNKED if is_head else b"") + data

    async def read() -> None:
        connection, _ = a_connection()
        connection.data_received(data[:cut])
        connection.data_received(data[cut:])
        connection.connection_lost(None)
        with suppress(BrokenConnection):
            while await connection.read(1):
                pass

    asyncio.run(read())


# What a server must not do


@pytest.mark.parametrize(
    "answer",
    [
        OPENED + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OPENED + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OPENED + b"transfer-encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OPENED + b"transfer-encoding : chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OPENED + b"content-length: 2, 3\r\n\r\nok",
        OPENED + b"content-length: +2\r\n\r\nok",
        OPENED + b"x: 1\r\n folded: 2\r\ncontent-length : 2\r\n\r\nok",
        CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"2\nok\n0\n\n",
        CHUNKED + b"ffffffffffffffffff\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n" + OK,
    ],
)
async def test_an_answer_with_doubtful_framing_is_a_failure(answer: bytes) -> None:
    async with answering(answer) as (url, requests), a_transport() as transport:
        with pytest.raises(TransportFailed):
            response = await post(transport, url)
            try:
                await body_of(response)
            finally:
                response.abort()

        later = await post(transport, url)
        assert await body_of(later) == b"ok"
        later.abort()
    assert requests == [1, 1]


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"garbage", b"\0"])
async def test_more_than_was_asked_for_answers_no_other_request(more: bytes) -> None:
    async with answering(OK + more) as (url, requests), a_transport() as transport:
        for _ in range(2):
            response = await post(transport, url)
            assert await body_of(response) == b"ok"
            response.release()
            await asyncio.sleep(0.01)

    assert requests == [1, 1]


async def test_data_on_an_idle_connection_close_it() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                writer.write(OK)
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        response = await post(transport, url)
        await body_of(response)
        response.release()
        writers[0].write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await asyncio.sleep(0.05)
        response = await post(transport, url)
        assert await body_of(response) == b"ok"
        response.release()

    assert len(writers) == 2


async def test_a_connection_keeps_little_while_its_answer_is_read() -> None:
    async with answering() as (url, _), a_transport() as transport:
        response = await post(transport, url)
        assert isinstance(response, ConnectedResponse)
        assert response.headers
        response.forget_headers()
        connection = response._connection

        assert connection is not None
        assert connection.raw_headers == []
        assert not hasattr(response, "__dict__")
        assert not hasattr(connection, "__dict__")
        assert transport._session is not None
        assert transport._session.connector is not None
        assert transport._session.connector._acquired == set()
        response.abort()


async def test_another_connection_waits_while_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstreams.connections.MAX_CONNECTIONS", 1)
    async with answering() as (url, _), a_transport() as transport:
        first = await post(transport, url)
        second = asyncio.create_task(post(transport, url))
        await asyncio.sleep(0.05)
        assert not second.done()
        first.abort()
        async with asyncio.timeout(5):
            (await second).abort()


async def test_an_answer_right_after_the_last_piece_leaves_the_connection_open() -> None:
    """uvloop reads an answer that has come before it runs what waited for its turn."""
    connection, transport = a_connection()
    body, idle = [b"x" * (2 * PIECE_BYTES), b"{}"], list[ModelConnection]()

    def write(piece: bytes) -> None:
        if piece == body[-1]:
            asyncio.get_running_loop().call_soon(connection.data_received, OK)

    transport.write = write
    await connection.send(b"POST / HTTP/1.1\r\n\r\n", body, asyncio.get_running_loop().time() + 2)
    assert await connection.read(2) == b"ok"
    connection.keep_in(idle)

    assert idle == [connection]


async def test_a_key_is_not_sent_without_tls_to_a_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gateway.upstreams.connections.are_near", lambda addresses: addresses != ["127.0.0.1"]
    )
    async with answering() as (url, requests), a_transport() as transport:
        with pytest.raises(TransportFailed, match="must begin with https://"):
            await post(transport, url)

    assert requests in ([], [0])


async def test_informations_are_skipped() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with answering(early + OK) as (url, requests), a_transport() as transport:
        for _ in range(2):
            response = await post(transport, url)
            assert (response.status, dict(response.headers)) == (200, {"content-length": "2"})
            assert await body_of(response) == b"ok"
            response.release()

    assert requests == [2]


@pytest.mark.parametrize("closing", [b"connection: close\r\n", b""])
async def test_an_answer_that_ends_with_the_connection_is_whole(closing: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(OPENED + closing + b"\r\nall of it")
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        response = await post(transport, url)
        assert await body_of(response) == b"all of it"
        response.release()


async def test_a_refusal_before_the_body_was_sent_is_read() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await writer.drain()
        await asyncio.sleep(0.2)
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        response = await post(transport, url, [b"x" * 30_000_000])
        assert (response.status, await body_of(response)) == (413, b"large")
        response.release()


async def test_a_server_waits_while_nobody_reads() -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"{}")
        writer.write(CHUNKED)
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with suppress(ConnectionError):
            while sent < 64_000_000:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        response = await post(transport, url)
        await asyncio.sleep(0.3)
        held = sent
        first = await response.read(1)
        await asyncio.sleep(0.1)
        response.abort()

    assert held < 30_000_000  # the kernel's buffers and ours
    assert len(first) < 3 * READ_BUFFER_BYTES
    assert sent > held


async def test_headers_without_an_end_are_bounded() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(OPENED)
        with suppress(ConnectionError):
            for _ in range(10_000):
                writer.write(b"x: " + b"y" * 1000 + b"\r\n")
                await writer.drain()
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        with pytest.raises(TransportFailed, match="headers without an end"):
            await post(transport, url)
    assert MAX_HEAD_BYTES < 10_000_000


# Connections


async def test_kept_connections_that_are_all_closed_cost_one_more_call() -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                requests += 1
                if requests == 4:
                    break
                writer.write(OK)
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        held = [await post(transport, url) for _ in range(3)]
        for response in held:
            await body_of(response)
            response.release()
        response = await post(transport, url)
        await body_of(response)
        response.release()

    assert requests == 5  # the fourth was not answered, and sent again on a new connection


@pytest.mark.parametrize("again", ["release", "abort"])
async def test_a_response_released_twice_leaves_the_connection_to_the_next_request(again: str) -> None:
    async with answering() as (url, requests), a_transport() as transport:
        first = await post(transport, url)
        await body_of(first)
        first.release()
        second = await post(transport, url)
        getattr(first, again)()
        text = await body_of(second)
        second.release()
        third = await post(transport, url)
        await body_of(third)
        third.release()

    assert text == b"ok"
    assert requests == [3]


async def test_a_reset_of_a_kept_connection_is_not_sent_again() -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                requests += 1
                if requests == 2:
                    connection = writer.get_extra_info("socket")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                writer.write(OK)
        writer.close()  # a reset, the second time

    async with serving(handle) as url, a_transport() as transport:
        response = await post(transport, url)
        await body_of(response)
        response.release()
        with pytest.raises(TransportFailed, match="ConnectionResetError"):
            await post(transport, url)

    assert requests == 2


async def test_a_call_that_is_given_up_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        await reader.read()
        closed.set()
        await hang_up(writer)

    async with serving(handle) as url, a_transport() as transport:
        call = asyncio.create_task(post(transport, url))
        await asyncio.sleep(0.05)
        call.cancel()
        async with asyncio.timeout(1):
            await closed.wait()
        with suppress(asyncio.CancelledError):
            await call


async def test_the_end_of_the_transport_ends_calls() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        await reader.read()
        await hang_up(writer)

    async with serving(handle) as url:
        async with a_transport() as transport:
            call = asyncio.create_task(post(transport, url))
            await asyncio.sleep(0.05)
        with pytest.raises(TransportFailed):
            await call


# TLS and proxies


@asynccontextmanager
async def tls_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a server whose certificate the transport trusts, for whatever name."""
    context = self_signed(folder, ends=datetime.now(UTC) + YEAR / 2)
    trusted = ssl.create_default_context(cafile=str(folder / "server.pem"))
    trusted.check_hostname = False
    monkeypatch.setattr(transport_module, "tls_context", lambda: trusted)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"{}"):
                writer.write(OK)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def test_calls_through_tls_share_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with tls_server(tmp_path, monkeypatch) as port, a_transport() as transport:
        for _ in range(3):
            response = await post(transport, f"https://localhost:{port}/path")
            assert await body_of(response) == b"ok"
            response.release()
        [idle] = transport._connections._idle.values()  # type: ignore[union-attr]
        assert len(idle) == 1


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 Established\r\n\r\n", b"HTTP/1.1 407 Who\r\n\r\n", b"", b"\x15\x03"]
)
async def test_a_call_through_a_tunnel(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    heads: list[bytes] = []

    async with tls_server(tmp_path, monkeypatch) as port:

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if b"200" in answer:
                to_server, from_client = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(pass_on(reader, from_client), pass_on(to_server, writer))
            await hang_up(writer)

        async with serving(proxy) as address, a_transport() as transport:
            settings.HTTPS_PROXY = address.replace("http://", "http://me:secret@")
            if b"200" in answer:
                response = await post(transport, "https://google.test/path")
                assert await body_of(response) == b"ok"
                response.abort()
            else:
                with pytest.raises(TransportFailed) as failure:
                    await post(transport, "https://google.test/path")
                assert "secret" not in str(failure.value)

    assert heads[0].startswith(b"CONNECT google.test:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0" in heads[0]


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    await hang_up(writer)


async def test_a_handshake_that_does_not_go_on_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await hang_up(writer)

    async with serving(silent) as url, a_transport() as transport:
        with pytest.raises(TransportTimedOut):
            await transport.post(
                url.replace("http:", "https:"), headers={}, body=[b"{}"], first_byte_seconds=0.2
            )


def test_a_plain_proxy_gets_the_whole_address_and_its_password() -> None:
    target = target_of("http://google.test:8080/a%2Fb?alt=sse", "http://me:secret@proxy:3128")

    head = head_of(target, {"A": "1"}, [b"ab", b"c"])

    assert head == (
        b"POST http://google.test:8080/a%2Fb?alt=sse HTTP/1.1\r\nHost: google.test:8080\r\n"
        b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\nA: 1\r\nContent-Length: 3\r\n\r\n"
    )
    assert "secret" not in repr(target)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=4))
def test_kept_headers_are_written_as_any_others(headers: dict[str, str]) -> None:
    target = target_of("http://google.test/a", None)

    def written(headers: dict[str, str]) -> bytes | str:
        try:
            return head_of(target, headers, [b"ab"])
        except ValueError as error:
            return str(error)

    kept = KeptHeaders(headers)

    assert [written(kept), written(kept)] == [written(headers)] * 2
