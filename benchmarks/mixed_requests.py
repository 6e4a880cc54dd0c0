"""A round of requests of every kind that a gateway meets: valid ones, invalid ones, clients that hang up, and
an upstream that fails.

Each round is the same except for its names, so that no answer can come from a cache.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.claude_code_request import CLAUDE_CODE_HEADERS, claude_code_request
from benchmarks.http_client import Connection, Disconnected, connect
from benchmarks.processes import LOOPBACK
from proxy_site.emulator.delivery.behaviour import Behaviour, fault_named, pace
from proxy_site.emulator.pretend_model import replies

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from proxy_site.emulator.state import EmulatorState

    Build = Callable[[str], bytes]
    """Of the name that no other request has."""
    Send = Callable[["Clients", str], Awaitable[int]]
    """Gives the status of the answer."""

AUTH_TOKEN, PASSWORD = "a-key-of-the-benchmark", "a password of the benchmark"
CLAUDE, GEMINI = "claude-sonnet-4-6", "gemini-3-flash"
FAILING = "claude-opus-4-6-thinking"
LIMITED = "claude-sonnet-4-5-thinking"
SILENT = "claude-sonnet-4-5"
STALLING = "gemini-3.1-pro-low"
LONG_WINDED = "gemini-3.1-pro-high"
"""Models that only some kinds use, so that their faults affect no other requests."""
PATIENCE_SECONDS = 60
SILENCE_SECONDS = 120.0
HUNG_UP = 0
"""Used as the status when the client did not wait for one."""
SLOW_READERS_BYTES = 4096
SLOW_READERS_PAUSE = 0.02
SEED = 13

JSON_HEADERS = {"Content-Type": "application/json", "x-api-key": AUTH_TOKEN}
OPERATOR = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
# 1 x 1, grey
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU"
    b"\0\0\0\nIDATx\x9cch\0\0\0\x82\0\x81\xddCj\xd1\0\0\0\0IEND\xaeB`\x82"
).decode()
LONG_TEXT = "A line of a file that somebody has read into the conversation.\n" * 5_000


@dataclass(slots=True)
class Clients:
    """The clients of one worker. `kept` is its connection for requests that keep it open."""

    port: int
    google: EmulatorState
    browser: asyncio.Lock
    """Held by the operator's browser, which opens one page at a time."""
    kept: Connection | None = None

    async def ask(self, raw: bytes) -> int:
        """Send a request; returns the status of the whole answer. A kept connection that was closed meanwhile
        is replaced."""
        for _ in range(2):
            if self.kept is None:
                self.kept = await connect(self.port)
            try:
                return (await self.kept.exchange(raw)).status
            except Disconnected:
                self.kept = None
        raise Disconnected

    async def ask_once(self, raw: bytes) -> int:
        """Send a request on a new connection."""
        connection = await connect(self.port)
        try:
            return (await connection.exchange(raw)).status
        finally:
            connection.close()

    async def leave(self, raw: bytes, name: str, *, at: str, reset: bool = False) -> int:
        """Hang up once the bytes are sent ("sent"), Google has been asked ("asked"), or the answer has begun
        ("begun")."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        writer.write(raw)
        await writer.drain()
        if at == "asked":
            while not any(name.encode() in entry.body for entry in self.google.log):
                await asyncio.sleep(0.01)
        elif at == "begun":
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(64)
        if reset:
            writer.transport.abort()
        else:
            writer.close()
        return HUNG_UP

    def close(self) -> None:
        if self.kept is not None:
            self.kept.close()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request. `allowed` are the statuses of its answers."""

    name: str
    count: int
    send: Send
    allowed: frozenset[int] = frozenset({200})


