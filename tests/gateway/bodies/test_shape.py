"""Structure is counted as a reader of JSON would, wherever the text is cut."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.claude_code_request import claude_code_request
from gateway.bodies.shape import (
    DEEPEST,
    FEW_VALUES,
    MOST_STRUCTURE,
    PIECE_BYTES,
    BodyShape,
    count_structure,
    has_few_values,
    refuse_depth,
)
from gateway.errors import InvalidRequest

MIB = 1024 * 1024

texts = st.text(alphabet='{}[],:"\\ab\né😀', max_size=12)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def signs_in(value: Any) -> int:
    """By what the value is made of."""
    if isinstance(value, list):
        return 2 + max(0, len(value) - 1) + sum(map(signs_in, value))
    if isinstance(value, dict):
        return 2 + max(0, len(value) - 1) + len(value) + sum(map(signs_in, value.values()))
    return 0


@given(values, st.booleans(), st.integers(1, 7))
def test_structure_is_that_of_the_value_wherever_the_text_is_cut(
    value: Any, in_ascii: bool, piece_size: int
) -> None:
    text = json.dumps(value, ensure_ascii=in_ascii).encode()
    shape = BodyShape()

    for start in range(0, len(text), piece_size):
        shape.add(text[start : start + piece_size])
    for _ in shape.check_depth():
        pass

    assert shape.structure == signs_in(value)


@pytest.mark.parametrize(("opening", "inmost", "closing"), [(b"[", b"", b"]"), (b'{"a":', b"{}", b"}")])
async def test_depth_has_its_limit(opening: bytes, inmost: bytes, closing: bytes) -> None:
    levels = DEEPEST - bool(inmost)

    assert await count_structure(opening * levels + inmost + closing * levels) > 0
    with pytest.raises(InvalidRequest, match="more than 200 levels deep"):
        await count_structure(opening * (levels + 1) + inmost + closing * (levels + 1))


@pytest.mark.parametrize(("opening", "inmost", "closing"), [("[", "", "]"), ('{"a":', "1", "}")])
def test_depth_has_the_same_limit_once_it_is_parsed(opening: str, inmost: str, closing: str) -> None:
    refuse_depth(orjson.loads(opening * DEEPEST + inmost + closing * DEEPEST))
    with pytest.raises(InvalidRequest, match="more than 200 levels deep"):
        refuse_depth(orjson.loads(opening * (DEEPEST + 1) + inmost + closing * (DEEPEST + 1)))


@pytest.mark.parametrize(
    "text", [b"", b"[", b"]", b"[}", b'"', b'"[[[', b"\\", b'{"a":"\\"}', b"[" * 100_000]
)
async def test_what_is_no_json_is_left_to_its_reader(text: bytes) -> None:
    await count_structure(text)


async def test_brackets_in_texts_are_no_structure() -> None:
    assert await count_structure(orjson.dumps(['[{",:\\' * 200_000])) == 2


async def test_structure_has_its_limit() -> None:
    at_the_limit = b"[" + b"1," * (MOST_STRUCTURE - 2) + b"1]"

    assert await count_structure(at_the_limit) == MOST_STRUCTURE
    with pytest.raises(InvalidRequest, match="more than 300,000 brackets"):
        await count_structure(at_the_limit.replace(b"1]", b"1,1]"))


async def test_real_requests_are_far_below_the_limits() -> None:
    in_a_session = claude_code_request()
    tools_and_system = await count_structure(orjson.dumps({**in_a_session, "messages": []}))
    conversation = await count_structure(orjson.dumps(in_a_session["messages"]))
    kilobytes = len(orjson.dumps(in_a_session["messages"])) / 1024

    # About four bytes are a token, so this is a history of a million tokens.
    assert tools_and_system + conversation / kilobytes * 4 * 1024 < MOST_STRUCTURE / 3
    assert has_few_values(orjson.dumps(in_a_session))


@pytest.mark.parametrize(
    "body",
    [b"[" * (FEW_VALUES + 1), b"1," * (FEW_VALUES + 1), b'{"a":' * (FEW_VALUES + 1), b"[]," * FEW_VALUES],
)
def test_many_values_are_seen_at_a_glance(body: bytes) -> None:
    assert not has_few_values(body)


@pytest.mark.parametrize(
    "unit", [b"\\\\", b"\\ud800", b'\\"', b"\\", "é".encode(), b'"', b'","', b"[]", b"{", b"x"]
)
async def test_no_text_holds_the_loop(unit: bytes) -> None:
    """In CPU time of single pieces, and not of the longest, as other work shares this machine."""
    body = b'["' + unit * (31 * MIB // len(unit)) + b'"]'
    shape, took = BodyShape(), [0.0]

    try:
        for start in range(0, len(body), PIECE_BYTES):
            began = time.process_time()
            shape.add(body[start : start + PIECE_BYTES])
            took.append(time.process_time() - began)
    except InvalidRequest:
        pass

    assert sorted(took)[-len(took) // 10] < 0.05


@pytest.mark.parametrize(
    ("body", "turns_at_least"),
    [
        (b'"' + b"x" * (8 * MIB) + b'"', 8 * MIB // PIECE_BYTES),
        ((b"[" * DEEPEST + b"]" * DEEPEST + b",") * 700, DEEPEST),
    ],
    ids=["long", "deep"],
)
async def test_other_work_goes_on_while_it_is_counted(body: bytes, turns_at_least: int) -> None:
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_work())
    await count_structure(body)
    other.cancel()

    assert turns >= turns_at_least
