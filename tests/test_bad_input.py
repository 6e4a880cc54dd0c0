"""Whatever arrives on the socket, the answer is an error a client can read, and the gateway goes on."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.clients.raw_http import Answer, as_chunks, ask, post, request_bytes, wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live_gateway import LiveGateway
HELLO: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
DEPTH = 100_000
"""Once a second, in truth; what failed is printed then."""


@pytest.fixture
def url(shared_gateway: LiveGateway) -> Iterator[str]:
    """Whatever a test does, the gateway serves the next request and has printed no error of its own."""
    printed_before = len(shared_gateway.output)
    yield shared_gateway.url
    assert ask(shared_gateway.url, request_bytes("GET", "/health"), "GET").status == 200
    printed = shared_gateway.output[printed_before:]
    assert "Traceback" not in printed
    assert "ERROR" not in printed


def assert_refused(answer: Answer, status: int, error_type: str, *words: str) -> None:
    assert (answer.status, answer.error["type"]) == (status, error_type)
    for word in words:
        assert word in answer.error["message"]


# Bodies that are no JSON

NO_JSON = {
    "nothing": b"",
    "half an object": b'{"model": "claude-sonnet-4-6", "max_',
    "two objects": b"{}{}",
    "a bare word": b"hello",
    "not a number": b'{"max_tokens": NaN}',
    "a form": b"model=claude-sonnet-4-6&max_tokens=100",
    "latin-1": '{"model": "é"}'.encode("latin1"),
    "utf-16": '{"model": "a"}'.encode("utf-16"),
    "stray bytes": b"\xff\xfe\x00\x01",
    "a zero byte": b'{"model": "\x00"}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00",
    "100k open lists": b"[" * DEPTH,
}
TOO_DEEP = {
    "lists": b"[" * DEPTH + b"]" * DEPTH,
    "objects": b'{"a":' * (DEPTH // 2) + b"{}" + b"}" * (DEPTH // 2),
    "within a message": orjson.dumps(HELLO)[:-1] + b',"x":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "just too deep": orjson.dumps(HELLO)[:-1] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}",
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("name", NO_JSON)
def test_a_body_that_is_no_json_is_refused(name: str, path: str, url: str) -> None:
    assert_refused(post(url, NO_JSON[name], path), 400, "invalid_request_error", "not valid JSON")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("name", TOO_DEEP)
def test_a_body_nested_too_deeply_is_refused(name: str, path: str, url: str) -> None:
    answer = post(url, TOO_DEEP[name], path)

    assert_refused(answer, 400, "invalid_request_error", "more than 200 levels deep")


@pytest.mark.parametrize("depth", [190, 199])
def test_unvalidated_fields_may_be_deeply_nested(depth: int, url: str) -> None:
    body = orjson.dumps(HELLO)[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"

    assert post(url, body).status == 200


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"17", b"null", b"true"])
def test_json_that_is_no_object_is_refused(body: bytes, url: str) -> None:
    assert_refused(post(url, body), 400, "invalid_request_error", "must be a JSON object")


# Fields


def said(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


WRONG_FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("model", {"model": None}),
    ("model", {"model": 5}),
    ("model", {"model": ""}),
    ("model", {"model": ["claude"]}),
    ("max_tokens", {"max_tokens": None}),
    ("max_tokens", {"max_tokens": -1}),
    ("max_tokens", {"max_tokens": 1.5}),
    ("max_tokens", {"max_tokens": True}),
    ("max_tokens", {"max_tokens": "100"}),
    ("messages", {"messages": None}),
    ("messages", {"messages": []}),
    ("messages", {"messages": {}}),
    ("messages", {"messages": "Hello"}),
    ("messages.0", {"messages": ["Hello"]}),
    ("messages.0", {"messages": [None]}),
    ("messages.0.role", {"messages": [{"content": "Hello"}]}),
    ("messages.0.role", {"messages": [{"role": "robot", "content": "Hello"}]}),
    ("messages.0.role", {"messages": [{"role": ["user"], "content": "Hello"}]}),
    ("messages.0.content", {"messages": [{"role": "user"}]}),
    ("messages.0.content", {"messages": [{"role": "user", "content": None}]}),
    ("messages.0.content", {"messages": [{"role": "user", "content": 5}]}),
    ("messages.0.content.0", said("Hello")),
    ("messages.0.content.0.type", said({"text": "Hello"})),
    ("messages.0.content.0.type", said({"type": 5})),
    ("messages.0.content.0.text", said({"type": "text"})),
    ("messages.0.content.0.text", said({"type": "text", "text": 5})),
    ("messages.0.content.1.text", said({"type": "text", "text": "a"}, {"type": "text", "text": None})),
    ("messages.0.content.0.source", said({"type": "image"})),
    ("messages.0.content.0.source.type", said(image(media_type="image/png"))),
    ("messages.0.content.0.source.data", said(image(type="base64", media_type="image/png", data="???"))),
    ("messages.0.content.0.source.media_type", said(image(type="base64", media_type=5, data="aGk="))),
    ("messages.0.content.0.source.url", said(image(type="url"))),
    ("messages.0.content.0.tool_use_id", said({"type": "tool_result", "content": "a"})),
    ("system", {"system": 5}),
    ("system", {"system": {"type": "text", "text": "a"}}),
    ("system.0", {"system": ["a"]}),
    ("system.0.text", {"system": [{"type": "text"}]}),
    ("stream", {"stream": "yes"}),
    ("stream", {"stream": 1}),
    ("temperature", {"temperature": "hot"}),
    ("temperature", {"temperature": -1}),
    ("temperature", {"temperature": 3}),
    ("top_p", {"top_p": 2}),
    ("top_k", {"top_k": "many"}),
    ("top_k", {"top_k": -1}),
    ("stop_sequences", {"stop_sequences": "STOP"}),
    ("stop_sequences", {"stop_sequences": [5]}),
    ("metadata", {"metadata": "me"}),
    ("tools", {"tools": {}}),
    ("tools.0", {"tools": ["Read"]}),
    ("tools.0.name", {"tools": [{"name": "", "input_schema": {"type": "object"}}]}),
    ("tools.0.name", {"tools": [{"name": "a" * 200, "input_schema": {"type": "object"}}]}),
    ("tools.0.input_schema", {"tools": [{"name": "a"}]}),
    ("tools.0.input_schema", {"tools": [{"name": "a", "input_schema": "object"}]}),
    ("tools.1.name", {"tools": [{"name": "a", "input_schema": {"type": "object"}}] * 2}),
    ("tool_choice", {"tool_choice": "auto"}),
    ("tool_choice", {"tool_choice": {"type": "any"}}),
    ("thinking", {"thinking": True}),
    ("thinking.type", {"thinking": {}}),
    ("thinking.budget_tokens", {"thinking": {"type": "enabled"}}),
    ("thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": "lots"}}),
    ("output_config", {"output_config": "high"}),
]


@pytest.mark.parametrize(("field", "changes"), WRONG_FIELDS, ids=lambda value: str(value)[:60])
def test_a_wrong_field_is_named(field: str, changes: dict[str, Any], url: str) -> None:
    answer = post(url, {**HELLO, **changes})

    assert_refused(answer, 400, "invalid_request_error", field)


@pytest.mark.parametrize("field", HELLO)
def test_a_missing_field_is_named(field: str, url: str) -> None:
    body = {name: value for name, value in HELLO.items() if name != field}

    assert_refused(post(url, body), 400, "invalid_request_error", field)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_count_tokens_names_a_missing_field(field: str, url: str) -> None:
    body = {name: value for name, value in HELLO.items() if name != field}

    assert_refused(post(url, body, "/v1/messages/count_tokens"), 400, "invalid_request_error", field)


def test_any_invalid_field_is_no_server_error(url: str) -> None:
    """None of it is a server error."""
    nonsense: list[Any] = [
        None,
        True,
        0,
        -1,
        1e300,
        "",
        "\ud7ff",
        [],
        [[]],
        [{}],
        {},
        {"type": None},
        "x" * 9,
    ]
    fields = [
        *HELLO, "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "tools",
        "tool_choice", "thinking", "output_config", "output_format", "thread", "safeguards", "container",
        "mcp_servers", "context_management", "service_tier", "betas", "cache_control",
    ]  # fmt: skip

    statuses = {post(url, {**HELLO, field: value}).status for field in fields for value in nonsense}

    assert statuses <= {200, 400, 404}


def test_a_lone_surrogate_is_no_server_error(url: str) -> None:
    body = orjson.dumps(HELLO).replace(b"Hello", rb"Hello \ud83d there")

    assert post(url, body).status in {200, 400}


# Paths and methods


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v1/", "/v1/unknown", "/v2/messages", "/v1/messages/", "/v1/messages/batches", "/v1/complete",
     "/v1/files", "//v1/messages", "/v1/%6dessages%00", "/%ff%fe", "/v1/../etc/passwd", "/.env",
     "/" + "a" * 8000],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_not_found(method: str, path: str, url: str) -> None:
    assert_refused(ask(url, request_bytes(method, path), method), 404, "not_found_error", "is not a path")


@pytest.mark.parametrize(
    "path",
    ["/v1/v1/messages?beta=true", "//v1/messages", "/anthropic/v1/messages/count_tokens", "/V1/messages",
     "/messages/", "/api/v1/v1/models"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_base_url_gets_the_right_one(method: str, path: str, url: str) -> None:
    answer = ask(url, request_bytes(method, path, b"{}"), method)

    assert_refused(answer, 404, "not_found_error", "base URL is the address of the gateway alone")


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet-4.5", "anthropic%2Fclaude-sonnet-4.5"])
def test_a_model_name_may_have_a_slash(name: str, url: str) -> None:
    answer = ask(url, request_bytes("GET", f"/v1/models/{name}"), "GET")

    assert orjson.loads(answer.body)["id"] == "anthropic/claude-sonnet-4.5"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, "/v1/messages", "POST") for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")),
        ("GET", "/v1/messages/count_tokens", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/claude-sonnet-4-6", "GET, HEAD"),
        ("PUT", "/health", "GET, HEAD"),
        ("PUT", "/", "HEAD, POST"),
    ],
)
def test_another_method_gets_the_allowed_ones(method: str, path: str, allowed: str, url: str) -> None:
    answer = ask(url, request_bytes(method, path, b"{}"), method)

    assert_refused(answer, 405, "invalid_request_error", method)
    assert answer.headers["allow"] == allowed


def test_an_unknown_method_is_refused(url: str) -> None:
    answer = ask(url, request_bytes("BREW", "/v1/messages", b"{}"), "BREW")

    assert (answer.status, answer.error["type"]) in {
        (405, "invalid_request_error"),  # httptools does not read such a request at all
        (400, "invalid_request_error"),
    }


@pytest.mark.parametrize(
    "query", ["?beta=true", "?", "?&&&", "?%ff=%fe", "?a=b=c&a", "?" + "x" * 4000, "?limit=-1", "?[]={}"]
)
def test_a_query_never_matters_to_a_message(query: str, url: str) -> None:
    assert post(url, HELLO, f"/v1/messages{query}").status == 200


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "", "%ff", "%D9%A1", "9" * 500])
def test_a_page_of_models_has_its_limits(limit: str, url: str) -> None:
    raw = request_bytes("GET", f"/v1/models?limit={limit}")

    assert_refused(ask(url, raw, "GET"), 400, "invalid_request_error", "limit")


# Headers


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "multipart/form-data; boundary=x",
    ],
)
def test_another_content_type_is_refused(content_type: str, url: str) -> None:
    answer = post(url, HELLO, content_type=content_type)

    assert_refused(answer, 400, "invalid_request_error", "content-type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json", "application/json;"],
)
def test_json_by_any_of_its_names_is_taken(content_type: str, url: str) -> None:
    assert post(url, HELLO, content_type=content_type).status == 200


def test_a_body_without_a_content_type_is_taken(url: str) -> None:
    assert ask(url, request_bytes(body=orjson.dumps(HELLO))).status == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.example.com", "a b", "[::1", "", "a@b"])
def test_another_host_is_refused(host: str, url: str) -> None:
    assert_refused(post(url, HELLO, host=host), 400, "invalid_request_error", "Host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1234", "[::1]:80"])
def test_this_machine_by_any_of_its_names_is_served(host: str, url: str) -> None:
    assert post(url, HELLO, host=host).status == 200


ODD_HEADERS = {
    "unknown betas": {"anthropic_beta": "made-up-2099-01-01,,another"},
    "no version": {"anthropic_version": ""},
    "bytes of another alphabet": {"user_agent": "caf\xe9 \xff"},
    "an id to break a log line": {"x_request_id": "a b <script>"},
    "an accept of nothing": {"accept": "image/png"},
    "many cookies": {"cookie": "a=b; " * 500},
    "an odd authorization": {"authorization": "Basic %%%"},
    "a range": {"range": "bytes=0-10"},
    "an upgrade": {"upgrade": "h2c", "connection": "upgrade"},
}


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_odd_headers_never_break_a_request(name: str, url: str) -> None:
    answer = post(url, HELLO, **ODD_HEADERS[name])

    assert answer.status == 200
    assert "<" not in answer.headers["request-id"]


# Who passed it on


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "203.0.113.9"},
        {"x_forwarded_for": "127.0.0.1"},
        {"x_forwarded_for": ""},
        {"forwarded": "for=192.0.2.60;proto=http"},
        {"x_forwarded_proto": "https"},
        {"x_real_ip": "127.0.0.1"},
        {"via": "1.1 proxy"},
        {"cf_connecting_ip": "203.0.113.9"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/health", "/admin/login/"])
def test_without_a_key_proxied_requests_are_refused(headers: dict[str, str], path: str, url: str) -> None:
    """Behind a proxy on this machine every client looks local."""
    assert_refused(
        post(url, HELLO, path, **headers), 403, "permission_error", "AUTH_TOKEN", "TRUSTED_PROXIES"
    )


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/admin/login/"])
def test_every_request_needs_exactly_one_host(path: str, url: str) -> None:
    none = f"GET {path} HTTP/1.1\r\n\r\n".encode()
    two = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".encode()

    for raw in (none, two):
        assert_refused(ask(url, raw, "GET"), 400, "invalid_request_error", "Host")


def test_http_1_0_may_omit_the_host(url: str) -> None:
    assert ask(url, b"GET /health HTTP/1.0\r\n\r\n", "GET").status == 200


# What is hardly HTTP

LOCAL = b"Host: localhost\r\n"
HARDLY_HTTP = {
    "a length that is no number": request_bytes(body=None, content_length="abc"),
    "a length below zero": request_bytes(body=None, content_length="-5"),
    "two lengths": b"POST / HTTP/1.1\r\n" + LOCAL + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a chunk of no size": request_bytes(body=b"zz\r\n{}\r\n0\r\n\r\n", transfer_encoding="chunked"),
    "an unknown transfer encoding": request_bytes(body=b"{}", transfer_encoding="gzip"),
    "a header without a colon": b"GET /health HTTP/1.1\r\n" + LOCAL + b"nonsense\r\n\r\n",
    "no blank after the method": b"GET/health\r\n\r\n",
    "an unknown version": b"GET /health HTTP/7.9\r\n" + LOCAL + b"\r\n",
    "a path in another alphabet": "GET /v1/caf\xe9 HTTP/1.1\r\n".encode() + LOCAL + b"\r\n",
    "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "an endless header": b"GET /health HTTP/1.1\r\n" + LOCAL + b"x: " + b"y" * 200_000 + b"\r\n\r\n",
    "too many headers": b"GET /health HTTP/1.1\r\n" + LOCAL + b"x: y\r\n" * 5000 + b"\r\n",
    "an endless path": b"GET /" + b"y" * 200_000 + b" HTTP/1.1\r\n" + LOCAL + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 without its preface": b"GET /health HTTP/2.0\r\n" + LOCAL + b"\r\n",
}
# Which two programs would not take apart in the same way: PortSwigger's pages on request smuggling, and the
# reports on chunks in golang/go (71988) and valyala/fasthttp (1899)
WORD = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + LOCAL + b"\r\n"
AMBIGUOUS = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + WORD,
    "chunks by another name": b"Transfer-Encoding: xchunked\r\n\r\n" + WORD,
    "chunks of another coding": b"Transfer-Encoding: gzip, chunked\r\n\r\n" + WORD,
    "chunks, and then more": b"Transfer-Encoding: chunked, identity\r\n\r\n" + WORD,
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + WORD,
    "a blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n" + WORD,
    "a name on two lines": b"Transfer-Encoding\r\n : chunked\r\n\r\n" + WORD,
    "a lone LF between headers": b"X: X\nTransfer-Encoding: chunked\r\n\r\n" + WORD,
    "a lone CR between headers": b"X: X\rTransfer-Encoding: chunked\r\n\r\n" + WORD,
    "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n" + WORD,
    "one length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": b"Content-Length: +5\r\n\r\nhello",
    "a length in hexadecimal": b"Content-Length: 0x5\r\n\r\nhello",
    "a length with an underscore": b"Content-Length: 0_5\r\n\r\nhello",
    "a length of nothing": b"Content-Length: \r\n\r\nhello",
    "a chunk of 0x5": b"Transfer-Encoding: chunked\r\n\r\n0x" + WORD,
    "a chunk of +5": b"Transfer-Encoding: chunked\r\n\r\n+" + WORD,
    "a chunk of -5": b"Transfer-Encoding: chunked\r\n\r\n-" + WORD,
    "a lone LF after a chunk's size": b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "a lone LF in a chunk's extension": b"Transfer-Encoding: chunked\r\n\r\n5;a=\nb\r\nhello\r\n0\r\n\r\n",
    "a lone CR in a chunk's extension": b"Transfer-Encoding: chunked\r\n\r\n5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "a chunk without its line end": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
    "a zero byte in a header": b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", HARDLY_HTTP)
def test_malformed_http_is_refused_with_the_same_error(name: str, url: str) -> None:
    with wire(url) as connection:
        connection.send(HARDLY_HTTP[name])

        assert_refused(connection.answer(), 400, "invalid_request_error")


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_framing_is_refused_once(name: str, url: str) -> None:
    with wire(url) as connection:
        connection.send(b"POST /v1/messages/count_tokens HTTP/1.1\r\n" + LOCAL + AMBIGUOUS[name])
        raw = connection.everything()

    assert raw.startswith(b"HTTP/1.1 400")
    assert raw.count(b'"type":"error"') == 1


def test_trailers_are_no_headers(url: str) -> None:
    """Headers are judged before the body; what comes after it must not change them."""
    start = request_bytes(body=None, transfer_encoding="chunked", content_type="application/json")
    body = as_chunks(orjson.dumps(HELLO)).removesuffix(b"\r\n")
    trailers = b"x-forwarded-for: 192.0.2.1\r\nhost: evil.example.com\r\n\r\n"
    with wire(url) as connection:
        connection.send(start + body + trailers + request_bytes("GET", "/health"))

        assert [connection.answer().status, connection.answer("GET").status] == [200, 200]


@pytest.mark.parametrize("endless", [b"5;" + b"x" * 300_000, b"0\r\nx: " + b"y" * 300_000, b"0" * 300_000])
def test_the_framing_of_a_body_is_limited(endless: bytes, url: str) -> None:
    with wire(url) as connection:
        connection.send(request_bytes(body=None, transfer_encoding="chunked"))
        with suppress(OSError):
            connection.send(endless)

        assert connection.everything().startswith(b"HTTP/1.1 400")


def test_malformed_http_after_a_request_leaves_its_answer_whole(url: str) -> None:
    for bad in (b"nonsense\r\n\r\n", request_bytes(body=b"zz\r\n", transfer_encoding="chunked")):
        with wire(url) as connection:
            connection.send(request_bytes(body=orjson.dumps(HELLO), content_type="application/json") + bad)
            first, second = connection.answer(), connection.answer()

            assert (first.status, orjson.loads(first.body)["type"]) == (200, "message")
            assert_refused(second, 400, "invalid_request_error")
            assert connection.is_closed_by_server()


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_an_upgrade_with_a_body_is_ignored(upgrade: str, url: str) -> None:
    """Java's HTTP client asks for HTTP/2 with its first request."""
    headers = {"upgrade": upgrade, "connection": "Upgrade, HTTP2-Settings", "http2_settings": "AAMAAABk"}
    raw = request_bytes(
        body=as_chunks(orjson.dumps(HELLO)),
        transfer_encoding="chunked",
        content_type="application/json",
        **headers,
    )
    with wire(url) as connection:
        connection.send(raw + request_bytes("GET", "/health"))

        assert [connection.answer().status, connection.answer("GET").status] == [200, 200]


