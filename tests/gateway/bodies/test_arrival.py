"""Bodies are read last, within limits of their own and all together, and decoded while they arrive."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import serve
from gateway.api.application import Api
from gateway.bodies.arrival import WHOLE_BODY, BodyLimits, ClientGone, IncomingBody
from gateway.errors import GatewayError
from proxy_site.emulator.delivery.behaviour import stall_before_headers, stall_mid_stream
from tests.gateway.conftest import a_body, body_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django.fixtures import Settings

    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

MIB = 1024 * 1024
HELLO = orjson.dumps(a_body())


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("X-GZip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare_deflate),
    ("zstd", zstd.compress),
    ("identity", bytes),
]


def incoming(*pieces: bytes, encoding: str = "", limits: BodyLimits | None = None) -> IncomingBody:
    messages: Iterator[dict[str, Any]] = iter(
        [
            *({"type": "http.request", "body": piece, "more_body": True} for piece in pieces),
            {"type": "http.request", "body": b""},
        ]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    scope = {"headers": [(b"content-encoding", encoding.encode())]}
    return IncomingBody(scope, receive, limits or body_limits())


@given(
    st.binary(max_size=40),
    st.booleans(),
    st.sampled_from(["", "identity", "gzip", "br", "unheard-of"]),
    st.integers(0, 40),
    st.integers(0, 60),
)
@settings(max_examples=300)
def test_a_body_that_is_there_is_read_as_one_that_arrives(
    content: bytes, is_declared: bool, encoding: str, body_bytes: int, total_bytes: int
) -> None:
    declared = b"%d" % len(content) if is_declared else b""  # a server finds any other length to be malformed
    headers = [(b"content-length", declared), (b"content-encoding", encoding.encode())]

    async def outcome(*, at_hand: bool) -> tuple[object, int, int]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content}

        scope = {"headers": [pair for pair in headers if pair[1]]}
        more: dict[str, Any] = {WHOLE_BODY: lambda: bytearray(content)} if at_hand else {}
        limits = BodyLimits(body_bytes=body_bytes, total_bytes=total_bytes, seconds=60)
        body = IncomingBody({**scope, **more}, receive, limits)
        result: object
        try:
            result = await body.read()
        except GatewayError as error:
            result = (error.status, error.message)
        held = limits.held_bytes
        body.release()
        return result, held, limits.held_bytes

    assert asyncio.run(outcome(at_hand=True)) == asyncio.run(outcome(at_hand=False))


async def error_of(body: IncomingBody) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await body.read()
    body.release()
    return caught.value


# What the headers say is enough


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/messages", {}, 401),
        ("POST", "/v1/messages", {"x-api-key": "wrong"}, 401),
        ("POST", "/v1/messages", {"x-api-key": "secret", "host": "evil.example"}, 400),
        ("POST", "/v1/complete", {"x-api-key": "secret"}, 404),
        ("PUT", "/v1/messages", {"x-api-key": "secret"}, 405),
        ("POST", "/v1/messages", {"x-api-key": "secret", "content-length": str(10**30)}, 413),
        ("POST", "/v1/messages", {"x-api-key": "secret", "content-encoding": "br"}, 415),
    ],
)
async def test_it_is_refused_before_its_body_is_read(
    method: str, path: str, headers: dict[str, str], status: int, gateway: Gateway, settings: Settings
) -> None:
    settings.AUTH_TOKEN = "secret"
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody needs the body")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    named = {"host": "127.0.0.1", **headers}
    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"", "client": ["127.0.0.1", 5000],
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }  # fmt: skip
    await Api(gateway, body_limits())(scope, receive, send)

    assert sent[0]["status"] == status


async def test_a_page_of_another_site_is_refused_before_its_body_is_read(gateway: Gateway) -> None:
    async def body() -> Any:
        yield b"{"
        raise AssertionError("nobody needs the rest")

    transport = httpx.ASGITransport(Api(gateway, body_limits()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        response = await client.post(
            "/v1/messages", content=body(), headers={"origin": "https://evil.example"}
        )

    assert response.status_code == 403


# Encodings


@pytest.mark.parametrize(("encoding", "packed"), PACKED)
async def test_a_packed_request_is_answered(
    encoding: str, packed: Callable[[bytes], bytes], client: httpx.AsyncClient
) -> None:
    response = await client.post(
        "/v1/messages",
        content=packed(HELLO),
        headers={"content-type": "application/json", "content-encoding": encoding},
    )

    assert response.status_code == 200


@pytest.mark.parametrize(("encoding", "packed"), PACKED)
@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
async def test_it_is_read_in_whatever_pieces_it_comes(
    size: int, encoding: str, packed: Callable[[bytes], bytes]
) -> None:
    text = orjson.dumps(list(range(2_000)))
    data = packed(text)
    body = incoming(*(data[at : at + size] for at in range(0, len(data), size)), encoding=encoding)

    assert await body.read() == text


@pytest.mark.parametrize(("encoding", "packed"), PACKED[:-1])
async def test_a_packed_body_that_is_damaged_is_refused(
    encoding: str, packed: Callable[[bytes], bytes]
) -> None:
    data = packed(HELLO)
    damaged = [data[:-5], data + b"more", data + data, HELLO, b"\0" * 50]

    for one in damaged:
        error = await error_of(incoming(one, encoding=encoding))
        assert (error.status, error.error_type) == (400, "invalid_request_error")
        assert "content-encoding" in error.message


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "aws-chunked", "\xff", "x" * 5000])
async def test_another_encoding_is_refused_by_name(encoding: str) -> None:
    error = await error_of(incoming(HELLO, encoding=encoding))

    assert (error.status, error.error_type) == (415, "invalid_request_error")
    assert "gzip, deflate, zstd are" in error.message
    assert encoding[:2] in error.message or "\xff" in encoding


async def test_no_body_needs_no_decoding() -> None:
    assert await incoming(b"", encoding="gzip").read() == b""


@pytest.mark.parametrize(("encoding", "packed"), PACKED[:-1])
async def test_a_bomb_is_refused_at_the_limit(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    bomb = packed(bytes(64 * MIB))
    tracemalloc.start()

    error = await error_of(incoming(bomb, encoding=encoding, limits=body_limits(4 * MIB)))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.status == 413
    assert peak < 16 * MIB


async def test_a_window_larger_than_the_standard_asks_for_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=options)
    data = packer.compress(HELLO) + packer.flush()

    assert (await error_of(incoming(data, encoding="zstd"))).status == 400


async def test_other_work_goes_on_while_a_body_is_decoded() -> None:
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_work())
    body = await incoming(gzip.compress(bytes(8 * MIB)), encoding="gzip", limits=body_limits(9 * MIB)).read()
    other.cancel()

    assert len(body) == 8 * MIB
    assert turns >= 32


# All together


async def test_bodies_have_a_limit_in_total() -> None:
    limits = body_limits(total_bytes=1000)
    first = incoming(b"x" * 600, limits=limits)
    await first.read()

    error = await error_of(incoming(b"x" * 600, limits=limits))
    first.release()
    await incoming(b"x" * 600, limits=limits).read()

    assert (error.status, error.error_type) == (503, "api_error")
    assert error.as_headers()["retry-after"] == "5"


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
async def test_what_was_held_is_given_back_however_it_ends(encoding: str) -> None:
    limits = body_limits(100)
    for pieces in ([b"x" * 10], [b"x" * 99, b"yy"], [gzip.compress(HELLO)], [zstd.compress(bytes(200))]):
        body = incoming(*pieces, encoding=encoding, limits=limits)
        try:
            await body.read()
        except GatewayError:
            pass
        finally:
            body.release()

    assert limits.held_bytes == 0


async def test_an_answered_request_holds_nothing(gateway: Gateway) -> None:
    limits = body_limits()
    transport = httpx.ASGITransport(Api(gateway, limits))  # type: ignore[arg-type]

    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        async with client.stream("POST", "/v1/messages", json=a_body(stream=True)) as response:
            assert response.status_code == 200
            held_while_it_streams = limits.held_bytes
        await client.post("/v1/messages", content=b"{")

    assert (held_while_it_streams, limits.held_bytes) == (0, 0)


async def test_a_request_counts_as_held_until_its_stream_begins(
    gateway: Gateway, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "KEEP_ALIVE_SECONDS", 0.01)
    google.state.fault(stall_before_headers(0.5))
    google.state.fault(stall_mid_stream(0.5))
    limits = body_limits()
    transport = httpx.ASGITransport(Api(gateway, limits))  # type: ignore[arg-type]
    body, held = orjson.dumps(a_body(stream=True)), []

    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for _ in range(2):
            asking = asyncio.create_task(client.post("/v1/messages", content=body))
            await asyncio.sleep(0.3)
            held.append(limits.held_bytes)
            assert (await asking).text.endswith('{"type":"message_stop"}\n\n')

    assert held == [len(body), 0]
    assert limits.held_bytes == 0


async def test_a_stream_keeps_nothing_of_its_request(gateway: Gateway, google: EmulatorServer) -> None:
    google.state.fault(stall_mid_stream(0.5))
    scopes: list[dict[str, Any]] = []
    api = Api(gateway, body_limits())

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await api(scope, receive, send)

    transport = httpx.ASGITransport(noting)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        asking = asyncio.create_task(client.post("/v1/messages", content=orjson.dumps(a_body(stream=True))))
        await asyncio.sleep(0.3)
        [record] = gateway.recorder.in_flight
        assert record._request_context is not None
        assert record._answer is not None
        assert record._request_context.progress == {}
        assert not hasattr(record._answer, "__dict__")
        assert not hasattr(record._answer._reader, "__dict__")
        assert scopes[0]["headers"] == []
        await asking


# Time


async def test_a_body_that_trickles_is_refused_in_time() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    error = await error_of(IncomingBody({"headers": []}, receive, body_limits(seconds=0.2)))

    assert (error.status, error.error_type) == (408, "timeout_error")
    assert error.message == "The body took longer than 0.2 s."


async def test_a_client_that_leaves_while_writing_gets_no_answer() -> None:
    messages: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    with pytest.raises(ClientGone):
        await IncomingBody({"headers": []}, receive, body_limits()).read()
