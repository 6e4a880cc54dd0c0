from __future__ import annotations

import asyncio
import base64
import gzip
import itertools
import resource
import ssl
import threading
import time
import traceback
import zlib
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from accounts import network
from accounts.network import ANSWER_BYTES, AccountsClient, CallFailed, WholeAnswer
from tests.hostile_server import answering, http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from pytest_django import Settings

MIB = 1024 * 1024


@asynccontextmanager
async def a_client() -> AsyncIterator[AccountsClient]:
    client = AccountsClient()
    try:
        yield client
    finally:
        await client.close()


async def answer_to(pieces: Iterable[bytes], pause_seconds: float = 0.0) -> WholeAnswer:
    with answering(pieces, pause_seconds) as url:
        async with a_client() as client:
            return await client.post(url, data=b"{}")


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Service Unavailable"])
async def test_an_answer_of_any_status_is_read(status: str) -> None:
    answer = await answer_to([http(b"hello", "X-Said: yes", status=status)])

    assert (answer.status, answer.content, answer.headers["x-said"]) == (int(status[:3]), b"hello", "yes")


async def test_a_packed_answer_is_unpacked() -> None:
    answer = await answer_to([http(gzip.compress(b"hello" * 1000), "Content-Encoding: gzip")])

    assert answer.content == b"hello" * 1000


async def test_the_largest_answer_is_still_read() -> None:
    answer = await answer_to([http(b"a" * ANSWER_BYTES)])

    assert len(answer.content) == ANSWER_BYTES


def endless(piece: bytes, start: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Iterable[bytes]:
    return itertools.chain([start], itertools.repeat(piece))


HALF = gzip.compress(b"hello" * 1000)[:20]
UNUSABLE: dict[str, tuple[Iterable[bytes], str]] = {
    "a byte too many": ([http(b"a" * (ANSWER_BYTES + 1))], "more than 1 MiB"),
    "one without an end": (endless(b"a" * 65536), "more than 1 MiB"),
    "a byte too many when unpacked": (
        [http(gzip.compress(b"a" * (ANSWER_BYTES + 1)), "Content-Encoding: gzip")],
        "more than 1 MiB",
    ),
    "half of something packed": ([http(HALF, "Content-Encoding: gzip")], "half of something packed"),
    "what is not packed as it says": ([http(b"hello", "Content-Encoding: gzip")], "not gzip"),
    "an encoding that was not asked for": (
        [http(zlib.compress(b"hello"), "Content-Encoding: br\x1b[2J")],
        "not asked for (br",
    ),
    "another encoding": (
        [http(zlib.compress(b"hello"), "Content-Encoding: deflate")],
        "not asked for (deflate)",
    ),
    "headers without an end": (endless(b"x-more: 1\r\n" * 1000, b"HTTP/1.1 200 OK\r\n"), "cannot be reached"),
    "no HTTP": ([b"hello\r\n\r\n"], "cannot be reached"),
    "nothing": ([], "cannot be reached"),
    "half a body": ([http(b"hello").replace(b"length: 5", b"length: 9")], "cannot be reached"),
    "a status of another world": ([http(b"").replace(b"200", b"999999")], "cannot be reached"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
async def test_an_unusable_answer_is_a_failure_with_a_name(name: str) -> None:
    pieces, words = UNUSABLE[name]

    with pytest.raises(CallFailed) as failed:
        await answer_to(pieces)

    assert words in str(failed.value)
    assert str(failed.value).isprintable()


def packed_zeros(mebibytes: int) -> bytes:
    """A gzip stream of zeros without its end: one packed mebibyte, again and again."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    first, next_one = (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + next_one * (mebibytes - 1)


async def test_half_a_gigabyte_compressed_takes_no_memory() -> None:
    bomb = packed_zeros(500)
    assert len(bomb) < ANSWER_BYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CallFailed, match="more than 1 MiB"):
        await answer_to([http(bomb, "Content-Encoding: gzip")])

    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 32


async def test_a_slow_answer_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "TIMEOUT_SECONDS", 0.3)
    started = time.monotonic()

    with pytest.raises(CallFailed, match="has not answered"):
        await answer_to(endless(b"a"), pause_seconds=0.05)

    assert time.monotonic() - started < 3


async def test_cancelling_a_call_raises_no_timeout() -> None:
    with answering(endless(b"a"), pause_seconds=0.05) as url:
        async with a_client() as client:
            call = asyncio.create_task(client.post(url, data=b"{}"))
            await asyncio.sleep(0.2)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call


# Proxies and certificates


@asynccontextmanager
async def a_server(
    answer: bytes, certificate: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Its port, and the heads of the requests that came."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate) as server:
        yield server.sockets[0].getsockname()[1], heads


async def test_the_proxy_is_given_its_password_and_no_token(settings: Settings) -> None:
    async with a_server(http(b"", status="407 Wrong")) as (port, heads), a_client() as client:
        settings.HTTPS_PROXY = f"http://ada:pass%40word@127.0.0.1:{port}"
        with pytest.raises(CallFailed) as failed:
            await client.get("https://google.example.com/", headers={"Authorization": "Bearer secret"})

    assert str(failed.value) == "cannot be reached: the proxy answered 407"
    assert "word@" not in "".join(traceback.format_exception(failed.value))
    assert heads[0].startswith(b"CONNECT google.example.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"ada:pass@word") in heads[0]
    assert b"Bearer" not in heads[0]


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_only_trusted_certificates_are_accepted(
    is_trusted: bool, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_certificate(tmp_path / "server.pem")
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(file)
    settings.SSL_CERT_FILE = str(file) if is_trusted else ""
    monkeypatch.setattr(network, "tls_context", network.tls_context.__wrapped__)
    refused = pytest.raises(CallFailed, match="cannot be reached: the certificate or TLS was refused")

    async with a_server(http(b"hello"), certificate) as (port, heads), a_client() as client:
        with nullcontext() if is_trusted else refused:
            await client.get(f"https://localhost:{port}/")

    assert len(heads) == is_trusted


def write_certificate(file: Path) -> Path:
    """A key and its own certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return file


class SetsACookie(BaseHTTPRequestHandler):
    brought: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.brought.append(self.headers.get("cookie"))
        self.send_response(200)
        self.send_header("set-cookie", "who=ada; Path=/")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


async def test_cookies_of_one_account_are_not_sent_with_the_next() -> None:
    SetsACookie.brought.clear()
    with HTTPServer(("127.0.0.1", 0), SetsACookie) as server:
        threading.Thread(target=server.serve_forever).start()
        async with a_client() as client:
            for _ in range(2):
                await client.post(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()

    assert SetsACookie.brought == [None, None]
