"""A call to one base URL, and the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from accounts.failures import UpstreamError
from accounts.kinds.access import Access
from gateway.routing.upstream_model import upstream_model
from gateway.upstreams.base import ModelCall
from gateway.upstreams.cloud_code.upstream import CloudCode
from gateway.upstreams.transport import Transport, TransportFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_django.fixtures import Settings

    from proxy_site.emulator.server import EmulatorServer

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def cloud_code() -> AsyncIterator[CloudCode]:
    transport = Transport(connect_timeout_seconds=1)
    await transport.start()
    yield CloudCode(transport, first_byte_seconds=5)
    await transport.close()


def a_call(google: EmulatorServer, model_id: str = "claude-sonnet-4-6", **changes: Any) -> ModelCall:
    access_token, _ = google.state.issue_access_token("ada@example.com")
    values: dict[str, Any] = {
        "access": Access(access_token, {"project_id": "emulator-project-ada"}),
        "model": upstream_model(model_id, header_mode="antigravity"),
        "session_id": "-1",
        "request": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
    }
    return ModelCall(**{**values, **changes})


async def test_the_base_url_that_is_named_is_asked(cloud_code: CloudCode, emulator: EmulatorServer) -> None:
    response = await cloud_code.open_stream(a_call(emulator), emulator.url)

    response.abort()
    assert response.status == 200


async def test_an_ordinary_request_names_itself_and_its_conversation(
    cloud_code: CloudCode, emulator: EmulatorServer
) -> None:
    response = await cloud_code.open_stream(a_call(emulator), emulator.url)
    response.abort()

    envelope = emulator.state.log.generations()[-1].envelope
    assert envelope["requestType"] == "agent"
    assert envelope["requestId"].startswith("agent-")
    assert envelope["request"]["sessionId"] == "-1"


async def test_a_web_search_names_neither_itself_nor_its_conversation(
    cloud_code: CloudCode, emulator: EmulatorServer
) -> None:
    call = a_call(
        emulator,
        model_id="gemini-3.1-flash-lite",
        request_type="web_search",
        request={
            "contents": [{"role": "user", "parts": [{"text": "the weather in Oslo"}]}],
            "tools": [{"googleSearch": {}}],
        },
    )

    response = await cloud_code.open_stream(call, emulator.url)
    response.abort()

    envelope = emulator.state.log.generations()[-1].envelope
    assert envelope.keys() == {"project", "model", "userAgent", "requestType", "request"}
    assert envelope["requestType"] == "web_search"
    assert envelope["request"] == call.request


@pytest.mark.parametrize(
    ("request_type", "others"), [("agent", {}), ("web_search", {"tools": [{"googleSearch": {}}]})]
)
async def test_members_that_are_json_already_are_sent_as_they_are(
    request_type: str, others: dict[str, Any], cloud_code: CloudCode, emulator: EmulatorServer
) -> None:
    contents = [{"role": "user", "parts": [{"text": "é" * 300_000}]}]
    call = a_call(
        emulator,
        model_id="gemini-3.1-flash-lite",
        request_type=request_type,
        request={"contents": orjson.dumps(contents), **others},
    )

    response = await cloud_code.open_stream(call, emulator.url)
    response.abort()

    sent = emulator.state.log.generations()[-1].envelope
    assert (sent["project"], sent["requestType"]) == ("emulator-project-ada", request_type)
    assert sent["request"].pop("sessionId", "") == ("-1" if request_type == "agent" else "")
    assert sent["request"] == {"contents": contents, **others}


@pytest.mark.parametrize(("fault", "is_asked_last"), [("internal", True), ("bare_429", False)])
async def test_only_a_broken_base_url_is_asked_last(
    fault: str, is_asked_last: bool, cloud_code: CloudCode, emulator: EmulatorServer, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [emulator.url, NOWHERE]
    emulator.state.fault(fault, times=None)

    for _ in range(5):
        with pytest.raises(UpstreamError):
            await cloud_code.open_stream(a_call(emulator), emulator.url)

    call = a_call(emulator)
    assert (cloud_code.addresses(call.model, call.access)[0] == NOWHERE) is is_asked_last


async def test_a_base_url_that_cannot_be_reached_is_said_so(
    cloud_code: CloudCode, emulator: EmulatorServer
) -> None:
    with pytest.raises(TransportFailed, match="could not be made"):
        await cloud_code.open_stream(a_call(emulator), NOWHERE)


def test_a_call_does_not_show_its_token(emulator: EmulatorServer) -> None:
    call = a_call(emulator)

    assert call.access.secret not in repr(call)
    assert call.access.secret not in repr(call.access)
    assert call.access.secret not in repr(CloudCode(Transport(1), 1).prepare(call))


def test_headers_are_kept_until_the_token_or_a_setting_changes(
    cloud_code: CloudCode, emulator: EmulatorServer, settings: Settings
) -> None:
    first, second = a_call(emulator), a_call(emulator)

    kept = cloud_code.prepare(first).headers
    assert cloud_code.prepare(first).headers is kept
    assert kept["Authorization"] == f"Bearer {first.access.secret}"
    assert cloud_code.prepare(second).headers["Authorization"] == f"Bearer {second.access.secret}"

    settings.CLOUDCODE_USER_AGENT = "another/1.0"
    assert cloud_code.prepare(first).headers["User-Agent"] == "another/1.0"


def test_the_members_of_a_large_request_are_not_written_again(
    cloud_code: CloudCode, emulator: EmulatorServer
) -> None:
    plain = a_call(emulator)
    members = {name: orjson.dumps(value) for name, value in plain.request.items()}

    pieces = cloud_code.prepare(a_call(emulator, request=members)).body

    assert members["contents"] in pieces
    body = orjson.loads(b"".join(pieces))
    assert body["request"] == {**plain.request, "sessionId": "-1"}
    assert body["model"] == plain.model.sent_id
