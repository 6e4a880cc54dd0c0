"""One WebSocket at `/ws/live`: who may open it, how fast it is served, and how it ends.

It is an ASGI application and not a consumer of Channels, which passes every message to a thread to look for
old database connections; there an acknowledgement would wait for a page. Here the database is queried only
for the session, when the socket opens and then once a minute.

A server buffers what it sends to a socket without limit. Therefore the page acknowledges each update, and the
next one is sent only after that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from accounts.database.watch import DatabaseDown
from dashboard.live import protocol
from dashboard.live.outbox import Outbox, seconds_between_updates
from dashboard.live.protocol import Ack, BadMessage
from gateway.api.operator_access import is_session_of_operator
from gateway.telemetry.noise import log_unauthenticated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dashboard.live.hub import Hub

    Scope = Mapping[str, Any]
    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

logger = logging.getLogger(__name__)

SESSION_SECONDS = 60.0
ACK_SECONDS = 30.0
QUIET_SECONDS = 15.0
"""After this long without a message the page is sent the time."""
MESSAGES_A_SECOND = 10
GONE_SECONDS = 1.0
"""How long the page may take to answer the end of the socket."""


class Goodbye(Exception):
    """Raised to end the socket; the page gets the reason."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


# Codes of RFC 6455, 7.4.1, and above 4000 our own
STOPPING = (1001, "stopping")
NOT_TEXT = (1003, "not text")
NOT_UNDERSTOOD = (1007, "not understood")
TOO_LARGE = (1009, "too large")
TRY_LATER = (1013, "no database")
SIGNED_OUT = (4401, "signed out")
TOO_SLOW = (4408, "too slow")
TOO_MANY = (4429, "too many")


class Live:
    """The ASGI application. A socket of another site is refused; any other is accepted, so that the page can
    be told why it ends."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if problem := _refusal(scope):
            address = str((scope.get("client") or [""])[0])
            what = "A WebSocket from %s was refused: %s"
            log_unauthenticated(logger, logging.WARNING, address, what, address, problem)
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        await LiveSocket(self._hub, _session_key(scope), receive, send).run()


def _refusal(scope: Scope) -> str:
    """Return why the socket must not be opened; "" when it may. Browsers send cookies with a WebSocket
    whichever page opens it, and to every port of a host, so the page's origin must be our own."""
    hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
    if len(hosts) != 1 or not validate_host(split_domain_port(hosts[0])[0], settings.ALLOWED_HOSTS):
        return "its Host is not in ALLOWED_HOSTS"
    scheme = "https" if scope.get("scheme") in {"wss", "https"} else "http"
    if len(origins) != 1 or not is_allowed_origin(origins[0], f"{scheme}://{hosts[0]}"):
        return "the page that opens it is of another origin"
    return ""


def is_allowed_origin(origin: str, own: str) -> bool:
    """Return whether scheme, host and port are our own or in CSRF_TRUSTED_ORIGINS, which may contain
    https://*.example.com. Browsers leave the scheme's default port out of both headers."""
    if origin.lower() == own.lower() or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme, separator, host = origin.partition("://")
    patterns = [trusted.split("://*") for trusted in settings.CSRF_TRUSTED_ORIGINS if "://*" in trusted]
    return bool(separator) and any(
        scheme == own_scheme and is_same_domain(host, domain) for own_scheme, domain in patterns
    )


