"""What translating costs, beside what reading and writing the same bytes as JSON costs.

    python -m benchmarks.translation [--json] [--rounds 200]

A request of Claude Code's size (about 120 kB: 20 tools, 40 messages) and an answer of 200 chunks. Each
figure is the median of the rounds, in microseconds of CPU on one core. "orjson" parses and builds the
same bytes and nothing else; the goal is that translating them takes at most twice as long.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from accounts.google.errors import error_in_stream
from gateway.dialects.anthropic.messages import parse_messages_request
from gateway.dialects.anthropic.sse import encode_event
from gateway.routing.upstream_model import UpstreamModel, upstream_model
from gateway.translation.request import tools
from gateway.translation.request.request import TranslatedRequest, TranslationOptions, translate_request
from gateway.translation.response.stream import MessageStream
from gateway.translation.signature_families import SignatureCache
from gateway.translation.tokens.token_estimate import estimate_input_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 2.0
NOW = datetime(2026, 3, 1, tzinfo=UTC)
WORDS = "the quick brown fox jumps over the lazy dog and reads the file again, line by line.\n"


def a_tool(number: int) -> dict[str, Any]:
    properties = {
        f"field_{index}": {"type": "string", "description": WORDS, "minLength": 1} for index in range(6)
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            **properties,
            "mode": {"type": "string", "enum": ["content", "files", "count"]},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "edits": {"type": "array", "items": {"type": "object", "properties": properties}},
        },
        "required": ["field_0"],
        "additionalProperties": False,
    }
    return {"name": f"Tool{number}", "description": WORDS * 12, "input_schema": schema}


def a_request_body() -> bytes:
    messages: list[dict[str, Any]] = []
    for index in range(20):
        call = {"type": "tool_use", "id": f"toolu_{index}", "name": "Tool1", "input": {"field_0": WORDS * 3}}
        results: list[dict[str, Any]] = []
        if index:
            results = [{"type": "tool_result", "tool_use_id": f"toolu_{index - 1}", "content": WORDS * 24}]
        messages += [
            {"role": "user", "content": [*results, {"type": "text", "text": WORDS * 3}]},
            {"role": "assistant", "content": [{"type": "text", "text": WORDS}, call]},
        ]
    last = {"type": "tool_result", "tool_use_id": "toolu_19", "content": "done"}
    body = {
        "model": "claude-opus-5-5",
        "max_tokens": 32_000,
        "stream": True,
        "thinking": {"type": "adaptive"},
        "system": [{"type": "text", "text": WORDS * 90, "cache_control": {"type": "ephemeral"}}],
        "tools": [a_tool(number) for number in range(20)],
        "messages": [*messages, {"role": "user", "content": [last]}],
    }
    return orjson.dumps(body)


def answer_chunks() -> list[bytes]:
    def chunk(*parts: dict[str, Any], **fields: Any) -> bytes:
        candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **fields}
        usage = {"promptTokenCount": 30_000, "candidatesTokenCount": 40, "totalTokenCount": 30_040}
        response = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}
        return orjson.dumps({"response": response, "traceId": "5f1c0a"})

    thoughts = [chunk({"thought": True, "text": WORDS[:40]}) for _ in range(50)]
    texts = [chunk({"text": WORDS[:40]}) for _ in range(148)]
    call = {"functionCall": {"name": "Tool1", "args": {"field_0": WORDS}, "id": "toolu_x"}}
    return [*thoughts, *texts, chunk(call), chunk(finishReason="STOP")]


class Work:
    """The steps for one request, each to be timed by itself."""

    def __init__(self, model: UpstreamModel) -> None:
        self._model = model
        self._options = TranslationOptions()
        self.body = a_request_body()
        self.chunks = answer_chunks()
        self._parsed_body = orjson.loads(self.body)
        self._translated = self.translate()
        self._parsed_chunks = [orjson.loads(chunk) for chunk in self.chunks]
        self._events = self.receive()

    def parse_and_build_request(self) -> None:
        orjson.dumps(orjson.loads(self.body))

    def parse_and_build_answer(self) -> None:
        for chunk in self.chunks:
            orjson.dumps(orjson.loads(chunk))

    def translate(self) -> TranslatedRequest:
        request = parse_messages_request(self._parsed_body)
        return translate_request(request, self._model, self._options, SignatureCache())

    def translate_without_kept_tools(self) -> None:
        tools._translate_content.cache_clear()
        self.translate()

    def estimate(self) -> None:
        estimate_input_tokens(parse_messages_request(self._parsed_body), self._model.family)

    def receive(self) -> list[dict[str, Any]]:
        stream = MessageStream(
            message_id="msg_1",
            client_model="m",
            translated=self._translated,
            signatures=SignatureCache(),
            new_tool_use_id=lambda: "toolu_1",
            read_error=partial(error_in_stream, now=NOW),
            input_token_estimate=1,
        )
        events = []
        for chunk in self._parsed_chunks:
            events += stream.receive(chunk)
        return events + stream.close()

    def encode(self) -> None:
        for event in self._events:
            encode_event(event)


def medians(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time the steps in turn, so that a slow phase of the machine affects all of them."""
    times: dict[str, list[int]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time_ns()
            work()
            times[name].append(time.process_time_ns() - start)
    return {name: statistics.median(taken) / 1_000 for name, taken in times.items()}


def measure(model_id: str, rounds: int) -> dict[str, Any]:
    work = Work(upstream_model(model_id, header_mode="antigravity"))
    works: dict[str, Callable[[], object]] = {
        "orjson_request_us": work.parse_and_build_request,
        "orjson_answer_us": work.parse_and_build_answer,
        "request_us": work.translate,
        "answer_us": work.receive,
        "estimate_us": work.estimate,
        "encode_events_us": work.encode,
    }
    figures: dict[str, Any] = {
        "model": model_id,
        "request_bytes": len(work.body),
        "answer_bytes": sum(map(len, work.chunks)),
        **medians(works, rounds),
        **medians({"request_tools_not_kept_us": work.translate_without_kept_tools}, max(1, rounds // 10)),
    }
    json_us = figures["orjson_request_us"] + figures["orjson_answer_us"]
    figures["ratio"] = (figures["request_us"] + figures["answer_us"]) / json_us
    figures["ratio_tools_not_kept"] = (figures["request_tools_not_kept_us"] + figures["answer_us"]) / json_us
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    models = ("claude-sonnet-4-5", "claude-sonnet-4-5-thinking", "gemini-3-pro-high")
    results = [measure(model, arguments.rounds) for model in models]
    if arguments.json:
        print(orjson.dumps({"goal": GOAL, "results": results}, option=orjson.OPT_INDENT_2).decode())
        return
    for result in results:
        print_table(result)


def print_table(figures: dict[str, Any]) -> None:
    sizes = f"request {figures['request_bytes']:,} bytes, 200 chunks {figures['answer_bytes']:,}"
    print(f"\n{figures['model']}: {sizes}")
    for name, value in figures.items():
        if name.endswith("_us"):
            print(f"  {name.removesuffix('_us').replace('_', ' '):<26} {value:>8.0f} µs")
    print(f"  {'translation / orjson':<26} {figures['ratio']:>8.2f}    (goal: at most {GOAL})")
    print(f"  {'the same, tools not kept':<26} {figures['ratio_tools_not_kept']:>8.2f}")


if __name__ == "__main__":
    main()
