"""Ten thousand requests at random, with faults, hang-ups and failovers: the ledger agrees with what Google
has told us and with what the clients saw, to the token."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from django.db.models import Sum

from gateway.api.application import Api
from gateway.ledger.search import attempts_of
from gateway.models import HourlyUsage, RequestLog
from proxy_site.emulator.delivery.behaviour import (
    Behaviour,
    capacity_exhausted,
    claude_invalid_request,
    close_before_headers,
    combine,
    empty_answer,
    error_mid_stream,
    finish,
    internal,
    ok_with_empty_body,
    ok_with_html,
    pace,
    quota_exhausted,
    rate_limited,
    reset_after_first_byte,
    truncated_json,
    usage_missing,
    usage_only_last,
    usage_twice,
)
from proxy_site.emulator.server import EmulatorServer
from proxy_site.emulator.state import EmulatorState
from tests.faults.load import name_in
from tests.gateway.conftest import a_body, body_limits, in_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.service import Gateway
    from proxy_site.emulator.log import Entry

SEED = 6
REQUESTS = 10_000
AT_ONCE = 32
MODELS = ("claude-sonnet-4-6", "claude-opus-4-6-thinking", "gemini-2.5-pro", "gemini-2.5-flash")
COOLDOWN_SECONDS = 3.2
"""Just too long to be waited out with the same account."""
FAULTS: list[Callable[[], Behaviour]] = [
    internal,
    close_before_headers,
    ok_with_empty_body,
    ok_with_html,
    empty_answer,
    lambda: empty_answer("thinking_only"),
    lambda: rate_limited(delay=0.01),
    lambda: quota_exhausted(reset_after=COOLDOWN_SECONDS),
    lambda: capacity_exhausted(delay=0.05),
    lambda: claude_invalid_request("no"),
    lambda: error_mid_stream(after_chunks=2),
    # Within the first event: a reset may overtake unread bytes, and then the client does not know all of it.
    lambda: reset_after_first_byte(after_bytes=100),
    truncated_json,
    usage_only_last,
    usage_twice,
    usage_missing,
    lambda: finish("MAX_TOKENS"),
    lambda: combine(empty_answer(), usage_missing()),
]
ONE_FAULT_IN = 15
ONE_HANG_UP_IN = 25
ONE_EARLY_HANG_UP_IN = 60
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "thinking_tokens")


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(EmulatorState(log_size=3 * REQUESTS)) as server:
        server.state.lift_quotas()
        server.state.pace = pace(chunk_count=4)
        yield server


def let_things_go_wrong(google: EmulatorServer, choice: random.Random) -> None:
    for _ in range(REQUESTS // ONE_FAULT_IN):
        google.state.fault(Behaviour(), times=choice.randint(1, 2 * ONE_FAULT_IN - 3))
        google.state.fault(choice.choice(FAULTS)())


@dataclass(slots=True)
class Client:
    """Calls the application as the server does. `wait_limits` is how many pieces of the answer it waits for
    before it hangs up, not counting pings: 0 hangs up at once, None stays to the end."""

    name: str
    body: dict[str, Any]
    wait_limits: int | None
    status: int | None = None
    pieces: int = 0
    saw_error: bool = False

    async def ask(self, gateway: Gateway) -> None:
        gone = asyncio.Event()
        to_receive = [{"type": "http.request", "body": orjson.dumps(self.body), "more_body": False}]

        async def receive() -> dict[str, Any]:
            if to_receive:
                return to_receive.pop()
            if self.wait_limits == 0:
                await asyncio.sleep(0)
            else:
                await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            self.status = message.get("status", self.status)
            if message.get("body"):
                self.pieces += not message["body"].startswith(b"event: ping")
                self.saw_error = self.saw_error or b"event: error" in message["body"]
                if self.pieces == self.wait_limits:
                    gone.set()
                    await asyncio.sleep(0.005)  # as long as it takes to notice

        headers = [
            (b"host", b"127.0.0.1:8672"),
            (b"content-type", b"application/json"),
            (b"x-request-id", self.name.encode()),
            (b"x-claude-code-session-id", f"session-{int(self.name[5:]) % 50}".encode()),
        ]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/messages", "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8672),
        }  # fmt: skip
        with suppress(asyncio.CancelledError):
            await asyncio.create_task(Api(gateway, body_limits())(scope, receive, send))


def a_client(number: int, choice: random.Random) -> Client:
    is_stream = choice.random() < 0.8
    wait_limits = None
    if choice.randrange(ONE_HANG_UP_IN) == 0 and is_stream:
        wait_limits = 1
    elif choice.randrange(ONE_EARLY_HANG_UP_IN) == 0:
        wait_limits = 0
    message = {"role": "user", "content": f"This is load-{number}. {'more ' * choice.randrange(30)}"}
    body = a_body(model=choice.choice(MODELS), stream=is_stream, messages=[message])
    return Client(f"load-{number}", body, wait_limits)


def told(entries: Iterable[Entry]) -> tuple[int, ...]:
    """The usage that Google reported for these calls, in the ledger's terms."""
    sums = Counter[str]()
    for entry in entries:
        sums.update({name: count for name, count in entry.usage_sent.items() if isinstance(count, int)})
    cached, thinking = sums["cachedContentTokenCount"], sums["thoughtsTokenCount"]
    return (sums["promptTokenCount"] - cached, sums["candidatesTokenCount"] + thinking, cached, thinking)