def _headers(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin1") for name, value in scope["headers"] if name == wanted]


def _session_key(scope: Scope) -> str:
    cookies = parse_cookie("; ".join(_headers(scope, b"cookie")))
    return cookies.get(settings.SESSION_COOKIE_NAME, "")


class LiveSocket:
    """A socket that was accepted. The hub fills its `outbox` and then calls `wake`."""

    def __init__(self, hub: Hub, session_key: str, receive: Receive, send: Send) -> None:
        self.session_key = session_key
        self.outbox = Outbox()
        self._hub = hub
        self._receive = receive
        self._send = send
        self._news = asyncio.Event()
        self._end_is_due = asyncio.Event()
        self._goodbye = Goodbye(*STOPPING)
        self._awaited = 0
        """The number of the update that the page has not acknowledged yet; 0 without one."""
        self._acknowledged = asyncio.Event()
        self._received_at: deque[float] = deque(maxlen=MESSAGES_A_SECOND)

    # For the hub

    def wake(self) -> None:
        self._news.set()

    def stop(self) -> None:
        self._end(STOPPING)

    def sign_out(self) -> None:
        self._end(SIGNED_OUT)

    def _end(self, how: tuple[int, str]) -> None:
        if not self._end_is_due.is_set():
            self._goodbye = Goodbye(*how)
            self._end_is_due.set()

    # From the opening to the end

    async def run(self) -> None:
        try:
            await self._admit()
            self._hub.join(self)
            await self._serve()
        except Goodbye as goodbye:
            await self._say(goodbye)
        finally:
            self._hub.leave(self)

    async def _admit(self) -> None:
        """Check that the operator is signed in. Raises Goodbye."""
        try:
            is_operator = await self._is_operators()
        except DatabaseDown:
            raise Goodbye(*TRY_LATER) from None
        if not is_operator:
            raise Goodbye(*SIGNED_OUT)
        if self._hub.is_stopping:
            raise Goodbye(*STOPPING)
        if self._hub.is_full:
            raise Goodbye(*TOO_MANY)

    async def _is_operators(self) -> bool:
        """Return whether the socket's session is the operator's. Raises DatabaseDown."""
        if not self.session_key:
            return False
        asking = database_sync_to_async(is_session_of_operator)(self.session_key)
        return await self._hub.gateway.accounts.database.unless_down(asking)

    async def _serve(self) -> None:
        """Serve the socket until the page has gone. Raises Goodbye."""
        works = (self._read(), self._write(), self._keep_checking_session(), self._until_end_is_due())
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _until_end_is_due(self) -> None:
        await self._end_is_due.wait()
        raise self._goodbye

    async def _say(self, goodbye: Goodbye) -> None:
        with suppress(OSError, RuntimeError):  # the page has gone, in the words of the servers
            async with asyncio.timeout(GONE_SECONDS):
                await self._send({"type": "websocket.send", "text": protocol.bye(goodbye.why)})
                await self._send({"type": "websocket.close", "code": goodbye.code})
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass

    async def _keep_checking_session(self) -> None:
        while True:
            await asyncio.sleep(SESSION_SECONDS)
            with suppress(DatabaseDown):  # then nobody can sign out either
                if not await self._is_operators():
                    raise Goodbye(*SIGNED_OUT)

    # From the page

    async def _read(self) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            self._count_message()
            text = message.get("text")
            if text is None:
                raise Goodbye(*NOT_TEXT)
            if len(text.encode("utf-8", "replace")) > protocol.LARGEST_MESSAGE:
                raise Goodbye(*TOO_LARGE)
            self._take(text)

    def _count_message(self) -> None:
        now = time.monotonic()
        received = self._received_at
        if len(received) == MESSAGES_A_SECOND and now - received[0] < 1.0:
            raise Goodbye(*TOO_MANY)
        received.append(now)

    def _take(self, text: str) -> None:
        try:
            message = protocol.parse(text)
        except BadMessage as error:
            raise Goodbye(*NOT_UNDERSTOOD) from error
        if not isinstance(message, Ack):
            self._hub.watch(self, message)
        elif message.number == self._awaited:
            self._acknowledged.set()

    # To the page

    async def _write(self) -> None:
        await self._send_text(self._hello())
        number = 0
        while True:
            update = await self._next_update()
            number += 1
            self._awaited = number
            self._acknowledged.clear()
            sent_at = time.monotonic()
            await self._send_text(update.as_text(number))
            await self._until_acknowledged()
            pause = seconds_between_updates(len(self._hub.sockets))
            await asyncio.sleep(sent_at + pause - time.monotonic())

    async def _until_acknowledged(self) -> None:
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await self._acknowledged.wait()
        except TimeoutError:
            raise Goodbye(*TOO_SLOW) from None

    async def _next_update(self) -> protocol.Update:
        """Wait for the next update, and send the time meanwhile."""
        quiet_until = time.monotonic() + QUIET_SECONDS
        while True:
            self._news.clear()
            now = time.monotonic()
            due_in = self.outbox.due_in(now)
            if due_in == 0.0 and (update := self.outbox.take(now)) is not None:
                return update
            if now >= quiet_until:
                await self._send_text(protocol.now_message(time.time()))
                quiet_until = now + QUIET_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(min(quiet_until - now, due_in or QUIET_SECONDS)):
                    await self._news.wait()

    def _hello(self) -> str:
        return protocol.hello(
            build=settings.VERSION,
            server=str(self._hub.gateway.ledger.instance_id),
            now=time.time(),
            demo=settings.DEMO,
        )

    async def _send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})
