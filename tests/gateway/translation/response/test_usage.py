from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.google_api.text_chunks import NOT_ONLY_TEXT, TokenCounts
from gateway.translation.response.usage import TokenUsage


def usage_after(*metadata: dict[str, Any]) -> TokenUsage:
    usage = TokenUsage(7)
    for one in metadata:
        usage.merge(one)
    return usage


def test_cached_tokens_leave_input_and_thoughts_are_output() -> None:
    usage = usage_after(
        {
            "promptTokenCount": 1200,
            "cachedContentTokenCount": 900,
            "candidatesTokenCount": 75,
            "thoughtsTokenCount": 40,
        }
    )

    assert usage.as_anthropic() == {
        "input_tokens": 300,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 900,
        "output_tokens": 115,
        "output_tokens_details": {"thinking_tokens": 40},
    }


def test_the_latest_numbers_count_and_missing_ones_stay() -> None:
    usage = usage_after(
        {"promptTokenCount": 10, "candidatesTokenCount": 1},
        {"candidatesTokenCount": 5, "promptTokenCount": None},
    )

    assert (usage.input_tokens, usage.output_tokens) == (10, 5)


def test_the_same_numbers_again_change_nothing() -> None:
    numbers = {"promptTokenCount": 10, "candidatesTokenCount": 1}

    assert usage_after(numbers, dict(numbers)).as_anthropic() == usage_after(numbers).as_anthropic()


def test_usage_that_runs_backwards_is_still_no_less_than_nothing() -> None:
    usage = usage_after({"promptTokenCount": 10, "cachedContentTokenCount": 20}, {"candidatesTokenCount": -3})

    assert (usage.input_tokens, usage.output_tokens) == (0, 0)


@pytest.mark.parametrize("odd", ["many", 1.5, None, [1]])
def test_a_count_that_is_no_number_is_ignored(odd: Any) -> None:
    assert usage_after({"promptTokenCount": odd}).input_tokens == 7


COUNT_NAMES = st.sampled_from(
    ["promptTokenCount", "candidatesTokenCount", "cachedContentTokenCount", "thoughtsTokenCount", "x"]
)
COUNTS = st.dictionaries(
    COUNT_NAMES,
    st.one_of(
        st.integers(-2, 2**63),
        st.none(),
        st.booleans(),
        st.floats(),
        st.just("many"),
        st.just([{"tokenCount": 1}]),
    ),
)
GOOD_COUNTS = st.dictionaries(COUNT_NAMES, st.one_of(st.integers(0, 2**41), st.none()))


@given(each=st.lists(st.one_of(GOOD_COUNTS, COUNTS), min_size=1, max_size=5))
def test_typed_counts_are_merged_as_those_of_a_dict(each: list[dict[str, Any]]) -> None:
    """Counts without a type of their own are left to the general way."""
    together = TokenUsage(7)
    for one in each:
        try:
            together.merge_counts(msgspec.json.decode(orjson.dumps(one), type=TokenCounts))
        except NOT_ONLY_TEXT:
            together.merge(orjson.loads(orjson.dumps(one)))

    assert together.as_anthropic() == usage_after(*each).as_anthropic()
    assert together.reported == usage_after(*each).reported
