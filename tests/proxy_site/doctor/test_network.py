"""The way to Google, when something stands in it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accounts.network import AccountsClient
from proxy_site.doctor.findings import State
from proxy_site.doctor.network import Answer, about_clock, ask, remedy
from tests.hostile_server import answering, http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pytest_django import Settings

YEAR = timedelta(days=365)


def self_signed(folder: Path, *, ends: datetime) -> ssl.SSLContext:
    """A server's context with a certificate for localhost that nobody has issued."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), ends - YEAR, ends
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
        + made.sign(key, hashes.SHA256()).public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[str]:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/"


async def failure_at(url: str) -> Answer:
    client = AccountsClient()
    try:
        return await ask(client, url)
    finally:
        await client.close()


async def test_a_certificate_that_nobody_here_knows_leads_to_the_setting(tmp_path: Path) -> None:
    async with tls_server(self_signed(tmp_path, ends=datetime.now(UTC) + YEAR / 2)) as url:
        answer = await failure_at(url)

    assert answer.error is not None
    assert "set SSL_CERT_FILE to a file" in remedy(answer.error, url)


async def test_an_expired_certificate_leads_to_the_clock(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = self_signed(tmp_path, ends=datetime.now(UTC) - YEAR)
    trusted = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    monkeypatch.setattr("accounts.network.tls_context", lambda: trusted)

    async with tls_server(server) as url:
        answer = await failure_at(url)

    assert answer.error is not None
    assert remedy(answer.error, url).startswith("Look at this machine's clock, which says")


async def test_a_certificate_of_another_name_leads_to_what_stands_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = self_signed(tmp_path, ends=datetime.now(UTC) + YEAR / 2)
    trusted = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    monkeypatch.setattr("accounts.network.tls_context", lambda: trusted)

    async with tls_server(server) as url:
        answer = await failure_at(url.replace("localhost", "127.0.0.1"))

    assert answer.error is not None
    assert remedy(answer.error, url).startswith("Another server answers in its place")


async def test_a_proxy_that_wants_a_password_is_named(settings: Settings) -> None:
    with answering([http(b"", status="407 Proxy Authentication Required")]) as proxy:
        settings.HTTPS_PROXY = proxy.replace("http://", "http://operator:pass-word@")

        answer = await failure_at("https://behind-a-proxy.invalid/")

    assert answer.error is not None
    assert "The proxy answers 407" in remedy(answer.error, answer.url)
    assert "pass-word" not in str(answer.error) + remedy(answer.error, answer.url)


@pytest.mark.parametrize(
    ("skews", "state"),
    [
        ([], State.SKIPPED),
        ([None], State.SKIPPED),
        ([0.4, -1.2], State.OK),
        ([-45.0], State.WARNING),
        ([3600.0, 3601.0], State.PROBLEM),
        ([3600.0, 2.0], State.OK),
    ],
)
def test_the_clock_is_compared_with_the_nearest_server(skews: list[float | None], state: State) -> None:
    assert about_clock([Answer("https://one/", 404, skew_seconds=skew) for skew in skews]).state is state


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Foo 2026 12:00:00 GMT", "0" * 4000])
async def test_a_date_that_is_none_says_nothing(date: str) -> None:
    with answering([http(b"{}", f"date: {date}")]) as url:
        answer = await failure_at(url)

    assert (answer.status, answer.skew_seconds) == (200, None)
