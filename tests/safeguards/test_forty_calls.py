"""The forty calls are what they claim to be, and a file of such calls is read with care."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from gateway.safeguards.known_calls import NoKnownCalls, parse_known_calls
from tests.safeguards.calls import FORTY_CALLS, KNOWN_CALLS, known


def test_twenty_are_harmless_and_twenty_dangerous() -> None:
    assert Counter(call.expected for call in KNOWN_CALLS) == {"flagged": 20, "not_flagged": 20}


def test_each_says_why_and_what_the_person_asked_for() -> None:
    assert all(call.why and call.requests and call.tool for call in KNOWN_CALLS)


def test_what_cannot_be_seen_is_escaped_in_the_file() -> None:
    assert FORTY_CALLS.read_bytes().isascii()


def test_a_context_is_laid_over_the_shared_one() -> None:
    context = known("denied-push").context

    assert context["live_cwd"] == "/home/ada/projects/shop"
    assert context["auto_mode"]["allow"] == []
    assert context["auto_mode"]["hard_deny"]


A_CALL = {
    "name": "a", "expected": "flagged", "why": "", "requests": ["x"], "tool": "Bash", "input": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("{", "no JSON: "),
        ([], "the file: must be an object"),
        ({"calls": []}, "the file.context: must be an object"),
        ({"context": {}}, "the file.calls: must be a list"),
        ({"context": {}, "calls": []}, "calls: is empty"),
        ({"context": {}, "calls": [3]}, "calls.0: must be an object"),
        ({"context": {}, "calls": [{**A_CALL, "input": None}]}, "calls.0.input: must be an object"),
        ({"context": {}, "calls": [{**A_CALL, "expected": "no"}]}, "calls.0.expected: must be 'flagged' or"),
        ({"context": {}, "calls": [{**A_CALL, "requests": [1]}]}, "calls.0.requests: must be strings"),
        ({"context": {}, "calls": [{**A_CALL, "context": 1}]}, "calls.0.context: must be an object"),
        ({"context": {}, "calls": [A_CALL, A_CALL]}, "calls: 2 have the name 'a'"),
    ],
)
def test_a_file_that_is_none_of_known_calls_is_refused_with_the_place(file: Any, problem: str) -> None:
    with pytest.raises(NoKnownCalls) as refused:
        parse_known_calls(file if isinstance(file, str) else json.dumps(file))

    assert str(refused.value).startswith(problem)