async def test_ten_thousand_requests_are_accounted_for_to_the_token(
    google: EmulatorServer, gateway: Gateway, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 0)
    live_setting("ACCOUNT_STRATEGY", "round-robin")
    choice = random.Random(SEED)
    let_things_go_wrong(google, choice)
    clients = [a_client(number, choice) for number in range(REQUESTS)]
    free = asyncio.Semaphore(AT_ONCE)

    async def ask(client: Client) -> None:
        async with free:
            await client.ask(gateway)

    await asyncio.gather(*(ask(client) for client in clients))
    await asyncio.to_thread(google.state.log.wait_until_idle)
    while gateway.ledger.waiting:
        await asyncio.sleep(0.05)

    calls: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in google.state.log.generations():
        calls[name_in(entry) or ""].append(entry)
    rows = {row.request_id: row async for row in RequestLog.objects.all()}
    assert await RequestLog.objects.acount() == len(rows) == REQUESTS
    for client in clients:
        row = rows[client.name]
        assert_the_outcome_is_what_the_client_saw(client, row)
        if client.wait_limits != 0:
            known = {told(calls[client.name])}
            if row.problem == "hung_up":  # usage that comes last may not have been read
                known.add(told(calls[client.name][:-1]))
            assert tokens_of(row) in known, story(client, row, calls[client.name])
            assert row.attempts == len(calls[client.name]), client.name
        else:  # what was on its way when it left, nobody has read
            assert all(
                ours <= theirs for ours, theirs in zip(tokens_of(row), told(calls[client.name]), strict=True)
            )
    problems = Counter(row.problem for row in rows.values())
    assert len([row for row in rows.values() if row.attempts > 1]) > REQUESTS / 100
    assert problems["hung_up"] > REQUESTS / ONE_HANG_UP_IN / 2
    assert set(problems) >= {None, "hung_up", "api_error", "invalid_request_error"}
    await in_database(assert_the_sums_agree)(rows)


def story(client: Client, row: RequestLog, calls: list[Entry]) -> str:
    asked = [(call.account, call.status, call.outcome, call.chunks_sent, call.usage_sent) for call in calls]
    return (
        f"{client.name}, wait_limits {client.wait_limits}, saw {client.status} in {client.pieces} pieces; "
        f"row: {row.status} {row.outcome}, {row.attempts} attempts; Google: {asked}"
    )


def tokens_of(row: RequestLog) -> tuple[int, ...]:
    return tuple(getattr(row, name) for name in TOKENS)


def assert_the_outcome_is_what_the_client_saw(client: Client, row: RequestLog) -> None:
    assert row.duration_seconds is not None
    if row.problem == "hung_up":
        assert client.wait_limits is not None
    elif row.problem is None:
        assert (client.status, client.saw_error) == (200, False)
    else:
        assert client.status == row.status or client.saw_error
    if client.wait_limits is None and (client.status != 200 or client.saw_error):
        assert row.problem is not None


def assert_the_sums_agree(rows: dict[str, RequestLog]) -> None:
    names = [*TOKENS, "requests", "attempts", "failed", "hung_up", "interrupted"]
    sums = HourlyUsage.objects.aggregate(**{name: Sum(name) for name in names})
    tries = [attempt for row in rows.values() for attempt in attempts_of(row)]
    outcomes = Counter(row.outcome for row in rows.values())

    for name in TOKENS:
        assert sums[name] == sum(getattr(attempt, name) for attempt in tries)
        assert sums[name] == sum(getattr(row, name) for row in rows.values())
    assert sums["requests"] == len(rows)
    # Whoever interrupted a request did not know how its attempt went.
    known = [row for row in rows.values() if row.outcome != "interrupted"]
    assert sums["attempts"] == len(tries) == sum(row.attempts for row in known)
    assert sums["hung_up"] == outcomes["hung_up"]
    assert sums["interrupted"] == outcomes["interrupted"]
    assert sums["failed"] == len(rows) - sum(outcomes[one] for one in ("answered", "hung_up", "interrupted"))
    for account, requests in Counter(row.account for row in rows.values()).items():
        of_account = HourlyUsage.objects.filter(account=account).aggregate(requests=Sum("requests"))
        assert of_account["requests"] == requests
