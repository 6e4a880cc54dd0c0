"""Signatures of tool calls for clients that bring none back: memory, database, and the way upstream."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.db import OperationalError

from gateway.ledger import signature_rows as table
from gateway.ledger import signature_store
from gateway.ledger.signature_store import StoredSignatures
from gateway.ledger.writer import Ledger
from gateway.models import CallSignature
from gateway.preparation.translator import RequestTranslator
from gateway.preparation.workers import TranslationWorkers
from gateway.routing.token_ratios import TokenRatios
from gateway.translation.signature_families import key_of_text, unsigned_calls
from proxy_site.emulator.pretend_model.replies import function_call
from tests.builders import (
    a_messages_request,
    a_model,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    user,
)
from tests.gateway.conftest import a_client, in_database, started_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from gateway.dialects.anthropic.messages import MessagesRequest
    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.django_db(transaction=True)

SIGNED = "gemini#c2lnbmVk"


def a_loop(*ids: str, **fields: Any) -> MessagesRequest:
    """Calls of one running tool loop, each in a turn of its own."""
    messages = [user("hi")]
    for call in ids:
        messages += [{"role": "assistant", "content": [a_tool_use(call)]}, user(a_tool_result(call))]
    return a_messages_request(*messages, **fields)


def keep_nothing(tool_use_id: str, signature: str) -> None:
    pass


@asynccontextmanager
async def a_store(keep: Any = keep_nothing) -> AsyncIterator[StoredSignatures]:
    store = StoredSignatures(keep)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def recall(store: StoredSignatures, request: MessagesRequest) -> None:
    await store.recall(unsigned_calls(request.messages, store))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the database was asked for."""
    asked: list[list[str]] = []
    find = table.find

    def noted(ids: list[str]) -> dict[str, str]:
        asked.append(list(ids))
        return find(ids)

    monkeypatch.setattr(table, "find", noted)
    return asked


async def test_the_ledger_writes_what_is_put() -> None:
    ledger = Ledger()
    await ledger.start()
    async with a_store(ledger.keep_signature) as store:
        store.put("toolu_1", SIGNED)
        await asyncio.sleep(0.8)

        assert await in_database(table.find)(["toolu_1"]) == {"toolu_1": SIGNED}
    await ledger.stop()


async def test_the_end_of_the_ledger_writes_the_last() -> None:
    ledger = Ledger()
    await ledger.start()
    ledger.keep_signature("toolu_1", SIGNED)
    await ledger.stop()

    assert (await CallSignature.objects.aget()).pk == "toolu_1"


async def test_only_what_the_client_cannot_carry_is_written() -> None:
    kept: list[str] = []
    store = StoredSignatures(lambda tool_use_id, signature: kept.append(tool_use_id))

    store.put("toolu_1", SIGNED, is_carried=True)
    store.put(key_of_text("signed words"), SIGNED)
    store.put("toolu_2", SIGNED)

    assert kept == ["toolu_2"]
    assert store.get("toolu_1") == store.get(key_of_text("signed words")) == SIGNED


async def test_a_start_loads_the_newest_signatures(reads: list[list[str]]) -> None:
    await in_database(table.store)({"toolu_1": SIGNED})

    async with a_store() as store:
        await recall(store, a_loop("toolu_1"))

        assert store.get("toolu_1") == SIGNED
    assert reads == []


async def test_what_another_server_signed_is_read_once(reads: list[list[str]]) -> None:
    async with a_store() as store:
        await in_database(table.store)({"toolu_1": SIGNED})

        await recall(store, a_loop("toolu_1"))
        await recall(store, a_loop("toolu_1"))

        assert store.get("toolu_1") == SIGNED
    assert reads == [["toolu_1"]]


async def test_many_conversations_are_read_for_at_once() -> None:
    ids = [f"toolu_{number}" for number in range(20)]
    async with a_store() as store:
        await in_database(table.store)(dict.fromkeys(ids, SIGNED))

        await asyncio.gather(*(recall(store, a_loop(one)) for one in ids))

        assert {store.get(one) for one in ids} == {SIGNED}


