"""The same conversations with each kind of account, by the official SDK: some forty for a kind."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from proxy_site.emulator.pretend_model.replies import function_call, thinking
from tests.gateway.kinds.conftest import MODELS, sdk
from tests.gateway.kinds.test_moving_conversations import TOOL, what_follows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anthropic import AsyncAnthropic
    from anthropic.types import Message

    from proxy_site.emulator.server import EmulatorServer
    from tests.gateway.kinds.conftest import OpenGateway

KINDS = ("google", "gemini", "anthropic", "compatible", "openrouter", "vllm")
PNG = base64.b64encode(
    bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
).decode()
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "The answer is 42."},
}
CACHED = {"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}
THINKING = {"type": "enabled", "budget_tokens": 2000}
CALL = function_call("get_weather", {"city": "Oslo"})


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@dataclass(frozen=True)
class Conversation:
    """`turns` are the user's; `replies` are scripted, the emulator's own answer where there is none."""

    name: str
    turns: Sequence[Any] = ("Say hello.",)
    replies: Sequence[Sequence[Any]] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    stop_reasons: tuple[str, ...] = ("end_turn", "tool_use")
    is_quick: bool = False


CONVERSATIONS = (
    Conversation("text", is_quick=True),
    Conversation("three turns", ("One", "Two", "Three")),
    Conversation("system text", fields={"system": "You help."}),
    Conversation("system blocks with a breakpoint", fields={"system": [CACHED, said("Be brief.")]}),
    Conversation("five breakpoints less one", ([{**said("a"), "cache_control": {"type": "ephemeral"}}] * 3,)),
    Conversation("characters of many scripts", ("Grüße, 你好, שלום, 😀, \u200d\u2028",)),
    Conversation("a long prompt", ("word " * 3000,)),
    Conversation("a long answer", replies=[["word " * 2000]]),
    Conversation("a tool", ("Weather?",), [[CALL], ["Sunny."]], {"tools": [TOOL]}, is_quick=True),
    Conversation("two calls at once", ("Weather?",), [[CALL, CALL], ["Sunny."]], {"tools": [TOOL]}),
    Conversation("text before a call", ("Weather?",), [["Let me see.", CALL], ["Sunny."]], {"tools": [TOOL]}),
    Conversation("four calls in a row", ("Weather?",), [[CALL]] * 4 + [["Sunny."]], {"tools": [TOOL]}),
    Conversation(
        "a forced call", ("Weather?",), [[CALL]], {"tools": [TOOL], "tool_choice": {"type": "any"}}
    ),
    Conversation(
        "no call allowed", fields={"tools": [TOOL], "tool_choice": {"type": "none"}}, replies=[["No."]]
    ),
    Conversation("thinking", replies=[[thinking("Hm."), "Hello."]], fields={"thinking": THINKING}),
    Conversation(
        "thinking over turns", ("One", "Two", "Three"), [[thinking("Hm."), "Hello."]] * 3,
        {"thinking": THINKING},
    ),
    Conversation(
        "thinking and calls", ("Weather?", "And now?"),
        [[thinking("Hm."), CALL], [thinking("So."), "Sunny."], [thinking("Hm."), CALL], ["Rain."]],
        {"thinking": THINKING, "tools": [TOOL]}, is_quick=True,
    ),
    Conversation("an image", ([said("What is it?"), IMAGE],)),
    Conversation("a document", ([said("Read."), DOCUMENT],)),
    Conversation("a stop sequence", fields={"stop_sequences": ["END"]}, replies=[["one two"]]),
    Conversation("metadata", fields={"metadata": {"user_id": "user_1"}}),
)  # fmt: skip


def cases() -> list[Any]:
    return [
        pytest.param(
            kind, one, is_stream, id=f"{kind}, {one.name}, {'stream' if is_stream else 'whole'}",
            marks=() if one.is_quick and is_stream and kind not in ("google", "vllm") else pytest.mark.full,
        )
        for kind in KINDS for one in CONVERSATIONS for is_stream in (True, False)
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "conversation", "is_stream"), cases())
async def test_a_conversation_is_the_same_with_each_kind(
    kind: str,
    conversation: Conversation,
    is_stream: bool,
    emulator: EmulatorServer,
    open_gateway: OpenGateway,
) -> None:
    for reply in conversation.replies:
        emulator.state.reply(*reply)
    async with open_gateway(kind) as gateway, sdk(gateway) as client:
        messages: list[Any] = []
        for text in conversation.turns:
            messages.append({"role": "user", "content": text})
            message = await answered(client, kind, conversation, messages, is_stream=is_stream)
            while message.stop_reason == "tool_use" and "tool_choice" not in conversation.fields:
                messages.append(what_follows(messages[-1]["content"]))
                message = await answered(client, kind, conversation, messages, is_stream=is_stream)

    asked = [entry for entry in emulator.state.log.entries() if entry.method != "unknown"]
    refused = [entry for entry in asked if (entry.status or 0) >= 400]
    assert len(refused) <= (1 if kind == "vllm" else 0), [entry.message for entry in refused]


async def answered(
    client: AsyncAnthropic, kind: str, conversation: Conversation, messages: list[Any], *, is_stream: bool
) -> Message:
    """The answer, which is added to the messages."""
    options: Any = {
        "model": MODELS[kind], "max_tokens": 4000, "messages": messages, **conversation.fields,
    }  # fmt: skip
    if is_stream:
        async with client.messages.stream(**options) as stream:
            message: Message = await stream.get_final_message()
    else:
        message = await client.messages.create(**options)
    assert message.content
    assert message.model == MODELS[kind]
    assert message.stop_reason in conversation.stop_reasons
    assert message.usage.output_tokens > 0
    assert message.usage.input_tokens > 0
    content = [block.model_dump(exclude_none=True) for block in message.content]
    messages.append({"role": "assistant", "content": content})
    return message
