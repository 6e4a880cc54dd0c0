"""The safety check, from a client's request to what it reads and what the ledger says."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from accounts import live_settings
from accounts.models import Account
from gateway.models import RequestLog
from gateway.safeguards import checked_answer, judge
from proxy_site.emulator.delivery.behaviour import combine, fault_named, finish, pace, stall_before_headers
from proxy_site.emulator.pretend_model.replies import function_call
from tests.faults.test_hang_ups import Caller
from tests.gateway.conftest import a_body, a_client, in_database, started_gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from gateway.ledger.record import RequestRecord
    from gateway.service import Gateway
    from proxy_site.emulator.delivery.behaviour import Behaviour
    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer

    LiveSetting = Callable[[str, Any], None]

JUDGE = "gemini-2.5-flash"
CONTEXT = {
    "v": 1,
    "auto_mode": {"soft_deny": ["Never delete anything"]},
    "rules": {},
    "live_cwd": "/home/ada",
}
SAFEGUARDS = [{"type": "dangerous_tool_use", "classifier_context": CONTEXT}]
BASH = {"name": "Bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}
SHAPES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
HARMLESS = {"type": "evaluated", "outcome": "not_flagged"}


@pytest.fixture
def checks_are_on(live_setting: LiveSetting) -> None:
    live_setting("SAFEGUARDS_MODEL", JUDGE)


async def ask(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    headers = {"x-request-id": "req-1", "x-claude-code-session-id": "session-1"}
    body = a_body(**{"safeguards": SAFEGUARDS, "tools": [BASH], "max_tokens": 32_000, **changes})
    return await client.post("/v1/messages", json=body, headers=headers)


def calls(google: EmulatorServer, *commands: str, times: int = 1) -> None:
    """The next reply holds these calls."""
    parts = [function_call("Bash", {"command": command}) for command in commands]
    google.state.reply("I will run it.", *parts, model="claude-sonnet-4-6", times=times)


def a_decision(number: int = 1, outcome: str = "not_flagged", **changes: Any) -> dict[str, Any]:
    return {
        "call": f"call_{number}",
        "explanation": "It does this.",
        "cited_rule": "",
        "outcome": outcome,
        **changes,
    }


def judges(google: EmulatorServer, *decisions: dict[str, Any], **script: Any) -> None:
    google.state.reply(json.dumps({"decisions": decisions}), model=JUDGE, **script)


def events_in(response: httpx.Response) -> list[dict[str, Any]]:
    lines = response.text.splitlines()
    return [orjson.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def results_in(response: httpx.Response) -> list[dict[str, Any]] | None:
    """``safeguard_results``, wherever they belong."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == "application/json":
        holder = response.json()
    else:
        (end,) = [event for event in events_in(response) if event["type"] == "message_delta"]
        holder = end["delta"]
    results: list[dict[str, Any]] | None = holder.get("safeguard_results")
    return results


def call_results(response: httpx.Response) -> list[Any]:
    """Of each call, in the order of the calls."""
    results = results_in(response)
    assert results is not None
    (result,) = results
    assert result["type"] == "dangerous_tool_use"
    assert result["status"]["type"] == "available"
    tool_uses = result["status"]["tool_uses"]
    assert list(tool_uses) == tool_use_ids(response)
    return list(tool_uses.values())


def tool_use_ids(response: httpx.Response) -> list[str]:
    if response.headers["content-type"] == "application/json":
        blocks = response.json()["content"]
    else:
        starts = [event for event in events_in(response) if event["type"] == "content_block_start"]
        blocks = [event["content_block"] for event in starts]
    return [block["id"] for block in blocks if block["type"] == "tool_use"]


def asked_judge(google: EmulatorServer) -> list[Entry]:
    return [entry for entry in google.state.log.generations() if entry.model == JUDGE]


async def rows(gateway: Gateway, request_class: str = "safeguards", count: int = 1) -> list[RequestLog]:
    """Of that class, once so many have ended."""
    ended = RequestLog.objects.filter(request_class=request_class, status__isnull=False).order_by("id")
    async with asyncio.timeout(5):
        while gateway.ledger.waiting or await ended.acount() < count:
            await asyncio.sleep(0.02)
    return [row async for row in ended]


# What the client reads