async def test_what_nobody_signed_is_asked_for_again_later(
    reads: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_store() as store:
        await recall(store, a_loop("toolu_1"))
        await recall(store, a_loop("toolu_1", "toolu_2"))
        monkeypatch.setattr(signature_store, "ASK_AGAIN_SECONDS", 0.0)
        await recall(store, a_loop("toolu_1"))

    assert reads == [["toolu_1"], ["toolu_2"], ["toolu_1"]]


PARALLEL = [a_tool_use("toolu_1"), a_tool_use("toolu_2")]
NO_READ = [
    ("no results", a_messages_request(user("hi"))),
    ("results of an earlier loop", a_messages_request(*a_loop("toolu_1").messages, user("and now?"))),
    (
        "a carrier",
        a_messages_request(
            user("hi"),
            {"role": "assistant", "content": [a_thinking("", SIGNED), *PARALLEL]},
            user(a_tool_result("toolu_1"), a_tool_result("toolu_2")),
        ),
    ),
    (
        "a signature of its own",
        a_messages_request(
            user("hi"),
            {"role": "assistant", "content": [a_tool_use() | {"thoughtSignature": "c2lnbmVk"}]},
            user(a_tool_result()),
        ),
    ),
]


@pytest.mark.parametrize("request_", [row[1] for row in NO_READ], ids=[row[0] for row in NO_READ])
async def test_without_need_nothing_is_read(request_: MessagesRequest, reads: list[list[str]]) -> None:
    async with a_store() as store:
        await recall(store, request_)

    assert reads == []


async def test_other_families_need_none(reads: list[list[str]]) -> None:
    async with a_store() as store:
        translator = RequestTranslator(store, TokenRatios(), TranslationWorkers())
        for model_id in ("claude-sonnet-4-6", "gpt-oss-120b-medium"):
            await translator.translate(a_loop("toolu_1"), a_model(model_id))

    assert reads == []


async def test_of_parallel_calls_only_the_first_is_asked_for(reads: list[list[str]]) -> None:
    results = user(a_tool_result("toolu_1"), a_tool_result("toolu_2"), a_text("and?"))
    parallel = a_messages_request(user("hi"), {"role": "assistant", "content": PARALLEL}, results)

    async with a_store() as store:
        await recall(store, parallel)

    assert reads == [["toolu_1"]]


async def test_a_broken_database_means_an_unsigned_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> dict[str, str]:
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(table, "find", broken)
    monkeypatch.setattr(table, "newest", broken)

    async with a_store() as store:
        await recall(store, a_loop("toolu_1"))

        assert store.get("toolu_1") is None
    assert "could not be read" in caplog.text


async def test_a_slow_database_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signature_store, "READ_SECONDS", 0.1)
    calls = []

    def slow(ids: list[str]) -> dict[str, str]:
        calls.append(ids)
        time.sleep(0.5)
        return {}

    monkeypatch.setattr(table, "find", slow)

    async with a_store() as store:
        began = time.monotonic()
        await recall(store, a_loop("toolu_1"))
        await recall(store, a_loop("toolu_2"))

        assert time.monotonic() - began < 0.4
    assert calls == [["toolu_1"]]
    assert "no answer" in caplog.text


async def test_a_late_lookup_serves_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_store, "READ_SECONDS", 0.05)

    def slow(ids: list[str]) -> dict[str, str]:
        time.sleep(0.2)
        return dict.fromkeys(ids, "gemini#found")

    monkeypatch.setattr(table, "find", slow)

    async with a_store() as store:
        await recall(store, a_loop("toolu_1"))
        missed = store.get("toolu_1")
        await asyncio.sleep(0.3)

        assert (missed, store.get("toolu_1")) == (None, "gemini#found")


async def test_after_the_stop_nothing_is_read() -> None:
    async with a_store() as store:
        pass

    await recall(store, a_loop("toolu_1"))

    assert store.get("toolu_1") is None


async def test_a_database_that_takes_no_signatures_keeps_no_rows_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(signatures: dict[str, str]) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(table, "store", full)
    ledger = Ledger()
    await ledger.start()
    ledger.keep_signature("toolu_1", SIGNED)
    async with asyncio.timeout(10):
        while "cannot be written" not in caplog.text:
            await asyncio.sleep(0.05)
    monkeypatch.undo()
    await ledger.stop()

    assert (await CallSignature.objects.aget()).pk == "toolu_1"


# --- through the whole gateway ---

GEMINI = "gemini-3.1-pro-high"
TOOLS = [a_tool("get_weather")]


async def a_call_without_carrier(client: httpx.AsyncClient, google: EmulatorServer) -> dict[str, Any]:
    """The answer of a client that keeps no thinking."""
    google.state.reply(function_call("get_weather", {"city": "Oslo"}))
    answer = (await say(client, user("Weather?"))).json()
    content = [block for block in answer["content"] if block["type"] != "thinking"]
    assert [block["type"] for block in content] == ["tool_use"]
    return {"role": "assistant", "content": content}


async def say(client: httpx.AsyncClient, *messages: dict[str, Any]) -> httpx.Response:
    body = {"model": GEMINI, "max_tokens": 1000, "messages": list(messages), "tools": TOOLS}
    return await client.post("/v1/messages", json=body)


def signature_sent(google: EmulatorServer) -> str:
    (*_, last) = google.state.log.generations()
    signature: str = last.envelope["request"]["contents"][1]["parts"][0]["thoughtSignature"]
    return signature


async def test_a_signature_outlives_the_server(google: EmulatorServer) -> None:
    async with started_gateway() as first:
        call = await a_call_without_carrier(a_client(first), google)
    async with started_gateway() as second:
        response = await say(
            a_client(second), user("Weather?"), call, user(a_tool_result(call["content"][0]["id"]))
        )

    assert response.status_code == 200
    assert google.state.signatures.is_genuine("gemini", signature_sent(google))


async def test_a_signature_is_known_to_the_other_server(google: EmulatorServer) -> None:
    async with started_gateway() as first, started_gateway() as second:
        call = await a_call_without_carrier(a_client(first), google)
        await asyncio.sleep(0.8)
        result = user(a_tool_result(call["content"][0]["id"]))
        response = await say(a_client(second), user("Weather?"), call, result)

    assert response.status_code == 200
    assert google.state.signatures.is_genuine("gemini", signature_sent(google))


async def test_a_signature_nobody_has_is_no_error(
    client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    call = {"role": "assistant", "content": [a_tool_use()]}

    response = await say(client, user("Weather?"), call, user(a_tool_result()))

    assert response.status_code == 200
    assert signature_sent(google) == "skip_thought_signature_validator"
