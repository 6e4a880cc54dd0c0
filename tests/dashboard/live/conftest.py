"""The live socket in this process: a page that draws what it gets, and the operator's session."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import orjson
import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model

from dashboard.live.consumer import Live
from dashboard.live.hub import Hub
from tests.gateway.conftest import client, gateway, google, in_database, live_setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.service import Gateway

__all__ = ["client", "gateway", "google", "live_setting"]

ORIGIN = b"http://127.0.0.1:8672"
PATIENCE_SECONDS = 5.0


def sign_in() -> str:
    """The key of a new session of the operator."""
    operator, _ = get_user_model().objects.get_or_create(username="admin", is_superuser=True)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(operator.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = operator.get_session_auth_hash()
    session.save()
    return str(session.session_key)


class Closed(Exception):
    """The server has closed the socket."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why


class Page:
    """A context manager: acknowledges each update and applies it as live.js does."""

    acknowledges = True

    def __init__(self, hub: Hub, session: str, **headers: bytes) -> None:
        given = {"host": b"127.0.0.1:8672", "origin": ORIGIN, **headers}
        cookie = f"{settings.SESSION_COOKIE_NAME}={session}".encode()
        pairs = [(name.encode(), value) for name, value in given.items() if value]
        headers_sent = [*pairs, (b"cookie", cookie)]
        scope = {"type": "websocket", "path": "/ws/live", "query_string": b"", "headers": headers_sent}
        self._socket: Any = ApplicationCommunicator(Live(hub), scope)  # type: ignore[no-untyped-call]
        self.messages: list[dict[str, Any]] = []
        self.rows: dict[str, dict[str, Any]] = {}
        self.lines: list[list[Any]] = []
        self.totals: dict[str, Any] = {}
        self.columns: list[str] = []
        self.changed: set[str] = set()
        self._why = ""

    async def __aenter__(self) -> Self:
        assert await self.is_accepted()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._socket.wait()

    async def is_accepted(self) -> bool:
        await self._socket.send_input({"type": "websocket.connect"})
        answer = await self._socket.receive_output(PATIENCE_SECONDS)
        return bool(answer["type"] == "websocket.accept")

    async def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else orjson.dumps(message).decode()
        await self._socket.send_input({"type": "websocket.receive", "text": text})

    async def say_bytes(self, data: bytes) -> None:
        await self._socket.send_input({"type": "websocket.receive", "bytes": data})

    async def watch(self, *topics: str, **more: Any) -> dict[str, Any]:
        """The snapshot that answers it."""
        await self.say({"t": "watch", "topics": topics, **more})
        return await self.next("snapshot")

    async def receive(self) -> dict[str, Any]:
        """The next message, applied. Raises Closed."""
        output = await self._socket.receive_output(PATIENCE_SECONDS)
        if output["type"] == "websocket.close":
            raise Closed(output["code"], self._why)
        message: dict[str, Any] = orjson.loads(output["text"])
        self.messages.append(message)
        self._apply(message)
        if "n" in message and self.acknowledges:
            await self.say({"t": "ack", "n": message["n"]})
        return message

    async def next(self, kind: str) -> dict[str, Any]:
        while (message := await self.receive())["t"] != kind:
            pass
        return message

    async def until(self, condition: Callable[[Self], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(self):
                await self.receive()

    async def closed(self) -> Closed:
        """How the server ends it."""
        with pytest.raises(Closed) as closed:
            while True:
                await self.receive()
        return closed.value

    def row(self, request_id: str) -> dict[str, Any]:
        return next((row for row in self.rows.values() if row["request_id"] == request_id), {})

    def _apply(self, message: dict[str, Any]) -> None:
        self.columns = message.get("columns", self.columns)
        self._why = message.get("why", self._why)
        self.totals = message.get("totals", self.totals)
        if message["t"] == "snapshot":
            self.rows, self.lines = {}, []
        self.changed.update(message.get("what", []))
        self.lines += message.get("lines", [])
        for values in message.get("rows", []):
            row = dict(zip(self.columns, values, strict=True))
            if row["rev"] >= self.rows.get(row["id"], row)["rev"]:
                self.rows[row["id"]] = row


@pytest.fixture
def hub(gateway: Gateway) -> Hub:
    return Hub(gateway)


@pytest.fixture
async def session(gateway: Gateway) -> str:
    return await in_database(sign_in)()


@pytest.fixture
def page(hub: Hub, session: str) -> Page:
    return Page(hub, session)