@dataclass(slots=True)
class Outcome:
    """The result of one round. `wrong` lists answers with a status that is not allowed."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def send_round(number: int, port: int, google: EmulatorState, at_once: int) -> Outcome:
    """Send all kinds, mixed in the same order each time. Every request has ended when it returns."""
    to_do = [kind for kind in KINDS for _ in range(kind.count)]
    random.Random(SEED).shuffle(to_do)
    return await _send_all(to_do, number, port, google, at_once)


async def send_for(
    seconds: float, per_second: float, number: int, port: int, google: EmulatorState, at_once: int
) -> Outcome:
    """Send kinds chosen at random, slow readers among them, at this pace for so long, or slower where answers
    take their time. Every request has ended when it returns."""
    kinds, chance = [*KINDS, *SLOW_READERS], random.Random(number)
    weights = [kind.count for kind in kinds]
    ends = asyncio.get_running_loop().time() + seconds

    def chosen() -> Iterator[Kind]:
        while asyncio.get_running_loop().time() < ends:
            yield from chance.choices(kinds, weights)

    return await _send_all(chosen(), number, port, google, at_once, pause=at_once / per_second)


async def _send_all(
    to_do: Iterable[Kind], number: int, port: int, google: EmulatorState, at_once: int, pause: float = 0.0
) -> Outcome:
    numbered = iter(enumerate(to_do))
    outcome = Outcome()
    browser = asyncio.Lock()

    async def work() -> None:
        clients = Clients(port, google, browser)
        for index, kind in numbered:
            ends = asyncio.get_running_loop().time() + pause
            status = await _send_one(kind, clients, f"request-{number:02}-{index:04}")
            outcome.requests += 1
            outcome.statuses[status] += 1
            if status not in kind.allowed:
                outcome.wrong.append(f"{kind.name}: {status}")
            await asyncio.sleep(ends - asyncio.get_running_loop().time())
        clients.close()

    await asyncio.gather(*(work() for _ in range(at_once)))
    google.clear_scripts()
    return outcome


async def _send_one(kind: Kind, clients: Clients, name: str) -> int:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await kind.send(clients, name)
    except (Disconnected, OSError, TimeoutError, asyncio.IncompleteReadError):
        return -1


# Requests as bytes


def raw_request(
    method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = JSON_HEADERS
) -> bytes:
    named = {"Host": LOOPBACK, **headers}
    if body is not None:
        named["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def messages(body: Mapping[str, Any], path: str = "/v1/messages", **headers: str) -> bytes:
    return raw_request("POST", path, json.dumps(body).encode(), {**JSON_HEADERS, **headers})


def encoded(body: bytes, encoding: str) -> bytes:
    return raw_request("POST", "/v1/messages", body, {**JSON_HEADERS, "Content-Encoding": encoding})


def a_body(content: Any, **fields: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": content}]
    return {"model": CLAUDE, "max_tokens": 1000, "messages": said, **fields}


def with_tools(name: str, **fields: Any) -> dict[str, Any]:
    """A request with tools; each session of Claude Code has its own."""
    body = claude_code_request()
    body["metadata"] = {"user_id": json.dumps({"session_id": name})}
    body["messages"][0]["content"][0]["text"] += name
    return {**body, "model": CLAUDE, **fields}


def with_call(name: str) -> dict[str, Any]:
    """A request with a Gemini model's call without its signature, from a client that keeps none."""
    call = {
        "type": "tool_use",
        "id": f"toolu_{name.replace('-', '_')}",
        "name": "look",
        "input": {"at": name},
    }
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "nothing"}
    body = a_body(f"look at {name}", model=GEMINI, stream=True)
    body["messages"] += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    return {**body, "tools": [{"name": "look", "description": "looks", "input_schema": schema}]}


