"""Near enough to a count by words and punctuation, and always fast."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gateway.translation import json_schema
from gateway.translation.token_estimate import estimate_input_tokens
from gateway.upstreams.emulator.tokenizer import count_prompt
from tests.builders import (
    GEMINI_3,
    PNG,
    a_messages_request,
    a_text,
    a_thinking,
    a_tool,
    a_tool_result,
    a_tool_use,
    an_image,
    assistant,
    translated,
    user,
)

PROSE = (
    "The gateway reads each request once, decides which account may answer it, and writes the answer back "
    "as it arrives. Nothing is stored of what people say to each other. "
)
CHINESE = "网关读取每个请求一次决定哪个账户可以回答它并在答案到达时写回。"
RUSSIAN = "Шлюз читает каждый запрос один раз и решает, какая учётная запись может на него ответить. "
JSON = '{"command":"ls -la /tmp","timeout":120000,"description":"List files","run_in_background":false}'
CODE = inspect.getsource(json_schema)
WIDE = a_tool(
    "Read",
    {
        "type": "object",
        "properties": {f"field_{i}": {"type": "string", "description": PROSE} for i in range(20)},
    },
)

CASES: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("prose", [user(PROSE * 20)], {}),
    ("code", [user(CODE)], {}),
    ("Chinese", [user(CHINESE * 20)], {}),
    ("Russian", [user(RUSSIAN * 20)], {}),
    ("tools", [user("hi")], {"tools": [WIDE]}),
    ("system", [user("hi")], {"system": [a_text(PROSE * 10)]}),
    (
        "a tool loop",
        [
            user("hi"),
            assistant(a_text(PROSE), a_tool_use(input={"text": JSON * 5})),
            user(a_tool_result(content=CODE[:3_000])),
        ],
        {},
    ),
    ("images", [user(a_text(PROSE * 5), an_image())], {}),
]


@pytest.mark.parametrize(
    ("messages", "fields"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_estimate_is_within_30_percent(messages: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    counted = count_prompt(translated(*messages, model=GEMINI_3, **fields).request)

    estimate = estimate_input_tokens(a_messages_request(*messages, **fields))

    assert 0.7 * counted <= estimate <= 1.3 * counted


def test_everything_that_is_sent_counts() -> None:
    bare = estimate_input_tokens(a_messages_request(user("hi")))

    def extra(*blocks: dict[str, Any], **fields: Any) -> int:
        return estimate_input_tokens(a_messages_request(user(a_text("hi"), *blocks), **fields)) - bare

    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    words = {"type": "text", "media_type": "text/plain", "data": PROSE}
    url = {"type": "url", "url": "https://x.y"}
    assert extra(an_image()) == 1_500 * 1_000 // 750
    assert extra({"type": "image", "source": url}) == 258
    assert extra({"type": "image", "source": {**source, "media_type": "image/png", "data": PNG[:20]}}) == 258
    assert extra({"type": "document", "source": source}) == 258
    assert extra({"type": "document", "source": words}) > 40
    assert extra({"type": "document", "source": {"type": "content", "content": [a_text(PROSE)]}}) > 40
    assert estimate_input_tokens(a_messages_request(user("hi"), assistant(a_thinking(PROSE)))) > bare + 40
    assert extra({"type": "from_the_future", "words": PROSE}) > 40
    assert extra(tools=[WIDE]) > 500
    assert extra(system=PROSE) > 40
