"""Workloads: a request, the upstream's answer to it, and the number of concurrent clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import canned_answers
from benchmarks.claude_code_request import CLAUDE_CODE_HEADERS, claude_code_request

if TYPE_CHECKING:
    from collections.abc import Mapping

SDK_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "Anthropic/Python 2.12.0",
    "anthropic-version": "2023-06-01",
    "x-api-key": "benchmark",
}


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    meaning: str
    at_once: int
    headers: Mapping[str, str]
    body: bytes
    answer: bytes
    passed: bytes
    """The answer in Anthropic's format."""


def _small_request(*, stream: bool) -> bytes:
    return _json(
        {
            "model": "claude-sonnet-4-6",
            "max_tokens": 1024,
            "stream": stream,
            "messages": [
                {"role": "user", "content": "Which of these two functions is easier to read, and why?"}
            ],
        }
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


STREAM_REQUEST = _small_request(stream=True)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            name="W1",
            meaning="one small plain request, not streamed",
            at_once=16,
            headers=SDK_HEADERS,
            body=_small_request(stream=False),
            answer=canned_answers.text_answer(1),
            passed=canned_answers.passed_message(),
        ),
        Workload(
            name="W2",
            meaning="a stream of 20 events",
            at_once=16,
            headers=SDK_HEADERS,
            body=STREAM_REQUEST,
            answer=canned_answers.text_answer(20),
            passed=canned_answers.passed_text(20),
        ),
        Workload(
            name="W2L",
            meaning="a stream of 400 events",
            at_once=4,
            headers=SDK_HEADERS,
            body=STREAM_REQUEST,
            answer=canned_answers.text_answer(400),
            passed=canned_answers.passed_text(400),
        ),
        Workload(
            name="W4",
            meaning="a Claude Code request of 125 kB, answered with 20 events",
            at_once=8,
            headers=CLAUDE_CODE_HEADERS,
            body=_json(claude_code_request()),
            answer=canned_answers.tool_use_answer(),
            passed=canned_answers.passed_tool_use(),
        ),
    )
}
