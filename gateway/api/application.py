"""The ASGI application behind `/v1`: Django's URLs and views, and little else.

Django's own handler runs every request through all middleware and several thread hops, which costs more
than everything the gateway does (docs/performance.md). Sessions, CSRF and messages belong to the pages;
an API request needs a host check, a request id and a few headers, and these are here. Its request is
Django's, whose own parts are made when something asks for them; its responses have only what is sent.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.asgi import ASGIRequest
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase, ResponseHeaders
from django.urls import Resolver404, resolve

from accounts.values.sanitize import escape_controls
from gateway.api.authentication import Client, check_host
from gateway.bodies.arrival import BodyLimits, ClientGone, IncomingBody
from gateway.bodies.hang_up import HangUp
from gateway.dialects.anthropic.dialect import ANTHROPIC
from gateway.errors import OUR_FAULT, STOPPING, GatewayError, InvalidRequest, NotFound, Overloaded
from gateway.known_settings import known_settings
from gateway.telemetry.noise import log_unauthenticated
from gateway.telemetry.request_ids import accepted_or_new, current_request_id

if TYPE_CHECKING:
    from gateway.bodies.shape import Body
    from gateway.dialects.base import Dialect, RequestParser
    from gateway.preparation.translator import ReadRequest
    from gateway.service import Gateway

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answering = Callable[[], "Awaitable[ApiResponse]"]

URLCONF = "gateway.api.urls"
LONGEST_PATH_SHOWN = 200
KEPT_PATHS = 32
"""How many paths are kept with their views. Most requests have one of two paths."""
KEPT_HOSTS = 64
KEPT_HEADERS = 256
KEPT_TYPES = 32
API_PATH_AT_THE_END = re.compile(r"(?:.*/)?(messages(?:/+count_tokens)?|models(?:/+[^/]+)?)/*", re.IGNORECASE)
"""Matches the end of a path by which a client's wrong base URL is recognised."""
JSON_TYPE = re.compile(r"application/([\w.+-]+\+)?json\b", re.IGNORECASE)


class _MadeWhenAsked:
    """A lazy attribute of Django's request: the first access to any of them sets all. `__getattr__` would do
    the same, but makes every attribute of a request slower to read."""

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, request: ApiRequest, _: type) -> Any:
        request.make_djangos_parts()
        return vars(request)[self._name]


class ApiRequest(ASGIRequest):
    """A request with its id, its client, the gateway that serves it, and its body once that has been read."""

    META = _MadeWhenAsked()
    resolver_match = _MadeWhenAsked()
    script_name = _MadeWhenAsked()
    content_type = _MadeWhenAsked()
    content_params = _MadeWhenAsked()
    _stream = _MadeWhenAsked()
    _read_started = _MadeWhenAsked()
    _post_parse_error = _MadeWhenAsked()

    dialect: Dialect
    """The dialect of error responses: the endpoint's, once the path has been resolved
    (gateway/api/endpoint.py)."""
    headers: Mapping[str, str]  # type: ignore[assignment]
    client: Client
    """Set by endpoints that only clients may call."""
    send: Send | None
    """ASGI's `send`; None for a request that the gateway makes itself (own_requests.py)."""

    def __init__(self, scope: Scope, gateway: Gateway) -> None:
        self.scope = scope
        self.path = self.path_info = scope["path"]
        self.method = scope["method"].upper()
        self.headers = _headers_of(scope["headers"])
        self.raw_body: Body = b""
        self.gateway = gateway
        self.dialect = ANTHROPIC
        self.send = None
        self.has_begun_response = False
        self.request_id = accepted_or_new(self.headers.get("x-request-id", ""))
        if scope.get("root_path"):
            self.make_djangos_parts()

    def make_djangos_parts(self) -> None:
        """Set all attributes of Django's request."""
        super().__init__(self.scope, io.BytesIO())

    @property
    def query(self) -> str:
        """The query without its question mark."""
        query: bytes = self.scope.get("query_string", b"")
        return query.decode(errors="replace")

    def get_host(self) -> str:
        """Do what Django's method does, but keep the results for allowed names. Raises DisallowedHost."""
        host = self.headers.get("host")
        if host is not None and _is_allowed(host, tuple(known_settings.ALLOWED_HOSTS)):
            return host
        return str(super().get_host())

    async def parse_body(self, parser: RequestParser) -> ReadRequest:
        """Parse the body. Raises GatewayError."""
        if "content-type" in self.headers and not _is_json(self.headers["content-type"]):
            raise InvalidRequest("content-type: must be application/json.")
        return await self.gateway.translator.read(self.raw_body, parser)


