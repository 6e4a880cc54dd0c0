"""Which base URL is asked, and in which order, when some of them fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.upstreams.cloud_code import CircuitBreaker, CloudCode, ModelCall, RequestRefused
from gateway.upstreams.emulator import behaviour
from gateway.upstreams.emulator.server import EmulatorServer
from gateway.upstreams.transport import Transport, TransportFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pytest_django.fixtures import Settings

    from gateway.upstreams.emulator.behaviour import Behaviour

NOWHERE = "http://127.0.0.1:1"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def second() -> Iterator[EmulatorServer]:
    with EmulatorServer() as server:
        yield server


@pytest.fixture
async def cloud_code() -> AsyncIterator[CloudCode]:
    transport = Transport(connect_timeout_seconds=1)
    await transport.start()
    yield CloudCode(transport, first_byte_seconds=5)
    await transport.close()


def a_call(google: EmulatorServer, **changes: Any) -> ModelCall:
    access_token, _ = google.state.issue_access_token("ada@example.com")
    values: dict[str, Any] = {
        "access_token": access_token,
        "project_id": "emulator-project-ada",
        "model_id": "claude-sonnet-4-6",
        "mode": "antigravity",
        "interleaved_thinking": False,
        "session_id": "-1",
        "request": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
    }
    return ModelCall(**{**values, **changes})


async def test_the_next_base_url_is_asked_when_one_cannot_be_reached(
    cloud_code: CloudCode, emulator: EmulatorServer, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [NOWHERE, emulator.url]

    response = await cloud_code.stream_generate_content(a_call(emulator), lambda error: None)

    response.abort()
    assert response.status == 200


@pytest.mark.parametrize("fault", ["internal", "unavailable", "not_found", "no_licence", "bare_429"])
async def test_the_next_base_url_is_asked_when_it_may_know_better(
    fault: str, cloud_code: CloudCode, emulator: EmulatorServer, second: EmulatorServer, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [emulator.url, second.url]
    emulator.state.fault(fault)
    call = a_call(second)
    emulator.state._tokens.update(second.state._tokens)

    response = await cloud_code.stream_generate_content(call, lambda error: None)

    response.abort()
    assert (len(emulator.state.log.generations()), len(second.state.log.generations())) == (1, 1)


@pytest.mark.parametrize(
    "fault",
    [
        behaviour.invalid_argument("odd"),
        behaviour.quota_exhausted(),
        behaviour.rate_limited(),
        behaviour.verification_required(),
        behaviour.capacity_exhausted(),
    ],
    ids=lambda fault: str(fault.status),
)
async def test_what_would_be_the_same_everywhere_is_asked_once(
    fault: Behaviour,
    cloud_code: CloudCode,
    emulator: EmulatorServer,
    second: EmulatorServer,
    settings: Settings,
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [emulator.url, second.url]
    emulator.state.fault(fault)

    with pytest.raises(RequestRefused) as caught:
        await cloud_code.stream_generate_content(a_call(emulator), lambda error: None)

    assert caught.value.base_url == emulator.url
    assert second.state.log.generations() == []


async def test_with_every_base_url_down_the_last_reason_is_said(
    cloud_code: CloudCode, emulator: EmulatorServer, settings: Settings
) -> None:
    settings.CLOUDCODE_ENDPOINTS = [NOWHERE, NOWHERE]

    with pytest.raises(TransportFailed, match="could not be made"):
        await cloud_code.stream_generate_content(a_call(emulator), lambda error: None)


def test_a_base_url_that_keeps_failing_is_tried_last_for_a_while() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)

    for _ in range(4):
        breaker.failed("a")
    assert breaker.in_order(["a", "b"]) == ["a", "b"]
    breaker.failed("a")
    assert breaker.in_order(["a", "b"]) == ["b", "a"]
    clock.now += 31
    assert breaker.in_order(["a", "b"]) == ["a", "b"]


def test_one_answer_restores_trust() -> None:
    breaker = CircuitBreaker(Clock())
    for _ in range(5):
        breaker.failed("a")

    breaker.succeeded("a")

    assert breaker.in_order(["a", "b"]) == ["a", "b"]


def test_a_call_does_not_show_its_token(emulator: EmulatorServer) -> None:
    call = a_call(emulator)

    assert call.access_token not in repr(call)
