"""The API's request and responses beside Django's own."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.http.response import BadHeaderError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.application import ApiRequest, JsonResponse, _joined_headers, _start

NAMES = st.sampled_from([b"x-one", b"x-two", b"accept", b"x_three", b"content-type", b"user-agent"])
VALUES = st.one_of(st.sampled_from([b"", b"a", b"a, b", b"application/json"]), st.binary(max_size=5))
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
HOSTS = [
    "localhost",
    "localhost:8672",
    "LOCALHOST",
    "127.0.0.1:1",
    "[::1]",
    "evil.example",
    "",
    "a b",
    "a:b:c",
    "localhost.",
]


def a_scope(headers: list[tuple[bytes, bytes]], **more: Any) -> dict[str, Any]:
    scope = {"type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"beta=true&a=1"}
    return {**scope, "headers": headers, "client": ["192.0.2.7", 4711], "server": ["127.0.0.1", 8672], **more}


def a_request(headers: list[tuple[bytes, bytes]], **more: Any) -> ApiRequest:
    return ApiRequest(a_scope(headers, **more), SimpleNamespace())  # type: ignore[arg-type]


@settings(max_examples=300)
@given(HEADERS)
def test_headers_are_those_read_one_by_one(headers: list[tuple[bytes, bytes]]) -> None:
    assert a_request(headers).headers == _joined_headers(headers)


@settings(max_examples=300)
@given(HEADERS, st.sampled_from(HOSTS))
def test_a_request_is_what_django_makes_of_it(headers: list[tuple[bytes, bytes]], host: str) -> None:
    headers = [*headers, (b"host", host.encode())]
    ours, djangos = a_request(headers), ASGIRequest(a_scope(headers), io.BytesIO())

    assert _host_of(ours) == _host_of(djangos)
    assert ours.META == djangos.META
    assert ours.GET == djangos.GET
    assert ours.query == djangos.META["QUERY_STRING"]
    for name in ("method", "path", "path_info", "scheme", "COOKIES", "content_type", "encoding"):
        assert getattr(ours, name) == getattr(djangos, name)


def _host_of(request: ASGIRequest) -> str:
    try:
        return request.get_host()
    except DisallowedHost:
        return "(not allowed)"


def test_djangos_parts_are_made_only_when_asked_for() -> None:
    request = a_request([(b"host", b"localhost"), (b"content-type", b"application/json")])

    assert request.get_host() == "localhost"
    assert "META" not in vars(request)
    assert not hasattr(request, "session")
    assert request.META["REMOTE_ADDR"] == "192.0.2.7"


def test_every_attribute_of_djangos_request_is_there() -> None:
    scope = a_scope([(b"host", b"localhost")])

    for name, value in vars(ASGIRequest(scope, io.BytesIO())).items():
        if name not in {"scope", "_stream"}:  # of which each request has its own
            assert getattr(a_request(scope["headers"]), name) == value, name


def test_a_prefix_of_the_path_is_taken_away() -> None:
    assert a_request([], path="/here/v1/messages", root_path="/here").path_info == "/v1/messages"


HEADER_VALUES = st.one_of(st.text(max_size=8), st.sampled_from(["claude-sonnet-4-6", "12", "ö", "→"]))


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(["retry-after", "X-Upstream-Model", "allow"]), HEADER_VALUES))
def test_headers_of_a_response_are_encoded_as_djangos(headers: dict[str, str]) -> None:
    try:
        general = HttpResponse(b"{}", content_type="application/json", headers=headers)
    except BadHeaderError:
        with pytest.raises(BadHeaderError):
            JsonResponse({}, headers=headers).raw_headers()
        return

    started = _start(JsonResponse({}, headers=headers), "req_1")["headers"]

    expected = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in general.items()]
    assert sorted(started) == sorted(
        [
            *expected,
            (b"content-length", b"2"),
            (b"request-id", b"req_1"),
            (b"x-content-type-options", b"nosniff"),
        ]
    )
