"""Requests to the Gemini API as the strict emulator takes them, and its errors as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from accounts.failures import FailureKind, UpstreamError
from accounts.kinds.access import Access
from gateway.google_api.sse import ChunkReader
from gateway.translation.response.message import MessageCollector
from gateway.translation.signature_families import SignatureCache
from gateway.upstreams.base import ModelCall
from gateway.upstreams.gemini.upstream import GeminiApi
from gateway.upstreams.transport import Transport
from proxy_site.emulator.gemini_api.faults import GEMINI_FAULTS
from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.builders import (
    a_model,
    a_stream,
    a_tool,
    a_tool_result,
    assistant,
    events_of,
    translated,
    user,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.translation.request.request import TranslatedRequest
    from proxy_site.emulator.server import EmulatorServer

ADA = Access("AIza-emulator-ada")
FLASH = a_model("gemini-3.5-flash", "gemini")
GREP = a_tool(
    "Grep",
    {
        "type": "object",
        "properties": {
            "pattern": {"type": "string"},
            "-A": {"type": "number", "description": "Lines after"},
            "-B": {"type": "number"},
        },
        "required": ["pattern"],
    },
)


@pytest.fixture
async def gemini() -> AsyncIterator[GeminiApi]:
    transport = Transport(connect_timeout_seconds=1)
    await transport.start()
    yield GeminiApi(transport, first_byte_seconds=5)
    await transport.close()


def a_call(request: TranslatedRequest | None = None, access: Access = ADA) -> ModelCall:
    request = request or translated(model=FLASH)
    return ModelCall(access, request.model, "-1", request.request, request.request_type)


async def answer_of(
    gemini: GeminiApi, emulator: EmulatorServer, request: TranslatedRequest, signatures: SignatureCache
) -> list[dict[str, Any]]:
    """The blocks of the answer, as a client puts them together."""
    response = await gemini.open_stream(a_call(request), emulator.gemini_api_url)
    reader, chunks = ChunkReader(), []
    while data := await response.read(5):
        chunks += reader.receive(data)
    collector = MessageCollector()
    for event in events_of(a_stream(request, signatures=signatures), *chunks, *reader.close()):
        collector.add(event)
    blocks: list[dict[str, Any]] = collector.message()["content"]
    return blocks


async def test_a_request_has_no_envelope(gemini: GeminiApi, emulator: EmulatorServer) -> None:
    response = await gemini.open_stream(a_call(), emulator.gemini_api_url)
    response.abort()

    call = emulator.state.log.generations()[-1]
    assert (call.model, call.account) == ("gemini-3.5-flash", "gemini-ada")
    assert call.envelope.keys() == {"contents", "generationConfig"}
    assert "authorization" not in call.headers


async def test_members_that_are_json_already_are_sent_as_they_are(
    gemini: GeminiApi, emulator: EmulatorServer
) -> None:
    contents = [{"role": "user", "parts": [{"text": "é" * 300_000}]}]
    request = {"contents": orjson.dumps(contents), "generationConfig": {"maxOutputTokens": 5}}

    response = await gemini.open_stream(ModelCall(ADA, FLASH, "-1", request), emulator.gemini_api_url)
    response.abort()

    sent = emulator.state.log.generations()[-1].envelope
    assert sent == {"contents": contents, "generationConfig": {"maxOutputTokens": 5}}


async def test_a_model_cannot_lead_to_another_path(gemini: GeminiApi) -> None:
    call = a_call(translated(model=a_model("gemini-x/../../y?a=1", "gemini")))

    path = gemini.prepare(call).path

    assert path == "/v1beta/models/gemini-x%2F..%2F..%2Fy%3Fa%3D1:streamGenerateContent?alt=sse"


async def test_parameters_keep_names_that_begin_with_a_dash(
    gemini: GeminiApi, emulator: EmulatorServer
) -> None:
    response = await gemini.open_stream(
        a_call(translated(model=FLASH, tools=[GREP])), emulator.gemini_api_url
    )
    response.abort()

    declared = emulator.state.log.generations()[-1].envelope["tools"][0]["functionDeclarations"][0]
    assert list(declared["parameters"]["properties"]) == ["pattern", "-A", "-B"]


async def test_signatures_come_back_with_their_parts(gemini: GeminiApi, emulator: EmulatorServer) -> None:
    calls = [function_call("Grep", {"pattern": pattern}) for pattern in "ab"]
    emulator.state.reply(thinking("Two files."), *calls)
    signatures = SignatureCache()
    asked = user("Look for a and b")

    blocks = await answer_of(gemini, emulator, translated(asked, model=FLASH, tools=[GREP]), signatures)
    results = [a_tool_result(block["id"], "x") for block in blocks if block["type"] == "tool_use"]
    history = (asked, assistant(*blocks), user(*results))
    following = translated(*history, model=FLASH, tools=[GREP], signatures=signatures)
    last = await answer_of(gemini, emulator, following, signatures)

    parts = emulator.state.log.generations()[-1].envelope["contents"][1]["parts"]
    signed = [part.get("thoughtSignature") for part in parts if "functionCall" in part]
    assert len(results) == 2
    assert signed[0] not in (None, "skip_thought_signature_validator")
    assert signed[1] is None
    assert last[-1]["type"] == "text"


# Errors


@pytest.mark.parametrize("fault", GEMINI_FAULTS)
async def test_each_error_of_the_api_is_classified(
    fault: str, gemini: GeminiApi, emulator: EmulatorServer
) -> None:
    emulator.state.fault(fault)

    with pytest.raises(UpstreamError) as caught:
        await gemini.open_stream(a_call(), emulator.gemini_api_url)

    assert caught.value.kind is not FailureKind.BAD_REQUEST
    assert ADA.secret not in f"{caught.value.message} {caught.value.body}"


async def test_a_secret_is_removed_whatever_it_looks_like(
    gemini: GeminiApi, emulator: EmulatorServer
) -> None:
    odd = Access("an odd key, 7f3a")
    emulator.state.fault("gemini_suspended", key=odd.secret)

    with pytest.raises(UpstreamError) as caught:
        await gemini.open_stream(a_call(access=odd), emulator.gemini_api_url)

    assert odd.secret not in f"{caught.value.message} {caught.value.body}"


async def test_a_wrong_key_is_refused(gemini: GeminiApi, emulator: EmulatorServer) -> None:
    with pytest.raises(UpstreamError) as caught:
        await gemini.open_stream(a_call(access=Access("AIza-nobody")), emulator.gemini_api_url)

    assert caught.value.kind is FailureKind.KEY_REFUSED


@pytest.mark.parametrize("threshold", ["", "BLOCK_ONLY_HIGH"])
async def test_safety_settings_are_sent_only_when_the_operator_sets_them(
    threshold: str, gemini: GeminiApi, emulator: EmulatorServer, live_setting: Callable[[str, Any], None]
) -> None:
    live_setting("GEMINI_SAFETY_THRESHOLD", threshold)

    (await gemini.open_stream(a_call(), emulator.gemini_api_url)).abort()

    sent = orjson.loads(emulator.state.log.entries()[-1].body).get("safetySettings", [])
    assert {one["threshold"] for one in sent} == ({threshold} if threshold else set())
    assert len(sent) == (4 if threshold else 0)
