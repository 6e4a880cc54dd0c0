"""One request at the emulator, from its arrival in the log to the last byte of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import orjson
from aiohttp import web

from proxy_site.emulator.delivery.behaviour import GOOD, Behaviour, combine
from proxy_site.emulator.delivery.framing import frames_of
from proxy_site.emulator.log import decoded
from proxy_site.emulator.refusal import Json, Refusal
from proxy_site.emulator.state import EmulatorState, Script

if TYPE_CHECKING:
    from proxy_site.emulator.log import Entry

JSON = "application/json; charset=UTF-8"


@dataclass
class Exchange:
    """One request and its response, for a handler. Each provider has a subclass, which identifies the caller.
    ``script`` is the behaviour that a test has set for the request."""

    provider: ClassVar[str]

    state: EmulatorState
    web_request: web.Request
    method: str
    body: bytes
    entry: Entry
    script: Script = field(default_factory=Script)
    response_headers: dict[str, str] = field(default_factory=dict)

    @cached_property
    def payload(self) -> Any:
        """The decoded body; None when it is not JSON."""
        return decoded(self.body)

    @property
    def behaviour(self) -> Behaviour:
        return self.script.behaviour

    def identify(self) -> None:
        """Note the account and the model in the log, before they select the script."""

    def usage_in(self, event: bytes) -> Json | None:
        """Return the usage in an event; None without any, and for an event that was cut."""
        return None

    def error_as_sent(self, body: bytes) -> bytes:
        """Return the body of an error, with what the provider adds to each."""
        return body

    def note(self, **changes: Any) -> None:
        self.state.log.update(self.entry, **changes)


E = TypeVar("E", bound=Exchange)
Handler = Callable[[E], Awaitable[web.StreamResponse]]
JsonHandler = Callable[[E], Json]
Endpoint = Callable[[web.Request], Awaitable[Any]]


def endpoint(kind: type[E], state: EmulatorState, method: str, handler: Handler[E]) -> Endpoint:
    """Wrap a handler: log the request, let scripted faults happen, turn refusals into responses."""

    async def handle(web_request: web.Request) -> web.StreamResponse:
        exchange = await _open(kind, state, method, web_request)
        try:
            return await _answer(exchange, handler)
        except (asyncio.CancelledError, ConnectionError):
            _note_closed(exchange)
            raise
        finally:
            exchange.note(finished_at=time.time())

    return handle


def json_endpoint(kind: type[E], state: EmulatorState, method: str, handler: JsonHandler[E]) -> Endpoint:
    async def answer(exchange: E) -> web.StreamResponse:
        return await send(exchange, [orjson.dumps(handler(exchange))], JSON)

    return endpoint(kind, state, method, answer)


async def _open(kind: type[E], state: EmulatorState, method: str, web_request: web.Request) -> E:
    body = await web_request.read()
    entry = state.log.open(method, dict(web_request.headers), body)
    entry.path, entry.provider = web_request.path, kind.provider
    exchange = kind(state, web_request, method, body, entry)
    exchange.identify()
    exchange.script = state.take_script(entry) or Script()
    return exchange


async def _answer(exchange: E, handler: Handler[E]) -> web.StreamResponse:
    behaviour = exchange.behaviour
    if behaviour.stall_before_headers:
        await asyncio.sleep(behaviour.stall_before_headers)
    if behaviour.close_before_headers:
        await _hang_up(exchange)
    if behaviour.body is not None:
        exchange.note(outcome="faulted", status=behaviour.status)
        return _ready_made(exchange, behaviour)
    try:
        return await handler(exchange)
    except Refusal as error:
        exchange.state.give_back(exchange.script)
        exchange.note(outcome="refused", status=error.status, message=error.message)
        headers = {"Content-Type": JSON, **exchange.response_headers, **error.headers}
        return web.Response(
            status=error.status, body=exchange.error_as_sent(orjson.dumps(error.body)), headers=headers
        )


def _ready_made(exchange: Exchange, behaviour: Behaviour) -> web.Response:
    content_type = behaviour.content_type or "application/json"
    headers = {**exchange.response_headers, "Content-Type": content_type, **behaviour.headers}
    body = exchange.error_as_sent(behaviour.body or b"")
    return web.Response(status=behaviour.status or 200, body=body, headers=headers)


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
    headers = {**exchange.response_headers, "Content-Type": content_type}
    if behaviour is GOOD and len(events) == 1:
        _note_usage(exchange, events[0])
        exchange.note(outcome="answered", status=200, chunks_sent=1)
        return web.Response(body=events[0], headers=headers)
    response = web.StreamResponse(headers=headers)
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
    usage = exchange.usage_in(event)
    if usage is not None:
        exchange.entry.usage_sent = usage
