"""Whose address and scheme count, when a request came through a proxy."""

from __future__ import annotations

from typing import Any

import pytest

from proxy_site.serving.proxy_headers import FORWARDING, ProxyHeaders

HOST = (b"host", b"gateway.example.com")


async def come_in(
    *headers: tuple[str, str], peer: str | None = "127.0.0.1", trusted: str = "127.0.0.1", key: bool = False
) -> dict[str, Any]:
    """The scope the application is given; with "status" alone when it is given none."""
    seen: dict[str, Any] = {}

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.update(scope)

    async def send(message: dict[str, Any]) -> None:
        seen.setdefault("status", message.get("status"))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "client": [peer, 4711] if peer else None,
        "headers": [HOST, *((name.encode(), value.encode("latin1")) for name, value in headers)],
    }
    proxy_headers = ProxyHeaders(application, [one for one in trusted.split(",") if one], lambda: key)
    await proxy_headers(scope, None, send)  # type: ignore[arg-type]  # nothing is received here
    return seen


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 203.0.113.9", "203.0.113.9"),  # the client wrote the first one itself
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("127.0.0.1", "127.0.0.1"),
        ("unknown", "unknown"),
        ("127.0.0.1,  ,nonsense\xff", "nonsense\xff"),
    ],
)
async def test_behind_a_trusted_proxy_the_clients_own_address_counts(forwarded_for: str, client: str) -> None:
    seen = await come_in(("x-forwarded-for", forwarded_for), trusted="127.0.0.1,10.0.0.0/8,::1")

    assert seen["client"][0] == client


async def test_each_proxy_may_write_a_header_of_its_own() -> None:
    seen = await come_in(("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "203.0.113.9"))

    assert seen["client"][0] == "203.0.113.9"


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("https, http", "http"), ("x", "http")],
)
async def test_a_trusted_proxy_says_whether_there_was_tls(proto: str, scheme: str) -> None:
    seen = await come_in(("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", proto))

    assert seen["scheme"] == scheme


async def test_a_trusted_proxy_that_names_no_client_is_refused_without_a_key() -> None:
    assert (await come_in(("x-forwarded-proto", "https")))["status"] == 403
    assert (await come_in(("forwarded", "for=127.0.0.1")))["status"] == 403


async def test_an_untrusted_proxy_is_believed_nothing() -> None:
    headers = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")]

    assert (await come_in(*headers, peer="192.0.2.1"))["status"] == 403
    seen = await come_in(*headers, peer="192.0.2.1", key=True)

    assert (seen["client"][0], seen["scheme"]) == ("proxy-at-192.0.2.1", "http")


@pytest.mark.parametrize("name", sorted(FORWARDING))
async def test_any_forwarding_header_is_refused_without_a_key(name: bytes) -> None:
    assert (await come_in((name.decode(), "127.0.0.1"), trusted=""))["status"] == 403


async def test_what_comes_through_an_unnamed_proxy_is_not_this_machine() -> None:
    seen = await come_in(("x-forwarded-for", "127.0.0.1"), trusted="", key=True)

    assert seen["client"][0] == "proxy-at-127.0.0.1"


@pytest.mark.parametrize(
    ("via", "is_served"),
    [
        ("1.1 gateway-0123456789abcdef", True),
        ("1.1 gateway-0123456789abcdef, 1.1 gateway-fedcba9876543210", True),
        ("1.1 gateway-0123456789abcdef, 1.1 caddy", False),
        ("1.1 gateway-0123456789abcdef.example.com", False),
        ("1.1 gateway-0123456789abcdef,", False),
    ],
)
async def test_another_gateway_is_a_client_and_no_proxy(via: str, is_served: bool) -> None:
    seen = await come_in(("via", via), trusted="")

    assert seen.get("status") == (None if is_served else 403)
    assert ("client" in seen) is is_served


async def test_without_forwarding_headers_nothing_changes() -> None:
    seen = await come_in(peer=None)

    assert (seen["client"], seen["scheme"]) == (None, "http")
