"""Function calls are what a request costs in Python; unlike times they can be counted on a busy machine."""

from __future__ import annotations

import cProfile
from typing import TYPE_CHECKING

import orjson

from benchmarks.claude_code_request import claude_code_request
from gateway.dialects.anthropic.messages import MessagesParser, parse_messages_request
from gateway.routing.upstream_model import upstream_model
from gateway.translation.request.request import TranslationOptions, translate_request
from gateway.translation.signature_families import SignatureCache

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = orjson.loads(orjson.dumps(claude_code_request()))
"""20 tools and 40 messages; as parsed, since the checks know no subclasses of JSON's types."""


APPEND = "<method 'append' of 'list' objects>"
"""Not counted: unless a profiler runs, the interpreter appends without a call."""


def function_calls(work: Callable[[], object]) -> int:
    profile = cProfile.Profile()
    profile.enable()
    work()
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats() if entry.code != APPEND)


def test_reading_a_plain_request_takes_few_calls() -> None:
    parser = MessagesParser(only_counts=False, version="2023-06-01", betas=frozenset())
    assert parser.parse_plain(BODY) is not None  # the tools are known from now on

    assert function_calls(lambda: parser.parse_plain(BODY)) < 250


def test_checking_a_request_takes_few_calls() -> None:
    assert function_calls(lambda: parse_messages_request(BODY)) < 900


def test_translating_a_request_takes_few_calls() -> None:
    request = parse_messages_request(BODY)
    model = upstream_model("claude-sonnet-4-6", header_mode="antigravity")

    def translate() -> None:
        translate_request(request, model, TranslationOptions(), SignatureCache())

    translate()  # the tools are known from now on, as from the second turn of a conversation
    assert function_calls(translate) < 400
