from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.authentication import Client, authenticate
from gateway.errors import AuthenticationFailed, PermissionDenied

if TYPE_CHECKING:
    from django.http import HttpRequest
    from pytest_django.fixtures import Settings

KEY = "a-key-of-this-gateway"


def a_request(address: str = "127.0.0.1", host: str = "127.0.0.1:8672", **headers: str) -> HttpRequest:
    names: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    return RequestFactory().post("/v1/messages", headers={"host": host, **names}, REMOTE_ADDR=address)


@pytest.fixture
def with_key(settings: Settings) -> None:
    settings.AUTH_TOKEN = KEY
    settings.ALLOWED_HOSTS = ["*"]


@pytest.fixture
def without_key(settings: Settings) -> None:
    settings.AUTH_TOKEN = ""
    settings.ALLOWED_HOSTS = ["*"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"x_api_key": KEY},
        {"authorization": "Bearer of something else", "x_api_key": KEY},
        {"authorization": f"Bearer {KEY}", "x_api_key": "of something else"},
    ],
)
@pytest.mark.usefixtures("with_key")
def test_a_client_with_the_key_has_its_name(headers: dict[str, str]) -> None:
    assert authenticate(a_request("192.0.2.1", **headers)) == Client("AUTH_TOKEN")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"x_api_key": f"{KEY}x"},
        {"x_api_key": "Ключ"},
    ],
)
@pytest.mark.usefixtures("with_key")
def test_another_key_or_none_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(AuthenticationFailed):
        authenticate(a_request(**headers))


@pytest.mark.usefixtures("without_key")
def test_a_program_on_this_machine_needs_no_key() -> None:
    assert authenticate(a_request(authorization="Bearer anything")) == Client("loopback")
    assert authenticate(a_request("::1", host="[::1]:8672")) == Client("loopback")


@pytest.mark.parametrize(
    "request_from_elsewhere",
    [
        a_request("192.0.2.1"),
        a_request(host="gateway.example.com"),
        a_request(origin="https://example.com"),
        a_request(origin="http://[half an address"),
        a_request(origin="null"),
        a_request(sec_fetch_site="cross-site"),
    ],
)
@pytest.mark.usefixtures("without_key")
def test_without_a_key_nobody_else_is_served(request_from_elsewhere: HttpRequest) -> None:
    with pytest.raises(PermissionDenied):
        authenticate(request_from_elsewhere)


@pytest.mark.usefixtures("with_key")
def test_a_refusal_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            authenticate(a_request("192.0.2.77"))

    assert [record.getMessage()[:42] for record in caplog.records] == [
        "A client at 192.0.2.77 was refused: 401 No"
    ]


VALUES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60)


@given(st.dictionaries(st.sampled_from(["authorization", "x_api_key", "origin", "sec_fetch_site"]), VALUES))
@settings(max_examples=300)
def test_any_headers_are_a_client_or_refused(headers: dict[str, str]) -> None:
    try:
        assert authenticate(a_request(**headers)) == Client("loopback")
    except PermissionDenied:
        assert {"origin", "sec_fetch_site"} & headers.keys()
