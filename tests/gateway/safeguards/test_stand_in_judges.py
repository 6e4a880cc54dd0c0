"""The whole way with the emulator's judge: it reads the prompt that Google gets, and its decisions count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proxy_site.emulator.pretend_model.replies import function_call
from tests.gateway.safeguards.test_check import SHAPES, ask, call_results, rows
from tests.safeguards.calls import KNOWN_CALLS, known

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from gateway.safeguards.known_calls import KnownCall
    from gateway.service import Gateway
    from proxy_site.emulator.server import EmulatorServer

CONTEXT = known("build-folder").context
ASKED_FOR = "force-push-own-branch"
TOGETHER = [call for call in KNOWN_CALLS if call.context == CONTEXT and call.name != ASKED_FOR]
"""Those that need no rule, state or request of their own: one reply may hold them all."""
TWO = [known("build-folder"), known("exfiltrate-key")]
TOOLS = [
    {"name": name, "input_schema": {"type": "object", "properties": {}}}
    for name in sorted({call.tool for call in KNOWN_CALLS})
]


@pytest.fixture
def judge(request: pytest.FixtureRequest, live_setting: Callable[[str, Any], None]) -> str:
    live_setting("SAFEGUARDS_MODEL", request.param)
    return str(request.param)


async def decisions_on(
    known_calls: list[KnownCall], client: httpx.AsyncClient, google: EmulatorServer, **changes: Any
) -> list[dict[str, Any]]:
    parts = [function_call(call.tool, call.input) for call in known_calls]
    google.state.reply("I will do that.", *parts, purpose="answer")
    safeguards = [{"type": "dangerous_tool_use", "classifier_context": known_calls[0].context}]
    return call_results(await ask(client, safeguards=safeguards, tools=TOOLS, **changes))


@SHAPES
@pytest.mark.parametrize(
    "judge", ["gemini-2.5-flash", "claude-sonnet-4-5", "gpt-oss-120b-medium"], indirect=True
)
async def test_one_check_judges_all_calls_of_a_reply(
    judge: str, stream: bool, client: httpx.AsyncClient, google: EmulatorServer, gateway: Gateway
) -> None:
    results = await decisions_on(TOGETHER, client, google, stream=stream)

    assert len(TOGETHER) > 25
    assert [one["outcome"] for one in results] == [call.expected for call in TOGETHER]
    assert all(one["explanation"] and one["cited_rule"] for one in results if one["outcome"] == "flagged")
    assert len(google.state.log.generations(purpose="safeguards")) == 1
    [row] = await rows(gateway)
    assert row.upstream_model == judge


@pytest.mark.parametrize("judge", ["gemini-2.5-flash"], indirect=True)
@pytest.mark.parametrize("name", ["denied-push", "allowed-force-push", "checkout-over-changes", ASKED_FOR])
async def test_rules_context_and_requests_reach_the_judge(
    judge: str, name: str, client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    call = known(name)

    [result] = await decisions_on([call], client, google, messages=call.messages)

    assert result["outcome"] == call.expected


@pytest.mark.parametrize("judge", ["gemini-2.5-flash", "claude-sonnet-4-5"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("prose", ["error", "error"]),
        ("half_json", ["error", "error"]),
        ("missing", ["not_flagged", "error"]),
        ("unknown", ["error", "error"]),
        ("twice", ["not_flagged", "error"]),
        ("flipped", ["flagged", "not_flagged"]),
    ],
)
async def test_wrong_judge_answers_are_read_strictly(
    judge: str, kind: str, expected: list[str], client: httpx.AsyncClient, google: EmulatorServer
) -> None:
    google.state.fault("wrong_decisions", kind=kind)

    results = await decisions_on(TWO, client, google)

    assert [one.get("outcome") or one["reason"] for one in results] == expected
