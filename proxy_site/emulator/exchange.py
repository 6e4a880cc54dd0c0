"""One request at the emulator, from its arrival in the log to the last byte of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from proxy_site.emulator import google_errors
from proxy_site.emulator.accounts import CLOUD_PLATFORM
from proxy_site.emulator.delivery.behaviour import GOOD, Behaviour, combine
from proxy_site.emulator.delivery.framing import frames_of
from proxy_site.emulator.google_errors import GoogleError, Json
from proxy_site.emulator.log import decoded
from proxy_site.emulator.models import HeaderMode, header_mode_for
from proxy_site.emulator.pretend_model.safety_check import is_safety_check
from proxy_site.emulator.state import GENERATE_METHODS, EmulatorState, Script

if TYPE_CHECKING:
    from proxy_site.emulator.accounts import Account
    from proxy_site.emulator.log import Entry, Purpose
    from proxy_site.emulator.rules import wire

Handler = Callable[["Exchange"], Awaitable[web.StreamResponse]]
JsonHandler = Callable[["Exchange"], Json]


@dataclass
class Exchange:
    """One request and its response, for a handler. ``script`` is the behaviour that a test has set for it."""

    state: EmulatorState
    web_request: web.Request
    method: str
    body: bytes
    payload: Any
    entry: Entry
    account_or_none: Account | None
    script: Script

    @property
    def mode(self) -> HeaderMode:
        return header_mode_for(self.web_request.headers.get("User-Agent", ""))

    @property
    def behaviour(self) -> Behaviour:
        return self.script.behaviour

    @property
    def account(self) -> Account:
        """The account of the access token. Raises 401 without one, 403 for an account disabled by Google or
        signed in without the scope."""
        if self.account_or_none is None:
            raise google_errors.unauthenticated()
        if self.account_or_none.disabled_by_provider:
            raise google_errors.account_disabled()
        if CLOUD_PLATFORM not in self.account_or_none.scopes.split():
            raise google_errors.insufficient_scopes()
        return self.account_or_none

    @property
    def usable_account(self) -> Account:
        """The account, if Google allows it to use models. loadCodeAssist answers other accounts as well."""
        account = self.account
        if account.verification_url is not None:
            raise google_errors.verification_required(account.verification_url)
        if not account.licensed:
            raise google_errors.no_licence()
        return account

    def json(self) -> Json:
        """The decoded body; an empty one is an empty message."""
        if not self.body:
            return {}
        if not isinstance(self.payload, dict):
            raise google_errors.invalid_argument("Invalid JSON payload received. A message is expected.")
        return self.payload

    def message(self, read: wire.Message) -> Json:
        """The body, read as one of the messages of ``wire.py``."""
        return read(self.json(), "")

    def note(self, **changes: Any) -> None:
        self.state.log.update(self.entry, **changes)


def endpoint(state: EmulatorState, method: str, handler: Handler) -> Callable[[web.Request], Awaitable[Any]]:
    """Wrap a handler: log the request, let scripted faults happen, turn Google errors into responses."""

    async def handle(web_request: web.Request) -> web.StreamResponse:
        body = await web_request.read()
        exchange = _open(state, method, web_request, body)
        try:
            return await _answer(exchange, handler)
        except (asyncio.CancelledError, ConnectionError):
            _note_closed(exchange)
            raise
        finally:
            exchange.note(finished_at=time.time())

    return handle


def json_endpoint(
    state: EmulatorState, method: str, handler: JsonHandler
) -> Callable[[web.Request], Awaitable[Any]]:
    async def answer(exchange: Exchange) -> web.StreamResponse:
        return await send(exchange, [orjson.dumps(handler(exchange))], "application/json; charset=UTF-8")

    return endpoint(state, method, answer)


def _open(state: EmulatorState, method: str, web_request: web.Request, body: bytes) -> Exchange:
    entry = state.log.open(method, dict(web_request.headers), body)
    entry.path = web_request.path
    scheme, _, token = web_request.headers.get("Authorization", "").partition(" ")
    account = state.account_for_token(token) if scheme.lower() == "bearer" else None
    entry.account = account.email if account else None
    payload = decoded(body)
    if method in GENERATE_METHODS:
        entry.model, entry.purpose = _model_of(payload), _purpose_of(payload)
    script = state.take_script(method, entry.account, entry.model, entry.purpose) or Script()
    return Exchange(state, web_request, method, body, payload, entry, account, script)


def _model_of(payload: Any) -> str | None:
    model = payload.get("model") if isinstance(payload, dict) else None
    return model if isinstance(model, str) else None


def _purpose_of(payload: Any) -> Purpose:
    request = payload.get("request") if isinstance(payload, dict) else None
    return "safeguards" if is_safety_check(request) else "answer"


async def _answer(exchange: Exchange, handler: Handler) -> web.StreamResponse:
    behaviour = exchange.behaviour
    if behaviour.stall_before_headers:
        await asyncio.sleep(behaviour.stall_before_headers)
    if behaviour.close_before_headers:
        await _hang_up(exchange)
    if behaviour.body is not None:
        exchange.note(outcome="faulted", status=behaviour.status)
        return _ready_made(behaviour)
    try:
        return await handler(exchange)
    except GoogleError as error:
        exchange.state.give_back(exchange.script)
        exchange.note(outcome="refused", status=error.status, message=error.message)
        return web.Response(
            status=error.status,
            body=orjson.dumps(error.body),
            content_type="application/json",
            charset="UTF-8",
        )


def _ready_made(behaviour: Behaviour) -> web.Response:
    headers = {"Content-Type": behaviour.content_type or "application/json", **behaviour.headers}
    return web.Response(status=behaviour.status or 200, body=behaviour.body, headers=headers)


def _note_closed(exchange: Exchange) -> None:
    if exchange.entry.outcome == "open":
        exchange.note(outcome="closed by peer", closed_by_peer_at=time.time())


async def _hang_up(exchange: Exchange) -> None:
    """Reset the connection, and wait for the cancellation that follows."""
    exchange.note(outcome="faulted")
    transport = exchange.web_request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        # Without lingering the kernel sends RST instead of FIN.
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    await asyncio.Event().wait()


async def send(exchange: Exchange, events: list[bytes], content_type: str) -> web.StreamResponse:
    """Write the events one by one, at the script's pace and with its faults."""
    behaviour = exchange.state.pace
    if exchange.behaviour is not GOOD:
        behaviour = combine(behaviour, exchange.behaviour)
    content_type = behaviour.content_type or content_type
    if behaviour is GOOD and len(events) == 1:
        _note_usage(exchange, events[0])
        exchange.note(outcome="answered", status=200, chunks_sent=1)
        return web.Response(body=events[0], headers={"Content-Type": content_type})
    trace = {"X-Cloudaicompanion-Trace-Id": secrets.token_hex(8)}
    response = web.StreamResponse(headers={"Content-Type": content_type, **trace})
    exchange.note(status=200)
    exchange.state.log.count_stream(1)
    try:
        await response.prepare(exchange.web_request)
        await _write(exchange, response, events, behaviour)
        # Before the end is sent, so that a client that has read all of it finds the entry in the log.
        exchange.note(outcome="faulted" if behaviour.truncate_at is not None else "answered")
        await response.write_eof()
    finally:
        exchange.state.log.count_stream(-1)
    return response