def _headers_of(raw: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """Return the headers by names in lower case, with the values of one name joined by commas. Django's own
    code translates each name to that of a CGI variable and back."""
    headers = {name.decode("latin1"): value.decode("latin1") for name, value in raw}
    return headers if len(headers) == len(raw) else _joined_headers(raw)


def _joined_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin1"), raw_value.decode("latin1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


@lru_cache(maxsize=KEPT_HOSTS)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


@lru_cache(maxsize=KEPT_TYPES)
def _is_json(content_type: str) -> bool:
    """Return whether a body of this type may be read. A body without a type may."""
    media_type = content_type.partition(";")[0].strip()
    return not media_type or JSON_TYPE.match(media_type) is not None


class ApiResponse(HttpResponseBase):
    """A response of the API, without Django's code for cookies and charsets. Values of `headers` are checked
    and encoded by Django's rules."""

    content_type = b"application/json"

    def __init__(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self.headers = headers or {}  # type: ignore[assignment]
        self.content = b""

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, encoded. Raises BadHeaderError for a value with a line break."""
        return [
            *[_encoded_header(name, value) for name, value in self.headers.items()],
            (b"content-type", self.content_type),
        ]


@lru_cache(maxsize=KEPT_HEADERS)
def _encoded_header(name: str, value: str) -> tuple[bytes, bytes]:
    [(name, value)] = ResponseHeaders({name: value}).items()
    return name.lower().encode("latin1"), value.encode("latin1")


class JsonResponse(ApiResponse):
    """A response with a JSON value. `encoded` is the value as JSON, if the caller has it already."""

    def __init__(
        self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None, encoded: bytes = b""
    ) -> None:
        super().__init__(status, headers)
        self.content = encoded or orjson.dumps(value)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().raw_headers(), (b"content-length", b"%d" % len(self.content))]


NO_HEADERS: Mapping[str, str] = MappingProxyType({})
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


DIRECT_SENDER = "gateway.direct_sender"
"""The scope's key for a DirectSender, which the gateway's own server puts there."""


class DirectSender(Protocol):
    """Sends pieces of a response's body without a coroutine."""

    @property
    def can_send(self) -> bool:
        """True when the response has begun, the client is there, and it reads what is sent."""

    def send_piece(self, piece: bytes) -> None:
        """Do what ASGI's `send` does with a piece that is not the last. Call it only when `can_send`."""


class StreamPieces(Protocol):
    """The bytes of a stream, piece by piece."""

    @property
    def is_at_end(self) -> bool:
        """True when the last returned piece is known to be the end of the stream, else False."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def clean_up(self) -> None:
        """End the stream; called also when no piece was read."""


class EventStream(ApiResponse):
    """A response of server-sent events."""

    content_type = b"text/event-stream; charset=utf-8"

    def __init__(self, pieces: StreamPieces, headers: Mapping[str, str]) -> None:
        super().__init__(headers={**STREAM_HEADERS, **headers})
        self.pieces = pieces


class Api:
    def __init__(self, gateway: Gateway, body_limits: BodyLimits) -> None:
        self._gateway = gateway
        self._body_limits = body_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = ApiRequest(scope, self._gateway)
        request.send = send
        current_request_id.set(request.request_id)
        body = IncomingBody(scope, receive, self._body_limits)
        hang_up = HangUp(scope, receive)
        response: ApiResponse | None = None
        try:
            response = await _respond(request, body, hang_up)
            # A stream may last for long, so what was received is dropped once it has begun.
            request.raw_body, request.headers, scope["headers"] = b"", NO_HEADERS, []
            body.release()
            sending = _send_stream if isinstance(response, EventStream) else _send
            await sending(response, request, hang_up)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if hang_up.has_come:
                logger.debug("the client hung up")
            elif not self._gateway.is_stopping:
                raise
            elif response is None and not request.has_begun_response:
                await _send(
                    _error_response(Overloaded(STOPPING), request.request_id, request.dialect), request
                )
            # Otherwise the response has begun: a second one would be read as a part of it.
        finally:
            body.release()
            hang_up.stop()


async def _respond(request: ApiRequest, body: IncomingBody, hang_up: HangUp) -> ApiResponse:
    """Answer the request. One that its headers rule out is refused before the body is read."""
    is_noted = logger.isEnabledFor(logging.DEBUG)
    started = time.monotonic() if is_noted else 0.0
    try:
        view = _judged(request)
        request.raw_body = await body.read()
        hang_up.watch()
        response = await view()
    except ClientGone:
        raise
    except Exception as error:
        response = _error_response(_as_gateway_error(error), request.request_id, request.dialect)
    if is_noted:
        took = time.monotonic() - started
        path = request.path_info[:LONGEST_PATH_SHOWN]
        logger.debug("%s %s → %d after %.3f s", request.method, path, response.status_code, took)
    return response


def _judged(request: ApiRequest) -> Answering:
    """Check the headers, and return the view with its arguments. Raises GatewayError."""
    try:
        view, args, kwargs = _view_of(request.path_info)
    except Resolver404 as error:
        check_host(request)
        raise _path_unknown(request) from error
    view.judge_head(request)
    return partial(view, request, *args, **kwargs)


@lru_cache(maxsize=KEPT_PATHS)
def _view_of(path: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Return the view with its arguments. Raises Resolver404, which is not kept."""
    match = resolve(path, URLCONF)
    return match.func, match.args, match.kwargs


def has_path(path: str) -> bool:
    """Return whether the API answers requests for this path."""
    try:
        _view_of(path)
    except Resolver404:
        return False
    return True


def _as_gateway_error(error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, SuspiciousOperation):
        # Django's own limits, on the number of fields in a query for example.
        return InvalidRequest(f"The request cannot be taken ({type(error).__name__}).")
    logger.error("the gateway failed", exc_info=error)
    return GatewayError(OUR_FAULT)


def _path_unknown(request: ApiRequest) -> NotFound:
    """Name the right base URL after usual mistakes: /v1/v1/messages, //v1/messages, /proxy/v1/messages."""
    path = request.path_info[:LONGEST_PATH_SHOWN]
    found = API_PATH_AT_THE_END.fullmatch(path)
    if found is None:
        return NotFound(f"{path} is not a path of this gateway.")
    address = str(request.META.get("REMOTE_ADDR", ""))
    asked_for = "%s was asked for: the base URL of a client is wrong"
    log_unauthenticated(logger, logging.INFO, address, asked_for, escape_controls(path))
    meant = re.sub("/+", "/", f"/v1/{found[1].lower()}")
    return NotFound(
        f"{path} is not a path of this gateway, but {meant} is. A client's base URL is the address of the "
        f"gateway alone, such as {request.scheme}://{request.get_host()}; only clients built on "
        "@ai-sdk/anthropic, such as opencode, want /v1 at its end."
    )


def _error_response(error: GatewayError, request_id: str, dialect: Dialect = ANTHROPIC) -> JsonResponse:
    body = dialect.error_body(error, request_id)
    return JsonResponse(body, status=error.status, headers=error.as_headers())


async def send_error(error: GatewayError, scope: Scope, send: Send) -> None:
    """Send an error as a whole response, for ASGI applications around the API."""
    asked = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin1")
    request_id = accepted_or_new(asked)
    response = _error_response(error, request_id)
    await send(_start(response, request_id))
    await send({"type": "http.response.body", "body": response.content})


async def begin_stream(request: ApiRequest) -> None:
    """Begin a response of server-sent events before it is known which account answers."""
    assert request.send is not None
    head = ApiResponse(headers=STREAM_HEADERS)
    head.content_type = EventStream.content_type
    request.has_begun_response = True
    await request.send(_start(head, request.request_id))


async def send_piece(request: ApiRequest, piece: bytes) -> None:
    assert request.send is not None
    await request.send({"type": "http.response.body", "body": piece, "more_body": True})


async def _send(response: ApiResponse, request: ApiRequest, hang_up: HangUp | None = None) -> None:
    assert request.send is not None
    await request.send(_start(response, request.request_id))
    if hang_up is not None:
        hang_up.stop()
    await request.send({"type": "http.response.body", "body": response.content})


async def _send_stream(stream: ApiResponse, request: ApiRequest, hang_up: HangUp) -> None:
    """Send the pieces of a stream. The last one ends the response if it is known to be the last."""
    assert isinstance(stream, EventStream)
    send, pieces = request.send, stream.pieces
    assert send is not None
    is_complete = False
    try:
        if not request.has_begun_response:
            await send(_start(stream, request.request_id))
        stream.headers = NO_HEADERS  # type: ignore[assignment]
        async for piece in pieces:
            is_complete = pieces.is_at_end
            await send({"type": "http.response.body", "body": piece, "more_body": not is_complete})
            del piece
    finally:
        await pieces.clean_up()
    hang_up.stop()
    if not is_complete:
        await send({"type": "http.response.body", "body": b""})


def _start(response: ApiResponse, request_id: str) -> Message:
    headers = response.raw_headers()
    headers += [(b"request-id", request_id.encode("latin1")), (b"x-content-type-options", b"nosniff")]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}
