from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.values.outside import MOST_LEVELS, NotJson, number, parse_json, whole_number, word

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_json_of_as_many_levels_as_allowed_is_read() -> None:
    assert parse_json(nested(MOST_LEVELS)) == orjson.loads(nested(MOST_LEVELS))
    assert len(parse_json(b"[" + b"{}," * 100_000 + b"{}]")) == 100_001


NO_JSON = {
    "nothing": b"",
    "a level too many": nested(MOST_LEVELS + 1),
    "a level too many, in objects": b'{"a":' * 201 + b"1" + b"}" * 201,
    "100,000 levels": nested(100_000),
    "100,000 levels that do not end": b"[" * 100_000,
    "not a number": b"NaN",
    "infinity": b"-Infinity",
    "a number of 400 digits": b"9" * 400,
    "half a character": rb'"\ud83d"',
    "no UTF-8": b'"\xff"',
}


@pytest.mark.parametrize("name", NO_JSON)
def test_refused_json_is_not_quoted_in_the_error(name: str) -> None:
    with pytest.raises(NotJson) as failed:
        parse_json(NO_JSON[name])

    assert len(str(failed.value)) < 100
    assert str(failed.value).isprintable()


@settings(max_examples=300)
@given(st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused_or_can_be_serialised_again(raw: bytes) -> None:
    try:
        value = parse_json(raw)
    except NotJson:
        return
    assert orjson.loads(orjson.dumps([[[[value]]]])) == [[[[value]]]]


@settings(max_examples=300)
@given(ANY_JSON)
def test_a_number_is_finite_and_within_its_range(value: Any) -> None:
    found = number(value, -5.0, 100.0)

    assert found is None or (math.isfinite(found) and -5.0 <= found <= 100.0)


@pytest.mark.parametrize(
    "value",
    [True, False, "7", None, [], math.nan, math.inf, -math.inf, 10**400, -(10**400), 101, -6],
    ids=lambda value: repr(value)[:10],
)
def test_other_values_are_no_number_of_the_range(value: Any) -> None:
    assert number(value, -5.0, 100.0) is None
    assert whole_number(value, -5, 100) is None


def test_numbers_at_the_ends_of_their_range_count() -> None:
    assert (number(-5, -5.0, 100.0), number(100.0, -5.0, 100.0)) == (-5.0, 100.0)
    assert (whole_number(-5, -5, 100), whole_number(100, -5, 100), whole_number(7.0, -5, 100)) == (
        -5, 100, None
    )  # fmt: skip


@pytest.mark.parametrize(
    "value", ["", "two words", "line\r\nend", "tab\t", "\0", "é", "\ud800", "\u202e", "a" * 21, 7, None, b"a"]
)
def test_other_values_are_no_word(value: Any) -> None:
    assert word(value, 20) is None


def test_a_word_is_kept_as_it_is() -> None:
    assert word("ya29.a0-_~/+=!", 20) == "ya29.a0-_~/+=!"