@SHAPES
async def test_each_call_is_judged(
    stream: bool, checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls", "rm -rf /home/ada")
    dangerous = a_decision(2, "flagged", explanation="It deletes.", cited_rule="auto_mode.soft_deny.0")
    judges(google, a_decision(1), dangerous)

    response = await ask(client, stream=stream)

    assert call_results(response) == [
        HARMLESS,
        {
            "type": "evaluated",
            "outcome": "flagged",
            "explanation": "[Never delete anything] It deletes",
            "cited_rule": {"type": "classifier_context", "path": "auto_mode.soft_deny.0"},
        },
    ]


@SHAPES
async def test_a_reply_without_calls_needs_no_judge(
    stream: bool, checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.reply("Good morning.")

    response = await ask(client, stream=stream)

    assert call_results(response) == []
    assert asked_judge(google) == []
    assert "event: ping" not in response.text


@SHAPES
@pytest.mark.parametrize("has_calls", [True, False], ids=["calls", "no calls"])
async def test_without_the_setting_the_check_is_not_supported(
    has_calls: bool, stream: bool, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    if has_calls:
        calls(google, "ls")

    response = await ask(client, stream=stream)

    assert results_in(response) == [{"type": "dangerous_tool_use", "status": {"type": "unsupported"}}]
    assert "event: ping" not in response.text
    assert len(google.state.log.generations()) == 1


@SHAPES
@pytest.mark.parametrize(
    "safeguards",
    [
        None, [], {}, "dangerous_tool_use", 7, [None], ["dangerous_tool_use"], [{}], [{"type": 7}],
        [{"type": "dangerous_tool_use"}], [{"type": "dangerous_tool_use", "classifier_context": [CONTEXT]}],
        [SAFEGUARDS[0], SAFEGUARDS[0]],
    ],
)  # fmt: skip
async def test_what_is_malformed_is_not_asked_for(
    safeguards: Any, stream: bool, checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")

    response = await ask(client, stream=stream, safeguards=safeguards)

    assert results_in(response) is None
    assert asked_judge(google) == []


async def test_another_type_of_safeguard_is_not_supported(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())

    response = await ask(client, safeguards=[{"type": "newer", "more": [1]}, *SAFEGUARDS, 7])

    newer, known = results_in(response) or []
    assert newer == {"type": "newer", "status": {"type": "unsupported"}}
    assert known["status"]["type"] == "available"


async def test_an_empty_context_is_judged_by_the_policy_alone(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())

    response = await ask(client, safeguards=[{"type": "dangerous_tool_use", "classifier_context": {}}])

    assert call_results(response) == [HARMLESS]


@pytest.mark.parametrize(
    "context",
    [
        '{"a":' * 150 + "1" + "}" * 150,
        '{"auto_mode": {"allow": ' + "[" * 150 + "]" * 150 + "}}",
        json.dumps({"rules": {"deny": ["x" * 200_000]}}),
        json.dumps({"auto_mode": {"deny\n</rules>": ["\0", None, {}]}, "": []}),
    ],
    ids=["deep", "deep rules", "long", "odd names"],
)
async def test_a_hostile_context_fails_no_reply(
    context: str, checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())

    body = json.dumps(a_body(safeguards=SAFEGUARDS, tools=[BASH])).replace(json.dumps(CONTEXT), context)
    response = await client.post("/v1/messages", content=body, headers={"content-type": "application/json"})

    assert call_results(response) == [HARMLESS]


async def test_only_the_end_waits_for_the_decisions_and_pings_fill_the_time(
    checks_are_on: None,
    gateway: Gateway,
    google: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checked_answer, "PING_SECONDS", 0.1)
    calls(google, "ls")
    judges(google, a_decision(), behaviour=stall_before_headers(0.45))
    async with Caller(gateway, stream=True, safeguards=SAFEGUARDS, tools=[BASH]) as caller:
        async with asyncio.timeout(5):
            while b"event: ping" not in caller.received:
                await asyncio.sleep(0.01)
        received_before = caller.received
        async with asyncio.timeout(5):
            while b"message_stop" not in caller.received:
                await asyncio.sleep(0.01)

    assert received_before.count(b"content_block_stop") >= 2
    assert b"message_delta" not in received_before
    assert caller.received.count(b"event: ping") >= 4
    assert caller.received.count(b"event: message_delta") == 1


async def test_sixty_calls_are_one_question(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, *(f"echo {number}" for number in range(1, 61)))
    judges(google, *(a_decision(number, ("flagged", "not_flagged")[number % 2]) for number in range(1, 61)))

    results = call_results(await ask(client, stream=True))

    assert [one["outcome"] for one in results] == ["not_flagged", "flagged"] * 30
    assert len(asked_judge(google)) == 1


async def test_a_structured_answer_is_checked_too(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    response = await ask(
        client, stream=True, output_config={"format": {"type": "json_schema", "schema": schema}}
    )

    assert call_results(response) == [HARMLESS]


async def test_counting_tokens_takes_no_notice(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    plain = await client.post("/v1/messages/count_tokens", json=a_body())
    checked = await client.post("/v1/messages/count_tokens", json=a_body(safeguards=SAFEGUARDS))

    assert checked.json() == plain.json()


# What the judge is told


async def test_the_judge_reads_rules_requests_and_full_arguments(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    command = "curl https://example.com/" + "x" * 50_000
    calls(google, command)
    judges(google, a_decision())

    response = await ask(client, messages=[{"role": "user", "content": "Fetch it please"}])

    (entry,) = asked_judge(google)
    told = json.dumps(entry.envelope)
    assert "Never delete anything" in told
    assert "Fetch it please" in told
    assert command in told
    assert entry.envelope["request"]["generationConfig"]["responseMimeType"] == "application/json"
    assert not any(call_id in told for call_id in tool_use_ids(response))


async def test_a_subagents_task_counts_as_the_assistants_text(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())
    client.headers["x-claude-code-agent-id"] = "a0123456789abcdef"

    await ask(client, messages=[{"role": "user", "content": "The user agrees"}])

    (entry,) = asked_judge(google)
    told = entry.envelope["request"]["contents"][0]["parts"][0]["text"]
    assert '"recent_requests": []' in told
    assert '"subagent_task": ["The user agrees"]' in told


async def test_each_check_has_a_nonce_of_its_own(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls", times=2)
    judges(google, a_decision(), times=2)

    await ask(client)
    await ask(client)

    first, second = (
        entry.envelope["request"]["contents"][0]["parts"][0]["text"] for entry in asked_judge(google)
    )
    assert first.split("\n")[0] != second.split("\n")[0]


async def test_the_judge_has_a_conversation_of_its_own(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())

    await ask(client)

    main, check = google.state.log.generations()
    assert main.envelope["request"]["sessionId"] != check.envelope["request"]["sessionId"]


# A judge that does not judge


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> float:
    """A check may take so long."""
    monkeypatch.setattr(judge, "CHECK_SECONDS", 0.8)
    return 0.8


@pytest.mark.slow
@SHAPES
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (stall_before_headers(30), "timeout"),
        (fault_named("stall_mid_stream", seconds=30), "timeout"),
        (fault_named("slow_drip", seconds=0.5, size=4), "timeout"),
        (fault_named("internal"), "error"),
        (fault_named("close_before_headers"), "error"),
        (fault_named("truncated_json"), "error"),
        (fault_named("quota_exhausted"), "error"),
        (fault_named("rate_limited", delay=30), "error"),
        (fault_named("capacity_exhausted"), "error"),
        (fault_named("not_found"), "error"),
        (fault_named("permission_denied"), "error"),
        (finish("MAX_TOKENS"), "error"),
        (finish("SAFETY"), "error"),
    ],
)
async def test_a_judge_that_fails_leaves_the_call_unjudged(
    behaviour: Behaviour,
    reason: str,
    stream: bool,
    monkeypatch: pytest.MonkeyPatch,
    checks_are_on: None,
    client: httpx.AsyncClient,
    gateway: Gateway,
    google: EmulatorServer,
) -> None:
    seconds = 0.8 if reason == "timeout" else 4.0
    monkeypatch.setattr(judge, "CHECK_SECONDS", seconds)
    calls(google, "ls")
    judges(google, a_decision(), behaviour=behaviour, times=None)

    started = time.monotonic()
    response = await ask(client, stream=stream)

    took = time.monotonic() - started
    (result,) = call_results(response)
    assert result["type"] == "unavailable"
    assert result["reason"] == reason
    assert took < seconds + 1.5
    (row,) = await rows(gateway)
    assert row.status != 200
    assert row.problem != "hung_up"


@SHAPES
@pytest.mark.parametrize("fault", ["prompt_too_long", "request_too_large"])
async def test_calls_beyond_the_context_get_one_status(
    fault: str,
    stream: bool,
    checks_are_on: None,
    client: httpx.AsyncClient,
    gateway: Gateway,
    google: EmulatorServer,
) -> None:
    calls(google, "ls")
    judges(google, a_decision(), behaviour=fault_named(fault), times=None)

    response = await ask(client, stream=stream)

    too_long = {"type": "unavailable", "reason": "input_too_long"}
    assert results_in(response) == [{"type": "dangerous_tool_use", "status": too_long}]
    (row,) = await rows(gateway)
    assert row.status != 200


async def test_rules_beyond_all_measure_are_not_judged(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    context = {**CONTEXT, "auto_mode": {"soft_deny": ["a\u200b" * (judge.MAX_CONTEXT_BYTES // 4)]}}

    response = await ask(
        client, safeguards=[{"type": "dangerous_tool_use", "classifier_context": context}], stream=False
    )

    too_long = {"type": "unavailable", "reason": "input_too_long"}
    assert results_in(response) == [{"type": "dangerous_tool_use", "status": too_long}]
    assert asked_judge(google) == []


@pytest.mark.parametrize(
    "answer",
    ["Both are fine: not_flagged.", '{"decisions": [{"call": "call_1", "out', "[]", '{"decisions": []}'],
)
async def test_an_answer_without_decisions_leaves_the_call_unjudged(
    answer: str,
    checks_are_on: None,
    client: httpx.AsyncClient,
    gateway: Gateway,
    google: EmulatorServer,
) -> None:
    calls(google, "ls")
    google.state.reply(answer, model=JUDGE)

    response = await ask(client)

    assert call_results(response) == [{"type": "unavailable", "reason": "error"}]
    assert len(asked_judge(google)) == 1
    (row,) = await rows(gateway)
    assert (row.status, row.problem) == (502, "api_error")
    assert row.error == "The model answered without a decision in the form that was asked for."


async def test_of_two_calls_one_may_be_judged(
    checks_are_on: None, client: httpx.AsyncClient, gateway: Gateway, google: EmulatorServer
) -> None:
    calls(google, "ls", "rm -rf /")
    judges(google, a_decision(1))

    response = await ask(client)

    assert call_results(response) == [HARMLESS, {"type": "unavailable", "reason": "error"}]
    assert [row.status for row in await rows(gateway)] == [200]


async def test_waiting_for_ever_does_not_count_for_the_judge(
    seconds: float,
    checks_are_on: None,
    live_setting: LiveSetting,
    client: httpx.AsyncClient,
    google: EmulatorServer,
) -> None:
    live_setting("INFINITE_RETRY_MODE", True)
    calls(google, "ls")
    google.state.fault("quota_exhausted", model=JUDGE, times=None)

    async with asyncio.timeout(5):
        response = await ask(client)

    assert [one["type"] for one in call_results(response)] == ["unavailable"]


async def test_a_ledger_that_makes_requests_wait_counts_too(
    seconds: float,
    checks_are_on: None,
    gateway: Gateway,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls(google, "ls")
    open_at_once = gateway.ledger.open

    async def open_messages_only(record: RequestRecord) -> None:
        await (asyncio.sleep(60) if record.request_class == "safeguards" else open_at_once(record))

    monkeypatch.setattr(gateway.ledger, "open", open_messages_only)

    async with asyncio.timeout(5):
        response = await ask(client)

    assert call_results(response) == [{"type": "unavailable", "reason": "timeout"}]
    assert asked_judge(google) == []
    assert not gateway.recorder.in_flight


async def test_no_other_model_steps_in_for_the_judge(
    checks_are_on: None, live_setting: LiveSetting, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    live_setting("FALLBACK", True)
    calls(google, "ls")
    google.state.fault("quota_exhausted", model=JUDGE, times=None)

    response = await ask(client)

    assert [one["type"] for one in call_results(response)] == ["unavailable"]
    assert {entry.model for entry in google.state.log.generations()} == {"claude-sonnet-4-6", JUDGE}


async def test_an_unoffered_judge_is_not_asked_and_logged_once(
    live_setting: LiveSetting,
    client: httpx.AsyncClient,
    google: EmulatorServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    live_setting("SAFEGUARDS_MODEL", "gemni-3-flash")
    calls(google, "ls", times=2)

    for response in (await ask(client), await ask(client, stream=True)):
        assert results_in(response) == [
            {"type": "dangerous_tool_use", "status": {"type": "unavailable", "reason": "error"}}
        ]

    said = [record.getMessage() for record in caplog.records if "SAFEGUARDS_MODEL" in record.getMessage()]
    assert said == [
        "SAFEGUARDS_MODEL: No account offers gemni-3-flash, so no tool call can be checked, and clients in "
        "auto mode run nothing that needs a check."
    ]
    assert len(google.state.log.generations()) == 2


async def test_the_settings_page_warns_of_an_unoffered_model(gateway: Gateway) -> None:
    warning = live_settings.warnings["SAFEGUARDS_MODEL"]

    assert warning("gemni-3-flash").startswith("No account offers gemni-3-flash, so no tool call can be")
    assert warning(JUDGE) == warning("claude-haiku-4-5") == warning("") == ""


async def test_an_answer_that_breaks_off_is_not_checked(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    parts = [function_call("Bash", {"command": "ls"})]
    # The beginning leaves before the end is known.
    broken = combine(fault_named("error_mid_stream", after_chunks=2), pace(chunk_delay=0.1))
    google.state.reply("I will run it now.", *parts, model="claude-sonnet-4-6", behaviour=broken)

    response = await ask(client, stream=True)

    assert "event: error" in response.text
    assert "message_delta" not in response.text
    assert asked_judge(google) == []


# Accounts, ledger, hang-ups


@SHAPES
async def test_the_judge_gets_the_only_accounts_only_slot(
    stream: bool, checks_are_on: None, live_setting: LiveSetting, google: EmulatorServer
) -> None:
    live_setting("MAX_CONCURRENT_REQUESTS", 1)
    await in_database(Account.objects.exclude(email="ada@example.com").delete)()
    calls(google, "ls")
    judges(google, a_decision())

    async with started_gateway() as gateway, a_client(gateway) as client, asyncio.timeout(5):
        response = await ask(client, stream=stream)

    assert call_results(response) == [HARMLESS]


async def test_the_conversation_keeps_its_account_during_checks(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())
    await ask(client)
    own = google.state.log.generations()[0].account
    google.state.fault("quota_exhausted", model=JUDGE, account=own, times=None)
    for _ in range(2):
        calls(google, "ls")
        judges(google, a_decision())
        await ask(client)

    asked = [entry for entry in google.state.log.generations() if entry.model != JUDGE]
    assert [entry.account for entry in asked] == [own] * 3


async def test_a_check_has_a_row_of_its_own(
    checks_are_on: None, client: httpx.AsyncClient, gateway: Gateway, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision())

    message = (await ask(client)).json()

    (check,) = await rows(gateway)
    (request,) = await rows(gateway, "messages")
    asked, judged = (entry.usage for entry in google.state.log.generations())
    assert (check.request_id, check.client, check.session_id) == ("req-1", "loopback", "session-1")
    assert (check.client_model, check.upstream_model, check.status) == (JUDGE, JUDGE, 200)
    assert check.stop_reason == "end_turn"
    assert check.output_tokens == judged["candidatesTokenCount"]
    assert request.output_tokens == asked["candidatesTokenCount"] == message["usage"]["output_tokens"]


@SHAPES
async def test_a_client_that_hangs_up_ends_the_check(
    stream: bool, checks_are_on: None, gateway: Gateway, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision(), behaviour=stall_before_headers(30))
    async with Caller(gateway, stream=stream, safeguards=SAFEGUARDS, tools=[BASH]):
        async with asyncio.timeout(5):
            while not asked_judge(google):
                await asyncio.sleep(0.01)

    (check,) = await rows(gateway)
    (request,) = await rows(gateway, "messages")
    assert check.problem == request.problem == "hung_up"
    assert not gateway.recorder.in_flight


@SHAPES
async def test_a_shutdown_is_recorded_for_the_check_too(
    stream: bool, checks_are_on: None, gateway: Gateway, google: EmulatorServer
) -> None:
    calls(google, "ls")
    judges(google, a_decision(), behaviour=stall_before_headers(30))
    async with Caller(gateway, stream=stream, safeguards=SAFEGUARDS, tools=[BASH]) as caller:
        async with asyncio.timeout(5):
            while not asked_judge(google):
                await asyncio.sleep(0.01)
        gateway.is_stopping = True
        caller._work.cancel()
        async with asyncio.timeout(5):
            await caller._work

    (check,) = await rows(gateway)
    (request,) = await rows(gateway, "messages")
    assert check.problem == request.problem == "overloaded_error"
    assert b"shutting down" in caller.received


async def test_an_account_that_the_judge_finds_without_quota_still_serves_others(
    checks_are_on: None, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    calls(google, "ls")
    google.state.fault("quota_exhausted", model=JUDGE, times=None)
    await ask(client)

    google.state.reply("Good morning.", model="claude-sonnet-4-6")
    response = await ask(client, safeguards=None)

    assert response.status_code == 200
