"""Large requests are read and translated in worker processes, and nobody can tell by the answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from benchmarks.claude_code_request import claude_code_request
from gateway.bodies.request_json import parse_json
from gateway.bodies.shape import refuse_depth
from gateway.dialects.anthropic.messages import MessagesRequest
from gateway.errors import GatewayError, InvalidRequest, RateLimited, Unavailable
from gateway.preparation import jobs
from gateway.preparation import translator as translator_module
from gateway.preparation import workers as workers_module
from gateway.preparation.request import (
    LONGEST_FIRST_TEXT,
    STAYS_IN_THE_BODY,
    LargeRequest,
    fields_of,
    summarize,
)
from gateway.preparation.translator import MOST_MENDED_HERE
from gateway.preparation.workers import TranslationWorkers
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.signature_families import key_of_text
from gateway.translation.tokens.token_estimate import estimate_input_tokens
from gateway.translation.tool_names import ToolNames
from gateway.translation.web_search.answer import without_search
from gateway.translation.web_search.request import translate_search
from gateway.translation.web_search.requested_search import asked_search
from tests.builders import a_model, a_text, a_tool, a_tool_result, a_tool_use, assistant, user
from tests.gateway.preparation.conftest import PARSER
from tests.gateway.preparation.failing import fail

if TYPE_CHECKING:
    import httpx

    from gateway.ledger.signature_store import StoredSignatures
    from gateway.preparation.translator import RequestTranslator
    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SIGNATURE = "gemini#" + "QUJD" * 30


def a_request(**fields: Any) -> dict[str, Any]:
    messages = [
        user(a_text("How is the weather? " + "x" * 2 * MIB), a_text("And é here?")),
        assistant(a_text("Let me see."), a_tool_use("toolu_1", input={"city": "Ljubljana"})),
        user(a_tool_result("toolu_1", "sunny " * 1000), a_text("Thanks 😀")),
    ]
    return {"model": "m", "max_tokens": 99, "messages": messages, "tools": [a_tool()], **fields}


def read_here(body: bytes) -> MessagesRequest:
    value = parse_json(body)
    refuse_depth(value)
    return PARSER.parse(value)


# What is read


async def test_of_a_large_request_the_gateway_keeps_the_body(translator: RequestTranslator) -> None:
    body = orjson.dumps(a_request(temperature=0.5, metadata={"user_id": "u"}, system="Be brief."))

    request, summary = await translator.read(body, PARSER)

    whole = read_here(body)
    assert isinstance(request, LargeRequest)
    assert request.body is body
    for name, value in fields_of(whole).items():
        if name not in STAYS_IN_THE_BODY:
            assert getattr(request, name) == value
    assert (request.messages, request.system, request.tools) == ([], None, None)
    assert summary == summarize(whole)
    assert (summary.message_count, summary.tool_count) == (3, 1)
    assert summary.first_text == whole.messages[0]["content"][0]["text"][:LONGEST_FIRST_TEXT]


async def test_a_request_of_a_session_is_read_here(
    translator: RequestTranslator, workers: TranslationWorkers
) -> None:
    body = claude_code_request()
    body["messages"] = [message for _ in range(13) for message in body["messages"]]
    in_a_long_session = orjson.dumps(body)

    request, _ = await translator.read(in_a_long_session, PARSER)

    assert MIB * 0.9 < len(in_a_long_session) < MIB
    assert type(request) is MessagesRequest
    assert not workers._idle


async def test_much_structure_makes_a_request_large(
    translator: RequestTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator_module, "MUCH_STRUCTURE", 12_000)
    tools = [a_tool(f"tool_{number}") for number in range(2000)]

    request, _ = await translator.read(
        orjson.dumps({**a_request(), "messages": [user("x")], "tools": tools}), PARSER
    )

    assert isinstance(request, LargeRequest)


@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps(a_request(model=5)),
        orjson.dumps(a_request())[:-1],
        orjson.dumps(a_request()).replace(b"sunny", b"\xff\xff"),
        orjson.dumps(a_request(x="TOO DEEP")).replace(b'"TOO DEEP"', b"[" * 201 + b"]" * 201),
        b'["' + rb"\ud800" * 200_000 + b'"]',
        b'["' + rb"\ud800" * 150_000 + b'"]',
        b'["' + rb"\\" * MIB,
    ],
)
async def test_a_large_request_that_is_wrong_is_refused_as_a_small_one(
    body: bytes, translator: RequestTranslator
) -> None:
    with pytest.raises(InvalidRequest) as here:
        read_here(body)
    with pytest.raises(InvalidRequest) as there:
        await translator.read(body, PARSER)

    assert there.value.message == here.value.message


@pytest.mark.parametrize("depth", [3, 30])
async def test_schemas_that_are_read_many_times_make_a_request_large(
    depth: int, translator: RequestTranslator
) -> None:
    maps: dict[str, Any] = {}
    for _ in range(depth):
        maps = {"additionalProperties": maps}
    answer = {"output_config": {"format": {"type": "json_schema", "schema": maps}}}

    for asked in ({"tools": [a_tool(input_schema=maps)]}, answer):
        read = await translator.read(orjson.dumps(a_request(messages=[user("x")], **asked)), PARSER)

        assert isinstance(read.request, LargeRequest) == (depth == 30)


async def test_lone_surrogates_do_not_lift_the_depth_limit(
    translator: RequestTranslator,
) -> None:
    body = orjson.dumps(a_request(messages=[user("x")], metadata={"x": "TOO DEEP"}, y="HALVES"))
    body = body.replace(b'"HALVES"', b'"' + rb"\ud800" * (MOST_MENDED_HERE + 1) + b'"')

    with pytest.raises(InvalidRequest, match="nested more than"):
        await translator.read(body.replace(b'"TOO DEEP"', b"[" * 600 + b"]" * 600), PARSER)


# What is sent


def as_sent(request: dict[str, Any]) -> Any:
    """Members that are bytes are JSON already."""
    return {
        name: orjson.loads(member if isinstance(member, bytes) else orjson.dumps(member))
        for name, member in request.items()
    }


@pytest.mark.parametrize("model_id", ["claude-sonnet-4-6", "gemini-3-flash", "gpt-oss-120b-medium"])
async def test_it_is_translated_as_a_small_one(
    model_id: str, translator: RequestTranslator, signatures: StoredSignatures
) -> None:
    body, model = orjson.dumps(a_request()), a_model(model_id)
    signatures.put("toolu_1", SIGNATURE)
    signatures.put(key_of_text("Let me see."), SIGNATURE)
    request, _ = await translator.read(body, PARSER)

    there = await translator.translate(request, model)

    here = translate_request(read_here(body), model, TranslationOptions(), signatures)
    assert as_sent(there.request) == as_sent(here.request)
    for name in set(TranslatedRequest.__struct_fields__) - {"request", "tool_names"}:
        assert getattr(there, name) == getattr(here, name)
    assert client_names(there.tool_names) == client_names(here.tool_names) == {"get_weather": "get_weather"}


def client_names(names: ToolNames) -> dict[str, str]:
    return {upstream: names.to_client(upstream) for upstream in names.added_after(ToolNames())}


async def test_what_was_changed_since_it_was_read_counts(translator: RequestTranslator) -> None:
    body = orjson.dumps(a_request(system="Be brief."))
    request, _ = await translator.read(body, PARSER)
    added = [assistant(a_text("It is sunny.")), user(a_text("Say it once more."))]
    changed = replace(request, messages=[*request.messages, *added], temperature=0.5)

    translated = await translator.translate(changed, a_model())

    sent = as_sent(translated.request)
    assert sent["contents"][-1]["parts"][-1] == {"text": "Say it once more."}
    assert sent["generationConfig"]["temperature"] == 0.5
    assert sent["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert len(sent["contents"][0]["parts"][0]["text"]) > 2 * MIB


@pytest.mark.parametrize("system", [None, "Be brief.", [a_text("Be brief.")]])
async def test_the_model_learns_that_no_search_was_made(system: Any, translator: RequestTranslator) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, a_tool()]
    body = orjson.dumps(a_request(tools=tools, **({} if system is None else {"system": system})))
    (request, summary), whole, model = await translator.read(body, PARSER), read_here(body), a_model()
    search = asked_search(whole)
    assert search is not None
    assert summary.search == search

    there = await translator.translate(without_search(request, search, "unavailable", "srvtoolu_1"), model)

    here = translate_request(
        without_search(whole, search, "unavailable", "srvtoolu_1"),
        model,
        TranslationOptions(),
        StoredNothing(),
    )
    assert as_sent(there.request) == as_sent(here.request)
    assert there.answer_rules == here.answer_rules


async def test_a_search_is_translated_as_that_of_a_small_one(translator: RequestTranslator) -> None:
    body = orjson.dumps(a_request(tools=[{"type": "web_search_20250305", "name": "web_search"}]))
    (request, summary), model = await translator.read(body, PARSER), a_model("gemini-3-flash")
    assert summary.search is not None

    there = await translator.translate_search(summary.search, request, model)

    here = translate_search(summary.search, read_here(body), model)
    assert as_sent(there.request) == as_sent(here.request)
    assert there.input_token_estimate == here.input_token_estimate


async def test_a_safety_check_gets_the_typed_messages(translator: RequestTranslator) -> None:
    reminder = f"<system-reminder>{'z' * MIB}</system-reminder>"
    body = a_request(safeguards=[{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}])
    body["messages"][-1]["content"].append(a_text(reminder))

    request, summary = await translator.read(orjson.dumps(body), PARSER)

    assert request.safeguards == body["safeguards"]
    assert [one["content"] for one in summary.typed_messages][-1] == "Thanks 😀"


async def test_its_tokens_are_counted_as_those_of_a_small_one(translator: RequestTranslator) -> None:
    body = orjson.dumps(a_request())
    request, _ = await translator.read(body, PARSER)

    assert await translator.count(request, "claude") == estimate_input_tokens(read_here(body), "claude")


class StoredNothing:
    def get(self, key: str) -> None:
        return None

    def put(self, key: str, signature: str, *, is_carried: bool = False) -> None:
        pass


# The processes

BODY = orjson.dumps(a_request())
LONG = orjson.dumps(a_request(x="y" * 20 * MIB))


async def test_errors_come_back_whole(workers: TranslationWorkers) -> None:
    error = RateLimited("Wait.", retry_after_seconds=7, should_retry=False, details={"a": 1})
    error.may_quote_request = True

    with pytest.raises(RateLimited) as caught:
        await workers.run(fail, BODY, PARSER, error)

    assert vars(caught.value) == vars(error)
    assert caught.value.may_quote_request


async def test_a_fault_of_ours_tells_its_place_and_not_the_request(workers: TranslationWorkers) -> None:
    with pytest.raises(RuntimeError) as caught:
        await workers.run(fail, BODY, PARSER, ValueError("a secret"))

    assert str(caught.value).startswith("ValueError in a worker process, failing.py:")


async def test_a_worker_killed_at_work_is_replaced(workers: TranslationWorkers) -> None:
    await workers.run(jobs.what_is_kept, BODY, PARSER)
    (worker,) = workers._idle
    os.kill(worker.process.pid, signal.SIGSTOP)
    asked = asyncio.create_task(workers.run(jobs.what_is_kept, BODY, PARSER))
    await asyncio.sleep(0.01)
    os.kill(worker.process.pid, signal.SIGKILL)

    with pytest.raises(Unavailable, match="has ended") as caught:
        await asked
    await workers.run(jobs.what_is_kept, BODY, PARSER)

    assert caught.value.as_headers()["retry-after"] == "5"


async def test_a_worker_that_dies_idle_is_replaced(workers: TranslationWorkers) -> None:
    await workers.run(jobs.what_is_kept, BODY, PARSER)
    (worker,) = workers._idle
    os.kill(worker.process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)

    await workers.run(jobs.what_is_kept, BODY, PARSER)

    assert worker not in workers._idle


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_worker_leaves_signals_to_the_gateway(number: int, workers: TranslationWorkers) -> None:
    await workers.run(jobs.what_is_kept, BODY, PARSER)
    (worker,) = workers._idle
    os.kill(worker.process.pid, number)

    await workers.run(jobs.what_is_kept, BODY, PARSER)

    assert list(workers._idle) == [worker]


async def test_a_job_that_takes_too_long_is_ended(
    workers: TranslationWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workers.run(jobs.what_is_kept, BODY, PARSER)
    monkeypatch.setattr(workers_module, "JOB_SECONDS", 0.001)

    with pytest.raises(InvalidRequest, match="cannot be read"):
        await workers.run(jobs.what_is_kept, LONG, PARSER)
    assert not workers._idle
    assert not workers._busy


async def test_an_idle_worker_is_ended(workers: TranslationWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "IDLE_SECONDS", 0.1)
    await workers.run(jobs.what_is_kept, BODY, PARSER)
    (worker,) = workers._idle

    await asyncio.to_thread(worker.process.wait, 10)

    assert not workers._idle
    await workers.run(jobs.what_is_kept, BODY, PARSER)


async def test_too_many_concurrent_requests_get_retry_after(
    workers: TranslationWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "MOST_WAITING", 5)
    count = workers._free._value + 5
    asked = [workers.run(jobs.what_is_kept, BODY, PARSER) for _ in range(count + 3)]

    results = await asyncio.gather(*asked, return_exceptions=True)

    refused = [one for one in results if isinstance(one, Unavailable)]
    assert len(refused) == 3
    assert {one.as_headers()["retry-after"] for one in refused} == {"5"}


async def test_who_has_waited_too_long_is_told_to_come_back(
    workers: TranslationWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "WAIT_SECONDS", 0.01)
    asked = [workers.run(jobs.what_is_kept, LONG, PARSER) for _ in range(workers._free._value + 1)]

    *answered, refused = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(refused, Unavailable)
    assert not any(isinstance(one, Exception) for one in answered)


async def test_a_client_that_hangs_up_affects_no_other(workers: TranslationWorkers) -> None:
    leaving = [asyncio.create_task(workers.run(jobs.what_is_kept, BODY, PARSER)) for _ in range(5)]
    await asyncio.sleep(0.01)
    for one in leaving:
        one.cancel()

    assert (await workers.run(jobs.what_is_kept, BODY, PARSER)).fields["model"] == "m"
    assert (workers._waiting, workers._busy) == (0, set())


async def test_the_end_does_not_wait_for_a_job() -> None:
    workers = TranslationWorkers()
    await workers.run(jobs.what_is_kept, BODY, PARSER)
    asked = asyncio.create_task(workers.run(jobs.what_is_kept, LONG, PARSER))
    await asyncio.sleep(0.01)
    started = time.monotonic()

    await workers.stop()

    with pytest.raises(GatewayError):
        await asked
    assert time.monotonic() - started < 2


# Through the API


async def test_a_large_request_is_answered(
    client: httpx.AsyncClient, google: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator_module, "LARGE_BYTES", 100_000)
    body = a_request(model="claude-sonnet-4-6", stream=False)
    body["messages"][0]["content"][0]["text"] = "x" * 900_000

    response = await client.post("/v1/messages", json=body)

    assert response.status_code == 200, response.text
    contents = google.state.log.generations()[0].envelope["request"]["contents"]
    assert len(contents[0]["parts"][0]["text"]) == 900_000


async def test_a_large_request_is_counted(
    client: httpx.AsyncClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translator_module, "LARGE_BYTES", 100_000)
    body = {"model": "claude-sonnet-4-6", "messages": [user(a_text("hello " * 100_000))]}

    response = await client.post("/v1/messages/count_tokens", json=body)

    assert response.json()["input_tokens"] > 50_000
    assert len(gateway._workers._idle) == 1