def test_ten_thousand_requests_at_once_are_no_failure(url: str) -> None:
    with wire(url) as connection:
        with suppress(OSError):
            connection.send(
                request_bytes("GET", "/health", connection="close") + b"GET / HTTP/1.1\r\n\r\n" * 10_000
            )

        assert connection.answer("GET").status == 200


def test_a_stream_for_http_1_0_ends_with_its_connection(url: str) -> None:
    """Such a client knows no chunks (RFC 9112, 6.1)."""
    body = orjson.dumps({**HELLO, "stream": True})
    with wire(url) as connection:
        connection.send(request_bytes(body=body, connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, events = connection.everything().partition(b"\r\n\r\n")

    assert (b"transfer-encoding" in head, b"connection: close" in head) == (False, True)
    assert events.startswith(b"event: message_start\n")
    assert events.endswith(b'data: {"type":"message_stop"}\n\n')


def test_malformed_http_closes_the_connection(url: str) -> None:
    for raw in HARDLY_HTTP.values():
        with wire(url) as connection:
            connection.send(raw)

            assert connection.is_closed_by_server()


def test_an_upgrade_to_a_web_socket_is_refused(live_gateway: LiveGateway) -> None:
    raw = request_bytes(
        "GET",
        "/v1/messages",
        upgrade="websocket",
        connection="Upgrade",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    )

    answer = ask(live_gateway.url, raw, "GET")

    assert answer.status in {400, 403, 404, 405}
    assert "Traceback" not in live_gateway.output


def test_a_page_asked_for_by_another_host_is_refused_in_one_line(live_gateway: LiveGateway) -> None:
    raw = request_bytes("GET", "/admin/", host="evil.example.com")

    answer = ask(live_gateway.url, raw, "GET")
    live_gateway.stop()

    assert answer.status == 400
    assert "Traceback" not in live_gateway.output


def test_an_absolute_address_in_the_request_line_is_understood(url: str) -> None:
    assert ask(url, request_bytes("GET", "http://localhost/health"), "GET").status == 200


def test_http_1_0_is_answered(url: str) -> None:
    assert ask(url, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", "GET").status == 200


def test_a_missing_host_is_no_server_error(url: str) -> None:
    assert ask(url, b"GET /v1/models HTTP/1.1\r\n\r\n", "GET").status in {200, 400}


# Headers

NASTY = ["\xff\xfe", "[", "http://[", "\x1b]0;title\x07", "a" * 5000, "%00", "9" * 5000, "\xed\xa0\x80"]
READ_HEADERS = [
    "accept", "accept_language", "anthropic_beta", "anthropic_version", "authorization", "content_type",
    "cookie", "expect", "if_modified_since", "range", "referer", "te", "traceparent", "user_agent",
    "x_api_key", "x_claude_code_session_id", "x_request_id",
]  # fmt: skip


@pytest.mark.parametrize("name", READ_HEADERS)
def test_a_header_of_any_content_is_no_failure(name: str, url: str) -> None:
    for value in NASTY:
        headers = {name: value, "connection": "close"}
        for path in ("/v1/models", "/admin/login/", "/health"):
            assert ask(url, request_bytes("GET", path, b"", **headers), "GET").status < 500
        headers.setdefault("content_type", "application/json")
        assert ask(url, request_bytes(body=orjson.dumps(HELLO), **headers)).status < 500


HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec_websocket_version": "13",
}


@pytest.mark.parametrize(
    "headers",
    [
        {"upgrade": "websocket", "connection": "Upgrade"},
        {**HANDSHAKE, "sec_websocket_key": "x"},
        {**HANDSHAKE, "sec_websocket_version": "99"},
        {**HANDSHAKE, "sec_websocket_extensions": "a; b=[; c"},
        {**HANDSHAKE, "sec_websocket_protocol": "a, a"},
        {**HANDSHAKE, "origin": "http://["},
        HANDSHAKE,
    ],
)
def test_an_unknown_websocket_is_refused(headers: dict[str, str], url: str) -> None:
    assert 400 <= ask(url, request_bytes("GET", "/v1/models", b"", **headers), "GET").status < 500
    time.sleep(0.1)  # what goes wrong with the end of a connection is printed after its answer


def test_an_upgrade_without_its_connection_header_is_ignored_or_refused(url: str) -> None:
    """Ignored by RFC 9110, 7.8."""
    answer = ask(url, request_bytes("GET", "/v1/models", b"", upgrade="websocket"), "GET")

    assert answer.status in {200, 400}


# The order of things


def test_requests_sent_in_one_go_are_answered_in_their_order(url: str) -> None:
    with wire(url) as connection:
        connection.send(
            request_bytes("GET", "/health")
            + request_bytes("GET", "/nowhere")
            + request_bytes(body=orjson.dumps(HELLO), content_type="application/json")
            + request_bytes(body=b"{")
        )

        statuses = [connection.answer("GET").status for _ in range(4)]

    assert statuses == [200, 404, 200, 400]


def test_a_body_in_chunks_is_read(url: str) -> None:
    body = as_chunks(orjson.dumps(HELLO), size=7)

    assert ask(url, request_bytes(body=body, transfer_encoding="chunked")).status == 200


def test_a_body_byte_by_byte_is_read(url: str) -> None:
    with wire(url) as connection:
        for byte in request_bytes(body=orjson.dumps(HELLO)):
            connection.send(bytes([byte]))

        assert connection.answer().status == 200


def test_expect_100_continue_is_answered(url: str) -> None:
    body = orjson.dumps(HELLO)
    with wire(url) as connection:
        connection.send(request_bytes(body=None, content_length=str(len(body)), expect="100-continue"))
        assert connection.connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)

        assert connection.answer().status == 200


def test_an_unfinished_request_does_not_disturb_others(url: str) -> None:
    whole = request_bytes(body=orjson.dumps(HELLO))
    with wire(url) as silent, wire(url) as silent_too:
        silent.send(whole[:40])
        silent_too.send(whole[:-5])

        assert post(url, HELLO).status == 200


def test_a_client_that_leaves_in_its_request_leaves_no_trace(url: str) -> None:
    whole = request_bytes(body=orjson.dumps(HELLO))
    for length in (1, 40, len(whole) - 5):
        with wire(url) as connection:
            connection.send(whole[:length])

    assert post(url, HELLO).status == 200
