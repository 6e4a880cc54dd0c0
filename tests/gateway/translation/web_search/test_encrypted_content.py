from __future__ import annotations

import base64
import re
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.web_search.encrypted_content import LONGEST_VALUE, PREFIX, sealed, unsealed

OF_ANTHROPIC = "EqgfCioIARgBIiQ3YTAwMjY1Mi1mZjM5LTQ1NGUtODgxNC1kNjNjNTk1ZWI3Y2IaDHTBC0ZJ"


def of(value: object) -> str:
    return PREFIX + base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_what_is_sealed_can_be_read_again(texts: list[str]) -> None:
    assert unsealed(sealed(texts)) == texts


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_claude_code_does_not_show_it_as_text(texts: list[str]) -> None:
    assert re.fullmatch(r"[\w+/=-]*", sealed(texts), re.ASCII)


def test_a_source_without_words_has_a_value_too() -> None:
    assert sealed([])


@pytest.mark.parametrize(
    "value",
    [
        None, 5, [], {}, "", "secret", OF_ANTHROPIC, PREFIX, PREFIX + "A", PREFIX + "é", PREFIX + "W10=",
        PREFIX + "W10\n", of({}), of("text"), of([1]), of(["a", None]), of([["a"]]),
        PREFIX + base64.urlsafe_b64encode(b"\xff\xfe[").decode(), "gateway-2-" + of([])[len(PREFIX) :],
        sealed(["a" * LONGEST_VALUE]),
    ],
)  # fmt: skip
def test_what_is_not_ours_is_left_out(value: object) -> None:
    assert unsealed(value) == []


def test_deep_and_long_values_take_no_time() -> None:
    deep = PREFIX + base64.urlsafe_b64encode(b"[" * 30_000).decode().rstrip("=")
    started = time.monotonic()

    assert unsealed(deep) == unsealed(PREFIX + "W" * 30_000_000) == []
    assert time.monotonic() - started < 0.5
