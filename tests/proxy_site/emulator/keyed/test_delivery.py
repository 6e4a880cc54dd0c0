"""The faults of networks, at each provider that is asked with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from proxy_site.emulator.state import any_fault_named

if TYPE_CHECKING:
    from proxy_site.emulator.server import EmulatorServer

WORDS = "Grüße, 😀! " * 12
PROVIDERS = ("gemini", "anthropic", "gateway")


def streamed(emulator: EmulatorServer, provider: str) -> httpx.Response:
    if provider == "gemini":
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
        path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
        return httpx.post(
            emulator.gemini_api_url + path, json=body, headers={"x-goog-api-key": "AIza-emulator-ada"}
        )
    at_anthropic = provider == "anthropic"
    base = emulator.anthropic_api_url if at_anthropic else emulator.compatible_url("gateway")
    key = "sk-ant-api03-emulator-ada" if at_anthropic else "emulator-compatible-ada"
    message = {"role": "user", "content": "Hello"}
    body = {"model": "claude-sonnet-4-6", "max_tokens": 999, "stream": True, "messages": [message]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return httpx.post(f"{base}/v1/messages", json=body, headers=headers)


def text_in(answer: httpx.Response) -> str:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return "".join(_text_of(orjson.loads(line)) for line in lines)


def _text_of(event: dict[str, Any]) -> str:
    if "candidates" in event:
        return "".join(part.get("text", "") for part in event["candidates"][0]["content"]["parts"])
    return str(event.get("delta", {}).get("text", ""))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["cut_frames", "split_utf8", "crlf", "no_final_newline"])
def test_odd_frames_carry_the_same_text(emulator: EmulatorServer, provider: str, fault: str) -> None:
    emulator.state.reply(WORDS)
    plain = text_in(streamed(emulator, provider))
    emulator.state.reply(WORDS, behaviour=any_fault_named(fault))

    odd = streamed(emulator, provider)

    assert text_in(odd) == plain == WORDS
    assert odd.text.endswith("\n") is (fault != "no_final_newline")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_connections_break_as_told(emulator: EmulatorServer, provider: str) -> None:
    emulator.state.fault("truncated_json", provider=provider)
    assert not streamed(emulator, provider).text.endswith("\n")
    for fault in ("close_before_headers", "reset_after_first_byte"):
        emulator.state.fault(fault, provider=provider)
        with pytest.raises(httpx.TransportError):
            streamed(emulator, provider)

    outcomes = [entry.outcome for entry in emulator.state.log.entries(provider=provider)]
    assert outcomes == ["faulted", "faulted", "faulted"]


def test_a_signature_may_come_late(emulator: EmulatorServer) -> None:
    emulator.state.reply(
        {"text": "I think.", "thought": True},
        "Hello.",
        behaviour=any_fault_named("compatible_late_signature"),
    )

    text = streamed(emulator, "gateway").text

    assert text.index("signature_delta") > text.index("content_block_stop")


def test_usage_may_be_nonsense(emulator: EmulatorServer) -> None:
    emulator.state.reply("Hello.", behaviour=any_fault_named("compatible_wrong_usage"))

    assert '"output_tokens":"many"' in streamed(emulator, "gateway").text
