from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


COUNTS = st.dictionaries(
    st.sampled_from(
        ["promptTokenCount", "candidatesTokenCount", "cachedContentTokenCount", "thoughtsTokenCount", "x"]
    ),
    st.one_of(
        st.integers(-2, 2**70), st.none(), st.booleans(), st.just("many"), st.just([{"tokenCount": 1}])
    ),
)


@given(each=st.lists(COUNTS, min_size=1, max_size=5))
def test_counts_that_came_together_are_merged_as_one_by_one(each: list[dict[str, Any]]) -> None:
    together = TokenUsage(7)
    together.merge(*each)

    assert together.as_anthropic() == usage_after(*each).as_anthropic()
    assert together.reported == usage_after(*each).reported