async def _write(
    exchange: Exchange, response: web.StreamResponse, events: list[bytes], behaviour: Behaviour
) -> None:
    bytes_left = behaviour.reset_after_bytes
    for number, event in enumerate(events, 1):
        for frame in frames_of(event, behaviour):
            if bytes_left is not None and len(frame) > bytes_left:
                await response.write(frame[:bytes_left])
                await asyncio.sleep(0.01)  # a reset overtakes unsent bytes
                await _hang_up(exchange)
            await response.write(frame)
            bytes_left = None if bytes_left is None else bytes_left - len(frame)
            if len(frame) < len(event):
                await asyncio.sleep(behaviour.frame_delay)  # even 0 sends the frame by itself
        _note_usage(exchange, event)
        if number == 1:
            exchange.note(chunks_sent=1)  # wakes tests that wait for an answer to begin
        else:
            exchange.entry.chunks_sent = number
        if number == behaviour.stall_after_chunks:
            await asyncio.sleep(behaviour.stall_seconds)
        elif number < len(events) and behaviour.chunk_delay:
            await asyncio.sleep(behaviour.chunk_delay)


def _note_usage(exchange: Exchange, event: bytes) -> None:
    """Note the usage that was sent. An event that was cut is no JSON, so it does not count."""
    chunk = decoded(event.removeprefix(b"data: ")) if b'"usageMetadata"' in event else None
    if isinstance(chunk, dict):
        exchange.entry.usage_sent = chunk.get("response", chunk).get("usageMetadata", {})
