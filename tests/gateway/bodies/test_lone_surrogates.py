"""Bodies with halves of characters in them, which JavaScript sends and no JSON reader takes."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bodies.request_json import MOST_SURROGATES, parse_json, replace_lone_surrogates
from gateway.errors import InvalidRequest


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\ude00"', "\ufffd"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'"\\ud83d\ude00"', "\\ud83d\ufffd"),
        (rb'"\\\\ud83d and \uD83D"', "\\\\ud83d and \ufffd"),
        (rb'"\u00e9\ud83d"', "é\ufffd"),
    ],
)
def test_a_half_becomes_a_replacement_character(body: bytes, text: str) -> None:
    assert parse_json(body) == text


@given(st.lists(st.sampled_from(["\\", "\\\\", "\ud83d", "\ude00", "ud83d", "😀", "a", '"', "\n"])))
def test_any_text_is_mended_as_pythons_json_reads_it(pieces: list[str]) -> None:
    text = "".join(pieces)
    read = json.loads(json.dumps(text))

    assert parse_json(json.dumps(text).encode()) == read.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )


def test_a_body_of_nothing_but_backslashes_is_refused_in_no_time() -> None:
    body = b"{" + rb"\\" * (31 * 1024 * 1024 // 2)

    started = time.process_time()
    with pytest.raises(InvalidRequest, match="not valid JSON"):
        parse_json(body)

    assert time.process_time() - started < 2  # promised: well under a second


def test_a_body_full_of_halves_is_refused() -> None:
    body = b'["' + rb"\ud800" * (MOST_SURROGATES + 1) + b'"]'

    with pytest.raises(InvalidRequest, match="full of halves"):
        parse_json(body)


def test_what_was_right_stays_as_it_was() -> None:
    body = orjson.dumps({"text": r"C:\users\ud83d", "emoji": "😀"})

    assert replace_lone_surrogates(body) == body