def with_image(name: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    return a_body([{"type": "image", "source": source}, {"type": "text", "text": name}], stream=True)


def a_search(name: str) -> dict[str, Any]:
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
    return a_body(f"search the web for {name}", tools=[tool])


# Sending each kind


def asked(build: Build) -> Send:
    return lambda clients, name: clients.ask(build(name))


def asked_once(build: Build) -> Send:
    return lambda clients, name: clients.ask_once(build(name))


def left(build: Build, at: str, *, reset: bool = False) -> Send:
    return lambda clients, name: clients.leave(build(name), name, at=at, reset=reset)


def failing(fault: Behaviour, model: str = FAILING, *, stream: bool = True) -> Send:
    """Send a request while Google fails one request for this model, usually this one."""

    async def send(clients: Clients, name: str) -> int:
        clients.google.fault(fault, model=model)
        return await clients.ask(messages(a_body(f"Hello, {name}", model=model, stream=stream)))

    return send


def stalling(fault: Behaviour, model: str, at: str, *, stream: bool = True) -> Send:
    """Send a request that gets no data from Google, and hang up."""

    async def send(clients: Clients, name: str) -> int:
        clients.google.fault(fault, model=model)
        body = a_body(f"Hello, {name}", model=model, stream=stream)
        return await clients.leave(messages(body), name, at=at, reset=not stream)

    return send


def looked_at(path: str) -> Send:
    async def send(clients: Clients, name: str) -> int:
        async with clients.browser:
            return await clients.ask(raw_request("GET", path, headers=OPERATOR))

    return send


def answered_slowly(clients: Clients, name: str) -> Awaitable[int]:
    """Hang up in the middle of a long answer."""
    clients.google.reply(replies.text("word " * 2000), behaviour=pace(chunk_delay=0.02), model=STALLING)
    body = a_body(f"Hello, {name}", model=STALLING, stream=True)
    return clients.leave(messages(body), name, at="begun")


async def read_slowly(clients: Clients, name: str) -> int:
    """Read a long answer in small pieces, each after a pause."""
    clients.google.reply(LONG_TEXT, model=LONG_WINDED)
    reader, writer = await asyncio.open_connection(LOOPBACK, clients.port, limit=SLOW_READERS_BYTES)
    writer.write(messages(a_body(f"Hello, {name}", model=LONG_WINDED, stream=True)))
    status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
    end = b""
    while not end.endswith(b"0\r\n\r\n"):
        piece = await reader.read(SLOW_READERS_BYTES)
        if not piece:
            raise Disconnected
        end = end[-10:] + piece
        await asyncio.sleep(SLOW_READERS_PAUSE)
    writer.close()
    return status


def kind(name: str, count: int, send: Send, *allowed: int) -> Kind:
    return Kind(name, count, send, frozenset(allowed or {200}))


ANYTHING = (200, 429, 502, 503, 529)
"""Statuses of requests to a model whose upstream fails at times; usually another account answers."""
COUNT = "/v1/messages/count_tokens"
SILENT_AT_ONCE = fault_named("stall_before_headers", seconds=SILENCE_SECONDS)
SILENT_LATER = fault_named("stall_mid_stream", seconds=SILENCE_SECONDS)
GOOD = [
    kind("streamed", 100, asked(lambda n: messages(a_body(f"Hello, {n}", stream=True)))),
    kind("whole", 80, asked(lambda n: messages(a_body(f"Hello, {n}")))),
    kind("streamed by Gemini", 50, asked(lambda n: messages(a_body(n, model=GEMINI, stream=True)))),
    kind("a session with tools", 40, asked(lambda n: messages(with_tools(n), **CLAUDE_CODE_HEADERS))),
    kind("a call without signature", 20, asked(lambda n: messages(with_call(n)))),
    kind("an image", 20, asked(lambda n: messages(with_image(n)))),
    kind("long", 20, asked(lambda n: messages(a_body(LONG_TEXT + n)))),
    kind("a web search", 20, asked(lambda n: messages(a_search(n)))),
    kind("count_tokens", 40, asked(lambda n: messages(a_body(n), COUNT))),
    kind("models", 30, asked(lambda n: raw_request("GET", "/v1/models"))),
    kind("one model", 10, asked(lambda n: raw_request("GET", f"/v1/models/{CLAUDE}"))),
    kind("health", 20, asked(lambda n: raw_request("GET", "/health"))),
    kind("gzip", 20, asked(lambda n: encoded(gzip.compress(_json(n)), "gzip"))),
    kind("deflate", 10, asked(lambda n: encoded(zlib.compress(_json(n)), "deflate"))),
]
WRONG = [
    kind("no key", 20, asked_once(lambda n: raw_request("POST", "/v1/messages", _json(n), {})), 401),
    kind("a wrong key", 20, asked_once(lambda n: messages(a_body(n), **{"x-api-key": n})), 401),
    kind("half a body", 20, asked(lambda n: raw_request("POST", "/v1/messages", _json(n)[:-9])), 400),
    kind("a wrong field", 20, asked(lambda n: messages(a_body(n, max_tokens=n))), 400),
    kind("too deep", 10, asked(lambda n: raw_request("POST", "/v1/messages", b"[" * 50_000)), 400),
    kind("an unknown model", 10, asked(lambda n: messages(a_body(n, model=n))), 404),
    kind("an unknown path", 10, asked(lambda n: raw_request("GET", f"/v1/{n}")), 404),
    kind("damaged gzip", 10, asked_once(lambda n: encoded(b"\x1f\x8b" + _json(n), "gzip")), 400),
    kind("no HTTP", 10, asked_once(lambda n: f"{n}\r\n\r\n".encode()), 400),
]
HANGING_UP = [
    kind("in the headers", 10, left(lambda n: messages(a_body(n))[:50], "sent"), HUNG_UP),
    kind("in the body", 20, left(lambda n: messages(a_body(LONG_TEXT))[:100_000], "sent"), HUNG_UP),
    kind("when all is sent", 10, left(lambda n: messages(a_body(n)), "sent"), HUNG_UP),
    kind("before the first byte", 10, stalling(SILENT_AT_ONCE, SILENT, "asked"), HUNG_UP),
    kind("before a whole answer", 10, stalling(SILENT_LATER, SILENT, "asked", stream=False), HUNG_UP),
    kind("in a silence", 10, stalling(SILENT_LATER, STALLING, "begun"), HUNG_UP),
    kind("in the answer", 20, answered_slowly, HUNG_UP),
]
FAILING_UPSTREAM = [
    kind("429", 10, failing(fault_named("rate_limited", delay=0.3), LIMITED), *ANYTHING),
    kind("503", 5, failing(fault_named("unavailable")), *ANYTHING),
    kind("500", 5, failing(fault_named("internal")), *ANYTHING),
    kind("401", 5, failing(fault_named("unauthenticated")), *ANYTHING),
    kind("no capacity", 5, failing(fault_named("capacity_exhausted", delay=0.3)), *ANYTHING),
    kind("no event", 5, failing(fault_named("ok_with_html")), *ANYTHING),
    kind("an event cut in half", 5, failing(fault_named("truncated_json")), *ANYTHING),
    kind("an error in a stream", 5, failing(fault_named("error_mid_stream")), *ANYTHING),
    kind("an error in an answer", 5, failing(fault_named("error_mid_stream"), stream=False), *ANYTHING),
    kind("a reset", 5, failing(fault_named("reset_after_first_byte")), *ANYTHING),
    kind("slow", 5, failing(fault_named("slow_drip", seconds=0.01, size=64)), *ANYTHING),
]
PAGES = [
    kind("the login page", 10, looked_at("/admin/login/")),
    kind("accounts", 10, looked_at("/account-limits")),
    kind("numbers", 5, looked_at("/api/stats/model")),
    kind(
        "events", 5, left(lambda n: raw_request("GET", "/api/activity", headers=OPERATOR), "begun"), HUNG_UP
    ),
    kind("a WebSocket", 10, left(lambda n: raw_request("GET", "/ws/", headers=HANDSHAKE), "begun"), HUNG_UP),
]
SLOW_READERS = [kind("a slow reader", 10, read_slowly)]
KINDS = [*GOOD, *WRONG, *HANGING_UP, *FAILING_UPSTREAM, *PAGES]


def _json(name: str) -> bytes:
    return json.dumps(a_body(name)).encode()
