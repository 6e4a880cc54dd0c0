"""What the emulator's log says about a conversation, for all clients alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy_site.emulator.log import Entry
    from proxy_site.emulator.server import EmulatorServer


def accepted_calls(emulator: EmulatorServer) -> list[Entry]:
    """Every model call since the log was cleared; the emulator, as strict as Google, took each one."""
    calls = emulator.state.log.generations()
    assert calls, "no model call arrived"
    assert [(call.status, call.message) for call in calls] == [(200, None)] * len(calls)
    return calls


def parts_of(call: Entry) -> list[dict[str, Any]]:
    contents = call.envelope["request"]["contents"]
    return [part for content in contents for part in content["parts"]]


def function_calls(call: Entry) -> list[dict[str, Any]]:
    return [part["functionCall"] for part in parts_of(call) if "functionCall" in part]


def function_responses(call: Entry) -> list[dict[str, Any]]:
    return [part["functionResponse"] for part in parts_of(call) if "functionResponse" in part]


def assert_paired(call: Entry) -> None:
    """Every call has its response, in order, under the same name and the same id."""
    called = [(each["name"], each.get("id")) for each in function_calls(call)]
    answered = [(each["name"], each.get("id")) for each in function_responses(call)]
    assert called == answered


def declared_functions(call: Entry) -> set[str]:
    tools = call.envelope["request"].get("tools") or []
    return {function["name"] for tool in tools for function in tool["functionDeclarations"]}


def signatures(call: Entry) -> list[str]:
    return [part["thoughtSignature"] for part in parts_of(call) if "thoughtSignature" in part]


def thought_texts(call: Entry) -> list[str]:
    return [part["text"] for part in parts_of(call) if part.get("thought")]
