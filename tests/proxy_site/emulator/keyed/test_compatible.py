"""Servers that speak Anthropic's format: what each takes, refuses and leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import pytest

from proxy_site.emulator.compatible.methods import INSTANCE
from proxy_site.emulator.compatible.modes import MODES, ModeName
from proxy_site.emulator.compatible.peer import Peer

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

Json = dict[str, Any]
KEY = "emulator-compatible-ada"
BEARER = {"Authorization": f"Bearer {KEY}"}
HELLO: Json = {"role": "user", "content": "Hello"}
LOCAL: list[ModeName] = ["ollama", "vllm", "llamacpp"]


def a_request(mode: ModeName, **changes: Any) -> Json:
    return {"model": MODES[mode].models[0].id, "max_tokens": 100, "messages": [HELLO], **changes}


def post(
    emulator: EmulatorServer, mode: ModeName, body: Json, path: str = "/v1/messages", **headers: str
) -> httpx.Response:
    url = emulator.compatible_url(mode) + path
    return httpx.post(url, json=body, headers=headers or BEARER, follow_redirects=False)


def message_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize("mode", MODES)
def test_the_sdk_reads_each_servers_stream(emulator: EmulatorServer, mode: ModeName) -> None:
    url = emulator.compatible_url(mode)
    model = MODES[mode].models[0].id
    with anthropic.Anthropic(auth_token=KEY, base_url=url, max_retries=0, timeout=5) as client:
        with client.messages.stream(
            model=model,
            max_tokens=500,
            messages=[{"role": "user", "content": "Think."}],
            thinking={"type": "enabled", "budget_tokens": 1024},
        ) as stream:
            message = stream.get_final_message()
        whole = client.messages.create(
            model=model, max_tokens=3, messages=[{"role": "user", "content": "Hi"}]
        )

    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.usage.input_tokens > 0
    assert whole.stop_reason == "max_tokens"
    assert emulator.state.log.entries("messages", provider=mode)[0].account == "compatible-ada"


@pytest.mark.parametrize(("mode", "like_openai"), [("ollama", True), ("vllm", True), ("gateway", False)])
def test_models_have_the_shape_of_their_server(
    emulator: EmulatorServer, mode: ModeName, like_openai: bool
) -> None:
    listed = httpx.get(f"{emulator.compatible_url(mode)}/v1/models", headers=BEARER).json()

    assert (listed.get("object") == "list") is like_openai
    assert listed["data"][0]["id"] == MODES[mode].models[0].id


def test_usage_differs_between_servers(emulator: EmulatorServer) -> None:
    usage = {mode: post(emulator, mode, a_request(mode)).json()["usage"] for mode in MODES}
    started = post(emulator, "openrouter", a_request("openrouter", stream=True)).text

    assert set(usage["ollama"]) == {"input_tokens", "output_tokens"}
    assert "cache_creation" in usage["gateway"]
    assert '"usage":{"input_tokens":0,"output_tokens":0}' in started.split("\n\n")[0]


@pytest.mark.parametrize("mode", MODES)
def test_tokens_are_counted_where_the_server_can(emulator: EmulatorServer, mode: ModeName) -> None:
    answer = post(emulator, mode, a_request(mode), "/v1/messages/count_tokens")

    assert answer.status_code == (200 if MODES[mode].counts_tokens else 404)


@pytest.mark.parametrize("mode", LOCAL)
def test_local_servers_look_at_no_key(emulator: EmulatorServer, mode: ModeName) -> None:
    assert post(emulator, mode, a_request(mode), **{"x-api-key": "anything"}).status_code == 200


DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}


def with_block(*blocks: Json, role: str = "user") -> Json:
    return {"messages": [HELLO, {"role": role, "content": list(blocks)}]}


def tagged(signature: str) -> Json:
    return with_block({"type": "thinking", "thinking": "I", "signature": signature}, role="assistant")


SYSTEM = with_block({"type": "text", "text": "a"}, role="system")
BREAKPOINT = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}


# (mode, changes to the body, headers, path, status, words)
REFUSED: list[tuple[ModeName, Json, dict[str, str], str, int, str]] = [
    ("openrouter", {}, {"x-api-key": KEY}, "", 401, "No auth credentials found"),
    ("openrouter", {}, {"Authorization": "Bearer nobody"}, "", 401, "Invalid credentials"),
    ("openrouter", {}, {**BEARER, "x-api-key": KEY}, "", 401, "No auth credentials found"),
    ("gateway", {}, {"x-api-key": "nobody"}, "", 401, "Invalid credentials"),
    ("gateway", {}, {**BEARER, "Via": f"1.1 {INSTANCE}"}, "", 508, "has come back"),
    ("ollama", {}, {"anthropic-beta": "effort-2025-11-24"}, "", 400, "unsupported anthropic-beta"),
    ("vllm", {}, {"anthropic-beta": "effort-2025-11-24"}, "", 400, "unsupported anthropic-beta"),
    ("llamacpp", {}, {"anthropic-beta": "effort-2025-11-24"}, "", 400, "unsupported anthropic-beta"),
    ("ollama", SYSTEM, {}, "", 400, "unknown variant 'system'"),
    ("vllm", SYSTEM, {}, "", 400, "'loc': ('body', 'messages', 1, 'role')"),
    ("ollama", with_block(DOCUMENT), {}, "", 400, "document blocks are not supported"),
    ("vllm", with_block(DOCUMENT), {}, "", 400, "document blocks are not supported"),
    ("ollama", with_block(PICTURE), {}, "", 400, "image URLs are not supported"),
    ("gateway", tagged("claude#abc"), BEARER, "", 400, "Invalid `signature`"),
    ("llamacpp", tagged("gemini#abc"), {}, "", 400, "Invalid `signature`"),
    ("openrouter", with_block(*[BREAKPOINT] * 5), BEARER, "", 400, "A maximum of 4 blocks"),
    ("ollama", {"model": "nothing"}, {}, "", 404, "model 'nothing' not found"),
    ("ollama", {"messages": "Hello"}, {}, "", 400, "valid list"),
    ("llamacpp", {"system": "word " * 20_000}, {}, "", 400, "exceeds the available context size"),
    ("vllm", {}, {}, "/v1", 404, "Not Found: /compatible/vllm/v1/v1/messages"),
    ("gateway", {}, BEARER, "/v1", 404, "Not Found"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "changes", "headers", "path", "status", "words"), REFUSED)
def test_a_request_is_refused_in_the_servers_shape(
    emulator: EmulatorServer,
    mode: ModeName,
    changes: Json,
    headers: dict[str, str],
    path: str,
    status: int,
    words: str,
) -> None:
    answer = post(
        emulator, mode, a_request(mode, **changes), f"{path}/v1/messages", **(headers or {"X": "x"})
    )

    assert (answer.status_code, words in message_of(answer)) == (status, True), answer.text
    assert (answer.json().get("type") == "error") is (MODES[mode].error_shape == "anthropic")


def test_a_newer_server_takes_system_messages(emulator: EmulatorServer) -> None:
    emulator.state.modes["ollama"] = replace(MODES["ollama"], takes_system_messages=True)

    answer = post(
        emulator, "ollama", a_request("ollama", messages=[HELLO, {"role": "system", "content": "a"}])
    )

    assert answer.status_code == 200


def test_a_peer_passes_a_request_on_without_its_headers(emulator: EmulatorServer) -> None:
    emulator.state.peer = Peer(emulator.compatible_url("vllm"), "its own")
    body = a_request("vllm")

    answer = post(emulator, "gateway", body, **{**BEARER, "Via": "1.1 somebody", "X-Hops": "1"})

    arrived = emulator.state.log.entries("messages", provider="vllm")[0]
    assert answer.json()["model"] == body["model"]
    assert arrived.envelope == body
    assert not {"via", "x-hops"} & set(arrived.headers)


def test_a_loop_through_a_peer_that_keeps_headers_ends(emulator: EmulatorServer) -> None:
    emulator.state.peer = Peer(emulator.compatible_url("gateway"), KEY, keeps_headers=True)

    answer = post(emulator, "gateway", a_request("gateway"), **{**BEARER, "Via": "1.1 somebody"})

    assert answer.status_code == 508
    first, second = emulator.state.log.entries("messages", provider="gateway")
    assert (first.outcome, second.headers["via"]) == ("passed on", f"1.1 somebody, 1.1 {INSTANCE}")


@pytest.mark.parametrize(("mode", "is_told"), [("ollama", False), ("vllm", True)])
def test_an_error_in_a_stream_may_be_its_end(emulator: EmulatorServer, mode: ModeName, is_told: bool) -> None:
    emulator.state.fault("anthropic_overloaded_in_stream", after_chunks=3)

    text = post(emulator, mode, a_request(mode, stream=True)).text

    assert "message_start" in text
    assert "message_stop" not in text
    assert ("event: error" in text) is is_told


def test_the_trap_tells_of_a_key_that_followed(emulator: EmulatorServer) -> None:
    for _ in range(2):
        emulator.state.fault("compatible_redirect", location=f"{emulator.trap_url}/v1/messages")
    url = f"{emulator.compatible_url('gateway')}/v1/messages"

    careful = httpx.post(url, json=a_request("gateway"), headers={"x-api-key": KEY})
    assert (careful.status_code, emulator.state.leaks) == (307, [])
    httpx.post(url, json=a_request("gateway"), headers={"x-api-key": KEY}, follow_redirects=True)

    assert emulator.state.leaks == ["x-api-key"]
    assert emulator.state.log.entries(provider="trap")[0].message == "leaked: x-api-key"


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("compatible_no_credit", 402, "can only afford 1775"),
        ("compatible_provider_error", 429, "Provider returned error"),
        ("compatible_context_size", 400, "exceed_context_size_error"),
        ("compatible_detail", 422, '{"detail":'),
        ("compatible_plain_text", 404, "404 page not found"),
        ("compatible_openai_answer", 200, "chat.completion"),
        ("html_502", 502, "<!DOCTYPE html>"),
    ],
)
def test_a_fault_has_a_shape_of_its_own(
    emulator: EmulatorServer, fault: str, status: int, words: str
) -> None:
    emulator.state.fault(fault, provider="openrouter")

    answer = post(emulator, "openrouter", a_request("openrouter"))

    assert answer.status_code == status
    assert words in answer.text
